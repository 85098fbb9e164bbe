"""What the worker counts, and what can be read from the rows at any moment, as Prometheus metrics.

In: what happened, or a database. Out: a registry. Never: a name of a receiver, or a queue left out because its endpoint
is paused or failing: what nobody looks at is what grows.
"""

from __future__ import annotations

from collections import Counter as Count
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Integer, String, bindparam, text

from outbox.database import UtcDateTime
from outbox.delivery.claim import instant
from outbox.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.metrics_core import Metric
    from sqlalchemy.orm import Session

    from outbox.database import Database
    from outbox.delivery.finish import Report
    from outbox.delivery.ledger import Exchange
    from outbox.delivery.sweep import Swept

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)


class Metrics:
    """The counters of one engine, written by its loop only."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.attempts = Counter(
            "orchest_outbox_attempts", "Attempts by result.", ["lane", "result"], registry=self.registry
        )
        self.seconds = Histogram(
            "orchest_outbox_attempt_seconds", "Duration of one request.", registry=self.registry, buckets=_SECONDS
        )
        self.claims = Counter("orchest_outbox_claims", "Deliveries claimed.", ["lane"], registry=self.registry)
        self.exchange_seconds = Histogram(
            "orchest_outbox_exchange_seconds",
            "Duration of one transaction of reports and claims.",
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.hints = Counter("orchest_outbox_hints", "Times the engine was woken.", registry=self.registry)
        self.sweeps = Counter("orchest_outbox_sweeps", "Looks of the sweep.", registry=self.registry)
        self.put_right = Counter(
            "orchest_outbox_swept", "Deliveries that the sweep put right.", ["kind"], registry=self.registry
        )
        self.database_errors = Counter(
            "orchest_outbox_database_errors", "Transactions that failed and were kept.", registry=self.registry
        )
        self.in_flight = Gauge("orchest_outbox_requests_in_flight", "Requests under way.", registry=self.registry)

    def exchanged(self, reports: Sequence[Report], exchange: Exchange, seconds: float) -> None:
        self.exchange_seconds.observe(seconds)
        for lane, count in Count(str(claim.lane) for claim in exchange.claims).items():
            self.claims.labels(lane).inc(count)
        results: Count[tuple[str, str]] = Count()
        for report in reports:
            results[str(report.claims[0].lane), str(report.outcome.result)] += len(report.claims)
            self.seconds.observe(report.outcome.milliseconds / 1000)
        for (lane, result), count in results.items():
            self.attempts.labels(lane, result).inc(count)

    def swept(self, swept: Swept) -> None:
        for kind, count in swept._asdict().items():
            if count:
                self.put_right.labels(kind).inc(count)


class Queue(NamedTuple):
    """The deliveries of one lane that wait for the same reason."""

    lane: str
    state: str
    """`due`, `later` (not due yet), `open` (due, but its endpoint is given a rest), `held`, or `claimed`."""
    deliveries: int
    oldest_seconds: float
    """Since the oldest of them was due; 0 for what is not due yet."""


def collect(database: Database) -> tuple[Queue, ...]:
    """As `queues`, in a transaction of its own."""
    with database.reading() as session:
        return queues(session)


def queues(session: Session) -> tuple[Queue, ...]:
    """Every delivery that is not over is in exactly one queue. Reads the rows of the queues, not of the history."""
    connection = session.connection()
    now = instant(connection)
    rows = connection.execute(_QUEUES, {"now": now}).all()
    return tuple(
        Queue(lane, state, count, max(0.0, (now - oldest).total_seconds())) for lane, state, count, oldest in rows
    )


class QueueCollector(Collector):
    """Reads the queues anew each time somebody asks for the metrics."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        labels = ["lane", "state"]
        depth = GaugeMetricFamily("orchest_outbox_queue_deliveries", "Deliveries that are not over.", labels=labels)
        age = GaugeMetricFamily(
            "orchest_outbox_queue_oldest_seconds", "Since the oldest one of them was due.", labels=labels
        )
        is_up = GaugeMetricFamily("orchest_outbox_database_up", "Whether the database answers: 1, or 0.", value=1)
        try:
            found = collect(self._database)
        except DatabaseError:
            yield GaugeMetricFamily(is_up.name, is_up.documentation, value=0)
            return
        yield is_up
        for queue in found:
            depth.add_metric([queue.lane, queue.state], queue.deliveries)
            age.add_metric([queue.lane, queue.state], queue.oldest_seconds)
        yield depth
        yield age

    def describe(self) -> list[Metric]:
        """Nothing, so that registering it asks no database."""
        return []


_QUEUES = (
    text("""
    SELECT lane, state, count(*) AS deliveries, min(due_at) AS oldest FROM (
        SELECT lane, due_at, CASE
            WHEN due_at > :now THEN 'later'
            WHEN endpoints.breaker = 'open' AND endpoints.open_until > :now THEN 'open'
            WHEN endpoints.not_before > :now THEN 'open'
            ELSE 'due'
        END AS state
        FROM deliveries JOIN endpoints ON endpoints.subscriber_uuid = deliveries.subscriber_uuid
        WHERE status = 'scheduled'
        UNION ALL
        SELECT lane, due_at, 'held' FROM deliveries WHERE status = 'held'
        UNION ALL
        SELECT lane, due_at, 'claimed' FROM deliveries WHERE status = 'claimed'
    ) AS waiting GROUP BY lane, state ORDER BY lane, state
    """)
    .bindparams(bindparam("now", type_=UtcDateTime()))
    .columns(lane=String(), state=String(), deliveries=Integer(), oldest=UtcDateTime())
)
