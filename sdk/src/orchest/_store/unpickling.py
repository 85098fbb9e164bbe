"""From a pickle to its object, over the buffers where they lie, and without running code of the writer's if so asked.

In: the bytes before the trailer, and which of them are buffers. Out: the object.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

from orchest._store.pickling import BUFFER_HEADER

if TYPE_CHECKING:
    from io import BufferedIOBase

    from orchest._store.trailer import Segment

_NEXT_BUFFER = b"\x97"


class RefusedError(pickle.UnpicklingError):
    """The pickle does more than hold data, and safe mode is on."""


def load(content: memoryview, segments: list[Segment], *, allow_pickle: bool) -> Any:
    """The object; its large buffers are parts of `content`. Raises whatever loading it raises."""
    opcodes, buffers = _apart(content, segments)
    if allow_pickle:
        return pickle.loads(opcodes, buffers=buffers)
    return _load_allowed(io.BytesIO(opcodes), buffers)


def load_file(source: BufferedIOBase, *, allow_pickle: bool) -> Any:
    """The object of a pickle without an index of its buffers."""
    return pickle.load(source) if allow_pickle else _load_allowed(source, [])


def _apart(content: memoryview, segments: list[Segment]) -> tuple[Any, list[memoryview]]:
    """The opcodes with a reference in the place of each buffer, and the buffers."""
    if not any(segment.bulk for segment in segments):
        return content, []
    parts: list[bytes | memoryview] = []
    buffers = []
    offset = 0
    for length, bulk in segments:
        part = content[offset : offset + length]
        if bulk:
            # What stood in front of it made it a part of the pickle: the opcode and the length.
            parts[-1] = parts[-1][:-BUFFER_HEADER]
            parts.append(_NEXT_BUFFER)
            buffers.append(part)
        else:
            parts.append(part)
        offset += length
    return b"".join(parts), buffers


def _load_allowed(source: BufferedIOBase, buffers: list[memoryview]) -> Any:
    from orchest._store.allowed import AllowedUnpickler

    return AllowedUnpickler(source, buffers=buffers).load()
