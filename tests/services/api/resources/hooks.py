"""What the tests of notifications share: bodies of webhooks, deliveries of them, and a receiver that listens."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from outbox.analytics import SUBSCRIBER as ANALYTICS
from outbox.analytics import Backend, follow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.services.api.site import Site

__all__ = ["ANALYTICS", "HOOKS", "SUBSCRIBERS", "URL", "add", "listen", "project", "receiving", "wish"]

SUBSCRIBERS = "/api/notifications/subscribers"
HOOKS = f"{SUBSCRIBERS}/webhooks"
URL = "https://hooks.example.com/services/T0/hidden"
OWN_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def wish(**changes: Any) -> dict[str, Any]:
    """As the original's clients ask."""
    plain = {
        "url": URL,
        "name": "ci",
        "verify_ssl": True,
        "content_type": "application/json",
        "subscriptions": [{"event_type": "project:*"}],
    }
    return plain | changes


def add(site: Site, **changes: Any) -> dict[str, Any]:
    answer = site.ask("POST", HOOKS, json=wish(**changes))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json
    return made


def project(site: Site) -> UUID:
    """A new one; returns the uuid of its event."""
    answer = site.ask("POST", "/api/projects/", json={"uuid": str(uuid4()), "name": "bees"})
    assert answer.status_code == 201, answer.text
    return site.events()[-1].uuid


def listen(site: Site) -> None:
    """Analytics are turned on: there is one more subscriber, which nobody may see."""
    with site.database.writing() as session:
        follow(session, Backend("https://analytics.example.com", "key"), datetime.now(UTC))


@dataclass
class Receiver:
    url: str
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    """Headers and body of each request."""
    go_on: threading.Event = field(default_factory=threading.Event)
    """Set: it answers at once. Cleared: it waits."""


@contextmanager
def receiving(status: int) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.heard.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            receiver.go_on.wait(10)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on the test's screen."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook/hidden")
        receiver.go_on.set()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.go_on.set()
            server.shutdown()
            thread.join()
