from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from outbox.database import Database
from outbox.events.errors import UnknownEventError
from outbox.events.models import event_of
from outbox.events.records import (
    EventFilter,
    EventRecord,
    event_from,
    find_event,
    list_events,
    record_of,
    show_event,
)
from outbox.events.register import register_copy
from outbox.events.types import EventType, Layer, layer_of
from outbox.identity import new_uuid, uuid7
from outbox.schema import migrate
from outbox.subscribers.patterns import patterns_hearing
from tests.outbox.events.examples import EXAMPLES, JOB, NOW, PROJECT, example_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

ALL = EventFilter()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    migrate(database)
    yield database
    database.close()


@pytest.fixture
def recorded(database: Database) -> tuple[EventRecord, ...]:
    """One event of each type, a minute apart, newest first."""
    made = []
    with database.writing() as session:
        for minute, event_type in enumerate(EventType):
            moment = NOW + timedelta(minutes=minute)
            uuid = uuid7(int(moment.timestamp() * 1e9), bytes(8))
            made.append(record_of(event_of(event_type, EXAMPLES[layer_of(event_type)], uuid, moment)))
            register_copy(session, made[-1])
    return tuple(reversed(made))


def listed(database: Database, wanted: EventFilter, before: UUID | None = None, limit: int = 100) -> list[EventRecord]:
    with database.reading() as session:
        return list(list_events(session, wanted, before, limit))


def test_the_newest_comes_first(database: Database, recorded: tuple[EventRecord, ...]) -> None:
    assert listed(database, ALL) == list(recorded)


def test_pages_meet_without_gap_or_overlap(database: Database, recorded: tuple[EventRecord, ...]) -> None:
    pages: list[EventRecord] = []
    while page := listed(database, ALL, pages[-1].uuid if pages else None, limit=10):
        assert len(page) <= 10
        pages += page
    assert pages == list(recorded)


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        (EventFilter(pattern="cluster:*"), lambda one: one.type.startswith("cluster:")),
        (EventFilter(pattern="project:created"), lambda one: one.type == "project:created"),
        (EventFilter(pattern="*"), lambda one: True),  # noqa: ARG005
        (EventFilter(pattern="pro_ect:*"), lambda one: False),  # noqa: ARG005
        (EventFilter(project_uuid=PROJECT), lambda one: one.project_uuid == PROJECT),
        (EventFilter(job_uuid=JOB), lambda one: one.job_uuid == JOB),
        (EventFilter(since=NOW + timedelta(minutes=9)), lambda one: one.timestamp >= NOW + timedelta(minutes=9)),
        (EventFilter(until=NOW + timedelta(minutes=9)), lambda one: one.timestamp < NOW + timedelta(minutes=9)),
        (
            EventFilter(pattern="project:cron-job:*", job_uuid=JOB, since=NOW),
            lambda one: one.type.startswith("project:cron-job:"),
        ),
    ],
)
def test_a_filter_finds_what_it_says(
    database: Database, recorded: tuple[EventRecord, ...], wanted: EventFilter, holds: Callable[[EventRecord], bool]
) -> None:
    assert listed(database, wanted) == [one for one in recorded if holds(one)]


def test_one_event_is_shown_and_one_that_is_not_there_is_none(
    database: Database, recorded: tuple[EventRecord, ...]
) -> None:
    with database.reading() as session:
        assert show_event(session, recorded[5].uuid) == recorded[5]
        assert show_event(session, new_uuid()) is None


@pytest.mark.parametrize("layer", Layer)
def test_a_record_and_its_event_say_the_same(layer: Layer) -> None:
    event = event_of(example_type(layer), EXAMPLES[layer], new_uuid(), NOW)
    again = event_from(record_of(event))
    assert type(again) is type(event)
    assert again.to_telemetry_payload() == event.to_telemetry_payload()


def test_the_query_of_a_pattern_says_what_the_pure_rules_say(
    database: Database, recorded: tuple[EventRecord, ...]
) -> None:
    assert recorded
    patterns = sorted({pattern for name in EventType for pattern in patterns_hearing(name)} | {"project*", "pro_ect:*"})
    with database.reading() as session:
        for pattern in patterns:
            found = {one.type for one in list_events(session, EventFilter(pattern), None, 100)}
            assert found == {name for name in EventType if pattern in patterns_hearing(name)}, pattern


def test_an_event_is_found_by_its_uuid_or_the_beginning_of_it(
    database: Database, recorded: tuple[EventRecord, ...]
) -> None:
    wanted = recorded[3]
    with database.reading() as session:
        assert find_event(session, str(wanted.uuid)) == find_event(session, str(wanted.uuid)[:30]) == wanted
        with pytest.raises(UnknownEventError, match="orchest events list"):
            find_event(session, str(uuid4()))
        with pytest.raises(UnknownEventError, match="Give more of the uuid"):
            find_event(session, str(wanted.uuid)[:4])
