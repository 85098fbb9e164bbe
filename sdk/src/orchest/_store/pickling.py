"""How objects become a pickle that every reader of the format can load, and ours without copying its buffers.

The file stays one ordinary protocol-5 pickle. Each buffer of 64 KiB or more stands in it as a BYTEARRAY8 whose
content is aligned, by a push and a pop in front of it that change nothing; where it stands is told by the record
behind STOP. The C pickler hands over such buffers by themselves, so neither copies nor a pass over the opcodes are
needed.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from orchest._store import reducers
from orchest._store.trailer import PICKLE_MARK

if TYPE_CHECKING:
    from orchest._store.output_file import OutputFile
    from orchest._store.reducers import Reducer

PROTOCOL = 5
ALIGNMENT = 64
"""Of each buffer's content, in bytes from the file's start: what vector instructions and Arrow want."""
BUFFER_OPCODE = b"\x96"
"""BYTEARRAY8: a bytearray, so that whoever loads it gets an array that can be written to."""
BUFFER_HEADER = 1 + 8
"""Bytes of the opcode and of the length behind it."""
_LONGEST_BINBYTES = 0xFFFFFFFF


def dump(data: Any, file: OutputFile, *, portable: bool) -> set[str]:
    """Write the pickle. Returns the names of the packages whose versions its reader has to match.

    Raises whatever the object's own pickling raises.
    """
    pickler = _Pickler(_Sink(file), portable=portable)
    pickler.dump(data)
    pickler.sink.release()
    return pickler.packages


class _Sink:
    """Between the pickler and the file: sees each buffer come by, and gives it its place."""

    def __init__(self, file: OutputFile) -> None:
        self._file = file
        self._held = b""
        self._started = False

    def write(self, data: Any) -> None:
        """The pickler's calls: opcodes as bytes, and large strings and buffers as the objects that hold them."""
        if type(data) is pickle.PickleBuffer:
            self._write_buffer(data.raw())
            return
        self.release()
        if not self._started:
            self._started = True
            data = data[:2] + PICKLE_MARK + data[2:]
        self._held = data

    def release(self) -> None:
        self._file.write(self._held)
        self._held = b""

    def _write_buffer(self, content: memoryview) -> None:
        # The opcode and length that announce it end what came before. Of a read-only buffer they announce `bytes`.
        if not content.readonly:
            announced = BUFFER_HEADER
        elif content.nbytes <= _LONGEST_BINBYTES:
            announced = 1 + 4
        else:
            announced = 1 + 8
        self._held = self._held[:-announced]
        self.release()
        opcodes = BUFFER_OPCODE + content.nbytes.to_bytes(8, "little")
        self._file.write(_padding(self._file.length + len(opcodes)) + opcodes)
        self._file.write_bulk(content)


def _padding(length: int) -> bytes:
    """Opcodes that do nothing, to bring `length` to a multiple of the alignment."""
    missing = -length % ALIGNMENT
    if missing == 0:
        return b""
    if missing < 3:
        missing += ALIGNMENT
    return b"C" + bytes([missing - 3]) + bytes(missing - 3) + b"0"


class _Pickler(pickle.Pickler):
    def __init__(self, sink: _Sink, *, portable: bool) -> None:
        super().__init__(sink, PROTOCOL)
        self.sink = sink
        self.packages: set[str] = set()
        self._portable = portable
        self._reducers: dict[type, Reducer | None] = {}

    def reducer_override(self, obj: Any) -> Any:
        """Called for every object that is not of a plain built-in class, so one look into a table is all it may
        cost.
        """
        kind = type(obj)
        try:
            reducer = self._reducers[kind]
        except KeyError:
            reducer = self._reducers[kind] = self._reducer(kind)
        return NotImplemented if reducer is None else reducer(obj)

    def _reducer(self, kind: type) -> Reducer | None:
        package = reducers.package_of(kind, portable=self._portable)
        if package is not None:
            self.packages.add(package)
        return reducers.reducer(kind, portable=self._portable)
