"""A real `orchest api`, as a user starts it: its output, its log, its processes."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

from tests.outbox.programs import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEY = "a-key-for-the-secrets-of-this-test-0123456789"
ANY_PORT = "127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class LiveApi:
    def __init__(self, database_url: str, state: Path, *options: str, **environment: str) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self.output_file = state / f"api-{uuid4().hex}.log"
        with self.output_file.open("wb") as output:
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name("orchest"), "api", *options],
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(state),
                    "XDG_STATE_HOME": str(state),
                    "ORCHEST_DATABASE_URL": database_url,
                    "ORCHEST_SECRET_KEYS": KEY,
                    "ORCHEST_ALLOWED_NETWORKS": "127.0.0.0/8",
                    **environment,
                },
                stderr=output,
                stdout=output,
                start_new_session=True,
            )
        self.token = ""

    @property
    def output(self) -> str:
        return self.output_file.read_text()

    @property
    def address(self) -> str:
        return self._told("Listening at ")

    @property
    def port(self) -> int:
        return urlsplit(self.address).port or 0

    def await_start(self) -> None:
        """Until it listens; `token` is the first admin's, if it was shown."""
        eventually(lambda: self._is_told("Listening at ") and self._is_up(), 20)
        self.token = self._told("Admin token, shown this once: ") if "Admin token" in self.output else ""

    def ask(self, method: str, path: str, body: object = None, headers: Mapping[str, str] = {}) -> Answer:
        """On a connection of its own, with the first admin's token."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            return ask_on(connection, method, path, body, {**self.authorization, **headers})

    @property
    def authorization(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def log(self, message: str) -> list[dict[str, Any]]:
        """Lines of the log with this message."""
        lines = [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]
        return [line for line in lines if line["message"] == message]

    def ended(self, seconds: float = 10) -> int:
        return self.process.wait(seconds)

    def descendants(self) -> list[int]:
        """All processes below the command, wherever their session."""
        return _below(self.process.pid)

    def _is_up(self) -> bool:
        if self.address.startswith("unix:"):
            return True
        return self.ask("GET", "/healthz").status == 200

    def _is_told(self, beginning: str) -> bool:
        is_told = any(line.startswith(beginning) for line in self.output.splitlines())
        assert is_told or self.process.poll() is None, self.output
        return is_told

    def _told(self, beginning: str) -> str:
        (line,) = [line for line in self.output.splitlines() if line.startswith(beginning)]
        return line.removeprefix(beginning)


def ask_on(
    connection: http.client.HTTPConnection, method: str, path: str, body: object, headers: Mapping[str, str]
) -> Answer:
    sent = None if body is None else json.dumps(body)
    connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


@contextmanager
def serving(database_url: str, state: Path, *options: str, **environment: str) -> Iterator[LiveApi]:
    """`options`: on a free port of the loopback address if they do not say otherwise."""
    bind = () if "--bind" in options else ("--bind", ANY_PORT)
    api = LiveApi(database_url, state, *bind, *options, **environment)
    try:
        api.await_start()
        yield api
    finally:
        for pid in (*api.descendants(), api.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        api.process.wait()


def _below(root: int) -> list[int]:
    parents = {}
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit():
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found: list[int] = []
    wanted = [root]
    while wanted:
        children = [pid for pid, parent in parents.items() if parent in wanted]
        found += children
        wanted = children
    return found
