"""One data file that is held open: it stays what it is, whatever its producer does next.

In: a path. Out: its bytes, read or mapped, and its trailer. What the original SDK wrote has none.
"""

from __future__ import annotations

import io
import mmap
import os

from orchest._store import trailer as trailers
from orchest._store.trailer import PICKLE_MARK, Trailer
from orchest.error import DeserializationError

TAIL = 1 << 14
"""Bytes read from the end at once; a smaller file is read as a whole by that, and not held open."""
_PRIVATE = {
    "flags": mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0),
    "prot": mmap.PROT_READ | mmap.PROT_WRITE,
}
"""Pages that are written to become the reader's own; the file never changes."""


class GoneError(DeserializationError):
    """An output that was found is not there any more: its step has put out anew since."""


class StoredFile:
    """Bytes of one generation. Raises FileNotFoundError at once, DeserializationError for a damaged trailer."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size
        self.path = path
        self._tail = self._read(max(0, self.size - TAIL), min(self.size, TAIL))
        self.trailer = self._parsed()
        if len(self._tail) == self.size:
            self.close()

    def fetch(self) -> None:
        """Bring the data to this machine, where it lies elsewhere; see `StoredObject`."""

    def content(self) -> memoryview:
        """Everything before the trailer, as memory that may be written to: a private map, or a copy of a small file."""
        if len(self._tail) == self.size:
            return memoryview(bytearray(self._tail))[: self.data_length]
        if self.trailer is None:
            # Not written by us, so its writer may truncate it in place, and touching a map of it would kill us.
            copy = bytearray(self.size)
            with self.reader() as file:
                return memoryview(copy)[: file.readinto(copy)]
        return memoryview(mmap.mmap(self._descriptor, self.size, **_PRIVATE))[: self.data_length]

    def reader(self) -> io.BufferedIOBase:
        """The file from its first byte on."""
        if len(self._tail) == self.size:
            return io.BytesIO(self._tail)
        file = os.fdopen(os.dup(self._descriptor), "rb")
        file.seek(0)  # the copy of a descriptor shares its position
        return file

    def read_block(self, offset: int, into: memoryview) -> int:
        """Bytes of the file itself, and not of a map that its holder may have written to; the count that was read."""
        return os.preadv(self._descriptor, [into], offset)

    @property
    def data_length(self) -> int:
        return self.size if self.trailer is None else self.trailer.data_length

    def close(self) -> None:
        """A file that is mapped stays mapped."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.close()

    def _parsed(self) -> Trailer | None:
        footer = trailers.parse_footer(self._tail, self.size)
        if footer is None:
            start = self._tail if len(self._tail) == self.size else self._read(0, 2 + len(PICKLE_MARK))
            if start[2 : 2 + len(PICKLE_MARK)] == PICKLE_MARK:
                raise DeserializationError("the file was cut: its end is missing")
            return None
        length = footer.trailer_length
        raw = self._tail[-length:] if length <= len(self._tail) else self._read(self.size - length, length)
        return trailers.parse(raw, footer)

    def _read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes; fewer only at the file's end."""
        pieces = []
        while length > 0:
            piece = os.pread(self._descriptor, min(length, 1 << 30), offset)
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
