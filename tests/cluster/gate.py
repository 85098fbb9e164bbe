"""An HTTP gate before an API server that kills the client's process at one chosen write.

In come a client's requests, out go the same to the server. Writes are counted (a dry-run is none); at the chosen one
the process gets SIGKILL, either before the server hears of it or after the server did it and before the answer.
"""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.cluster.launcher import Cluster


class Kill(NamedTuple):
    """When to kill: at which write, counted from 1, and whether the server still hears of that write."""

    at_write: int
    is_heard: bool


@dataclass
class Gate:
    """`process` is whom to kill; it is set before the process sends its first write."""

    server: Cluster
    port: int = 0
    kill: Kill | None = None
    process: int = 0
    writes: list[str] = field(default_factory=list)
    """The writes that came, as `PATCH /path`."""
    counting: Lock = field(default_factory=Lock)

    def expect(self, kill: Kill) -> None:
        self.kill, self.writes, self.process = kill, [], 0

    def kubeconfig(self, path: Path) -> Path:
        """One that leads through here."""
        cluster = {"name": "gate", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        user = {"name": "gate", "user": {}}
        context = {"name": "gate", "context": {"cluster": "gate", "user": "gate"}}
        config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "users": [user], "contexts": [context]}
        path.write_text(json.dumps({**config, "current-context": "gate"}))
        return path

    def lets_pass(self, method: str, path: str) -> bool:
        """Counts a write, and kills when it is the one and the server must not hear of it."""
        if method == "GET" or "dryRun=All" in path:
            return True
        with self.counting:
            self.writes.append(f"{method} {path.partition('?')[0]}")
            number = len(self.writes)
        if self.kill is None or number < self.kill.at_write:
            return True
        if number == self.kill.at_write and self.kill.is_heard:
            return True
        self.strike()
        return False

    def is_last(self, number_of_writes: int) -> bool:
        return self.kill is not None and number_of_writes >= self.kill.at_write

    def strike(self) -> None:
        os.kill(self.process, signal.SIGKILL)


@contextmanager
def gate_before(server: Cluster) -> Iterator[Gate]:
    gate = Gate(server)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            # A dry-run of a delete says so in its body.
            path = f"{self.path}?dryRun=All" if b'"dryRun":["All"]' in body else self.path
            if not gate.lets_pass(self.command, path):
                self.close_connection = True
                return
            number = len(gate.writes)
            answer = server.api._pool.request(
                self.command,
                f"{server.api._server}{self.path}",
                body=body or None,
                headers={**server.api._headers, "Content-Type": self.headers.get("Content-Type", "application/json")},
            )
            if self.command != "GET" and "dryRun=All" not in path and gate.is_last(number):
                gate.strike()
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
            self.send_header("Content-Length", str(len(answer.data)))
            self.end_headers()
            self.wfile.write(answer.data)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _pass_on  # noqa: N815

        def log_message(self, *_arguments: object) -> None:
            """Not to the screen."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: object) -> None:
            """A client that was killed does not read its answers."""

    listening = Server(("127.0.0.1", 0), Handler)
    gate.port = listening.server_address[1]
    thread = Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield gate
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
