"""The verdict of the matrix keeps its promises: what should break one does."""

from __future__ import annotations

import pytest

from matrix.cells import cells
from matrix.verdict import Crossing, promise

VERSIONS = {
    "old": {"python": "3.9.18", "numpy": "1.22.4", "pandas": "1.4.4", "pytz": "2026.1"},
    "new": {"python": "3.13.0", "numpy": "2.5.5", "pandas": "3.1.1", "polars": "2.1.0"},
}
BOTH = "written with pandas 3.1.1, here is pandas 1.4.4"


def why(
    path: str, way: str, example: str, outcome: str, detail: str = "", *, known: bool = True, control: str = "equal"
) -> str:
    writer, by, reader = path.split()
    crossing = Crossing(writer, reader, way, by, example, known, outcome, detail)
    return promise(crossing, VERSIONS, control).broken_by(crossing)


@pytest.mark.parametrize("by", ["ours", "original"])
@pytest.mark.parametrize("outcome", ["different", "refused", "failed", "unknown", "unwritten"])
@pytest.mark.parametrize("way", ["ours", "portable"])
@pytest.mark.parametrize("example", ["plain.dict", "numpy.dtype.<f8.large", "arrow.table.small"])
def test_arrays_and_tables_must_be_equal_from_new_to_old(example: str, way: str, outcome: str, by: str) -> None:
    assert why(f"new {by} old", way, example, outcome, BOTH) != ""
    assert why(f"new {by} old", way, example, "equal") == ""


def test_frames_are_refused_from_new_to_old_by_a_text_that_names_both_versions() -> None:
    assert why("new ours old", "ours", "pandas.mixed.small", "refused", BOTH) == ""
    assert why("new ours old", "ours", "pandas.mixed.small", "refused", "no") != ""
    assert why("new ours old", "ours", "pandas.mixed.small", "failed", BOTH) != ""
    assert why("new ours old", "ours", "pandas.mixed.small", "equal") != ""


@pytest.mark.parametrize("outcome", ["different", "refused", "failed", "unwritten"])
def test_frames_pass_from_old_to_new_and_everywhere_when_portable(outcome: str) -> None:
    assert why("old ours new", "ours", "pandas.mixed.small", outcome, BOTH) != ""
    assert why("new ours old", "portable", "pandas.mixed.small", outcome, BOTH) != ""
    assert why("new original old", "portable", "pandas.mixed.small", outcome, BOTH) != ""


def test_what_the_original_reads_of_its_own_we_read() -> None:
    assert why("old ours new", "original", "pandas.mixed.small", "refused", BOTH, control="equal") != ""
    assert why("old ours new", "original", "pandas.mixed.small", "refused", BOTH, control="failed") == ""
    assert why("old ours new", "original", "pandas.mixed.small", "failed", BOTH, control="failed") != ""


def test_what_the_reader_does_not_know_is_refused_by_name() -> None:
    assert why("new ours old", "ours", "polars.frame.small", "refused", "no module polars", known=False) == ""
    assert why("new ours old", "ours", "polars.frame.small", "refused", "no", known=False) != ""
    assert why("new ours old", "ours", "polars.frame.small", "failed", "no module polars", known=False) != ""


def test_a_frame_that_arrow_cannot_hold_is_not_written() -> None:
    assert why("new ours old", "portable", "pandas.objects", "unwritten", "SerializationError: no") == ""
    assert why("new ours old", "portable", "pandas.objects", "unwritten", "ArrowInvalid: no") != ""
    assert why("new ours old", "portable", "pandas.objects", "equal") != ""


def test_cells_tell_frames_apart() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"n": [1.0, None], "s": ["a", None]})
    assert cells(frame) == {"labels": ["n", "s"], "index": [0, 1], "columns": [[1.0, None], ["a", None]]}
    assert cells(frame) != cells(frame.iloc[::-1])
    assert cells(frame) != cells(frame.rename(columns={"n": "m"}))
    assert cells({"x": [frame["n"]]}) == {"x": [[[1.0, None], "n"]]}
