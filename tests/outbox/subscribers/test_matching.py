from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outbox.events.types import EventType
from outbox.identity import new_uuid
from outbox.subscribers import administration
from outbox.subscribers.matching import Hearing, hearing
from outbox.subscribers.models import Analytics, EndpointRow, Subscription
from outbox.subscribers.patterns import Interest, hears, mistake, patterns_hearing
from tests.outbox.subscribers.wishes import NOW, added

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from outbox.database import Database

FAILED = EventType.PROJECT_ONE_OFF_JOB_FAILED
PROJECTS = [uuid4() for _ in range(2)]
JOBS = [uuid4() for _ in range(2)]
PATTERNS = sorted({pattern for name in EventType for pattern in patterns_hearing(name)})

scopes = st.tuples(st.sampled_from([None, *PROJECTS]), st.sampled_from([None, *JOBS]))
interests = st.builds(lambda pattern, scope: Interest(pattern, *scope), st.sampled_from(PATTERNS), scopes).filter(
    lambda interest: not mistake(interest, EventType)
)


def heard_by(session: Session, event_type: str, project: UUID | None, job: UUID | None) -> set[UUID]:
    return {one.subscriber for one in hearing(session, event_type, project, job)}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    wishes=st.lists(st.lists(interests, min_size=1, max_size=4, unique=True), min_size=1, max_size=5),
    events=st.lists(st.tuples(st.sampled_from(EventType), scopes), min_size=1, max_size=8),
)
def test_the_database_says_what_the_pure_rules_say(
    wishes: list[list[Interest]], events: list[tuple[EventType, tuple[UUID | None, UUID | None]]], database: Database
) -> None:
    with database.writing() as session:
        hooks = {added(session, subscriptions=tuple(wanted)).uuid: wanted for wanted in wishes}
        for event_type, scope in events:
            told = hearing(session, event_type, *scope)
            expected = {hook for hook, wanted in hooks.items() if any(hears(one, event_type, *scope) for one in wanted)}
            assert [one.subscriber for one in told] == sorted(expected)
        session.rollback()


def test_the_hook_of_one_job_never_hears_another_job_of_the_project(database: Database) -> None:
    with database.writing() as session:
        hook = added(session, subscriptions=(Interest(FAILED, PROJECTS[0], JOBS[0]),)).uuid
        assert heard_by(session, FAILED, PROJECTS[0], JOBS[0]) == {hook}
        assert heard_by(session, FAILED, PROJECTS[0], JOBS[1]) == set()
        assert heard_by(session, FAILED, PROJECTS[0], None) == set()
        assert heard_by(session, FAILED, PROJECTS[1], JOBS[0]) == set()


def test_the_hook_of_a_project_hears_all_its_jobs_and_no_other_project(database: Database) -> None:
    with database.writing() as session:
        hook = added(session, subscriptions=(Interest("project:*", PROJECTS[0]),)).uuid
        assert heard_by(session, FAILED, PROJECTS[0], JOBS[1]) == {hook}
        assert heard_by(session, FAILED, PROJECTS[1], JOBS[1]) == set()


def test_a_hook_that_hears_an_event_in_three_ways_is_told_once(database: Database) -> None:
    ways = (Interest("*"), Interest("project:*", PROJECTS[0]), Interest(FAILED, PROJECTS[0], JOBS[0]))
    with database.writing() as session:
        hook = added(session, subscriptions=ways).uuid
        assert hearing(session, FAILED, PROJECTS[0], JOBS[0]) == [Hearing(hook, "webhook", "enabled")]


def test_a_type_of_a_newer_version_is_heard_through_wildcards(database: Database) -> None:
    with database.writing() as session:
        hook = added(session, subscriptions=(Interest("cluster:*"),)).uuid
        assert heard_by(session, "cluster:node:joined", None, None) == {hook}


def test_the_condition_of_a_paused_hook_is_told(database: Database) -> None:
    with database.writing() as session:
        hook = added(session).uuid
        administration.pause(session, hook, NOW)
        assert hearing(session, FAILED, None, None) == [Hearing(hook, "webhook", "paused")]


def test_analytics_hears_too_and_says_what_it_is(database: Database) -> None:
    uuid = new_uuid()
    with database.writing() as session:
        session.add(Analytics(uuid=uuid, created_at=NOW, max_in_flight=1))
        session.flush()
        session.add(Subscription(uuid=new_uuid(), subscriber_uuid=uuid, event_type="*"))
        health = {"condition": "enabled", "reason": "", "breaker": "closed", "consecutive_failures": 0, "openings": 0}
        session.add(EndpointRow(subscriber_uuid=uuid, **health))
        session.flush()
        assert hearing(session, FAILED, PROJECTS[0], None) == [Hearing(uuid, "analytics", "enabled")]
