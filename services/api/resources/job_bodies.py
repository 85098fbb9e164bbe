"""The bodies and queries of `/api/jobs`, as the original's clients send them, and its answers.

In: JSON. Out: frozen values, valid in themselves; whether a job is in a state for them is decided elsewhere. Never: a
value in a mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, Self, TypeVar
from uuid import UUID, uuid4

from pydantic import AfterValidator, Field, JsonValue, PlainValidator, ValidationError, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from outbox.events.facts import JobStatus, PipelineDefinition, PipelineSettings, RunStatus, Service, Step
from services.api.domain.env_variables import EnvVariables
from services.api.domain.job_state import ALL_RUNS
from services.api.domain.json_values import JsonObject
from services.api.domain.models import MOST_NAME_CHARACTERS
from services.api.domain.schedule import ScheduleError, next_time
from services.api.http.operation import Received, Sent
from services.api.resources.times import UtcTime

Model = TypeVar("Model", bound=Received)

MOST_RUNS = 10_000
MOST_STEPS = 1_000
_MOST_INTEGER = 2**31 - 1
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
_FIRST_YEAR, _LAST_YEAR = 1970, 9000


def _schedule(text: str) -> str:
    try:
        next_time(text, _ANY_TIME)
    except ScheduleError as error:
        raise PydanticCustomError("schedule", "{reason}", {"reason": str(error)}) from None
    return text


def _instant(text: object) -> datetime:
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        time = None
    if time is None or not _FIRST_YEAR <= time.year <= _LAST_YEAR:
        raise PydanticCustomError("time", "ISO 8601 is needed: 2030-01-31T12:00:00, in UTC unless a zone follows")
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _definition(value: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    try:
        PipelineDefinition.model_validate(value)
    except ValidationError as error:
        parts = ", ".join(sorted({_part(mistake["loc"]) for mistake in error.errors(include_url=False)}))
        raise PydanticCustomError(
            "pipeline_definition", "It is not the content of a pipeline file: see {parts}", {"parts": parts}
        ) from None
    return value


def _part(place: tuple[int | str, ...]) -> str:
    """The names of ours in it; the others are the caller's."""
    return ".".join(str(step) if step in _PARTS else "*" for step in place)


_PARTS = frozenset(
    name for model in (PipelineDefinition, PipelineSettings, Step, Service) for name in model.model_fields
)


def _in_one_way(body: Model, *ways: object) -> Model:
    if sum(way is not None for way in ways) > 1:
        raise PydanticCustomError("schedule", "A schedule or one time, not both: a schedule has its times in it")
    return body


Text = Annotated[str, Field(max_length=MOST_NAME_CHARACTERS, pattern=r"^[^\x00-\x1f\x7f]*$")]
Path = Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]
JobName = Annotated[Text, Field(min_length=1, description="For people")]
Schedule = Annotated[
    str,
    AfterValidator(_schedule),
    Field(description="A cron expression of five fields in UTC, or @daily and its like"),
]
Time = Annotated[
    datetime,
    PlainValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "description": "ISO 8601; without a zone: UTC"}),
]
RunParameters = Annotated[
    Sequence[Mapping[str, JsonObject]],
    Field(
        min_length=1,
        max_length=MOST_RUNS,
        description="One pipeline run for each: by step uuid, and under `pipeline_parameters` those of the pipeline",
    ),
]
Definition = Annotated[
    JsonObject,
    AfterValidator(_definition),
    WithJsonSchema(
        {
            "type": "object",
            "description": "The content of a pipeline file, kept as it is",
            "required": ["uuid"],
            "properties": {
                "uuid": {"type": "string"},
                "name": {"type": "string"},
                "parameters": {"type": "object"},
                "steps": {"type": "object", "description": "By uuid"},
                "services": {"type": "object", "description": "By name"},
            },
        }
    ),
]
Retained = Annotated[
    int,
    Field(ge=ALL_RUNS, le=_MOST_INTEGER, description=f"Older runs that have ended are deleted; {ALL_RUNS}: none are"),
]


class JobPath(Received):
    job_uuid: UUID


class JobQuery(Received):
    aggregate_run_statuses: str | None = Field(
        default=None, description="With any value: the answer counts the job's pipeline runs by status"
    )


class JobsQuery(Received):
    project_uuid: UUID | None = Field(default=None, description="Only its jobs")
    cursor: str | None = Field(
        default=None,
        description="`next_cursor` of the part before; left out: from the first",
        pattern=r"^[0-9]{1,17}[.][0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    )
    limit: int | None = Field(default=None, ge=1, le=500, description="At most so many; left out: all of them")


class ProjectQuery(Received):
    project_uuid: UUID | None = Field(default=None, description="Only its jobs")


class RunConfig(Received):
    """Where the project lies for its runs."""

    project_dir: Path = ""
    pipeline_path: Path = ""
    userdir_pvc: Text = ""


class PipelineRunSpec(Received):
    """What of the pipeline is run."""

    run_type: Literal["full", "selection", "incoming"] = "full"
    uuids: Sequence[Text] = Field(default=(), max_length=MOST_STEPS, description="Of the steps that it is about")
    project_uuid: UUID | None = None
    pipeline_uuid: UUID | None = None
    run_config: RunConfig = RunConfig()


class JobCreation(Received):
    """A draft. With neither a schedule nor a time it is due as soon as it is confirmed."""

    uuid: UUID = Field(default_factory=uuid4, description="Left out: a new one is made")
    name: JobName
    project_uuid: UUID
    pipeline_uuid: UUID
    pipeline_name: Text = Field(default="", description="Left out: as in the definition")
    pipeline_definition: Definition
    pipeline_run_spec: PipelineRunSpec = PipelineRunSpec()
    parameters: RunParameters
    cron_schedule: Schedule | None = None
    scheduled_start: Time | None = Field(default=None, description="The original's other name of next_scheduled_time")
    next_scheduled_time: Time | None = Field(default=None, description="When it is due, once. Without a zone: UTC")
    strategy_json: JsonObject = Field(default={}, description="How people came to the parameters")
    env_variables: EnvVariables | None = Field(
        default=None, description="Left out: those of the project and the pipeline, as they are now"
    )
    max_retained_pipeline_runs: Retained = ALL_RUNS
    snapshot_uuid: UUID | None = Field(default=None, description="The copy of the project that its runs work on")
    draft: Literal[True] = Field(default=True, description="Every job begins as one; the original's client says so")

    @model_validator(mode="after")
    def _is_due_in_one_way(self) -> Self:
        return _in_one_way(self, self.cron_schedule, self.scheduled_start, self.next_scheduled_time)


class JobUpdate(Received):
    """What is left out stays; null for both schedule and time of a draft: due as soon as it is confirmed."""

    name: JobName | None = None
    cron_schedule: Schedule | None = None
    next_scheduled_time: Time | None = None
    parameters: RunParameters | None = None
    strategy_json: JsonObject | None = None
    env_variables: EnvVariables | None = Field(default=None, description="All of them: what is missing is taken away")
    max_retained_pipeline_runs: Retained | None = None
    confirm_draft: bool = Field(default=False, description="True: it is no draft any more, and runs when it is due")

    @model_validator(mode="after")
    def _is_due_in_one_way(self) -> Self:
        return _in_one_way(self, self.cron_schedule, self.next_scheduled_time)


class JobPipelineUpdate(Received):
    pipeline_uuid: UUID
    pipeline_name: Text = Field(default="", description="Left out: as in the definition")
    pipeline_definition: Definition | None = Field(
        default=None, description="Needed for a job that has no snapshot to take it from"
    )
    pipeline_path: Path = Field(default="", description="Of the pipeline file in the project")


class JobView(Sent):
    uuid: UUID
    name: str
    project_uuid: UUID
    pipeline_uuid: UUID
    pipeline_name: str
    pipeline_definition: Mapping[str, JsonValue]
    pipeline_run_spec: Mapping[str, JsonValue]
    snapshot_uuid: UUID | None
    status: JobStatus
    schedule: str | None = Field(description="A cron expression, in UTC; null: it runs once")
    next_scheduled_time: UtcTime | None = Field(description="Null: as soon as it is confirmed, or never again")
    last_scheduled_time: UtcTime | None
    parameters: Sequence[Mapping[str, Mapping[str, JsonValue]]]
    strategy_json: Mapping[str, JsonValue]
    max_retained_pipeline_runs: int
    total_scheduled_executions: int = Field(description="How many times it was run")
    total_scheduled_pipeline_runs: int
    created_time: UtcTime
    env_variables: Mapping[str, str] | None = Field(
        description="Null in lists, and for callers who may only read: the values may be secrets"
    )
    pipeline_run_status_counts: Mapping[RunStatus, int] | None = Field(
        default=None, description="Null unless asked for by `aggregate_run_statuses`"
    )


class JobList(Sent):
    jobs: list[JobView]
    next_cursor: str | None = Field(
        default=None,
        exclude_if=lambda cursor: cursor is None,
        description="There only when a `limit` was given and more follow",
    )


class NextScheduledJobView(Sent):
    uuid: UUID | None = Field(description="Null: nothing is scheduled")
    next_scheduled_time: UtcTime | None


class Resumed(Sent):
    next_scheduled_time: UtcTime
