"""The pipeline this process belongs to, and the step it is.

In come the pipeline file, the environment and, in a notebook, Jupyter's sessions; out go a `Pipeline` and a step's
uuid. The one place that reads and sets the variables of `_notebook` in the environment.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from orchest import _http, _notebook, _small_file
from orchest.config import CONTAINER_PROJECT_DIR, Config
from orchest.error import (
    InvalidPipelineDefinitionError,
    OrchestNetworkError,
    PipelineDefinitionNotFoundError,
    StepUUIDResolveError,
)
from orchest.pipeline import Pipeline

_pipeline_read: tuple[str, bytes, Pipeline] | None = None
"""Where the SDK's own pipeline was read, the text that was there, and what it says."""


def get_pipeline() -> Pipeline:
    """The pipeline of `Config.PIPELINE_DEFINITION_PATH`; the caller may change it.

    Raises:
        PipelineDefinitionNotFoundError: (a FileNotFoundError) the file is not there or cannot be read.
        InvalidPipelineDefinitionError: (the same, a KeyError and a ValueError) it is no pipeline definition.

    """
    path = _pipeline_path()
    return _parsed(path, _text_of(path))


def current_pipeline() -> Pipeline:
    """The same for the SDK's own use: nobody may change it, and the file is parsed only when its text is another."""
    global _pipeline_read  # noqa: PLW0603 - the only memory of it
    path = _pipeline_path()
    text = _text_of(path)
    if _pipeline_read is None or _pipeline_read[:2] != (path, text):
        _pipeline_read = path, text, _parsed(path, text)
    return _pipeline_read[2]


def _pipeline_path() -> str:
    path = Config.PIPELINE_DEFINITION_PATH
    if not path:
        raise PipelineDefinitionNotFoundError(
            "No pipeline is named: set ORCHEST_PIPELINE_PATH to the pipeline file (name.orchest) before importing "
            "orchest. A relative path starts at the project's folder."
        )
    return path


def _text_of(path: str) -> bytes:
    try:
        return _small_file.content(path)
    except OSError as problem:
        raise PipelineDefinitionNotFoundError(
            f"The pipeline file {path} cannot be read: {problem.strerror}. Set ORCHEST_PIPELINE_PATH to the pipeline "
            "file before importing orchest."
        ) from problem


def _parsed(path: str, text: bytes) -> Pipeline:
    import json

    try:
        return Pipeline.from_json(json.loads(text))
    except InvalidPipelineDefinitionError as problem:
        raise InvalidPipelineDefinitionError(f"{path}: {problem}") from problem
    except (ValueError, RecursionError) as problem:
        raise InvalidPipelineDefinitionError(
            f"The pipeline file {path} is not JSON ({problem}). Mend it, or take it from Git again."
        ) from problem


def get_step_uuid(pipeline: Pipeline) -> str:
    """The uuid of the step that this process is.

    In a run the platform says so. In a notebook Jupyter is asked at every call, since the notebook can be assigned to
    another step; afterwards ORCHEST_STEP_UUID is in the environment. A value that you set yourself is used as it is.

    Raises:
        StepUUIDResolveError: there is no such step, or several.
        OrchestNetworkError: Jupyter does not answer.

    """
    given = _notebook.given_step(os.environ)
    if given is not None:
        os.environ.pop(_notebook.REMEMBERED, None)  # or the user's value might one day look like ours
        return given
    kernel_id = os.environ.get(_notebook.KERNEL)
    if kernel_id is None:
        say(_step_choices(pipeline))
        raise StepUUIDResolveError(
            f"This is neither a run nor a notebook, so the step must be named: set {_notebook.STEP} to the uuid of one "
            "of the steps listed above."
        )
    sessions = _jupyter_sessions(pipeline)
    folder = _notebook.pipeline_folder(
        os.environ, Config.PIPELINE_DEFINITION_PATH or "", Config.PROJECT_DIR or CONTAINER_PROJECT_DIR
    )
    try:
        uuid = _notebook.step_of_kernel(sessions, kernel_id, pipeline.steps, folder)
    except StepUUIDResolveError:
        os.environ.pop(_notebook.STEP, None)
        os.environ.pop(_notebook.REMEMBERED, None)
        raise
    os.environ[_notebook.STEP] = os.environ[_notebook.REMEMBERED] = uuid
    return uuid


def say(text: str) -> None:
    """Print it as far as the output can; nowhere, where there is none."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), end="")  # noqa: T201


def _step_choices(pipeline: Pipeline) -> str:
    lines = [
        f"{_notebook.STEP}={step.properties.get('uuid')} (Step with title {step.properties.get('title')} and path "
        f"{step.properties.get('file_path')})"
        for step in pipeline.steps
    ]
    return "\n".join(["Which step is this? Name it in the environment, for example one of:", *lines, ""])


def _jupyter_sessions(pipeline: Pipeline) -> Any:
    if not Config.PROJECT_UUID:
        raise StepUUIDResolveError(
            f"ORCHEST_PROJECT_UUID is not set, so Jupyter cannot be asked for this notebook's step. Set "
            f"{_notebook.STEP} to the uuid of a step."
        )
    session = Config.PROJECT_UUID[:18] + str(pipeline.properties["uuid"])[:18]
    url = f"http://jupyter-server-{session}/jupyter-server-{session}/api/sessions"
    sessions = _request_json(url)
    if not isinstance(sessions, list):
        raise OrchestNetworkError(f"{url} did not answer with a list of sessions. Is it a Jupyter server?")
    return sessions


def _request_json(url: str) -> Any:
    """The decoded JSON at the URL.

    Raises:
        OrchestNetworkError: no answer in time, a status of 400 or above, or no JSON.

    """
    response = _http.get(url)
    response.raise_for_status()
    return response.json()
