"""After a loss of power the earlier output or the new one is found; once `output` has returned, the new one."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from .children import campaign, forked
from .payloads import NUMPY, TABLE
from .power_loss import Files, played, states
from .scenes import NEW, NEXT, SCENES, SIZE, earlier, keeps, read_as, renewed
from .site import CONSUMER, PRODUCER, Reading, Site
from .system_calls import Change, Changes

Recorded = tuple[dict[str, bytes], list[Change], Files]


def _contents(site: Site) -> dict[str, bytes]:
    return {name: (site.directory / name).read_bytes() for name in sorted(site.files())}


def _recorded(site: Site, kind: str, scene: str) -> Recorded:
    """The files before an output, its changes, the files behind it."""
    site.enter(PRODUCER, durable=False, keeps=keeps(scene))
    site.directory.mkdir(parents=True)
    SCENES[scene](site, kind)
    before = _contents(site)
    site.enter(PRODUCER, keeps=keeps(scene))
    with Changes() as changes:
        site.output(kind, NEW, SIZE)
    return before, changes.seen, tuple(sorted(_contents(site).items()))


def _lay(site: Site, files: Files) -> None:
    shutil.rmtree(site.directory)
    site.directory.mkdir()
    for name, content in files:
        (site.directory / name).write_bytes(content)


def _readings(site: Site, kind: str, found: list[Files]) -> list[tuple[Reading, Reading]]:
    """What is read of each state, and again behind another output."""
    readings = []
    for files in found:
        _lay(site, files)
        site.enter(CONSUMER)
        reading = site.read()
        site.enter(PRODUCER, durable=False)
        site.output(kind, NEXT, SIZE)
        site.enter(CONSUMER)
        readings.append((reading, site.read()))
    return readings


def lost_power(root: str, kind: str, scene: str) -> tuple[dict[str, int], list[str]]:
    """How often each output was read, and what was not as promised."""
    site = Site(Path(root)).lay_out()
    before, changes, after = forked(lambda: _recorded(site, kind, scene)).said()
    assert played(before, str(site.directory), changes) == after, "some changes were not seen"
    found = sorted(states(before, str(site.directory), changes))
    distinct = sorted({state.files for state in found})
    read = dict(zip(distinct, forked(lambda: _readings(site, kind, distinct)).said()))
    tally: Counter[str] = Counter()
    broken = []
    for state in found:
        reading, again = read[state.files]
        returned = state.changes == len(changes)
        wanted = (
            {renewed(scene, kind): "new"}
            if returned
            else {earlier(scene, kind): "earlier", renewed(scene, kind): "new"}
        )
        tally[wanted.get(reading, "broken")] += 1
        if reading not in wanted or again != read_as(kind, NEXT):
            listing = {name: len(content) for name, content in state.files}
            broken.append(f"after {state.changes} of {len(changes)} changes: {reading}, then {again}; files {listing}")
    return dict(tally), broken


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("kind", [NUMPY, TABLE])
def test_a_loss_of_power_leaves_the_earlier_output_or_the_new_one(kind: str, scene: str, scratch: Path) -> None:
    tally, broken = campaign(lost_power, str(scratch), kind, scene)
    assert broken == []
    assert tally["new"] > 1
    assert tally["earlier"] > 10
