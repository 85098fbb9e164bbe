"""What this SDK writes the original reads, the other way round, and what it writes itself: for every example.

The reader and the writer of the original's format are those in `original/`; they are pinned there.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from equality import arrays_in, difference
from examples import Example, examples, left_out
from orchest import get_inputs, output, testing, transfer
from orchest.config import Config
from original import fixtures, reader, writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAPPED = 64 * 1024
"""Bytes from which on an array is not copied when it is read."""

FORGOTTEN_BY_THE_ORIGINAL = ("numpy.dtype.>", "numpy.scalar.>", "pandas.big_endian")
"""numpy's own pickles swap the bytes of a foreign order while they are loaded."""

EXAMPLES = [pytest.param(example, id=example.name) for example in examples()]
EXAMPLES += [
    pytest.param(Example(name, dict), id=name, marks=pytest.mark.skip(reason=f"{name}: {reason}"))
    for name, reason in left_out().items()
]


class Step(NamedTuple):
    """A step that puts something out, and the one that it feeds."""

    site: testing.Site
    uuid: str
    directory: Path

    def put_out(self, value: Any, name: str | None = "rows", *, portable: bool = False) -> None:
        with self.site.step("load"):
            output(value, name, portable=portable)

    def received(self) -> Any:
        with self.site.step("train"):
            return get_inputs()["rows"]

    def received_by_the_original(self) -> Any:
        return reader.read(self.directory, self.uuid).value

    def put_out_by_the_original(self, value: Any) -> None:
        writer.write(value, "rows", self.directory, self.uuid)

    def data_file(self) -> Path:
        (path,) = (path for path in self.directory.iterdir() if path.name.startswith(f"{self.uuid}."))
        return path


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Step]:
    monkeypatch.setattr(Config, "durable", False)
    with testing.pipeline({"load": [], "train": ["load"]}, tmp_path) as site:
        yield Step(site, site.step_uuid("load"), site.data_dir("load"))


# --- every example


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_we_write_the_original_reads(step: Step, example: Example) -> None:
    step.put_out(example.make())
    received = step.received_by_the_original()
    assert difference(example.make(), received) == ""
    assert [array.shape for array in arrays_in(received) if not array.flags.writeable] == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_the_original_writes_we_read(step: Step, example: Example) -> None:
    step.put_out_by_the_original(example.make())
    received = step.received()
    assert difference(step.received_by_the_original(), received) == ""
    if not example.name.startswith(FORGOTTEN_BY_THE_ORIGINAL):
        assert difference(example.make(), received) == ""


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_we_write_we_read(step: Step, example: Example) -> None:
    step.put_out(example.make())
    received = step.received()
    assert difference(example.make(), received) == ""
    assert [array.shape for array in arrays_in(received) if not array.flags.writeable] == []
    large = [array for array in arrays_in(received) if array.nbytes >= MAPPED and mappable(array)]
    assert [array.shape for array in large if file_at(array.ctypes.data) != str(step.data_file())] == []
    assert [array.shape for array in large if array.ctypes.data % 64] == []


def mappable(array: Any) -> bool:
    """Objects are pointers, and a masked array says itself how it is put together."""
    return not array.dtype.hasobject and not hasattr(array, "mask")


def file_at(address: int) -> str:
    """The file that is mapped at that address of this process, or the empty string."""
    with open("/proc/self/maps") as maps:  # noqa: PTH123
        for line in maps:
            extent, _, _, _, _, *path = line.split(maxsplit=5)
            start, end = (int(bound, 16) for bound in extent.split("-"))
            if start <= address < end:
                return path[0].rstrip("\n") if path else ""
    return ""


def test_an_array_that_is_not_mapped_is_told_from_one_that_is(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    np.arange(MAPPED).tofile(tmp_path / "data")
    mapped = np.memmap(tmp_path / "data", "i8", "c")
    assert file_at(mapped.ctypes.data) == str(tmp_path / "data")
    assert file_at(np.array(mapped).ctypes.data) != str(tmp_path / "data")


PORTABLE = [
    pytest.param(example, id=example.name) for example in examples() if example.family in ("plain", "numpy", "arrow")
]


@pytest.mark.parametrize("example", PORTABLE)
def test_portable_changes_nothing_but_frames(step: Step, example: Example) -> None:
    step.put_out(example.make(), portable=True)
    assert difference(example.make(), step.received()) == ""
    assert difference(example.make(), step.received_by_the_original()) == ""


# --- what was written in the original's days


@pytest.mark.parametrize(
    ("packages", "serialization", "content"),
    [
        ([], "PICKLE", fixtures.DICT_PICKLE),
        (["numpy"], "PICKLE", fixtures.ARRAY_PICKLE),
        (["pandas"], "PICKLE", fixtures.FRAME_PICKLE),
        (["pyarrow"], "ARROW_TABLE", fixtures.TABLE_STREAM),
        (["pyarrow"], "ARROW_BATCH", fixtures.BATCH_STREAM),
    ],
)
def test_bytes_of_2022_are_read(step: Step, packages: list[str], serialization: str, content: bytes) -> None:
    for package in packages:
        pytest.importorskip(package)
    step.directory.mkdir(parents=True)
    (step.directory / "HEAD").write_text(f"2022-07-01T12:30:05; {serialization}; rows")
    (step.directory / f"{step.uuid}.{serialization}").write_bytes(content)
    received = step.received()
    if packages == ["pandas"]:
        assert received.to_dict("list") == {"x": [1.5, 2.5], "y": [1, 2]}
    else:
        assert difference(step.received_by_the_original(), received) == ""


# --- one after the other in one directory


def test_the_latest_output_wins_whoever_wrote_it(step: Step) -> None:
    for round_ in range(3):
        step.put_out_by_the_original({"old": round_})
        assert step.received() == {"old": round_}
        step.put_out({"new": round_})
        assert step.received() == {"new": round_}
        assert step.received_by_the_original() == {"new": round_}


def test_the_latest_output_wins_over_serializations(step: Step) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"n": [1, 2]})
    step.put_out_by_the_original(table)
    step.put_out([1])
    assert step.received() == [1]
    step.put_out(table)
    assert step.received().equals(table)
    step.put_out_by_the_original([2])
    assert step.received() == [2]
    step.put_out(table)
    assert step.received_by_the_original().equals(table)


@pytest.mark.parametrize("name", ["", "a;b", "naïve \N{SNOWMAN}", "../rows", None, "x" * 5000])
def test_names_are_the_same_to_both(step: Step, name: str | None) -> None:
    step.put_out([1], name)
    assert reader.read(step.directory, step.uuid).head.name == name
    head = writer.write([2], name, step.directory, step.uuid)
    metadata = transfer.resolve(step.uuid)[3]
    assert (metadata["name"], metadata["timestamp"]) == (name, head.timestamp)


def test_an_input_that_is_written_to_changes_nothing_for_others(step: Step) -> None:
    np = pytest.importorskip("numpy")
    step.put_out(np.zeros(MAPPED))
    first = step.received()
    first += 1
    assert not step.received().any()
    assert not step.received_by_the_original().any()


def test_an_input_outlives_the_next_output(step: Step) -> None:
    np = pytest.importorskip("numpy")
    step.put_out(np.zeros(MAPPED))
    first = step.received()
    step.put_out(np.ones(MAPPED))
    assert not first.any()
    assert step.received().all()


def test_comparisons_find_differences() -> None:
    """The positive control of all tests above."""
    for example in examples():
        if example.family != "plain":
            continue
        value = example.make()
        assert difference(value, [value, "more"]) != ""
    same = [1]
    assert "one object became two" in difference([same, same], [[1], [1]])
    assert "two objects became one" in difference([[1], [1]], [same, same])
    assert difference({"x": [float("nan")]}, {"x": [float("nan")]}) == ""
    assert difference(copy.deepcopy(same), same) == ""
    assert difference(1, True) != ""


def test_comparisons_find_differences_of_arrays() -> None:
    np = pytest.importorskip("numpy")
    ours = [example.make() for example in examples() if example.name.endswith(".small") and example.family == "numpy"]
    for value in ours:
        assert difference(value, np.zeros(99)) != ""
    array = np.arange(6.0).reshape(2, 3)
    assert "other values" in difference(array, array + 1)
    assert "memory order" in difference(array, np.asfortranarray(array))
    assert "dtype" in difference(array, array.astype(">f8"))
    assert "shape" in difference(array, array.reshape(3, 2))
    changed = np.ma.array([1, 2], mask=[True, False])
    assert "mask" in difference(np.ma.array([1, 2], mask=[False, False]), changed)
