"""CRC-32 per block of a run of bytes, fed in pieces of any size. Pure."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Union

from orchest._store.trailer import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator

    Piece = Union[bytes, bytearray, memoryview]


class Checksums:
    """Of one segment: `feed` its bytes in order, then take `finished`."""

    def __init__(self) -> None:
        self._blocks: list[int] = []
        self._current = 0
        self._length = 0

    def feed(self, piece: Piece) -> None:
        view = memoryview(piece)
        while view:
            part = view[: BLOCK - self._length % BLOCK]
            self._current = zlib.crc32(part, self._current)
            self._length += len(part)
            if self._length % BLOCK == 0:
                self._blocks.append(self._current)
                self._current = 0
            view = view[len(part) :]

    def finished(self) -> tuple[int, list[int]]:
        """The segment's length in bytes, and a checksum for each of its blocks."""
        unfinished = [self._current] if self._length % BLOCK else []
        return self._length, self._blocks + unfinished


def of_blocks(view: memoryview) -> Iterator[int]:
    """The checksum of each block of a segment that is there as a whole."""
    for start in range(0, len(view), BLOCK):
        yield zlib.crc32(view[start : start + BLOCK])
