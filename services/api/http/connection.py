"""One connection of a client: uvicorn's, with the patience and the farewell that it lacks.

In: bytes. Out: requests for the application. Never: waits for ever for the rest of a request, reads a head without end,
or hangs up on a client whose request is on its way.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

    from services.api.http.access_log import Message, Receive, Send

MOST_HEAD_BYTES = 64 * 1024
"""Of the request line and all headers."""
HEAD_SECONDS = 10.0
"""From the connection, or the first byte of a later request, to the end of its head."""
BODY_SECONDS = 30.0
"""For the rest of the request. Whoever waits for the body answers 408 long before."""
REFUSED_SECONDS = 2.0
"""For the rest of a request that has its answer: so that the client, which is still sending, can read it."""
FAREWELL_SECONDS = 0.2
"""When the server ends: for requests that were sent before their client could know."""
_HEAD_TOO_LARGE = b"The head of the request is too large.\n"


class _Reading(Enum):
    """What of a request has arrived."""

    HEAD = auto()
    """Nothing of it on a new connection, or not all of its head."""
    BODY = auto()
    WHOLE = auto()


_PATIENCE = {_Reading.HEAD: HEAD_SECONDS, _Reading.BODY: BODY_SECONDS}


class Connection(HttpToolsProtocol):
    """An `asyncio.Protocol`; one request at a time."""

    _reading = _Reading.HEAD
    _watched = _Reading.WHOLE
    """What the timer waits for; WHOLE: there is none."""
    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_ending = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._reading = _Reading.WHOLE
        self._watch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._reading is _Reading.HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > 2 * MOST_HEAD_BYTES:
                self.transport.abort()
        self._watch()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reading = _Reading.HEAD
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        self._reading = _Reading.BODY
        app = self.app
        if self._head_bytes > MOST_HEAD_BYTES:
            self.app = _refuse_head
        super().on_headers_complete()
        self.app = app
        if self._is_ending and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._reading = _Reading.WHOLE

    def handle_websocket_upgrade(self) -> None:
        self._reading = _Reading.WHOLE
        self._watch()
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._reading is _Reading.BODY and self._is_idle and self._timer is not None:
            # It was refused before it had arrived: there is nobody any more who wants the rest.
            self._timer.cancel()
            self._timer = self.loop.call_later(REFUSED_SECONDS, self.transport.close)

    def shutdown(self) -> None:
        """A request that is under way is the last one. An idle client may have sent another at this very moment."""
        self._is_ending = True
        if self._is_idle:
            self.loop.call_later(FAREWELL_SECONDS, self._hang_up)
        else:
            super().shutdown()

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _hang_up(self) -> None:
        if self._is_idle:
            self.transport.close()

    def _watch(self) -> None:
        """No timer for a request that arrives whole, as nearly all do."""
        if self._reading is self._watched:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._watched = self._reading
        if (patience := _PATIENCE.get(self._reading)) is not None:
            self._timer = self.loop.call_later(patience, self.transport.abort)


async def _refuse_head(scope: Message, receive: Receive, send: Send) -> None:
    """ASGI: what answers instead of the application."""
    del scope, receive
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    length = (b"content-length", str(len(_HEAD_TOO_LARGE)).encode())
    await send({"type": "http.response.start", "status": 431, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": _HEAD_TOO_LARGE})
