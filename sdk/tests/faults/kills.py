"""A step that outputs again and again, killed at random moments, and a fresh reader after each kill.

In: a kind of output, a number of kills, a seed. Out: what was found broken, and how many kills came in the middle of an
output. The writer's progress is in memory shared with the one who kills it: it survives the kill.
"""

from __future__ import annotations

import mmap
import random
import time
from pathlib import Path
from typing import Callable, NamedTuple

from .children import Child, forked, started
from .original_writer import output_in_place
from .payloads import KEPT, SERIALIZATION, kind_of, name_of
from .site import CONSUMER, PRODUCER, Reading, Site

Output = Callable[[Site, str, int, int], None]

_PATIENCE_SECONDS = 60.0
_OUTPUTS_UNTIL_KILLED = 1.5
"""Kills come uniformly within so many outputs' time."""


class Toll(NamedTuple):
    """What a series of kills came to."""

    kills: int
    in_flight: int
    broken: tuple[str, ...]
    leftovers: tuple[str, ...]


class _Progress:
    """Numbers of the last output that was begun, and of the last that returned, and its seconds.

    Each is one aligned store: `struct.pack_into` would fill its target with zeros first, for a kill to come between.
    """

    def __init__(self) -> None:
        memory = memoryview(mmap.mmap(-1, mmap.PAGESIZE))
        self._numbers, self._seconds = memory[:16].cast("q"), memory[16:24].cast("d")

    def begin(self, number: int) -> None:
        self._numbers[0] = number

    def end(self, number: int, seconds: float) -> None:
        self._seconds[0] = seconds
        self._numbers[1] = number

    @property
    def begun(self) -> int:
        return self._numbers[0]

    @property
    def returned(self) -> int:
        return self._numbers[1]

    @property
    def seconds(self) -> float:
        return self._seconds[0]


class _Series(NamedTuple):
    """Who outputs what, and where."""

    site: Site
    kind: str
    size: int
    output: Output


def killed_often(root: str, kind: str, kills: int, size: int, seed: int) -> Toll:
    return _killed(_Series(Site(Path(root)).lay_out(), kind, size, through_the_sdk), kills, random.Random(seed))


def killed_often_in_place(root: str, kind: str, kills: int, size: int, seed: int) -> Toll:
    """The control."""
    return _killed(_Series(Site(Path(root)).lay_out(), kind, size, output_in_place), kills, random.Random(seed))


def through_the_sdk(site: Site, kind: str, number: int, size: int) -> None:
    site.output(kind, number, size)


def leftovers(site: Site, kind: str) -> list[str]:
    """What may not be in the directory once an output has returned."""
    files = site.files() - {"HEAD", ".lock"}
    if kind == KEPT:
        return sorted(name for name in files if name.startswith("."))
    return sorted(files - {site.data(site.headed()[0]).name})


def _killed(series: _Series, kills: int, moments: random.Random) -> Toll:
    progress = _Progress()
    number = in_flight = 0
    broken: list[str] = []
    unkilled: list[str] = []
    for kill in range(kills):
        first = number
        writer = started(lambda: _output_forever(series, first, progress))  # noqa: B023
        if _returned(writer, progress, first):
            time.sleep(moments.uniform(0, _OUTPUTS_UNTIL_KILLED) * progress.seconds)
            writer.kill()
        ending = writer.ending()
        if ending.code >= 0:
            unkilled.append(f"kill {kill}: {ending.value or ending.failure}")
            break
        begun, returned = progress.begun, progress.returned
        in_flight += begun > returned
        problem = _problem(series, first, {returned, begun})
        if problem:
            broken.append(f"kill {kill}, {begun} begun, {returned} returned: {problem}")
        number = begun + 1
    return Toll(kills, in_flight, tuple(broken), tuple(unkilled))


def _output_forever(series: _Series, first: int, progress: _Progress) -> str:
    """Until the kill; returns only to tell of leftovers behind the first output."""
    site, kind, size, output = series
    site.enter(PRODUCER, keeps=kind == KEPT)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    number = first
    while time.monotonic() < deadline:
        progress.begin(number)
        began = time.monotonic()
        output(site, kind, number, size)
        seconds = time.monotonic() - began
        left = leftovers(site, kind) if number == first and output is through_the_sdk else []
        if left:
            return f"left behind: {left}"
        progress.end(number, seconds)
        number += 1
    return "was not killed"


def _returned(writer: Child, progress: _Progress, number: int) -> bool:
    """Wait until the first output of this writer has returned."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (progress.returned >= number and progress.seconds > 0):
        if writer.has_ended() or time.monotonic() > deadline:
            return False
        time.sleep(0.0005)
    return True


def _problem(series: _Series, first: int, numbers: set[int]) -> str | None:
    """What a fresh reader got, unless it is exactly one of these outputs; `first` was the first one of its process."""
    kind = series.kind
    ending = forked(lambda: _read_fresh(series.site, kind))
    if ending.code != 0 or ending.failure:
        return ending.failure or f"the reader ended with {ending.code}"
    reading, headed = ending.value
    expected = {number: (_expected(kind, first, number), name_of(kind, number)) for number in numbers}
    for number, (inputs, name) in expected.items():
        serialization = SERIALIZATION[kind_of(kind, number)] or headed[0]
        if reading == Reading(inputs) and headed == (serialization, name):
            return None
    return f"{reading}, HEAD {headed}"


def _read_fresh(site: Site, kind: str) -> tuple[Reading, tuple[str, str | None]]:
    site.enter(CONSUMER, keeps=kind == KEPT)
    return site.read(), site.headed()


def _expected(kind: str, first: int, number: int) -> tuple[tuple[str | None, str, int], ...]:
    """The inputs after the output of this number: the latest, or all that were kept, sorted by name."""
    if kind != KEPT:
        return ((name_of(kind, number), kind_of(kind, number), number),)
    latest = {name_of(kind, one): one for one in range(max(first, number - 2), number + 1)}
    return tuple((name, kind_of(kind, one), one) for name, one in sorted(latest.items(), key=lambda item: str(item[0])))
