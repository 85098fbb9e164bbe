"""What a step has put out last, found beside any writer, without a lock and without writing.

In: a directory. Out: the open file that HEAD means, and the head that belongs to it. Each data file says which HEAD
it belongs to and which it replaces; so one that was read between a writer's two renames, or after a crash there,
leads to the generation that was set aside.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from orchest._store import head as heads
from orchest._store.stored import StoredFile
from orchest.error import DeserializationError, DiskOutputNotFoundError, InvalidMetaDataError

if TYPE_CHECKING:
    from orchest._store.directory import Directory
    from orchest._store.head import Head
    from orchest._store.trailer import Kept, Record

_LOOKS = 40
"""At a directory in which things do not fit, before that is believed: a writer may be at work."""
_PAUSE = 0.005
"""Seconds between two looks."""


class Found(NamedTuple):
    """An output. Its file is open, and stays what it is."""

    head: Head
    file: StoredFile | None
    problem: DeserializationError | None = None
    """Why there is no file."""

    @property
    def record(self) -> Record | None:
        """None for an output of the original SDK, and for one that cannot be read."""
        return self.file.trailer.record if self.file is not None and self.file.trailer is not None else None


def latest(directory: Directory) -> Found:
    """The output that HEAD means. Raises DiskOutputNotFoundError with the reason there is none, and
    DeserializationError for one that may not be read.
    """
    for _ in range(_LOOKS):
        try:
            found = _look(directory)
        except PermissionError as problem:
            raise DeserializationError(f"{problem}. Let the user of this step read it") from problem
        except OSError as problem:
            raise DiskOutputNotFoundError(f"it cannot be read: {problem}") from problem
        if isinstance(found, Found):
            return found
        time.sleep(_PAUSE)
    raise DiskOutputNotFoundError(found)


def beside(directory: Directory, kept: list[Kept]) -> list[Found]:
    """The earlier outputs of the same run that the record of the latest keeps beside it."""
    return [
        _opened(directory.generation(one.generation, one.serialization), heads.parse(one.head.encode())) for one in kept
    ]


def belongs(record: Record, raw: bytes) -> bool:
    """Whether this HEAD is the one that the output was written with; the two-field form has no name to compare."""
    own = record.head.encode()
    return raw == own or (b"; " not in raw and own.replace(b"; ", b", ", 1).startswith(raw + b"; "))


def _look(directory: Directory) -> Found | str:
    """The output, or why there seems to be none."""
    raw = directory.read_head()
    if raw is None:
        raise DiskOutputNotFoundError("it has put out nothing yet")
    if not raw:
        return "its HEAD is empty"
    try:
        head = heads.parse(raw)
    except InvalidMetaDataError as problem:
        return str(problem)
    try:
        file = StoredFile(directory.data(head.serialization))
    except FileNotFoundError:
        return f"its HEAD names {head.serialization} data, and there is none"
    except DeserializationError as problem:
        return Found(head, None, problem)
    if file.trailer is None:
        return Found(head, file)
    record = file.trailer.record
    own = record.head.encode()
    if raw == own:
        return Found(head, file)
    if belongs(record, raw):
        return Found(heads.parse(own), file)
    if record.replaces is not None and record.replaces.encode() == raw:
        return _set_aside(directory, head, record, raw) or Found(heads.parse(own), file)
    return "its HEAD and its data are of different outputs"


def _set_aside(directory: Directory, head: Head, record: Record, raw: bytes) -> Found | str | None:
    """The generation before, for whoever read HEAD before it moved on; None where no link was made of it."""
    try:
        return Found(head, StoredFile(directory.generation(record.previous, head.serialization)))
    except FileNotFoundError:
        return None if directory.read_head() == raw else "its HEAD keeps moving on"


def _opened(path: str, head: Head) -> Found:
    try:
        return Found(head, StoredFile(path))
    except OSError as problem:
        return Found(head, None, DeserializationError(f"its data file cannot be read: {problem}"))
    except DeserializationError as problem:
        return Found(head, None, problem)
