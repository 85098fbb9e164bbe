"""Are these the bytes that were written? Checked against the checksums behind the data, at once or beside the caller.

`off` trusts the disk. `lazy` checks before anything is parsed all that is parsed, and small buffers; large ones are
read by a thread, and damage that it finds fails the next call of the SDK. `full` checks everything before anything is
returned.
"""

from __future__ import annotations

import _thread
import os
import sys
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from orchest._store.checksums import of_blocks
from orchest._store.trailer import BLOCK, block_count, checksum
from orchest.error import DeserializationError

if TYPE_CHECKING:
    from orchest._store.stored import StoredFile
    from orchest._store.trailer import Trailer

_LOWEST_PRIORITY = 19
_AT_ONCE = BLOCK
"""Bytes of a buffer up to which `lazy` does not put off its check."""


class Run(NamedTuple):
    """A segment, and where its checksums begin."""

    offset: int
    length: int
    first: int


def runs(trailer: Trailer, *, late: bool) -> list[Run]:
    """The segments that `lazy` checks late, or the others. Pure."""
    found = []
    offset = first = 0
    for length, bulk in trailer.record.segments:
        if late == bool(bulk and length > _AT_ONCE):
            found.append(Run(offset, length, first))
        offset += length
        first += block_count(length)
    return found


def verify_at_once(file: StoredFile, trailer: Trailer, content: memoryview, mode: str, label: str) -> None:
    """Check what has to be right before the data is parsed. Raises DeserializationError.

    `content` is the data as it will be parsed, not written to yet; `label` says in messages whose it is.
    """
    if mode == "off":
        return
    for offset, length, first in runs(trailer, late=False):
        for number, crc in enumerate(of_blocks(content[offset : offset + length])):
            if crc != checksum(trailer, first + number):
                raise _damaged(label, offset + number * BLOCK)
    if mode == "full":
        damaged = _first_damaged(file, trailer)
        if damaged is not None:
            raise _damaged(label, damaged)


def verify_later(file: StoredFile, trailer: Trailer, mode: str, label: str) -> None:
    """Check the rest in a thread, if there is a rest and `mode` leaves it for later; see `raise_found`."""
    if mode == "lazy" and any(bulk and length > _AT_ONCE for length, bulk in trailer.record.segments):
        try:
            # Not `threading`, whose `start` waits until the thread runs: on a busy machine longer than all else takes.
            _thread.start_new_thread(_verify, (file, trailer, label))
        except RuntimeError:  # there are too many, or Python ends: the data is checked all the same
            _find_damage(file, trailer, label)


def raise_found() -> None:
    """Raise what a thread has found since the last call, once."""
    if _found:
        raise _found.pop(0)


_found: list[DeserializationError] = []


def _verify(file: StoredFile, trailer: Trailer, label: str) -> None:
    if sys.platform == "linux":
        # There it means this thread alone. Whoever waits for the data comes first.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, _thread.get_native_id(), _LOWEST_PRIORITY)
    _find_damage(file, trailer, label)


def _find_damage(file: StoredFile, trailer: Trailer, label: str) -> None:
    damaged = _first_damaged(file, trailer)
    if damaged is not None:
        _found.append(_damaged(label, damaged))


def _first_damaged(file: StoredFile, trailer: Trailer) -> int | None:
    """The offset of the first block that is not what was written, among those for later."""
    buffer = memoryview(bytearray(BLOCK))
    for offset, length, first in runs(trailer, late=True):
        for number in range(block_count(length)):
            start = number * BLOCK
            part = buffer[: min(BLOCK, length - start)]
            if not _is_read(file, offset + start, part) or zlib.crc32(part) != checksum(trailer, first + number):
                return offset + start
    return None


def _is_read(file: StoredFile, offset: int, part: memoryview) -> bool:
    try:
        return file.read_block(offset, part) == len(part)
    except OSError:  # what the medium does not give back is as damaged as what it gives back wrong
        return False


def _damaged(label: str, offset: int) -> DeserializationError:
    return DeserializationError(
        f"The output of {label} is damaged: the checksum of the {BLOCK:,} bytes from byte {offset:,} on does not fit. "
        "Run that step again."
    )
