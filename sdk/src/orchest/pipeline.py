"""The pipeline as an object: steps, who feeds whom, parameters.

In comes the decoded pipeline file, out go `Pipeline` and `PipelineStep`; the dictionaries inside are the caller's,
not copies. Nothing here reads a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchest import error

if TYPE_CHECKING:
    from collections.abc import Mapping


class TypedDict(dict[str, Any]):
    """The base of the names below: a dictionary whose usual keys are annotated."""


class PipelineStepProperties(TypedDict):
    """A step as the pipeline file has it."""

    name: str
    title: str
    uuid: str
    incoming_connections: list[str]
    file_path: str
    environment: str
    parameters: dict[str, Any]
    meta_data: dict[str, list[int]]


class PipelineSettings(TypedDict):
    """How the pipeline runs."""

    auto_eviction: bool
    data_passing_memory_size: str
    max_steps_parallelism: int


class ServiceDefinition(TypedDict):
    """A service as the pipeline file has it."""

    name: str
    image: str
    scope: list[str]
    order: int
    ports: list[int]
    exposed: bool
    requires_authentication: bool
    preserve_base_path: bool
    command: str
    args: str
    binds: dict[str, str]
    env_variables: dict[str, str]
    env_variables_inherit: list[str]


class PipelineDefinition(TypedDict):
    """The whole pipeline file."""

    name: str
    uuid: str
    version: str
    settings: PipelineSettings
    parameters: dict[str, Any]
    steps: dict[str, PipelineStepProperties]
    services: dict[str, ServiceDefinition]


class PipelineStep:
    """A step and its neighbours.

    Attributes:
        properties: the step's part of the pipeline file.
        parents: the steps that feed this one, in the order of `incoming_connections`.
        children: the steps that this one feeds.

    """

    def __init__(self, properties: dict[str, Any], parents: list[PipelineStep] | None = None) -> None:
        self.properties = properties
        self.parents: list[PipelineStep] = parents if parents is not None else []
        self.children: list[PipelineStep] = []

    def get_params(self) -> dict[str, Any]:
        """The step's parameters."""
        return _parameters(self.properties)

    def label(self) -> Any:
        """What people call the step: `title` in pipeline files, `name` in hand-made ones."""
        known = (self.properties.get(field) for field in ("name", "title", "uuid"))
        return next((label for label in known if label is not None), None)

    def __str__(self) -> str:
        return f"<PipelineStep: {self.label()}>" if self.properties else "<Pipelinestep: None>"

    def __repr__(self) -> str:
        return f"PipelineStep({self.label()!r})" if self.properties else "Pipelinestep(None)"


class Pipeline:
    """A pipeline: its steps and its own properties.

    Attributes:
        steps: all steps, in the order of the pipeline file.
        properties: `name`, `uuid`, `settings` (None if absent), `parameters` ({}), `services` ([] if absent).

    """

    def __init__(self, steps: list[PipelineStep], properties: dict[str, Any]) -> None:
        self.steps = steps
        self.properties = properties
        self._unknown: dict[str, Any] = {}

    @classmethod
    def from_json(cls, description: Mapping[str, Any]) -> Pipeline:
        """The pipeline that a decoded pipeline file describes.

        Raises:
            error.InvalidPipelineDefinitionError: (a KeyError) a field is missing or of the wrong type, or a step
                names a parent that does not exist.

        """
        _check_definition(description)
        steps = {uuid: PipelineStep(properties) for uuid, properties in description["steps"].items()}
        for uuid, step in steps.items():
            _connect(uuid, step, steps)
        properties = {
            "name": description["name"],
            "uuid": description["uuid"],
            "settings": description.get("settings"),
            "parameters": description.get("parameters", {}),
            "services": description.get("services", []),
        }
        pipeline = cls(list(steps.values()), properties)
        pipeline._unknown = {key: value for key, value in description.items() if key not in {"steps", *properties}}
        return pipeline

    def to_dict(self) -> dict[str, Any]:
        """The pipeline as it would stand in a pipeline file, fields that the SDK does not know included."""
        steps = {step.properties["uuid"]: step.properties for step in self.steps}
        return {"steps": steps, **self.properties, **self._unknown}

    def get_step_by_uuid(self, uuid: str) -> PipelineStep:
        """The step with that uuid.

        Raises:
            error.StepUUIDResolveError: the pipeline has no such step.

        """
        for step in self.steps:
            if step.properties.get("uuid") == uuid:
                return step
        known = ", ".join(f"{step.label()} ({step.properties.get('uuid')})" for step in self.steps) or "none"
        raise error.StepUUIDResolveError(
            f"The pipeline {self.properties.get('name')!r} has no step with the uuid {uuid!r}. Its steps: {known}. "
            "Set ORCHEST_STEP_UUID to one of them, or unset it in a notebook."
        )

    def get_params(self) -> dict[str, Any]:
        """The pipeline's parameters."""
        return _parameters(self.properties)

    def __repr__(self) -> str:
        return f"Pipeline({self.steps!r})"


def _parameters(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The object itself, not a copy; {} where the file has none or null."""
    params: dict[str, Any] | None = properties.get("parameters")
    return {} if params is None else params


def _check_definition(description: Any) -> None:
    if not hasattr(description, "keys"):
        raise error.InvalidPipelineDefinitionError(
            f"The pipeline definition is a {type(description).__name__}, not an object: it must be the decoded "
            "pipeline file, with name, uuid and steps."
        )
    missing = [field for field in ("steps", "name", "uuid") if field not in description]
    if missing:
        raise error.InvalidPipelineDefinitionError(
            f"The pipeline definition has no {' and no '.join(map(repr, missing))}: add it, or take the file from the "
            "pipeline editor or from Git again."
        )
    if not hasattr(description["steps"], "items"):
        raise error.InvalidPipelineDefinitionError(
            f"'steps' of the pipeline definition is a {type(description['steps']).__name__}, not an object of step "
            "uuid -> step."
        )
    _check_parameters(description, "the pipeline definition")


def _check_parameters(properties: Mapping[str, Any], owner: str) -> None:
    if not hasattr(_parameters(properties), "keys"):
        raise error.InvalidPipelineDefinitionError(
            f"'parameters' of {owner} is a {type(properties['parameters']).__name__}, not an object of name -> value."
        )


def _connect(uuid: str, step: PipelineStep, steps: Mapping[str, PipelineStep]) -> None:
    """Fill in the parents of a step, and itself as their child."""
    if not hasattr(step.properties, "get"):
        raise error.InvalidPipelineDefinitionError(
            f"Step {uuid} of the pipeline definition is a {type(step.properties).__name__}, not an object."
        )
    _check_parameters(step.properties, f"step {step.label()} ({uuid})")
    connections = step.properties.get("incoming_connections")
    if not isinstance(connections, (list, tuple)):
        raise error.InvalidPipelineDefinitionError(
            f"Step {step.label()} ({uuid}) of the pipeline definition has no list 'incoming_connections': "
            "add it, [] if no step feeds this one."
        )
    for parent in connections:
        if isinstance(parent, (list, dict)) or parent not in steps:
            raise error.InvalidPipelineDefinitionError(
                f"Step {step.label()} ({uuid}) of the pipeline definition lists {parent!r} among its "
                "incoming_connections, but there is no such step: remove the connection, or add the step."
            )
        step.parents.append(steps[parent])
        steps[parent].children.append(step)
