"""What a caller must know to register an event: one frozen value per layer, kept as JSON with the event.

In: ids, names, states, definitions and counts, as they are in the caller's transaction. Out: nothing else is ever
looked up, now or later. Never: environment variables, commands or other text that no payload tells; such keys of a
pipeline definition are dropped on the way in.

A fact that is None or left out is not known, and not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, ClassVar, NamedTuple, Self
from uuid import UUID  # noqa: TC003 - pydantic evaluates the annotations

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, JsonValue, NonNegativeInt, model_validator

from outbox.events.types import Layer

LISTED_AT_MOST = 50
"""Actions and drifted objects in one event; the counts tell of all."""
FIELDS_AT_MOST = 10
"""Field paths of one drifted object."""
MESSAGE_AT_MOST = 2_000
"""Characters."""


class ChangeType(StrEnum):
    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"


class ChangedObject(StrEnum):
    ENVIRONMENT_VARIABLE = "environment_variable"
    NAME = "name"
    SCHEDULE = "schedule"
    PARAMETERS = "parameters"
    STRATEGY_JSON = "strategy_json"
    MAX_RETAINED_PIPELINE_RUNS = "max_retained_pipeline_runs"
    NEXT_SCHEDULED_TIME = "next_scheduled_time"
    STATUS = "status"


_TOLD_WITH_VALUES = frozenset(
    {
        ChangedObject.SCHEDULE,
        ChangedObject.MAX_RETAINED_PIPELINE_RUNS,
        ChangedObject.NEXT_SCHEDULED_TIME,
        ChangedObject.STATUS,
    }
)


class RunStatus(StrEnum):
    """Of a pipeline run, of one of its steps, and of a run of a cron job."""

    PENDING = "PENDING"
    STARTED = "STARTED"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    ABORTED = "ABORTED"


class JobStatus(StrEnum):
    DRAFT = "DRAFT"
    PENDING = "PENDING"
    STARTED = "STARTED"
    PAUSED = "PAUSED"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    ABORTED = "ABORTED"


Parameters = Mapping[str, JsonValue]
Instant = Annotated[AwareDatetime, AfterValidator(lambda instant: datetime.astimezone(instant, UTC))]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _PartOfDefinition(BaseModel):
    """Of a pipeline file only what is declared here is kept; people and tools add keys of their own to it."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Change(_Value):
    type: ChangeType
    changed_object: ChangedObject
    old_value: str | None = None
    """None: there was none, or it is nobody's business."""
    new_value: str | None = None

    @model_validator(mode="after")
    def _no_value_is_told_by_accident(self) -> Self:
        if self.changed_object not in _TOLD_WITH_VALUES and (self.old_value or self.new_value):
            raise ValueError(f"a change of {self.changed_object.value} is told without values")
        return self


class Service(_PartOfDefinition):
    """Without command, arguments and environment: they may hold secrets."""

    name: str
    image: str = ""
    scope: tuple[str, ...] = ()
    order: int | None = None
    ports: tuple[int, ...] = ()
    exposed: bool = False
    requires_authentication: bool = True
    preserve_base_path: bool = False
    binds: Mapping[str, str] = {}


class Step(_PartOfDefinition):
    uuid: str
    title: str = ""
    environment: str = ""
    """uuid; "" when none is set."""
    file_path: str = ""
    parameters: Parameters = {}
    incoming_connections: tuple[str, ...] = ()


class PipelineSettings(_PartOfDefinition):
    auto_eviction: bool | None = None
    max_steps_parallelism: int | None = None


class PipelineDefinition(_PartOfDefinition):
    """A pipeline file. Built from one by `PipelineDefinition.model_validate`."""

    uuid: str
    name: str = ""
    version: str = ""
    parameters: Parameters = {}
    settings: PipelineSettings = PipelineSettings()
    steps: Mapping[str, Step] = {}
    services: Mapping[str, Service] = {}


class RunStep(_Value):
    uuid: str
    title: str | None
    """None: the pipeline definition does not have this step."""
    status: RunStatus


class JobDefinition(_Value):
    """What a job will run, when it was created or updated."""

    pipeline_definition: PipelineDefinition
    env_variables_count: NonNegativeInt
    snapshot_megabytes: float | None = None
    """Size of the project's copy; given when the job was created."""


class JobPipelineRun(_Value):
    uuid: UUID
    status: RunStatus
    number: NonNegativeInt
    """Counted from 0 over all runs of the job."""
    number_in_run: NonNegativeInt | None = None
    """Cron jobs: counted from 0 within one run of the job."""
    parameters: Mapping[str, Parameters]
    """By step uuid, and under `pipeline_parameters` those of the pipeline."""
    steps: tuple[RunStep, ...]


class ImageBuild(_Value):
    image_tag: int
    requested_time: Instant
    started_time: Instant | None = None
    finished_time: Instant | None = None


class ClusterAction(_Value):
    object_key: str
    verb: str
    reason: str
    result: str
    """"" before it is carried out."""


class DriftedObject(_Value):
    object_key: str
    fields: Annotated[tuple[str, ...], AfterValidator(lambda paths: paths[:FIELDS_AT_MOST])]
    """Paths without values."""


class Scope(NamedTuple):
    """What subscriptions can be limited to."""

    project_uuid: UUID | None = None
    job_uuid: UUID | None = None


class Facts(_Value):
    """The root. Each subclass says for which layer it is; its ancestors are the parts around it."""

    layer: ClassVar[Layer]

    @property
    def scope(self) -> Scope:
        return Scope()


class ProjectFacts(Facts):
    layer = Layer.PROJECT

    project_uuid: UUID
    project_name: str
    projects_count: NonNegativeInt | None = None
    """With `created` and `deleted`: how many there are now."""

    @property
    def scope(self) -> Scope:
        return Scope(self.project_uuid)


class ProjectUpdateFacts(ProjectFacts):
    layer = Layer.PROJECT_UPDATE

    changes: tuple[Change, ...]


class PipelineFacts(ProjectFacts):
    layer = Layer.PIPELINE

    pipeline_uuid: UUID
    pipeline_name: str
    project_pipelines_count: NonNegativeInt | None = None
    """With `created` and `deleted`: how many the project has now."""


class PipelineUpdateFacts(PipelineFacts):
    layer = Layer.PIPELINE_UPDATE

    changes: tuple[Change, ...]


class InteractiveSessionFacts(PipelineFacts):
    layer = Layer.INTERACTIVE_SESSION

    user_services: Mapping[str, Service] = {}
    """By name."""
    active_runs: bool | None = None
    """With `service-restarted`: whether a run was under way."""


class InteractivePipelineRunFacts(InteractiveSessionFacts):
    layer = Layer.INTERACTIVE_PIPELINE_RUN

    run_uuid: UUID
    pipeline_definition: PipelineDefinition
    steps: tuple[RunStep, ...]
    """Those that run: not always all of the definition."""


class EnvironmentFacts(ProjectFacts):
    layer = Layer.ENVIRONMENT

    environment_uuid: UUID


class EnvironmentImageBuildFacts(EnvironmentFacts):
    layer = Layer.ENVIRONMENT_IMAGE_BUILD

    build: ImageBuild
    language: str | None = None
    """This and the next two with `created`."""
    base_image: str | None = None
    gpu_support: bool | None = None


class JobFacts(ProjectFacts):
    job_uuid: UUID
    job_name: str
    job_status: JobStatus
    pipeline_uuid: UUID
    pipeline_name: str
    total_runs: NonNegativeInt
    """How many pipeline runs its parameters make; for a cron job: each time."""
    definition: JobDefinition | None = None
    """With `created` and `updated`."""

    @property
    def scope(self) -> Scope:
        return Scope(self.project_uuid, self.job_uuid)


class OneOffJobFacts(JobFacts):
    layer = Layer.ONE_OFF_JOB


class OneOffJobUpdateFacts(OneOffJobFacts):
    layer = Layer.ONE_OFF_JOB_UPDATE

    changes: tuple[Change, ...]


class OneOffJobPipelineRunFacts(OneOffJobFacts):
    layer = Layer.ONE_OFF_JOB_PIPELINE_RUN

    pipeline_run: JobPipelineRun


class CronJobFacts(JobFacts):
    layer = Layer.CRON_JOB

    schedule: str
    """A cron expression."""
    next_scheduled_time: Instant | None
    """None: it is paused or ended."""


class CronJobUpdateFacts(CronJobFacts):
    layer = Layer.CRON_JOB_UPDATE

    changes: tuple[Change, ...]


class CronJobRunFacts(CronJobFacts):
    layer = Layer.CRON_JOB_RUN

    run_status: RunStatus | None
    run_number: NonNegativeInt
    """Which time it is that the job runs."""
    total_pipeline_runs: NonNegativeInt


class CronJobRunPipelineRunFacts(CronJobRunFacts):
    layer = Layer.CRON_JOB_RUN_PIPELINE_RUN

    pipeline_run: JobPipelineRun


class JupyterImageBuildFacts(Facts):
    layer = Layer.JUPYTER_IMAGE_BUILD

    build: ImageBuild


class ApplyOutcome(StrEnum):
    DONE = "done"
    FAILED = "failed"
    CONFLICT = "conflict"
    STALE = "stale"
    INTERRUPTED = "interrupted"


class ClusterEventFacts(Facts):
    """What happened to an `OrchestCluster`. Every text in it has passed the masking point."""

    layer = Layer.CLUSTER

    namespace: str
    name: str
    uid: str = ""
    """Of the `OrchestCluster`; "" before its first apply."""
    server_uid: str = ""
    """Of the Kubernetes cluster."""
    cycle_uuid: UUID | None = None
    plan_id: str = ""
    plan_digest: str = ""
    commit: str = ""
    """Of the revision, when the desired state came from Git; "" otherwise."""
    revision: str = ""
    """As people name it: a branch, a tag, a file."""
    version_before: str = ""
    version_after: str = ""
    outcome: ApplyOutcome | None = None
    """How the apply ended, once it has."""
    counts: Mapping[str, NonNegativeInt] = {}
    """How many actions of each verb."""
    actions: Annotated[tuple[ClusterAction, ...], AfterValidator(lambda actions: actions[:LISTED_AT_MOST])] = ()
    """The first of them; the rest is only counted."""
    drifted_count: NonNegativeInt = 0
    drifted: Annotated[tuple[DriftedObject, ...], AfterValidator(lambda objects: objects[:LISTED_AT_MOST])] = ()
    message: Annotated[str, AfterValidator(lambda text: text[:MESSAGE_AT_MOST])] = ""


FACTS_OF_LAYER: Mapping[Layer, type[Facts]] = {
    facts.layer: facts
    for facts in (
        *(ProjectFacts, ProjectUpdateFacts, PipelineFacts, PipelineUpdateFacts),
        *(InteractiveSessionFacts, InteractivePipelineRunFacts, EnvironmentFacts, EnvironmentImageBuildFacts),
        *(OneOffJobFacts, OneOffJobUpdateFacts, OneOffJobPipelineRunFacts),
        *(CronJobFacts, CronJobUpdateFacts, CronJobRunFacts, CronJobRunPipelineRunFacts),
        *(JupyterImageBuildFacts, ClusterEventFacts),
    )
}
