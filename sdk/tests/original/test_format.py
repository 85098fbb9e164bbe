"""The reader and the writer of the original's format, held to bytes that were written once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from original import fixtures, reader, writer
from original.layout import ForeignHeadError, Head, head_text, parse_head

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = {"rows": 3, "names": ["a", "b"], "share": 0.5, "none": None, "raw": b"\x00\xff"}


@pytest.mark.parametrize("text", fixtures.HEADS)
def test_a_head_is_three_fields_both_ways(text: str) -> None:
    assert parse_head(text) == fixtures.HEADS[text]
    assert head_text(fixtures.HEADS[text]) == text


def test_of_four_fields_the_first_is_ignored() -> None:
    assert parse_head(fixtures.FOUR_FIELDS) == Head("2022-07-01T12:30:05", "PICKLE", "rows")


@pytest.mark.parametrize("text", fixtures.FOREIGN_HEADS)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ForeignHeadError):
        parse_head(text)


def put(directory: Path, serialization: str, content: bytes) -> None:
    (directory / "HEAD").write_bytes(f"2022-07-01T12:30:05; {serialization}; rows".encode())
    (directory / f"step.{serialization}").write_bytes(content)


def test_the_reader_unpickles(tmp_path: Path) -> None:
    put(tmp_path, "PICKLE", fixtures.DICT_PICKLE)
    assert reader.read(tmp_path, "step").value == PLAIN


def test_the_reader_ignores_what_stands_behind_a_pickle(tmp_path: Path) -> None:
    put(tmp_path, "PICKLE", fixtures.DICT_PICKLE + b"a trailer")
    assert reader.read(tmp_path, "step").value == PLAIN


def test_the_writer_pickles_to_the_same_bytes(tmp_path: Path) -> None:
    head = writer.write(PLAIN, "rows", tmp_path, "step")
    assert (tmp_path / "HEAD").read_bytes() == f"{head.timestamp}; PICKLE; rows".encode()
    assert (tmp_path / "step.PICKLE").read_bytes() == fixtures.DICT_PICKLE


def test_the_reader_reads_old_arrays(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    put(tmp_path, "PICKLE", fixtures.ARRAY_PICKLE)
    value = reader.read(tmp_path, "step").value
    assert value.dtype == numpy.dtype("<i4")
    assert value.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_table_is_the_same_stream_both_ways(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"x": pa.array([1, 2, None], pa.int32()), "s": ["a", "bc", ""]})
    put(tmp_path, "ARROW_TABLE", fixtures.TABLE_STREAM)
    assert reader.read(tmp_path, "step").value.equals(table, check_metadata=True)
    assert writer.serialize(table) == ("ARROW_TABLE", fixtures.TABLE_STREAM)


def test_a_batch_is_the_same_stream_both_ways(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    batch = pa.RecordBatch.from_arrays([pa.array([0.5, 1.5])], ["v"])
    put(tmp_path, "ARROW_BATCH", fixtures.BATCH_STREAM)
    assert reader.read(tmp_path, "step").value.equals(batch)
    assert writer.serialize(batch) == ("ARROW_BATCH", fixtures.BATCH_STREAM)


def test_a_table_is_mapped_not_copied(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    put(tmp_path, "ARROW_TABLE", fixtures.TABLE_STREAM)
    before = pa.total_allocated_bytes()
    table = reader.read(tmp_path, "step").value
    assert pa.total_allocated_bytes() == before
    assert table.num_rows == 3


def test_of_a_batch_stream_only_the_first_is_read(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.Table.from_batches([pa.RecordBatch.from_arrays([pa.array([n])], ["v"]) for n in (1, 2)])
    put(tmp_path, "ARROW_BATCH", writer.serialize(table)[1])
    assert reader.read(tmp_path, "step").value.to_pydict() == {"v": [1]}


def test_a_data_file_of_an_earlier_serialization_stays(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    writer.write(pa.table({"x": [1]}), None, tmp_path, "step")
    writer.write([1], None, tmp_path, "step")
    assert {path.name for path in tmp_path.iterdir()} == {"HEAD", "step.ARROW_TABLE", "step.PICKLE"}
    assert reader.read(tmp_path, "step").value == [1]
