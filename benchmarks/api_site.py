"""What is measured: the real `orchest api` and two anchors beside it, on one database with three subscribers.

In: a folder, the kind of database. Out: for each server, milliseconds of answers. All are served by gunicorn and the
API's own worker class, one process, sixteen threads, so that only what stands behind the server differs.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID, uuid4

import orjson
from sqlalchemy import text

from benchmarks import cpu
from benchmarks.anchor_environment import anchor_environment
from outbox.database import Database
from outbox.delivery.guard import Guard, parse_networks
from outbox.key_ring import KeyRing
from outbox.schema import migrate
from outbox.subscribers.administration import add, new_secret
from outbox.subscribers.patterns import Interest
from outbox.subscribers.webhook import Permission, WebhookSpec
from services.api.domain.projects import Project, create
from tests.torture.outbox.servers import PostgreSQL, awaited

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SUBSCRIBERS = 3
CLIENTS = 16
_KEY = "a-key-of-this-benchmark-and-of-nothing-else"
_NETWORK = "127.0.0.0/8"
_ROOT = Path(__file__).resolve().parent.parent
_BIN = Path(sys.executable).parent
_FASTAPI = ("fastapi==0.165.0",)


class Server(NamedTuple):
    process: subprocess.Popen[bytes]
    port: int
    token: str


class Site:
    """Close it; its folder belongs to the caller."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder = folder
        self._postgresql = PostgreSQL(folder / "postgresql", durable=True) if kind == "postgresql" else None
        self._url = self._postgresql.url if self._postgresql else f"sqlite:///{folder / 'state' / 'api.db'}"
        self._database = Database(self._url)
        self._project = uuid4()
        migrate(self._database)
        self._fill()
        self.servers: Mapping[str, Server] = {
            "ours": self._ours(),
            "bare Falcon": self._anchor("bare_falcon", _BIN / "python", {}),
            "FastAPI": self._anchor("fast_api", _fastapi() / "bin" / "python", _with_our_packages()),
        }

    def _fill(self) -> None:
        ring, permission, now = KeyRing([_KEY]), Permission(Guard(parse_networks([_NETWORK]))), datetime.now(UTC)
        with self._database.writing() as session:
            for number in range(SUBSCRIBERS):
                spec = WebhookSpec(f"hook-{number}", f"http://127.0.0.1:40000/{number}", (Interest("project:created"),))
                add(session, spec, new_secret(), permission=permission, key_ring=ring, now=now)
            create(session, Project(self._project, "a project"), ring, now)
        self._forget(1)

    def load(self, name: str, kind: str, seconds: float) -> list[float]:
        """`kind`: get or post. What was written is gone afterwards, so that every run finds the same database."""
        server = self.servers[name]
        arguments = [str(server.port), str(CLIENTS), str(seconds), kind, str(self._project), server.token]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.api_load", *arguments], cwd=_ROOT, check=True, stdout=subprocess.PIPE
        )
        found: list[float] = orjson.loads(done.stdout)
        if kind == "post":
            self._forget(len(found))
        return found

    def cpu_seconds(self, name: str) -> float:
        """Of one server so far; the database is not in it."""
        return cpu.seconds([self.servers[name].process.pid])

    def _forget(self, posted: int) -> None:
        """Raises AssertionError when not every request left an event and its deliveries."""
        with self._database.writing() as session:
            written = [session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in _WRITTEN]
            assert written[1:] == [posted, posted * SUBSCRIBERS], (posted, written)
            for table in reversed(_WRITTEN):
                kept = "WHERE uuid <> :uuid" if table == "projects" else ""
                session.execute(text(f"DELETE FROM {table} {kept}"), _parameters(kept, self._project))

    def _ours(self) -> Server:
        process, output = self._started([str(_BIN / "orchest"), "api", "--bind", "127.0.0.1:0"], "ours", {})
        awaited(lambda: "Admin token" in output.read_text(), "the API")
        found = re.search(r"at http://127\.0\.0\.1:(\d+)[\s\S]*shown this once: (\S+)", output.read_text())
        assert found is not None
        return self._answering(Server(process, int(found[1]), found[2]))

    def _anchor(self, module: str, python: Path, environment: dict[str, str]) -> Server:
        port = _free_port()
        gunicorn = ["-m", "gunicorn", "-k", "services.api.process.Process", "--no-control-socket"]
        words = [str(python), *gunicorn, "--bind", f"127.0.0.1:{port}", f"benchmarks.api_anchors.{module}:app"]
        process, _ = self._started(words, module, environment)
        return self._answering(Server(process, port, ""))

    def _started(
        self, words: Sequence[str], name: str, environment: dict[str, str]
    ) -> tuple[subprocess.Popen[bytes], Path]:
        output = self._folder / f"{name}.output"
        ours = {
            "ORCHEST_DATABASE_URL": self._url,
            "ORCHEST_SECRET_KEYS": _KEY,
            "ORCHEST_ALLOWED_NETWORKS": _NETWORK,
            "ORCHEST_API_REQUESTS_A_MINUTE": "1000000000",
            "XDG_STATE_HOME": str(self._folder / "home"),
        }
        with output.open("wb") as log:
            process = subprocess.Popen(words, cwd=_ROOT, env=os.environ | ours | environment, stdout=log, stderr=log)
        return process, output

    def _answering(self, server: Server) -> Server:
        def is_up() -> bool:
            with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)) as connection:
                headers = {"Authorization": f"Bearer {server.token}"}
                try:
                    connection.request("GET", f"/api/projects/{self._project}", headers=headers)
                    return connection.getresponse().status == 200
                except OSError:
                    return False

        awaited(is_up, "a server")
        return server

    def close(self) -> None:
        for server in self.servers.values():
            server.process.terminate()
        for server in self.servers.values():
            server.process.wait(30)
        self._database.close()
        if self._postgresql:
            self._postgresql.close()


_WRITTEN = ("projects", "events", "deliveries")


def _parameters(kept: str, project: UUID) -> dict[str, object]:
    """As the database's rows have it: SQLite keeps a uuid as 32 digits, PostgreSQL as a uuid."""
    return {"uuid": project.hex} if kept else {}


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
        return port


def _fastapi() -> Path:
    return anchor_environment("api-anchors-1", _FASTAPI)


def _with_our_packages() -> dict[str, str]:
    """All but FastAPI itself is what we use too: the server, pydantic, SQLAlchemy."""
    folders = [str(_ROOT), *(folder for folder in sys.path if folder.endswith("site-packages"))]
    return {"PYTHONPATH": os.pathsep.join(folders)}
