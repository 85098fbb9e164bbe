"""Which step does this notebook belong to?

In come environment variables, the sessions that Jupyter reports, and the pipeline's steps; out goes one step's uuid, or
the reason why there is none. Values only: `utils.get_step_uuid` asks Jupyter and keeps the environment.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from orchest.error import StepUUIDResolveError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchest.pipeline import PipelineStep

STEP = "ORCHEST_STEP_UUID"
REMEMBERED = "ORCHEST_SDK_STEP_UUID"
"""What the SDK itself has put into `STEP`: a value to be checked again, as a notebook can move to another step."""
KERNEL = "KERNEL_ID"
"""Set by Jupyter's gateway, so only in notebook kernels."""


def given_step(environment: Mapping[str, str]) -> str | None:
    """The step that the platform or the user has named; None if Jupyter is to be asked, or there is none."""
    step = environment.get(STEP)
    found_by_us = KERNEL in environment and step == environment.get(REMEMBERED)
    return None if found_by_us else step or None


def pipeline_folder(environment: Mapping[str, str], pipeline_path: str, project_dir: str) -> str:
    """The folder of the pipeline file relative to the project, "" for the project itself or when it cannot be told.

    Kernels see the pipeline file as /pipeline.json; there the platform's own pair of paths tells where it really is.
    """
    pairs = (
        (pipeline_path, project_dir),
        (environment.get("ORCHEST_PIPELINE_FILE", ""), environment.get("ORCHEST_PROJECT_DIR", "")),
    )
    for path, project in pairs:
        if project and path.startswith(project.rstrip("/") + "/"):
            return posixpath.dirname(posixpath.relpath(path, project))
    return ""


def step_of_kernel(sessions: Any, kernel_id: str, steps: Iterable[PipelineStep], folder: str) -> str:
    """The uuid of the step whose notebook runs in the kernel.

    Args:
        sessions: Jupyter's answer: a list of sessions, each with `kernel.id`, and `notebook.path` or `path`,
            relative to the project's folder.
        kernel_id: this process's kernel.
        steps: the pipeline's; their `file_path` is relative to the pipeline file.
        folder: where the pipeline file is, relative to the project's folder.

    Raises:
        StepUUIDResolveError: no notebook runs in the kernel, or it belongs to no step, or to several.

    """
    notebook = _notebook_of_kernel(sessions, kernel_id)
    if notebook is None:
        raise StepUUIDResolveError(
            f"Jupyter knows no notebook that runs in this kernel ({KERNEL} {kernel_id}): it has been closed. Open it "
            f"again, or set {STEP} to the uuid of a step."
        )
    candidates = _candidates(notebook, list(steps), folder)
    if len(candidates) == 1:
        return str(candidates[0].properties["uuid"])
    if not candidates:
        raise StepUUIDResolveError(
            f"No step of the pipeline has the file {notebook}. Make the notebook a step's file in the pipeline editor, "
            f"or set {STEP} to the uuid of a step."
        )
    named = ", ".join(
        f"{step.properties.get('title')} ({step.properties.get('file_path')}, {step.properties.get('uuid')})"
        for step in candidates
    )
    raise StepUUIDResolveError(
        f"The notebook {notebook} may belong to several steps: {named}. Set {STEP} to the uuid of the one you mean."
    )


def _notebook_of_kernel(sessions: Any, kernel_id: str) -> str | None:
    """The path of the kernel's notebook. Consoles share its kernel but have no `notebook`, so they come second."""
    ours = [session for session in sessions if _field(session, "kernel", "id") == kernel_id]
    paths = [_field(session, "notebook", "path") for session in ours] + [_field(session, "path") for session in ours]
    return next((path for path in paths if isinstance(path, str) and path), None)


def _field(session: Any, *names: str) -> Any:
    for name in names:
        session = session.get(name) if isinstance(session, dict) else None
    return session


def _candidates(notebook: str, steps: list[PipelineStep], folder: str) -> list[PipelineStep]:
    """The steps that the notebook can be, by the strictest rule that finds any.

    The rules: the same path; the step's path ends the notebook's (the pipeline file's folder is not always known);
    the same file name.
    """
    notebook = posixpath.normpath(notebook.lstrip("/"))
    paths = [(posixpath.normpath(step.properties["file_path"]), step) for step in steps if _has_file(step)]
    rules = (
        [step for path, step in paths if posixpath.normpath(posixpath.join(folder, path)) == notebook],
        [step for path, step in paths if notebook.endswith("/" + path)],
        [step for path, step in paths if posixpath.basename(path) == posixpath.basename(notebook)],
    )
    return next((found for found in rules if found), [])


def _has_file(step: PipelineStep) -> bool:
    path = step.properties.get("file_path")
    return isinstance(path, str) and path != "" and "uuid" in step.properties
