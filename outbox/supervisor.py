"""The main thread of `orchest worker`: starts the others, hears the signals, ends the process when the engine fails.

In: an engine, and what brings it hints. Out: the exit code. Never: delivers, or keeps a process alive that delivers
nothing: whoever started it (systemd, Kubernetes) starts it again, and the leases of the lost one run out.
"""

from __future__ import annotations

import logging
import queue
import signal
import threading
import time
from typing import TYPE_CHECKING, Protocol

from outbox.redis_server import RedisServerError

if TYPE_CHECKING:
    from outbox.redis_server import RedisServer

DONE = 0
FAILED = 1
INTERRUPTED = 130

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_TICK_SECONDS = 0.5
_SILENT_SECONDS = 10.0
_LAST_WORDS_SECONDS = 5.0
"""Beyond the grace, for the engine to give back the leases of what it has not finished."""
_ENDING_TICK_SECONDS = 0.05

_log = logging.getLogger("outbox.worker")


class Running(Protocol):
    """The engine, as seen from here."""

    @property
    def last_beat(self) -> float:
        """Monotonic seconds: when its loop last turned."""
        ...

    def run(self) -> None:
        """Returns after `stop`."""
        ...

    def stop(self, deadline: float) -> None:
        """From another thread: claim nothing more, finish what is in flight until then (monotonic seconds), give the
        rest back.
        """
        ...


class Drains(Protocol):
    def start(self) -> None: ...
    def end(self) -> None: ...


def hold_signals() -> None:
    """Before any thread starts: each inherits it, so that signals wait until the supervisor takes them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


class Silence:
    """How long nothing was heard, in seconds during which this process ran: a process that was stopped for a minute
    and continued has heard nothing from anybody, and nobody is to blame.
    """

    def __init__(self, now: float) -> None:
        self._looked_at = now
        self._beat = now
        self._seconds = 0.0

    def after(self, beat: float, now: float) -> float:
        """`beat` is the latest one heard; to be called every `_TICK_SECONDS`."""
        passed = min(now - self._looked_at, 2 * _TICK_SECONDS)
        self._seconds = 0.0 if beat != self._beat else self._seconds + passed
        self._beat, self._looked_at = beat, now
        return self._seconds


class Supervisor:
    """`redis` is None where hints come from a configured Redis or not at all, `drains` where there are none."""

    def __init__(
        self, engine: Running, grace_seconds: float, redis: RedisServer | None = None, drains: Drains | None = None
    ) -> None:
        self._engine = engine
        self._grace = grace_seconds
        self._redis = redis
        self._drains = drains
        self._defect: BaseException | None = None
        self._thread = threading.Thread(target=self._run_engine, name="engine", daemon=True)
        self._received: queue.SimpleQueue[signal.Signals] = queue.SimpleQueue()
        self._redis_fails = False

    def run(self) -> int:
        """To be called in the main thread, once. Returns when the engine has ended, or will never: then threads of it
        may be left, and the caller must not wait for them.
        """
        hold_signals()
        threading.Thread(target=self._hear_signals, name="signals", daemon=True).start()
        try:
            self._tend_redis()
            self._thread.start()
            if self._drains is not None:
                self._drains.start()
            _log.info("delivering")
            return self._supervise()
        finally:
            if self._drains is not None:
                self._drains.end()
            if self._redis is not None:
                self._redis.close()

    def _supervise(self) -> int:
        silence = Silence(time.monotonic())
        while True:
            if received := self._signal(_TICK_SECONDS):
                return self._stop(received)
            self._tend_redis()
            if not self._thread.is_alive():
                return self._failed("the engine has ended, so must this process")
            if silence.after(self._engine.last_beat, time.monotonic()) >= _SILENT_SECONDS:
                return self._failed(f"the engine has been silent for {_SILENT_SECONDS:.0f} s, so this process must end")

    def _stop(self, received: signal.Signals) -> int:
        _log.info("stopping", extra={"signal": received.name, "grace_seconds": self._grace})
        deadline = time.monotonic() + self._grace
        self._engine.stop(deadline)
        while self._thread.is_alive():
            if again := self._signal(_ENDING_TICK_SECONDS):
                _log.warning("ended at once", extra={"signal": again.name})
                return INTERRUPTED
            if time.monotonic() > deadline + _LAST_WORDS_SECONDS:
                return self._failed("the engine did not stop; its leases will run out")
        if self._defect is not None:
            return self._failed("the engine failed while it stopped")
        _log.info("stopped")
        return DONE

    def _signal(self, seconds: float) -> signal.Signals | None:
        try:
            return self._received.get(timeout=seconds)
        except queue.Empty:
            return None

    def _hear_signals(self) -> None:
        """Not `sigtimedwait`: in a process that was stopped beyond the timeout CPython 3.11 returns garbage from it."""
        while True:
            self._received.put(signal.Signals(signal.sigwait(_SIGNALS)))

    def _failed(self, message: str) -> int:
        _log.critical(message, exc_info=self._defect)
        return FAILED

    def _run_engine(self) -> None:
        try:
            self._engine.run()
        except BaseException as error:  # noqa: BLE001 - the main thread tells it, and ends the process
            self._defect = error

    def _tend_redis(self) -> None:
        """Hints are a comfort: without them the process goes on, and tells once."""
        if self._redis is None:
            return
        try:
            if self._redis.tend(time.monotonic()):
                _log.info("the embedded Redis runs")
            self._redis_fails = False
        except RedisServerError as error:
            if not self._redis_fails:
                _log.warning("no embedded Redis, the sweep finds what is due", extra={"reason": str(error)})
            self._redis_fails = True
