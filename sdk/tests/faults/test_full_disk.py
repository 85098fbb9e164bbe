"""An output for which there is no room, or no permission, is refused as documented, and nothing has changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from .children import campaign
from .full_disk import UNAVAILABLE, Trials, filled, forbidden, outgrown, read_only
from .payloads import NUMPY, SMALL, TABLE

if TYPE_CHECKING:
    from pathlib import Path

_ROOT = os.geteuid() == 0


def _held(trials: Trials) -> None:
    if trials.broken and trials.broken[0].startswith(UNAVAILABLE):
        pytest.skip(trials.broken[0])
    assert trials.broken == ()


@pytest.mark.parametrize("kind", [SMALL, NUMPY, TABLE])
def test_a_file_that_may_not_grow_leaves_the_earlier_output(kind: str, scratch: Path) -> None:
    trials = campaign(outgrown, str(scratch), kind)
    _held(trials)
    assert min(trials.refused, trials.whole) >= 1


@pytest.mark.parametrize("kind", [SMALL, NUMPY, TABLE])
def test_a_full_disk_leaves_the_earlier_output(kind: str, scratch: Path) -> None:
    trials = campaign(filled, str(scratch), kind)
    _held(trials)
    assert min(trials.refused, trials.whole) >= 1


@pytest.mark.parametrize("kind", [NUMPY, TABLE])
def test_a_disk_that_may_only_be_read_keeps_its_output(kind: str, scratch: Path) -> None:
    trials = campaign(read_only, str(scratch), kind)
    _held(trials)
    assert trials.refused == 1


@pytest.mark.skipif(not _ROOT, reason="only root can become somebody else")
@pytest.mark.parametrize("kind", [NUMPY, TABLE])
def test_a_directory_of_somebody_else_keeps_its_output(kind: str, scratch: Path) -> None:
    trials = campaign(forbidden, str(scratch), kind)
    _held(trials)
    assert trials.refused == 1
