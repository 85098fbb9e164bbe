"""What is measured: the real `orchest worker`, a database whose commits wait for the disk, Redis, a receiver, a writer.

In: a folder, the kind of database. Out: the processes, times and CPU seconds.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import func, select

from benchmarks import cpu
from outbox.database import Database
from outbox.delivery.guard import Guard, parse_networks
from outbox.delivery.models import DeliveryRow
from outbox.key_ring import KeyRing
from outbox.schema import migrate
from outbox.subscribers.administration import add, new_secret
from outbox.subscribers.webhook import Permission, WebhookSpec
from tests.torture.outbox.servers import PostgreSQL, Redis, awaited

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from outbox.subscribers.patterns import Interest

ORCHEST = str(Path(sys.executable).parent / "orchest")
ROOT = Path(__file__).resolve().parent.parent
_KEY = "a-key-of-this-benchmark-and-of-nothing-else"
_NETWORK = "127.0.0.0/8"
_LONG_SECONDS = 200


class Arrival(NamedTuple):
    kind: str
    identity: str
    at: int
    """Nanoseconds of the monotonic clock."""


class Written(NamedTuple):
    committed: dict[UUID, int]
    """When the commit of each event had returned, in nanoseconds of the monotonic clock."""
    cpu_seconds: float
    """Of the writer, without its start."""


class Receiver:
    """`benchmarks.outbox_receiver` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        port = folder / "receiver.port"
        self.process = subprocess.Popen([sys.executable, "-m", "benchmarks.outbox_receiver", str(port)], cwd=ROOT)
        awaited(port.exists, "the receiver")
        self._port = int(port.read_text())

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._port}/{path}"

    def arrivals(self) -> list[Arrival]:
        """Since the last call."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/arrivals")
            return [Arrival(*entry) for entry in orjson.loads(connection.getresponse().read())]

    def await_arrivals(self, count: int) -> list[Arrival]:
        """As soon as there are so many."""
        found: list[Arrival] = []
        deadline = time.monotonic() + _LONG_SECONDS
        while len(found) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {count} requests arrived in {_LONG_SECONDS} s")
            time.sleep(0.05)
            found += self.arrivals()
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Site:
    """Close it; its folder belongs to the caller."""

    def __init__(self, folder: Path, kind: str, *, redis: bool = True) -> None:
        """`redis`: a server that others share; without it nobody has any."""
        self.folder = folder
        self.receiver = Receiver(folder)
        self._postgresql = PostgreSQL(folder / "postgresql", durable=True) if kind == "postgresql" else None
        self._redis = Redis(folder) if redis else None
        url = self._postgresql.url if self._postgresql else f"sqlite:///{folder / 'state' / 'outbox.db'}"
        self.database = Database(url)
        self._environment = os.environ | {
            "ORCHEST_DATABASE_URL": url,
            "ORCHEST_REDIS_URL": self._redis.url if self._redis else "",
            "ORCHEST_ALLOWED_NETWORKS": _NETWORK,
            "ORCHEST_SECRET_KEYS": _KEY,
            "XDG_STATE_HOME": str(folder / "home"),
        }
        self._worker: subprocess.Popen[bytes] | None = None
        migrate(self.database)

    def add_webhooks(self, webhooks: Iterable[tuple[str, Interest]]) -> None:
        """Each with the path at the receiver and what it hears."""
        ring, permission = KeyRing([_KEY]), Permission(Guard(parse_networks([_NETWORK])))
        with self.database.writing() as session:
            for number, (path, interest) in enumerate(webhooks):
                spec = WebhookSpec(f"hook-{number}", self.receiver.url(path), (interest,))
                add(session, spec, new_secret(), permission=permission, key_ring=ring, now=datetime.now(UTC))

    def start_worker(self) -> None:
        options = [] if self._redis else ["--no-redis"]
        with (self.folder / "worker.output").open("ab") as output:
            command = [ORCHEST, "worker", *options]
            self._worker = subprocess.Popen(command, env=self._environment, stdout=output, stderr=output)

    def write(self, count: int, per_second: float, projects: Sequence[UUID]) -> Written:
        """Commits so many events."""
        command = [sys.executable, "-m", "benchmarks.outbox_writer", str(count), str(per_second), *map(str, projects)]
        done = subprocess.run(command, env=self._environment, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        spent, committed = orjson.loads(done.stdout)
        return Written({UUID(event): at for event, at in committed}, spent)

    def await_finished(self) -> None:
        """Until every delivery is recorded as delivered."""
        query = select(func.count()).select_from(DeliveryRow).where(DeliveryRow.status != "delivered")

        def is_done() -> bool:
            with self.database.reading() as session:
                return not session.execute(query).scalar_one()

        awaited(is_done, "the deliveries to be finished", _LONG_SECONDS)

    def events_of(self) -> dict[UUID, UUID]:
        """The event of each delivery."""
        with self.database.reading() as session:
            rows = session.execute(select(DeliveryRow.uuid, DeliveryRow.event_uuid))
            return dict(rows.tuples().all())

    def cpu_seconds(self) -> float:
        """Of worker, database and Redis so far; receiver and writer excluded."""
        processes = [self._worker, self._postgresql and self._postgresql.process, self._redis and self._redis.process]
        return cpu.seconds(process.pid for process in processes if process)

    def close(self) -> None:
        if self._worker:
            self._worker.terminate()
            self._worker.wait(60)
        self.database.close()
        self.receiver.close()
        for server in (self._redis, self._postgresql):
            if server:
                server.close()
