"""`/api/events/stream`: what happens, as it happens, as server-sent events or by a websocket.

In: filters, and the last event that the reader has. Out: every event behind it, once, in an order in which nothing is
added later; when it is quiet, how far the stream is. Never: a token in an address, or one that is believed for longer
than a minute: who may not read any more is not told any more.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import falcon
import falcon.asgi
from falcon.asgi import SSEvent
from pydantic import Field, TypeAdapter, ValidationError

from outbox.errors import DatabaseError
from outbox.events.feed import Place, place_before, place_behind, settled
from services.api.http.operation import Operation, Scope, Streams
from services.api.http.problems import ApiError, Mistake, bad_request
from services.api.http.resource import admitted, check_scope, missing_token, parsed_query
from services.api.resources.event_feed import EventFeed
from services.api.resources.events import EventWish

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from outbox.events.feed import Placed
    from outbox.events.records import EventFilter
    from services.api.http.resource import Machinery

PROTOCOL = "orchest.events"
"""What a websocket may ask for; who gives the token as a protocol must ask for this one too."""
BEARER_PROTOCOL = "orchest.bearer."
BEAT_SECONDS = 15.0
CHECK_SECONDS = 40.0
"""With the time of a beat less than a minute."""
_RETRY_MILLISECONDS = 2000
_SEND_SECONDS = 30.0
_LAST_EVENT_ID = "Last-Event-ID"
_FOR_NOW = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_MOST_REASON = 123
"""Bytes: more does not fit into the frame that closes a websocket."""
_GOING_AWAY_FOR_A_RESTART, _POLICY, _LATER, _NOTHING_TO_SAY = 1012, 1008, 1013, 1003
_DESCRIPTION = f"""\
Server-sent events: `id` is the event's uuid, `event` its type, `data` its payload. Without `after` and `since` the
stream begins now. An `id` without data says how far the stream is; it comes first, and in every {BEAT_SECONDS:.0f}
quiet seconds. Who reconnects with the last `id` in the header {_LAST_EVENT_ID} (browsers do) or in `after` misses
nothing and gets nothing twice; 410: that event is forgotten. Events come in the order in which they became visible,
which need not be that of their times.

By a websocket it is the same: JSON messages `{{"id", "type", "data"}}`, those without news `{{"id"}}`. The token is in
the header Authorization or, from browsers, in the protocols `{PROTOCOL}, {BEARER_PROTOCOL}TOKEN`. It is closed with
{_POLICY} when the request or its token is refused, with {_LATER} or {_GOING_AWAY_FOR_A_RESTART} when it may connect
again."""


class EventStreamQuery(EventWish):
    after: UUID | None = Field(
        default=None,
        description="The last event you have; all zeros: none, begin with the oldest. The header Last-Event-ID is "
        "newer and goes first",
    )


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who may read, and from where."""

    authorization: str
    wanted: EventFilter
    start: Place


class News(NamedTuple):
    events: tuple[Placed, ...]
    """None: nothing has happened for a while."""
    place: Place
    """So far nothing is missing."""


class EventStream:
    """A Falcon resource."""

    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery
        self._feed = EventFeed(machinery.work)

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        req.context.operation = OPERATION.id
        reader = await self._reader(req, req.get_header("Authorization", default=""))
        resp.set_header("Cache-Control", "no-store")
        resp.set_header("X-Accel-Buffering", "no")
        resp.sse = self._server_sent(reader)

    async def on_websocket(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        req.context.operation = OPERATION.id
        if _is_of_another_site(req):
            await ws.close()
            return
        protocol = PROTOCOL if PROTOCOL in ws.subprotocols else None
        try:
            reader = await self._reader(req, _authorization(req, ws))
        except (ApiError, DatabaseError) as error:
            await ws.accept(protocol)
            await _close(ws, error)
            return
        await ws.accept(protocol)
        with suppress(falcon.WebSocketDisconnected, TimeoutError):
            await self._tell(ws, reader)

    async def _server_sent(self, reader: Reader) -> AsyncGenerator[SSEvent, None]:
        yield SSEvent(event_id=str(reader.start.uuid), retry=_RETRY_MILLISECONDS)
        try:
            async with aclosing(self._news(reader)) as news:
                async for events, place in news:
                    for _, event in events:
                        yield SSEvent(event_id=str(event.uuid), event=event.type, text=event.payload)
                    if not events:
                        yield SSEvent(event_id=str(place.uuid))
        except (ApiError, DatabaseError) as error:
            yield SSEvent(comment=_reason(error))
            return
        yield SSEvent(comment="This process ends. Connect again.")

    async def _tell(self, ws: falcon.asgi.WebSocket, reader: Reader) -> None:
        """Raises WebSocketDisconnected, TimeoutError for a reader who takes nothing any more."""
        await _send(ws, _message(reader.start.uuid))
        said = asyncio.create_task(_said(ws))
        try:
            async with aclosing(self._news(reader, said)) as news:
                async for events, place in news:
                    for _, event in events:
                        await _send(ws, _message(event.uuid, event.type, event.payload))
                    if not events:
                        await _send(ws, _message(place.uuid))
        except (ApiError, DatabaseError) as error:
            await _close(ws, error)
            return
        finally:
            said.cancel()
        if said.done():
            await ws.close(_NOTHING_TO_SAY, "This stream only tells.")
            return
        await ws.close(_GOING_AWAY_FOR_A_RESTART, "This process ends. Connect again.")

    async def _news(self, reader: Reader, *ends: asyncio.Task[None]) -> AsyncGenerator[News, None]:
        """Until this process is to end, or one of `ends` is done. Raises ApiError when the token opens nothing any
        more, DatabaseError.
        """
        place = reader.start
        told_at = checked_at = time.monotonic()
        ending = [asyncio.create_task(self._machinery.shutdown.wait()), *ends]
        try:
            async with self._feed.listening():
                while not any(end.done() for end in ending):
                    if time.monotonic() - checked_at >= CHECK_SECONDS:
                        await self._machinery.work.run(lambda: self._check(reader.authorization))
                        checked_at = time.monotonic()
                    found = await self._feed.behind(place, reader.wanted)
                    place = found.end
                    if found.is_whole and not found.events:
                        await self._quiet(place, ending, told_at + BEAT_SECONDS - time.monotonic())
                    if found.events or time.monotonic() - told_at >= BEAT_SECONDS:
                        yield News(found.events, place)
                        told_at = time.monotonic()
        finally:
            ending[0].cancel()

    async def _quiet(self, place: Place, ending: Sequence[asyncio.Task[None]], seconds: float) -> None:
        """Until there may be news behind `place`."""
        moved = asyncio.create_task(self._feed.moved(place))
        try:
            await asyncio.wait([moved, *ending], timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
        finally:
            moved.cancel()

    async def _reader(self, req: falcon.asgi.Request, authorization: str) -> Reader:
        """Raises ApiError 400, 401, 403, 410, 429, 503, DatabaseError."""
        if not authorization:
            raise missing_token()
        self._feed.check_room()
        sent = {name: [value] if isinstance(value, str) else value for name, value in req.params.items()}
        last = req.get_header(_LAST_EVENT_ID, default="")
        return await self._machinery.work.run(lambda: self._admitted(req, authorization, sent, last))

    def _admitted(
        self, req: falcon.asgi.Request, authorization: str, sent: Mapping[str, Sequence[str]], last: str
    ) -> Reader:
        caller = admitted(self._machinery, authorization, req.remote_addr or "", datetime.now(UTC))
        req.context.caller = caller.name
        check_scope(OPERATION, caller)
        query = parsed_query(EventStreamQuery, sent)
        assert isinstance(query, EventStreamQuery)
        return Reader(authorization, query.filter, self._start(query, _uuid(last) if last else query.after))

    def _check(self, authorization: str) -> str:
        """The caller's name. Raises ApiError 401, 403, 503."""
        caller = self._machinery.gatekeeper.admit(authorization, datetime.now(UTC))
        check_scope(OPERATION, caller)
        return caller.name

    def _start(self, query: EventStreamQuery, after: UUID | None) -> Place:
        with self._machinery.work.database.reading() as session:
            if after is not None:
                place = place_behind(session, after)
            else:
                place = settled(session) if query.since is None else place_before(session, query.since)
        if place is None:
            raise ApiError(
                HTTPStatus.GONE,
                "The event to begin after is not there: it is forgotten, or of another installation. "
                "List what there is (GET /api/events), and begin anew.",
            )
        return place


OPERATION = Operation(
    HTTPMethod.GET,
    "/api/events/stream",
    "stream_events",
    "Events as they happen",
    Scope.READ,
    Streams(EventStream),
    answer=str,
    query=EventStreamQuery,
    problems=(HTTPStatus.GONE,),
    tag="events",
    description=_DESCRIPTION,
    media_type="text/event-stream",
)

_UUID = TypeAdapter(UUID)


def _uuid(text: str) -> UUID:
    try:
        return _UUID.validate_strings(text)
    except ValidationError:
        mistake = Mistake(where=f"headers.{_LAST_EVENT_ID}", what="The uuid of an event is needed.")
        raise bad_request("A header is not valid.", [mistake]) from None


def _is_of_another_site(req: falcon.asgi.Request) -> bool:
    """A page of somebody else in the browser of one of ours; programs send no Origin."""
    origin = req.get_header("Origin", default="")
    return bool(origin) and origin.partition("://")[2].lower() != req.get_header("Host", default="").lower()


def _authorization(req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> str:
    """Browsers can set no header of a websocket but its protocols."""
    offered = [name.removeprefix(BEARER_PROTOCOL) for name in ws.subprotocols if name.startswith(BEARER_PROTOCOL)]
    return req.get_header("Authorization", default="") or (f"Bearer {offered[0]}" if offered else "")


async def _said(ws: falcon.asgi.WebSocket) -> None:
    """Until the other side says something, which it has no business to, or is gone."""
    with suppress(falcon.WebSocketDisconnected, falcon.PayloadTypeError):
        await ws.receive_text()


async def _send(ws: falcon.asgi.WebSocket, message: str) -> None:
    async with asyncio.timeout(_SEND_SECONDS):
        await ws.send_text(message)


def _message(uuid: UUID, event_type: str = "", payload: str = "") -> str:
    """`payload` is JSON already, and types of events are words, digits, - and :."""
    return f'{{"id":"{uuid}","type":"{event_type}","data":{payload}}}' if event_type else f'{{"id":"{uuid}"}}'


async def _close(ws: falcon.asgi.WebSocket, error: ApiError | DatabaseError) -> None:
    is_for_now = isinstance(error, DatabaseError) or error.status in _FOR_NOW
    await ws.close(_LATER if is_for_now else _POLICY, _reason(error)[:_MOST_REASON])


def _reason(error: ApiError | DatabaseError) -> str:
    """In ASCII, as all our texts for callers are."""
    if isinstance(error, DatabaseError):
        return "The database cannot be reached. Connect again."
    return " ".join([error.detail, *(f"{mistake.where}: {mistake.what}" for mistake in error.mistakes)])
