"""One process of the server: gunicorn's worker class, with uvicorn in it.

In: sockets that listen, an application. Out: it is served until gunicorn says stop, or is gone. Never: a setting of its
own, or an access log in uvicorn's words.

At the end no request that was accepted is lost: streams are told at once, websockets are closed with 1012, requests
under way are answered, and then the application closes what it has opened.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, Any, ClassVar

from gunicorn.arbiter import Arbiter
from uvicorn import Server
from uvicorn_worker import UvicornWorker

from services.api.http.connection import Connection
from services.api.http.lifespan import STATE_KEY

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from services.api.http.shutdown import Shutdown

_KEEP_ALIVE_SECONDS = 75
"""Longer than proxies and clients keep idle connections, so that it is they who close them."""
_MOST_WEBSOCKET_BYTES = 64 * 1024
"""Of one message of a client; none has more to say than a filter."""
_PING_SECONDS = 20.0
_CLOSING_SECONDS = 2
"""Of gunicorn's grace, for closing after requests were given up."""

_log = logging.getLogger("services.api")


class Process(UvicornWorker):  # type: ignore[misc]
    """`gunicorn --worker-class services.api.process.Process`. Understood of gunicorn's settings: bind, workers,
    worker_connections, graceful_timeout, forwarded_allow_ips.
    """

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "http": Connection,
        "ws": "websockets-sansio",
        "ws_max_size": _MOST_WEBSOCKET_BYTES,
        "ws_ping_interval": _PING_SECONDS,
        "ws_ping_timeout": _PING_SECONDS,
        "ws_per_message_deflate": False,
        "lifespan": "on",
        "interface": "asgi3",
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": _KEEP_ALIVE_SECONDS,
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.config.limit_concurrency = self.cfg.worker_connections
        self.config.proxy_headers = bool(self.cfg.forwarded_allow_ips)
        self.config.timeout_graceful_shutdown = max(1, self.cfg.graceful_timeout - _CLOSING_SECONDS)
        logger = logging.getLogger("uvicorn.error")
        logger.handlers = []
        logger.propagate = True
        logger.setLevel(logging.WARNING)

    def init_process(self) -> None:
        _allow_many_connections()
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        _collect_rarely()

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        server = _Server(self.config, self.ppid)
        # gunicorn says by it: do not wait for its clients. They are not made to wait long.
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, server.handle_exit, signal.SIGQUIT, None)
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


class _Server(Server):
    def __init__(self, config: Any, parent: int) -> None:
        super().__init__(config)
        self._parent = parent

    async def on_tick(self, counter: int) -> bool:
        """Ends when gunicorn is gone: nobody else would ever end it."""
        return await super().on_tick(counter) or os.getppid() != self._parent

    async def shutdown(self, sockets: Sequence[socket.socket] | None = None) -> None:
        _log.info("stopping", extra={"connections": len(self.server_state.connections)})
        shutdown: Shutdown | None = self.lifespan.state.get(STATE_KEY)
        if shutdown is not None:
            shutdown.begin()
        await super().shutdown(list(sockets or ()))
        _log.info("stopped")
        # They have done their work. Raised once more, as uvicorn would, they end the process before its threads have.
        self._captured_signals.clear()


def _allow_many_connections() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _collect_rarely() -> None:
    """What has been imported and wired lives as long as the process: it need not be looked through again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
