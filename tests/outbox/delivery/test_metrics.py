"""On both databases: every delivery that is not over is counted, whatever it waits for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest

from outbox.delivery.metrics import Metrics, QueueCollector, collect
from outbox.delivery.sweep import Swept
from tests.outbox.delivery import rows

if TYPE_CHECKING:
    from outbox.database import Database

LATER = rows.NOW + timedelta(hours=1)


def fill(database: Database) -> None:
    healthy = rows.add_subscriber(database)
    rows.add_deliveries(database, healthy, 3, lane="first")
    rows.add_deliveries(database, healthy, 2, lane="retry", due_at=LATER)
    rows.add_deliveries(database, healthy, 1, status="claimed")
    rows.add_deliveries(database, healthy, 7, status="delivered", finished_at=rows.NOW)
    rows.add_deliveries(database, healthy, 7, status="dead", finished_at=rows.NOW)
    failing = rows.add_subscriber(database, breaker="open", open_until=LATER)
    rows.add_deliveries(database, failing, 4, due_at=rows.NOW - timedelta(hours=2))
    silent = rows.add_subscriber(database, not_before=LATER)
    rows.add_deliveries(database, silent, 1)
    paused = rows.add_subscriber(database, condition="paused")
    rows.add_deliveries(database, paused, 5, status="held")


def test_each_delivery_that_is_not_over_is_in_one_queue_by_what_it_waits_for(database: Database) -> None:
    fill(database)
    assert {(queue.lane, queue.state): queue.deliveries for queue in collect(database)} == {
        ("first", "due"): 3,
        ("first", "claimed"): 1,
        ("first", "open"): 5,
        ("first", "held"): 5,
        ("retry", "later"): 2,
    }


def test_the_age_of_a_queue_is_that_of_its_oldest_even_behind_an_open_breaker(database: Database) -> None:
    fill(database)
    ages = {(queue.lane, queue.state): queue.oldest_seconds for queue in collect(database)}
    assert ages["first", "open"] > 7200
    assert 50 < ages["first", "due"] < 3600
    assert ages["retry", "later"] == 0.0


def test_the_queues_are_read_when_somebody_asks(database: Database) -> None:
    registry = CollectorRegistry()
    registry.register(QueueCollector(database))
    assert b"orchest_outbox_queue_deliveries{" not in generate_latest(registry)
    fill(database)
    assert b'orchest_outbox_queue_deliveries{lane="first",state="held"} 5.0' in generate_latest(registry)


def test_the_sweep_is_counted_by_kind() -> None:
    metrics = Metrics()
    metrics.swept(Swept(lost=2, held=1))
    text = generate_latest(metrics.registry).decode()
    assert 'orchest_outbox_swept_total{kind="lost"} 2.0' in text
    assert 'kind="resumed"' not in text
