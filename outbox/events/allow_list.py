"""All that telemetry may ever say: for each layer every path of its payload, and the kind of value allowed there.

In: a telemetry payload. Out: the same without whatever is not listed, or is not of its kind. Never: a text that people
can choose. There are uuids, counts, times, booleans, and words of enumerations that are complete in our own code.

`telemetry.py` and the classes in `models.py` say what to tell; this is the gate through which it leaves, so that a
mistake there, or a fact added later, tells nothing. `docs/analytics.md` lists the same paths.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, NamedTuple, TypeAlias

from outbox.events.facts import ChangedObject, ChangeType, JobStatus, RunStatus
from outbox.events.types import EventType, Layer

_LARGEST_COUNT = 10**9
_LARGEST_SETTING = 1000
"""Numbers that people choose could stand for anything, a telephone number say, unless they are small."""


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    """For people."""
    holds: Callable[[Any], bool] = field(repr=False)


class Listed(NamedTuple):
    """An array; elements that are not allowed are left out."""

    of: Shape


class Keyed(NamedTuple):
    """An object with keys of one kind."""

    keys: Kind
    of: Shape


Shape: TypeAlias = "Kind | Listed | Keyed | Mapping[str, Shape]"
Tree = dict[str, Any]
"""Of shapes."""


class Properties(NamedTuple):
    """The two halves of a telemetry payload."""

    event_properties: Tree
    derived_properties: Tree

    def plus(self, event: Tree, derived: Tree | None = None) -> Properties:
        """These and more, as a layer adds to the one around it."""
        return Properties(_merged(self.event_properties, event), _merged(self.derived_properties, derived or {}))


def allowed(payload: Mapping[str, Any], shape: Mapping[str, Shape]) -> dict[str, Any]:
    """A new value; `payload` stays as it is."""
    return {
        key: passed
        for key, value in payload.items()
        if key in shape and (passed := _passed(value, shape[key])) is not _NOTHING
    }


_NOTHING: Final = object()


def _passed(value: Any, shape: Shape) -> Any:
    """None passes everywhere: it tells nothing."""
    if value is None:
        return None
    if isinstance(shape, Kind):
        return value if shape.holds(value) else _NOTHING
    if isinstance(shape, Listed):
        if not isinstance(value, list | tuple):
            return _NOTHING
        return [passed for item in value if (passed := _passed(item, shape.of)) is not _NOTHING]
    if not isinstance(value, Mapping):
        return _NOTHING
    if isinstance(shape, Keyed):
        return allowed(value, {key: shape.of for key in value if shape.keys.holds(key)})
    return allowed(value, shape)


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> Tree:
    both = {key: _merged(one[key], other[key]) for key in one if isinstance(one[key], dict) and key in other}
    return {**one, **other, **both}


# Kinds.


def words(name: str, *known: str) -> Kind:
    """Members of an enumeration."""
    there = frozenset(known)
    return Kind(name, lambda value: isinstance(value, str) and value in there)


def _text(name: str, pattern: str) -> Kind:
    whole = re.compile(pattern, re.ASCII)
    return Kind(name, lambda value: isinstance(value, str) and whole.fullmatch(value) is not None)


def _whole_number(value: object, largest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= largest


def _is_measure(value: object) -> bool:
    return _whole_number(value, _LARGEST_COUNT) or (
        isinstance(value, float) and isfinite(value) and 0 <= value <= _LARGEST_COUNT
    )


_UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_PAGE = "(?:pipeline|environment|job|job-run)"
_OF = "(?:project|pipeline|environment|job|run)_uuid"
_NUMBER = "[1-9][0-9]{0,8}"
_RELEASE = r"v20[0-9]{2}\.(?:0[1-9]|1[0-2])\.[0-9]{1,3}"
_BASE_IMAGE = f"orchest/base-kernel-(?:py|py-gpu|r|julia|javascript)(?::{_RELEASE})?"

UUID = _text("uuid", _UUID)
COUNT = Kind("count", lambda value: _whole_number(value, _LARGEST_COUNT))
MEASURE = Kind("number", _is_measure)
FLAG = Kind("boolean", lambda value: isinstance(value, bool))
TIME = _text("time", r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{6})?\+00:00")
RELEASE = _text("release", _RELEASE)
SETTING = Kind(f"number up to {_LARGEST_SETTING}", lambda value: _whole_number(value, _LARGEST_SETTING))
STEP = _text("uuid or `step_N`", f"{_UUID}|step_{_NUMBER}")
SERVICE = _text("`service_N`", f"service_{_NUMBER}")
PATH = _text("path with uuids", f"/{_PAGE}\\?{_OF}={_UUID}(?:&{_OF}={_UUID})*")
_PARAMETERS = _text(
    "`STEP_parameters_count` or `pipeline_parameters_count`",
    f"(?:{_UUID}|step_{_NUMBER})_parameters_count|pipeline_parameters_count",
)
BASE_IMAGE = _text("`orchest/base-kernel-LANGUAGE`", _BASE_IMAGE)
SERVICE_IMAGE = _text("`environment@UUID` or `orchest/base-kernel-LANGUAGE`", f"environment@{_UUID}|{_BASE_IMAGE}")
TYPE = words("type of event", *EventType)
RUN_STATUS = words("status of a run", *RunStatus)
JOB_STATUS = words("status of a job", *JobStatus)
LANGUAGE = words("language", "python", "r", "julia", "javascript", "bash", "other")
EXTENSION = words("file extension", ".ipynb", ".py", ".R", ".sh", ".jl", ".js", "other")
SCOPE = words("scope", "interactive", "noninteractive")
SCHEMA_VERSION = words("version of the pipeline file", "1.0.0", "1.1.0", "1.2.0", "1.2.1", "1.2.2", "1.2.3")
VERB = words("verb", "create", "update", "replace", "delete", "adopt", "generate", "wait", "keep")


# Parts.

_SERVICES = Keyed(
    SERVICE,
    {
        "name": SERVICE,
        "image": SERVICE_IMAGE,
        "scope": Listed(SCOPE),
        "exposed": FLAG,
        "requires_authentication": FLAG,
        "preserve_base_path": FLAG,
    },
)
_SERVICES_COUNTED = Keyed(SERVICE, {"binds_count": COUNT, "ports_count": COUNT})
PIPELINE_DEFINITION: Tree = {
    "uuid": UUID,
    "version": SCHEMA_VERSION,
    "settings": {"auto_eviction": FLAG, "max_steps_parallelism": SETTING},
    "steps": Keyed(STEP, {"uuid": STEP, "environment": UUID, "incoming_connections": Listed(STEP)}),
    "services": _SERVICES,
}
PIPELINE_DEFINITION_COUNTED: Tree = {
    "pipeline_parameters_count": COUNT,
    "step_count": COUNT,
    "unique_environments_count": COUNT,
    "step_parameters_count": COUNT,
    "step_file_extension_count": Keyed(EXTENSION, COUNT),
    "services": _SERVICES_COUNTED,
}
JOB_DEFINITION: Tree = {
    "draft": FLAG,
    "pipeline_definition": PIPELINE_DEFINITION,
    "uuid": UUID,
    "project_uuid": UUID,
    "pipeline_uuid": UUID,
    "pipeline_run_spec": {"run_type": words("kind of run", "full"), "uuids": Listed(STEP)},
}
JOB_DEFINITION_COUNTED: Tree = {
    "parameterized_runs_count": COUNT,
    "env_variables_count": COUNT,
    "pipeline_definition": PIPELINE_DEFINITION_COUNTED,
}
_CHANGES = {
    "changes": Listed(
        {"type": words("kind of change", *ChangeType), "changed_object": words("what changed", *ChangedObject)}
    )
}
_BUILD = {"image_tag": COUNT, "requested_time": TIME, "started_time": TIME, "finished_time": TIME}
_ENVIRONMENT = {"gpu_support": FLAG, "language": LANGUAGE, "base_image": BASE_IMAGE}
_JOB_PIPELINE_RUN = {"uuid": UUID, "status": RUN_STATUS, "number": COUNT, "number_in_run": COUNT, "url_path": PATH}
_RUN_COUNTED = {"failed_steps_count": COUNT, "parameters": Keyed(_PARAMETERS, COUNT)}


def _project(part: Tree) -> Tree:
    return {"project": part}


def _pipeline(part: Tree) -> Tree:
    return _project({"pipeline": part})


def _session(part: Tree) -> Tree:
    return _pipeline({"session": part})


def _job(part: Tree) -> Tree:
    return _project({"job": part})


def _root(*deprecated: str, **at_the_root: Shape) -> Tree:
    """What is repeated at the root for the oldest receivers."""
    names = words("names of such keys", *at_the_root, *deprecated)
    return {**at_the_root, "deprecated": Listed(names)}


# Layers.

EVENT = Properties({"uuid": UUID, "type": TYPE, "timestamp": TIME}, {})
_PROJECT_LAYER = EVENT.plus(_project({"uuid": UUID}), _project({"projects_count": COUNT}))
_PIPELINE_LAYER = _PROJECT_LAYER.plus(_pipeline({"uuid": UUID}), _pipeline({"project_pipelines_count": COUNT}))
_SESSION_ROOT: dict[str, Shape] = {"project_uuid": UUID, "pipeline_uuid": UUID, "active_runs": FLAG}
_SESSION_LAYER = _PIPELINE_LAYER.plus(
    _session({"user_services": _SERVICES, "active_runs": FLAG}) | _root(**_SESSION_ROOT),
    _session({"user_services": _SERVICES_COUNTED}) | _root(services=_SERVICES_COUNTED),
)
_RUN_LAYER = _SESSION_LAYER.plus(
    _session(
        {
            "pipeline_run": {
                "uuid": UUID,
                "url_path": PATH,
                "steps": Listed({"uuid": STEP}),
                "pipeline_definition": PIPELINE_DEFINITION,
            }
        }
    )
    | _root(
        *_SESSION_ROOT,
        run_uuid=UUID,
        run_type=words("kind of run", "interactive"),
        step_uuids_to_execute=Listed(STEP),
    ),
    _session({"pipeline_run": {**_RUN_COUNTED, "pipeline_definition": PIPELINE_DEFINITION_COUNTED}})
    | _root("services", pipeline_definition=PIPELINE_DEFINITION_COUNTED),
)
_ENVIRONMENT_LAYER = _PROJECT_LAYER.plus(
    _project({"environment": {"uuid": UUID, "url_path": PATH}}), _project({"environment": {}})
)
_BUILD_LAYER = _ENVIRONMENT_LAYER.plus(
    _project({"environment": {"image_build": _BUILD | _ENVIRONMENT}})
    | _root(project_uuid=UUID, environment_uuid=UUID, image_tag=COUNT, **_ENVIRONMENT),
    _project({"environment": {"image_build": {"uses_orchest_base_image": FLAG}}}) | _root(uses_orchest_base_image=FLAG),
)
_JOB_LAYER = _PROJECT_LAYER.plus(
    _job({"uuid": UUID, "status": JOB_STATUS, "url_path": PATH, "total_runs": COUNT, "definition": JOB_DEFINITION})
    | _root(job_uuid=UUID, job_definition=JOB_DEFINITION, snapshot_size=MEASURE),
    _job({"definition": JOB_DEFINITION_COUNTED, "snapshot_size": MEASURE}),
)
_CRON_JOB_LAYER = _JOB_LAYER.plus(_job({"next_scheduled_time": TIME}))
_CRON_JOB_RUN_LAYER = _CRON_JOB_LAYER.plus(
    _job({"run": {"status": RUN_STATUS, "number": COUNT, "total_pipeline_runs": COUNT}}), _job({"run": {}})
)

LAYERS: Mapping[Layer, Properties] = {
    Layer.PROJECT: _PROJECT_LAYER,
    Layer.PROJECT_UPDATE: _PROJECT_LAYER.plus(_project({"update": _CHANGES}), _project({"update": {}})),
    Layer.PIPELINE: _PIPELINE_LAYER,
    Layer.PIPELINE_UPDATE: _PIPELINE_LAYER.plus(_pipeline({"update": _CHANGES}), _pipeline({"update": {}})),
    Layer.INTERACTIVE_SESSION: _SESSION_LAYER,
    Layer.INTERACTIVE_PIPELINE_RUN: _RUN_LAYER,
    Layer.ENVIRONMENT: _ENVIRONMENT_LAYER,
    Layer.ENVIRONMENT_IMAGE_BUILD: _BUILD_LAYER,
    Layer.ONE_OFF_JOB: _JOB_LAYER,
    Layer.ONE_OFF_JOB_UPDATE: _JOB_LAYER.plus(_job({"update": _CHANGES}), _job({"update": {}})),
    Layer.ONE_OFF_JOB_PIPELINE_RUN: _JOB_LAYER.plus(
        _job({"pipeline_run": _JOB_PIPELINE_RUN}), _job({"pipeline_run": _RUN_COUNTED})
    ),
    Layer.CRON_JOB: _CRON_JOB_LAYER,
    Layer.CRON_JOB_UPDATE: _CRON_JOB_LAYER.plus(_job({"update": _CHANGES}), _job({"update": {}})),
    Layer.CRON_JOB_RUN: _CRON_JOB_RUN_LAYER,
    Layer.CRON_JOB_RUN_PIPELINE_RUN: _CRON_JOB_RUN_LAYER.plus(
        _job({"run": {"pipeline_run": _JOB_PIPELINE_RUN}}), _job({"run": {"pipeline_run": _RUN_COUNTED}})
    ),
    Layer.JUPYTER_IMAGE_BUILD: EVENT.plus({"jupyter": {"image_build": _BUILD}}, {"jupyter": {"image_build": {}}}),
    Layer.CLUSTER: EVENT.plus(
        {
            "cluster": {
                "uid": UUID,
                "server_uid": UUID,
                "cycle_uuid": UUID,
                "version_before": RELEASE,
                "version_after": RELEASE,
            }
        },
        {"cluster": {"counts": Keyed(VERB, COUNT), "drifted_count": COUNT}},
    ),
}
