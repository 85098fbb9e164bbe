"""Environments, each in its project: what steps run in. Their images come later; here is only that they exist.

In: a session of the caller's transaction, and values. Out: `Environment`s, and one event for each change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, tuple_

from outbox.events.facts import EnvironmentFacts
from outbox.events.register import (
    register_project_environment_created_event,
    register_project_environment_deleted_event,
)
from services.api.domain import jobs, projects
from services.api.domain.models import EnvironmentRow, inserted
from services.api.http.problems import conflict, not_found

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Environment:
    project_uuid: UUID
    uuid: UUID


_ALL = select(EnvironmentRow.project_uuid, EnvironmentRow.uuid).order_by(
    EnvironmentRow.project_uuid, EnvironmentRow.uuid
)


def environments(
    session: Session, after: tuple[UUID, UUID] | None = None, most: int | None = None
) -> list[Environment]:
    """Of all projects, in the order of project and uuid; `after`: those behind it."""
    query = _ALL.limit(most)
    if after is not None:
        query = query.where(tuple_(EnvironmentRow.project_uuid, EnvironmentRow.uuid) > after)
    return [Environment(*row) for row in session.execute(query)]


def environments_of(
    session: Session, project_uuid: UUID, after: UUID | None = None, most: int | None = None
) -> list[Environment]:
    """Likewise, of one project. Raises ApiError 404."""
    projects.show(session, project_uuid)
    query = _ALL.where(EnvironmentRow.project_uuid == project_uuid).limit(most)
    rows = session.execute(query if after is None else query.where(EnvironmentRow.uuid > after))
    return [Environment(*row) for row in rows]


def show(session: Session, project_uuid: UUID, uuid: UUID) -> Environment:
    """Raises ApiError 404."""
    if session.get(EnvironmentRow, (project_uuid, uuid)) is None:
        raise not_found("environment")
    return Environment(project_uuid, uuid)


def is_used(session: Session, project_uuid: UUID, uuid: UUID) -> bool:
    """Whether a job that has not ended needs it. Raises ApiError 404."""
    show(session, project_uuid, uuid)
    return jobs.uses_environment(session, project_uuid, uuid)


def create(session: Session, environment: Environment, now: datetime) -> Environment:
    """Raises ApiError 404 for an unknown project, 409."""
    project = projects.locked(session, environment.project_uuid)
    values = {"project_uuid": environment.project_uuid, "uuid": environment.uuid, "created_at": now}
    if not inserted(session, EnvironmentRow, **values):
        raise conflict("There is an environment with this uuid in the project. Choose another uuid, or leave it out.")
    register_project_environment_created_event(session, _facts(environment, project.name))
    return environment


def delete(session: Session, project_uuid: UUID, uuid: UUID) -> None:
    """Jobs that need it and have not ended are aborted. Raises ApiError 404."""
    project = projects.locked(session, project_uuid)
    row = session.get(EnvironmentRow, (project_uuid, uuid))
    if row is None:
        raise not_found("environment")
    jobs.abort_those_in(session, project_uuid, uuid)
    session.delete(row)
    session.flush()
    register_project_environment_deleted_event(session, _facts(Environment(project_uuid, uuid), project.name))


def _facts(environment: Environment, project_name: str) -> EnvironmentFacts:
    return EnvironmentFacts(
        project_uuid=environment.project_uuid, project_name=project_name, environment_uuid=environment.uuid
    )
