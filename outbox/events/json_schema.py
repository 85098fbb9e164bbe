"""What a receiver can rely on: the payload of every type of event as JSON Schema (2020-12), and when each happens.

In: nothing. Out: schemas, built layer by layer as the payloads are. Never: a promise that nothing will be added;
receivers skip fields they do not know.

`make schemas` writes the document that is published in `docs/events/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from outbox.events import facts
from outbox.events.types import EventType, Layer, layer_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import StrEnum

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

WHEN: Mapping[EventType, str] = {
    EventType.PROJECT_CREATED: "a project was created or imported",
    EventType.PROJECT_UPDATED: "a project's name or environment variables changed",
    EventType.PROJECT_DELETED: "a project was deleted",
    EventType.PROJECT_PIPELINE_CREATED: "a pipeline was created",
    EventType.PROJECT_PIPELINE_UPDATED: "a pipeline's name or environment variables changed",
    EventType.PROJECT_PIPELINE_DELETED: "a pipeline was deleted",
    EventType.PROJECT_ENVIRONMENT_CREATED: "an environment was created",
    EventType.PROJECT_ENVIRONMENT_DELETED: "an environment was deleted",
    EventType.PROJECT_ENVIRONMENT_IMAGE_BUILD_CREATED: "the build of an environment's image was requested",
    EventType.PROJECT_ENVIRONMENT_IMAGE_BUILD_STARTED: "the build began",
    EventType.PROJECT_ENVIRONMENT_IMAGE_BUILD_CANCELLED: "the build was aborted, or a newer one took its place",
    EventType.PROJECT_ENVIRONMENT_IMAGE_BUILD_FAILED: "the build failed",
    EventType.PROJECT_ENVIRONMENT_IMAGE_BUILD_SUCCEEDED: "the build succeeded: the image can be used",
    EventType.JUPYTER_IMAGE_BUILD_CREATED: "a build of JupyterLab's image was requested",
    EventType.JUPYTER_IMAGE_BUILD_STARTED: "the build began",
    EventType.JUPYTER_IMAGE_BUILD_CANCELLED: "the build was aborted, or a newer one took its place",
    EventType.JUPYTER_IMAGE_BUILD_FAILED: "the build failed",
    EventType.JUPYTER_IMAGE_BUILD_SUCCEEDED: "the build succeeded",
    EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_STARTED: "the launch of a session was requested",
    EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_STOPPED: "a session was stopped",
    EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_SERVICE_RESTARTED: "a service of a session was restarted",
    EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_FAILED: "a session could not be launched",
    EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_SUCCEEDED: "a session is running: everything in it is ready",
    EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_CREATED: "a run in a session was requested",
    EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_STARTED: "the run began",
    EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_CANCELLED: "the run was aborted",
    EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_FAILED: "a step failed, and with it the run",
    EventType.PROJECT_PIPELINE_INTERACTIVE_SESSION_PIPELINE_RUN_SUCCEEDED: "all steps of the run succeeded",
    EventType.PROJECT_ONE_OFF_JOB_CREATED: "a job that runs once was drafted",
    EventType.PROJECT_ONE_OFF_JOB_STARTED: "the job began",
    EventType.PROJECT_ONE_OFF_JOB_DELETED: "the job was deleted",
    EventType.PROJECT_ONE_OFF_JOB_CANCELLED: "the job was aborted",
    EventType.PROJECT_ONE_OFF_JOB_FAILED: "the job ended and a run of it failed, or it could not be launched",
    EventType.PROJECT_ONE_OFF_JOB_UPDATED: "the job's draft changed",
    EventType.PROJECT_ONE_OFF_JOB_SUCCEEDED: "the job ended and all its runs succeeded",
    EventType.PROJECT_ONE_OFF_JOB_PIPELINE_RUN_CREATED: "the job made a pipeline run",
    EventType.PROJECT_ONE_OFF_JOB_PIPELINE_RUN_STARTED: "the run began",
    EventType.PROJECT_ONE_OFF_JOB_PIPELINE_RUN_CANCELLED: "the run was aborted, alone or with its job",
    EventType.PROJECT_ONE_OFF_JOB_PIPELINE_RUN_FAILED: "a step failed, and with it the run",
    EventType.PROJECT_ONE_OFF_JOB_PIPELINE_RUN_DELETED: "the run was deleted",
    EventType.PROJECT_ONE_OFF_JOB_PIPELINE_RUN_SUCCEEDED: "all steps of the run succeeded",
    EventType.PROJECT_CRON_JOB_CREATED: "a job with a schedule was drafted",
    EventType.PROJECT_CRON_JOB_STARTED: "the draft was confirmed: the job is scheduled",
    EventType.PROJECT_CRON_JOB_DELETED: "the job was deleted",
    EventType.PROJECT_CRON_JOB_CANCELLED: "the job was aborted: it will not run again",
    EventType.PROJECT_CRON_JOB_FAILED: "the job ended because it could not go on",
    EventType.PROJECT_CRON_JOB_SUCCEEDED: "the job ended after its last scheduled time",
    EventType.PROJECT_CRON_JOB_UPDATED: "the job changed",
    EventType.PROJECT_CRON_JOB_PAUSED: "the job was paused",
    EventType.PROJECT_CRON_JOB_UNPAUSED: "the job was resumed",
    EventType.PROJECT_CRON_JOB_RUN_STARTED: "a scheduled time came, or somebody triggered the job",
    EventType.PROJECT_CRON_JOB_RUN_SUCCEEDED: "all pipeline runs of that time ended, none failed",
    EventType.PROJECT_CRON_JOB_RUN_FAILED: "a pipeline run of that time failed: once, with the first",
    EventType.PROJECT_CRON_JOB_RUN_PIPELINE_RUN_CREATED: "the job made a pipeline run",
    EventType.PROJECT_CRON_JOB_RUN_PIPELINE_RUN_STARTED: "the run began",
    EventType.PROJECT_CRON_JOB_RUN_PIPELINE_RUN_CANCELLED: "the run was aborted, alone or with its job",
    EventType.PROJECT_CRON_JOB_RUN_PIPELINE_RUN_FAILED: "a step failed, and with it the run",
    EventType.PROJECT_CRON_JOB_RUN_PIPELINE_RUN_DELETED: "the run was deleted, by hand or because newer ones are kept",
    EventType.PROJECT_CRON_JOB_RUN_PIPELINE_RUN_SUCCEEDED: "all steps of the run succeeded",
    EventType.CLUSTER_CREATED: "a cluster was applied for the first time",
    EventType.CLUSTER_UPDATED: "an apply moved a cluster to another release",
    EventType.CLUSTER_PLAN_APPLIED: "a plan was applied to its end",
    EventType.CLUSTER_DRIFT_DETECTED: "objects differ from Git although Git did not change",
    EventType.CLUSTER_DRIFT_REPAIRED: "an apply took such differences back",
    EventType.CLUSTER_UNHEALTHY: "an apply failed, or objects did not become ready in time",
    EventType.CLUSTER_PAUSED: "a cluster was paused",
    EventType.CLUSTER_RESUMED: "a paused cluster was resumed",
    EventType.CLUSTER_ROLLED_BACK: "an earlier state was applied again",
    EventType.CLUSTER_DELETED: "a cluster was uninstalled",
}

_UUID: Schema = {"type": "string", "format": "uuid"}
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_INSTANT: Schema = {
    "type": "string",
    "pattern": r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{6})?\+00:00$",
    "description": "ISO 8601 with a space in place of the T, in UTC.",
}


@dataclass(frozen=True, slots=True)
class _Part:
    """What one class of facts adds, and where in the payload."""

    path: tuple[str, ...]
    properties: Schema
    optional: Schema = field(default_factory=dict)


def _object(properties: Schema, optional: Schema | None = None) -> Schema:
    return {"type": "object", "properties": {**properties, **(optional or {})}, "required": list(properties)}


def _list_of(items: Schema, at_most: int | None = None) -> Schema:
    bound = {} if at_most is None else {"maxItems": at_most}
    return {"type": "array", "items": items, **bound}


def _one_of(words: type[StrEnum]) -> Schema:
    return {"type": "string", "enum": [word.value for word in words]}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _path(start: str) -> Schema:
    return {"type": "string", "pattern": f"^{start}\\?", "description": "Of the web interface, without its host."}


_CHANGE = _object(
    {"type": _one_of(facts.ChangeType), "changed_object": _one_of(facts.ChangedObject)},
    {"old_value": _TEXT, "new_value": _TEXT},
)
_UPDATE = {"update": _object({"changes": _list_of(_CHANGE)})}
_STEP = _object({"uuid": _TEXT, "title": _or_null(_TEXT)})
_PARAMETERS: Schema = {
    "type": "object",
    "description": "By step uuid, and under `pipeline_parameters` those of the pipeline.",
    "properties": {"pipeline_parameters": _object({"parameters": {"type": "object"}})},
    "additionalProperties": _object({"step": _STEP, "parameters": {"type": "object"}}),
}
_FAILED_STEPS = {"failed_steps": _list_of(_STEP)}
_JOB_RUN = {
    "uuid": _UUID,
    "parameters": _PARAMETERS,
    "status": _one_of(facts.RunStatus),
    "number": _COUNT,
    "url_path": _path("/job-run"),
}
_CLUSTER = {
    "namespace": _TEXT,
    "name": _TEXT,
    "uid": _TEXT,
    "server_uid": _TEXT,
    "cycle_uuid": _or_null(_UUID),
    "plan_id": _TEXT,
    "plan_digest": _TEXT,
    "commit": _TEXT,
    "revision": _TEXT,
    "version_before": _TEXT,
    "version_after": _TEXT,
    "outcome": _or_null(_one_of(facts.ApplyOutcome)),
    "counts": {"type": "object", "description": "Actions by verb.", "additionalProperties": _COUNT},
    "actions": _list_of(
        _object({"object_key": _TEXT, "verb": _TEXT, "reason": _TEXT, "result": _TEXT}), facts.LISTED_AT_MOST
    ),
    "drifted_count": _COUNT,
    "drifted": _list_of(
        _object({"object_key": _TEXT, "fields": _list_of(_TEXT, facts.FIELDS_AT_MOST)}), facts.LISTED_AT_MOST
    ),
    "message": {"type": "string", "maxLength": facts.MESSAGE_AT_MOST},
}

_PROJECT = ("project",)
_PIPELINE = (*_PROJECT, "pipeline")
_SESSION = (*_PIPELINE, "session")
_ENVIRONMENT = (*_PROJECT, "environment")
_JOB = (*_PROJECT, "job")

_PARTS: Mapping[type[facts.Facts], _Part] = {
    facts.ProjectFacts: _Part(_PROJECT, {"uuid": _UUID, "name": _TEXT}),
    facts.ProjectUpdateFacts: _Part(_PROJECT, _UPDATE),
    facts.PipelineFacts: _Part(_PIPELINE, {"uuid": _UUID, "name": _TEXT}),
    facts.PipelineUpdateFacts: _Part(_PIPELINE, _UPDATE),
    facts.InteractiveSessionFacts: _Part(_SESSION, {}),
    facts.InteractivePipelineRunFacts: _Part(
        (*_SESSION, "pipeline_run"),
        {"uuid": _UUID, "url_path": _path("/pipeline"), "steps": _list_of(_STEP), "parameters": _PARAMETERS},
        _FAILED_STEPS,
    ),
    facts.EnvironmentFacts: _Part(_ENVIRONMENT, {"uuid": _UUID, "url_path": _path("/environment")}),
    facts.EnvironmentImageBuildFacts: _Part((*_ENVIRONMENT, "image_build"), {}),
    facts.JobFacts: _Part(
        _JOB,
        {
            "uuid": _UUID,
            "name": _TEXT,
            "status": _one_of(facts.JobStatus),
            "pipeline_name": _TEXT,
            "url_path": _path("/job"),
            "total_runs": _COUNT,
        },
    ),
    facts.OneOffJobUpdateFacts: _Part(_JOB, _UPDATE),
    facts.OneOffJobPipelineRunFacts: _Part((*_JOB, "pipeline_run"), _JOB_RUN, _FAILED_STEPS),
    facts.CronJobFacts: _Part(_JOB, {"schedule": _TEXT, "next_scheduled_time": _or_null(_INSTANT)}),
    facts.CronJobUpdateFacts: _Part(_JOB, _UPDATE),
    facts.CronJobRunFacts: _Part(
        (*_JOB, "run"),
        {"status": _or_null(_one_of(facts.RunStatus)), "number": _COUNT, "total_pipeline_runs": _COUNT},
    ),
    facts.CronJobRunPipelineRunFacts: _Part(
        (*_JOB, "run", "pipeline_run"), {**_JOB_RUN, "number_in_run": _COUNT}, _FAILED_STEPS
    ),
    facts.JupyterImageBuildFacts: _Part(("jupyter", "image_build"), {}),
    facts.ClusterEventFacts: _Part(("cluster",), _CLUSTER),
}


def schema_of(event_type: EventType) -> Schema:
    """Of the payload of one type, complete in itself."""
    return {
        "$schema": _DIALECT,
        "title": event_type.value,
        "description": WHEN[event_type],
        **_layer_schema(layer_of(event_type), {"const": event_type.value}),
    }


def published() -> Schema:
    """Of the payload of any type: `$defs` has each layer once, and each type as its layer with that type's name."""
    layers = {
        layer.value: _layer_schema(layer, {"enum": [one.value for one in EventType if layer_of(one) is layer]})
        for layer in Layer
    }
    types = {
        event_type.value: {
            "description": WHEN[event_type],
            "allOf": [{"$ref": f"#/$defs/{layer_of(event_type)}"}],
            "properties": {"type": {"const": event_type.value}},
        }
        for event_type in EventType
    }
    return {
        "$schema": _DIALECT,
        "title": "The payload of an event",
        "oneOf": [{"$ref": f"#/$defs/{event_type}"} for event_type in EventType],
        "$defs": {**layers, **types},
    }


def _layer_schema(layer: Layer, name: Schema) -> Schema:
    root = _object({"uuid": _UUID, "type": name, "timestamp": _INSTANT})
    for ancestor in reversed(facts.FACTS_OF_LAYER[layer].__mro__):
        part = _PARTS.get(ancestor)
        if part is not None:
            place = _place(root, part.path)
            place["properties"] |= {**part.properties, **part.optional}
            place["required"] += [key for key in part.properties if key not in place["required"]]
    return root


def _place(root: Schema, path: tuple[str, ...]) -> Schema:
    """The object at the path, made and required where it is not there yet."""
    place = root
    for key in path:
        if key not in place["properties"]:
            place["properties"][key] = _object({})
            place["required"].append(key)
        place = place["properties"][key]
    return place
