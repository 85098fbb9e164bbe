"""Receivers on loopback, most of them hostile: each is one coroutine that answers a connection badly in one way."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

Behaviour = Callable[["Visit"], Awaitable[None]]
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass
class Receiver:
    url: str = ""
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    """Head and body of each, as they came."""
    sent: int = 0
    """Bytes of answers that the network took."""


@dataclass
class Visit:
    """One connection."""

    receiver: Receiver
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> bytes:
        """Reads one; b"" when the other side is gone."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return b""
        length = _LENGTH.search(head)
        body = await self.reader.readexactly(int(length[1])) if length else b""
        self.receiver.requests.append(head + body)
        return head + body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.receiver.sent += len(data)

    def reset(self) -> None:
        """Closes with RST instead of FIN."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@asynccontextmanager
async def receiving(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A server of this behaviour on a free port of 127.0.0.1, for as long as the block lasts."""
    receiver = Receiver()
    visits: set[asyncio.Task[None]] = set()

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        visits.add(task)
        receiver.connections += 1
        try:
            await behaviour(Visit(receiver, reader, writer))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            visits.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(visit, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    receiver.url = f"http{'s' if tls else ''}://127.0.0.1:{port}/hook/secret-path"
    try:
        yield receiver
    finally:
        server.close()
        for task in tuple(visits):
            task.cancel()
        await asyncio.gather(*visits, return_exceptions=True)


def answering(*answers: bytes) -> Behaviour:
    """Well-behaved in its keep-alive: the answers in turn, the last one again and again."""

    async def behave(visit: Visit) -> None:
        turn = 0
        while await visit.request():
            await visit.send(answers[min(turn, len(answers) - 1)])
            turn += 1

    return behave


def closing_after(data: bytes) -> Behaviour:
    async def behave(visit: Visit) -> None:
        await visit.request()
        await visit.send(data)
        visit.writer.close()
        await visit.writer.wait_closed()

    return behave


def repeating(beginning: bytes, data: bytes, pause: float = 0) -> Behaviour:
    """A beginning, then the same bytes without end."""

    async def behave(visit: Visit) -> None:
        await visit.request()
        await visit.send(beginning)
        while True:
            await visit.send(data)
            await asyncio.sleep(pause)

    return behave


async def hanging(visit: Visit) -> None:
    await visit.request()
    await asyncio.Event().wait()


async def never_reading(visit: Visit) -> None:
    del visit
    await asyncio.Event().wait()


async def closing_at_once(visit: Visit) -> None:
    visit.writer.close()


async def resetting(visit: Visit) -> None:
    await visit.request()
    visit.reset()


async def closing_kept_connections(visit: Visit) -> None:
    """Answers the first request of a connection and promises more, but closes when the second arrives."""
    await visit.request()
    await visit.send(ok())
    await visit.request()


async def resetting_kept_connections(visit: Visit) -> None:
    await visit.request()
    await visit.send(ok())
    await visit.request()
    visit.reset()


async def breaking_kept_connections(visit: Visit) -> None:
    """Begins its second answer and closes."""
    await visit.request()
    await visit.send(ok())
    await visit.request()
    await visit.send(b"HTTP/1.1 200 OK\r\nContent-Le")


def ok(body: bytes = b"ok", *fields: bytes) -> bytes:
    return answer(b"200 OK", body, *fields)


def answer(status: bytes, body: bytes = b"", *fields: bytes) -> bytes:
    length = f"Content-Length: {len(body)}".encode()
    return b"\r\n".join([b"HTTP/1.1 " + status, length, *fields, b"", body])
