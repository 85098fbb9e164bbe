"""A receiver in a process of its own: `python -m tests.torture.outbox.receiver FOLDER`.

In: POSTs to `/hook/NAME`, and in FOLDER `secrets.json` (the signing secret of each NAME). Out: `receiver.port`, and
`receiver.log`: for each request its delivery, event, time (Unix seconds), whether the signature verified and what was
answered, on disk before the answer leaves. `POST /hold` with a JSON list of deliveries: from now on their requests, and
no others, wait for an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.torture.outbox.logs import Log

if TYPE_CHECKING:
    from collections.abc import Mapping

_LATENCY_SECONDS = 0.02
_HEAD_BYTES = 65_536


class Request(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    def __init__(self, log: Log, secrets: Mapping[str, str], seed: int) -> None:
        self._log = log
        self._verifiers = {name: Webhook(secret) for name, secret in secrets.items()}
        self._random = random.Random(seed)
        self._held: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._waiting: list[tuple[dict[str, Any], asyncio.Future[None]]] = []
        self._written = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await _read(reader)
                status, body = await self._answer(request)
                head = f"HTTP/1.1 {status} x\r\ncontent-length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        writer.close()

    async def _answer(self, request: Request) -> tuple[int, bytes]:
        if request.path == "/hold":
            self._held = frozenset(json.loads(request.body))
            self._changed.set()
            self._changed = asyncio.Event()
            return 200, b""
        return await self._deliver(request), b""

    async def _deliver(self, request: Request) -> int:
        name = request.path.rpartition("/")[2]
        entry = {
            "hook": name,
            "delivery": request.headers.get("webhook-id", ""),
            "event": json.loads(request.body)["event"]["uuid"],
            "at": time.time(),
            "verified": self._verified(name, request),
        }
        while entry["delivery"] in self._held:
            await self._changed.wait()
        await asyncio.sleep(self._random.uniform(0, _LATENCY_SECONDS))
        status = 204
        await self._record(entry | {"status": status, "answered_at": time.time()})
        return status

    def _verified(self, name: str, request: Request) -> bool:
        try:
            self._verifiers[name].verify(request.body, dict(request.headers))
        except WebhookVerificationError:
            return False
        return True

    async def _record(self, entry: dict[str, Any]) -> None:
        """Returns when the entry is on disk."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, done))
        self._written.set()
        await done

    async def keep_log(self) -> None:
        """Entries that come while the disk is busy share the next write."""
        while True:
            await self._written.wait()
            self._written.clear()
            batch, self._waiting = self._waiting, []
            self._log.append(entry for entry, _ in batch)
            await asyncio.to_thread(self._log.sync)
            for _, done in batch:
                done.set_result(None)


async def _read(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    method, path, _ = first.split(" ", 2)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


async def main(folder: Path) -> None:
    secrets = json.loads((folder / "secrets.json").read_text())
    receiver = Receiver(Log(folder / "receiver.log"), secrets, seed=0)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, limit=_HEAD_BYTES)
    keeper = asyncio.create_task(receiver.keep_log())
    port = folder / "receiver.port.new"
    port.write_text(str(server.sockets[0].getsockname()[1]))
    port.rename(folder / "receiver.port")
    async with server:
        await keeper


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
