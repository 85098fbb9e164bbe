from __future__ import annotations

import pytest

from orchest._store import trailer as trailers
from orchest._store.checksums import Checksums, of_blocks
from orchest._store.trailer import BLOCK, Kept, Record, Segment
from orchest.error import DeserializationError

RECORD = Record(
    generation=7,
    head="2026-11-23T01:02:03; PICKLE; data",
    replaces=None,
    previous=6,
    run="run",
    segments=[Segment(100, 0), Segment(2 * BLOCK + 1, 1)],
    kept=[Kept("2026-11-23T01:02:02; PICKLE; other", 6, "PICKLE")],
    versions={"python": "3.11.7"},
)
TOLD = b'{"content": {}}'
LENGTH = 100 + 2 * BLOCK + 1
TRAILER = trailers.encode(RECORD, TOLD, LENGTH, [1, 2, 3, 4])


def test_what_was_written_is_read() -> None:
    footer = trailers.parse_footer(TRAILER, LENGTH + len(TRAILER))
    assert footer is not None
    assert footer.trailer_length == len(TRAILER)
    trailer = trailers.parse(TRAILER, footer)
    assert (trailer.record, trailer.told, trailer.data_length) == (RECORD, TOLD, LENGTH)
    assert [trailers.checksum(trailer, number) for number in range(4)] == [1, 2, 3, 4]


def test_other_bytes_are_no_trailer() -> None:
    assert trailers.parse_footer(b"x" * 100, 100) is None
    assert trailers.parse_footer(b"", 0) is None


@pytest.mark.parametrize("position", range(len(TRAILER)))
def test_no_damaged_byte_makes_it_another_trailer_or_none(position: int) -> None:
    damaged = bytearray(TRAILER)
    damaged[position] ^= 0x10
    with pytest.raises(DeserializationError):
        _parsed(bytes(damaged))


def _parsed(raw: bytes) -> trailers.Trailer:
    footer = trailers.parse_footer(raw, LENGTH + len(raw))
    assert footer is not None
    return trailers.parse(raw, footer)


def test_a_file_of_another_length_is_refused() -> None:
    with pytest.raises(DeserializationError):
        trailers.parse_footer(TRAILER, LENGTH + len(TRAILER) + 1)


def test_a_record_that_does_not_fit_the_data_is_refused() -> None:
    raw = trailers.encode(RECORD, TOLD, LENGTH + 1, [1, 2, 3, 4])
    footer = trailers.parse_footer(raw, LENGTH + 1 + len(raw))
    assert footer is not None
    with pytest.raises(DeserializationError, match="does not fit"):
        trailers.parse(raw, footer)


@pytest.mark.parametrize("length", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_fed_in_pieces_or_as_a_whole_the_checksums_are_the_same(length: int) -> None:
    data = memoryview(bytes(range(256)) * (length // 256 + 1))[:length]
    fed = Checksums()
    for start in range(0, length, 1000):
        fed.feed(data[start : start + 1000])
    assert fed.finished() == (length, list(of_blocks(data)))
    assert len(fed.finished()[1]) == trailers.block_count(length)
