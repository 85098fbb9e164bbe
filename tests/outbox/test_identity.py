from __future__ import annotations

from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from outbox.identity import RANDOM_BYTES, new_uuid, uuid7

MOMENTS = st.integers(0, 2**47 * 10**6)
RANDOM = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
_TICK = 245
"""Nanoseconds: a 4096th of a millisecond, rounded up."""


@given(MOMENTS, RANDOM)
def test_an_id_is_a_uuid_of_version_7_that_begins_with_its_millisecond(moment: int, random: bytes) -> None:
    made = uuid7(moment, random)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == moment // 1_000_000


@given(MOMENTS, st.integers(_TICK, 10**12), RANDOM, RANDOM)
def test_ids_sort_by_the_moment_they_were_made(moment: int, later: int, random: bytes, more: bytes) -> None:
    assert uuid7(moment, random) < uuid7(moment + later, more)


def test_ids_made_at_one_moment_differ() -> None:
    assert len({new_uuid() for _ in range(10_000)}) == 10_000


def test_the_example_of_the_standard() -> None:
    """RFC 9562, appendix A.6, its 12 bits after the version read as a fraction of the millisecond."""
    nanoseconds = 0x017F22E279B0 * 1_000_000 + 0xCC3 * 1_000_000 // 4096 + 1
    assert uuid7(nanoseconds, 0x18C4DC0C0C07398F.to_bytes(8)) == UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
