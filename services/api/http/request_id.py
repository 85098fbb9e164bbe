"""A name for each request: the caller's own, or a new one; in the answer, in problems, in the log."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from outbox.identity import new_uuid

if TYPE_CHECKING:
    import falcon.asgi

_USABLE = re.compile(r"[A-Za-z0-9._-]{1,128}")
HEADER = "X-Request-Id"


class RequestIds:
    """Falcon middleware."""

    async def process_request(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        _name(req)
        resp.set_header(HEADER, req.context.request_id)

    async def process_request_ws(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        del ws
        _name(req)


def _name(req: falcon.asgi.Request) -> None:
    sent = req.get_header(HEADER, default="")
    req.context.request_id = sent if _USABLE.fullmatch(sent) else str(new_uuid())
    req.context.caller = ""
