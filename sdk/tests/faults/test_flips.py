"""No damaged byte passes for data: it is refused with a documented exception, by a reader that lives on."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from .children import campaign
from .flips import Damage, cut, flipped, flipped_head, flipped_part, lazily, unverified
from .payloads import BATCH, KINDS, NUMPY, PANDAS, POLARS, SMALL, TABLE

if TYPE_CHECKING:
    from pathlib import Path

_SEED = int(os.environ.get("ORCHEST_TEST_SEED", "6"))
_SMALL, _LARGE = 15_500, 1_200_000
_FLIPS, _CUTS = 5_000, 500
_SERIALIZERS = (NUMPY, TABLE, BATCH)
_ARROW = (TABLE, BATCH)


def _all_refused(damage: Damage) -> None:
    assert damage.broken == ()
    assert damage.refused == damage.tried > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_flip_of_any_byte_of_16_kib_is_refused(kind: str, scratch: Path) -> None:
    _all_refused(campaign(flipped, str(scratch), kind, _SMALL, None, _SEED))


@pytest.mark.parametrize("kind", _SERIALIZERS)
def test_flips_of_random_bytes_of_1_mib_are_refused(kind: str, scratch: Path) -> None:
    _all_refused(campaign(flipped, str(scratch), kind, _LARGE, _FLIPS, _SEED))


@pytest.mark.parametrize("kind", [SMALL])
def test_a_flip_in_head_is_refused_or_changes_nothing(kind: str, scratch: Path) -> None:
    damage = campaign(flipped_head, str(scratch), kind, 1)
    assert damage.broken == ()
    assert damage.refused * 10 >= damage.tried * 9


@pytest.mark.parametrize("kind", [SMALL, *_SERIALIZERS])
def test_a_file_that_was_cut_anywhere_is_refused_or_whole(kind: str, scratch: Path) -> None:
    """Of an Arrow stream only the trailer may be missing: then it is what the original wrote, and is read."""
    damage = campaign(cut, str(scratch), kind, _SMALL, None, _SEED)
    assert damage.broken == ()
    assert damage.tried - damage.refused == (1 if kind in _ARROW else 0)


@pytest.mark.parametrize("kind", [*_SERIALIZERS, PANDAS, POLARS])
def test_a_large_file_that_was_cut_is_refused(kind: str, scratch: Path) -> None:
    damage = campaign(cut, str(scratch), kind, _LARGE, _CUTS, _SEED)
    assert damage.broken == ()
    assert damage.refused >= damage.tried - (1 if kind in _ARROW else 0)


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
def test_every_bit_of_head(kind: str, scratch: Path) -> None:
    assert campaign(flipped_head, str(scratch), kind, 8).broken == ()


@pytest.mark.torture
@pytest.mark.parametrize("kind", [*_SERIALIZERS, PANDAS, POLARS])
def test_every_byte_of_1_mib(kind: str, scratch: Path) -> None:
    """As many processes as processors, each with a file and a part of the bytes of its own."""
    processes = os.cpu_count() or 1
    began = time.monotonic()

    def part(number: int) -> Damage:
        damage: Damage = campaign(flipped_part, str(scratch / str(number)), kind, _LARGE, number, processes)
        return damage

    with ThreadPoolExecutor(processes) as pool:
        damages = list(pool.map(part, range(processes)))
    print(f"\n{kind}: {sum(damage.tried for damage in damages):,} bytes in {time.monotonic() - began:.0f} s")  # noqa: T201
    for damage in damages:
        _all_refused(damage)


@pytest.mark.parametrize("kind", [NUMPY, TABLE])
def test_lazy_verification_fails_the_next_call(kind: str, scratch: Path) -> None:
    assert campaign(lazily, str(scratch), kind) == ("read", "DeserializationError", "read")


@pytest.mark.parametrize("kind", [NUMPY, TABLE])
def test_without_verification_the_structure_is_still_checked(kind: str, scratch: Path) -> None:
    """A flipped buffer is returned as it is, and a cut file is not."""
    assert campaign(unverified, str(scratch), kind) == ("Mixture", "DeserializationError")
