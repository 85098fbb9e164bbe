"""Every request leaves one line in the log and one mark in the metrics, when its last byte has been given away.

In: ASGI, around the application. Out: the same, and a `Served`. Never: a path, a query, a header or a body: which
operation it was says its id, and who called says the name of the token.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import TypeAlias

    import falcon
    import falcon.asgi

    from services.api.http.metrics import Metrics

    Message: TypeAlias = dict[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
    Send: TypeAlias = Callable[[Message], Awaitable[None]]
    Asgi: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

NO_OPERATION = "none"
"""Of a request for which there is none: a wrong path, a wrong method."""
_CONTEXT = "orchest.context"
"""Key of the ASGI scope: what Falcon's part of the request has found out."""
_PROBES = frozenset({"get_health", "get_readiness"})
_SWITCHING_PROTOCOLS = 101
_FORBIDDEN = 403
_UNAVAILABLE = 503
_OK = 200

_log = logging.getLogger("services.api.access")


@dataclass(frozen=True, slots=True)
class Served:
    """One request, or one websocket, that is over."""

    request_id: str
    method: str
    """`WEBSOCKET` for one."""
    operation: str
    """Its id."""
    status: int
    """0: the caller went away before there was an answer."""
    seconds: float
    bytes: int
    """Of the answer's body, or of all messages."""
    caller: str
    """"" when nobody was recognised."""
    remote: str
    """Address; "" for a unix socket."""


class Introduction:
    """Falcon middleware: shows the request's context to the log around it."""

    async def process_request(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        del resp
        req.scope[_CONTEXT] = req.context

    async def process_request_ws(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        del ws
        req.scope[_CONTEXT] = req.context


class AccessLog:
    """ASGI, around an application."""

    def __init__(self, app: Asgi, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        tally = _Tally(send)
        began = time.perf_counter()
        self._metrics.began()
        try:
            await self._app(scope, receive, tally.send)
        except asyncio.CancelledError:
            # The server's grace is over. It sees to its ending by itself, and would call this a defect.
            if not tally.status and scope["type"] == "http":
                await _give_up(tally.send)
        finally:
            served = _served(scope, tally, time.perf_counter() - began)
            self._metrics.ended(served)
            if is_told(served):
                _tell(served)


class _Tally:
    """What was sent."""

    __slots__ = ("_send", "bytes", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.bytes = 0

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in {"http.response.start", "websocket.http.response.start"}:
            self.status = message["status"]
        elif kind == "websocket.accept":
            self.status = _SWITCHING_PROTOCOLS
        elif kind == "websocket.close":
            self.status = self.status or _FORBIDDEN
        elif kind == "websocket.send":
            self.bytes += len(message.get("bytes") or message.get("text") or "")
        else:
            self.bytes += len(message.get("body", b""))
        await self._send(message)


async def _give_up(send: Send) -> None:
    headers = [(b"content-length", b"0"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": _UNAVAILABLE, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def is_told(served: Served) -> bool:
    """Not a probe that found all well: there are more of them than of all the rest."""
    return served.operation not in _PROBES or served.status != _OK


def _served(scope: Message, tally: _Tally, seconds: float) -> Served:
    context: falcon.Context | None = scope.get(_CONTEXT)
    client = scope.get("client")
    return Served(
        request_id=getattr(context, "request_id", ""),
        method=scope.get("method", "WEBSOCKET"),
        operation=getattr(context, "operation", NO_OPERATION),
        status=int(tally.status),
        seconds=seconds,
        bytes=tally.bytes,
        caller=getattr(context, "caller", ""),
        remote=client[0] if client else "",
    )


def _tell(served: Served) -> None:
    _log.info(
        "request",
        extra={
            "request_id": served.request_id,
            "method": served.method,
            "operation": served.operation,
            "status": served.status,
            "milliseconds": round(served.seconds * 1000, 1),
            "bytes": served.bytes,
            "caller": served.caller,
            "remote": served.remote,
        },
    )
