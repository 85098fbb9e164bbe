from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select
from sqlalchemy.event import listen

from outbox.database import Database
from outbox.delivery import replay as replaying
from outbox.delivery.models import DeliveryRow
from outbox.delivery.replay import Selection, count, count_ahead, replay, replay_batch, retry
from outbox.events.models import Event
from outbox.events.types import EventType
from outbox.identity import new_uuid
from outbox.schema import migrate
from outbox.subscribers import administration
from outbox.subscribers.errors import NotNow, Unknown
from outbox.subscribers.patterns import Interest, hears, mistake, patterns_hearing
from tests.outbox.delivery.rows import add_deliveries, add_subscriber, deliveries, delivery
from tests.outbox.subscribers.wishes import DAY, NOW, added

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAILED = "project:one-off-job:failed"
PROJECTS, JOBS = ([uuid4() for _ in range(2)] for _ in range(2))
PATTERNS = sorted({pattern for name in EventType for pattern in patterns_hearing(name)})

scopes = st.tuples(st.sampled_from([None, *PROJECTS]), st.sampled_from([None, *JOBS]))
interests = st.builds(lambda pattern, scope: Interest(pattern, *scope), st.sampled_from(PATTERNS), scopes).filter(
    lambda interest: not mistake(interest, EventType)
)


@pytest.fixture
def hints() -> list[str]:
    return []


@pytest.fixture
def database(database_url: str, hints: list[str]) -> Iterator[Database]:
    database = Database(database_url, after_commit=lambda: hints.append("look"))
    migrate(database)
    yield database
    database.close()


def hook(database: Database, *subscriptions: Interest, name: str = "ci") -> UUID:
    with database.writing() as session:
        return added(session, name=name, subscriptions=subscriptions or (Interest("*"),)).uuid


def event(database: Database, event_type: str = FAILED, at: datetime = NOW, **columns: Any) -> UUID:
    row = {"uuid": new_uuid(), "type": event_type, "layer": "event", "timestamp": at, "facts": {}, "payload": "{}"}
    with database.writing() as session:
        session.execute(insert(Event), [row | columns])
    return UUID(str(row["uuid"]))


def told(database: Database, webhook: UUID, event_uuid: UUID, status: str = "delivered", **columns: Any) -> UUID:
    row = {
        "uuid": new_uuid(),
        "event_uuid": event_uuid,
        "subscriber_uuid": webhook,
        "status": status,
        "lane": "first",
        "attempts": 1,
        "created_at": NOW,
        "due_at": NOW,
    }
    with database.writing() as session:
        session.execute(insert(DeliveryRow), [row | columns])
    return UUID(str(row["uuid"]))


def selection(webhook: UUID, *interests: Interest, **changes: Any) -> Selection:
    span: dict[str, Any] = {"since": NOW - DAY, "until": NOW + DAY}
    return Selection(webhook, interests or (Interest("*"),), **(span | changes))


def replayed(database: Database) -> list[UUID]:
    return sorted(row["event_uuid"] for row in deliveries(database) if row["lane"] == "replay")


def counted(database: Database, chosen: Selection) -> int:
    with database.reading() as session:
        return count(session, chosen)


def test_a_replay_makes_a_new_delivery_of_each_event_under_a_new_id(database: Database, hints: list[str]) -> None:
    webhook = hook(database)
    events = [event(database) for _ in range(3)]
    first = {told(database, webhook, one): one for one in events}
    chosen = selection(webhook)
    assert counted(database, chosen) == 3
    assert replay(database, chosen, NOW + DAY) == 3
    new = [row for row in deliveries(database) if row["lane"] == "replay"]
    assert {row["replay_of"]: row["event_uuid"] for row in new} == first
    for row in new:
        assert (row["status"], row["attempts"], row["subscriber_uuid"]) == ("scheduled", 0, webhook)
        assert row["created_at"] == row["due_at"] == NOW + DAY
    assert hints


def test_batches_take_up_where_the_one_before_ended_whatever_waits_in_between(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of events that share one moment."""
    monkeypatch.setattr(replaying, "BATCH", 2)
    webhook = hook(database)
    events = [event(database, at=NOW + timedelta(seconds=number // 3)) for number in range(7)]
    ordered = sorted(events[:3]) + sorted(events[3:6]) + events[6:]
    told(database, webhook, ordered[1], "scheduled")
    chosen, made, ahead = selection(webhook), [], []
    while True:
        with database.writing() as session:
            batch = replay_batch(session, chosen, NOW)
        made.append(batch.made)
        if batch.last is None:
            break
        chosen = replace(chosen, after=batch.last)
        with database.reading() as session:
            ahead.append(count_ahead(session, chosen))
    assert (made, ahead) == ([1, 2, 2, 1], [5, 3, 1])
    assert replayed(database) == sorted([*ordered[:1], *ordered[2:]])


def test_a_batch_reads_the_deliveries_of_its_events_and_not_all_of_the_webhook(tmp_path: Path) -> None:
    """By an index of the webhook's own deliveries, the millionth event would be as dear as a million."""
    with closing(Database(f"sqlite:///{tmp_path / 'history.db'}")) as database:
        migrate(database)
        webhook = hook(database)
        event(database)
        statements: list[tuple[str, Any]] = []

        def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
            statements.append((statement, parameters))

        listen(database.engine, "before_cursor_execute", note)
        replay(database, selection(webhook), NOW)
        (made,) = [one for one in statements if one[0].startswith("INSERT INTO deliveries")]
        with database.reading() as session:
            plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {made[0]}", made[1]).all()
    looks = [row[-1] for row in plan if "deliveries" in row[-1]]
    assert looks
    assert all("ix_deliveries_event_uuid" in look for look in looks)


def test_an_event_that_was_never_told_is_replayed_too(database: Database) -> None:
    earlier = event(database)
    webhook = hook(database)
    assert replay(database, selection(webhook), NOW) == 1
    (row,) = deliveries(database)
    assert (row["event_uuid"], row["replay_of"]) == (earlier, None)


@pytest.mark.parametrize("status", ["scheduled", "claimed", "held"])
def test_an_event_that_still_waits_is_left_alone(status: str, database: Database) -> None:
    webhook, other = hook(database), hook(database, name="other")
    waiting, done = event(database), event(database)
    told(database, webhook, waiting, status)
    told(database, webhook, done, "dead")
    told(database, other, done, status)
    assert replay(database, selection(webhook), NOW) == 1
    assert replayed(database) == [done]


def test_a_replay_takes_the_newest_delivery_as_what_it_repeats(database: Database) -> None:
    webhook = hook(database)
    one = event(database)
    told(database, webhook, one, uuid=UUID(int=1))
    told(database, webhook, one, uuid=UUID(int=2))
    replay(database, selection(webhook), NOW)
    assert [row["replay_of"] for row in deliveries(database) if row["lane"] == "replay"] == [UUID(int=2)]


def test_the_span_of_time_begins_at_since_and_ends_before_until(database: Database) -> None:
    webhook = hook(database)
    moments = [NOW - DAY, NOW - DAY + timedelta(microseconds=1), NOW, NOW + timedelta(microseconds=1)]
    events = [event(database, at=at) for at in moments]
    chosen = selection(webhook, since=moments[1], until=moments[3])
    replay(database, chosen, NOW)
    assert replayed(database) == sorted(events[1:3])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wanted=st.lists(interests, min_size=1, max_size=3, unique=True),
    happened=st.lists(st.tuples(st.sampled_from(EventType), scopes), min_size=1, max_size=10),
    pattern=st.sampled_from(PATTERNS),
)
def test_only_what_the_webhook_hears_and_what_was_asked_for_is_replayed(
    wanted: list[Interest],
    happened: list[tuple[EventType, tuple[UUID | None, UUID | None]]],
    pattern: str,
    database: Database,
) -> None:
    webhook = hook(database, *wanted)
    events = {
        event(database, name, project_uuid=scope[0], job_uuid=scope[1]): (name, scope) for name, scope in happened
    }
    chosen = selection(webhook, *wanted, pattern=pattern)
    expected = {
        uuid
        for uuid, (name, scope) in events.items()
        if any(hears(one, name, *scope) for one in wanted) and pattern in patterns_hearing(name)
    }
    try:
        assert counted(database, chosen) == replay(database, chosen, NOW) == len(expected)
        assert set(replayed(database)) == expected
    finally:
        with database.writing() as session:
            administration.remove(session, webhook)
            session.execute(delete(Event))


def test_a_long_replay_goes_batch_by_batch_and_repeats_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, hints: list[str]
) -> None:
    monkeypatch.setattr(replaying, "BATCH", 10)
    webhook = hook(database)
    events = [event(database) for _ in range(25)]
    assert replay(database, selection(webhook), NOW) == 25
    assert replayed(database) == sorted(events)
    assert len(hints) == 3
    assert replay(database, selection(webhook), NOW) == 0


def test_the_ids_made_by_the_database_are_of_version_7_and_of_this_moment(database: Database) -> None:
    webhook = hook(database)
    for _ in range(50):
        event(database)
    now = datetime.now(UTC)
    replay(database, selection(webhook), now)
    made = [row["uuid"] for row in deliveries(database)]
    assert len(set(made)) == 50
    assert {(uuid.version, uuid.variant) for uuid in made} == {(7, uuid4().variant)}
    assert {uuid.int >> 80 for uuid in made} == {int(now.timestamp() * 1000)}
    with database.reading() as session:
        assert {session.scalar(select(DeliveryRow.uuid).where(DeliveryRow.uuid == uuid)) for uuid in made} == set(made)


def test_the_replay_of_a_paused_webhook_is_held(database: Database) -> None:
    webhook = hook(database)
    event(database)
    with database.writing() as session:
        administration.pause(session, webhook, NOW)
    replay(database, selection(webhook), NOW)
    assert [row["status"] for row in deliveries(database)] == ["held"]


def test_a_dead_delivery_is_due_now_under_its_own_id(database: Database, hints: list[str]) -> None:
    webhook = hook(database)
    (dead,) = add_deliveries(database, webhook, status="dead", attempts=10, finished_at=NOW, lane="retry")
    with database.writing() as session:
        retry(session, dead, NOW + DAY)
    row = delivery(database, dead)
    assert (row["status"], row["due_at"], row["finished_at"]) == ("scheduled", NOW + DAY, None)
    assert (row["attempts"], row["lane"]) == (10, "retry")
    assert hints


def test_a_delivery_that_waits_for_its_next_attempt_is_due_now(database: Database) -> None:
    (waiting,) = add_deliveries(database, hook(database), lane="retry", attempts=3, due_at=NOW + DAY)
    with database.writing() as session:
        retry(session, waiting, NOW)
    assert delivery(database, waiting)["due_at"] == NOW


@pytest.mark.parametrize(("status", "word"), [("claimed", "under way"), ("delivered", "webhook replay")])
def test_a_delivery_that_needs_no_retry_is_left_alone(status: str, word: str, database: Database) -> None:
    (uuid,) = add_deliveries(database, hook(database), status=status)
    before = delivery(database, uuid)
    with database.writing() as session, pytest.raises(NotNow, match=word):
        retry(session, uuid, NOW + DAY)
    assert delivery(database, uuid) == before


def test_nothing_is_retried_while_its_webhook_is_paused(database: Database) -> None:
    webhook = hook(database)
    (dead,) = add_deliveries(database, webhook, status="dead", finished_at=NOW)
    with database.writing() as session:
        administration.pause(session, webhook, NOW)
        with pytest.raises(NotNow, match=r"is paused.*orchest webhook resume"):
            retry(session, dead, NOW)
    assert delivery(database, dead)["status"] == "dead"


def test_a_delivery_of_analytics_is_nobodys_to_retry(database: Database) -> None:
    (dead,) = add_deliveries(database, add_subscriber(database, kind="analytics"), status="dead", finished_at=NOW)
    with database.writing() as session, pytest.raises(Unknown):
        retry(session, dead, NOW)
    assert delivery(database, dead)["status"] == "dead"


def test_an_unknown_delivery_cannot_be_retried(database: Database) -> None:
    with database.writing() as session, pytest.raises(Unknown, match=r"No delivery"):
        retry(session, uuid4(), NOW)
