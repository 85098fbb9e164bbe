"""The types of events, and the layer each belongs to: which parts of the world its payload tells of.

In: nothing. Out: the enumerations. A type's name is a promise to receivers and never changes.
"""

from __future__ import annotations

from enum import StrEnum


class EventType(StrEnum):
    """What can happen. The order is that of the documentation; each has its row in the table `event_types`."""

    PROJECT_CREATED = "project:created"
    PROJECT_UPDATED = "project:updated"
    PROJECT_DELETED = "project:deleted"

    PROJECT_PIPELINE_CREATED = "project:pipeline:created"
    PROJECT_PIPELINE_UPDATED = "project:pipeline:updated"
    PROJECT_PIPELINE_DELETED = "project:pipeline:deleted"

    PROJECT_ENVIRONMENT_CREATED = "project:environment:created"
    PROJECT_ENVIRONMENT_DELETED = "project:environment:deleted"

    PROJECT_ENVIRONMENT_IMAGE_BUILD_CREATED = "project:environment:image-build:created"
    PROJECT_ENVIRONMENT_IMAGE_BUILD_STARTED = "project:environment:image-build:started"
    PROJECT_ENVIRONMENT_IMAGE_BUILD_CANCELLED = "project:environment:image-build:cancelled"
    PROJECT_ENVIRONMENT_IMAGE_BUILD_FAILED = "project:environment:image-build:failed"
    PROJECT_ENVIRONMENT_IMAGE_BUILD_SUCCEEDED = "project:environment:image-build:succeeded"

    JUPYTER_IMAGE_BUILD_CREATED = "jupyter:image-build:created"
    JUPYTER_IMAGE_BUILD_STARTED = "jupyter:image-build:started"
    JUPYTER_IMAGE_BUILD_CANCELLED = "jupyter:image-build:cancelled"
    JUPYTER_IMAGE_BUILD_FAILED = "jupyter:image-build:failed"
    JUPYTER_IMAGE_BUILD_SUCCEEDED = "jupyter:image-build:succeeded"

    PROJECT_PIPELINE_INTERACTIVE_SESSION_STARTED = "project:pipeline:interactive-session:started"
    PROJECT_PIPELINE_INTERACTIVE_SESSION_STOPPED = "project:pipeline:interactive-session:stopped"
    PROJECT_PIPELINE_INTERACTIVE_SESSION_SERVICE_RESTARTED = "project:pipeline:interactive-session:service-restarted"
    PROJECT_PIPELINE_INTERACTIVE_SESSION_FAILED = "project:pipeline:interactive-session:failed"
    PROJECT_PIPELINE_INTERACTIVE_SESSION_SUCCEEDED = "project:pipeline:interactive-session:succeeded"

    PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_CREATED = (
        "project:pipeline:interactive-session:pipeline-run:created"
    )
    PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_STARTED = (
        "project:pipeline:interactive-session:pipeline-run:started"
    )
    PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_CANCELLED = (
        "project:pipeline:interactive-session:pipeline-run:cancelled"
    )
    PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_FAILED = (
        "project:pipeline:interactive-session:pipeline-run:failed"
    )
    PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_SUCCEEDED = (
        "project:pipeline:interactive-session:pipeline-run:succeeded"
    )

    PROJECT_ONE_OFF_JOB_CREATED = "project:one-off-job:created"
    PROJECT_ONE_OFF_JOB_STARTED = "project:one-off-job:started"
    PROJECT_ONE_OFF_JOB_DELETED = "project:one-off-job:deleted"
    PROJECT_ONE_OFF_JOB_CANCELLED = "project:one-off-job:cancelled"
    PROJECT_ONE_OFF_JOB_FAILED = "project:one-off-job:failed"
    PROJECT_ONE_OFF_JOB_UPDATED = "project:one-off-job:updated"
    PROJECT_ONE_OFF_JOB_SUCCEEDED = "project:one-off-job:succeeded"

    PROJECT_ONE_OFF_JOB_PIPELINE_RUN_CREATED = "project:one-off-job:pipeline-run:created"
    PROJECT_ONE_OFF_JOB_PIPELINE_RUN_STARTED = "project:one-off-job:pipeline-run:started"
    PROJECT_ONE_OFF_JOB_PIPELINE_RUN_CANCELLED = "project:one-off-job:pipeline-run:cancelled"
    PROJECT_ONE_OFF_JOB_PIPELINE_RUN_FAILED = "project:one-off-job:pipeline-run:failed"
    PROJECT_ONE_OFF_JOB_PIPELINE_RUN_DELETED = "project:one-off-job:pipeline-run:deleted"
    PROJECT_ONE_OFF_JOB_PIPELINE_RUN_SUCCEEDED = "project:one-off-job:pipeline-run:succeeded"

    PROJECT_CRON_JOB_CREATED = "project:cron-job:created"
    PROJECT_CRON_JOB_STARTED = "project:cron-job:started"
    PROJECT_CRON_JOB_DELETED = "project:cron-job:deleted"
    PROJECT_CRON_JOB_CANCELLED = "project:cron-job:cancelled"
    PROJECT_CRON_JOB_FAILED = "project:cron-job:failed"
    PROJECT_CRON_JOB_SUCCEEDED = "project:cron-job:succeeded"
    PROJECT_CRON_JOB_UPDATED = "project:cron-job:updated"
    PROJECT_CRON_JOB_PAUSED = "project:cron-job:paused"
    PROJECT_CRON_JOB_UNPAUSED = "project:cron-job:unpaused"

    PROJECT_CRON_JOB_RUN_STARTED = "project:cron-job:run:started"
    PROJECT_CRON_JOB_RUN_SUCCEEDED = "project:cron-job:run:succeeded"
    PROJECT_CRON_JOB_RUN_FAILED = "project:cron-job:run:failed"

    PROJECT_CRON_JOB_RUN_PIPELINE_RUN_CREATED = "project:cron-job:run:pipeline-run:created"
    PROJECT_CRON_JOB_RUN_PIPELINE_RUN_STARTED = "project:cron-job:run:pipeline-run:started"
    PROJECT_CRON_JOB_RUN_PIPELINE_RUN_CANCELLED = "project:cron-job:run:pipeline-run:cancelled"
    PROJECT_CRON_JOB_RUN_PIPELINE_RUN_FAILED = "project:cron-job:run:pipeline-run:failed"
    PROJECT_CRON_JOB_RUN_PIPELINE_RUN_DELETED = "project:cron-job:run:pipeline-run:deleted"
    PROJECT_CRON_JOB_RUN_PIPELINE_RUN_SUCCEEDED = "project:cron-job:run:pipeline-run:succeeded"

    CLUSTER_CREATED = "cluster:created"
    CLUSTER_UPDATED = "cluster:updated"
    CLUSTER_PLAN_APPLIED = "cluster:plan-applied"
    CLUSTER_DRIFT_DETECTED = "cluster:drift-detected"
    CLUSTER_DRIFT_REPAIRED = "cluster:drift-repaired"
    CLUSTER_UNHEALTHY = "cluster:unhealthy"
    CLUSTER_PAUSED = "cluster:paused"
    CLUSTER_RESUMED = "cluster:resumed"
    CLUSTER_ROLLED_BACK = "cluster:rolled-back"
    CLUSTER_DELETED = "cluster:deleted"


class Layer(StrEnum):
    """The innermost part a payload tells of; the discriminator of the table `events`."""

    PROJECT = "project"
    PROJECT_UPDATE = "project_update"
    PIPELINE = "pipeline"
    PIPELINE_UPDATE = "pipeline_update"
    INTERACTIVE_SESSION = "interactive_session"
    INTERACTIVE_PIPELINE_RUN = "interactive_pipeline_run"
    ENVIRONMENT = "environment"
    ENVIRONMENT_IMAGE_BUILD = "environment_image_build"
    ONE_OFF_JOB = "one_off_job"
    ONE_OFF_JOB_UPDATE = "one_off_job_update"
    ONE_OFF_JOB_PIPELINE_RUN = "one_off_job_pipeline_run"
    CRON_JOB = "cron_job"
    CRON_JOB_UPDATE = "cron_job_update"
    CRON_JOB_RUN = "cron_job_run"
    CRON_JOB_RUN_PIPELINE_RUN = "cron_job_run_pipeline_run"
    JUPYTER_IMAGE_BUILD = "jupyter_image_build"
    CLUSTER = "cluster"


_LAYER_OF_FAMILY = {
    "project": Layer.PROJECT,
    "project:pipeline": Layer.PIPELINE,
    "project:environment": Layer.ENVIRONMENT,
    "project:environment:image-build": Layer.ENVIRONMENT_IMAGE_BUILD,
    "jupyter:image-build": Layer.JUPYTER_IMAGE_BUILD,
    "project:pipeline:interactive-session": Layer.INTERACTIVE_SESSION,
    "project:pipeline:interactive-session:pipeline-run": Layer.INTERACTIVE_PIPELINE_RUN,
    "project:one-off-job": Layer.ONE_OFF_JOB,
    "project:one-off-job:pipeline-run": Layer.ONE_OFF_JOB_PIPELINE_RUN,
    "project:cron-job": Layer.CRON_JOB,
    "project:cron-job:run": Layer.CRON_JOB_RUN,
    "project:cron-job:run:pipeline-run": Layer.CRON_JOB_RUN_PIPELINE_RUN,
    "cluster": Layer.CLUSTER,
}
_LAYER_OF_UPDATE = {
    EventType.PROJECT_UPDATED: Layer.PROJECT_UPDATE,
    EventType.PROJECT_PIPELINE_UPDATED: Layer.PIPELINE_UPDATE,
    EventType.PROJECT_ONE_OFF_JOB_UPDATED: Layer.ONE_OFF_JOB_UPDATE,
    EventType.PROJECT_CRON_JOB_UPDATED: Layer.CRON_JOB_UPDATE,
}


def layer_of(event_type: EventType) -> Layer:
    """An update tells what changed, so its layer differs from that of its family."""
    family, _, _ = event_type.rpartition(":")
    return _LAYER_OF_UPDATE.get(event_type) or _LAYER_OF_FAMILY[family]
