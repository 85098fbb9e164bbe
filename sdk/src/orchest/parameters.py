"""The parameters of this step and of its pipeline, as the pipeline file has them.

In comes a parameter's name, out goes its value. Read-only, and read anew at every call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchest.error import StepUUIDResolveError
from orchest.utils import get_pipeline, get_step_uuid

if TYPE_CHECKING:
    from orchest.pipeline import Pipeline, PipelineStep


def _get_current_step(pipeline: Pipeline) -> PipelineStep:
    try:
        step_uuid = get_step_uuid(pipeline)
    except StepUUIDResolveError as problem:
        raise StepUUIDResolveError(f"Parameters could not be identified. {problem}") from problem
    return pipeline.get_step_by_uuid(step_uuid)


def get_params() -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of this step, and those of the pipeline.

    Raises:
        StepUUIDResolveError: it cannot be told which step this is.
        PipelineDefinitionNotFoundError: the pipeline file cannot be read.

    """
    pipeline = get_pipeline()
    return _get_current_step(pipeline).get_params(), pipeline.get_params()


def get_step_param(name: str, default: Any | None = None) -> Any:
    """The value of this step's parameter `name`, or `default` if it has none of that name.

    Raises:
        StepUUIDResolveError: it cannot be told which step this is.
        PipelineDefinitionNotFoundError: the pipeline file cannot be read.

    """
    return _get_current_step(get_pipeline()).get_params().get(name, default)


def get_pipeline_param(name: str, default: Any | None = None) -> Any:
    """The value of the pipeline's parameter `name`, or `default` if it has none of that name.

    Raises:
        PipelineDefinitionNotFoundError: the pipeline file cannot be read.

    """
    return get_pipeline().get_params().get(name, default)
