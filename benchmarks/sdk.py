"""How long until a step has its inputs, and until its output is safe? Beside files, memory maps, Arrow and pickle.

`python -m benchmarks.sdk` prints each goal with the one anchor that matters most for it, and all that was measured
below; with `--json` each goal beside each anchor, for programs. Every run is a process of its own, which has imported
its packages before the clock starts; ours and the anchors take turns, so that all see the same machine. Writers are
durable but for the original's. Files are in the page cache unless the name says `cold`. What is read is compared with
what was written, and every page of it touched, after the clock has stopped. A figure is the median of the runs, the
minimum is beside it; memory is the peak of what the process holds more than just before, mapped files included. The
files, up to 7 GiB, lie in a temporary folder beside this work tree, or in TMPDIR, and are removed.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.row import Anchor, Row, at_most, shown
from benchmarks.sdk_site import Measured, Site
from benchmarks.sdk_ways import ARROW, MAPPED, OF_ORIGINAL, ORIGINAL, OURS, PICKLE_5, RAW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BESIDE_US = Path(__file__).resolve().parents[2]
ROUNDS = 5
ROUNDS_OF_OTHERS = 3
"""Of all anchors but the first of a contest."""
LEAST_ROUNDS = 3
"""Of those for which there are no seconds left."""
SECONDS = 420.0
"""For all contests; each may have an equal share of what those before it have left."""
FULL, OFF = f"{OURS}, verify=full", f"{OURS}, verify=off"
WITH_ARROW = f"{OURS}, pyarrow imported"
"""Frames of polars pass through pyarrow, which a step that uses polars may not have imported."""
CHECKED = f"{RAW}, CRC-32"
GIB = "numpy 1 GiB"
SMALL = "1 KB dict"
_TORTURE = "pytest -c sdk/pyproject.toml -m torture -s sdk/tests/faults"
ELSEWHERE = {
    "E kill -9": f"{_TORTURE}/test_kills.py",
    "F writer and reader": f"{_TORTURE}/test_beside.py",
    "G flipped bytes": f"{_TORTURE}/test_flips.py",
    "H versions": "nox -f sdk/noxfile.py -s matrix",
    "I safe mode": f"{_TORTURE}/test_safe_mode.py".replace(" -m torture -s", ""),
}


class Contest(NamedTuple):
    """One thing done to one value, by us and by others."""

    letter: str
    """Of the goal."""
    do: str
    value: str
    milliseconds: float
    """At most; 0 for `times` what the first anchor takes."""
    anchors: tuple[str, ...]
    ours: str = OURS
    mebibytes: float = 0.0
    """Of the peak at most; 0 for no goal."""
    times: float = 0.0
    also: tuple[str, ...] = ()
    """Other ways of our own."""

    @property
    def name(self) -> str:
        return f"{self.letter} {self.do} {self.value}{self.ours.removeprefix(OURS)}"


class Taken(NamedTuple):
    contest: Contest
    runs: dict[str, list[Measured]]

    def milliseconds(self, way: str) -> list[float]:
        return [run.milliseconds for run in self.runs[way]]

    def peaks(self, way: str) -> list[float]:
        return [run.peak for run in self.runs[way]]

    def anchor(self, way: str) -> Anchor:
        return Anchor(way, statistics.median(self.milliseconds(way)))


_FRAMES = (ARROW, PICKLE_5, ORIGINAL, RAW)
_TO_DISK = (RAW, ARROW, PICKLE_5, ORIGINAL)
CONTESTS = (
    Contest("A", "read", GIB, 0.5, (MAPPED, ARROW, PICKLE_5, ORIGINAL, RAW), mebibytes=5, also=(OFF,)),
    Contest("A", "read cold", GIB, 5, (MAPPED, ARROW, ORIGINAL, RAW)),
    Contest("G", "read", GIB, 0, (CHECKED,), ours=FULL, times=1.1),
    Contest("A", "read", GIB, 0, (ORIGINAL,), ours=OF_ORIGINAL, times=1.1, mebibytes=1040),
    Contest("K", "describe", GIB, 5, (f"{MAPPED}, shape",), ours=f"{OURS}, shape"),
    Contest("B", "read", "pandas 1M x 10 mixed", 10, _FRAMES, mebibytes=10),
    Contest("D", "write", "pandas 1M x 10 mixed", 0, _TO_DISK, mebibytes=8, times=1.3),
    Contest("B", "read", "pandas 1M x 10 float", 10, _FRAMES, mebibytes=10),
    Contest("D", "write", "pandas 1M x 10 float", 0, _TO_DISK, mebibytes=8, times=1.3),
    Contest("C", "read", "polars 1M x 10", 10, _FRAMES, ours=WITH_ARROW, mebibytes=10),
    Contest("C", "read", "polars 1M x 10", 10, (ORIGINAL,), mebibytes=10),
    Contest("D", "write", "polars 1M x 10", 0, _TO_DISK, ours=WITH_ARROW, mebibytes=8, times=1.3),
    Contest("C", "read", "pa.Table 1M x 10", 2, _FRAMES, mebibytes=10),
    Contest("D", "write", "pa.Table 1M x 10", 0, _TO_DISK, mebibytes=8, times=1.3),
    Contest("D", "write", "numpy 100 MiB", 0, (RAW, MAPPED, ARROW, PICKLE_5, ORIGINAL), mebibytes=8, times=1.3),
    Contest("D", "write again", "numpy 100 MiB", 0, (RAW, MAPPED, PICKLE_5, ORIGINAL), mebibytes=8, times=1.3),
    Contest("J", "write many", SMALL, 2, (RAW, PICKLE_5)),
    Contest("J", "write many", SMALL, 0.5, (ORIGINAL, f"{RAW}, not durable"), ours=f"{OURS}, not durable"),
    Contest("J", "read many", SMALL, 0.05, (ORIGINAL, PICKLE_5, RAW)),
)
"""In an order in which the files of one value are there at a time."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the rows as a JSON list")
    parser.add_argument("--only", default="", help="goals by their letters: --only AGK")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the files go even then
    contests = [contest for contest in CONTESTS if contest.letter in (options.only or contest.letter)]
    with tempfile.TemporaryDirectory(prefix="bench", dir=os.environ.get("TMPDIR", BESIDE_US)) as folder:
        site = Site(Path(folder))
        found = list(taken(site, contests))
        imports = imported(site)
    every = [row for each in found for row in rows(each, each.contest.anchors)]
    first = [row for each in found for row in rows(each, each.contest.anchors[:1])]
    rest = [imports, *(row for each in found for row in lazy_rows(each))]
    print(shown([*(every if options.json else first), *rest], as_json=options.json))
    if not options.json:
        print("\n".join(["", *details(found), "", "shown by tests:", *(f"{k:<24} {v}" for k, v in ELSEWHERE.items())]))
    return 0


def taken(site: Site, contests: Sequence[Contest]) -> Iterator[Taken]:
    end = time.monotonic() + SECONDS
    for number, contest in enumerate(contests):
        now = time.monotonic()
        until = now + (end - now) / (len(contests) - number)
        site.prepare(contest.value, () if contest.do.startswith("write") else contest.anchors)
        yield Taken(contest, turns(site, contest, until))
        if contest.value not in {each.value for each in contests[number + 1 :]}:
            site.forget(contest.value)


def turns(site: Site, contest: Contest, until: float) -> dict[str, list[Measured]]:
    """Of each way, its runs; fewer rounds when it is later than `until`."""
    first = (contest.ours, *contest.also, contest.anchors[0])
    others = ROUNDS_OF_OTHERS - contest.do.startswith("write")  # each writes several times
    rounds = dict.fromkeys((*first, *contest.anchors), others) | dict.fromkeys(first, ROUNDS)
    runs: dict[str, list[Measured]] = {way: [] for way in rounds}
    for turn in range(ROUNDS):
        if turn >= LEAST_ROUNDS and time.monotonic() > until:
            break
        for way, count in rounds.items():
            if turn < count:
                runs[way].append(site.measure(contest.do, contest.value, way))
    return runs


def imported(site: Site) -> Row:
    """Without numpy or Arrow: who uses them imports them."""
    theirs = "what the original imports"
    runs = [(site.imported("orchest"), site.imported("pyarrow, requests")) for _ in range(ROUNDS)]
    ours, others = ([run.milliseconds for run in each] for each in zip(*runs, strict=True))
    return at_most("import orchest", ours, "ms", 50, Anchor(theirs, statistics.median(others)))


def rows(found: Taken, anchors: Sequence[str]) -> Iterator[Row]:
    """Milliseconds beside each of the anchors, then MiB."""
    contest = found.contest
    goal = contest.milliseconds or contest.times * found.anchor(contest.anchors[0]).value
    for way in anchors:
        row = at_most(contest.name, found.milliseconds(contest.ours), "ms", goal, found.anchor(way))
        yield replace(row, minimum=min(run.minimum for run in found.runs[contest.ours]))
    if contest.mebibytes:
        peaks = found.peaks(contest.ours)
        theirs = Anchor(ORIGINAL, statistics.median(found.peaks(ORIGINAL)))
        yield at_most(f"{contest.name}, memory", peaks, "MiB", contest.mebibytes, theirs)


def lazy_rows(found: Taken) -> Iterator[Row]:
    """What it costs to verify while the step works: until usable, and when it then reads all of it at once."""
    if OFF not in found.runs:
        return
    whole = found.anchor(RAW)
    yield at_most("G read, verify=lazy, until usable", found.milliseconds(OURS), "ms", whole.value / 10, whole)
    touched = {way: [run.touched for run in found.runs[way]] for way in (OURS, OFF)}
    off = Anchor(OFF, statistics.median(touched[OFF]))
    yield at_most("G all of it, verify=lazy beside it", touched[OURS], "ms", off.value * 1.1, off)
    private = [run.private + run.touched_private for run in found.runs[OURS]]
    theirs = [run.private + run.touched_private for run in found.runs[ORIGINAL]]
    yield at_most("A private when all of it was read", private, "MiB", 5, Anchor(ORIGINAL, statistics.median(theirs)))


def details(found: Sequence[Taken]) -> Iterator[str]:
    head = ("runs", "median ms", "minimum", "peak MiB", "private", "mapped")
    yield f"{'all that was measured':<64}" + "".join(f"{word:>11}" for word in head)
    for each in found:
        yield f"{each.contest.do} {each.contest.value}"
        yield from (f"    {way:<60}{_figures(runs)}" for way, runs in each.runs.items())


def _figures(runs: Sequence[Measured]) -> str:
    columns = (
        statistics.median(run.milliseconds for run in runs),
        min(run.minimum for run in runs),
        *(statistics.median(each) for each in zip(*((run.peak, run.private, run.shared) for run in runs), strict=True)),
    )
    return f"{len(runs):>11}" + "".join(f"{value:>11,.3f}" for value in columns)


if __name__ == "__main__":
    sys.exit(main())
