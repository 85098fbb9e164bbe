"""A change and its event are one: when the transaction of a change is rolled back, neither is there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from sqlalchemy import func, select

from outbox.database import Database
from outbox.events.records import EventFilter, list_events
from outbox.key_ring import KeyRing
from outbox.schema import migrate
from services.api.domain import environments, pipelines, projects
from services.api.domain.alteration import Alteration
from services.api.domain.environments import Environment
from services.api.domain.models import EnvironmentRow, PipelineRow, ProjectRow
from services.api.domain.pipelines import Pipeline
from services.api.domain.projects import Project
from services.api.http.problems import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

RING = KeyRing(["a-key-for-the-variables-of-this-test-0123456789"])
NOW = datetime(2026, 11, 22, tzinfo=UTC)
A, B = UUID(int=1), UUID(int=2)
OTHER = Alteration(name="other", env_variables={"A": "1"})


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """With one of each."""
    with closing(Database(database_url)) as database:
        migrate(database)
        with database.writing() as session:
            projects.create(session, Project(A, "p"), RING, NOW)
            pipelines.create(session, Pipeline(A, A, "q"), RING, NOW)
            environments.create(session, Environment(A, A), NOW)
        yield database


CHANGES: tuple[Callable[[Session], object], ...] = (
    lambda session: projects.create(session, Project(B, "p"), RING, NOW),
    lambda session: projects.update(session, A, OTHER, RING),
    lambda session: projects.delete(session, A),
    lambda session: pipelines.create(session, Pipeline(A, B, "q"), RING, NOW),
    lambda session: pipelines.update(session, A, A, OTHER, RING),
    lambda session: pipelines.delete(session, A, A, RING, NOW),
    lambda session: environments.create(session, Environment(A, B), NOW),
    lambda session: environments.delete(session, A, A),
)


def state(database: Database) -> tuple[object, ...]:
    with database.reading() as session:
        counts = [session.scalar(select(func.count()).select_from(row)) for row in (ProjectRow, EnvironmentRow)]
        names = session.execute(select(ProjectRow.name, ProjectRow.env_variables).order_by(ProjectRow.uuid)).all()
        pipeline = (PipelineRow.name, PipelineRow.env_variables, PipelineRow.deleted_at)
        steps = session.execute(select(*pipeline).order_by(PipelineRow.uuid)).all()
        return (counts, names, steps, len(list_events(session, EventFilter(), None, 100)))


def test_what_is_rolled_back_changed_nothing_and_is_told_to_nobody(database: Database) -> None:
    before = state(database)
    for change in CHANGES:
        with pytest.raises(ZeroDivisionError), database.writing() as session:  # noqa: PT012 - the change must go well
            change(session)
            session.flush()
            assert len(list_events(session, EventFilter(), None, 100)) == 4
            raise ZeroDivisionError
        assert state(database) == before


ADDITIONS: tuple[Callable[[Session], object], ...] = (
    lambda session: pipelines.create(session, Pipeline(A, B, "q"), RING, NOW),
    lambda session: environments.create(session, Environment(A, B), NOW),
    lambda session: pipelines.update(session, A, A, OTHER, RING),
)


@pytest.mark.parametrize("change", ADDITIONS)
def test_who_changes_something_in_a_project_that_is_being_deleted_waits_and_finds_it_gone(
    database: Database, change: Callable[[Session], object]
) -> None:
    def attempt() -> None:
        with database.writing() as session:
            change(session)

    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            projects.delete(session, A)
            waiting = pool.submit(attempt)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
        with pytest.raises(ApiError) as refused:
            waiting.result(timeout=30)
    assert refused.value.status == HTTPStatus.NOT_FOUND
