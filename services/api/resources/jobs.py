"""`/api/jobs`: the paths, bodies and codes of the original. The runs of jobs are not here."""

from __future__ import annotations

from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Any

from services.api.domain import jobs
from services.api.domain.jobs import ChosenPipeline, Draft, Place
from services.api.http.operation import Nothing, Operation, Reads, Reply, Scope, Writes
from services.api.http.problems import bad_request, conflict
from services.api.resources.job_bodies import (
    JobCreation,
    JobList,
    JobPath,
    JobPipelineUpdate,
    JobQuery,
    JobsQuery,
    JobUpdate,
    JobView,
    NextScheduledJobView,
    ProjectQuery,
    Resumed,
)
from services.api.resources.lists import first, wanted
from services.api.resources.message import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from outbox.key_ring import KeyRing
    from services.api.http.operation import Call

_CONFLICT = (HTTPStatus.CONFLICT,)
_NOT_FOUND_OR_CONFLICT = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


class Jobs:
    """`/api/jobs`."""

    def __init__(self, key_ring: KeyRing) -> None:
        self._key_ring = key_ring

    def operations(self) -> tuple[Operation, ...]:
        return (*self._of_all(), *self._of_one(), *self._of_cron_jobs())

    def _of_all(self) -> tuple[Operation, ...]:
        return (
            Operation(
                *(HTTPMethod.GET, "/api/jobs/", "list_jobs", "All jobs, the newest first", Scope.READ),
                Reads(self.list),
                query=JobsQuery,
                answer=JobList,
                tag="jobs",
            ),
            Operation(
                *(HTTPMethod.POST, "/api/jobs/", "create_job", "Draft a job", Scope.WRITE),
                Writes(self.create),
                body=JobCreation,
                answer=JobView,
                status=HTTPStatus.CREATED,
                problems=_NOT_FOUND_OR_CONFLICT,
                tag="jobs",
                description="It runs once its draft is confirmed: `PUT` it with `confirm_draft`.",
            ),
            Operation(
                *(HTTPMethod.GET, "/api/jobs/next_scheduled_job", "show_next_scheduled_job", "Which job is due next"),
                *(Scope.READ, Reads(self.next_scheduled)),
                query=ProjectQuery,
                answer=NextScheduledJobView,
                tag="jobs",
            ),
        )

    def _of_one(self) -> tuple[Operation, ...]:
        one = "/api/jobs/{job_uuid}"
        return (
            Operation(
                *(HTTPMethod.GET, one, "show_job", "One job", Scope.READ, Reads(self.show)),
                parameters=JobPath,
                query=JobQuery,
                answer=JobView,
                tag="jobs",
            ),
            Operation(
                *(HTTPMethod.PUT, one, "update_job", "Change a job, or confirm a draft", Scope.WRITE),
                Writes(self.update),
                parameters=JobPath,
                body=JobUpdate,
                answer=Message,
                problems=_CONFLICT,
                tag="jobs",
                description="Drafts and cron jobs can be changed; of a job that runs once, the name alone.",
            ),
            Operation(
                *(HTTPMethod.DELETE, one, "abort_job", "Abort a job", Scope.WRITE, Writes(self.abort)),
                parameters=JobPath,
                answer=Message,
                problems=_CONFLICT,
                tag="jobs",
                description="It is kept, and will not run again.",
            ),
            Operation(
                *(HTTPMethod.DELETE, "/api/jobs/cleanup/{job_uuid}", "delete_job", "Delete a job", Scope.WRITE),
                Writes(self.delete),
                parameters=JobPath,
                answer=Message,
                tag="jobs",
                description="It is aborted first if it has not ended.",
            ),
            Operation(
                *(HTTPMethod.PUT, "/api/jobs/{job_uuid}/pipeline", "change_job_pipeline"),
                *("Let a draft run another pipeline", Scope.WRITE, Writes(self.change_pipeline)),
                parameters=JobPath,
                body=JobPipelineUpdate,
                answer=Message,
                problems=_CONFLICT,
                tag="jobs",
                description="Its parameters begin anew, and so does its strategy.",
            ),
        )

    def _of_cron_jobs(self) -> tuple[Operation, ...]:
        return (
            Operation(
                *(HTTPMethod.POST, "/api/jobs/cronjobs/pause/{job_uuid}", "pause_cron_job", "Pause a cron job"),
                *(Scope.WRITE, Writes(self.pause)),
                parameters=JobPath,
                answer=Message,
                problems=_CONFLICT,
                tag="jobs",
            ),
            Operation(
                *(HTTPMethod.POST, "/api/jobs/cronjobs/resume/{job_uuid}", "resume_cron_job", "Resume a cron job"),
                *(Scope.WRITE, Writes(self.resume)),
                parameters=JobPath,
                answer=Resumed,
                problems=_CONFLICT,
                tag="jobs",
                description="What it missed stays missed.",
            ),
        )

    def list(self, session: Session, call: Call[Nothing, JobsQuery, Nothing]) -> Reply:
        query = call.query
        after = _place(query.cursor) if query.cursor else None
        found = jobs.jobs(session, query.project_uuid, after, wanted(query.limit))
        part, last = first(found, query.limit)
        return Reply({"jobs": part, "next_cursor": last and str(Place(last.created_time, last.uuid))})

    def create(self, session: Session, call: Call[Nothing, Nothing, JobCreation]) -> Reply:
        return Reply(jobs.create(session, _draft(call.body), self._key_ring, call.now))

    def show(self, session: Session, call: Call[JobPath, JobQuery, Nothing]) -> Reply:
        job = self._shown(session, call)
        if call.query.aggregate_run_statuses is None:
            return Reply(job)
        return Reply(JobView.model_validate(job).model_copy(update={"pipeline_run_status_counts": {}}))

    def _shown(self, session: Session, call: Call[JobPath, JobQuery, Nothing]) -> jobs.Job:
        if call.caller.may(Scope.WRITE):
            return jobs.show_whole(session, call.path.job_uuid, self._key_ring)
        return jobs.show(session, call.path.job_uuid)

    def next_scheduled(self, session: Session, call: Call[Nothing, ProjectQuery, Nothing]) -> Reply:
        return Reply(jobs.next_scheduled(session, call.query.project_uuid))

    def update(self, session: Session, call: Call[JobPath, Nothing, JobUpdate]) -> Reply:
        change = jobs.confirm if call.body.confirm_draft else jobs.update
        change(session, call.path.job_uuid, _given(call.body), self._key_ring, call.now)
        return Reply({"message": "Job was updated successfully"})

    def abort(self, session: Session, call: Call[JobPath, Nothing, Nothing]) -> Reply:
        jobs.abort(session, call.path.job_uuid)
        return Reply({"message": "Job termination was successful."})

    def delete(self, session: Session, call: Call[JobPath, Nothing, Nothing]) -> Reply:
        jobs.delete(session, call.path.job_uuid)
        return Reply({"message": "Job deletion was successful."})

    def change_pipeline(self, session: Session, call: Call[JobPath, Nothing, JobPipelineUpdate]) -> Reply:
        body = call.body
        if body.pipeline_definition is None:
            raise conflict(
                "The job has no snapshot of its project to take the pipeline from: send pipeline_definition along."
            )
        chosen = ChosenPipeline(body.pipeline_uuid, body.pipeline_name, body.pipeline_definition, body.pipeline_path)
        jobs.change_pipeline(session, call.path.job_uuid, chosen, self._key_ring)
        return Reply({"message": "Job pipeline was updated successfully"})

    def pause(self, session: Session, call: Call[JobPath, Nothing, Nothing]) -> Reply:
        jobs.pause(session, call.path.job_uuid)
        return Reply({"message": "Cron job pausing was successful."})

    def resume(self, session: Session, call: Call[JobPath, Nothing, Nothing]) -> Reply:
        return Reply({"next_scheduled_time": jobs.resume(session, call.path.job_uuid, call.now)})


def _draft(body: JobCreation) -> Draft:
    return Draft(
        uuid=body.uuid,
        name=body.name,
        project_uuid=body.project_uuid,
        pipeline_uuid=body.pipeline_uuid,
        pipeline_name=body.pipeline_name,
        pipeline_definition=body.pipeline_definition,
        pipeline_run_spec=body.pipeline_run_spec.model_dump(mode="json", exclude_none=True),
        snapshot_uuid=body.snapshot_uuid,
        schedule=body.cron_schedule,
        next_scheduled_time=body.next_scheduled_time or body.scheduled_start,
        parameters=body.parameters,
        strategy_json=body.strategy_json,
        env_variables=body.env_variables,
        max_retained_pipeline_runs=body.max_retained_pipeline_runs,
    )


_NULL_SAYS_SOMETHING = frozenset({"schedule", "next_scheduled_time"})
_FIELD_NAMES = {"cron_schedule": "schedule"}


def _given(body: JobUpdate) -> Mapping[str, Any]:
    """What of a job is to be changed, by its own names."""
    named = {_FIELD_NAMES.get(name, name): getattr(body, name) for name in body.model_fields_set - {"confirm_draft"}}
    return {name: value for name, value in named.items() if value is not None or name in _NULL_SAYS_SOMETHING}


def _place(cursor: str) -> Place:
    try:
        return Place.parse(cursor)
    except (ValueError, OverflowError):
        raise bad_request("The cursor is none of this list. Leave it out to begin with the first job.") from None
