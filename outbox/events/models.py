"""The table of events: one class per layer, each adding its part to the payloads of its parent.

In: facts, as given at registration. Out: what users are told, and what telemetry may know. Never: another table.
There is no foreign key to what an event tells of: deleting a project would delete the event that says so.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict
from uuid import UUID  # noqa: TC003 - SQLAlchemy evaluates the annotations

from pydantic_core import from_json, to_json
from sqlalchemy import JSON, BigInteger, FetchedValue, ForeignKey, Index, String, Text, inspect
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from outbox.database import Base
from outbox.events import facts as given_facts
from outbox.events import telemetry
from outbox.events.allow_list import LAYERS, allowed
from outbox.events.types import EventType, Layer, layer_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.engine.interfaces import Dialect

UNKNOWN_LAYER = "event"
RELAYED = "analytics"
"""In the column `layer`: what somebody else told us for analytics (`outbox.analytics`). No user ever sees it."""
_KNOWN_LAYERS = frozenset(Layer)

Payload = dict[str, Any]


class TelemetryPayload(TypedDict):
    event_properties: Payload
    derived_properties: Payload


class LayerName(TypeDecorator[str]):
    """A layer that this version does not know reads as `event`: newer processes may share the database with us."""

    impl = String(50)
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        del dialect
        return value if value in _KNOWN_LAYERS else UNKNOWN_LAYER


class EventTypeRow(Base):
    """The types there are; filled by migrations. It may hold types of a newer version."""

    __tablename__ = "event_types"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)


class Event(Base):
    """Single-table inheritance on `layer`. By itself: an event of a layer that this version does not know."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_type", "type", "uuid"),
        Index("ix_events_project_uuid", "project_uuid", "job_uuid"),
        Index("ix_events_timestamp", "timestamp"),
        Index("ix_events_position", "position", "uuid"),
    )
    __mapper_args__ = {"polymorphic_on": "layer", "polymorphic_identity": UNKNOWN_LAYER}  # noqa: RUF012
    __allow_unmapped__ = True

    uuid: Mapped[UUID] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(String(100), ForeignKey("event_types.name"))
    layer: Mapped[str] = mapped_column(LayerName)
    timestamp: Mapped[datetime]
    project_uuid: Mapped[UUID | None]
    job_uuid: Mapped[UUID | None]
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    payload: Mapped[str] = mapped_column(Text)
    """What users are told, frozen as JSON text when the event was registered."""
    telemetry: Mapped[str | None] = mapped_column(Text)
    """Likewise what telemetry may know; None when nobody listened."""
    position: Mapped[int | None] = mapped_column(BigInteger, FetchedValue())
    """In the order of streams (`feed.py`); the database numbers events by a trigger."""

    @cached_property
    def given(self) -> given_facts.Facts:
        """The facts as a value. Facts that a newer version added to this layer are left out.

        Raises ValueError for a layer that this version does not know.
        """
        return given_facts.FACTS_OF_LAYER[Layer(self.layer)].model_validate(self.facts, extra="ignore")

    def to_notification_payload(self) -> Payload:
        """What users are told. JSON, but for values of which every serializer knows the text."""
        return {"uuid": str(self.uuid), "type": self.type, "timestamp": _text(self.timestamp)}

    def to_telemetry_payload(self) -> TelemetryPayload:
        """What telemetry may know: anonymous, and each part by its own choice, not by leaving out of the above."""
        properties = {"uuid": str(self.uuid), "type": self.type, "timestamp": _text(self.timestamp)}
        return {"event_properties": properties, "derived_properties": {}}

    def _allowed(self, payload: TelemetryPayload) -> TelemetryPayload:
        """Each layer sends what it added through the gate."""
        layer = LAYERS[Layer(self.layer)]
        return {
            "event_properties": allowed(payload["event_properties"], layer.event_properties),
            "derived_properties": allowed(payload["derived_properties"], layer.derived_properties),
        }


class ProjectEvent(Event):
    __mapper_args__ = {"polymorphic_identity": Layer.PROJECT}  # noqa: RUF012
    given: given_facts.ProjectFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["project"] = {"uuid": str(self.given.project_uuid), "name": self.given.project_name}
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        payload["event_properties"]["project"] = {"uuid": str(self.given.project_uuid)}
        payload["derived_properties"]["project"] = _known(projects_count=self.given.projects_count)
        return self._allowed(payload)


class ProjectUpdateEvent(ProjectEvent):
    __mapper_args__ = {"polymorphic_identity": Layer.PROJECT_UPDATE}  # noqa: RUF012
    given: given_facts.ProjectUpdateFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["project"]["update"] = _update(self.given.changes)
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        payload["event_properties"]["project"]["update"] = telemetry.changes(self.given.changes)
        payload["derived_properties"]["project"]["update"] = {}
        return self._allowed(payload)


class PipelineEvent(ProjectEvent):
    __mapper_args__ = {"polymorphic_identity": Layer.PIPELINE}  # noqa: RUF012
    given: given_facts.PipelineFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["project"]["pipeline"] = {"uuid": str(self.given.pipeline_uuid), "name": self.given.pipeline_name}
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        payload["event_properties"]["project"]["pipeline"] = {"uuid": str(self.given.pipeline_uuid)}
        count = self.given.project_pipelines_count
        payload["derived_properties"]["project"]["pipeline"] = _known(project_pipelines_count=count)
        return self._allowed(payload)


class PipelineUpdateEvent(PipelineEvent):
    __mapper_args__ = {"polymorphic_identity": Layer.PIPELINE_UPDATE}  # noqa: RUF012
    given: given_facts.PipelineUpdateFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["project"]["pipeline"]["update"] = _update(self.given.changes)
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        payload["event_properties"]["project"]["pipeline"]["update"] = telemetry.changes(self.given.changes)
        payload["derived_properties"]["project"]["pipeline"]["update"] = {}
        return self._allowed(payload)


class InteractiveSessionEvent(PipelineEvent):
    __mapper_args__ = {"polymorphic_identity": Layer.INTERACTIVE_SESSION}  # noqa: RUF012
    given: given_facts.InteractiveSessionFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["project"]["pipeline"]["session"] = {}
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        event, derived = payload["event_properties"], payload["derived_properties"]
        services = telemetry.services(self.given.user_services)
        active_runs = _known(active_runs=self.given.active_runs)
        event["project"]["pipeline"]["session"] = {"user_services": services.event, **active_runs}
        derived["project"]["pipeline"]["session"] = {"user_services": services.derived}
        uuids = {"project_uuid": str(self.given.project_uuid), "pipeline_uuid": str(self.given.pipeline_uuid)}
        _repeat_at_the_root(event, **uuids, **active_runs)
        _repeat_at_the_root(derived, services=services.derived)
        return self._allowed(payload)


class InteractivePipelineRunEvent(InteractiveSessionEvent):
    __mapper_args__ = {"polymorphic_identity": Layer.INTERACTIVE_PIPELINE_RUN}  # noqa: RUF012
    given: given_facts.InteractivePipelineRunFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        given = self.given
        payload["project"]["pipeline"]["session"]["pipeline_run"] = {
            "uuid": str(given.run_uuid),
            "url_path": self._url_path,
            "steps": [_step(step.uuid, step.title) for step in given.steps],
            "parameters": _told_parameters(self._parameters, self._titles),
            **_failed_steps(given.steps),
        }
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        event, derived = payload["event_properties"], payload["derived_properties"]
        names = telemetry.step_names(self.given.pipeline_definition, self.given.steps)
        definition = telemetry.pipeline_definition(self.given.pipeline_definition, names)
        run = str(self.given.run_uuid)
        steps = [{"uuid": names[step.uuid]} for step in self.given.steps]
        event["project"]["pipeline"]["session"]["pipeline_run"] = {
            "uuid": run,
            "url_path": self._url_path,
            "steps": steps,
            "pipeline_definition": definition.event,
        }
        derived["project"]["pipeline"]["session"]["pipeline_run"] = {
            **telemetry.run_counts(self.given.steps, self._parameters, names),
            "pipeline_definition": definition.derived,
        }
        executed = [step["uuid"] for step in steps]
        _repeat_at_the_root(event, run_uuid=run, run_type="interactive", step_uuids_to_execute=executed)
        _repeat_at_the_root(derived, pipeline_definition=definition.derived)
        return self._allowed(payload)

    @property
    def _url_path(self) -> str:
        return f"/pipeline?project_uuid={self.given.project_uuid}&pipeline_uuid={self.given.pipeline_uuid}"

    @property
    def _parameters(self) -> dict[str, given_facts.Parameters]:
        definition = self.given.pipeline_definition
        of_steps = {uuid: step.parameters for uuid, step in definition.steps.items()}
        return {**of_steps, "pipeline_parameters": definition.parameters}

    @property
    def _titles(self) -> dict[str, str | None]:
        return {uuid: step.title for uuid, step in self.given.pipeline_definition.steps.items()}


class EnvironmentEvent(ProjectEvent):
    __mapper_args__ = {"polymorphic_identity": Layer.ENVIRONMENT}  # noqa: RUF012
    given: given_facts.EnvironmentFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["project"]["environment"] = self._told
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        payload["event_properties"]["project"]["environment"] = self._told
        payload["derived_properties"]["project"]["environment"] = {}
        return self._allowed(payload)

    @property
    def _told(self) -> Payload:
        project, environment = self.given.project_uuid, self.given.environment_uuid
        url_path = f"/environment?project_uuid={project}&environment_uuid={environment}"
        return {"uuid": str(environment), "url_path": url_path}


class EnvironmentImageBuildEvent(EnvironmentEvent):
    __mapper_args__ = {"polymorphic_identity": Layer.ENVIRONMENT_IMAGE_BUILD}  # noqa: RUF012
    given: given_facts.EnvironmentImageBuildFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["project"]["environment"]["image_build"] = {}
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        event, derived = payload["event_properties"], payload["derived_properties"]
        environment = telemetry.environment(self.given)
        event["project"]["environment"]["image_build"] = _build(self.given.build) | environment.event
        derived["project"]["environment"]["image_build"] = environment.derived
        uuids = {"project_uuid": str(self.given.project_uuid), "environment_uuid": str(self.given.environment_uuid)}
        _repeat_at_the_root(event, **uuids, image_tag=self.given.build.image_tag, **environment.event)
        if environment.derived:
            _repeat_at_the_root(derived, **environment.derived)
        return self._allowed(payload)


class JobEvent(ProjectEvent):
    __mapper_args__ = {"polymorphic_abstract": True}  # noqa: RUF012
    given: given_facts.JobFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["project"]["job"] = {
            "uuid": str(self.given.job_uuid),
            "name": self.given.job_name,
            "status": self.given.job_status,
            "pipeline_name": self.given.pipeline_name,
            "url_path": self._url_path,
            "total_runs": self.given.total_runs,
        }
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        job = str(self.given.job_uuid)
        payload["event_properties"]["project"]["job"] = {
            "uuid": job,
            "status": self.given.job_status,
            "url_path": self._url_path,
            "total_runs": self.given.total_runs,
        }
        payload["derived_properties"]["project"]["job"] = {}
        _repeat_at_the_root(payload["event_properties"], job_uuid=job)
        if self.given.definition is not None:
            self._add_definition(payload, self.given.definition)
        return self._allowed(payload)

    def _add_definition(self, payload: TelemetryPayload, given: given_facts.JobDefinition) -> None:
        event, derived = payload["event_properties"], payload["derived_properties"]
        anonymous = telemetry.job_definition(given, self.given.total_runs)
        definition = {
            **anonymous.event,
            "uuid": str(self.given.job_uuid),
            "project_uuid": str(self.given.project_uuid),
            "pipeline_uuid": str(self.given.pipeline_uuid),
            "pipeline_run_spec": {"run_type": "full", "uuids": []},
        }
        event["project"]["job"]["definition"] = definition
        derived["project"]["job"]["definition"] = anonymous.derived
        _repeat_at_the_root(event, job_definition=definition)
        if given.snapshot_megabytes is not None:
            derived["project"]["job"]["snapshot_size"] = given.snapshot_megabytes
            _repeat_at_the_root(event, snapshot_size=given.snapshot_megabytes)

    @property
    def _url_path(self) -> str:
        return f"/job?project_uuid={self.given.project_uuid}&job_uuid={self.given.job_uuid}"

    def _told_run(self, run: given_facts.JobPipelineRun) -> Payload:
        titles = {step.uuid: step.title for step in run.steps}
        failed = _failed_steps(run.steps) if run.status is given_facts.RunStatus.FAILURE else {}
        return {
            "uuid": str(run.uuid),
            "parameters": _told_parameters(run.parameters, titles),
            **self._about_run(run),
            **failed,
        }

    def _anonymous_run(self, run: given_facts.JobPipelineRun) -> Payload:
        return {"uuid": str(run.uuid), **self._about_run(run)}

    def _about_run(self, run: given_facts.JobPipelineRun) -> Payload:
        given = self.given
        return {
            "status": run.status,
            "number": run.number,
            **_known(number_in_run=run.number_in_run),
            "url_path": (
                f"/job-run?project_uuid={given.project_uuid}&pipeline_uuid={given.pipeline_uuid}"
                f"&job_uuid={given.job_uuid}&run_uuid={run.uuid}"
            ),
        }


class OneOffJobEvent(JobEvent):
    __mapper_args__ = {"polymorphic_identity": Layer.ONE_OFF_JOB}  # noqa: RUF012
    given: given_facts.OneOffJobFacts


class OneOffJobUpdateEvent(OneOffJobEvent):
    __mapper_args__ = {"polymorphic_identity": Layer.ONE_OFF_JOB_UPDATE}  # noqa: RUF012
    given: given_facts.OneOffJobUpdateFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["project"]["job"]["update"] = _update(self.given.changes)
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        payload["event_properties"]["project"]["job"]["update"] = telemetry.changes(self.given.changes)
        payload["derived_properties"]["project"]["job"]["update"] = {}
        return self._allowed(payload)


class OneOffJobPipelineRunEvent(OneOffJobEvent):
    __mapper_args__ = {"polymorphic_identity": Layer.ONE_OFF_JOB_PIPELINE_RUN}  # noqa: RUF012
    given: given_facts.OneOffJobPipelineRunFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["project"]["job"]["pipeline_run"] = self._told_run(self.given.pipeline_run)
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        run = self.given.pipeline_run
        payload["event_properties"]["project"]["job"]["pipeline_run"] = self._anonymous_run(run)
        payload["derived_properties"]["project"]["job"]["pipeline_run"] = telemetry.job_run_counts(run)
        return self._allowed(payload)


class CronJobEvent(JobEvent):
    __mapper_args__ = {"polymorphic_identity": Layer.CRON_JOB}  # noqa: RUF012
    given: given_facts.CronJobFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["project"]["job"]["schedule"] = self.given.schedule
        payload["project"]["job"]["next_scheduled_time"] = _text(self.given.next_scheduled_time)
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        payload["event_properties"]["project"]["job"]["next_scheduled_time"] = _text(self.given.next_scheduled_time)
        return self._allowed(payload)


class CronJobUpdateEvent(CronJobEvent):
    __mapper_args__ = {"polymorphic_identity": Layer.CRON_JOB_UPDATE}  # noqa: RUF012
    given: given_facts.CronJobUpdateFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["project"]["job"]["update"] = _update(self.given.changes)
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        payload["event_properties"]["project"]["job"]["update"] = telemetry.changes(self.given.changes)
        payload["derived_properties"]["project"]["job"]["update"] = {}
        return self._allowed(payload)


class CronJobRunEvent(CronJobEvent):
    __mapper_args__ = {"polymorphic_identity": Layer.CRON_JOB_RUN}  # noqa: RUF012
    given: given_facts.CronJobRunFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["project"]["job"]["run"] = self._run
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        payload["event_properties"]["project"]["job"]["run"] = self._run
        payload["derived_properties"]["project"]["job"]["run"] = {}
        return self._allowed(payload)

    @property
    def _run(self) -> Payload:
        return {
            "status": self.given.run_status,
            "number": self.given.run_number,
            "total_pipeline_runs": self.given.total_pipeline_runs,
        }


class CronJobRunPipelineRunEvent(CronJobRunEvent):
    __mapper_args__ = {"polymorphic_identity": Layer.CRON_JOB_RUN_PIPELINE_RUN}  # noqa: RUF012
    given: given_facts.CronJobRunPipelineRunFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["project"]["job"]["run"]["pipeline_run"] = self._told_run(self.given.pipeline_run)
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        run = self.given.pipeline_run
        payload["event_properties"]["project"]["job"]["run"]["pipeline_run"] = self._anonymous_run(run)
        payload["derived_properties"]["project"]["job"]["run"]["pipeline_run"] = telemetry.job_run_counts(run)
        return self._allowed(payload)


class JupyterImageBuildEvent(Event):
    __mapper_args__ = {"polymorphic_identity": Layer.JUPYTER_IMAGE_BUILD}  # noqa: RUF012
    given: given_facts.JupyterImageBuildFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["jupyter"] = {"image_build": {}}
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        payload["event_properties"]["jupyter"] = {"image_build": _build(self.given.build)}
        payload["derived_properties"]["jupyter"] = {"image_build": {}}
        return self._allowed(payload)


class ClusterEvent(Event):
    __mapper_args__ = {"polymorphic_identity": Layer.CLUSTER}  # noqa: RUF012
    given: given_facts.ClusterEventFacts

    def to_notification_payload(self) -> Payload:
        payload = super().to_notification_payload()
        payload["cluster"] = self.given.model_dump(mode="json")
        return payload

    def to_telemetry_payload(self) -> TelemetryPayload:
        payload = super().to_telemetry_payload()
        anonymous = telemetry.cluster(self.given)
        payload["event_properties"]["cluster"] = anonymous.event
        payload["derived_properties"]["cluster"] = anonymous.derived
        return self._allowed(payload)


def class_of(layer: str) -> type[Event]:
    """Of a layer that this version does not know: `Event`."""
    found: type[Event] = inspect(Event).polymorphic_map[layer if layer in _KNOWN_LAYERS else UNKNOWN_LAYER].class_
    return found


def event_of(event_type: EventType, given: given_facts.Facts, uuid: UUID, timestamp: datetime) -> Event:
    """The event with its payload, in no session. `given` is of the type's layer, or of one within it."""
    scope = given.scope
    layer = layer_of(event_type)
    event = class_of(layer)(
        uuid=uuid,
        type=event_type.value,
        layer=layer.value,
        timestamp=timestamp,
        project_uuid=scope.project_uuid,
        job_uuid=scope.job_uuid,
        facts=from_json(given.model_dump_json()),
    )
    event.given = given
    event.payload = json_text(event.to_notification_payload())
    return event


def json_text(payload: Payload | TelemetryPayload) -> str:
    """Keys in the order they were written. A number that JSON cannot say (NaN) is null."""
    return to_json(payload, inf_nan_mode="null").decode()


def _text(instant: datetime | None) -> str | None:
    """As the original wrote it: ISO 8601 with a space for the T; always UTC."""
    return None if instant is None else str(instant.astimezone(UTC))


def _known(**values: float | bool | None) -> Payload:
    return {name: value for name, value in values.items() if value is not None}


def _update(changes: Sequence[given_facts.Change]) -> Payload:
    return {"changes": [change.model_dump(exclude_none=True) for change in changes]}


def _step(uuid: str, title: str | None) -> Payload:
    return {"uuid": uuid, "title": title}


def _failed_steps(steps: Sequence[given_facts.RunStep]) -> Payload:
    failed = [_step(step.uuid, step.title) for step in steps if step.status is given_facts.RunStatus.FAILURE]
    return {"failed_steps": failed} if failed else {}


def _told_parameters(given: Mapping[str, given_facts.Parameters], titles: Mapping[str, str | None]) -> Payload:
    return {
        key: {"parameters": parameters}
        if key == "pipeline_parameters"
        else {"step": _step(key, titles.get(key)), "parameters": parameters}
        for key, parameters in given.items()
    }


def _build(build: given_facts.ImageBuild) -> Payload:
    return {
        "image_tag": build.image_tag,
        "requested_time": _text(build.requested_time),
        "started_time": _text(build.started_time),
        "finished_time": _text(build.finished_time),
    }


def _repeat_at_the_root(properties: Payload, **values: object) -> None:
    """Where the original's oldest receivers look for them; `deprecated` names them."""
    properties.update(values)
    properties.setdefault("deprecated", []).extend(values)
