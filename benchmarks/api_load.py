"""Clients that keep their connections and ask one thing after the other, as fast as they are answered.

`python -m benchmarks.api_load PORT CLIENTS SECONDS get|post UUID [TOKEN]`

In: whom to ask, and for what. Out: on standard output, in JSON, the milliseconds of each answer. An answer that is not
2xx ends it. The requests are bytes made beforehand: what costs time here is not in the figures of the server.
"""

from __future__ import annotations

import asyncio
import sys
import time
from uuid import uuid4

import orjson
import uvloop

_NAME = "x" * 100


async def main(port: int, clients: int, seconds: float, request: Request) -> list[float]:
    ends = time.perf_counter() + seconds
    found = await asyncio.gather(*(_ask(port, ends, request) for _ in range(clients)))
    return [took for each in found for took in each]


class Request:
    def __init__(self, kind: str, uuid: str, token: str) -> None:
        self._is_post = kind == "post"
        method, path = ("POST", "/api/projects") if self._is_post else ("GET", f"/api/projects/{uuid}")
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        self._head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}".encode()

    def bytes(self) -> bytes:
        """A project of its own each time."""
        if not self._is_post:
            return self._head + b"\r\n"
        body = orjson.dumps({"uuid": str(uuid4()), "name": _NAME})
        return b"%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (self._head, len(body), body)


async def _ask(port: int, ends: float, request: Request) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    while (asked := time.perf_counter()) < ends:
        writer.write(request.bytes())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 20"):
            raise ValueError(head.decode())
        lowered = head.lower()
        length = lowered.index(b"content-length: ") + 16
        await reader.readexactly(int(lowered[length : lowered.index(b"\r", length)]))
        found.append((time.perf_counter() - asked) * 1000)
    writer.close()
    return found


if __name__ == "__main__":
    _, port, clients, seconds, kind, uuid, *token = sys.argv
    wanted = Request(kind, uuid, token[0] if token else "")
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(main(int(port), int(clients), float(seconds), wanted))))
