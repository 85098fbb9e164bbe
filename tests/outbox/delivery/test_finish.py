"""On both databases: what is written of an attempt, and what a lost lease may no longer write."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, text

from outbox.delivery import finish as finish_module
from outbox.delivery import state
from outbox.delivery.endpoint import Endpoint, after
from outbox.delivery.finish import Policies, Report, finish
from outbox.delivery.models import DeliveryRow
from outbox.delivery.outcome import Outcome, Result
from outbox.delivery.sqlite_values import stored_instant, stored_uuid
from outbox.delivery.state import Delivery, Lane, Status
from outbox.subscribers.models import Subscriber
from tests.outbox.delivery import rows

if TYPE_CHECKING:
    from uuid import UUID

    from outbox.database import Database
    from outbox.delivery.claim import Claimed

DELIVERED = Outcome(Result.DELIVERED, "204 No Content", status_code=204, milliseconds=12.5)
REJECTED = Outcome(
    Result.REJECTED,
    "503 Service Unavailable",
    status_code=503,
    response_headers=(("content-type", "text/plain"), ("x-odd", "\udcff")),
    response_body=b"\x00\xffbusy",
    milliseconds=3.0,
)
STARTED = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
POLICIES = Policies()


def hand_in(database: Database, *reports: Report, worker: str = "me") -> dict[UUID, Endpoint]:
    endpoints = {report.subscriber: Endpoint(report.subscriber) for report in reports}
    with rows.transaction(database) as (connection, now):
        return finish(connection, reports, endpoints, worker=worker, now=now, policies=POLICIES, draw=lambda: 0.5)


def report_of(claims: list[Claimed], outcome: Outcome = DELIVERED) -> Report:
    return Report(tuple(claims), STARTED, outcome)


def claimed_one(database: Database, **columns: Any) -> tuple[UUID, Claimed]:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, **columns)
    (claim,) = rows.claim_all(database, subscriber)
    return subscriber, claim


@pytest.mark.parametrize("outcome", [DELIVERED, REJECTED, Outcome(Result.GONE, "410"), Outcome(Result.BLOCKED, "no")])
@pytest.mark.parametrize("attempts", [0, 5, 9])
def test_a_delivery_becomes_what_the_state_machine_says(database: Database, outcome: Outcome, attempts: int) -> None:
    _, claim = claimed_one(database, attempts=attempts)
    hand_in(database, report_of([claim], outcome))
    row = rows.delivery(database, claim.delivery)
    before = Delivery(Status.CLAIMED, Lane.FIRST, attempts + 1, claim.created_at, claim.due_at, "me", claim.lease_until)
    now = row["finished_at"] or claim.lease_until - POLICIES.lease
    expected = state.finished(before, outcome, now, POLICIES.webhook, 0.5)
    assert (row["status"], row["lane"], row["attempts"]) == (expected.status, expected.lane, expected.attempts)
    assert (row["claimed_by"], row["lease_until"], row["finished_at"]) == (None, None, expected.finished_at)
    assert abs(row["due_at"] - expected.due_at) < timedelta(seconds=5)


def test_an_attempt_is_recorded_with_all_that_is_known_of_it(database: Database) -> None:
    _, claim = claimed_one(database)
    hand_in(database, report_of([claim], REJECTED))
    (row,) = rows.attempts(database)
    assert dict(row) == {
        "delivery_uuid": claim.delivery,
        "number": 1,
        "started_at": STARTED,
        "milliseconds": 3.0,
        "result": "rejected",
        "status_code": 503,
        "message": "503 Service Unavailable",
        "response_headers": '[["content-type", "text/plain"], ["x-odd", "\\udcff"]]',
        "response_body": b"\x00\xffbusy",
        "worker": "me",
    }


@pytest.mark.parametrize(
    ("message", "stored"), [("a\0b", "a\\x00b"), ("half \ud800", "half \\ud800"), ("Zürich", "Zürich")]
)
def test_a_message_that_no_database_takes_as_text_is_recorded_all_the_same(
    database: Database, message: str, stored: str
) -> None:
    _, claim = claimed_one(database)
    hand_in(database, report_of([claim], replace(REJECTED, message=message)))
    assert rows.attempts(database)[0]["message"] == stored


def late_finisher(database: Database) -> tuple[UUID, Claimed]:
    """Whose lease was lost: another worker has the delivery now, under its second attempt."""
    subscriber, claim = claimed_one(database)
    rows.change(database, DeliveryRow, status="scheduled", claimed_by=None, lease_until=None)
    assert len(rows.claim_all(database, subscriber, worker="other")) == 1
    return subscriber, claim


def what_a_late_finisher_changes(database: Database) -> list[str]:
    """Of the delivery and of its endpoint; its attempt is recorded in any case."""
    subscriber, claim = late_finisher(database)
    before = rows.delivery(database, claim.delivery)
    endpoints = hand_in(database, report_of([claim], REJECTED))
    now = rows.delivery(database, claim.delivery)
    assert [(row["number"], row["worker"]) for row in rows.attempts(database)] == [(1, "me")]
    changed = [name for name in before if before[name] != now[name]]
    return changed + (["endpoint"] if endpoints != {subscriber: Endpoint(subscriber)} else [])


def test_a_late_finisher_changes_nothing_but_is_recorded(database: Database) -> None:
    assert what_a_late_finisher_changes(database) == []


def test_without_the_fence_a_late_finisher_would_be_noticed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutation: the same statements with the fence taken out."""
    fence = "AND claimed_by = move.worker AND attempts = move.attempt\n      AND deliveries.status = 'claimed'"
    together = str(finish_module._ADVANCE_TOGETHER.element.text)  # type: ignore[attr-defined]
    assert fence in together
    unfenced = text(together.replace(fence, "")).columns(uuid=DeliveryRow.__table__.c.uuid.type)
    monkeypatch.setattr(finish_module, "_ADVANCE_TOGETHER", unfenced)
    one_by_one = finish_module._ADVANCE.replace(
        "AND claimed_by = ? AND attempts = ? AND status = 'claimed'", "AND ? <> '' AND ? > 0"
    )
    assert one_by_one != finish_module._ADVANCE
    monkeypatch.setattr(finish_module, "_ADVANCE", one_by_one)
    monkeypatch.setattr(finish_module, "_holds", lambda *_: True)
    assert set(what_a_late_finisher_changes(database)) >= {"status", "claimed_by", "endpoint"}


def test_handing_in_twice_changes_nothing_the_second_time(database: Database) -> None:
    """Nobody knows whether a transaction that failed at its commit was committed."""
    subscriber, claim = claimed_one(database)
    once = hand_in(database, report_of([claim], REJECTED))
    state_once = rows.deliveries(database)
    twice = hand_in(database, report_of([claim], REJECTED))
    assert rows.deliveries(database) == state_once
    assert len(rows.attempts(database)) == 1
    assert once[subscriber].consecutive_failures == 1
    assert twice[subscriber].consecutive_failures == 0


def test_the_endpoint_learns_of_each_request_once_however_many_deliveries_it_carried(database: Database) -> None:
    subscriber = rows.add_subscriber(database, kind="analytics")
    rows.add_deliveries(database, subscriber, 10, lane="analytics")
    claims = rows.claim_all(database, subscriber, lane=Lane.ANALYTICS)
    with rows.transaction(database) as (_, now):
        pass
    folded = hand_in(database, report_of(claims, REJECTED))
    assert folded[subscriber].consecutive_failures == 1
    assert folded[subscriber].breaker == after(Endpoint(subscriber), REJECTED, now, POLICIES.health, 0.5).breaker
    assert len(rows.attempts(database)) == 10


def test_a_subscriber_removed_during_its_request_spoils_no_other_report(database: Database) -> None:
    removed, gone = claimed_one(database)
    _, kept = claimed_one(database)
    with database.writing() as session:
        session.execute(delete(rows.table_of(Subscriber)).where(Subscriber.uuid == removed))
    hand_in(database, report_of([gone]), report_of([kept]))
    assert [row["delivery_uuid"] for row in rows.attempts(database)] == [kept.delivery]
    assert rows.delivery(database, kept.delivery)["status"] == "delivered"


def test_values_written_past_sqlalchemy_are_stored_as_it_stores_them(database: Database) -> None:
    if not database.is_sqlite:
        return  # there is one way only
    subscriber = rows.add_subscriber(database)
    (uuid,) = rows.add_deliveries(database, subscriber, due_at=STARTED)
    with database.reading() as session:
        stored = session.execute(text("SELECT uuid, due_at FROM deliveries")).one()
    assert tuple(stored) == (stored_uuid(uuid), stored_instant(STARTED))
