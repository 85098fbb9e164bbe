from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import orchest
from orchest import testing, transfer, utils
from orchest.config import Config


def _state() -> tuple[dict[str, Any], dict[str, str], Any, Any]:
    settings = {name: value for name, value in vars(Config).items() if not name.startswith("__")}
    return settings, dict(os.environ), transfer._last_output_name, transfer._get_inputs_called


def test_the_example_of_the_docstring_runs() -> None:
    example = (testing.__doc__ or "").split("```")[1].removeprefix("python")
    exec(compile(example, "docstring", "exec"), {})


def test_everything_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEST_STEP_UUID", "around")
    monkeypatch.setenv("KERNEL_ID", "around")
    before = _state()
    with testing.pipeline({"load": []}) as site, site.step("load"):
        orchest.output(1, name="x")
        orchest.get_inputs()
        assert _state() != before
    assert _state() == before
    assert not site.folder.exists()


def test_everything_is_as_it_was_after_a_failure() -> None:
    before = _state()
    with pytest.raises(ZeroDivisionError), testing.pipeline({"load": []}) as site, site.step("load"):
        1 / 0  # noqa: B018
    assert _state() == before
    assert not site.folder.exists()


def test_a_given_folder_stays(tmp_path: Path) -> None:
    with testing.pipeline({"load": []}, tmp_path / "a" / "b") as site:
        assert site.folder == tmp_path / "a" / "b"
    assert site.path.exists()


def test_a_folder_may_be_relative_and_hold_braces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with testing.pipeline({"load": []}, Path("{a}")) as site:
        assert Config.get_step_data_dir(site.step_uuid("load")) == str(site.data_dir("load"))
        assert site.folder == tmp_path / "{a}"


def test_a_step_outputs_into_its_folder(site: testing.Site) -> None:
    assert not site.data_dir("load").exists()
    with site.step("load") as uuid:
        orchest.output(1, name="x")
    assert (site.data_dir("load") / f"{uuid}.PICKLE").exists()


def test_data_goes_from_step_to_step(site: testing.Site) -> None:
    with site.step("load"):
        orchest.output(1, name="numbers")
    with site.step("clean"):
        assert orchest.get_inputs() == {"unnamed": [], "numbers": 1}
        orchest.output(2, name=None)
    with site.step("train"):
        assert orchest.get_inputs() == {"unnamed": [2], "numbers": 1}


def test_each_step_starts_without_a_past(site: testing.Site) -> None:
    """The warnings about a second output and a second get_inputs are per process, and a step is a process."""
    for _ in range(2):
        for name in ("a", "b"):
            with site.step("load"):
                orchest.get_inputs()
                orchest.output(1, name=name)


def test_parents_are_in_order(site: testing.Site) -> None:
    train = utils.get_pipeline().get_step_by_uuid(site.step_uuid("train"))
    assert [step.properties["title"] for step in train.parents] == ["load", "clean"]


def test_a_step_knows_which_it_is(site: testing.Site) -> None:
    with site.step("clean") as uuid:
        assert utils.get_step_uuid(utils.get_pipeline()) == uuid == site.step_uuid("clean")


def test_an_unknown_step_is_refused(site: testing.Site) -> None:
    with pytest.raises(KeyError, match="no step with the title 'nobody'"), site.step("nobody"):
        pass


def test_an_unknown_parent_is_found_when_the_pipeline_is_read(tmp_path: Path) -> None:
    with testing.pipeline({"train": ["load"]}, tmp_path), pytest.raises(orchest.error.InvalidPipelineDefinitionError):
        utils.get_pipeline()


def test_parameters_of_an_unknown_step_are_refused() -> None:
    with (
        pytest.raises(KeyError, match="'trian', which is not among the steps"),
        testing.pipeline({"train": []}, step_parameters={"trian": {"rate": 1}}),
    ):
        pass


@pytest.mark.parametrize("content", ['{"uuid": "of somebody", "name": "work", "steps": {}}', "no JSON"])
def test_a_pipeline_of_somebodys_is_not_overwritten(tmp_path: Path, content: str) -> None:
    (tmp_path / "pipeline.orchest").write_text(content, encoding="utf-8")
    with pytest.raises(FileExistsError, match="is a pipeline of yours"), testing.pipeline({"train": []}, tmp_path):
        pass
    assert (tmp_path / "pipeline.orchest").read_text(encoding="utf-8") == content


def test_a_folder_can_be_used_again(tmp_path: Path) -> None:
    with testing.pipeline({"load": []}, tmp_path) as site, site.step("load"):
        orchest.output(1, name="x")
    with testing.pipeline({"load": [], "train": ["load"]}, str(tmp_path)) as site, site.step("train"):
        assert orchest.get_inputs()["x"] == 1


def test_parameters_and_services_are_the_given_ones() -> None:
    with testing.pipeline(
        {"train": []}, parameters={"a": 1}, step_parameters={"train": {"b": 2}}, services={"db": {"name": "db"}}
    ) as site:
        with site.step("train"):
            assert orchest.parameters.get_params() == ({"b": 2}, {"a": 1})
        assert list(orchest.get_services()) == ["db"]


@pytest.mark.skipif(Path("/project-dir").exists(), reason="this machine is an Orchest container")
def test_a_child_process_works_in_the_same_pipeline(site: testing.Site) -> None:
    with site.step("load"):
        orchest.output([1, 2], name="numbers")
    code = "import json, orchest; print(json.dumps(orchest.get_inputs())); orchest.output(3, name='sum')"
    with site.step("clean"):
        child = {**os.environ, "PYTHONPATH": str(Path(orchest.__file__).parents[1])}
        ended = subprocess.run([sys.executable, "-c", code], env=child, capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout) == {"unnamed": [], "numbers": [1, 2]}
    with site.step("train"):
        assert orchest.get_inputs() == {"unnamed": [], "numbers": [1, 2], "sum": 3}


def test_the_file_can_be_changed(site: testing.Site) -> None:
    site.write({**site.definition, "parameters": {"a": 1}})
    assert site.definition["parameters"] == {"a": 1}
    assert orchest.get_pipeline_param("a") == 1


def test_several_at_once_in_one_folder_do_not_see_half_a_file(tmp_path: Path) -> None:
    def enter(number: int) -> None:
        for _ in range(50):
            with testing.pipeline({f"step {number}": []}, tmp_path) as site:
                assert site.definition["uuid"] == site.uuid

    def entered(number: int) -> int:
        child = os.fork()
        if not child:
            try:
                enter(number)
                os._exit(0)
            finally:
                os._exit(1)
        return child

    assert {os.waitpid(child, 0)[1] for child in [entered(number) for number in range(3)]} == {0}
