"""`get_step_uuid` against a real HTTP server in Jupyter's place, through every transition of the two variables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import orchest
from orchest import _notebook, error, testing, utils
from orchest.config import Config
from orchest.pipeline import Pipeline, PipelineStep

if TYPE_CHECKING:
    from conftest import Server

KERNEL_ID = "kernel-1"


def _session(path: str, kernel_id: str = KERNEL_ID) -> dict[str, Any]:
    """As Jupyter reports a notebook."""
    return {
        "id": f"session of {path}",
        "path": path,
        "type": "notebook",
        "kernel": {"id": kernel_id},
        "notebook": {"path": path},
    }


class Jupyter(NamedTuple):
    """A notebook kernel of the project, and the server that knows which notebook it runs."""

    server: Server
    site: testing.Site
    path: str

    def reports(self, *sessions: Any, status: int = 200) -> None:
        self.server.routes[self.path] = (status, list(sessions))

    def step(self) -> str:
        return utils.get_step_uuid(utils.get_pipeline())


@pytest.fixture
def jupyter(server: Server, site: testing.Site, monkeypatch: pytest.MonkeyPatch) -> Jupyter:
    monkeypatch.setenv("KERNEL_ID", KERNEL_ID)
    session = str(Config.PROJECT_UUID)[:18] + site.uuid[:18]
    jupyter = Jupyter(server, site, f"/jupyter-server-{session}/api/sessions")
    jupyter.reports(_session("train.ipynb"))
    return jupyter


def _variables() -> tuple[str | None, str | None]:
    return os.environ.get("ORCHEST_STEP_UUID"), os.environ.get("ORCHEST_SDK_STEP_UUID")


def test_a_run_uses_its_variable_unchecked_and_asks_nobody(jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERNEL_ID")
    monkeypatch.setenv("ORCHEST_STEP_UUID", "no step of this pipeline")
    assert jupyter.step() == "no step of this pipeline"
    assert jupyter.server.asked == []


def test_a_notebook_asks_jupyter_by_the_platforms_host_name(jupyter: Jupyter) -> None:
    assert jupyter.step() == jupyter.site.step_uuid("train")
    assert jupyter.server.asked == [jupyter.path]


def test_afterwards_the_step_is_in_the_environment(jupyter: Jupyter) -> None:
    uuid = jupyter.step()
    assert _variables() == (uuid, uuid)


def test_the_next_call_asks_again(jupyter: Jupyter) -> None:
    assert jupyter.step() == jupyter.step()
    assert jupyter.server.asked == [jupyter.path] * 2


def test_a_notebook_assigned_to_another_step_is_that_step(jupyter: Jupyter) -> None:
    jupyter.step()
    definition = jupyter.site.definition
    steps = definition["steps"]
    steps[jupyter.site.step_uuid("train")]["file_path"] = "elsewhere.ipynb"
    steps[jupyter.site.step_uuid("clean")]["file_path"] = "train.ipynb"
    jupyter.site.write(definition)
    assert jupyter.step() == jupyter.site.step_uuid("clean")
    assert _variables() == (jupyter.site.step_uuid("clean"),) * 2


def test_a_renamed_notebook_is_the_step_of_its_new_name(jupyter: Jupyter) -> None:
    jupyter.step()
    jupyter.reports(_session("load.ipynb"))
    assert jupyter.step() == jupyter.site.step_uuid("load")


@pytest.mark.parametrize(
    "sessions",
    [
        pytest.param([], id="no session"),
        pytest.param([_session("train.ipynb", "kernel-2")], id="another kernel's"),
        pytest.param([_session("scratch.ipynb")], id="no step's notebook"),
        pytest.param([{"kernel": None, "path": "train.ipynb"}], id="a session without kernel"),
        pytest.param([{"kernel": {"id": KERNEL_ID}, "path": ""}], id="a kernel without notebook"),
        pytest.param([None, 1, "x"], id="nonsense"),
    ],
)
def test_a_notebook_that_is_gone_takes_both_variables_with_it(jupyter: Jupyter, sessions: list[Any]) -> None:
    jupyter.step()
    jupyter.reports(*sessions)
    with pytest.raises(error.StepUUIDResolveError, match="ORCHEST_STEP_UUID"):
        jupyter.step()
    assert _variables() == (None, None)


def test_a_notebook_that_comes_back_is_found_again(jupyter: Jupyter) -> None:
    jupyter.reports()
    with pytest.raises(error.StepUUIDResolveError, match="it has been closed"):
        jupyter.step()
    jupyter.reports(_session("train.ipynb"))
    assert jupyter.step() == jupyter.site.step_uuid("train")


def test_the_users_own_value_wins_over_jupyter(jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEST_STEP_UUID", "mine")
    assert jupyter.step() == "mine"
    assert jupyter.server.asked == []


def test_the_users_own_value_wins_over_what_the_sdk_found(jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch) -> None:
    jupyter.step()
    monkeypatch.setenv("ORCHEST_STEP_UUID", "mine")
    assert [jupyter.step(), jupyter.step()] == ["mine", "mine"]
    assert jupyter.server.asked == [jupyter.path]


def test_the_users_value_stays_the_users_even_if_the_sdk_once_found_the_same(
    jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = jupyter.step()
    for value in ("mine", found):
        monkeypatch.setenv("ORCHEST_STEP_UUID", value)
        assert jupyter.step() == value
    assert jupyter.server.asked == [jupyter.path]


def test_a_value_that_the_user_removes_is_found_again(jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEST_STEP_UUID", "mine")
    jupyter.step()
    monkeypatch.delenv("ORCHEST_STEP_UUID")
    assert jupyter.step() == jupyter.site.step_uuid("train")


def test_a_child_process_outside_of_the_kernel_takes_the_step_over(
    jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = jupyter.step()
    monkeypatch.delenv("KERNEL_ID")
    assert jupyter.step() == found
    assert jupyter.server.asked == [jupyter.path]


@pytest.mark.parametrize("first_works", [True, False], ids=["re-check", "first"])
@pytest.mark.parametrize("trouble", ["down", "silent", "dropped", "404", "500", "html", "no list"])
def test_an_answer_that_is_none_is_a_network_error_and_never_the_old_step(
    jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch, trouble: str, *, first_works: bool
) -> None:
    before = jupyter.step() if first_works else None
    monkeypatch.setattr(Config, "HTTP_TIMEOUT", 0.2)
    _break(jupyter, trouble)
    with pytest.raises(error.OrchestNetworkError, match=f"http://jupyter-server-.*{jupyter.path}"):
        jupyter.step()
    assert _variables() == (before, before)


def _break(jupyter: Jupyter, trouble: str) -> None:
    answers: dict[str, tuple[int, Any]] = {
        "404": (404, {}),
        "500": (500, [_session("train.ipynb")]),
        "html": (200, b"<html>"),
        "no list": (200, {"message": "Forbidden"}),
    }
    if trouble == "down":
        jupyter.server.stop()
    elif trouble in answers:
        jupyter.server.routes[jupyter.path] = answers[trouble]
    else:
        getattr(jupyter.server, trouble).add(jupyter.path)


def test_a_server_that_recovers_is_asked_again(jupyter: Jupyter) -> None:
    jupyter.step()
    jupyter.reports(status=500)
    with pytest.raises(error.OrchestNetworkError):
        jupyter.step()
    jupyter.reports(_session("load.ipynb"))
    assert jupyter.step() == jupyter.site.step_uuid("load")


def test_a_console_on_the_notebooks_kernel_does_not_hide_the_notebook(jupyter: Jupyter) -> None:
    console = {"path": "train.ipynb-console-1", "type": "console", "kernel": {"id": KERNEL_ID}}
    jupyter.reports(console, _session("train.ipynb"))
    assert jupyter.step() == jupyter.site.step_uuid("train")


def test_the_path_of_a_session_is_enough(jupyter: Jupyter) -> None:
    jupyter.reports({"path": "train.ipynb", "kernel": {"id": KERNEL_ID}})
    assert jupyter.step() == jupyter.site.step_uuid("train")


def test_a_kernel_without_project_says_what_is_missing(jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "PROJECT_UUID", None)
    with pytest.raises(error.StepUUIDResolveError, match="ORCHEST_PROJECT_UUID is not set"):
        jupyter.step()


def test_outside_of_runs_and_kernels_the_choices_are_printed(
    site: testing.Site, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(error.StepUUIDResolveError, match="set ORCHEST_STEP_UUID"):
        utils.get_step_uuid(utils.get_pipeline())
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"ORCHEST_STEP_UUID={site.step_uuid(title)} (Step with title {title} and path {title}.ipynb)"
        for title in ("load", "clean", "train")
    ]


@pytest.mark.parametrize("kernel", [None, "kernel-1"])
def test_a_step_that_is_set_to_nothing_is_not_set(kernel: str | None) -> None:
    environment = {"ORCHEST_STEP_UUID": "", **({"KERNEL_ID": kernel} if kernel else {})}
    assert _notebook.given_step(environment) is None


# The decision, as a table. Steps are given by their paths; the first letter of a path's folder names the step.


def _steps(*paths: str) -> list[PipelineStep]:
    return [PipelineStep({"uuid": path, "title": f"title of {path}", "file_path": path}) for path in paths]


@pytest.mark.parametrize(
    ("notebook", "paths", "folder", "expected"),
    [
        pytest.param("n.ipynb", ["n.ipynb", "m.ipynb"], "", "n.ipynb", id="beside the pipeline"),
        pytest.param("b/n.ipynb", ["n.ipynb", "a/n.ipynb", "b/n.ipynb"], "", "b/n.ipynb", id="same name, by full path"),
        pytest.param("n.ipynb", ["a/n.ipynb", "n.ipynb"], "", "n.ipynb", id="same name, the outer one"),
        pytest.param("x/n.ipynb", ["n.ipynb", "x/n.ipynb"], "x", "n.ipynb", id="relative to the pipeline's folder"),
        pytest.param("n.ipynb", ["../n.ipynb", "n.ipynb"], "x", "../n.ipynb", id="above the pipeline's folder"),
        pytest.param("x/b/n.ipynb", ["a/n.ipynb", "b/n.ipynb"], "", "b/n.ipynb", id="pipeline's folder unknown"),
        pytest.param("/n.ipynb", ["./n.ipynb"], "", "./n.ipynb", id="other spellings"),
        pytest.param("moved/n.ipynb", ["a/n.ipynb", "m.ipynb"], "", "a/n.ipynb", id="by a unique name, as before"),
    ],
)
def test_a_notebook_is_the_step_with_its_path(notebook: str, paths: list[str], folder: str, expected: str) -> None:
    assert _notebook.step_of_kernel([_session(notebook)], KERNEL_ID, _steps(*paths), folder) == expected


@pytest.mark.parametrize(
    ("notebook", "paths"),
    [
        pytest.param("moved/n.ipynb", ["a/n.ipynb", "b/n.ipynb"], id="by name only"),
        pytest.param("x/b/n.ipynb", ["n.ipynb", "b/n.ipynb"], id="both paths end it"),
        pytest.param("n.ipynb", ["n.ipynb", "./n.ipynb"], id="one file for two steps"),
    ],
)
def test_a_notebook_that_may_be_several_steps_is_refused_by_name(notebook: str, paths: list[str]) -> None:
    with pytest.raises(error.StepUUIDResolveError) as raised:
        _notebook.step_of_kernel([_session(notebook)], KERNEL_ID, _steps(*paths), "")
    for path in paths:
        assert f"title of {path}" in str(raised.value)


def test_a_name_that_only_ends_the_same_is_another_notebook() -> None:
    with pytest.raises(error.StepUUIDResolveError, match=r"No step of the pipeline has the file a/retrain\.ipynb"):
        _notebook.step_of_kernel([_session("a/retrain.ipynb")], KERNEL_ID, _steps("train.ipynb"), "")


def test_steps_without_a_file_are_no_candidates() -> None:
    steps = [PipelineStep(properties) for properties in ({"uuid": "a"}, {"uuid": "b", "file_path": ""})]
    with pytest.raises(error.StepUUIDResolveError, match=r"No step of the pipeline has the file n\.ipynb"):
        _notebook.step_of_kernel([_session("n.ipynb")], KERNEL_ID, steps, "")


@pytest.mark.parametrize(
    ("environment", "path", "project", "folder"),
    [
        ({}, "/project-dir/main.orchest", "/project-dir", ""),
        ({}, "/project-dir/a/b/main.orchest", "/project-dir", "a/b"),
        ({}, "/project-dirs/a/main.orchest", "/project-dir", ""),
        ({}, "/pipeline.json", "/project-dir", ""),
        (
            {
                "ORCHEST_PIPELINE_FILE": "/userdir/projects/iris/a/main.orchest",
                "ORCHEST_PROJECT_DIR": "/userdir/projects/iris/",
            },
            "/pipeline.json",
            "/project-dir",
            "a",
        ),
        ({"ORCHEST_PIPELINE_FILE": "a/main.orchest"}, "/pipeline.json", "/project-dir", ""),
    ],
)
def test_the_pipelines_folder_is_relative_to_the_project(
    environment: dict[str, str], path: str, project: str, folder: str
) -> None:
    assert _notebook.pipeline_folder(environment, path, project) == folder


def test_a_pipeline_in_a_folder_finds_its_notebook_by_the_whole_path(
    jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = jupyter.site.folder / "a" / "main.orchest"
    moved.parent.mkdir()
    jupyter.site.path.rename(moved)
    monkeypatch.setattr(Config, "PIPELINE_DEFINITION_PATH", str(moved))
    jupyter.reports(_session("a/train.ipynb"))
    assert jupyter.step() == jupyter.site.step_uuid("train")


def test_the_pipeline_may_be_anybodys_object() -> None:
    with pytest.raises(error.StepUUIDResolveError):
        utils.get_step_uuid(Pipeline([], {}))


@pytest.mark.parametrize("how", ["closed", "ascii"])
def test_the_choices_need_no_output_that_takes_them(tmp_path: Path, how: str) -> None:
    with testing.pipeline({"Größe": []}, tmp_path):
        environment = {**os.environ, "PYTHONPATH": str(Path(orchest.__file__).parents[1]), "PYTHONIOENCODING": "ascii"}
        redirection = ">&-" if how == "closed" else ""
        command = f"{sys.executable} -c 'import orchest; orchest.get_inputs()' {redirection}"
        ended = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert "StepUUIDResolveError" in ended.stderr.splitlines()[-1]
