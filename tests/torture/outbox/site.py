"""One installation under attack: a database, a configured Redis, a receiver, a writer and two workers, each a process.

In: a folder, the kind of database, the program to run as worker. Out: the processes, and what a bystander sees by SQL.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from sqlalchemy import NullPool, create_engine, func, select

from outbox.database import Database
from outbox.delivery.guard import Guard, parse_networks
from outbox.delivery.models import AttemptRow, DeliveryRow
from outbox.events.models import Event
from outbox.key_ring import KeyRing
from outbox.schema import migrate
from outbox.subscribers.administration import add, new_secret
from outbox.subscribers.patterns import Interest
from outbox.subscribers.webhook import DEFAULT_MAX_IN_FLIGHT, Permission, WebhookSpec
from tests.torture.outbox.events import WRITTEN
from tests.torture.outbox.logs import entries_of
from tests.torture.outbox.servers import EndedByItself, PostgreSQL, Redis, awaited, frozen, killed, thawed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy.engine import Connection

HOOKS = {
    "everything": (Interest("*"),),
    "projects": (Interest("project:*"),),
    "exactly": tuple(Interest(event_type.value) for event_type in WRITTEN),
}
"""Each hears everything that the writer says, in its own way."""
LEASE_SECONDS = 5
MOST_IN_FLIGHT = len(HOOKS) * DEFAULT_MAX_IN_FLIGHT
"""Requests under way at one moment, over all workers."""
_LAST_CHARACTERS = 2_000
_STUCK_SECONDS = 0.3
"""No transaction of a running program takes so long."""
_KEY = "a-key-of-the-fault-suite-and-of-nothing-else"
_NETWORK = "127.0.0.0/8"
ORCHEST = str(Path(sys.executable).parent / "orchest")
WORKER = (ORCHEST, "worker", "--lease", str(LEASE_SECONDS))


class Program:
    """A process that somebody starts again whenever it has ended."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self._command, self._environment, self._log = command, environment, log
        self.start()

    def _launched(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)

    def start(self) -> None:
        self._starts_at = self._log.stat().st_size if self._log.exists() else 0
        self.process = self._launched()

    @property
    def is_ready(self) -> bool:
        """Of a worker: it has said, since it was last started, that it delivers."""
        with self._log.open(errors="replace") as log:
            log.seek(self._starts_at)
            return '"delivering"' in log.read()

    def revive(self) -> None:
        """What has ended by itself is started again, as by any supervisor: without its database no program starts."""
        if not self.runs:
            self.start()

    def freeze(self) -> None:
        while True:
            self.revive()
            with contextlib.suppress(EndedByItself):
                frozen(self.process)
                return

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        if self.runs:
            thawed(self.process)
            killed(self.process)


def await_ready(worker: Program) -> None:
    def is_ready() -> bool:
        worker.revive()
        return worker.is_ready

    awaited(is_ready, "a worker to start")


class Claim(NamedTuple):
    """A delivery in the hands of a worker."""

    delivery: UUID
    attempt: int


class Site:
    """Close it; its folder belongs to the caller."""

    def __init__(self, folder: Path, kind: str, worker: Sequence[str], *, durable: bool = False) -> None:
        """`kind` is `sqlite` or `postgresql`."""
        self.folder = folder
        self.postgresql = PostgreSQL(folder / "postgresql", durable=durable) if kind == "postgresql" else None
        self.redis = Redis(folder)
        self.database_url = self.postgresql.url if self.postgresql else f"sqlite:///{folder / 'state' / 'outbox.db'}"
        self.environment = self._environment()
        self._engine = create_engine(Database(self.database_url).url, poolclass=NullPool)
        self.secrets = {name: new_secret() for name in HOOKS}
        self._worker = worker
        self._programs: list[Program] = []
        self._allowed = 0

    def open(self, total: int) -> None:
        """Everything runs; the writer will commit `total` events."""
        (self.folder / "secrets.json").write_text(json.dumps(self.secrets))
        self.receiver = self._program("tests.torture.outbox.receiver", str(self.folder), name="receiver")
        self._port = int(awaited(lambda: _text(self.folder / "receiver.port"), "the receiver"))
        self._add_webhooks()
        (self.folder / "writer.total").write_text(str(total))
        self.allow(0)
        self.writer = self._program("tests.torture.outbox.writer", str(self.folder), name="writer")
        self.workers = [self._worker_program(f"worker-{number}") for number in range(2)]
        for worker in self.workers:
            await_ready(worker)

    def _add_webhooks(self) -> None:
        permission, ring = Permission(Guard(parse_networks([_NETWORK]))), KeyRing([_KEY])
        with contextlib.closing(Database(self.database_url)) as database:
            migrate(database)
            with database.writing() as session:
                for hook, patterns in HOOKS.items():
                    spec = WebhookSpec(hook, f"http://127.0.0.1:{self._port}/hook/{hook}", patterns)
                    secret = self.secrets[hook]
                    add(session, spec, secret, permission=permission, key_ring=ring, now=datetime.now(UTC))

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "ORCHEST_DATABASE_URL": self.database_url,
            "ORCHEST_REDIS_URL": self.redis.url,
            "ORCHEST_ALLOWED_NETWORKS": _NETWORK,
            "ORCHEST_SECRET_KEYS": _KEY,
            "XDG_STATE_HOME": str(self.folder / "home"),
            "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
        }

    def _program(self, module: str, *arguments: str, name: str) -> Program:
        return self._kept([sys.executable, "-m", module, *arguments], name)

    def _worker_program(self, name: str) -> Program:
        return self._kept(self._worker, name)

    def _kept(self, command: Sequence[str], name: str) -> Program:
        program = Program(command, self.environment, self.folder / f"{name}.output")
        self._programs.append(program)
        return program

    def last_words(self) -> str:
        """The end of what each program has written, for who looks for a cause."""
        outputs = sorted(self.folder.glob("*.output"))
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-_LAST_CHARACTERS:]}" for path in outputs)

    def close(self) -> None:
        for program in self._programs:
            program.close()
        self.redis.close()
        if self.postgresql:
            self.postgresql.close()

    def supervise(self) -> None:
        """Starts again what could not start while its database was away."""
        for program in self.workers:
            program.revive()
        if not self.writer_is_done():
            self.writer.revive()

    def writer_is_done(self) -> bool:
        """Otherwise it runs."""
        if self.writer.process.poll():
            self.writer.revive()
        return self.writer.process.poll() == 0

    # The receiver and the writer

    def allow(self, events: int) -> None:
        """As many events may be committed by now, or what was allowed before if that is more."""
        self._allowed = max(self._allowed, events)
        new = self.folder / "writer.quota.new"
        new.write_text(str(self._allowed))
        new.rename(self.folder / "writer.quota")

    def allow_more(self, events: int) -> None:
        self.allow(self._allowed + events)

    def hold(self, claims: Iterable[Claim]) -> None:
        """The requests of these deliveries get no answer until others are held, or none."""
        self._ask("POST", "/hold", json.dumps([str(claim.delivery) for claim in claims]))

    def received(self) -> set[UUID]:
        """Deliveries of which the receiver has answered a request."""
        return {UUID(entry["delivery"]) for entry in entries_of(self.folder / "receiver.log")}

    def _ask(self, method: str, path: str, body: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            return connection.getresponse().read()

    # What a bystander sees by SQL

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            yield connection

    def claims(self, worker: Program | None = None) -> list[Claim]:
        """The live claims, of one worker or of all."""
        query = select(DeliveryRow.uuid, DeliveryRow.attempts).where(
            DeliveryRow.status == "claimed", DeliveryRow.lease_until > datetime.now(UTC)
        )
        if worker:
            query = query.where(DeliveryRow.claimed_by.contains(f":{worker.process.pid}:"))
        with self._reading() as connection:
            return [Claim(*row) for row in connection.execute(query)]

    def leases(self) -> dict[UUID, float]:
        """When the claim on each claimed delivery ends, in Unix seconds."""
        query = select(DeliveryRow.uuid, DeliveryRow.lease_until).where(DeliveryRow.status == "claimed")
        with self._reading() as connection:
            return {uuid: until.timestamp() for uuid, until in connection.execute(query) if until}

    def unfinished(self) -> int:
        with self._reading() as connection:
            return connection.execute(
                select(func.count()).select_from(DeliveryRow).where(DeliveryRow.status != "delivered")
            ).scalar_one()

    def events(self) -> set[UUID]:
        with self._reading() as connection:
            return set(connection.execute(select(Event.uuid)).scalars())

    def deliveries(self) -> dict[UUID, tuple[UUID, str, int]]:
        """For each: its event, status and number of attempts."""
        row = DeliveryRow
        with self._reading() as connection:
            rows = connection.execute(select(row.uuid, row.event_uuid, row.status, row.attempts))
            return {uuid: (event, status, attempts) for uuid, event, status, attempts in rows}

    def attempts(self) -> dict[Claim, str]:
        """The recorded result of each."""
        with self._reading() as connection:
            rows = connection.execute(select(AttemptRow.delivery_uuid, AttemptRow.number, AttemptRow.result))
            return {Claim(delivery, number): result for delivery, number, result in rows}

    def gate_holder(self) -> int:
        """SQLite: the process between BEGIN IMMEDIATE and COMMIT now, by the kernel's list of locks; 0: none."""
        inode = Path(f"{Database(self.database_url).file}.writer").stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].endswith(f":{inode}"):
                return int(words[4])
        return 0

    def blocks_others(self, worker: Program) -> bool:
        """Whether a frozen worker has a transaction open."""
        if not self.postgresql:
            return self.gate_holder() == worker.process.pid
        time.sleep(2 * _STUCK_SECONDS)
        return self.postgresql.has_transaction_older_than(_STUCK_SECONDS)

    def wal_bytes(self) -> int:
        return Path(f"{Database(self.database_url).file}-wal").stat().st_size


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
