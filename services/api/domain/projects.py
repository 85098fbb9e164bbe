"""Projects from the first request to the last.

In: a session of the caller's transaction, and values. Out: `Project`s, and one event for each change. Deleting one
deletes all that is in it, and tells of the project alone. Never: a variable in a list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete as sql_delete
from sqlalchemy import func, select

from outbox.events.facts import ProjectFacts, ProjectUpdateFacts
from outbox.events.register import (
    register_project_created_event,
    register_project_deleted_event,
    register_project_updated_event,
)
from services.api.domain.alteration import Alteration, alter
from services.api.domain.env_variables import opened, sealed
from services.api.domain.models import ProjectRow, inserted
from services.api.http.problems import conflict, not_found

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from outbox.key_ring import KeyRing


@dataclass(frozen=True, slots=True)
class Project:
    uuid: UUID
    name: str
    env_variables: Mapping[str, str] | None = None
    """None: not told. Their values may be secrets."""


def projects(session: Session, after: UUID | None = None, most: int | None = None) -> list[Project]:
    """In the order of their uuids, without variables; `after`: those behind it, be it there or not."""
    query = select(ProjectRow.uuid, ProjectRow.name).order_by(ProjectRow.uuid).limit(most)
    rows = session.execute(query if after is None else query.where(ProjectRow.uuid > after))
    return [Project(uuid, name) for uuid, name in rows]


def show(session: Session, uuid: UUID) -> Project:
    """Without variables. Raises ApiError 404."""
    row = session.execute(select(ProjectRow.uuid, ProjectRow.name).where(ProjectRow.uuid == uuid)).first()
    if row is None:
        raise not_found("project")
    return Project(row.uuid, row.name)


def show_whole(session: Session, uuid: UUID, key_ring: KeyRing) -> Project:
    """Raises ApiError 404, KeyRingError."""
    row = session.get(ProjectRow, uuid)
    if row is None:
        raise not_found("project")
    return Project(row.uuid, row.name, opened(key_ring, row.env_variables, _place(uuid)))


def create(session: Session, project: Project, key_ring: KeyRing, now: datetime) -> Project:
    """Raises ApiError 409."""
    variables = project.env_variables or {}
    values = {
        "uuid": project.uuid,
        "name": project.name,
        "env_variables": sealed(key_ring, variables, _place(project.uuid)),
        "created_at": now,
    }
    if not inserted(session, ProjectRow, **values):
        raise conflict("There is a project with this uuid. Choose another uuid, or leave it out.")
    register_project_created_event(session, _facts(session, project.uuid, project.name))
    return Project(project.uuid, project.name, variables)


def update(session: Session, uuid: UUID, asked: Alteration, key_ring: KeyRing) -> None:
    """Tells only when something changed. Raises ApiError 404, KeyRingError."""
    row = locked(session, uuid)
    if found := alter(row, asked, key_ring, _place(uuid)):
        facts = ProjectUpdateFacts(project_uuid=uuid, project_name=row.name, changes=found)
        register_project_updated_event(session, facts)


def delete(session: Session, uuid: UUID) -> None:
    """With its pipelines, environments and jobs. Raises ApiError 404."""
    name = session.scalar(select(ProjectRow.name).where(ProjectRow.uuid == uuid).with_for_update())
    if name is None:
        raise not_found("project")
    session.execute(sql_delete(ProjectRow).where(ProjectRow.uuid == uuid))
    register_project_deleted_event(session, _facts(session, uuid, name))


def locked(session: Session, uuid: UUID) -> ProjectRow:
    """On PostgreSQL until the end of the transaction: changes in one project follow each other. Raises ApiError 404."""
    row = session.get(ProjectRow, uuid, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise not_found("project")
    return row


def env_variables(session: Session, uuid: UUID, key_ring: KeyRing) -> Mapping[str, str]:
    """Raises ApiError 404, KeyRingError."""
    return show_whole(session, uuid, key_ring).env_variables or {}


def _facts(session: Session, uuid: UUID, name: str) -> ProjectFacts:
    count = session.scalar(select(func.count()).select_from(ProjectRow))
    return ProjectFacts(project_uuid=uuid, project_name=name, projects_count=count)


def _place(uuid: UUID) -> str:
    return f"projects/{uuid}/env_variables"
