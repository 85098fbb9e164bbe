"""The only place that knows RQ and Redis: a queue with one kind of job, `drain`, which says that something may be due.

In: hints. Out: the engine woken, and waited for until it has claimed what was due, never for HTTP. Never: a job that
matters. Redis may be absent, killed, wiped or stopped at any instant; the engine's sweep needs none of this.

Whoever can write to this Redis can wake the engine, no more: no callable, callback or command from there is run.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue, SimpleWorker
from rq.exceptions import DequeueTimeout
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty
from rq.worker import WorkerStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from redis.client import Pipeline

_QUEUE = "orchest-outbox"
_DRAIN = "outbox.jobs.drain"
"""A label for `rq info` and the like; nothing is looked up by it."""
_HINT_SECONDS = 0.050
"""To connect, and to be answered."""
_DRAIN_SECONDS = 1.0
"""How long a drain waits for the claim."""
_JOB_SECONDS = 10
"""RQ's own limit of a job, which a drain cannot reach."""
_FAILED_SECONDS = 60
"""How long RQ keeps a failed job."""
_WORKER_SECONDS = 30
"""RQ's `worker_ttl`: half of it is how long it waits for a job before it shows that it lives."""
_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_STABLE_SECONDS = 5.0
"""A connection that held so long was a good one: the next pause is short again."""
_HEARTBEAT_SECONDS = 5.0
"""RQ shows nine times per job that it lives, which costs more than the job."""
_JOB_FIELDS = frozenset(
    {"data", "created_at", "enqueued_at", "origin", "status", "timeout", "result_ttl", "failure_ttl"}
)

_log = logging.getLogger("outbox.jobs")

# RQ tells each job, and each failure with a traceback; what matters of it is told here, once.
for _name in ("rq", "rq.worker"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class RedisUrlError(Exception):
    """ORCHEST_REDIS_URL cannot be used: why, and the mend. Shows no password."""


def check_redis_url(url: str) -> None:
    """Raises RedisUrlError for a text that no connection can be made of; connects to nothing."""
    try:
        _connection(url, _HINT_SECONDS).connection_pool.disconnect()
    except ValueError:
        raise RedisUrlError(
            "ORCHEST_REDIS_URL is not a Redis URL. "
            "Write redis://:PASSWORD@HOST:6379/0, rediss://... for TLS, or unix:///ABSOLUTE/PATH."
        ) from None


def place(url: str) -> str:
    """For messages: the URL without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class HintQueue:
    """Where hints are put. For one thread at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._queue: Queue | None = None

    def put(self) -> bool:
        """False when Redis did not take it; after 50 ms when it does not answer, and without trying twice."""
        try:
            queue = self._opened()
            # One that nobody has taken yet will be taken after this commit, and says the same.
            if queue.count == 0:
                queue.enqueue_call(_DRAIN, timeout=_JOB_SECONDS, result_ttl=0, failure_ttl=_FAILED_SECONDS)
        except (RedisError, OSError, ValueError):
            return False
        return True

    def _opened(self) -> Queue:
        if self._queue is None:
            connection = _connection(self._url, _HINT_SECONDS)
            self._queue = Queue(_QUEUE, connection=connection, serializer=JSONSerializer)
        return self._queue


class DrainThread(threading.Thread):
    """Hears hints as long as the process lives. A daemon: there is nothing in it to finish.

    `address` is asked anew for each connection. `drain` wakes the engine and waits at most the given seconds for its
    claim; it must not raise.
    """

    def __init__(self, address: Callable[[], str], drain: Callable[[float], None]) -> None:
        super().__init__(name="rq", daemon=True)
        self._address = address
        self._drain = drain
        self._ending = threading.Event()
        self._worker: _DrainWorker | None = None
        self._is_lost = False

    def run(self) -> None:
        pause = _PAUSE_SECONDS
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                self._listen()
            except Exception as error:  # noqa: BLE001 - a half-wiped Redis makes RQ raise anything
                self._tell_lost(error)
            pause = _PAUSE_SECONDS if time.monotonic() - began > _STABLE_SECONDS else pause * 2
            self._ending.wait(min(pause, _LONGEST_PAUSE_SECONDS))

    def end(self) -> None:
        """From any thread: no more drains. One that waits for its claim is left alone."""
        self._ending.set()
        if self._worker is not None:
            self._worker.disconnect()

    def _listen(self) -> None:
        """Until the connection is lost. RQ swallows the reason; connecting anew finds it."""
        address = self._address()
        self._worker = _DrainWorker(_connection(address, None), self._drain)
        if self._is_lost:
            _log.info("hints are heard again", extra={"redis": place(address)})
            self._is_lost = False
        self._worker.work()

    def _tell_lost(self, error: Exception) -> None:
        if not self._is_lost and not self._ending.is_set():
            _log.warning("no hints are heard, the sweep finds what is due", extra={"reason": _first_line(error)})
            self._is_lost = True


class _DrainJob(Job):
    """A job of which nothing but its name matters."""

    def restore(self, raw_data: Mapping[bytes, bytes]) -> Any:
        """What else may stand there (callbacks, webhooks, retries, repeats) is not believed."""
        return super().restore({name: value for name, value in raw_data.items() if _text(name) in _JOB_FIELDS})

    def perform(self) -> None:
        """The worker's `drain` stands in for the function: nothing is imported by a name from Redis."""
        if self.func_name != _DRAIN:
            raise ValueError("not a job of ours")
        self.drain(_DRAIN_SECONDS)

    def drain(self, seconds: float) -> None:
        raise NotImplementedError


class _DrainWorker(SimpleWorker):
    """RQ's loop in a thread: the main thread has the signals, and a lost connection ends the loop at once."""

    death_penalty_class = TimerDeathPenalty

    def __init__(self, connection: Redis, drain: Callable[[float], None]) -> None:
        self._beat_at = -_HEARTBEAT_SECONDS
        bound = type("_BoundDrainJob", (_DrainJob,), {"drain": staticmethod(drain)})
        super().__init__(
            [_QUEUE], connection=connection, serializer=JSONSerializer, job_class=bound, worker_ttl=_WORKER_SECONDS
        )

    def disconnect(self) -> None:
        """Wakes the thread that waits for a job, by the loss of its connection."""
        self._stop_requested = True
        self.connection.connection_pool.disconnect()

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        """As RQ's, without its own waiting for a lost Redis, which may take a minute."""
        del max_idle_time
        self.set_state(WorkerStatus.IDLE)
        while True:
            self.heartbeat()
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()  # type: ignore[no-untyped-call]
            try:
                return self.queue_class.dequeue_any(
                    self.queues,
                    timeout,
                    connection=self.connection,
                    job_class=self.job_class,
                    serializer=self.serializer,
                    death_penalty_class=self.death_penalty_class,
                )
            except DequeueTimeout:
                continue

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        if time.monotonic() - self._beat_at >= _HEARTBEAT_SECONDS:
            self._beat_at = time.monotonic()
            super().heartbeat(timeout, pipeline)

    def subscribe(self) -> None:
        """Commands from Redis could end the process."""

    def _install_signal_handlers(self) -> None:
        """They are the main thread's."""


def _connection(url: str, seconds: float | None) -> Redis:
    """`seconds` to connect and to be answered; None leaves that to RQ, which waits for jobs. Raises ValueError."""
    return Redis.from_url(
        url,
        socket_connect_timeout=seconds or _WORKER_SECONDS,
        socket_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
