"""The server: gunicorn, which starts and watches processes, in this process.

In: a socket that listens, settings. Out: an exit code, when it was told to stop. Never: a configuration file, an option
from gunicorn's own environment variable, or a line that is not one JSON object.
"""

from __future__ import annotations

import gc
import logging
import os
import shutil
import socket
import stat
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from outbox.log import log_to_stderr
from reconciler.cli.exit_codes import ExitCode, exit_code_of
from reconciler.errors import OrchestError

if TYPE_CHECKING:
    from reconciler.settings import Settings
    from services.api.http.access_log import Asgi
    from services.api.settings import ApiSettings

_WAITING_CLIENTS = 2048
_UNREAD_MILLISECONDS = 30_000
"""A client that takes nothing of its answer for so long is gone."""
_METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_log = logging.getLogger("services.api")


class ServerError(OrchestError):
    """The server cannot listen where it was told to: where, why, and the mend."""


def listening(bind: str) -> socket.socket:
    """A socket on which clients can knock from now on. `bind`: `ADDRESS:PORT`, port 0 for a free one, or `unix:PATH`.

    Raises ServerError.
    """
    if bind.startswith("unix:"):
        return _listening_at_path(Path(bind.removeprefix("unix:").removeprefix("//")))
    host, _, port = bind.rpartition(":")
    if not port.isdecimal() or int(port) > 0xFFFF or not host:
        raise ServerError(f"{bind}: not an address to listen at. Write 127.0.0.1:8000, [::1]:8000, or unix:PATH.")
    try:
        family, *_, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        return _bound(socket.socket(family, socket.SOCK_STREAM), address)
    except OSError as error:
        raise _cannot_listen(bind, error) from None


def address_of(listener: socket.socket) -> str:
    """`http://127.0.0.1:8000`, or `unix:/run/orchest.sock`."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
    return f"http://{host}:{name[1]}"


def serve(listener: socket.socket, settings: Settings, api: ApiSettings) -> int:
    """Until SIGTERM or SIGINT: the exit code. To be called in the main thread, with no other thread alive.

    In each of the server's processes this raises SystemExit instead of returning.
    """
    server = os.getpid()
    api = replace(api, metrics_folder=_metrics_folder(api.workers))
    # What there is stays shared with the processes, and at the end nobody looks through it for garbage, for seconds.
    gc.freeze()
    try:
        Arbiter(_Application(listener.detach(), settings, api)).run()
    except SystemExit as end:
        if os.getpid() != server:
            raise
        return ExitCode.ERROR if end.code else ExitCode.DONE
    raise AssertionError("gunicorn returned")


def _metrics_folder(processes: int) -> Path | None:
    """Where several processes add up what they count. To be called before anything imports prometheus_client, which
    looks for it once.
    """
    os.environ.pop(_METRICS_VARIABLE, None)
    if processes == 1:
        return None
    folder = tempfile.mkdtemp(prefix="orchest-api-metrics-")
    os.environ[_METRICS_VARIABLE] = folder
    return Path(folder)


class _Application(BaseApplication):  # type: ignore[misc]
    def __init__(self, listener: int, settings: Settings, api: ApiSettings) -> None:
        self._listener = listener
        self._settings = settings
        self._api = api
        super().__init__()

    def load_config(self) -> None:
        api = self._api
        for name, value in {
            "bind": f"fd://{self._listener}",
            "workers": api.workers,
            "worker_class": "services.api.process.Process",
            "worker_connections": api.connections,
            "graceful_timeout": api.grace_seconds,
            "timeout": 2 * api.grace_seconds + 10,
            "forwarded_allow_ips": ",".join(api.trusted_proxies),
            "logger_class": _Log,
            "control_socket_disable": True,
            "child_exit": self._forget_gauges,
            "on_exit": self._remove_metrics,
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Asgi:
        """In each process, after the fork."""
        from services.api.app import served  # noqa: PLC0415 - a process imports what the one that watches it need not

        try:
            return served(self._settings, self._api)
        except Exception as error:
            if exit_code_of(error) is None:
                raise
            _log.critical(str(error))
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def _forget_gauges(self, _server: Arbiter, process: Any) -> None:
        if self._api.metrics_folder is not None:
            from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - see `_metrics_folder`

            mark_process_dead(process.pid)  # type: ignore[no-untyped-call]

    def _remove_metrics(self, _server: Arbiter) -> None:
        if self._api.metrics_folder is not None:
            shutil.rmtree(self._api.metrics_folder, ignore_errors=True)


class _Log(Logger):  # type: ignore[misc]
    """gunicorn's words, as JSON lines; what it tells in good times is left out."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.setLevel(logging.WARNING)
        self.error_log.propagate = True
        log_to_stderr()


def _listening_at_path(path: Path) -> socket.socket:
    """For its owner only. A socket that somebody left behind is taken; one at which somebody listens is not."""
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _is_listened_at(path):
            path.unlink()
        mask = os.umask(0o177)
        try:
            return _bound(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), str(path.absolute()))
        finally:
            os.umask(mask)
    except OSError as error:
        raise _cannot_listen(f"unix:{path}", error) from None


def _bound(opened: socket.socket, address: Any) -> socket.socket:
    """Raises OSError; then it is closed."""
    try:
        if opened.family != socket.AF_UNIX:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MILLISECONDS)
        opened.bind(address)
        opened.listen(_WAITING_CLIENTS)
    except OSError:
        opened.close()
        raise
    return opened


def _is_listened_at(path: Path) -> bool:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        return probe.connect_ex(str(path)) == 0


def _cannot_listen(bind: str, error: OSError) -> ServerError:
    reason = error.strerror or str(error)
    return ServerError(f"Cannot listen at {bind}: {reason}. Give another address by --bind, or end who listens there.")
