"""What telemetry may know: the anonymous form of every part of an event that people can put words into.

In: facts. Out: uuids, counts, times and words of our own enumerations; names become ordinals. Never: a text that
somebody chose, not even as a key: names are replaced here, and what is left must pass `allow_list.py`.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from outbox.events.allow_list import BASE_IMAGE, EXTENSION, LANGUAGE, UUID
from outbox.events.facts import RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from outbox.events.facts import (
        Change,
        ClusterEventFacts,
        EnvironmentImageBuildFacts,
        JobDefinition,
        JobPipelineRun,
        Parameters,
        PipelineDefinition,
        RunStep,
        Service,
        Step,
    )

_PIPELINE_PARAMETERS = "pipeline_parameters"


class Anonymous(NamedTuple):
    event: dict[str, Any]
    """As given, minus what must not be told."""
    derived: dict[str, Any]
    """Counted from what was left out."""


def services(given: Mapping[str, Service]) -> Anonymous:
    """Numbered in the order in which they start."""
    in_order = sorted(given.values(), key=lambda service: (service.order is None, service.order))
    numbered = {f"service_{number}": service for number, service in enumerate(in_order, 1)}
    return Anonymous(
        {name: _service(name, service) for name, service in numbered.items()},
        {
            name: {"binds_count": len(service.binds), "ports_count": len(service.ports)}
            for name, service in numbered.items()
        },
    )


def step_names(definition: PipelineDefinition, run: Sequence[RunStep] = ()) -> dict[str, str]:
    """What each step is called here, by what it is called there, wherever it is referred to."""
    referred = chain.from_iterable(step.incoming_connections for step in definition.steps.values())
    return _ordinals(chain(definition.steps, referred, (step.uuid for step in run)))


def pipeline_definition(given: PipelineDefinition, names: Mapping[str, str]) -> Anonymous:
    """`names`: of its steps, by `step_names`."""
    running = services(given.services)
    event = {
        "uuid": given.uuid,
        "version": given.version,
        "settings": {
            "auto_eviction": given.settings.auto_eviction,
            "max_steps_parallelism": given.settings.max_steps_parallelism,
        },
        "steps": {names[key]: _step(names[key], step, names) for key, step in given.steps.items()},
        "services": running.event,
    }
    derived = {
        "pipeline_parameters_count": len(given.parameters),
        "step_count": len(given.steps),
        "unique_environments_count": len({step.environment for step in given.steps.values()} - {""}),
        "step_parameters_count": sum(len(step.parameters) for step in given.steps.values()),
        "step_file_extension_count": _extensions(step.file_path for step in given.steps.values()),
        "services": running.derived,
    }
    return Anonymous(event, derived)


def job_definition(given: JobDefinition, parameterized_runs: int) -> Anonymous:
    definition = given.pipeline_definition
    pipeline = pipeline_definition(definition, step_names(definition))
    derived = {
        "parameterized_runs_count": parameterized_runs,
        "env_variables_count": given.env_variables_count,
        "pipeline_definition": pipeline.derived,
    }
    return Anonymous({"draft": True, "pipeline_definition": pipeline.event}, derived)


def run_counts(
    steps: Sequence[RunStep], parameters: Mapping[str, Parameters], names: Mapping[str, str]
) -> dict[str, Any]:
    """`parameters`: by step, and under `pipeline_parameters` those of the pipeline."""
    return {
        "failed_steps_count": sum(step.status is RunStatus.FAILURE for step in steps),
        "parameters": {
            f"{key if key == _PIPELINE_PARAMETERS else f'{names[key]}_parameters'}_count": len(of_step)
            for key, of_step in parameters.items()
        },
    }


def job_run_counts(run: JobPipelineRun) -> dict[str, Any]:
    names = _ordinals(key for key in run.parameters if key != _PIPELINE_PARAMETERS)
    return run_counts(run.steps, run.parameters, names)


def changes(given: Sequence[Change]) -> dict[str, Any]:
    return {"changes": [{"type": change.type, "changed_object": change.changed_object} for change in given]}


def environment(given: EnvironmentImageBuildFacts) -> Anonymous:
    """Empty when nothing of the environment was given."""
    event: dict[str, Any] = {}
    derived = {}
    if given.gpu_support is not None:
        event["gpu_support"] = given.gpu_support
    if given.language is not None:
        event["language"] = given.language if LANGUAGE.holds(given.language) else "other"
    if given.base_image is not None:
        derived["uses_orchest_base_image"] = given.base_image.startswith("orchest/")
    if BASE_IMAGE.holds(given.base_image):
        event["base_image"] = given.base_image
    return Anonymous(event, derived)


def cluster(given: ClusterEventFacts) -> Anonymous:
    event = {
        "uid": given.uid,
        "server_uid": given.server_uid,
        "cycle_uuid": given.cycle_uuid and str(given.cycle_uuid),
        "version_before": given.version_before,
        "version_after": given.version_after,
    }
    return Anonymous(event, {"counts": dict(given.counts), "drifted_count": given.drifted_count})


def _ordinals(names: Iterable[str]) -> dict[str, str]:
    """`step_1`, `step_2` ... for each name that is no uuid; a uuid stays."""
    distinct = tuple(dict.fromkeys(names))
    chosen = (name for name in distinct if not UUID.holds(name))
    return {name: name for name in distinct} | {name: f"step_{number}" for number, name in enumerate(chosen, 1)}


def _step(name: str, given: Step, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "uuid": name,
        "environment": given.environment,
        "incoming_connections": [names[uuid] for uuid in given.incoming_connections],
    }


def _service(name: str, given: Service) -> dict[str, Any]:
    return {
        "name": name,
        "image": given.image,
        "scope": list(given.scope),
        "exposed": given.exposed,
        "requires_authentication": given.requires_authentication,
        "preserve_base_path": given.preserve_base_path,
    }


def _extensions(paths: Iterable[str]) -> dict[str, int]:
    endings = (f".{path.rpartition('.')[2]}" for path in paths)
    return dict(Counter(ending if EXTENSION.holds(ending) else "other" for ending in endings))
