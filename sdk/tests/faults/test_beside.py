"""A reader beside a writer gets one whole output every time, keeps what it holds, and lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .beside import Traffic, held_while_it_is_replaced, in_place_beside_a_reader, one_writer_one_reader, two_writers
from .children import campaign
from .payloads import ALTERNATING, BATCH, KINDS, NUMPY, PANDAS, POLARS, SMALL, TABLE

if TYPE_CHECKING:
    from pathlib import Path

_MIB = 1 << 20
_SIZES = {SMALL: 0, NUMPY: 8 * _MIB, PANDAS: _MIB, TABLE: 4 * _MIB, BATCH: 4 * _MIB, POLARS: _MIB, ALTERNATING: _MIB}
_SECONDS, _SHORT_SECONDS, _ALL_SECONDS = 5.0, 1.0, 60.0


def _good(traffic: Traffic) -> None:
    assert traffic.broken == ()
    assert traffic.errors == {}
    assert min(traffic.written, traffic.read) > 5


def test_every_read_beside_a_writer_of_all_kinds_is_good(scratch: Path) -> None:
    _good(campaign(one_writer_one_reader, str(scratch), ALTERNATING, _MIB, _SECONDS))


@pytest.mark.parametrize("kind", KINDS)
def test_every_read_beside_a_writer_is_good(kind: str, scratch: Path) -> None:
    _good(campaign(one_writer_one_reader, str(scratch), kind, _SIZES[kind], _SHORT_SECONDS))


@pytest.mark.parametrize("threads", [False, True], ids=["processes", "threads"])
def test_two_writers_do_not_mix(threads: bool, scratch: Path) -> None:
    _good(campaign(two_writers, str(scratch), ALTERNATING, _MIB, _SHORT_SECONDS, threads))


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_that_is_held_stays_what_it_is(kind: str, scratch: Path) -> None:
    assert campaign(held_while_it_is_replaced, str(scratch), kind, _SIZES[kind]) == [0, 0, 0, 0]


@pytest.mark.parametrize("kind", [NUMPY, TABLE])
def test_a_reader_beside_a_writer_in_place_lives(kind: str, scratch: Path) -> None:
    """What it gets is the writer's to answer for; it may be refused, but it is never killed."""
    traffic = campaign(in_place_beside_a_reader, str(scratch), kind, _SIZES[kind], _SHORT_SECONDS)
    assert not [problem for problem in traffic.broken if "ended with" in problem]
    assert traffic.read > 5


@pytest.mark.torture
@pytest.mark.parametrize("kind", [*KINDS, ALTERNATING])
def test_a_minute_beside_a_writer(kind: str, scratch: Path) -> None:
    traffic = campaign(one_writer_one_reader, str(scratch), kind, _SIZES[kind], _ALL_SECONDS)
    print(f"\n{kind}: {traffic.written:,} outputs, {traffic.read:,} reads, {traffic.errors}")  # noqa: T201
    _good(traffic)
