from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from sqlalchemy import func, insert, select

from outbox.database import Database
from outbox.delivery.models import DeliveryRow
from outbox.events import register
from outbox.events.errors import UnknownEventTypeError
from outbox.events.facts import ClusterEventFacts, Facts, InteractivePipelineRunFacts, ProjectFacts
from outbox.events.models import Event, EventTypeRow, class_of, event_of
from outbox.events.records import EventFilter, EventRecord, list_events, record_of
from outbox.events.register import (
    register_cluster_paused_event,
    register_copy,
    register_project_created_event,
    register_project_pipeline_interactive_session_pipeline_run_failed_event,
)
from outbox.events.types import EventType, Layer, layer_of
from outbox.identity import new_uuid
from outbox.schema import migrate
from outbox.subscribers.models import Analytics, EndpointRow, Subscriber, Subscription, Webhook
from tests.outbox.events.examples import EXAMPLES, NOW

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID


PROJECT_FACTS = ProjectFacts.model_validate(EXAMPLES[Layer.PROJECT])
CLUSTER_FACTS = ClusterEventFacts.model_validate(EXAMPLES[Layer.CLUSTER])


class Commits:
    """Counts the commits that left work behind."""

    def __init__(self) -> None:
        self.announced = 0

    def __call__(self) -> None:
        self.announced += 1


@pytest.fixture
def commits() -> Commits:
    return Commits()


@pytest.fixture
def database(database_url: str, commits: Commits) -> Iterator[Database]:
    database = Database(database_url, commits)
    migrate(database)
    yield database
    database.close()


def subscribe(
    database: Database, pattern: str, kind: type[Subscriber] = Webhook, condition: str = "enabled", **scope: UUID | None
) -> UUID:
    subscriber = new_uuid()
    health: dict[str, Any] = {"reason": "", "breaker": "closed", "consecutive_failures": 0, "openings": 0}
    with database.writing() as session:
        session.add(kind(uuid=subscriber, created_at=NOW, max_in_flight=4))
        session.flush()
        session.add(EndpointRow(subscriber_uuid=subscriber, condition=condition, **health))
        session.add(Subscription(uuid=new_uuid(), subscriber_uuid=subscriber, event_type=pattern, **scope))
    return subscriber


def deliveries(database: Database) -> list[DeliveryRow]:
    with database.reading() as session:
        return list(session.scalars(select(DeliveryRow).order_by(DeliveryRow.uuid)))


def events(database: Database) -> tuple[EventRecord, ...]:
    with database.reading() as session:
        return list_events(session, EventFilter(), None, 1_000)


def copied(facts: Facts = PROJECT_FACTS, event_type: EventType = EventType.PROJECT_CREATED) -> EventRecord:
    return record_of(event_of(event_type, facts, new_uuid(), NOW))


def test_each_of_the_69_functions_registers_its_type(database: Database) -> None:
    with database.writing() as session:
        for event_type in EventType:
            function = getattr(register, f"register_{event_type.name.lower()}_event")
            uuid = function(session, EXAMPLES[layer_of(event_type)])
            row = session.execute(select(Event.type, Event.layer).where(Event.uuid == uuid)).one()
            assert tuple(row) == (event_type.value, layer_of(event_type).value)
    assert len(events(database)) == 69


def test_an_event_and_its_deliveries_appear_with_the_commit(database: Database, commits: Commits) -> None:
    first, second = subscribe(database, "project:*"), subscribe(database, "project:created")
    subscribe(database, "cluster:*")
    begun = datetime.now(UTC)
    with database.writing() as session:
        uuid = register_project_created_event(session, PROJECT_FACTS)
        assert commits.announced == 0
    made = deliveries(database)
    assert {row.subscriber_uuid for row in made} == {first, second}
    assert len(made) == 2
    for row in made:
        assert (row.event_uuid, row.status, row.lane, row.attempts) == (uuid, "scheduled", "first", 0)
        assert begun <= row.created_at == row.due_at <= datetime.now(UTC)
        assert (row.claimed_by, row.lease_until, row.finished_at, row.replay_of) == (None, None, None, None)
    (event,) = events(database)
    assert event.uuid == uuid
    assert orjson.loads(event.payload)["uuid"] == str(uuid)
    assert commits.announced == 1


def test_nothing_of_a_transaction_that_fails_is_left(database: Database, commits: Commits) -> None:
    subscribe(database, "project:*")

    def fail_after_registering() -> None:
        with database.writing() as session:
            register_project_created_event(session, PROJECT_FACTS)
            raise LookupError

    with pytest.raises(LookupError):
        fail_after_registering()
    assert (events(database), deliveries(database), commits.announced) == ((), [], 0)


def test_an_event_that_nobody_hears_is_recorded_and_wakes_nobody(database: Database, commits: Commits) -> None:
    with database.writing() as session:
        register_project_created_event(session, PROJECT_FACTS)
    assert len(events(database)) == 1
    assert (deliveries(database), commits.announced) == ([], 0)


@pytest.mark.parametrize("condition", ["paused", "disabled"])
def test_what_a_paused_or_disabled_endpoint_hears_is_held(database: Database, commits: Commits, condition: str) -> None:
    subscribe(database, "project:*", condition=condition)
    with database.writing() as session:
        register_project_created_event(session, PROJECT_FACTS)
    assert [(row.status, row.lane) for row in deliveries(database)] == [("held", "first")]
    assert commits.announced == 0


def test_analytics_has_a_lane_of_its_own_and_telemetry_is_kept_for_it(database: Database) -> None:
    subscribe(database, "*", Analytics)
    with database.writing() as session:
        uuid = register_project_created_event(session, PROJECT_FACTS)
    assert [row.lane for row in deliveries(database)] == ["analytics"]
    with database.reading() as session:
        telemetry = session.scalar(select(Event.telemetry).where(Event.uuid == uuid))
    assert telemetry is not None
    assert orjson.loads(telemetry)["derived_properties"] == {"project": {"projects_count": 4}}
    assert "Forecast" not in telemetry


def test_without_analytics_no_telemetry_is_kept(database: Database) -> None:
    subscribe(database, "*")
    with database.writing() as session:
        register_project_created_event(session, PROJECT_FACTS)
    with database.reading() as session:
        assert session.scalars(select(Event.telemetry)).all() == [None]


def test_an_event_outlives_what_it_tells_of_because_nothing_refers_to_it(database: Database) -> None:
    with database.writing() as session:
        uuid = register.register_project_deleted_event(session, PROJECT_FACTS)
    (event,) = events(database)
    assert (event.uuid, event.project_uuid) == (uuid, PROJECT_FACTS.project_uuid)


def test_facts_with_the_oddest_values_are_registered_on_both_databases(database: Database) -> None:
    facts = EXAMPLES[Layer.INTERACTIVE_PIPELINE_RUN]
    assert isinstance(facts, InteractivePipelineRunFacts)
    odd = {"nan": float("nan"), "inf": float("-inf"), "huge": 10**400, "zero": "\x00", "\U0001f9ea": "\u2028"}
    definition = facts.pipeline_definition.model_copy(update={"parameters": odd})
    subscribe(database, "*", Analytics)
    with database.writing() as session:
        register_project_pipeline_interactive_session_pipeline_run_failed_event(
            session, facts.model_copy(update={"pipeline_definition": definition, "project_name": "\x00"})
        )
    (event,) = events(database)
    told = event.facts["pipeline_definition"]["parameters"]
    assert told == {**odd, "nan": None, "inf": None}


# Copies.


def test_a_copy_keeps_its_uuid_its_time_and_its_payload(database: Database, commits: Commits) -> None:
    subscribe(database, "*")
    event = copied()
    with database.writing() as session:
        assert register_copy(session, event)
    assert events(database) == (event,)
    (delivery,) = deliveries(database)
    assert delivery.event_uuid == event.uuid
    assert delivery.due_at > NOW
    assert commits.announced == 1


def test_a_copy_is_made_once(database: Database) -> None:
    subscribe(database, "*")
    event = copied()
    with database.writing() as session:
        assert register_copy(session, event)
        assert not register_copy(session, event)
    with database.writing() as session:
        assert not register_copy(session, event)
    assert len(events(database)) == len(deliveries(database)) == 1


def test_a_copy_makes_its_telemetry_from_its_facts(database: Database) -> None:
    subscribe(database, "*", Analytics)
    event = copied(CLUSTER_FACTS, EventType.CLUSTER_PAUSED)
    with database.writing() as session:
        register_copy(session, event)
        register_cluster_paused_event(session, CLUSTER_FACTS)
    with database.reading() as session:
        texts = session.scalars(select(Event.telemetry))
        copy, registered = (orjson.loads(text or "")["event_properties"]["cluster"] for text in texts)
    assert copy == registered


def test_a_copy_of_a_type_that_this_database_lacks_is_refused(database: Database) -> None:
    event = replace(copied(), type="galaxy:created")
    with database.writing() as session, pytest.raises(UnknownEventTypeError, match=r"galaxy:created.*upgrade"):
        register_copy(session, event)
    assert events(database) == ()


# What a newer version wrote.


def write_from_the_future(database: Database) -> UUID:
    uuid = new_uuid()
    with database.writing() as session:
        session.execute(insert(EventTypeRow).values(name="galaxy:created"))
        session.execute(
            insert(class_of("galaxy").__table__).values(  # type: ignore[arg-type]
                uuid=uuid,
                type="galaxy:created",
                layer="galaxy",
                timestamp=NOW,
                facts={"galaxy_name": "M31"},
                payload='{"galaxy": {}}',
            )
        )
    return uuid


def test_an_event_of_an_unknown_type_and_layer_reads_as_an_event(database: Database) -> None:
    uuid = write_from_the_future(database)
    with database.writing() as session:
        known = register_project_created_event(session, PROJECT_FACTS)
    with database.reading() as session:
        read = {event.uuid: type(event).__name__ for event in session.scalars(select(Event))}
        assert read == {uuid: "Event", known: "ProjectEvent"}
        event = session.get_one(Event, uuid)
        assert (event.type, event.payload) == ("galaxy:created", '{"galaxy": {}}')
        assert event.to_notification_payload() == {
            "uuid": str(uuid),
            "type": "galaxy:created",
            "timestamp": "2026-11-22 18:30:05.250000+00:00",
        }
        assert session.scalar(select(func.count()).select_from(class_of(Layer.PROJECT))) == 1


def test_reading_an_event_of_an_unknown_layer_and_writing_the_session_back_changes_nothing(database: Database) -> None:
    uuid = write_from_the_future(database)
    with database.writing() as session:
        session.get_one(Event, uuid)
    (event,) = events(database)
    assert event.layer == "galaxy"


def test_a_copy_of_an_unknown_layer_is_told_to_webhooks_and_kept_from_telemetry(database: Database) -> None:
    write_from_the_future(database)
    webhook = subscribe(database, "*")
    subscribe(database, "*", Analytics)
    event = EventRecord(new_uuid(), "galaxy:created", "galaxy", NOW, None, None, {"galaxy_name": "M31"}, "{}")
    with database.writing() as session:
        assert register_copy(session, event)
    assert event in events(database)
    assert [row.subscriber_uuid for row in deliveries(database)] == [webhook]
