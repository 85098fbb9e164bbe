"""One path of the API in Falcon: from a request to a call, from a reply to a response.

In: the operations of the path. Out: responders that read the body in the event loop, do all the rest in one thread of
the pool, and answer. Never: a noun of the platform.

The order is the security: who it is, what it may, whether the request is valid, and only then a transaction.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from services.api.http.idempotency import Attempt
from services.api.http.operation import (
    NOBODY,
    Acts,
    Answer,
    Call,
    Nothing,
    Operation,
    Reads,
    Received,
    Reply,
    Tells,
    Writes,
)
from services.api.http.problems import ApiError, Mistake, bad_request, invalid, not_found
from services.api.http.shutdown import Shutdown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import falcon
    import falcon.asgi

    from services.api.http.admission import Gatekeeper
    from services.api.http.idempotency import Idempotency
    from services.api.http.limits import RateLimit
    from services.api.http.operation import Caller
    from services.api.http.work import Work

MOST_BODY_BYTES = 1024 * 1024
_BODY_SECONDS = 10.0
_JSON = "application/json"
_OF_PROXIES = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")


@dataclass(frozen=True, slots=True)
class Machinery:
    """What every resource needs."""

    work: Work
    gatekeeper: Gatekeeper
    idempotency: Idempotency
    rate_limit: RateLimit
    shutdown: Shutdown = field(default_factory=Shutdown)
    most_body_bytes: int = MOST_BODY_BYTES
    body_seconds: float = _BODY_SECONDS


@dataclass(frozen=True, slots=True)
class Raw:
    """A request as it arrived, read but not believed."""

    authorization: str
    path: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    body: bytes
    idempotency_key: str | None
    address: str
    request_id: str
    forwarded: bool


class Resource:
    """All operations on one path: Falcon finds their responders by name, `on_get` and so on."""

    def __init__(self, operations: Sequence[Operation], machinery: Machinery) -> None:
        for operation in operations:
            setattr(self, f"on_{operation.method.lower()}", responder(operation, machinery))


def responder(operation: Operation, machinery: Machinery) -> Callable[..., Awaitable[None]]:
    performer = Performer(operation, machinery)

    async def respond(req: falcon.asgi.Request, resp: falcon.asgi.Response, **path: str) -> None:
        req.context.operation = operation.id
        authorization = req.get_header("Authorization", default="")
        forwarded = any(req.get_header(name) for name in _OF_PROXIES)
        if not authorization and needs_token(operation, authorization, forwarded=forwarded):
            raise missing_token()
        raw = Raw(
            authorization=authorization,
            path=path,
            query={name: [value] if isinstance(value, str) else value for name, value in req.params.items()},
            body=await _body(req, operation, machinery),
            idempotency_key=req.get_header("Idempotency-Key"),
            address=req.remote_addr or "",
            request_id=req.context.request_id,
            forwarded=forwarded,
        )
        answer = await performed(raw, performer, machinery.work, req.context)
        _send(answer, operation, req, resp)

    return respond


async def performed(raw: Raw, performer: Performer, work: Work, context: falcon.Context) -> Answer:
    match performer.operation.does:
        case Tells():
            return performer.perform(raw, context)
        case Acts():
            return await work.act(lambda: performer.perform(raw, context))
        case _:
            return await work.run(lambda: performer.perform(raw, context))


class Performer:
    """One operation: from what arrived to what is answered."""

    def __init__(self, operation: Operation, machinery: Machinery) -> None:
        self.operation = operation
        self._machinery = machinery
        self._answer: TypeAdapter[Any] | None = None if operation.answer is None else TypeAdapter(operation.answer)

    def perform(self, raw: Raw, context: falcon.Context) -> Answer:
        """`context` is told who calls, for the log, also when this raises."""
        operation, machinery = self.operation, self._machinery
        now = datetime.now(UTC)
        caller = self._caller(raw, now)
        context.caller = caller.name
        if caller is not NOBODY:
            check_scope(operation, caller)
        call = self._call(raw, caller, now)
        database = machinery.work.database
        does = operation.does
        if isinstance(does, Acts | Tells):
            return self._serialised(does.function(call))
        if isinstance(does, Reads):
            with database.reading() as session:
                return self._serialised(does.function(session, call))
        assert isinstance(does, Writes), "streams have resources of their own"
        with database.writing() as session:
            if raw.idempotency_key is None or operation.method != HTTPMethod.POST:
                return self._serialised(does.function(session, call))
            attempt = Attempt(caller.identity, raw.idempotency_key, operation.id, _digest(raw), now)
            return machinery.idempotency.once(session, attempt, lambda: self._serialised(does.function(session, call)))

    def _caller(self, raw: Raw, now: datetime) -> Caller:
        """Raises ApiError 401, 429, 503."""
        if needs_token(self.operation, raw.authorization, forwarded=raw.forwarded):
            return admitted(self._machinery, raw.authorization, raw.address, now)
        self._machinery.rate_limit.check(raw.address)
        return NOBODY

    def _call(self, raw: Raw, caller: Caller, now: datetime) -> Call[Any, Any, Any]:
        operation = self.operation
        return Call(
            path=_path(operation.parameters, raw.path),
            query=parsed_query(operation.query, raw.query),
            body=_parsed(operation.body, raw.body),
            caller=caller,
            now=now,
            request_id=raw.request_id,
            forwarded=raw.forwarded,
        )

    def _serialised(self, reply: Reply) -> Answer:
        status = reply.status or self.operation.status
        if isinstance(reply.body, bytes):
            return Answer(status, reply.headers, reply.body)
        if self._answer is None or reply.body is None:
            return Answer(status, reply.headers, b"")
        body = self._answer.dump_json(self._answer.validate_python(reply.body, from_attributes=True), by_alias=True)
        return Answer(status, reply.headers, body)


def needs_token(operation: Operation, authorization: str, *, forwarded: bool) -> bool:
    """A token that is sent is checked, also where none is needed; only on what is open to all nobody looks at it."""
    is_from_inside = operation.open_inside and not authorization and not forwarded
    return not operation.is_open and not is_from_inside


def admitted(machinery: Machinery, authorization: str, address: str, now: datetime) -> Caller:
    """Raises ApiError 401, 429, 503. Who guesses tokens has one allowance per address, whatever they send."""
    try:
        caller = machinery.gatekeeper.admit(authorization, now)
    except ApiError:
        machinery.rate_limit.check(f"refused {address}")
        raise
    machinery.rate_limit.check(caller.name)
    return caller


def check_scope(operation: Operation, caller: Caller) -> None:
    """Raises ApiError 403."""
    if operation.scope is not None and not caller.may(operation.scope):
        raise ApiError(
            HTTPStatus.FORBIDDEN, f"This needs a token of scope {operation.scope}; yours may do something else."
        )


def missing_token() -> ApiError:
    return ApiError(
        HTTPStatus.UNAUTHORIZED,
        "A token is needed: send Authorization: Bearer TOKEN. Tokens are made by: orchest token create",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _path(model: type[Received], sent: Mapping[str, str]) -> Received:
    try:
        return model.model_validate_strings(sent)
    except ValidationError:
        raise not_found("resource") from None


def parsed_query(model: type[Received], sent: Mapping[str, Sequence[str]]) -> Received:
    known = {field.alias or name for name, field in model.model_fields.items()}
    twice = [name for name, values in sent.items() if len(values) > 1 and name in known]
    if twice:
        mistakes = [Mistake(where=f"query.{name}", what="Give it once.") for name in twice]
        raise bad_request("The query is not valid.", mistakes)
    try:
        return model.model_validate_strings({name: values[0] for name, values in sent.items()})
    except ValidationError as error:
        raise invalid(error, "query", model) from None


def _parsed(model: type[Received], sent: bytes) -> Received:
    if model is Nothing:
        return Nothing()
    try:
        return model.model_validate_json(sent)
    except ValidationError as error:
        raise invalid(error, "body", model) from None


async def _body(req: falcon.asgi.Request, operation: Operation, machinery: Machinery) -> bytes:
    """Raises ApiError 408, 413, 415."""
    if operation.body is Nothing:
        return b""
    if (req.content_type or "").partition(";")[0].strip().lower() != _JSON:
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send the body as JSON, with Content-Type: {_JSON}.")
    most = min(machinery.most_body_bytes, operation.most_body_bytes or machinery.most_body_bytes)
    if (req.content_length or 0) > most:
        raise _too_large(most)
    try:
        async with asyncio.timeout(machinery.body_seconds):
            read = await req.stream.read(most + 1)
    except TimeoutError:
        raise ApiError(
            HTTPStatus.REQUEST_TIMEOUT, f"The body did not arrive within {machinery.body_seconds:.0f} seconds."
        ) from None
    if len(read) > most:
        raise _too_large(most)
    return read


def _too_large(most: int) -> ApiError:
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {most} bytes. Send less at once.")


def _digest(raw: Raw) -> bytes:
    """Of what an idempotency key stands for: the same key with anything else is a mistake."""
    digest = blake2b(raw.body, digest_size=32)
    digest.update(repr((sorted(raw.path.items()), sorted(raw.query.items()))).encode())
    return digest.digest()


def _send(answer: Answer, operation: Operation, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
    """With an ETag for whatever is read, so that who polls is sent a body only when it changed."""
    for name, value in answer.headers.items():
        resp.set_header(name, value)
    resp.status = answer.status
    if not answer.body:
        return
    resp.content_type = operation.media_type
    if operation.method == "GET" and answer.status == HTTPStatus.OK:
        etag = blake2b(answer.body, digest_size=16).hexdigest()
        resp.set_header("ETag", f'"{etag}"')
        resp.set_header("Cache-Control", "private, no-cache")
        if etag in set(req.if_none_match or ()):
            resp.status = HTTPStatus.NOT_MODIFIED
            return
    else:
        resp.set_header("Cache-Control", "no-store")
    resp.data = answer.body
