"""One data file while it is written: bytes pass through once, and leave their checksums behind.

In: an open descriptor. Out: the file, its segments, the checksum of each block. Only some opcodes are ever held back,
so an output needs no second copy of its object in memory.
"""

from __future__ import annotations

import os
from threading import Thread
from typing import TYPE_CHECKING, Union

from orchest._store.checksums import Checksums, of_blocks
from orchest._store.trailer import BLOCK, Segment

if TYPE_CHECKING:
    Chunk = Union[bytes, bytearray, memoryview]

BULK = 1 << 16
"""Bytes from which a buffer stands by itself in the file: the pickler's limit, and what is worth mapping."""
_PIECE = 4 * BLOCK
"""Bytes that are checked and then written while the processor's caches still hold them."""


class OutputFile:
    """The growing file. `length` is its size in bytes so far; `failure` is why it could not be written."""

    def __init__(self, descriptor: int, writeback: Writeback | None = None) -> None:
        self._descriptor = descriptor
        self._writeback = writeback
        self._held: list[bytes] = []
        self._held_length = 0
        self._parsed = Checksums()
        self._segments: list[Segment] = []
        self._checksums: list[int] = []
        self.length = 0
        self.failure: OSError | None = None

    def write(self, data: Chunk) -> int:
        """Append bytes that a reader has to parse: opcodes, messages."""
        piece = bytes(data)
        self._held.append(piece)
        self._held_length += len(piece)
        self.length += len(piece)
        if self._held_length >= BULK:
            self._release()
        return len(piece)

    def write_bulk(self, content: memoryview) -> None:
        """Append the content of one buffer (a flat view of bytes), for a reader to map."""
        self._end_segment()
        for start in range(0, len(content), _PIECE):
            piece = content[start : start + _PIECE]
            self._checksums += of_blocks(piece)
            self._write(piece)
            if self._writeback is not None and len(piece) == _PIECE:
                self._writeback.start()
        self._segments.append(Segment(len(content), bulk=1))
        self.length += len(content)

    def finish(self) -> tuple[list[Segment], list[int]]:
        """The segments and checksums of everything; no more data may come."""
        self._end_segment()
        return self._segments, self._checksums

    def _write(self, view: memoryview) -> None:
        try:
            write_all(self._descriptor, view)
        except OSError as problem:
            # The pickler and pyarrow are between here and whoever has to tell a full disk from bad data.
            self.failure = problem
            raise

    def _release(self) -> None:
        data = b"".join(self._held)
        self._held, self._held_length = [], 0
        self._parsed.feed(data)
        self._write(memoryview(data))

    def _end_segment(self) -> None:
        self._release()
        length, checksums = self._parsed.finished()
        if length:
            self._segments.append(Segment(length, bulk=0))
            self._checksums += checksums
        self._parsed = Checksums()


class Writeback:
    """Brings what is written to the medium while more is written: the disk need not wait for the end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._thread: Thread | None = None
        self._failure: OSError | None = None

    def start(self) -> None:
        """Unless it is at it."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._run, name="orchest-writeback", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """For what was started. Raises OSError if any of it failed: the kernel tells it only once."""
        if self._thread is not None:
            self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            _sync_data(self._descriptor)
        except OSError as problem:
            self._failure = problem


def write_all(descriptor: int, view: memoryview) -> None:
    """`os.write` may take less than it is given."""
    while view:
        view = view[os.write(descriptor, view) :]


_sync_data = getattr(os, "fdatasync", os.fsync)
