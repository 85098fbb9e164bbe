"""Analytics as somebody wants them: declined, accepted, under a uuid of old."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from sqlalchemy import func, select

from outbox.analytics import SUBSCRIBER, Backend, accept, decline, follow, identify, installation, is_declined
from outbox.database import Database
from outbox.delivery.models import DeliveryRow
from outbox.events.facts import ProjectFacts
from outbox.events.register import register_project_created_event
from outbox.schema import migrate
from outbox.subscribers.models import Subscriber

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ON, OFF = Backend("https://analytics.example.org", "phc_key"), Backend()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        migrate(database)
        yield database


def waiting(database: Database) -> int:
    """After one more event."""
    with database.writing() as session:
        register_project_created_event(session, ProjectFacts(project_uuid=UUID(int=1), project_name=""))
        return session.scalar(select(func.count()).select_from(DeliveryRow)) or 0


def start(database: Database, backend: Backend = ON) -> UUID | None:
    with database.writing() as session:
        return follow(session, backend, NOW)


def test_declined_nothing_waits_and_nothing_is_added_whoever_starts(database: Database) -> None:
    start(database)
    assert waiting(database) == 1
    with database.writing() as session:
        decline(session, NOW)
    assert waiting(database) == 0
    for backend in (ON, OFF, ON):
        start(database, backend)
        assert waiting(database) == 0
    with database.reading() as session:
        assert is_declined(session)


def test_what_is_declined_before_it_ever_was_stays_declined(database: Database) -> None:
    with database.writing() as session:
        decline(session, NOW)
    start(database)
    assert waiting(database) == 0


def test_accepted_it_goes_on_at_once_as_the_same_installation_without_the_past(database: Database) -> None:
    before = start(database)
    with database.writing() as session:
        decline(session, NOW)
    assert start(database) == before, "a worker that starts meanwhile is ready to send"
    waiting(database)
    with database.writing() as session:
        accept(session, ON, NOW)
        assert installation(session) == before
        assert not is_declined(session)
    assert waiting(database) == 1


def test_accepted_without_an_address_it_waits_for_a_process_that_has_one(database: Database) -> None:
    with database.writing() as session:
        decline(session, NOW)
        accept(session, OFF, NOW)
        assert not is_declined(session)
    assert waiting(database) == 0
    start(database)
    assert waiting(database) == 1


def test_accepting_what_was_not_declined_changes_nothing(database: Database) -> None:
    with database.writing() as session:
        accept(session, OFF, NOW)
        assert session.get(Subscriber, SUBSCRIBER) is None
    start(database)
    with database.writing() as session:
        accept(session, OFF, NOW)
    assert waiting(database) == 1


def test_an_installation_keeps_the_uuid_that_it_is_given(database: Database) -> None:
    wanted = UUID(int=7)
    with database.writing() as session:
        identify(session, wanted, NOW)
    assert waiting(database) == 0, "a uuid turns nothing on"
    assert start(database) == wanted
    with database.writing() as session:
        identify(session, UUID(int=8), NOW)
    assert start(database) == UUID(int=8)
    assert waiting(database) == 1
