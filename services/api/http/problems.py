"""What went wrong, for the caller: one document (RFC 9457) for every error, whoever found it.

In: exceptions. Out: a `Problem` with its status. Never: a value that the caller sent, a secret, a traceback.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic import Field

from outbox.errors import DatabaseError
from outbox.events.errors import EventError, UnknownEventError
from outbox.key_ring import KeyRingError
from outbox.subscribers.errors import NotNow, SubscriberError, Unacceptable, Unknown
from reconciler.errors import ClusterError, NotFound
from reconciler.history import HistoryError, UnknownCycle
from services.api.http.operation import Sent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

MEDIA_TYPE = "application/problem+json"
_MOST_MISTAKES = 50


class Mistake(Sent):
    """One thing that is wrong with a request."""

    where: str = Field(description="`body.name`, `query.limit`, `headers.Idempotency-Key`")
    what: str = Field(description="What is wrong and what is expected; never the value that was sent")


class Problem(Sent):
    """RFC 9457."""

    type: str = Field(default="about:blank", description="A URI reference that names the kind of problem")
    title: str = Field(description="The kind of problem, in words")
    status: int = Field(description="The HTTP status, once more")
    detail: str = Field(description="What is wrong here, and the mend")
    request_id: str = Field(description="To be found in the logs")
    errors: list[Mistake] = Field(default_factory=list, description="All that is wrong with the request")


@dataclass(eq=False)
class ApiError(Exception):
    """What resources and the framework raise. `detail` says what, where and the mend, without echoing input."""

    status: HTTPStatus
    detail: str
    mistakes: tuple[Mistake, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def not_found(what: str) -> ApiError:
    """`what`: "project", "job" ..., never the uuid: it is in the caller's own request."""
    return ApiError(HTTPStatus.NOT_FOUND, f"There is no such {what}.")


def conflict(detail: str) -> ApiError:
    return ApiError(HTTPStatus.CONFLICT, detail)


def bad_request(detail: str, mistakes: Sequence[Mistake] = ()) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, detail, tuple(mistakes))


def invalid(error: ValidationError, part: str, model: type[BaseModel]) -> ApiError:
    """All mistakes of one part of a request: `body`, `query`. What was sent is nowhere in it, not even its keys."""
    found = error.errors(include_url=False, include_input=False)
    names = _names(model)
    mistakes = [_mistake(part, one, names) for one in found[:_MOST_MISTAKES]]
    return bad_request(f"The {part} is not valid; mistakes: {len(found)}, listed in errors.", mistakes)


def _mistake(part: str, error: ErrorDetails, names: frozenset[str]) -> Mistake:
    where = [str(step) if isinstance(step, int) or step in names else _UNNAMED for step in error["loc"]]
    if error["type"] == "extra_forbidden":
        known = ", ".join(sorted(names)) or "none"
        return Mistake(where=".".join([part, *where]), what=f"Unknown; known are: {known}.")
    return Mistake(where=".".join([part, *where]), what=_QUOTING.get(error["type"], error["msg"]))


_UNNAMED = "*"
"""In a mistake's place: a key that the caller chose."""
_QUOTING = {
    "uuid_parsing": "Input should be a valid UUID",
    "union_tag_invalid": "Input should be of a known kind",
}
"""Pydantic's messages that repeat what was sent, by type, and ours instead."""


@cache
def _names(model: type[BaseModel]) -> frozenset[str]:
    """Of all fields in the model and below it, as callers write them."""
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return frozenset(name for part in parts for name in part.get("properties", {}))


_STATUS_OF: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (Unknown, HTTPStatus.NOT_FOUND),
    (UnknownEventError, HTTPStatus.NOT_FOUND),
    (NotNow, HTTPStatus.CONFLICT),
    (SubscriberError, HTTPStatus.BAD_REQUEST),
    (EventError, HTTPStatus.BAD_REQUEST),
    (UnknownCycle, HTTPStatus.NOT_FOUND),
    (NotFound, HTTPStatus.NOT_FOUND),
    (HistoryError, HTTPStatus.SERVICE_UNAVAILABLE),
    (ClusterError, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseError, HTTPStatus.SERVICE_UNAVAILABLE),
    (KeyRingError, HTTPStatus.SERVICE_UNAVAILABLE),
)
"""The first that fits. Errors of layers that know nothing of HTTP."""


def api_error_of(error: Exception) -> ApiError | None:
    """None: a defect of ours, 500, and its traceback belongs in the log."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, Unacceptable):
        return _unacceptable(error)
    for kind, status in _STATUS_OF:
        if isinstance(error, kind):
            detail = _text(error) if status < HTTPStatus.INTERNAL_SERVER_ERROR else _NOT_THE_CALLERS
            return ApiError(status, detail)
    return None


def _unacceptable(error: Unacceptable) -> ApiError:
    mistakes = [Mistake(where=f"body.{one.where}", what=one.what) for one in error.mistakes]
    return bad_request(f"The body is not valid; mistakes: {len(mistakes)}, listed in errors.", mistakes)


def _text(error: Exception) -> str:
    return error.plain if isinstance(error, SubscriberError) else str(error)


_NOT_THE_CALLERS = (
    "The API cannot reach what it needs at this moment. Try again; its operator finds the reason in the log."
)


def problem_of(error: ApiError, request_id: str) -> Problem:
    return Problem(
        title=error.status.phrase,
        status=int(error.status),
        detail=error.detail,
        request_id=request_id,
        errors=list(error.mistakes),
    )
