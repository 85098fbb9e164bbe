"""Arrow's tables and record batches as files: the only module that needs pyarrow, and imports it where it is needed.

The file is the Arrow stream that the format has always had; messages are written as parsed bytes and large buffers as
bulk, so a reader checks the former before it trusts them and maps the latter.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from orchest._store.output_file import BULK
from orchest.error import DeserializationError

if TYPE_CHECKING:
    from orchest._store.output_file import OutputFile

_SAFE_VERSION = (14, 0, 1)
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def serialization_of(data: Any) -> str | None:
    """The tag of data that Arrow itself writes; None for all other, and then pyarrow stays unimported."""
    arrow = sys.modules.get("pyarrow")
    if arrow is None:
        return None
    if isinstance(data, arrow.Table):
        return "ARROW_TABLE"
    return "ARROW_BATCH" if isinstance(data, arrow.RecordBatch) else None


def dump(data: Any, file: OutputFile) -> None:
    """Write a table or a record batch as a stream."""
    import pyarrow as pa

    with pa.PythonFile(_Sink(file), mode="w") as sink, pa.ipc.new_stream(sink, data.schema) as writer:
        writer.write(data)


def load(content: Any, serialization: str, *, trusted: bool) -> Any:
    """The table over the bytes of `content`, or its first batch for ARROW_BATCH. No byte of a buffer is copied.

    Of distrusted data every offset is checked. There pyarrow must not be so old that it unpickles what a file names as
    its types.
    """
    try:
        import pyarrow as pa
    except ModuleNotFoundError:
        raise DeserializationError("it is Arrow data, and pyarrow is not installed: pip install pyarrow") from None
    if not trusted and _version(pa) < _SAFE_VERSION:
        raise DeserializationError(f"safe mode reads Arrow data with pyarrow 14.0.1 or newer; this is {pa.__version__}")
    with pa.ipc.open_stream(pa.py_buffer(content)) as reader:
        data = reader.read_all() if serialization == "ARROW_TABLE" else reader.read_next_batch()
    if not trusted:
        data.validate(full=True)
    return data


def _version(pyarrow: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in pyarrow.__version__.split(".")[:3] if part.isdigit())


def without_end(content: memoryview) -> memoryview:
    """A stream of the original's without its end mark, which must be there: readers take a cut one for a shorter one.

    The last message may happen to end in the same bytes; of one that was cut behind it then too much is taken away, and
    no reader accepts that.
    """
    if content[-len(_END_OF_STREAM) :] != _END_OF_STREAM:
        raise DeserializationError("it was cut: the end of the Arrow stream is missing")
    return content[: -len(_END_OF_STREAM)]


class _Sink:
    """What pyarrow asks of a file."""

    closed = False

    def __init__(self, file: OutputFile) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        view = memoryview(data)
        if view.nbytes < BULK:
            return self._file.write(view)
        self._file.write_bulk(view)
        return view.nbytes

    def tell(self) -> int:
        return self._file.length

    def flush(self) -> None:
        """Nothing is due before the end."""

    def close(self) -> None:
        """The descriptor belongs to somebody else."""

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False
