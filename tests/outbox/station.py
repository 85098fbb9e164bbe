"""A place where events happen, a real `orchest worker` beside it, and a receiver that can be made to wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import select

from outbox.database import Database
from outbox.delivery.guard import Guard, parse_networks
from outbox.delivery.models import AttemptRow, DeliveryRow
from outbox.events.facts import ProjectFacts
from outbox.events.register import register_project_created_event
from outbox.hint import Hinter
from outbox.key_ring import KeyRing
from outbox.redis_server import socket_url
from outbox.schema import migrate
from outbox.subscribers.administration import add, new_secret
from outbox.subscribers.patterns import Interest
from outbox.subscribers.webhook import Permission, WebhookSpec
from tests.outbox.programs import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

LOOPBACK = "127.0.0.0/8"
KEY = "a-key-for-the-secrets-of-this-test-0123456789"


@dataclass(slots=True)
class Receiver:
    """Answers 204, at once or when it may."""

    arrived: list[tuple[float, str]] = field(default_factory=list)
    """time.time() and webhook-id, in order."""
    may_answer: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def ids(self) -> list[str]:
        return [identity for _, identity in self.arrived]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.may_answer.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            receiver.arrived.append((time.time(), self.headers["webhook-id"]))
            receiver.may_answer.wait()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                """The worker was killed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    receiver.url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.may_answer.set()
        server.shutdown()
        server.server_close()


class Station:
    """One database, and the folder in which its processes keep their state."""

    def __init__(self, database_url: str, state: Path) -> None:
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(state),
            "XDG_STATE_HOME": str(state),
            "ORCHEST_DATABASE_URL": database_url,
            "ORCHEST_SECRET_KEYS": KEY,
            "ORCHEST_ALLOWED_NETWORKS": LOOPBACK,
        }
        self.redis_folder = state / "orchest" / "redis"
        self.hinter = Hinter(lambda: socket_url(self.redis_folder))
        self.database = Database(database_url, self.hinter.hint)
        migrate(self.database)

    def subscribe(self, receiver: Receiver) -> UUID:
        spec = WebhookSpec(name=f"to {receiver.url}", url=receiver.url, subscriptions=(Interest("*"),))
        permission = Permission(Guard(parse_networks([LOOPBACK])))
        with self.database.writing() as session:
            view = add(
                session,
                spec,
                new_secret(),
                permission=permission,
                key_ring=KeyRing([KEY]),
                now=datetime.now(UTC),
            )
        return view.uuid

    def happens(self) -> UUID:
        """An event; returns after its commit."""
        with self.database.writing() as session:
            return self.record(session)

    @staticmethod
    def record(session: Session) -> UUID:
        return register_project_created_event(session, ProjectFacts(project_uuid=uuid4(), project_name="a project"))

    def delivery_of(self, event: UUID) -> DeliveryRow:
        """Of its only subscriber."""
        with self.database.reading() as session:
            return session.scalars(select(DeliveryRow).where(DeliveryRow.event_uuid == event)).one()

    def attempts_of(self, event: UUID) -> list[str]:
        """Their results."""
        with self.database.reading() as session:
            rows = select(AttemptRow).join(DeliveryRow, DeliveryRow.uuid == AttemptRow.delivery_uuid)
            found = session.scalars(rows.where(DeliveryRow.event_uuid == event).order_by(AttemptRow.number))
            return [row.result for row in found]

    def is_delivered(self, event: UUID) -> bool:
        return self.delivery_of(event).status == "delivered"


@contextmanager
def station(database_url: str, state: Path) -> Iterator[Station]:
    opened = Station(database_url, state)
    with closing(opened.database):
        yield opened


class Worker:
    """`orchest worker` as a user starts it."""

    def __init__(self, place: Station, *options: str, **environment: str) -> None:
        self.log_file = Path(place.environment["XDG_STATE_HOME"]) / f"worker-{uuid4().hex}.log"
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name("orchest"), "worker", *options],
                env=place.environment | environment,
                stderr=log,
            )

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def says(self, message: str, seconds: float = 15) -> None:
        def is_said() -> bool:
            text = self.log_file.read_text()
            said = f'"message": "{message}"' in text
            assert said or self.process.poll() is None, text
            return said

        eventually(is_said, seconds)

    def ended(self, seconds: float = 10) -> int:
        return self.process.wait(seconds)


@contextmanager
def working(place: Station, *options: str, **environment: str) -> Iterator[Worker]:
    """Until it says that it is ready; killed at the end if it still runs."""
    worker = Worker(place, *options, **environment)
    try:
        worker.says("delivering")
        yield worker
    finally:
        worker.process.kill()
        worker.process.wait()
