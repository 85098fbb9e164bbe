"""What stands behind the end of a data file: a record and checksums. Bytes in, values out, and back. Touches nothing.

`pickle.load` stops at its STOP and an Arrow reader at its end-of-stream, so neither sees any of this. The layout is

    record (JSON) | what `describe` shows (JSON) | one CRC-32 per block of every segment (u32) | footer (44 bytes)

and the footer has a magic number at both of its ends, so that no single damaged byte makes a trailer look like none.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any, NamedTuple

from orchest._store import head as heads
from orchest.error import DeserializationError, InvalidMetaDataError

BLOCK = 1 << 20
"""Bytes per checksum."""
PICKLE_MARK = b"C\x08ORCHEST1" + b"0"
"""Opcodes right behind PROTO, a push and a pop: this pickle has a trailer, and without one it was cut."""

_FOOTER = struct.Struct("<8sQIIIII8s")
_CHECKSUM = struct.Struct("<I")
_FIELDS = struct.Struct("<QIIII")
FOOTER_SIZE = _FOOTER.size
_FIRST_MAGIC = b"\x00OrchEnd"
_LAST_MAGIC = b"orchest\x01"


class Segment(NamedTuple):
    """A run of bytes of the data; they stand one behind the other from the file's first byte."""

    length: int
    bulk: int
    """1: the content of one buffer, which a reader may map. 0: opcodes or messages, which a reader parses."""


class Kept(NamedTuple):
    """An earlier output of the same run that stays beside the latest."""

    head: str
    generation: int
    serialization: str


class Record(NamedTuple):
    """What an output says about itself."""

    generation: int
    """Counts the outputs of a step, whatever the clock does."""
    head: str
    """HEAD as this output writes it: the pair belongs together."""
    replaces: str | None
    """HEAD as it was before. Who still reads that one wants the generation before."""
    previous: int
    """The generation set aside while this one takes its place."""
    run: str
    """The producing process."""
    segments: list[Segment]
    kept: list[Kept]
    versions: dict[str, str]
    """Of Python and of the packages whose objects were written."""


class Trailer(NamedTuple):
    record: Record
    told: bytes
    """What `describe` shows, as JSON: whoever only wants the data does not take it apart."""
    data_length: int
    """Bytes before the trailer."""
    checksums: bytes
    """Of each block of each segment, in order, four bytes each; see `checksum`. A gigabyte has a thousand."""


class Footer(NamedTuple):
    data_length: int
    record_length: int
    told_length: int
    checksums: int
    crc: int

    @property
    def trailer_length(self) -> int:
        return self.record_length + self.told_length + 4 * self.checksums + FOOTER_SIZE


def block_count(length: int) -> int:
    return -(-length // BLOCK)


def encode(record: Record, told: bytes, data_length: int, checksums: list[int]) -> bytes:
    """The whole trailer."""
    text = json.dumps(record._asdict(), separators=(",", ":")).encode()
    body = text + told + struct.pack(f"<{len(checksums)}I", *checksums)
    fields = (data_length, len(text), len(told), len(checksums), zlib.crc32(body))
    own = zlib.crc32(_FIELDS.pack(*fields))
    return body + _FOOTER.pack(_FIRST_MAGIC, *fields, own, _LAST_MAGIC)


def checksum(trailer: Trailer, number: int) -> int:
    """The CRC-32 of a block, counted over all segments."""
    (crc,) = _CHECKSUM.unpack_from(trailer.checksums, number * _CHECKSUM.size)
    return int(crc)


def parse_footer(tail: bytes, file_size: int) -> Footer | None:
    """Of the last bytes of a file; None where there is no trailer. Raises DeserializationError for a damaged one."""
    if len(tail) < FOOTER_SIZE:
        return None
    first, *fields, own, last = _FOOTER.unpack_from(tail, len(tail) - FOOTER_SIZE)
    if first != _FIRST_MAGIC and last != _LAST_MAGIC:
        return None
    footer = Footer(*fields)
    sound = first == _FIRST_MAGIC and last == _LAST_MAGIC and own == zlib.crc32(_FIELDS.pack(*footer))
    if not sound or footer.data_length + footer.trailer_length != file_size:
        raise DeserializationError("the end of the file is damaged")
    return footer


def stated_size(tail: bytes) -> int:
    """Of a whole file, as its footer says: for `parse_footer`, where nothing else tells it. 0 where there is none."""
    if len(tail) < FOOTER_SIZE:
        return 0
    _, *fields, _, _ = _FOOTER.unpack_from(tail, len(tail) - FOOTER_SIZE)
    footer = Footer(*fields)
    return footer.data_length + footer.trailer_length


def _record(fields: Any) -> Record:
    """Fields that are not known here are of a later SDK, and do no harm. Raises what it meets in the place of ours."""
    replaces = fields["replaces"]
    (replaces or "").encode()
    return Record(
        generation=_count(fields["generation"]),
        head=heads.text(fields["head"]),
        replaces=replaces,
        previous=_count(fields["previous"]),
        run=str(fields["run"]),
        segments=[Segment(_count(length), _count(bulk)) for length, bulk in fields["segments"]],
        kept=[Kept(heads.text(head), _count(number), heads.tag(tag)) for head, number, tag in fields["kept"]],
        versions={str(package): str(version) for package, version in fields["versions"].items()},
    )


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError(f"{value!r:.40} is no count")
    return value


_MOST = 10**18


def parse(raw: bytes, footer: Footer) -> Trailer:
    """`raw` is the whole trailer. Raises DeserializationError unless its checksum is right."""
    body = raw[: footer.trailer_length - FOOTER_SIZE]
    if zlib.crc32(body) != footer.crc:
        raise DeserializationError("the record behind the data is damaged")
    told_end = footer.record_length + footer.told_length
    try:
        record = _record(json.loads(body[: footer.record_length]))
    except (AttributeError, InvalidMetaDataError, LookupError, RecursionError, TypeError, ValueError) as problem:
        raise DeserializationError(f"the record behind the data is none of ours: {problem}") from problem
    if (
        sum(segment.length for segment in record.segments) != footer.data_length
        or sum(block_count(segment.length) for segment in record.segments) != footer.checksums
    ):
        raise DeserializationError("the record does not fit the data")
    return Trailer(record, body[footer.record_length : told_end], footer.data_length, body[told_end:])
