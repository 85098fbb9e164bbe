"""Say that something happened: one function per type of event, called in the transaction that made it happen.

In: the caller's session and the facts. Out: the event and a delivery for everybody who hears it, as rows that live or
die with that transaction. Never: a commit, a look at a domain table, a request to anybody.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Table, insert, select

from outbox.database import announce
from outbox.delivery.models import DeliveryRow
from outbox.events.errors import UnknownEventTypeError
from outbox.events.models import Event, EventTypeRow, event_of, json_text
from outbox.events.records import event_from
from outbox.events.types import EventType
from outbox.identity import new_uuid
from outbox.subscribers.matching import hearing

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from outbox.events import facts as given
    from outbox.events.records import EventRecord
    from outbox.subscribers.matching import Hearing

_INSERT_EVENT = insert(cast("Table", Event.__table__))
_INSERT_DELIVERIES = insert(cast("Table", DeliveryRow.__table__))
_ANALYTICS = "analytics"
_ENABLED = "enabled"


def register_project_created_event(session: Session, facts: given.ProjectFacts) -> UUID:
    return _register(session, EventType.PROJECT_CREATED, facts)


def register_project_updated_event(session: Session, facts: given.ProjectUpdateFacts) -> UUID:
    return _register(session, EventType.PROJECT_UPDATED, facts)


def register_project_deleted_event(session: Session, facts: given.ProjectFacts) -> UUID:
    return _register(session, EventType.PROJECT_DELETED, facts)


def register_project_pipeline_created_event(session: Session, facts: given.PipelineFacts) -> UUID:
    return _register(session, EventType.PROJECT_PIPELINE_CREATED, facts)


def register_project_pipeline_updated_event(session: Session, facts: given.PipelineUpdateFacts) -> UUID:
    return _register(session, EventType.PROJECT_PIPELINE_UPDATED, facts)


def register_project_pipeline_deleted_event(session: Session, facts: given.PipelineFacts) -> UUID:
    return _register(session, EventType.PROJECT_PIPELINE_DELETED, facts)


def register_project_environment_created_event(session: Session, facts: given.EnvironmentFacts) -> UUID:
    return _register(session, EventType.PROJECT_ENVIRONMENT_CREATED, facts)


def register_project_environment_deleted_event(session: Session, facts: given.EnvironmentFacts) -> UUID:
    return _register(session, EventType.PROJECT_ENVIRONMENT_DELETED, facts)


def register_project_environment_image_build_created_event(
    session: Session, facts: given.EnvironmentImageBuildFacts
) -> UUID:
    return _register(session, EventType.PROJECT_ENVIRONMENT_IMAGE_BUILD_CREATED, facts)


def register_project_environment_image_build_started_event(
    session: Session, facts: given.EnvironmentImageBuildFacts
) -> UUID:
    return _register(session, EventType.PROJECT_ENVIRONMENT_IMAGE_BUILD_STARTED, facts)


def register_project_environment_image_build_cancelled_event(
    session: Session, facts: given.EnvironmentImageBuildFacts
) -> UUID:
    return _register(session, EventType.PROJECT_ENVIRONMENT_IMAGE_BUILD_CANCELLED, facts)


def register_project_environment_image_build_failed_event(
    session: Session, facts: given.EnvironmentImageBuildFacts
) -> UUID:
    return _register(session, EventType.PROJECT_ENVIRONMENT_IMAGE_BUILD_FAILED, facts)


def register_project_environment_image_build_succeeded_event(
    session: Session, facts: given.EnvironmentImageBuildFacts
) -> UUID:
    return _register(session, EventType.PROJECT_ENVIRONMENT_IMAGE_BUILD_SUCCEEDED, facts)


def register_jupyter_image_build_created_event(session: Session, facts: given.JupyterImageBuildFacts) -> UUID:
    return _register(session, EventType.JUPYTER_IMAGE_BUILD_CREATED, facts)


def register_jupyter_image_build_started_event(session: Session, facts: given.JupyterImageBuildFacts) -> UUID:
    return _register(session, EventType.JUPYTER_IMAGE_BUILD_STARTED, facts)


def register_jupyter_image_build_cancelled_event(session: Session, facts: given.JupyterImageBuildFacts) -> UUID:
    return _register(session, EventType.JUPYTER_IMAGE_BUILD_CANCELLED, facts)


def register_jupyter_image_build_failed_event(session: Session, facts: given.JupyterImageBuildFacts) -> UUID:
    return _register(session, EventType.JUPYTER_IMAGE_BUILD_FAILED, facts)


def register_jupyter_image_build_succeeded_event(session: Session, facts: given.JupyterImageBuildFacts) -> UUID:
    return _register(session, EventType.JUPYTER_IMAGE_BUILD_SUCCEEDED, facts)


def register_project_pipeline_interactive_session_started_event(
    session: Session, facts: given.InteractiveSessionFacts
) -> UUID:
    return _register(session, EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_STARTED, facts)


def register_project_pipeline_interactive_session_stopped_event(
    session: Session, facts: given.InteractiveSessionFacts
) -> UUID:
    return _register(session, EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_STOPPED, facts)


def register_project_pipeline_interactive_session_service_restarted_event(
    session: Session, facts: given.InteractiveSessionFacts
) -> UUID:
    return _register(session, EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_SERVICE_RESTARTED, facts)


def register_project_pipeline_interactive_session_failed_event(
    session: Session, facts: given.InteractiveSessionFacts
) -> UUID:
    return _register(session, EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_FAILED, facts)


def register_project_pipeline_interactive_session_succeeded_event(
    session: Session, facts: given.InteractiveSessionFacts
) -> UUID:
    return _register(session, EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_SUCCEEDED, facts)


def register_project_pipeline_interactive_session_pipeline_run_created_event(
    session: Session, facts: given.InteractivePipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_CREATED, facts)


def register_project_pipeline_interactive_session_pipeline_run_started_event(
    session: Session, facts: given.InteractivePipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_STARTED, facts)


def register_project_pipeline_interactive_session_pipeline_run_cancelled_event(
    session: Session, facts: given.InteractivePipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_CANCELLED, facts)


def register_project_pipeline_interactive_session_pipeline_run_failed_event(
    session: Session, facts: given.InteractivePipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_FAILED, facts)


def register_project_pipeline_interactive_session_pipeline_run_succeeded_event(
    session: Session, facts: given.InteractivePipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_SUCCEEDED, facts)


def register_project_one_off_job_created_event(session: Session, facts: given.OneOffJobFacts) -> UUID:
    return _register(session, EventType.PROJECT_ONE_OFF_JOB_CREATED, facts)


def register_project_one_off_job_started_event(session: Session, facts: given.OneOffJobFacts) -> UUID:
    return _register(session, EventType.PROJECT_ONE_OFF_JOB_STARTED, facts)


def register_project_one_off_job_deleted_event(session: Session, facts: given.OneOffJobFacts) -> UUID:
    return _register(session, EventType.PROJECT_ONE_OFF_JOB_DELETED, facts)


def register_project_one_off_job_cancelled_event(session: Session, facts: given.OneOffJobFacts) -> UUID:
    return _register(session, EventType.PROJECT_ONE_OFF_JOB_CANCELLED, facts)


def register_project_one_off_job_failed_event(session: Session, facts: given.OneOffJobFacts) -> UUID:
    return _register(session, EventType.PROJECT_ONE_OFF_JOB_FAILED, facts)


def register_project_one_off_job_updated_event(session: Session, facts: given.OneOffJobUpdateFacts) -> UUID:
    return _register(session, EventType.PROJECT_ONE_OFF_JOB_UPDATED, facts)


def register_project_one_off_job_succeeded_event(session: Session, facts: given.OneOffJobFacts) -> UUID:
    return _register(session, EventType.PROJECT_ONE_OFF_JOB_SUCCEEDED, facts)


def register_project_one_off_job_pipeline_run_created_event(
    session: Session, facts: given.OneOffJobPipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_ONE_OFF_JOB_PIPELINE_RUN_CREATED, facts)


def register_project_one_off_job_pipeline_run_started_event(
    session: Session, facts: given.OneOffJobPipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_ONE_OFF_JOB_PIPELINE_RUN_STARTED, facts)


def register_project_one_off_job_pipeline_run_cancelled_event(
    session: Session, facts: given.OneOffJobPipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_ONE_OFF_JOB_PIPELINE_RUN_CANCELLED, facts)


def register_project_one_off_job_pipeline_run_failed_event(
    session: Session, facts: given.OneOffJobPipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_ONE_OFF_JOB_PIPELINE_RUN_FAILED, facts)


def register_project_one_off_job_pipeline_run_deleted_event(
    session: Session, facts: given.OneOffJobPipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_ONE_OFF_JOB_PIPELINE_RUN_DELETED, facts)


def register_project_one_off_job_pipeline_run_succeeded_event(
    session: Session, facts: given.OneOffJobPipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_ONE_OFF_JOB_PIPELINE_RUN_SUCCEEDED, facts)


def register_project_cron_job_created_event(session: Session, facts: given.CronJobFacts) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_CREATED, facts)


def register_project_cron_job_started_event(session: Session, facts: given.CronJobFacts) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_STARTED, facts)


def register_project_cron_job_deleted_event(session: Session, facts: given.CronJobFacts) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_DELETED, facts)


def register_project_cron_job_cancelled_event(session: Session, facts: given.CronJobFacts) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_CANCELLED, facts)


def register_project_cron_job_failed_event(session: Session, facts: given.CronJobFacts) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_FAILED, facts)


def register_project_cron_job_succeeded_event(session: Session, facts: given.CronJobFacts) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_SUCCEEDED, facts)


def register_project_cron_job_updated_event(session: Session, facts: given.CronJobUpdateFacts) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_UPDATED, facts)


def register_project_cron_job_paused_event(session: Session, facts: given.CronJobFacts) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_PAUSED, facts)


def register_project_cron_job_unpaused_event(session: Session, facts: given.CronJobFacts) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_UNPAUSED, facts)


def register_project_cron_job_run_started_event(session: Session, facts: given.CronJobRunFacts) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_RUN_STARTED, facts)


def register_project_cron_job_run_succeeded_event(session: Session, facts: given.CronJobRunFacts) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_RUN_SUCCEEDED, facts)


def register_project_cron_job_run_failed_event(session: Session, facts: given.CronJobRunFacts) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_RUN_FAILED, facts)


def register_project_cron_job_run_pipeline_run_created_event(
    session: Session, facts: given.CronJobRunPipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_RUN_PIPELINE_RUN_CREATED, facts)


def register_project_cron_job_run_pipeline_run_started_event(
    session: Session, facts: given.CronJobRunPipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_RUN_PIPELINE_RUN_STARTED, facts)


def register_project_cron_job_run_pipeline_run_cancelled_event(
    session: Session, facts: given.CronJobRunPipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_RUN_PIPELINE_RUN_CANCELLED, facts)


def register_project_cron_job_run_pipeline_run_failed_event(
    session: Session, facts: given.CronJobRunPipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_RUN_PIPELINE_RUN_FAILED, facts)


def register_project_cron_job_run_pipeline_run_deleted_event(
    session: Session, facts: given.CronJobRunPipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_RUN_PIPELINE_RUN_DELETED, facts)


def register_project_cron_job_run_pipeline_run_succeeded_event(
    session: Session, facts: given.CronJobRunPipelineRunFacts
) -> UUID:
    return _register(session, EventType.PROJECT_CRON_JOB_RUN_PIPELINE_RUN_SUCCEEDED, facts)


def register_cluster_created_event(session: Session, facts: given.ClusterEventFacts) -> UUID:
    return _register(session, EventType.CLUSTER_CREATED, facts)


def register_cluster_updated_event(session: Session, facts: given.ClusterEventFacts) -> UUID:
    return _register(session, EventType.CLUSTER_UPDATED, facts)


def register_cluster_plan_applied_event(session: Session, facts: given.ClusterEventFacts) -> UUID:
    return _register(session, EventType.CLUSTER_PLAN_APPLIED, facts)


def register_cluster_drift_detected_event(session: Session, facts: given.ClusterEventFacts) -> UUID:
    return _register(session, EventType.CLUSTER_DRIFT_DETECTED, facts)


def register_cluster_drift_repaired_event(session: Session, facts: given.ClusterEventFacts) -> UUID:
    return _register(session, EventType.CLUSTER_DRIFT_REPAIRED, facts)


def register_cluster_unhealthy_event(session: Session, facts: given.ClusterEventFacts) -> UUID:
    return _register(session, EventType.CLUSTER_UNHEALTHY, facts)


def register_cluster_paused_event(session: Session, facts: given.ClusterEventFacts) -> UUID:
    return _register(session, EventType.CLUSTER_PAUSED, facts)


def register_cluster_resumed_event(session: Session, facts: given.ClusterEventFacts) -> UUID:
    return _register(session, EventType.CLUSTER_RESUMED, facts)


def register_cluster_rolled_back_event(session: Session, facts: given.ClusterEventFacts) -> UUID:
    return _register(session, EventType.CLUSTER_ROLLED_BACK, facts)


def register_cluster_deleted_event(session: Session, facts: given.ClusterEventFacts) -> UUID:
    return _register(session, EventType.CLUSTER_DELETED, facts)


def register_copy(session: Session, event: EventRecord) -> bool:
    """An event that was recorded elsewhere, kept as it is, with deliveries for those who hear it here and now.

    False, and nothing done, when it is here already. Raises UnknownEventTypeError for a type this database lacks.
    """
    if session.scalar(select(Event.uuid).where(Event.uuid == event.uuid)) is not None:
        return False
    if session.get(EventTypeRow, event.type) is None:
        raise UnknownEventTypeError(event.type)
    _insert(session, event_from(event), datetime.now(UTC))
    return True


def _register(session: Session, event_type: EventType, facts: given.Facts) -> UUID:
    now = datetime.now(UTC)
    event = event_of(event_type, facts, new_uuid(), now)
    _insert(session, event, now)
    return event.uuid


def _insert(session: Session, event: Event, now: datetime) -> None:
    """Core, not the ORM: it costs half, and the caller's own pending objects need not be flushed for it."""
    listeners = [
        one for one in hearing(session, event.type, event.project_uuid, event.job_uuid) if _can_hear(one, event)
    ]
    event.telemetry = _telemetry(event) if any(one.kind == _ANALYTICS for one in listeners) else None
    connection = session.connection()
    connection.execute(_INSERT_EVENT, {name: getattr(event, name) for name in _COLUMNS})
    if not listeners:
        return
    connection.execute(_INSERT_DELIVERIES, [_delivery(event, one, now) for one in listeners])
    if any(one.condition == _ENABLED for one in listeners):
        announce(session)


_COLUMNS = ("uuid", "type", "layer", "timestamp", "project_uuid", "job_uuid", "facts", "payload", "telemetry")


def _can_hear(one: Hearing, event: Event) -> bool:
    """Analytics that are off hear nothing, not even for later; what this version does not know it cannot anonymise."""
    return one.kind != _ANALYTICS or (one.condition == _ENABLED and type(event) is not Event)


def _telemetry(event: Event) -> str:
    return json_text(event.to_telemetry_payload())


def _delivery(event: Event, one: Hearing, now: datetime) -> dict[str, Any]:
    return {
        "uuid": new_uuid(),
        "event_uuid": event.uuid,
        "subscriber_uuid": one.subscriber,
        "status": "scheduled" if one.condition == _ENABLED else "held",
        "lane": "analytics" if one.kind == _ANALYTICS else "first",
        "attempts": 0,
        "created_at": now,
        "due_at": now,
    }
