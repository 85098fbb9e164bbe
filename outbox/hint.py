"""After a commit: "look now", said to the workers through Redis. It may vanish at any instant, and nothing is lost.

In: the moment after a commit. Out: a job `drain` in the queue of `outbox.jobs`, within 20 ms, or nothing.
Never: raises, keeps the caller waiting, or is needed: a worker's sweep finds everything a second later.

A thread says it, so a Redis that hangs hangs nobody else; it lives while there is something to say, and a process that
wants to end waits for its last word. Redis is spoken to by a package that takes half a second to import: nothing is
imported before there is something to say and somebody who might hear it.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - for `redis`: it cannot be imported first by a process that ends
import socket
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox.jobs import HintQueue

_INTERVAL_SECONDS = 0.020
"""At most one hint in this time; one at its end speaks for all that were wanted in it."""
_FAILURES_BEFORE_PAUSE = 3
_PAUSE_SECONDS = 2.0
_PROBE_SECONDS = 0.050


@dataclass(frozen=True, slots=True)
class HintCounts:
    sent: int = 0
    """Heard by Redis; also when an earlier hint still waits there, which says the same."""
    failed: int = 0
    """Redis absent, dead or hung."""
    skipped: int = 0
    """Not tried, because it had failed just before."""


class Hinter:
    """One for a process and its threads; `hint` is what `Database` wants as `after_commit`.

    `address` is asked anew for each connection: an embedded Redis may move.
    """

    def __init__(self, address: Callable[[], str]) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_wanted = False
        self._queue: HintQueue | None = None
        self._said_at = -_INTERVAL_SECONDS
        self._failures = 0
        self._paused_until = 0.0
        self._counts = HintCounts()

    @property
    def counts(self) -> HintCounts:
        return self._counts

    def hint(self) -> None:
        """Returns at once. What was committed before this call is covered by a hint that is said after it."""
        with self._lock:
            self._is_wanted = True
            if self._thread is not None and self._thread.is_alive():
                return
            # Not a daemon: the process stays for the 20 ms and the one attempt.
            self._thread = threading.Thread(target=self._say_all, name="hint")
            try:
                self._thread.start()
            except RuntimeError:
                # The interpreter is ending, or the process may have no more threads.
                self._thread = None
                self._counts = replace(self._counts, failed=self._counts.failed + 1)

    def _say_all(self) -> None:
        while True:
            time.sleep(max(0.0, self._said_at + _INTERVAL_SECONDS - time.monotonic()))
            with self._lock:
                # Before the attempt: who commits during it is not covered by it.
                self._is_wanted = False
            self._said_at = time.monotonic()
            self._counts = self._say()
            with self._lock:
                if not self._is_wanted:
                    self._thread = None
                    return

    def _say(self) -> HintCounts:
        counts = self._counts
        if time.monotonic() < self._paused_until:
            return replace(counts, skipped=counts.skipped + 1)
        if self._is_heard():
            self._failures = 0
            return replace(counts, sent=counts.sent + 1)
        self._failures += 1
        if self._failures >= _FAILURES_BEFORE_PAUSE:
            self._paused_until = time.monotonic() + _PAUSE_SECONDS
        return replace(counts, failed=counts.failed + 1)

    def _is_heard(self) -> bool:
        if self._queue is None:
            address = self._address()
            if not _may_be_listened_at(address):
                return False
            from outbox.jobs import HintQueue  # noqa: PLC0415 - imports rq and redis

            self._queue = HintQueue(address)
        if self._queue.put():
            return True
        self._queue = None
        return False


def _may_be_listened_at(address: str) -> bool:
    """For a unix socket the truth, in microseconds; of other addresses only an attempt can tell."""
    parts = urlsplit(address)
    if parts.scheme != "unix":
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(unquote(parts.path))
        except OSError:
            return False
    return True
