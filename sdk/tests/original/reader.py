"""The original's reader: in comes a step's directory, out comes the value with the fields of its HEAD.

Arrow streams are read through a memory map, of batches only the first; everything else is unpickled from an ordinary
file, and whatever stands behind the pickle's end is never looked at. Errors leave as the libraries raise them.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

from original.layout import Head, data_file_name, parse_head

if TYPE_CHECKING:
    from pathlib import Path


class Received(NamedTuple):
    head: Head
    value: Any


def read(directory: Path, step: str) -> Received:
    """The output in the directory; ForeignHeadError or FileNotFoundError when there is none."""
    head = parse_head((directory / "HEAD").read_text())
    data = directory / data_file_name(step, head.serialization)
    return Received(head, _READERS[head.serialization](data))


def _read_pickle(path: Path) -> Any:
    with path.open("rb") as file:
        return pickle.load(file)


def _read_table(path: Path) -> Any:
    return _open_stream(path).read_all()


def _read_batch(path: Path) -> Any:
    return _open_stream(path).read_next_batch()


def _open_stream(path: Path) -> Any:
    import pyarrow as pa

    return pa.ipc.open_stream(pa.memory_map(str(path), "r"))


_READERS = {"PICKLE": _read_pickle, "ARROW_TABLE": _read_table, "ARROW_BATCH": _read_batch}
