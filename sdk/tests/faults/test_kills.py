"""A kill at any moment of an output leaves the earlier output or the new one, never anything else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from .children import campaign
from .kills import Toll, killed_often, killed_often_in_place
from .payloads import ALTERNATING, BATCH, KEPT, NUMPY, PANDAS, POLARS, SMALL, TABLE

if TYPE_CHECKING:
    from pathlib import Path

_MIB = 1 << 20
_SEED = int(os.environ.get("ORCHEST_TEST_SEED", "6"))
_KILLS, _ALL_KILLS = 50, 1000
_SIZES = {
    SMALL: 0, NUMPY: 8 * _MIB, PANDAS: _MIB, TABLE: 2 * _MIB, BATCH: 2 * _MIB, POLARS: _MIB,
    ALTERNATING: _MIB // 4, KEPT: _MIB // 4,
}  # fmt: skip
_LARGE = {NUMPY: 64 * _MIB, PANDAS: 8 * _MIB, TABLE: 16 * _MIB, BATCH: 16 * _MIB, POLARS: 8 * _MIB}


def _held(toll: Toll) -> None:
    assert toll.broken == ()
    assert toll.leftovers == ()
    assert toll.in_flight * 5 >= toll.kills


@pytest.mark.parametrize("kind", _SIZES)
def test_a_kill_leaves_the_earlier_output_or_the_new_one(kind: str, scratch: Path) -> None:
    _held(campaign(killed_often, str(scratch), kind, _KILLS, _SIZES[kind], _SEED))


def test_a_writer_in_place_is_caught(scratch: Path) -> None:
    toll = campaign(killed_often_in_place, str(scratch), NUMPY, _KILLS, 8 * _MIB, _SEED)
    assert toll.leftovers == ()
    assert len(toll.broken) >= 2


@pytest.mark.torture
@pytest.mark.parametrize("kind", _SIZES)
def test_a_thousand_kills(kind: str, scratch: Path) -> None:
    print(f"\n{kind}: seed {_SEED}")  # noqa: T201
    toll = campaign(killed_often, str(scratch), kind, _ALL_KILLS, _LARGE.get(kind, _SIZES[kind]), _SEED)
    print(f"{kind}: {toll.in_flight} of {toll.kills} kills in the middle of an output, {len(toll.broken)} broken")  # noqa: T201
    _held(toll)
