"""Pipelines, each in its project.

In: a session of the caller's transaction, and values. Out: `Pipeline`s, and one event for each change. The row of a
deleted pipeline stays, emptied, for the jobs that ran it; to everybody else it does not exist, and a pipeline with its
uuid can be added again. Never: a variable in a list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select, tuple_
from sqlalchemy import update as update_rows

from outbox.events.facts import PipelineFacts, PipelineUpdateFacts
from outbox.events.register import (
    register_project_pipeline_created_event,
    register_project_pipeline_deleted_event,
    register_project_pipeline_updated_event,
)
from services.api.domain import projects
from services.api.domain.alteration import Alteration, alter
from services.api.domain.env_variables import opened, sealed
from services.api.domain.job_models import JobRow
from services.api.domain.models import PipelineRow, ProjectRow, inserted
from services.api.http.problems import conflict, not_found

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from outbox.key_ring import KeyRing


@dataclass(frozen=True, slots=True)
class Pipeline:
    project_uuid: UUID
    uuid: UUID
    name: str
    env_variables: Mapping[str, str] | None = None
    """None: not told. Their values may be secrets."""


_IS_THERE = PipelineRow.deleted_at.is_(None)


def pipelines(session: Session, after: tuple[UUID, UUID] | None = None, most: int | None = None) -> list[Pipeline]:
    """Of all projects, in the order of project and uuid, without variables; `after`: those behind it."""
    query = (
        select(PipelineRow.project_uuid, PipelineRow.uuid, PipelineRow.name)
        .where(_IS_THERE)
        .order_by(PipelineRow.project_uuid, PipelineRow.uuid)
        .limit(most)
    )
    if after is not None:
        query = query.where(tuple_(PipelineRow.project_uuid, PipelineRow.uuid) > after)
    return [Pipeline(*row) for row in session.execute(query)]


def show(session: Session, project_uuid: UUID, uuid: UUID) -> Pipeline:
    """Without variables. Raises ApiError 404."""
    row = _row(session, project_uuid, uuid)
    return Pipeline(project_uuid, uuid, row.name)


def show_whole(session: Session, project_uuid: UUID, uuid: UUID, key_ring: KeyRing) -> Pipeline:
    """Raises ApiError 404, KeyRingError."""
    row = _row(session, project_uuid, uuid)
    return Pipeline(project_uuid, uuid, row.name, opened(key_ring, row.env_variables, _place(project_uuid, uuid)))


def create(session: Session, pipeline: Pipeline, key_ring: KeyRing, now: datetime) -> Pipeline:
    """Raises ApiError 404 for an unknown project, 409."""
    project = projects.locked(session, pipeline.project_uuid)
    variables = pipeline.env_variables or {}
    values = {
        "project_uuid": pipeline.project_uuid,
        "uuid": pipeline.uuid,
        "name": pipeline.name,
        "env_variables": sealed(key_ring, variables, _place(pipeline.project_uuid, pipeline.uuid)),
        "created_at": now,
        "deleted_at": None,
    }
    if not inserted(session, PipelineRow, **values) and not _revived(session, values):
        raise conflict("There is a pipeline with this uuid in the project. Choose another uuid, or leave it out.")
    register_project_pipeline_created_event(session, _facts(session, project, pipeline.uuid, pipeline.name))
    return Pipeline(pipeline.project_uuid, pipeline.uuid, pipeline.name, variables)


def update(session: Session, project_uuid: UUID, uuid: UUID, asked: Alteration, key_ring: KeyRing) -> None:
    """Tells only when something changed. Raises ApiError 404, KeyRingError."""
    project = projects.locked(session, project_uuid)
    row = _row(session, project_uuid, uuid)
    if found := alter(row, asked, key_ring, _place(project_uuid, uuid)):
        _rename_in_jobs(session, row)
        facts = PipelineUpdateFacts(
            project_uuid=project_uuid,
            project_name=project.name,
            pipeline_uuid=uuid,
            pipeline_name=row.name,
            changes=found,
        )
        register_project_pipeline_updated_event(session, facts)


def delete(session: Session, project_uuid: UUID, uuid: UUID, key_ring: KeyRing, now: datetime) -> None:
    """Raises ApiError 404."""
    project = projects.locked(session, project_uuid)
    row = _row(session, project_uuid, uuid)
    row.deleted_at = now
    row.env_variables = sealed(key_ring, {}, _place(project_uuid, uuid))
    session.flush()
    register_project_pipeline_deleted_event(session, _facts(session, project, uuid, row.name))


def _row(session: Session, project_uuid: UUID, uuid: UUID) -> PipelineRow:
    row = session.get(PipelineRow, (project_uuid, uuid))
    if row is None or row.deleted_at is not None:
        raise not_found("pipeline")
    return row


def _revived(session: Session, values: Mapping[str, object]) -> bool:
    """Whether there was a deleted one with this key, which then is the new one."""
    row = session.get_one(PipelineRow, (values["project_uuid"], values["uuid"]))
    if row.deleted_at is None:
        return False
    for name, value in values.items():
        setattr(row, name, value)
    session.flush()
    return True


def _rename_in_jobs(session: Session, row: PipelineRow) -> None:
    """Jobs go on with the definition that they have, but under the name by which people know the pipeline now."""
    its = (JobRow.project_uuid == row.project_uuid, JobRow.pipeline_uuid == row.uuid)
    session.execute(update_rows(JobRow).where(*its, JobRow.pipeline_name != row.name).values(pipeline_name=row.name))


def _facts(session: Session, project: ProjectRow, uuid: UUID, name: str) -> PipelineFacts:
    its = select(func.count()).select_from(PipelineRow).where(PipelineRow.project_uuid == project.uuid, _IS_THERE)
    return PipelineFacts(
        project_uuid=project.uuid,
        project_name=project.name,
        pipeline_uuid=uuid,
        pipeline_name=name,
        project_pipelines_count=session.scalar(its),
    )


def _place(project_uuid: UUID, uuid: UUID) -> str:
    return f"pipelines/{project_uuid}/{uuid}/env_variables"
