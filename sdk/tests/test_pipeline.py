from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

import orchest
from orchest import error, testing, utils
from orchest.config import Config
from orchest.pipeline import Pipeline, PipelineStep

DEFINITION: dict[str, Any] = {
    "name": "iris",
    "uuid": "p",
    "version": "1.2.3",
    "settings": {"auto_eviction": False},
    "parameters": {"rate": 0.5},
    "services": {"db": {"name": "db"}},
    "steps": {
        "a": {"uuid": "a", "title": "Load", "incoming_connections": [], "file_path": "load.ipynb", "parameters": {}},
        "b": {"uuid": "b", "title": "Clean", "incoming_connections": ["a"], "file_path": "clean.ipynb"},
        "c": {
            "uuid": "c",
            "title": "Train",
            "incoming_connections": ["b", "a"],
            "file_path": "train.ipynb",
            "parameters": {"depth": 3},
            "outgoing_connections": [],
        },
    },
    "a field of tomorrow": [1],
}


def _definition(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(DEFINITION), **changes}


def _with_step(**changes: Any) -> dict[str, Any]:
    definition = _definition()
    definition["steps"]["b"].update(changes)
    return definition


def test_parents_are_in_the_order_of_incoming_connections() -> None:
    train = Pipeline.from_json(DEFINITION).get_step_by_uuid("c")
    assert [step.properties["uuid"] for step in train.parents] == ["b", "a"]


def test_children_are_the_steps_that_a_step_feeds() -> None:
    load = Pipeline.from_json(DEFINITION).get_step_by_uuid("a")
    assert [step.properties["uuid"] for step in load.children] == ["b", "c"]


def test_the_properties_are_the_five_known_fields() -> None:
    pipeline = Pipeline.from_json({"name": "iris", "uuid": "p", "version": "1.2.3", "steps": {}})
    assert pipeline.properties == {"name": "iris", "uuid": "p", "settings": None, "parameters": {}, "services": []}
    assert pipeline.steps == []


def test_a_pipeline_goes_back_into_the_file_it_came_from() -> None:
    assert Pipeline.from_json(DEFINITION).to_dict() == DEFINITION


def test_the_callers_dictionaries_are_used_not_copied() -> None:
    definition = _definition()
    pipeline = Pipeline.from_json(definition)
    pipeline.get_step_by_uuid("a").get_params()["seed"] = 1
    pipeline.get_params()["rate"] = 1
    assert definition["steps"]["a"]["parameters"] == {"seed": 1}
    assert definition["parameters"] == {"rate": 1}


@pytest.mark.parametrize(("step", "params"), [("a", {}), ("b", {}), ("c", {"depth": 3})])
def test_a_step_has_the_parameters_of_the_file(step: str, params: dict[str, Any]) -> None:
    assert Pipeline.from_json(DEFINITION).get_step_by_uuid(step).get_params() == params


def test_null_parameters_are_no_parameters() -> None:
    assert Pipeline.from_json(_definition(parameters=None)).get_params() == {}


def test_an_unknown_uuid_names_the_steps_there_are() -> None:
    with pytest.raises(error.StepUUIDResolveError, match=r"no step with the uuid 'x'.*Load \(a\), Clean \(b\)"):
        Pipeline.from_json(DEFINITION).get_step_by_uuid("x")


@pytest.mark.parametrize(
    ("properties", "text", "code"),
    [
        ({"uuid": "a", "title": "Load"}, "<PipelineStep: Load>", "PipelineStep('Load')"),
        ({"uuid": "a", "title": "Load", "name": "old"}, "<PipelineStep: old>", "PipelineStep('old')"),
        ({"uuid": "a"}, "<PipelineStep: a>", "PipelineStep('a')"),
        ({}, "<Pipelinestep: None>", "Pipelinestep(None)"),
    ],
)
def test_a_step_can_be_shown(properties: dict[str, Any], text: str, code: str) -> None:
    step = PipelineStep(properties)
    assert (str(step), repr(step)) == (text, code)
    assert repr(Pipeline([step], {})) == f"Pipeline([{code}])"


def test_a_hand_made_step_has_the_parents_it_is_given() -> None:
    load = PipelineStep({"uuid": "a"})
    assert PipelineStep({"uuid": "b"}, [load]).parents == [load]
    assert (load.parents, load.children) == ([], [])


BAD: list[tuple[Any, str]] = [
    ([], "is a list, not an object"),
    (None, "is a NoneType, not an object"),
    ({}, "has no 'steps' and no 'name' and no 'uuid'"),
    ({"steps": {}, "name": "iris"}, "has no 'uuid'"),
    (_definition(steps=[]), "'steps' of the pipeline definition is a list"),
    (_definition(parameters=[1]), "'parameters' of the pipeline definition is a list"),
    (_definition(steps={"a": 1}), "Step a of the pipeline definition is a int"),
    (_with_step(incoming_connections=["x"]), r"Step Clean \(b\).* lists 'x' among its incoming_connections"),
    (_with_step(incoming_connections=[{}]), r"Step Clean \(b\).* lists {} among its incoming_connections"),
    (_with_step(incoming_connections=None), r"Step Clean \(b\).* has no list 'incoming_connections'"),
    (_with_step(parameters=[1]), r"'parameters' of step Clean \(b\) is a list"),
]


@pytest.mark.parametrize(("definition", "message"), BAD)
def test_a_bad_definition_says_what_and_where(definition: Any, message: str) -> None:
    with pytest.raises(error.InvalidPipelineDefinitionError, match=message):
        Pipeline.from_json(definition)


@pytest.mark.parametrize(("definition", "message"), BAD)
def test_a_bad_file_says_which_file(site: testing.Site, definition: Any, message: str) -> None:
    site.path.write_text(json.dumps(definition))
    with pytest.raises(error.InvalidPipelineDefinitionError, match=f"{site.path}: .*{message}"):
        utils.get_pipeline()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xff", b"[" * 100_000])
def test_a_file_that_is_not_json_says_so(site: testing.Site, content: bytes) -> None:
    site.path.write_bytes(content)
    with pytest.raises(error.PipelineDefinitionNotFoundError, match=f"{site.path} is not JSON") as raised:
        utils.get_pipeline()
    assert isinstance(raised.value, ValueError)


def test_a_missing_file_is_a_file_not_found_error_with_the_mend(site: testing.Site) -> None:
    site.path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{site.path} cannot be read: No such file.*ORCHEST_PIPELINE_PATH"):
        utils.get_pipeline()


def test_a_folder_in_the_files_place_is_a_file_not_found_error(site: testing.Site) -> None:
    site.path.unlink()
    site.path.mkdir()
    with pytest.raises(error.PipelineDefinitionNotFoundError, match="Is a directory"):
        utils.get_pipeline()


@pytest.mark.parametrize("path", [None, ""])
def test_no_file_at_all_is_a_file_not_found_error(monkeypatch: pytest.MonkeyPatch, path: str | None) -> None:
    monkeypatch.setattr(Config, "PIPELINE_DEFINITION_PATH", path)
    with pytest.raises(error.PipelineDefinitionNotFoundError, match="set ORCHEST_PIPELINE_PATH"):
        utils.get_pipeline()


def test_another_text_is_seen_whatever_the_files_size_and_time(site: testing.Site) -> None:
    before, times = utils.current_pipeline(), site.path.stat()
    assert utils.current_pipeline() is before
    site.path.write_text(site.path.read_text().replace("clean", "sweep"))
    os.utime(site.path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert site.path.stat().st_size == times.st_size
    assert [step.properties["title"] for step in utils.current_pipeline().steps][1] == "sweep"


def test_what_a_caller_does_to_its_pipeline_is_not_seen_by_others(site: testing.Site) -> None:
    with site.step("train"):
        utils.get_pipeline().steps[0].properties["title"] = "another"
        utils.get_pipeline().steps[2].parents.clear()
        for pipeline in (utils.get_pipeline(), utils.current_pipeline()):
            assert pipeline.steps[0].properties["title"] != "another"
            assert pipeline.steps[2].parents


def test_steps_in_a_circle_are_loaded_as_before() -> None:
    pipeline = Pipeline.from_json(_with_step(incoming_connections=["b", "c"]))
    assert repr(pipeline) == "Pipeline([PipelineStep('Load'), PipelineStep('Clean'), PipelineStep('Train')])"


def test_the_documented_snippet_runs(site: testing.Site) -> None:
    with site.step("train") as uuid:
        with Path(str(Config.PIPELINE_DEFINITION_PATH)).open() as f:
            description = json.load(f)
        pipeline = orchest.pipeline.Pipeline.from_json(description)
        assert orchest.utils.get_step_uuid(pipeline) == uuid
