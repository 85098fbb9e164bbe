"""Wherever an output ends or fails, the earlier one or the new one is there, and the next one leaves nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .children import campaign
from .crash_points import Points, died_everywhere, failed_everywhere
from .payloads import BATCH, NUMPY, PANDAS, POLARS, SMALL, TABLE

if TYPE_CHECKING:
    from pathlib import Path

_SOME, _MORE = (NUMPY, TABLE), (SMALL, PANDAS, BATCH, POLARS)


def _held(points: Points) -> None:
    assert points.broken == ()
    assert points.earlier > 50
    assert points.new > 20


@pytest.mark.parametrize("kind", _SOME)
def test_a_death_at_any_change_leaves_the_earlier_output_or_the_new_one(kind: str, scratch: Path) -> None:
    _held(campaign(died_everywhere, str(scratch), kind))


@pytest.mark.parametrize("kind", _SOME)
def test_an_error_at_any_change_leaves_the_earlier_output_or_the_new_one(kind: str, scratch: Path) -> None:
    _held(campaign(failed_everywhere, str(scratch), kind))


@pytest.mark.torture
@pytest.mark.parametrize("kind", _MORE)
def test_the_same_of_every_kind(kind: str, scratch: Path) -> None:
    _held(campaign(died_everywhere, str(scratch), kind))
    _held(campaign(failed_everywhere, str(scratch), kind))
