"""A control: a writer with the habits of the original, HEAD first and both files truncated in place.

In: a site, a kind, a number. Out: files without our trailer. A harness that finds nothing broken here is blind.
"""

from __future__ import annotations

import pickle
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from .payloads import BATCH, TABLE, kind_of_value, numbered

if TYPE_CHECKING:
    from .site import Site


def output_in_place(site: Site, kind: str, number: int, size: int) -> None:
    value, name = numbered(kind, number, size)
    content, serialization = _serialized(value)
    site.directory.mkdir(parents=True, exist_ok=True)
    timestamp = datetime.now(timezone.utc).replace(tzinfo=None).isoformat(timespec="seconds")
    with site.head.open("w", encoding="utf-8") as head:
        head.write(f"{timestamp}; {serialization}; {name or 'unnamed'}")
    with site.data(serialization).open("wb") as data:
        data.write(content)


def _serialized(value: Any) -> tuple[Any, str]:
    kind = kind_of_value(value)
    if kind not in (TABLE, BATCH):
        return pickle.dumps(value, protocol=4), "PICKLE"
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, value.schema) as stream:
        stream.write(value)
    return sink.getvalue(), "ARROW_TABLE" if kind == TABLE else "ARROW_BATCH"
