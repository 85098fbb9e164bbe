from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import orchest
from orchest import Config, error, transfer

if TYPE_CHECKING:
    from orchest.testing import Site


@pytest.fixture(autouse=True)
def _kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "keep_named_outputs", True)


def inputs(site: Site, title: str = "clean") -> dict[str, Any]:
    with site.step(title):
        return orchest.get_inputs()


def files(site: Site) -> int:
    return len([path for path in site.data_dir("load").iterdir() if path.suffix == ".PICKLE"])


def test_outputs_with_different_names_stand_side_by_side(site: Site) -> None:
    with site.step("load"):
        orchest.output(b"x" * 200_000, name="a")
        orchest.output({"b": 2}, name="b")
        orchest.output("none", name=None)
    assert inputs(site) == {"unnamed": ["none"], "a": b"x" * 200_000, "b": {"b": 2}}


def test_the_same_name_replaces(site: Site) -> None:
    with site.step("load"):
        for value in (1, 2, 3):
            orchest.output(value, name="a")
            orchest.output(value * 10, name="b")
    assert inputs(site) == {"unnamed": [], "a": 3, "b": 30}
    assert files(site) == 2


def test_another_run_starts_anew(site: Site) -> None:
    with site.step("load"):
        orchest.output(1, name="a")
        orchest.output(2, name="b")
    with site.step("load"):
        orchest.output(3, name="c")
    assert inputs(site) == {"unnamed": [], "c": 3}
    assert files(site) == 1


def test_without_the_option_the_latest_wins_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.step("load"):
        orchest.output(1, name="a")
        orchest.output(2, name="b")
        monkeypatch.setattr(Config, "keep_named_outputs", False)
        with pytest.warns(RuntimeWarning, match="'b'"):
            orchest.output(3, name="c")
    assert inputs(site) == {"unnamed": [], "c": 3}
    assert files(site) == 1


def test_no_warning_is_given_for_another_name(site: Site, recwarn: pytest.WarningsRecorder) -> None:
    with site.step("load"):
        orchest.output(1, name="a")
        orchest.output(2, name="b")
    assert not recwarn.list


def test_kept_names_collide_as_others_do(site: Site) -> None:
    with site.step("load"):
        orchest.output(1, name="a")
        orchest.output(2, name="b")
    with site.step("clean"):
        orchest.output(3, name="a")
    with site.step("train"), pytest.raises(error.InputNameCollisionError, match='"a" comes from the steps clean, load'):
        orchest.get_inputs()


def test_they_are_described(site: Site) -> None:
    with site.step("load"):
        orchest.output(1, name="a")
        orchest.output([2], name="b")
    described = transfer.describe(site.step_uuid("load"))
    assert described["name"] == "b"
    assert [(other["name"], other["generation"]) for other in described["others"]] == [("a", 1)]


def test_an_older_reader_sees_the_latest(site: Site) -> None:
    with site.step("load"):
        orchest.output(1, name="a")
        orchest.output(2, name="b")
    assert (site.data_dir("load") / "HEAD").read_text().endswith("; PICKLE; b")


def test_a_kept_output_that_was_removed_is_missed_by_name(site: Site) -> None:
    with site.step("load"):
        orchest.output(1, name="a")
        orchest.output(2, name="b")
    (site.data_dir("load") / f"{site.step_uuid('load')}.1.PICKLE").unlink()
    with site.step("clean"), pytest.raises(error.DeserializationError, match=r"cannot be read: .*No such file"):
        orchest.get_inputs()
    with site.step("clean"):
        assert orchest.get_inputs(ignore_failure=True) == {"unnamed": [], "a": None, "b": 2}


def test_serializers_mix(site: Site) -> None:
    arrow = pytest.importorskip("pyarrow")
    with site.step("load"):
        orchest.output(arrow.table({"x": [1, 2]}), name="table")
        orchest.output(1, name="number")
        orchest.output(arrow.table({"x": [3]}), name="other table")
    got = inputs(site)
    assert got["table"].to_pydict() == {"x": [1, 2]}
    assert got["other table"].to_pydict() == {"x": [3]}
    assert got["number"] == 1
