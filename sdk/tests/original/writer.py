"""The original's writer: in come a value and a step's directory, and HEAD and data file are written over in place.

Arrow tables and batches become an Arrow IPC stream, everything else a pickle of the default protocol. HEAD comes first,
nothing is synchronised, nothing renamed, and a data file of an earlier serialization is left behind.
"""

from __future__ import annotations

import pickle
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from original.layout import Head, data_file_name, head_text

if TYPE_CHECKING:
    from pathlib import Path


def write(value: Any, name: str | None, directory: Path, step: str) -> Head:
    """Write the value as the step's output; PicklingError, TypeError or AttributeError when it has no pickle."""
    serialization, content = serialize(value)
    head = Head(_now(), serialization, name)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "HEAD").write_text(head_text(head))
    (directory / data_file_name(step, serialization)).write_bytes(content)
    return head


def serialize(value: Any) -> tuple[str, bytes]:
    """The serialization's name, and the bytes of the data file."""
    if not type(value).__module__.startswith("pyarrow"):
        return "PICKLE", pickle.dumps(value, pickle.DEFAULT_PROTOCOL)
    import pyarrow as pa

    if isinstance(value, pa.Table):
        return "ARROW_TABLE", _stream(value, pa.RecordBatchStreamWriter.write_table)
    if isinstance(value, pa.RecordBatch):
        return "ARROW_BATCH", _stream(value, pa.RecordBatchStreamWriter.write_batch)
    return "PICKLE", pickle.dumps(value, pickle.DEFAULT_PROTOCOL)


def _stream(value: Any, write_all: Any) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    writer = pa.RecordBatchStreamWriter(sink, value.schema)
    write_all(writer, value)
    writer.close()
    return bytes(sink.getvalue())


def _now() -> str:
    return datetime.now(timezone.utc).replace(tzinfo=None).isoformat(timespec="seconds")
