"""On both databases: what is claimed, in which order, by whom, and what a backlog costs."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from outbox.delivery import state
from outbox.delivery.claim import Due, Wanted, claim, due, in_flight
from outbox.delivery.endpoint_rows import existing, lock
from outbox.delivery.state import Delivery, Lane, Status
from outbox.errors import DatabaseError
from tests.outbox.delivery import rows

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.engine import Connection

    from outbox.database import Database

LEASE = timedelta(seconds=60)


def due_now(database: Database, most: int = 100) -> list[Due]:
    with rows.transaction(database) as (connection, now):
        return due(connection, now, most)


def test_a_claim_takes_the_oldest_due_rows_and_no_more_than_are_wanted(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    uuids = rows.add_deliveries(database, subscriber, 5)
    assert {one.delivery for one in rows.claim_all(database, subscriber, rows=3)} == set(uuids[:3])
    assert {one.delivery for one in rows.claim_all(database, subscriber)} == set(uuids[3:])
    assert rows.claim_all(database, subscriber) == []


def test_a_claim_does_what_the_state_machine_says(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    (uuid,) = rows.add_deliveries(database, subscriber, attempts=3)
    (claimed,) = rows.claim_all(database, subscriber)
    row = rows.delivery(database, uuid)
    before = Delivery(Status.SCHEDULED, Lane.FIRST, 3, rows.NOW, rows.NOW)
    expected = state.claimed(before, "me", claimed.lease_until - LEASE, LEASE)
    assert (
        Delivery(
            Status(row["status"]),
            Lane(row["lane"]),
            row["attempts"],
            row["created_at"],
            row["due_at"],
            row["claimed_by"],
            row["lease_until"],
            row["finished_at"],
        )
        == expected
    )
    assert (claimed.attempt, claimed.created_at, claimed.due_at) == (4, rows.NOW, rows.NOW)


def test_a_claim_brings_what_the_sender_needs(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber)
    (claimed,) = rows.claim_all(database, subscriber)
    assert (claimed.subscriber, claimed.event_type, claimed.payload) == (subscriber, rows.EVENT_TYPE, '{"number": 0}')


def test_analytics_get_the_anonymous_text_and_never_the_payload(database: Database) -> None:
    subscriber = rows.add_subscriber(database, kind="analytics")
    rows.add_deliveries(database, subscriber, lane="analytics")
    (claimed,) = rows.claim_all(database, subscriber, lane=Lane.ANALYTICS)
    assert claimed.payload == '{"telemetry": 0}'


@pytest.mark.parametrize("status", ["claimed", "delivered", "held", "dead"])
def test_only_scheduled_rows_are_claimed(database: Database, status: str) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, status=status)
    assert due_now(database) == []
    assert rows.claim_all(database, subscriber) == []


def test_what_is_due_later_is_not_claimed_now(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, due_at=rows.NOW + timedelta(hours=1))
    assert due_now(database) == []
    assert rows.claim_all(database, subscriber) == []


def test_each_pair_of_subscriber_and_lane_is_found_and_counted_up_to_the_limit(database: Database) -> None:
    one, other = rows.add_subscriber(database), rows.add_subscriber(database)
    rows.add_subscriber(database)
    rows.add_deliveries(database, one, 3)
    rows.add_deliveries(database, one, 1, lane="retry")
    rows.add_deliveries(database, other, 2, lane="replay")
    assert set(due_now(database, most=2)) == {
        Due(one, Lane.FIRST, 2),
        Due(one, Lane.RETRY, 1),
        Due(other, Lane.REPLAY, 2),
    }


ENDPOINTS: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"condition": "paused"}, False),
    ({"condition": "disabled"}, False),
    ({"breaker": "open", "open_until": timedelta(minutes=30)}, False),
    ({"breaker": "open", "open_until": timedelta(minutes=-1)}, True),
    ({"breaker": "open", "open_until": timedelta(hours=3)}, True),  # further than any opening: a clock was set back
    ({"not_before": timedelta(hours=1)}, False),
    ({"not_before": timedelta(seconds=-1)}, True),
    ({"not_before": timedelta(days=2)}, True),
]


@pytest.mark.parametrize(("columns", "is_asked"), ENDPOINTS)
def test_an_endpoint_that_takes_nothing_now_is_not_found(
    database: Database, columns: dict[str, Any], is_asked: bool
) -> None:
    with rows.transaction(database) as (_, now):
        pass
    at: dict[str, Any] = {
        name: now + value if isinstance(value, timedelta) else value for name, value in columns.items()
    }
    subscriber = rows.add_subscriber(database, **at)
    rows.add_deliveries(database, subscriber)
    assert bool(due_now(database)) is is_asked


def test_rows_under_way_are_counted_over_all_workers(database: Database) -> None:
    one, other = rows.add_subscriber(database), rows.add_subscriber(database)
    for subscriber in (one, other):
        rows.add_deliveries(database, subscriber, 3)
    rows.claim_all(database, one, worker="a", rows=2)
    rows.claim_all(database, one, worker="b", rows=1)
    rows.claim_all(database, other, worker="b", rows=1)
    with rows.transaction(database) as (connection, _):
        assert in_flight(connection) == {one: 3, other: 1}


def test_workers_that_claim_at_the_same_time_share_the_rows(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    uuids = rows.add_deliveries(database, subscriber, 200)
    taken: list[UUID] = []

    def work(worker: str) -> None:
        while claims := rows.claim_all(database, subscriber, worker=worker, rows=7):
            taken.extend(claim.delivery for claim in claims)

    workers = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert Counter(taken) == Counter(uuids)


def test_a_row_that_somebody_has_locked_holds_up_nobody(database: Database) -> None:
    if database.is_sqlite:
        return  # there nobody but the one writer can hold a lock
    subscriber = rows.add_subscriber(database)
    uuids = rows.add_deliveries(database, subscriber, 2)
    with database.writing() as session:
        session.execute(text("SELECT 1 FROM deliveries WHERE uuid = :uuid FOR UPDATE"), {"uuid": uuids[0]})
        assert [one.delivery for one in rows.claim_all(database, subscriber)] == [uuids[1]]


def test_a_process_that_is_frozen_in_its_transaction_loses_its_locks(database: Database) -> None:
    if database.is_sqlite:
        return  # it keeps the gate until it thaws or dies: one host, one disk
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber)

    def freeze() -> None:
        with rows.transaction(database) as (connection, _):
            assert lock(connection, {subscriber})
            time.sleep(6.5)  # the server ends it after 5

    with pytest.raises((DatabaseError, SQLAlchemyError)):
        freeze()
    with rows.transaction(database) as (connection, _):
        assert lock(connection, {subscriber})


def test_an_endpoint_that_another_worker_has_locked_is_left_out_not_waited_for(database: Database) -> None:
    if database.is_sqlite:
        return  # the gate lets nobody else in
    one, other = rows.add_subscriber(database), rows.add_subscriber(database)
    with rows.transaction(database) as (connection, _):
        assert set(lock(connection, {one})) == {one}
        with rows.transaction(database) as (second, _):
            assert set(lock(second, {one, other})) == {other}
            assert existing(second, {one, other}) == {one, other}


def test_a_claim_reads_no_more_rows_of_a_long_backlog_than_it_takes(database: Database) -> None:
    """Of 100,000 due rows, before the database knows anything of them and after: rows read on PostgreSQL; on SQLite,
    which does not count them, milliseconds, of which a scan of the backlog takes dozens.
    """
    subscribers = [rows.add_subscriber(database) for _ in range(4)]
    add_backlog(database, subscribers, 100_000)
    assert cost_of_a_claim(database, subscribers) < (20 if database.is_sqlite else 2_000)
    with rows.transaction(database) as (connection, _):
        connection.execute(text("ANALYZE"))
    assert cost_of_a_claim(database, subscribers) < (20 if database.is_sqlite else 2_000)


def cost_of_a_claim(database: Database, subscribers: list[UUID]) -> float:
    """The least of five."""
    wanted = [Wanted(subscriber, Lane.FIRST, 10) for subscriber in subscribers]
    costs = []
    for _ in range(5):
        with rows.transaction(database) as (connection, now):
            before = spent(database, connection)
            assert len(due(connection, now, 64)) == 4
            in_flight(connection)
            assert len(claim(connection, wanted, worker="me", now=now, lease=LEASE)) == 40
            costs.append(spent(database, connection) - before)
    return min(costs)


def spent(database: Database, connection: Connection) -> float:
    return time.process_time() * 1000 if database.is_sqlite else rows_read(connection)


def rows_read(connection: Connection) -> int:
    """By this transaction, of deliveries and events, through indexes or without."""
    statement = """
        SELECT sum(seq_tup_read + idx_tup_fetch + pg_stat_get_xact_tuples_fetched(relid)) FROM pg_stat_xact_user_tables
        WHERE relname IN ('deliveries', 'events')
    """
    return int(connection.execute(text(statement)).scalar_one())


def add_backlog(database: Database, subscribers: list[UUID], count: int) -> None:
    """Made by the database itself, from one row each."""
    for subscriber in subscribers:
        rows.add_deliveries(database, subscriber)
    series = (
        "WITH RECURSIVE series(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM series WHERE number < :count)"
        if database.is_sqlite
        else "WITH series AS (SELECT number FROM generate_series(1, :count) AS number)"
    )
    new = "lower(hex(randomblob(16)))" if database.is_sqlite else "gen_random_uuid()"
    columns = "event_uuid, subscriber_uuid, status, lane, attempts, created_at, due_at"
    with rows.transaction(database) as (connection, _):
        connection.execute(
            text(f"""
            INSERT INTO deliveries (uuid, {columns}) {series}
            SELECT {new}, {columns} FROM deliveries CROSS JOIN series
            """),
            {"count": count // len(subscribers) - 1},
        )
