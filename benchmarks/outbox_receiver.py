"""A receiver that costs little: `python -m benchmarks.outbox_receiver PORT_FILE`.

In: POSTs over kept connections. `/ok/...` is answered 204 at
once, `/busy/...` 503, `/drip/...` one byte a second, `/hang/...` never. Out: the
port, and on `GET /arrivals` what came since the last such question: for each request the first part of its path, its
`webhook-id`, and the nanoseconds of the monotonic clock, which all processes of a Linux host share.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import cast

import orjson
import uvloop

_OK = b"HTTP/1.1 204 No Content\r\n\r\n"
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
_DRIPPED = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + b"." * 1000

_arrivals: list[tuple[str, str, int]] = []


class Receiver(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            whole = end + 4 + int(_header(head, b"content-length") or 0)
            if len(self._buffer) < whole:
                return
            self._buffer = self._buffer[whole:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        kind = head.split(b"/", 2)[1].split(b" ", 1)[0].decode()
        if kind == "arrivals":
            body = orjson.dumps(_arrivals)
            _arrivals.clear()
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            return
        _arrivals.append((kind, _header(head, b"webhook-id").decode(), time.monotonic_ns()))
        if kind == "ok":
            self._transport.write(_OK)
        elif kind == "busy":
            self._transport.write(_BUSY)
        elif kind == "drip":
            self._drip(0)

    def _drip(self, position: int) -> None:
        if not self._transport.is_closing():
            self._transport.write(_DRIPPED[position : position + 1])
            asyncio.get_running_loop().call_later(1, self._drip, position + 1)


def _header(head: bytes, name: bytes) -> bytes:
    start = head.find(b"\r\n" + name + b":")
    if start < 0:
        return b""
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()


async def main(port_file: Path) -> None:
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0, backlog=1000)
    new = port_file.with_suffix(".new")
    new.write_text(str(server.sockets[0].getsockname()[1]))
    new.rename(port_file)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
