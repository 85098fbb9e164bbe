"""What an event of a job tells: one-off and cron jobs are told apart by their schedule, here and nowhere else.

In: a job's row as it is after the change, the name of its project. Out: an event in the caller's transaction. Never: a
look at another row, an environment variable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from outbox.events import register
from outbox.events.facts import (
    Change,
    CronJobFacts,
    CronJobUpdateFacts,
    JobDefinition,
    JobStatus,
    OneOffJobFacts,
    OneOffJobUpdateFacts,
    PipelineDefinition,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from services.api.domain.job_models import JobRow


class Told(NamedTuple):
    """A job as its events tell of it."""

    row: JobRow
    project_name: str

    @property
    def is_cron(self) -> bool:
        return self.row.schedule is not None


def tell_created(session: Session, job: Told, env_variables_count: int) -> None:
    definition = _definition(job.row, env_variables_count)
    if job.is_cron:
        register.register_project_cron_job_created_event(session, _cron(job, definition=definition))
    else:
        register.register_project_one_off_job_created_event(session, _one_off(job, definition=definition))


def tell_updated(session: Session, job: Told, changes: Sequence[Change], env_variables_count: int) -> None:
    more = {"definition": _definition(job.row, env_variables_count), "changes": changes}
    if job.is_cron:
        facts = CronJobUpdateFacts(**_of_cron(job), **more)
        register.register_project_cron_job_updated_event(session, facts)
    else:
        register.register_project_one_off_job_updated_event(session, OneOffJobUpdateFacts(**_of_job(job), **more))


def tell_started(session: Session, job: Told) -> None:
    if job.is_cron:
        register.register_project_cron_job_started_event(session, _cron(job))
    else:
        register.register_project_one_off_job_started_event(session, _one_off(job))


def tell_cancelled(session: Session, job: Told) -> None:
    if job.is_cron:
        register.register_project_cron_job_cancelled_event(session, _cron(job))
    else:
        register.register_project_one_off_job_cancelled_event(session, _one_off(job))


def tell_deleted(session: Session, job: Told) -> None:
    if job.is_cron:
        register.register_project_cron_job_deleted_event(session, _cron(job))
    else:
        register.register_project_one_off_job_deleted_event(session, _one_off(job))


def tell_paused(session: Session, job: Told) -> None:
    register.register_project_cron_job_paused_event(session, _cron(job))


def tell_unpaused(session: Session, job: Told) -> None:
    register.register_project_cron_job_unpaused_event(session, _cron(job))


def _one_off(job: Told, **more: Any) -> OneOffJobFacts:
    return OneOffJobFacts(**_of_job(job), **more)


def _cron(job: Told, **more: Any) -> CronJobFacts:
    return CronJobFacts(**_of_cron(job), **more)


def _of_cron(job: Told) -> dict[str, Any]:
    next_time = job.row.next_scheduled_time
    return {**_of_job(job), "schedule": job.row.schedule, "next_scheduled_time": next_time}


def _of_job(job: Told) -> dict[str, Any]:
    row = job.row
    return {
        "project_uuid": row.project_uuid,
        "project_name": job.project_name,
        "job_uuid": row.uuid,
        "job_name": row.name,
        "job_status": JobStatus(row.status),
        "pipeline_uuid": row.pipeline_uuid,
        "pipeline_name": row.pipeline_name,
        "total_runs": len(row.parameters),
    }


def _definition(row: JobRow, env_variables_count: int) -> JobDefinition:
    return JobDefinition(
        pipeline_definition=PipelineDefinition.model_validate(row.pipeline_definition),
        env_variables_count=env_variables_count,
    )
