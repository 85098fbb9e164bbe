"""`orchest worker`, put together: database, engine, hints, supervision, metrics. One process that delivers.

In: settings. Out: an exit code; meanwhile deliveries. Never: decides what is sent or when, or needs Redis.
"""

from __future__ import annotations

import gc
import logging
import resource
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from prometheus_client import start_http_server

from outbox.analytics import AnalyticsSender, Backend, check, follow
from outbox.database import Database
from outbox.delivery.engine import Engine, EngineSettings
from outbox.delivery.finish import Policies
from outbox.delivery.guard import Guard, parse_networks
from outbox.delivery.metrics import QueueCollector
from outbox.delivery.transport import Limits, Transport
from outbox.delivery.webhook_sender import WebhookSender
from outbox.key_ring import load_key_ring
from outbox.log import log_to_stderr
from outbox.redis_server import RedisServer, socket_url
from outbox.schema import migrate
from outbox.supervisor import Supervisor, hold_signals

if TYPE_CHECKING:
    from pathlib import Path

    from outbox.delivery.sender import Sender
    from outbox.jobs import DrainThread

_LONGEST_REQUEST_SECONDS = 15.0
_REQUEST_SHARE = 0.5
"""Of the lease: a request must be over, and its end recorded, long before another worker may take the delivery."""

_log = logging.getLogger("outbox.worker")


class WorkerError(Exception):
    """What the worker was told cannot be done on this host: what, why, and the mend."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    """Empty: the embedded one in `redis_folder`, for the processes of this host."""
    redis_folder: Path
    hears_hints: bool
    """Or finds everything by the sweep alone."""
    secret_keys_text: str = field(repr=False)
    secret_keys_file: Path
    allowed_networks: tuple[str, ...]
    grace_seconds: float
    lease_seconds: float
    slots: int
    """Requests in flight."""
    metrics_port: int | None
    metrics_host: str
    """The address they are served on."""
    analytics: Backend


def run(settings: WorkerSettings) -> int:
    """Until a signal, or until it can deliver no longer: the exit code. Threads may be left that nobody must wait for.

    Raises, before anything is claimed: AnalyticsError, DatabaseError, KeyRingError, NetworkError, WorkerError.
    """
    _allow_many_connections()
    with closing(Database(settings.database_url)) as database:
        migrate(database)
        engine = _engine(settings, database)
        redis, drains = _hints(settings, engine)
        hold_signals()
        _serve_metrics(settings, engine, database)
        log_to_stderr()
        _collect_rarely()
        _log.info("starting", extra=_used(settings, database, engine))
        return Supervisor(engine, settings.grace_seconds, redis, drains).run()


def _collect_rarely() -> None:
    """What has been imported lives as long as the process, and a request leaves hardly a cycle behind: looking through
    them for garbage again and again was a tenth of the CPU time of a delivery.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def _allow_many_connections() -> None:
    """Each request in flight is an open file, and so is each connection that is kept."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _engine(settings: WorkerSettings, database: Database) -> Engine:
    key_ring = load_key_ring(settings.secret_keys_text, settings.secret_keys_file, database)
    limits = Limits(total_seconds=min(_LONGEST_REQUEST_SECONDS, settings.lease_seconds * _REQUEST_SHARE))
    guard = Guard(parse_networks(settings.allowed_networks))
    transport = Transport(guard, limits)
    policies = Policies(lease=timedelta(seconds=settings.lease_seconds))
    return Engine(
        database,
        {"webhook": WebhookSender(transport), **_analytics(settings.analytics, database, guard, transport)},
        key_ring,
        EngineSettings(slots=settings.slots, policies=policies),
        on_end=[transport.close],
    )


def _analytics(backend: Backend, database: Database, guard: Guard, transport: Transport) -> dict[str, Sender]:
    """Empty while they are off."""
    check(backend, guard)
    with database.writing() as session:
        installation = follow(session, backend, datetime.now(UTC))
    return {} if installation is None else {"analytics": AnalyticsSender(backend, installation, transport)}


def _hints(settings: WorkerSettings, engine: Engine) -> tuple[RedisServer | None, DrainThread | None]:
    if not settings.hears_hints:
        return None, None
    from outbox.jobs import DrainThread, RedisUrlError, check_redis_url  # noqa: PLC0415 - without hints there is no RQ in the process

    def drain(seconds: float) -> None:
        engine.wake().wait(seconds)

    if settings.redis_url:
        try:
            check_redis_url(settings.redis_url)
        except RedisUrlError as error:
            raise WorkerError(str(error)) from None
        return None, DrainThread(lambda: settings.redis_url, drain)
    return RedisServer(settings.redis_folder), DrainThread(lambda: socket_url(settings.redis_folder), drain)


def _serve_metrics(settings: WorkerSettings, engine: Engine, database: Database) -> None:
    if settings.metrics_port is None:
        return
    engine.metrics.registry.register(QueueCollector(database))
    try:
        start_http_server(settings.metrics_port, settings.metrics_host, registry=engine.metrics.registry)
    except OSError as error:
        raise WorkerError(
            f"Metrics cannot be served on {settings.metrics_host} port {settings.metrics_port}: {error.strerror}. "
            "Give others by --metrics-host and --metrics-port."
        ) from None


def _used(settings: WorkerSettings, database: Database, engine: Engine) -> dict[str, object]:
    """For the first line of the log; no secrets."""
    return {
        "worker": engine.worker,
        "database": database.place,
        "hints": _hints_come_by(settings),
        "lease_seconds": settings.lease_seconds,
        "slots": settings.slots,
        "metrics_port": settings.metrics_port,
    }


def _hints_come_by(settings: WorkerSettings) -> str:
    if not settings.hears_hints:
        return "none"
    if not settings.redis_url:
        return "embedded Redis, for this host"
    from outbox.jobs import place  # noqa: PLC0415 - imported already

    return place(settings.redis_url)
