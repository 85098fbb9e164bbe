"""What may happen to a job, and what comes of it. Pure: a job as a value, what is asked, the time; a job as a value.

    DRAFT --confirm, with a schedule--> STARTED (a cron job) <--pause, resume--> PAUSED
    DRAFT --confirm, without--> PENDING (due once) --> STARTED --> SUCCESS, FAILURE (its runs decide)
    each of these but the last two --abort--> ABORTED

In: values. Out: values; what cannot be done to a job as it is raises ApiError 409. Never: a row, a clock, an event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime  # noqa: TC003
from enum import StrEnum
from typing import Any, Final, TypeAlias

from pydantic import JsonValue

from outbox.events.facts import Change, ChangedObject, ChangeType, JobStatus
from services.api.domain import env_variables
from services.api.domain.schedule import next_time
from services.api.http.problems import conflict

Parameters: TypeAlias = Mapping[str, Mapping[str, JsonValue]]
"""Of one pipeline run: by step uuid, and under `pipeline_parameters` those of the pipeline."""

PIPELINE_PARAMETERS: Final = "pipeline_parameters"
ALL_RUNS: Final = -1
"""As `max_retained_pipeline_runs`: none is ever deleted."""
ENDED: Final = frozenset({JobStatus.SUCCESS, JobStatus.FAILURE, JobStatus.ABORTED})


class Kind(StrEnum):
    """Which fields may change is decided by these, not by the status alone."""

    DRAFT = "a draft"
    CRON = "a cron job"
    ONE_OFF = "a job that runs once"
    ENDED = "a job that has ended"


@dataclass(frozen=True, slots=True)
class JobState:
    """All of a job that can change."""

    status: JobStatus
    name: str
    schedule: str | None
    """A cron expression; None: it runs once."""
    next_scheduled_time: datetime | None
    """When it is due: None for a draft that is due as soon as it is confirmed, and when it will not run again."""
    last_scheduled_time: datetime | None
    parameters: Sequence[Parameters]
    """One for each pipeline run."""
    env_variables: Mapping[str, str] = field(repr=False)
    strategy_json: Mapping[str, JsonValue]
    """How people came to the parameters; kept for them."""
    max_retained_pipeline_runs: int

    @property
    def kind(self) -> Kind:
        if self.status is JobStatus.DRAFT:
            return Kind.DRAFT
        if self.status in ENDED:
            return Kind.ENDED
        return Kind.ONE_OFF if self.schedule is None else Kind.CRON


MAY_CHANGE: Mapping[str, frozenset[Kind]] = {
    "name": frozenset({Kind.DRAFT, Kind.CRON, Kind.ONE_OFF}),
    "schedule": frozenset({Kind.DRAFT, Kind.CRON}),
    "next_scheduled_time": frozenset({Kind.DRAFT}),
    "parameters": frozenset({Kind.DRAFT, Kind.CRON}),
    "env_variables": frozenset({Kind.DRAFT, Kind.CRON}),
    "strategy_json": frozenset({Kind.DRAFT, Kind.CRON}),
    "max_retained_pipeline_runs": frozenset({Kind.DRAFT, Kind.CRON}),
}
"""What an update may name, by kind of job."""


def update(job: JobState, given: Mapping[str, Any], now: datetime) -> JobState:
    """`given`: fields of `JobState` that are in MAY_CHANGE, with valid values; the others stay.

    A draft has a schedule or a time, never both: the one that is given takes the other's place; None for either makes
    it due as soon as it is confirmed. For other jobs such a None says nothing. Raises ApiError 409.
    """
    draft = job.status is JobStatus.DRAFT
    asked = {name: value for name, value in given.items() if draft or value is not None}
    for name in asked:
        _check_may_change(job, name)
    changed = replace(job, **{name: value for name, value in asked.items() if name not in _TIMES})
    if asked.get("schedule") is not None:
        return _on_schedule(changed, asked["schedule"], now)
    if asked.keys() & _TIMES:
        return replace(changed, schedule=None, next_scheduled_time=asked.get("next_scheduled_time"))
    return changed


_TIMES = frozenset({"schedule", "next_scheduled_time"})


def _check_may_change(job: JobState, name: str) -> None:
    kinds = MAY_CHANGE[name]
    if job.kind not in kinds:
        allowed = " or ".join(kind.value for kind in Kind if kind in kinds)
        raise conflict(f"This is {job.kind.value}: its {name} does not change any more, only that of {allowed}.")


def _on_schedule(job: JobState, schedule: str, now: datetime) -> JobState:
    time = next_time(schedule, now)
    return replace(job, schedule=schedule, next_scheduled_time=None if job.status is JobStatus.PAUSED else time)


def confirm(job: JobState, now: datetime) -> JobState:
    """No draft any more. Without a schedule it is due once, now if its time has passed or was never set.

    Raises ApiError 409.
    """
    if job.status is not JobStatus.DRAFT:
        raise conflict(f"Only a draft can be confirmed; this is {job.kind.value}.")
    if job.schedule is None:
        due = max(job.next_scheduled_time or now, now)
        return replace(job, status=JobStatus.PENDING, next_scheduled_time=due, last_scheduled_time=due)
    due = next_time(job.schedule, now)
    return replace(job, status=JobStatus.STARTED, next_scheduled_time=due, last_scheduled_time=due)


def abort(job: JobState) -> JobState:
    """It will not run again. Raises ApiError 409."""
    if job.status in ENDED:
        raise conflict("The job has ended already: nothing is left to be aborted.")
    return replace(job, status=JobStatus.ABORTED, next_scheduled_time=None)


def pause(job: JobState) -> JobState:
    """Raises ApiError 409."""
    if job.kind is not Kind.CRON or job.status is not JobStatus.STARTED:
        raise conflict("Only a cron job that is not paused can be paused; drafts have to be confirmed first.")
    return replace(job, status=JobStatus.PAUSED, next_scheduled_time=None)


def resume(job: JobState, now: datetime) -> JobState:
    """What was missed meanwhile stays missed. Raises ApiError 409."""
    if job.status is not JobStatus.PAUSED or job.schedule is None:
        raise conflict("Only a cron job that is paused can be resumed.")
    return replace(job, status=JobStatus.STARTED, next_scheduled_time=next_time(job.schedule, now))


def begin_anew(job: JobState, inherited: Mapping[str, str], to_inherit: Mapping[str, str]) -> JobState:
    """A draft for another pipeline: the parameters were those of the first. `inherited` are the variables that projects
    and pipelines give to jobs of the first, `to_inherit` to those of the other; what was changed, added or taken away
    by hand stays so. Raises ApiError 409.
    """
    if job.status is not JobStatus.DRAFT:
        raise conflict(f"Only a draft can get another pipeline; this is {job.kind.value}. Draft a new job.")
    by_hand = {name: value for name, value in job.env_variables.items() if inherited.get(name) != value}
    taken_away = inherited.keys() - job.env_variables.keys()
    variables = {name: value for name, value in {**to_inherit, **by_hand}.items() if name not in taken_away}
    return replace(job, parameters=[{}], strategy_json={}, env_variables=variables)


def whole_run(run_spec: Mapping[str, JsonValue], pipeline_path: str) -> dict[str, JsonValue]:
    """Of another pipeline: steps of the first are not chosen any more; where the project lies stays."""
    run_config = run_spec.get("run_config")
    whose = {**(run_config if isinstance(run_config, dict) else {}), "pipeline_path": pipeline_path}
    return {**run_spec, "run_type": "full", "uuids": [], "run_config": whose}


def changes(before: JobState, after: JobState) -> tuple[Change, ...]:
    """What an update's event tells: environment variables, then the other fields in their order there."""
    return (*env_variables.changes(before.env_variables, after.env_variables), *_field_changes(before, after))


_TOLD = tuple(kind for kind in ChangedObject if kind is not ChangedObject.ENVIRONMENT_VARIABLE)
_TOLD_WITH_VALUES = frozenset(
    {
        ChangedObject.SCHEDULE,
        ChangedObject.MAX_RETAINED_PIPELINE_RUNS,
        ChangedObject.NEXT_SCHEDULED_TIME,
        ChangedObject.STATUS,
    }
)


def _field_changes(before: JobState, after: JobState) -> tuple[Change, ...]:
    pairs = [(kind, getattr(before, kind.value), getattr(after, kind.value)) for kind in _TOLD]
    return tuple(_change(kind, old, new) for kind, old, new in pairs if old != new)


def _change(kind: ChangedObject, old: object, new: object) -> Change:
    if kind not in _TOLD_WITH_VALUES:
        return Change(type=ChangeType.UPDATED, changed_object=kind)
    return Change(type=ChangeType.UPDATED, changed_object=kind, old_value=_text(old), new_value=_text(new))


def _text(value: object) -> str | None:
    return None if value is None else str(value)
