"""`python -m dev.story.receiver SECRET_FILE LOG`: a webhook's receiver, as its owner would write it.

In: signed requests, on a free port of loopback; its URL is the first line printed. Out: 204, or 400 for a signature
that the `standardwebhooks` package does not accept, and a line of JSON for each request. Never: any code of Orchest.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from standardwebhooks import Webhook, WebhookVerificationError


class Receiver(BaseHTTPRequestHandler):
    """One request."""

    webhook: Webhook
    log: Path

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            told = self.webhook.verify(body.decode(), {name.lower(): value for name, value in self.headers.items()})
        except WebhookVerificationError as error:
            self._remember({"refused": str(error)})
            self.send_response(400)
        else:
            event = told["event"]
            self._remember({"id": self.headers["webhook-id"], "event": event["uuid"], "type": event["type"]})
            self.send_response(204)
        self.end_headers()

    def _remember(self, line: dict[str, str]) -> None:
        """On the disk before the answer: what was acknowledged was heard."""
        with self.log.open("a") as log:
            log.write(json.dumps({**line, "heard_at": datetime.now(UTC).isoformat()}) + "\n")
            log.flush()
            os.fsync(log.fileno())

    def log_message(self, _format: str, *_arguments: object) -> None:
        """Nothing on the terminal: that belongs to the story."""


def main(secret_file: str, log: str) -> None:
    Receiver.webhook = Webhook(Path(secret_file).read_text().strip())
    Receiver.log = Path(log)
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        print(f"http://127.0.0.1:{server.server_port}/orchest", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
