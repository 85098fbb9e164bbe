"""On both databases: what nobody reports is found in the rows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from outbox.delivery.finish import Policies
from outbox.delivery.state import Lane
from outbox.delivery.sweep import MOST, Swept, found, release, sweep
from outbox.subscribers.models import EndpointRow
from tests.outbox.delivery import rows

if TYPE_CHECKING:
    from outbox.database import Database

POLICIES = Policies()


def swept(database: Database, after: timedelta = timedelta(0)) -> Swept:
    """A sweep at that time from now, which does what the look before it has promised."""
    with rows.transaction(database) as (connection, now):
        promised = found(connection, now + after, POLICIES)
    with rows.transaction(database) as (connection, now):
        done = sweep(connection, now + after, POLICIES)
    assert done == promised
    return done


def only(database: Database) -> Any:
    (row,) = rows.deliveries(database)
    return row


def test_a_lease_that_ran_out_makes_the_delivery_due_at_once_as_a_retry(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber)
    rows.claim_all(database, subscriber)
    assert swept(database, timedelta(seconds=59)) == Swept()
    assert swept(database, timedelta(seconds=61)) == Swept(lost=1)
    row = only(database)
    assert (row["status"], row["lane"], row["attempts"]) == ("scheduled", "retry", 1)
    assert (row["claimed_by"], row["lease_until"]) == (None, None)
    assert row["due_at"] > rows.NOW


def test_a_delivery_whose_every_worker_died_is_given_up(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, attempts=POLICIES.webhook.attempts - 1)
    rows.claim_all(database, subscriber)
    assert swept(database, timedelta(seconds=61)) == Swept(lost=1)
    assert only(database)["status"] == "dead"
    assert only(database)["finished_at"] is not None


def test_a_lease_from_a_clock_that_was_set_back_is_not_waited_for(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber)
    rows.claim_all(database, subscriber)
    assert swept(database, timedelta(hours=-1)) == Swept(lost=1)


def test_a_due_time_from_a_clock_that_was_set_back_is_now(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, due_at=rows.NOW + timedelta(hours=28))
    rows.add_deliveries(database, subscriber, due_at=rows.NOW + timedelta(days=300), lane="retry")
    assert swept(database) == Swept(misdated=1)
    due = {row["lane"]: row["due_at"] - rows.NOW for row in rows.deliveries(database)}
    assert due["first"] == timedelta(hours=28)
    assert due["retry"] < timedelta(hours=1)


@pytest.mark.parametrize("condition", ["paused", "disabled"])
def test_what_slipped_past_a_pause_is_held_and_comes_back_with_the_endpoint(database: Database, condition: str) -> None:
    subscriber = rows.add_subscriber(database, condition=condition)
    rows.add_deliveries(database, subscriber, 3)
    rows.add_deliveries(database, rows.add_subscriber(database))
    assert swept(database) == Swept(held=3)
    rows.change(database, EndpointRow, condition="enabled")
    assert swept(database) == Swept(resumed=3)
    assert [row["status"] for row in rows.deliveries(database)] == ["scheduled"] * 4


def test_many_rows_are_put_right_in_several_sweeps(database: Database) -> None:
    subscriber = rows.add_subscriber(database, condition="paused")
    rows.add_deliveries(database, subscriber, MOST + 20)
    assert [swept(database).held for _ in range(3)] == [MOST, 20, 0]


@pytest.mark.parametrize(("failing_for", "due_for", "is_given_up"), [(15, 15, True), (13, 15, False), (15, 13, False)])
def test_a_failing_endpoint_may_keep_a_delivery_waiting_only_so_long(
    database: Database, failing_for: int, due_for: int, is_given_up: bool
) -> None:
    subscriber = rows.add_subscriber(
        database,
        breaker="open",
        failing_since=rows.NOW - timedelta(days=failing_for),
        open_until=rows.NOW + timedelta(minutes=30),
    )
    rows.add_deliveries(database, subscriber, due_at=rows.NOW - timedelta(days=due_for))
    assert swept(database) == (Swept(overdue=1) if is_given_up else Swept())
    assert only(database)["status"] == ("dead" if is_given_up else "scheduled")


def test_age_alone_kills_nothing(database: Database) -> None:
    """The worker was off for a month: that is no fault of the receiver's."""
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, due_at=rows.NOW - timedelta(days=30))
    assert swept(database) == Swept()


def test_a_worker_that_ends_gives_back_its_own_and_no_others(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, 5)
    rows.claim_all(database, subscriber, worker="me", rows=3)
    rows.claim_all(database, subscriber, worker="other")
    with rows.transaction(database) as (connection, now):
        assert release(connection, "me", now, POLICIES) == 3
    assert {row["claimed_by"] for row in rows.deliveries(database) if row["status"] == "claimed"} == {"other"}
    assert len(rows.claim_all(database, subscriber, worker="other", lane=Lane.RETRY)) == 3


def test_looking_writes_nothing(database: Database) -> None:
    subscriber = rows.add_subscriber(database, condition="paused")
    rows.add_deliveries(database, subscriber)
    before = rows.deliveries(database)
    with database.reading() as session:
        assert found(session.connection(), rows.NOW, POLICIES) == Swept(held=1)
    assert rows.deliveries(database) == before


def test_what_is_over_stays_as_it_is(database: Database) -> None:
    subscriber = rows.add_subscriber(database, condition="paused")
    for status in ("delivered", "dead"):
        rows.add_deliveries(database, subscriber, status=status, finished_at=rows.NOW)
    before = rows.deliveries(database)
    assert swept(database, timedelta(days=400)) == Swept()
    assert rows.deliveries(database) == before


def test_a_claimed_delivery_of_a_paused_endpoint_is_finished_first(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber)
    rows.claim_all(database, subscriber)
    rows.change(database, EndpointRow, condition="paused")
    assert swept(database) == Swept()
    assert only(database)["status"] == "claimed"
