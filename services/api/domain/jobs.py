"""Jobs from draft to end, without their runs, which belong to whoever starts them.

In: a session of the caller's transaction, and values. Out: `Job`s, and an event for each change. What may happen is
decided in `job_state.py`; here a row is locked, the decision written and told. Never: a variable in a list.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from sqlalchemy import select, tuple_

from outbox.events.facts import JobStatus, PipelineDefinition
from services.api.domain import job_facts, job_state, pipelines, projects
from services.api.domain.env_variables import opened, sealed
from services.api.domain.job_facts import Told
from services.api.domain.job_models import JobRow
from services.api.domain.job_state import ENDED, PIPELINE_PARAMETERS, JobState, Parameters
from services.api.domain.models import MOST_NAME_CHARACTERS, PipelineRow, inserted
from services.api.domain.schedule import next_time
from services.api.http.problems import Mistake, bad_request, conflict, not_found

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import JsonValue
    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from outbox.key_ring import KeyRing

_MOST_MISTAKES = 50
_ENVIRONMENT = "environment@"
"""In the place of an image: that of an environment of the project."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Draft:
    """A job to be."""

    uuid: UUID
    name: str
    project_uuid: UUID
    pipeline_uuid: UUID
    pipeline_name: str
    """"": as in its definition, or else as the pipeline is called."""
    pipeline_definition: Mapping[str, JsonValue] = field(repr=False)
    pipeline_run_spec: Mapping[str, JsonValue]
    snapshot_uuid: UUID | None
    schedule: str | None
    next_scheduled_time: datetime | None
    """Without a schedule; None with one, or when it is due as soon as it is confirmed."""
    parameters: Sequence[Parameters]
    strategy_json: Mapping[str, JsonValue]
    env_variables: Mapping[str, str] | None = field(repr=False)
    """None: those of the project and of the pipeline, as they are now."""
    max_retained_pipeline_runs: int


@dataclass(frozen=True, slots=True)
class ChosenPipeline:
    """Another one for a draft."""

    pipeline_uuid: UUID
    pipeline_name: str
    """"": as in its definition, or else as the pipeline is called."""
    definition: Mapping[str, JsonValue] = field(repr=False)
    path: str
    """Of its file in the project."""


@dataclass(frozen=True, slots=True)
class Job:
    """As it is; the fields of a row."""

    uuid: UUID
    name: str
    project_uuid: UUID
    pipeline_uuid: UUID
    pipeline_name: str
    pipeline_definition: Mapping[str, JsonValue] = field(repr=False)
    pipeline_run_spec: Mapping[str, JsonValue]
    snapshot_uuid: UUID | None
    status: JobStatus
    schedule: str | None
    next_scheduled_time: datetime | None
    last_scheduled_time: datetime | None
    parameters: Sequence[Parameters]
    strategy_json: Mapping[str, JsonValue]
    max_retained_pipeline_runs: int
    total_scheduled_executions: int
    total_scheduled_pipeline_runs: int
    created_time: datetime
    env_variables: Mapping[str, str] | None = field(default=None, repr=False)
    """None: not told. Their values may be secrets."""


class Place(NamedTuple):
    """Where a job stands in a list, the newest first: it stays there when the job is gone."""

    created_time: datetime
    uuid: UUID

    @classmethod
    def parse(cls, text: str) -> Place:
        """Of what `str` made. Raises ValueError."""
        microseconds, uuid = text.split(".")
        return cls(_EPOCH + timedelta(microseconds=int(microseconds)), UUID(uuid))

    def __str__(self) -> str:
        return f"{(self.created_time - _EPOCH) // timedelta(microseconds=1)}.{self.uuid}"


class NextScheduledJob(NamedTuple):
    uuid: UUID | None = None
    next_scheduled_time: datetime | None = None


def jobs(
    session: Session, project_uuid: UUID | None = None, after: Place | None = None, most: int | None = None
) -> list[Job]:
    """The newest first, without variables; `after`: those behind it."""
    place = (JobRow.created_time, JobRow.uuid)
    query = select(JobRow).order_by(*(column.desc() for column in place)).limit(most)
    if project_uuid is not None:
        query = query.where(JobRow.project_uuid == project_uuid)
    if after is not None:
        query = query.where(tuple_(*place) < tuple_(*after, types=[column.type for column in place]))
    return [_job(row) for row in session.scalars(query)]


def show(session: Session, uuid: UUID) -> Job:
    """Without variables. Raises ApiError 404."""
    row = session.get(JobRow, uuid)
    if row is None:
        raise not_found("job")
    return _job(row)


def show_whole(session: Session, uuid: UUID, key_ring: KeyRing) -> Job:
    """Raises ApiError 404, KeyRingError."""
    row = session.get(JobRow, uuid)
    if row is None:
        raise not_found("job")
    return _job(row, opened(key_ring, row.env_variables, _place(uuid)))


def next_scheduled(session: Session, project_uuid: UUID | None = None) -> NextScheduledJob:
    """Which confirmed job is due next, or has been due for longest."""
    due = JobRow.next_scheduled_time
    query = select(JobRow.uuid, due).where(due.is_not(None), JobRow.status.in_((JobStatus.PENDING, JobStatus.STARTED)))
    if project_uuid is not None:
        query = query.where(JobRow.project_uuid == project_uuid)
    found = session.execute(query.order_by(due, JobRow.uuid).limit(1)).first()
    return NextScheduledJob() if found is None else NextScheduledJob(*found)


def uses_environment(session: Session, project_uuid: UUID, environment_uuid: UUID) -> bool:
    """Whether a job that has not ended runs in it."""
    return any(_runs_in(row, environment_uuid) for row in session.scalars(_alive(project_uuid)))


def create(session: Session, draft: Draft, key_ring: KeyRing, now: datetime) -> Job:
    """Raises ApiError 400 for parameters of steps that are not there, 404 for the project or the pipeline, 409."""
    project = projects.locked(session, draft.project_uuid)
    pipeline = pipelines.show(session, draft.project_uuid, draft.pipeline_uuid)
    _check_parameters(draft.parameters, draft.pipeline_definition)
    variables = draft.env_variables
    if variables is None:
        variables = _inherited(session, project.uuid, pipeline.uuid, key_ring)
    values = {
        **{name: getattr(draft, name) for name in _DRAFT_COLUMNS},
        **_BLANK,
        "pipeline_name": _pipeline_name(draft.pipeline_name, draft.pipeline_definition, pipeline.name),
        "next_scheduled_time": next_time(draft.schedule, now) if draft.schedule else draft.next_scheduled_time,
        "env_variables": sealed(key_ring, variables, _place(draft.uuid)),
        "created_time": now,
    }
    if not inserted(session, JobRow, **values):
        raise conflict("There is a job with this uuid. Choose another uuid, or leave it out.")
    row = session.get_one(JobRow, draft.uuid)
    job_facts.tell_created(session, Told(row, project.name), len(variables))
    return _job(row, variables)


def update(session: Session, uuid: UUID, given: Mapping[str, Any], key_ring: KeyRing, now: datetime) -> None:
    """`given`: as in `job_state.update`. Tells only when something changed. Raises ApiError 400, 404, 409."""
    row = locked(session, uuid)
    _check_parameters(given.get("parameters") or (), row.pipeline_definition)
    _change(session, row, key_ring, lambda job: job_state.update(job, given, now))


def confirm(session: Session, uuid: UUID, given: Mapping[str, Any], key_ring: KeyRing, now: datetime) -> None:
    """Changes a draft for the last time, and it is none any more: a cron job has started, any other is due once.

    Raises ApiError 400, 404, 409.
    """
    row = locked(session, uuid)
    _check_parameters(given.get("parameters") or (), row.pipeline_definition)
    _change(session, row, key_ring, lambda job: job_state.confirm(job_state.update(job, given, now), now))
    if row.schedule is not None:
        job_facts.tell_started(session, _told(session, row))


def change_pipeline(session: Session, uuid: UUID, chosen: ChosenPipeline, key_ring: KeyRing) -> None:
    """Another pipeline for a draft, which begins anew (`job_state.begin_anew`). Raises ApiError 404, 409."""
    row = locked(session, uuid)
    pipeline = pipelines.show(session, row.project_uuid, chosen.pipeline_uuid)
    inherited = _inherited(session, row.project_uuid, row.pipeline_uuid, key_ring)
    to_inherit = _inherited(session, row.project_uuid, pipeline.uuid, key_ring)
    before = _state(row, opened(key_ring, row.env_variables, _place(uuid)))
    after = job_state.begin_anew(before, inherited, to_inherit)
    _write(row, before, after, key_ring)
    row.pipeline_uuid = chosen.pipeline_uuid
    row.pipeline_name = _pipeline_name(chosen.pipeline_name, chosen.definition, pipeline.name)
    row.pipeline_definition = dict(chosen.definition)
    row.pipeline_run_spec = job_state.whole_run(row.pipeline_run_spec, chosen.path)
    told = job_state.changes(before, after)
    job_facts.tell_updated(session, _told(session, row), told, len(after.env_variables))


def abort(session: Session, uuid: UUID) -> None:
    """It will not run again, and is kept. Raises ApiError 404, 409."""
    row = locked(session, uuid)
    _move(row, job_state.abort)
    job_facts.tell_cancelled(session, _told(session, row))


def abort_those_in(session: Session, project_uuid: UUID, environment_uuid: UUID) -> None:
    """The jobs that have not ended and run in an environment that will not be there any more."""
    rows = session.scalars(_alive(project_uuid).order_by(JobRow.uuid).with_for_update(key_share=True))
    for uuid in [row.uuid for row in rows if _runs_in(row, environment_uuid)]:
        abort(session, uuid)


def delete(session: Session, uuid: UUID) -> None:
    """Aborted first, if it has not ended. Raises ApiError 404."""
    row = locked(session, uuid)
    if row.status not in ENDED:
        abort(session, uuid)
    job_facts.tell_deleted(session, _told(session, row))
    session.delete(row)


def pause(session: Session, uuid: UUID) -> None:
    """Raises ApiError 404, 409."""
    row = locked(session, uuid)
    _move(row, job_state.pause)
    job_facts.tell_paused(session, _told(session, row))


def resume(session: Session, uuid: UUID, now: datetime) -> datetime | None:
    """When it is due next. Raises ApiError 404, 409."""
    row = locked(session, uuid)
    _move(row, lambda job: job_state.resume(job, now))
    job_facts.tell_unpaused(session, _told(session, row))
    return row.next_scheduled_time


def locked(session: Session, uuid: UUID) -> JobRow:
    """On PostgreSQL until the end of the transaction: changes of one job follow each other. Raises ApiError 404."""
    row = session.get(JobRow, uuid, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise not_found("job")
    return row


def _change(session: Session, row: JobRow, key_ring: KeyRing, decide: Callable[[JobState], JobState]) -> None:
    before = _state(row, opened(key_ring, row.env_variables, _place(row.uuid)))
    after = decide(before)
    _write(row, before, after, key_ring)
    if told := job_state.changes(before, after):
        job_facts.tell_updated(session, _told(session, row), told, len(after.env_variables))


def _move(row: JobRow, decide: Callable[[JobState], JobState]) -> None:
    """From one status to another: its variables stay what they are, even if nobody can read them any more."""
    after = decide(_state(row, {}))
    row.status, row.next_scheduled_time = after.status, after.next_scheduled_time


def _write(row: JobRow, before: JobState, after: JobState, key_ring: KeyRing) -> None:
    for name in _STATE_COLUMNS:
        if getattr(before, name) != getattr(after, name):
            setattr(row, name, getattr(after, name))
    if before.env_variables != after.env_variables:
        row.env_variables = sealed(key_ring, after.env_variables, _place(row.uuid))


_BLANK = {
    "status": JobStatus.DRAFT,
    "last_scheduled_time": None,
    "total_scheduled_executions": 0,
    "total_scheduled_pipeline_runs": 0,
}
_DRAFT_COLUMNS = tuple(part.name for part in fields(Draft))
_STATE_COLUMNS = tuple(part.name for part in fields(JobState) if part.name != "env_variables")
_JOB_COLUMNS = tuple(part.name for part in fields(Job) if part.name not in {"status", "env_variables"})


def _state(row: JobRow, variables: Mapping[str, str]) -> JobState:
    values = {name: getattr(row, name) for name in _STATE_COLUMNS}
    return JobState(**{**values, "status": JobStatus(row.status)}, env_variables=variables)


def _job(row: JobRow, variables: Mapping[str, str] | None = None) -> Job:
    values = {name: getattr(row, name) for name in _JOB_COLUMNS}
    return Job(**values, status=JobStatus(row.status), env_variables=variables)


def _pipeline_name(given: str, definition: Mapping[str, JsonValue], name: str) -> str:
    """`name`: what the pipeline is called outside of its definition."""
    return given or str(definition.get("name") or "")[:MOST_NAME_CHARACTERS] or name


def _inherited(session: Session, project_uuid: UUID, pipeline_uuid: UUID, key_ring: KeyRing) -> Mapping[str, str]:
    """What project and pipeline give to a job that is drafted now; the pipeline may have been deleted."""
    of_project = projects.env_variables(session, project_uuid, key_ring)
    row = session.get_one(PipelineRow, (project_uuid, pipeline_uuid))
    if row.deleted_at is not None:
        return of_project
    of_pipeline = pipelines.show_whole(session, project_uuid, pipeline_uuid, key_ring).env_variables
    return {**of_project, **(of_pipeline or {})}


def _told(session: Session, row: JobRow) -> Told:
    session.flush()
    return Told(row, projects.show(session, row.project_uuid).name)


def _check_parameters(parameters: Sequence[Parameters], definition: Mapping[str, JsonValue]) -> None:
    """Raises ApiError 400."""
    steps = definition.get("steps")
    known = {PIPELINE_PARAMETERS, *(steps if isinstance(steps, dict) else ())}
    mistakes = [
        Mistake(where=f"body.parameters.{number}", what=f"Only uuids of the pipeline's steps and {PIPELINE_PARAMETERS}")
        for number, of_run in enumerate(parameters)
        if not of_run.keys() <= known
    ]
    if mistakes:
        raise bad_request(
            "There are parameters for steps that the job's pipeline does not have.", mistakes[:_MOST_MISTAKES]
        )


def _alive(project_uuid: UUID) -> Select[JobRow]:
    return select(JobRow).where(JobRow.project_uuid == project_uuid, JobRow.status.not_in(tuple(ENDED)))


def _runs_in(row: JobRow, environment_uuid: UUID) -> bool:
    """By one of its steps, or by a service: its image is then the environment's."""
    definition = PipelineDefinition.model_validate(row.pipeline_definition)
    needed = {step.environment for step in definition.steps.values()}
    needed |= {service.image.removeprefix(_ENVIRONMENT) for service in definition.services.values()}
    return str(environment_uuid) in needed


def _place(uuid: UUID) -> str:
    return f"jobs/{uuid}/env_variables"
