"""One value of facts per layer, with all that can be told: what `docs/events.md` shows is made from them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from outbox.events.facts import (
    ApplyOutcome,
    Change,
    ChangedObject,
    ChangeType,
    ClusterAction,
    ClusterEventFacts,
    CronJobFacts,
    CronJobRunFacts,
    CronJobRunPipelineRunFacts,
    CronJobUpdateFacts,
    DriftedObject,
    EnvironmentFacts,
    EnvironmentImageBuildFacts,
    Facts,
    ImageBuild,
    InteractivePipelineRunFacts,
    InteractiveSessionFacts,
    JobDefinition,
    JobPipelineRun,
    JobStatus,
    JupyterImageBuildFacts,
    OneOffJobFacts,
    OneOffJobPipelineRunFacts,
    OneOffJobUpdateFacts,
    PipelineDefinition,
    PipelineFacts,
    PipelineUpdateFacts,
    ProjectFacts,
    ProjectUpdateFacts,
    RunStatus,
    RunStep,
)
from outbox.events.types import EventType, Layer, layer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT = UUID("01a20497-29ab-76a9-9c8a-58703ae2c8c3")
PROJECT = UUID("92c17d8b-4cbf-490b-b77f-b6519bd6ffe9")
PIPELINE = UUID("dbc1a909-b53c-4364-bc3e-f6db90b1dc4d")
ENVIRONMENT = UUID("0c9cb0ee-7f3a-4a57-a3b5-d1bd8d1a4f11")
JOB = UUID("42c7ba7b-29eb-4fff-89e1-49cb313d242e")
RUN = UUID("51110209-5ba3-4f4f-a920-71c55a5731aa")
CYCLE = UUID("01a20497-1c9e-7b7c-8f5a-3f0b7a7a8d21")
LOAD = "1a6b5c42-3f13-4d5e-8a5b-6f5a0c7d9e01"
TRAIN = "8e2f3d57-6b0a-4c8e-9d3c-2b7f1e4a5c02"
NOW = datetime(2026, 11, 22, 18, 30, 5, 250_000, UTC)
SOON = datetime(2026, 11, 23, 6, tzinfo=UTC)

PIPELINE_FILE: dict[str, Any] = {
    "uuid": str(PIPELINE),
    "name": "Train",
    "version": "1.2.3",
    "parameters": {"year": 2026},
    "settings": {"auto_eviction": False, "data_passing_memory_size": "1GB", "max_steps_parallelism": 2},
    "steps": {
        LOAD: {
            "uuid": LOAD,
            "title": "Load",
            "environment": str(ENVIRONMENT),
            "file_path": "load.py",
            "kernel": {"name": "python", "display_name": "Python"},
            "parameters": {"rows": 1000},
            "incoming_connections": [],
            "meta_data": {"hidden": False, "position": [10, 20]},
        },
        TRAIN: {
            "uuid": TRAIN,
            "title": "Train",
            "environment": str(ENVIRONMENT),
            "file_path": "train.ipynb",
            "kernel": {"name": "python", "display_name": "Python"},
            "parameters": {},
            "incoming_connections": [LOAD],
            "meta_data": {"hidden": False, "position": [10, 80]},
        },
    },
    "services": {
        "tensorboard": {
            "name": "tensorboard",
            "image": "tensorflow/tensorflow",
            "scope": ["interactive"],
            "order": 1,
            "ports": [6006],
            "exposed": True,
            "requires_authentication": True,
            "preserve_base_path": False,
            "command": "tensorboard --logdir /data",
            "binds": {"/data": "/data"},
            "env_variables": {"API_TOKEN": "hunter2"},
            "env_variables_inherit": ["AWS_SECRET_ACCESS_KEY"],
        }
    },
}
DEFINITION = PipelineDefinition.model_validate(PIPELINE_FILE)

_OF_PROJECT: dict[str, Any] = {"project_uuid": PROJECT, "project_name": "Forecast"}
_OF_PIPELINE: dict[str, Any] = {**_OF_PROJECT, "pipeline_uuid": PIPELINE, "pipeline_name": "Train"}
_OF_SESSION: dict[str, Any] = {**_OF_PIPELINE, "user_services": DEFINITION.services}
_OF_JOB: dict[str, Any] = {
    **_OF_PIPELINE,
    "job_uuid": JOB,
    "job_name": "Nightly",
    "job_status": JobStatus.STARTED,
    "total_runs": 2,
}
_OF_CRON_JOB: dict[str, Any] = {**_OF_JOB, "schedule": "0 6 * * *", "next_scheduled_time": SOON}
_OF_CRON_JOB_RUN: dict[str, Any] = {
    **_OF_CRON_JOB,
    "run_status": RunStatus.FAILURE,
    "run_number": 14,
    "total_pipeline_runs": 2,
}
_JOB_DEFINITION = JobDefinition(pipeline_definition=DEFINITION, env_variables_count=3, snapshot_megabytes=1.5)
_RENAMED = (Change(type=ChangeType.UPDATED, changed_object=ChangedObject.NAME),)
_RESCHEDULED = (
    Change(
        type=ChangeType.UPDATED,
        changed_object=ChangedObject.SCHEDULE,
        old_value="0 5 * * *",
        new_value="0 6 * * *",
    ),
    Change(type=ChangeType.CREATED, changed_object=ChangedObject.ENVIRONMENT_VARIABLE),
)
_STEPS = (
    RunStep(uuid=LOAD, title="Load", status=RunStatus.SUCCESS),
    RunStep(uuid=TRAIN, title="Train", status=RunStatus.FAILURE),
)
_BUILD = ImageBuild(image_tag=3, requested_time=NOW, started_time=NOW)


def _pipeline_run(number_in_run: int | None = None) -> JobPipelineRun:
    return JobPipelineRun(
        uuid=RUN,
        status=RunStatus.FAILURE,
        number=29,
        number_in_run=number_in_run,
        parameters={LOAD: {"rows": 500}, "pipeline_parameters": {"year": 2025}},
        steps=_STEPS,
    )


EXAMPLES: Mapping[Layer, Facts] = {
    Layer.PROJECT: ProjectFacts(**_OF_PROJECT, projects_count=4),
    Layer.PROJECT_UPDATE: ProjectUpdateFacts(**_OF_PROJECT, changes=_RENAMED),
    Layer.PIPELINE: PipelineFacts(**_OF_PIPELINE, project_pipelines_count=7),
    Layer.PIPELINE_UPDATE: PipelineUpdateFacts(**_OF_PIPELINE, changes=_RENAMED),
    Layer.INTERACTIVE_SESSION: InteractiveSessionFacts(**_OF_SESSION, active_runs=True),
    Layer.INTERACTIVE_PIPELINE_RUN: InteractivePipelineRunFacts(
        **_OF_SESSION, run_uuid=RUN, pipeline_definition=DEFINITION, steps=_STEPS
    ),
    Layer.ENVIRONMENT: EnvironmentFacts(**_OF_PROJECT, environment_uuid=ENVIRONMENT),
    Layer.ENVIRONMENT_IMAGE_BUILD: EnvironmentImageBuildFacts(
        **_OF_PROJECT,
        environment_uuid=ENVIRONMENT,
        build=_BUILD,
        language="python",
        base_image="orchest/base-kernel-py",
        gpu_support=False,
    ),
    Layer.ONE_OFF_JOB: OneOffJobFacts(**_OF_JOB, definition=_JOB_DEFINITION),
    Layer.ONE_OFF_JOB_UPDATE: OneOffJobUpdateFacts(
        **_OF_JOB,
        definition=_JOB_DEFINITION,
        changes=(Change(type=ChangeType.UPDATED, changed_object=ChangedObject.PARAMETERS),),
    ),
    Layer.ONE_OFF_JOB_PIPELINE_RUN: OneOffJobPipelineRunFacts(**_OF_JOB, pipeline_run=_pipeline_run()),
    Layer.CRON_JOB: CronJobFacts(**_OF_CRON_JOB),
    Layer.CRON_JOB_UPDATE: CronJobUpdateFacts(**_OF_CRON_JOB, changes=_RESCHEDULED),
    Layer.CRON_JOB_RUN: CronJobRunFacts(**_OF_CRON_JOB_RUN),
    Layer.CRON_JOB_RUN_PIPELINE_RUN: CronJobRunPipelineRunFacts(**_OF_CRON_JOB_RUN, pipeline_run=_pipeline_run(1)),
    Layer.JUPYTER_IMAGE_BUILD: JupyterImageBuildFacts(build=_BUILD),
    Layer.CLUSTER: ClusterEventFacts(
        namespace="orchest",
        name="cluster-1",
        uid="5d0e1f5c-8a55-4f3b-9a7a-52d3c7b0e7f4",
        server_uid="c2a6d7de-1f0c-4e58-8c5e-91f3a4d27b10",
        cycle_uuid=CYCLE,
        plan_id="p-7f3a",
        plan_digest="9c1185a5c5e9fc54",
        commit="1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
        revision="main",
        version_before="v2026.10.2",
        version_after="v2026.11.0",
        outcome=ApplyOutcome.DONE,
        counts={"update": 1},
        actions=(
            ClusterAction(
                object_key="apps/Deployment/orchest/orchest-api",
                verb="update",
                reason="drifted",
                result="done",
            ),
        ),
        drifted_count=1,
        drifted=(
            DriftedObject(
                object_key="apps/Deployment/orchest/orchest-api",
                fields=("/spec/replicas",),
            ),
        ),
        message="",
    ),
}


def example_type(layer: Layer) -> EventType:
    """The type the documentation shows the layer with."""
    shown = {
        Layer.INTERACTIVE_SESSION: EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_SERVICE_RESTARTED,
        Layer.INTERACTIVE_PIPELINE_RUN: EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_FAILED,
        Layer.ONE_OFF_JOB_PIPELINE_RUN: EventType.PROJECT_ONE_OFF_JOB_PIPELINE_RUN_FAILED,
        Layer.CRON_JOB_RUN: EventType.PROJECT_CRON_JOB_RUN_FAILED,
        Layer.CRON_JOB_RUN_PIPELINE_RUN: EventType.PROJECT_CRON_JOB_RUN_PIPELINE_RUN_FAILED,
        Layer.CLUSTER: EventType.CLUSTER_DRIFT_REPAIRED,
    }
    return shown.get(layer) or next(one for one in EventType if layer_of(one) is layer)
