"""A pipeline in a folder of its own, for tests of steps.

```python
from orchest import get_inputs, output, testing

with testing.pipeline({"load": [], "train": ["load"]}) as site:
    with site.step("load"):
        output([1, 2, 3], name="numbers")
    with site.step("train"):
        assert get_inputs()["numbers"] == [1, 2, 3]
```

In comes who feeds whom; out goes a `Site`: a project folder with a pipeline file, to which `Config` and the environment
(so child processes too) point until the block ends. Then everything is as it was.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from orchest import _notebook, transfer
from orchest.config import Config, step_data_template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Site(NamedTuple):
    """A project with one pipeline.

    Attributes:
        folder: the project's folder.
        path: the pipeline file. Change it with `write`, or by hand.
        uuid: the pipeline's.

    """

    folder: Path
    path: Path
    uuid: str

    @property
    def definition(self) -> dict[str, Any]:
        """The pipeline file's content, read anew."""
        definition: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return definition

    def write(self, definition: Mapping[str, Any]) -> None:
        """Replace the pipeline file, for whoever reads it meanwhile at once."""
        temporary = self.path.with_name(f".{self.path.name}-{os.getpid()}-{os.urandom(4).hex()}")
        temporary.write_text(json.dumps(definition, indent=2), encoding="utf-8")
        temporary.replace(self.path)

    def step_uuid(self, title: str) -> str:
        """The uuid of the step with that title; the same for the same title in every pipeline."""
        return _uuid_of(title)

    def data_dir(self, title: str) -> Path:
        """The folder of the step's output. It exists once the step has put something out."""
        return self.folder / ".orchest" / "pipelines" / self.uuid / "data" / _uuid_of(title)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[str]:
        """Be that step, as in a run of its own: a new process with nothing put out or read yet. Gives its uuid."""
        if _uuid_of(title) not in self.definition["steps"]:
            raise KeyError(f"The pipeline has no step with the title {title!r}: name it in testing.pipeline({{...}}).")
        variables = {_notebook.STEP: _uuid_of(title), _notebook.REMEMBERED: None, _notebook.KERNEL: None}
        fresh = {"_last_output_name": -1, "_get_inputs_called": False, "_inputs_read": [], "_run": os.urandom(16).hex()}
        with _environment(variables), _attributes(transfer, fresh):
            yield _uuid_of(title)


@contextlib.contextmanager
def pipeline(
    steps: Mapping[str, Sequence[str]],
    folder: str | os.PathLike[str] | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    step_parameters: Mapping[str, Mapping[str, Any]] | None = None,
    services: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[Site]:
    """Lay out a pipeline, and work in it until the block ends.

    Args:
        steps: the title of each step -> the titles of the steps that feed it, in order.
        folder: the project's folder, made if need be and kept; None is a temporary one, removed afterwards. Its file
            `pipeline.orchest` is written anew.
        parameters: the pipeline's parameters.
        step_parameters: the title of a step -> its parameters.
        services: the pipeline's services, by name, as the pipeline file has them.

    Raises:
        KeyError: `step_parameters` names a step that is not among the `steps`.
        FileExistsError: the folder has a `pipeline.orchest` that is not of this function's making.

    """
    for title in step_parameters or {}:
        if title not in steps:
            raise KeyError(f"step_parameters names {title!r}, which is not among the steps.")
    definition = {
        "name": "pipeline",
        "uuid": _uuid_of("pipeline"),
        "version": "1.2.3",
        "settings": {},
        "parameters": dict(parameters or {}),
        "services": dict(services or {}),
        "steps": {
            _uuid_of(title): _step(title, steps[title], (step_parameters or {}).get(title, {})) for title in steps
        },
    }
    with contextlib.ExitStack() as stack:
        project = Path(folder) if folder is not None else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        project = project.absolute()
        (project / ".orchest").mkdir(parents=True, exist_ok=True)
        site = Site(project, project / "pipeline.orchest", _uuid_of("pipeline"))
        _refuse_foreign(site)
        site.write(definition)
        stack.enter_context(_environment(_variables(site)))
        stack.enter_context(_attributes(Config, _settings(site)))
        yield site


def _refuse_foreign(site: Site) -> None:
    """Somebody's own pipeline is not to be lost to a test."""
    if site.path.exists() and site.uuid not in site.path.read_text(encoding="utf-8", errors="replace"):
        raise FileExistsError(f"{site.path} is a pipeline of yours: give another folder, or none for a temporary one.")


def _uuid_of(title: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, title))


def _step(title: str, parents: Sequence[str], parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "uuid": _uuid_of(title),
        "title": title,
        "environment": "",
        "file_path": f"{title}.ipynb",
        "kernel": {"name": "python", "display_name": "Python"},
        "incoming_connections": [_uuid_of(parent) for parent in parents],
        "parameters": dict(parameters),
        "meta_data": {"hidden": False, "position": [0, 0]},
    }


def _variables(site: Site) -> dict[str, str | None]:
    """What the platform would set, and where an `import orchest` of a child process finds the project."""
    return {
        "ORCHEST_SDK_PROJECT_DIR": str(site.folder),
        "ORCHEST_SDK_DATA_URL": None,
        "ORCHEST_PIPELINE_PATH": str(site.path),
        "ORCHEST_PIPELINE_UUID": site.uuid,
        "ORCHEST_PROJECT_UUID": _uuid_of("project"),
        "ORCHEST_SESSION_UUID": _uuid_of("session"),
        "ORCHEST_SESSION_TYPE": "noninteractive",
        _notebook.STEP: None,
        _notebook.REMEMBERED: None,
        _notebook.KERNEL: None,
    }


def _settings(site: Site) -> dict[str, Any]:
    """The same for this process, whose `Config` has been read already."""
    return {
        "SESSION_UUID": _uuid_of("session"),
        "SESSION_TYPE": "noninteractive",
        "PROJECT_UUID": _uuid_of("project"),
        "PROJECT_DIR": str(site.folder),
        "PIPELINE_UUID": site.uuid,
        "PIPELINE_DEFINITION_PATH": str(site.path),
        "STEP_DATA_DIR": step_data_template(str(site.folder), site.uuid),
    }


@contextlib.contextmanager
def _environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Environment variables for a while; None: not set."""
    before = {name: os.environ.get(name) for name in variables}
    _set_environment(variables)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextlib.contextmanager
def _attributes(owner: Any, values: Mapping[str, Any]) -> Iterator[None]:
    """Attributes with other values for a while."""
    before = {name: getattr(owner, name) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)
