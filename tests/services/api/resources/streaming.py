"""A server on loopback, and readers of its streams that speak for themselves."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Self

import uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.services.api.site import Site


class Told(NamedTuple):
    """One block of a stream."""

    id: str = ""
    type: str = ""
    data: str = ""
    comment: str = ""
    retry: str = ""


class Served:
    """An application behind a socket, in a thread with a loop of its own."""

    def __init__(self, site: Site) -> None:
        self._site = site
        config = uvicorn.Config(
            site.app, host="127.0.0.1", port=0, ws="websockets-sansio", lifespan="off", log_level="warning"
        )
        self._ready = threading.Event()
        self._server = _Server(config, self._ready)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    @property
    def port(self) -> int:
        port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return port

    def shut_down(self) -> None:
        """As the real server at SIGTERM, up to where uvicorn closes connections by itself."""
        self._loop.call_soon_threadsafe(self._site.parts.shutdown.begin)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _stop(self) -> None:
        self._site.parts.shutdown.begin()
        self._server.should_exit = True

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._server.serve())


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()


class Reading:
    """An open stream of server-sent events."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")
        self.head = b"".join(iter(self._file.readline, b"\r\n")).decode()
        self.status = int(self.head.split()[1])

    def next(self) -> Told | None:
        """None: it has ended."""
        block = self._chunk()
        if not block:
            return None
        found = {}
        for line in block.strip().split("\n"):
            name, _, value = line.partition(":")
            found[{"event": "type", "": "comment"}.get(name, name)] = value.strip()
        return Told(**found)

    def body(self) -> str:
        """Of an answer that is none."""
        length = next(line for line in self.head.lower().splitlines() if line.startswith("content-length:"))
        return self._file.read(int(length.partition(":")[2])).decode()

    def events(self, count: int) -> list[Told]:
        """The next ones, without what says only how far the stream is."""
        found: list[Told] = []
        while len(found) < count:
            told = self.next()
            assert told is not None, found
            if told.type:
                found.append(told)
        return found

    def _chunk(self) -> str:
        size = int(self._file.readline(), 16)
        return self._file.read(size + 2).decode() if size else ""


@contextmanager
def reading(
    port: int, token: str | None, path: str = "/api/events/stream", headers: Mapping[str, str] = {}
) -> Iterator[Reading]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
        lines = [f"{name}: {value}\r\n" for name, value in {"Host": "api", **authorization, **headers}.items()]
        connection.sendall(f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
        stream = Reading(connection)
        try:
            yield stream
        finally:
            stream._file.close()
