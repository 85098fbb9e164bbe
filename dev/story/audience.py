"""Who listens to the story: a receiver of webhooks and an `orchest worker`, each a process of its own.

In: a folder for what they leave behind. Out: what the receiver heard and verified, and whether that is all that
happened. Never: a look into the outbox itself; what happened is asked of `orchest events list`.
"""

from __future__ import annotations

import base64
import json
import secrets
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_ORCHEST = Path(sys.executable).parent / "orchest"
_PATIENCE_SECONDS = 20.0


class AudienceError(Exception):
    """Somebody who should listen does not, or did not hear everything."""


@dataclass(frozen=True, slots=True)
class Audience:
    url: str
    """Of the receiver."""
    secret_file: Path
    heard_file: Path
    worker: subprocess.Popen[bytes]

    @property
    def heard(self) -> list[dict[str, Any]]:
        """Requests in the order in which they came."""
        if not self.heard_file.exists():
            return []
        return [json.loads(line) for line in self.heard_file.read_text().splitlines()]

    def table(self, expected: dict[str, int]) -> str:
        """Each event of the story with its delivery. Raises AudienceError when one is missing after some patience."""
        events = _events()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while lacking := missing(events, self.heard, expected):
            if time.monotonic() > deadline:
                raise AudienceError("\n  ".join(["the receiver did not hear:", *lacking]))
            time.sleep(0.1)
            events = _events()
        return "\n".join(_rows(events, self.heard))


@contextmanager
def audience(folder: Path) -> Iterator[Audience]:
    """They end with the story. An earlier story's are forgotten."""
    secret_file, heard_file = folder / "receiver.secret", folder / "receiver.log"
    heard_file.unlink(missing_ok=True)
    secret_file.write_text("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
    receiver = subprocess.Popen(
        [sys.executable, "-m", "dev.story.receiver", secret_file, heard_file], stdout=subprocess.PIPE, text=True
    )
    assert receiver.stdout is not None
    url = receiver.stdout.readline().strip()
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen([_ORCHEST, "worker", "--grace", "5"], stderr=log)
    try:
        yield Audience(url, secret_file, heard_file, worker)
    finally:
        for process in (worker, receiver):
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        receiver.stdout.close()


def _events() -> list[dict[str, Any]]:
    """What happened, the oldest first."""
    command = [str(_ORCHEST), "events", "list", "--type", "cluster:*", "--limit", "1000", "-o", "json"]
    listed = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return sorted(json.loads(listed), key=lambda event: str(event["timestamp"]))


def missing(events: list[dict[str, Any]], heard: list[dict[str, Any]], expected: dict[str, int]) -> list[str]:
    """What the story caused and nobody recorded, and what was recorded and not heard with a good signature."""
    recorded = [event["type"] for event in events]
    unrecorded = [
        f"{kind}: {count} times; it was recorded {recorded.count(kind)} times"
        for kind, count in expected.items()
        if recorded.count(kind) != count
    ]
    verified = {request.get("event") for request in heard}
    return unrecorded + [f"{event['type']} {event['uuid']}" for event in events if event["uuid"] not in verified]


def _rows(events: list[dict[str, Any]], heard: list[dict[str, Any]]) -> Iterator[str]:
    first = {request.get("event"): request for request in reversed(heard)}
    yield f"  {'event':<24} {'recorded':<15} {'delivery (webhook-id)':<38} signature"
    for event in events:
        request = first[event["uuid"]]
        yield f"  {event['type']:<24} {_clock(event['timestamp']):<15} {request['id']:<38} verified"


def _clock(instant: str) -> str:
    """`14:03:59.123`."""
    return instant.replace(" ", "T").partition("T")[2][:12]
