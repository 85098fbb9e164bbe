"""What is told to analytics alone, on both databases: recorded, hidden from everybody else, delivered once."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from sqlalchemy import func, select

from outbox.analytics import SUBSCRIBER, Backend, Event
from outbox.analytics_relay import relay
from outbox.database import Database
from outbox.delivery.models import DeliveryRow
from outbox.delivery.replay import Selection, count
from outbox.events import models
from outbox.events.errors import UnknownEventError
from outbox.events.feed import BEGINNING, stretch
from outbox.events.records import EventFilter, find_event, list_events, show_event
from outbox.events.types import EventType
from outbox.schema import migrate
from outbox.subscribers.models import EndpointRow
from outbox.subscribers.patterns import Interest
from tests.outbox.delivery.rows import add_subscriber
from tests.outbox.events.canaries import Flock, heard, with_something_in_every_object
from tests.outbox.events.examples import NOW
from tests.outbox.test_analytics import (
    EMPTY,
    ON,
    YES,
    delivering,
    followed,
    listening,
    recorded,
    statuses,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

ALL = EventFilter()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        migrate(database)
        yield database


def told(database: Database, event: Event, payload: Any = EMPTY) -> UUID:
    with database.writing() as session:
        uuid = relay(session, event, payload, NOW)
    assert uuid is not None
    return uuid


@pytest.mark.parametrize("event", [Event.ALERT_SHOWN, Event(EventType.PROJECT_CREATED)])
def test_it_is_told_to_analytics_and_to_nobody_else(database: Database, event: Event) -> None:
    """Also when it has the name of an event that a webhook hears."""
    followed(database, ON)
    webhook = add_subscriber(database)
    uuid = told(database, event)
    with database.reading() as session:
        (delivery,) = session.scalars(select(DeliveryRow)).all()
        assert (delivery.event_uuid, delivery.subscriber_uuid, delivery.lane, delivery.status) == (
            uuid,
            SUBSCRIBER,
            "analytics",
            "scheduled",
        )
        assert list_events(session, ALL, None, 10) == ()
        assert show_event(session, uuid) is None
        assert stretch(session, ALL, BEGINNING, 10).events == ()
        with pytest.raises(UnknownEventError):
            find_event(session, str(uuid))
        everything = Selection(webhook, (Interest("*"),), NOW - timedelta(days=1), NOW + timedelta(days=1))
        assert count(session, everything) == 0


def test_while_analytics_are_off_nothing_is_recorded(database: Database) -> None:
    """Never on, given up by the operator, and declined."""

    def off() -> None:
        with database.writing() as session:
            assert relay(session, Event.DEBUG_PING, EMPTY, NOW) is None
            assert session.scalar(select(func.count()).select_from(models.Event)) == 0

    off()
    followed(database, ON)
    followed(database, Backend())
    off()
    followed(database, ON)
    with database.writing() as session:
        session.get_one(EndpointRow, SUBSCRIBER).condition = "paused"
    off()


@pytest.mark.parametrize("event", [Event.PROJECT_PIPELINE_SAVED, Event.PROJECT_ONE_OFF_JOB_DUPLICATED])
def test_what_the_allow_list_does_not_name_is_not_even_stored(database: Database, event: Event) -> None:
    followed(database, ON)
    flock = Flock()
    more = {flock.string(): {flock.string(): flock.string()}, "title": flock.string()}
    payload = {
        "event_properties": {"project": {"uuid": str(SUBSCRIBER)}, "uuid": flock.string(), "timestamp": flock.string()},
        "derived_properties": {"project": {"projects_count": 7}},
    }
    uuid = told(database, event, {half: with_something_in_every_object(given, more) for half, given in payload.items()})
    with database.reading() as session:
        row = session.get_one(models.Event, uuid)
        stored = orjson.loads(row.telemetry or "")
        assert heard(repr((row.facts, row.payload, row.telemetry))) == set()
    assert stored["event_properties"] == {
        "project": {"uuid": str(SUBSCRIBER)},
        "type": event.value,
        "uuid": str(uuid),
        "timestamp": str(NOW),
    }
    assert stored["derived_properties"] == {"project": {"projects_count": 7}}


def test_a_payload_of_another_shape_is_refused_on_or_off(database: Database) -> None:
    wrong: Any = {"event_properties": {}}
    with database.writing() as session, pytest.raises(ValueError, match="exactly event_properties"):
        relay(session, Event.DEBUG_PING, wrong, NOW)


def test_it_arrives_once_beside_the_events_of_users(database: Database) -> None:
    installation = followed(database, ON)
    assert installation is not None
    (registered,) = recorded(database)
    relayed = [told(database, event) for event in Event]
    with listening(YES) as site, delivering(database, site, installation):
        until(lambda: {status for _, status in statuses(database)} == {"delivered"})
        assert sorted(event["uuid"] for event in site.events) == sorted(map(str, [registered, *relayed]))
        by_uuid = {event["uuid"]: event for event in site.events}
        assert [by_uuid[str(uuid)]["event"] for uuid in relayed] == list(Event)
        assert {event["distinct_id"] for event in site.events} == {str(installation)}
