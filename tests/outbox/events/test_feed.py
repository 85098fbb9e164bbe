"""Streams of events lose nothing and repeat nothing: on both databases, with writers who commit late."""

from __future__ import annotations

import random
import threading
import time
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, select, text, update

from outbox.database import Database
from outbox.events.facts import ProjectFacts
from outbox.events.feed import (
    BEGINNING,
    NO_EVENT,
    Place,
    Stretch,
    mend_after_restore,
    place_before,
    place_behind,
    settled,
    stretch,
)
from outbox.events.models import RELAYED, Event, event_of
from outbox.events.records import EventFilter, matches, record_of
from outbox.events.register import register_copy, register_project_created_event
from outbox.events.types import EventType, layer_of
from outbox.identity import new_uuid, uuid7
from outbox.schema import migrate
from tests.outbox.events.examples import EXAMPLES, JOB, NOW, PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

ALL = EventFilter()
FACTS = ProjectFacts(project_uuid=PROJECT, project_name="acme")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        migrate(database)
        yield database


@pytest.fixture
def postgresql(postgresql_url: str) -> Iterator[Database]:
    with closing(Database(postgresql_url)) as database:
        migrate(database)
        yield database


def register(database: Database, count: int = 1) -> list[UUID]:
    with database.writing() as session:
        return [register_project_created_event(session, FACTS) for _ in range(count)]


def read(database: Database, after: Place, limit: int = 100, wanted: EventFilter = ALL) -> Stretch:
    with database.reading() as session:
        return stretch(session, wanted, after, limit)


def uuids(found: Stretch) -> list[UUID]:
    return [placed.event.uuid for placed in found.events]


def test_nothing_there_is_nothing(database: Database) -> None:
    assert read(database, BEGINNING) == Stretch((), BEGINNING, is_whole=True)


def test_what_is_behind_a_place_comes_once_in_order(database: Database) -> None:
    first = register(database, 3)
    found = read(database, BEGINNING)
    assert uuids(found) == first
    assert found.is_whole
    assert read(database, found.end) == Stretch((), found.end, is_whole=True)
    second = register(database, 2)
    assert uuids(read(database, found.end)) == second


def test_stretches_meet_without_gap_or_overlap(database: Database) -> None:
    made = [uuid for count in (1, 5, 3, 4) for uuid in register(database, count)]
    place, seen = BEGINNING, []
    while (found := read(database, place, limit=2)).events:
        seen += uuids(found)
        place = found.end
    assert seen == made


def test_a_copy_of_what_was_recorded_elsewhere_before_is_not_left_out(database: Database) -> None:
    register(database)
    seen = read(database, BEGINNING)
    old = record_of(event_of(EventType.PROJECT_CREATED, FACTS, uuid7(10**18, bytes(8)), NOW - timedelta(days=900)))
    with database.writing() as session:
        register_copy(session, old)
    assert uuids(read(database, seen.end)) == [old.uuid]


def test_a_reader_resumes_behind_the_last_event_it_has(database: Database) -> None:
    made = register(database, 4) + register(database, 3)
    for number, uuid in enumerate(made, 1):
        with database.reading() as session:
            place = place_behind(session, uuid)
        assert place is not None
        assert uuids(read(database, place)) == made[number:]
    with database.reading() as session:
        assert place_behind(session, new_uuid()) is None
        assert place_behind(session, NO_EVENT) == BEGINNING


def test_a_reader_may_begin_at_an_instant(database: Database) -> None:
    made = register(database, 3)
    times = {placed.event.uuid: placed.event.timestamp for placed in read(database, BEGINNING).events}
    with database.reading() as session:
        place = place_before(session, times[made[1]])
        assert place_before(session, times[made[2]] + timedelta(days=1)) == settled(session)
    wanted = EventFilter(since=times[made[1]])
    assert uuids(read(database, place, wanted=wanted)) == made[1:]


def test_a_filter_passes_over_the_rest(database: Database) -> None:
    register(database, 3)
    nothing = EventFilter(project_uuid=new_uuid())
    found = read(database, BEGINNING, wanted=nothing)
    assert found.events == ()
    assert read(database, BEGINNING).end == found.end


def test_a_filter_says_the_same_of_an_event_at_hand_and_in_a_query(database: Database) -> None:
    with database.writing() as session:
        for event_type in EventType:
            moment = NOW + timedelta(minutes=len(event_type))
            made = event_of(event_type, EXAMPLES[layer_of(event_type)], new_uuid(), moment)
            register_copy(session, record_of(made))
    everything = [placed.event for placed in read(database, BEGINNING).events]
    assert len(everything) == len(EventType)
    wishes = [
        EventFilter("project:*"),
        EventFilter("cluster:created"),
        EventFilter("galaxy:*"),
        EventFilter(project_uuid=PROJECT),
        EventFilter(job_uuid=JOB, pattern="project:cron-job:*"),
        EventFilter(since=NOW + timedelta(minutes=25), until=NOW + timedelta(minutes=40)),
    ]
    for wanted in wishes:
        found = uuids(read(database, BEGINNING, wanted=wanted))
        assert found == [event.uuid for event in everything if matches(wanted, event)], wanted


def test_what_was_relayed_for_analytics_is_in_no_stream(database: Database) -> None:
    (uuid,) = register(database)
    with database.writing() as session:
        session.execute(update(Event).values(layer=RELAYED))
    found = read(database, BEGINNING)
    assert found.events == ()
    assert found.end.uuid == uuid


def test_forgotten_events_leave_no_number_to_be_used_again(database: Database) -> None:
    register(database, 3)
    end = read(database, BEGINNING).end
    with database.writing() as session:
        session.execute(delete(Event))
    again = register(database, 2)
    assert uuids(read(database, end)) == again


def test_an_event_of_a_writer_who_commits_late_is_waited_for(postgresql: Database) -> None:
    """Its number and its id are older than those of the event that is visible already."""
    with postgresql.writing() as slow:
        late = register_project_created_event(slow, FACTS)
        (soon,) = register(postgresql)
        assert uuids(read(postgresql, BEGINNING)) == []
    assert uuids(read(postgresql, BEGINNING)) == [late, soon]


def test_a_writer_who_gives_up_holds_nothing_up(postgresql: Database) -> None:
    def give_up() -> None:
        with postgresql.writing() as slow:
            register_project_created_event(slow, FACTS)
            found.extend(register(postgresql))
            raise KeyError

    found: list[UUID] = []
    with pytest.raises(KeyError):
        give_up()
    assert uuids(read(postgresql, BEGINNING)) == found


def test_readers_by_id_alone_would_lose_the_late_one(postgresql: Database) -> None:
    """The control: that is what the numbers are for."""
    with postgresql.writing() as slow:
        late = register_project_created_event(slow, FACTS)
        (soon,) = register(postgresql)
        with postgresql.reading() as session:
            assert session.scalars(select(Event.uuid)).all() == [soon]
    assert late < soon


@pytest.mark.parametrize("seed", range(3))
def test_many_slow_writers_and_a_reader_who_reconnects(database: Database, seed: int) -> None:
    """Each event exactly once, in an order on which a second reader agrees."""
    chance = random.Random(seed)
    kept: list[UUID] = []
    lock = threading.Lock()
    pauses = [[(chance.random() * 0.02, chance.random() < 0.2) for _ in range(12)] for _ in range(5)]

    def write(mine: list[tuple[float, bool]]) -> None:
        for pause, gives_up in mine:
            with database.writing() as session:
                made = [register_project_created_event(session, FACTS) for _ in range(2)]
                time.sleep(pause)
                if gives_up:
                    session.rollback()
            if not gives_up:
                with lock:
                    kept.extend(made)

    writers = [threading.Thread(target=write, args=(mine,)) for mine in pauses]
    for writer in writers:
        writer.start()
    seen: list[UUID] = []
    place = BEGINNING
    while any(writer.is_alive() for writer in writers) or read(database, place).events:
        found = uuids(read(database, place, limit=chance.randint(1, 5)))
        seen += found
        if found:
            with database.reading() as session:
                behind = place_behind(session, found[-1])
            assert behind is not None
            place = behind
    for writer in writers:
        writer.join()
    assert len(kept) > 50
    assert sorted(seen) == sorted(kept)
    assert uuids(read(database, BEGINNING, limit=1000)) == seen


def test_events_restored_on_another_server_come_before_what_happens_there(postgresql: Database) -> None:
    """There the transactions are counted from a lower number."""
    old = register(postgresql, 2) + register(postgresql)
    with postgresql.writing() as session:
        session.execute(text("UPDATE events SET position = position + 1000000"))
    new = register(postgresql)
    assert uuids(read(postgresql, BEGINNING)) == new
    assert mend_after_restore(postgresql) == len(old)
    assert mend_after_restore(postgresql) == 0
    assert uuids(read(postgresql, BEGINNING)) == [*old, *new]
    with postgresql.reading() as session:
        place = place_behind(session, old[1])
    assert place is not None
    assert uuids(read(postgresql, place)) == [old[2], *new]
    assert uuids(read(postgresql, place)) + register(postgresql) == uuids(read(postgresql, place))


def test_where_nothing_was_restored_nothing_is_mended(database: Database) -> None:
    made = register(database, 3)
    assert mend_after_restore(database) == 0
    assert uuids(read(database, BEGINNING)) == made
