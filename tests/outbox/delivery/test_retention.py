"""On both databases: what is over is forgotten, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from outbox.delivery.endpoint import Endpoint
from outbox.delivery.finish import Policies, Report, finish
from outbox.delivery.outcome import Outcome, Result
from outbox.delivery.retention import forget
from outbox.events.models import Event
from tests.outbox.delivery import rows

if TYPE_CHECKING:
    from outbox.database import Database

OLD = rows.NOW - timedelta(days=31)
KEEP = timedelta(days=30)


def events(database: Database) -> int:
    with database.reading() as session:
        return session.execute(select(func.count()).select_from(Event.__table__)).scalar_one()


def test_deliveries_that_are_over_go_with_their_attempts_and_events(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, 3)
    report = Report(tuple(rows.claim_all(database, subscriber)), rows.NOW, Outcome(Result.DELIVERED, "204"))
    with rows.transaction(database) as (connection, now):
        endpoints = {subscriber: Endpoint(subscriber)}
        finish(connection, [report], endpoints, worker="me", now=now, policies=Policies(), draw=lambda: 0.5)
    assert forget(database, timedelta(0)) == 6
    assert (rows.deliveries(database), rows.attempts(database), events(database)) == ([], [], 0)


def test_what_is_young_stays(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, status="delivered", finished_at=rows.NOW)
    assert forget(database, KEEP) == 0
    assert (len(rows.deliveries(database)), events(database)) == (1, 1)


@pytest.mark.parametrize("status", ["scheduled", "claimed", "held"])
def test_what_is_not_over_stays_however_old(database: Database, status: str) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, status=status, created_at=OLD, due_at=OLD)
    rows.change(database, Event, timestamp=OLD)
    assert forget(database, KEEP) == 0
    assert (len(rows.deliveries(database)), events(database)) == (1, 1)


def test_an_old_event_stays_while_one_of_its_deliveries_does(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, status="delivered", finished_at=OLD)
    event = rows.deliveries(database)[0]["event_uuid"]
    rows.add_deliveries(database, rows.add_subscriber(database), event_uuid=event)
    rows.change(database, Event, timestamp=OLD)
    assert forget(database, KEEP) == 2  # the old delivery, and the event of the second row that nobody points to
    assert [row["event_uuid"] for row in rows.deliveries(database)] == [event]
    assert events(database) == 1


def test_an_old_event_that_nobody_heard_goes(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, status="dead", finished_at=OLD)
    rows.change(database, Event, timestamp=OLD)
    assert forget(database, KEEP) == 2
    assert events(database) == 0
