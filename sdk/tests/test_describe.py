from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import orchest
from orchest import error, transfer

if TYPE_CHECKING:
    from orchest.testing import Site


def described(site: Site, value: Any) -> dict[str, Any]:
    with site.step("load"):
        orchest.output(value, name="data")
    return transfer.describe(site.step_uuid("load"))


def content(site: Site, value: Any) -> Any:
    description = described(site, value)
    assert json.loads(json.dumps(description)) == description
    return description["content"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, {"type": "NoneType", "preview": "None"}),
        (3, {"type": "int", "preview": "3"}),
        ("x" * 1000, {"type": "str", "length": 1000, "preview": "x" * 120}),
        (b"\x00" * 3, {"type": "bytes", "length": 3, "preview": "b'\\x00\\x00\\x00'"}),
        ([], {"type": "list", "length": 0, "preview": []}),
        ((1,), {"type": "tuple", "length": 1, "preview": [{"type": "int", "preview": "1"}]}),
        ({"a": {"b": {"c": 1}}}, {"a": {"type": "dict", "length": 1, "preview": {"b": {"type": "dict", "length": 1}}}}),
    ],
)
def test_plain_values(site: Site, value: Any, expected: Any) -> None:
    shown = content(site, value)
    assert shown == expected or shown["preview"] == expected


def test_a_long_list_is_shown_by_its_beginning(site: Site) -> None:
    shown = content(site, list(range(1000)))
    assert shown["length"] == 1000
    assert [one["preview"] for one in shown["preview"]] == [str(number) for number in range(8)]


class Loud:
    def __repr__(self) -> str:
        raise AssertionError("nobody asked")

    __str__ = __len__ = __repr__


class LoudDict(dict):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        raise AssertionError("nobody asked")


def test_an_object_of_the_users_is_not_asked_anything(site: Site) -> None:
    assert content(site, [Loud()])["preview"] == [{"type": "test_describe.Loud"}]
    assert content(site, {"a": LoudDict()})["preview"] == {"a": {"type": "test_describe.LoudDict"}}


class LoudText(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise AssertionError


class LoudNumber(float):
    __slots__ = ()

    def __str__(self) -> str:
        raise AssertionError


def test_a_class_of_the_users_that_is_derived_of_text_is_not_asked_either(site: Site) -> None:
    shown = content(site, {LoudText("a"): 1, LoudNumber(2): 2, "b": LoudText("c")})
    assert shown["preview"] == {"null": {"type": "int", "preview": "2"}, "b": {"type": "test_describe.LoudText"}}


def test_objects_of_the_users_in_arrays_in_frames_are_not_asked_either(site: Site) -> None:
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    cell = numpy.empty(1, object)
    cell[0] = Loud()
    assert content(site, pandas.DataFrame({"a": [cell, pandas.Series([Loud()])]}))["preview"] == [[None], [None]]


def test_arrays(site: Site) -> None:
    numpy = pytest.importorskip("numpy")
    shown = content(site, numpy.arange(2_000_000, dtype="f4").reshape(2, 1_000_000))
    assert shown == {
        "type": "numpy.ndarray",
        "shape": [2, 1_000_000],
        "dtype": "float32",
        "bytes": 8_000_000,
        "preview": ["0.0", "1.0", "2.0", "3.0", "4.0", "5.0", "6.0", "7.0"],
    }
    assert content(site, numpy.array(5))["preview"] == ["5"]
    assert content(site, numpy.zeros((3, 0)))["preview"] == []
    assert content(site, numpy.array([Loud()], dtype=object))["preview"] is None


def test_frames_of_pandas(site: Site) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": range(100), "b": [0.5] * 100})
    shown = content(site, {"frame": frame})["preview"]["frame"]
    assert shown["shape"] == [100, 2]
    assert shown["schema"] == {"a": "int64", "b": "float64"}
    assert shown["preview"][:2] == [["0", "0.5"], ["1", "0.5"]]
    assert content(site, frame["b"])["dtype"] == "float64"


def test_frames_of_polars(site: Site) -> None:
    polars = pytest.importorskip("polars")
    shown = content(site, polars.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    assert shown["shape"] == [2, 2]
    assert shown["schema"] == {"a": "Int64", "b": "String"}
    assert shown["preview"] == [["1", "x"], ["2", "y"]]
    assert content(site, polars.Series("a", [1, 2]))["preview"] == ["1", "2"]


def test_tables(site: Site) -> None:
    arrow = pytest.importorskip("pyarrow")
    shown = content(site, arrow.table({"a": [1, 2], "b": ["x", None]}))
    assert shown["shape"] == [2, 2]
    assert shown["schema"] == {"a": "int64", "b": "string"}
    assert shown["preview"] == [["1", "x"], ["2", "None"]]


def test_who_wrote_what_when_and_from_what(site: Site) -> None:
    with site.step("load"):
        orchest.output("first", name="raw")
    with site.step("clean"):
        orchest.get_inputs()
        orchest.output("clean", name="data")
    description = transfer.describe(site.step_uuid("clean"))
    assert description["producer"]["step_uuid"] == site.step_uuid("clean")
    assert description["producer"]["pipeline_uuid"] == site.uuid
    assert len(description["producer"]["run"]) == 32
    (one,) = description["inputs"]
    assert (one["step_uuid"], one["name"], one["generation"]) == (site.step_uuid("load"), "raw", 1)
    assert one["current"] is True
    with site.step("load"):
        orchest.output("second", name="raw")
    assert transfer.describe(site.step_uuid("clean"))["inputs"][0]["current"] is False


def test_of_the_originals_output_what_is_known_is_told(site: Site) -> None:
    import pickle

    folder = site.data_dir("load")
    folder.mkdir(parents=True)
    (folder / f"{site.step_uuid('load')}.PICKLE").write_bytes(pickle.dumps([1], 4))
    (folder / "HEAD").write_text("2022-01-01T10:00:00; PICKLE; unnamed")
    description = transfer.describe(site.step_uuid("load"))
    assert description["name"] is None
    assert description["timestamp"] == "2022-01-01T10:00:00"
    assert description["size"] == len(pickle.dumps([1], 4))
    assert (
        description["content"] is description["producer"] is description["inputs"] is description["generation"] is None
    )


def test_without_output_there_is_nothing_to_describe(site: Site) -> None:
    with pytest.raises(error.OutputNotFoundError, match='step "load"'):
        transfer.describe(site.step_uuid("load"))


def test_a_damaged_end_is_told(site: Site) -> None:
    with site.step("load"):
        orchest.output("x" * 1000, name="data")
    path = site.data_dir("load") / f"{site.step_uuid('load')}.PICKLE"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(error.DeserializationError, match=r'step "load".*cut'):
        transfer.describe(site.step_uuid("load"))
