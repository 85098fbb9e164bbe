"""Every exception on its way out: a problem for the caller, and a traceback for the log when the fault is ours."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

import falcon
import falcon.asgi

from services.api.http.problems import MEDIA_TYPE, ApiError, api_error_of, problem_of

if TYPE_CHECKING:
    from services.api.http.operation import App

_log = logging.getLogger("services.api")
_DEFECT = ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here. Its operator finds it in the log.")


def install_errors(app: App) -> None:
    app.add_error_handler(Exception, _answer)
    app.add_error_handler(falcon.HTTPError, _answer_falcons)


async def _answer(
    req: falcon.asgi.Request, resp: falcon.asgi.Response | None, error: Exception, _params: dict[str, str], **_: object
) -> None:
    found = api_error_of(error)
    if found is None:
        _log.error("a defect", exc_info=error, extra={"request_id": req.context.request_id})
    elif found.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("cannot answer", extra={"request_id": req.context.request_id, "reason": str(error)})
    if resp is not None:
        _write(req, resp, found or _DEFECT)


async def _answer_falcons(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response | None,
    error: falcon.HTTPError,
    _params: dict[str, str],
    **_: object,
) -> None:
    """What Falcon finds by itself: no such path, no such method, a malformed header."""
    if resp is None:
        return
    status = HTTPStatus(error.status_code)
    detail = _DETAILS.get(status, "The request cannot be understood.")
    _write(req, resp, ApiError(status, detail, headers=dict(error.headers or {})))


_DETAILS = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address. What there is: /api/openapi.json",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take that method; the header Allow says which.",
}


def _write(req: falcon.asgi.Request, resp: falcon.asgi.Response, error: ApiError) -> None:
    for name, value in error.headers.items():
        resp.set_header(name, value)
    resp.set_header("Cache-Control", "no-store")
    resp.status = error.status
    resp.content_type = MEDIA_TYPE
    resp.data = problem_of(error, req.context.request_id).model_dump_json().encode()
