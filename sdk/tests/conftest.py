"""What the tests stand on: a project in a temporary folder, an environment without Orchest, a real HTTP server."""

from __future__ import annotations

import _thread
import json
import os
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from orchest import testing
from orchest._store import verification

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _outside_of_orchest(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of a platform, kernel or proxy around the tests reaches them, and none outlives a test."""
    proxies = {"http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"}
    ours = {"KERNEL_ID", "ORCHEST_STEP_UUID", "ORCHEST_SDK_STEP_UUID"}
    for name in {name for name in os.environ if name.startswith("ORCHEST_")} | proxies | ours:
        monkeypatch.setenv(name, "")  # remembers the value, so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setattr(urllib.request, "_opener", None)  # it remembers the proxies of its first use


@pytest.fixture(autouse=True)
def _no_verification_outlives_its_test() -> Iterator[None]:
    """Damage that a thread finds fails the next call of the SDK, which must not be another test's."""
    before = _thread._count()
    yield
    deadline = time.monotonic() + 2
    while _thread._count() > before and time.monotonic() < deadline:
        time.sleep(0.001)
    verification._found.clear()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[testing.Site]:
    """A project in a folder of its own: load feeds clean; both feed train."""
    with testing.pipeline({"load": [], "clean": ["load"], "train": ["load", "clean"]}, tmp_path / "project") as site:
        yield site


class Server:
    """An HTTP server on loopback that answers as its routes say, and as a proxy for every host name.

    Attributes:
        routes: path -> (status, body); a body that is not bytes is sent as JSON. Other paths are 404.
        silent: paths that get no answer until the test ends.
        dropped: paths whose connection is closed without an answer.
        asked: the paths of all requests, in order.
    """

    def __init__(self) -> None:
        self.routes: dict[str, tuple[int, Any]] = {}
        self.silent: set[str] = set()
        self.dropped: set[str] = set()
        self.asked: list[str] = []
        self._over = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                server.asked.append(path)
                if path in server.silent:
                    server._over.wait(30)
                if path in server.silent | server.dropped:
                    self.close_connection = True
                    return
                status, body = server.routes.get(path, (404, {"message": "not here"}))
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        return Handler

    def stop(self) -> None:
        if self._thread.is_alive():
            self._over.set()
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A running `Server`; requests to any host name reach it."""
    server = Server()
    monkeypatch.setenv("http_proxy", server.url)
    yield server
    server.stop()
