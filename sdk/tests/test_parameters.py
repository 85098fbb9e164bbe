from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchest import error, parameters, testing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def tuned(tmp_path: Path) -> Iterator[testing.Site]:
    with testing.pipeline(
        {"load": [], "train": ["load"]},
        tmp_path / "project",
        parameters={"rate": 0.5, "nothing": None},
        step_parameters={"train": {"depth": 3, "nothing": None}},
    ) as site:
        yield site


def test_a_step_has_its_own_parameters_and_the_pipelines(tuned: testing.Site) -> None:
    with tuned.step("train"):
        assert parameters.get_params() == ({"depth": 3, "nothing": None}, {"rate": 0.5, "nothing": None})
    with tuned.step("load"):
        assert parameters.get_params() == ({}, {"rate": 0.5, "nothing": None})


def test_a_parameter_that_is_absent_is_the_default(tuned: testing.Site) -> None:
    with tuned.step("train"):
        assert [parameters.get_step_param(name, 7) for name in ("depth", "nothing", "absent")] == [3, None, 7]
        assert [parameters.get_pipeline_param(name, 7) for name in ("rate", "nothing", "absent")] == [0.5, None, 7]
        assert parameters.get_step_param("absent") is None
        assert parameters.get_pipeline_param("absent") is None


def test_pipeline_parameters_need_no_step(tuned: testing.Site) -> None:
    assert tuned.path.exists()
    assert parameters.get_pipeline_param("rate") == 0.5


def test_step_parameters_need_a_step(tuned: testing.Site) -> None:
    assert tuned.path.exists()
    for read in (lambda: parameters.get_step_param("depth"), parameters.get_params):
        with pytest.raises(
            error.StepUUIDResolveError, match=r"Parameters could not be identified\..*ORCHEST_STEP_UUID"
        ):
            read()


def test_a_step_of_another_pipeline_has_no_parameters(tuned: testing.Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEST_STEP_UUID", "somebody else")
    with pytest.raises(error.StepUUIDResolveError, match=f"'somebody else'.*{tuned.step_uuid('train')}"):
        parameters.get_step_param("depth")


def test_a_missing_pipeline_file_is_a_file_not_found_error(tuned: testing.Site) -> None:
    tuned.path.unlink()
    for read in (parameters.get_step_param, parameters.get_pipeline_param):
        with pytest.raises(FileNotFoundError, match=str(tuned.path)):
            read("rate")


def test_a_change_of_the_file_is_seen_at_once(tuned: testing.Site) -> None:
    tuned.write({**tuned.definition, "parameters": {"rate": 1}})
    assert parameters.get_pipeline_param("rate") == 1
