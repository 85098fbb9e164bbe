"""Processes that output and get inputs at the same time.

In: a folder, a kind, seconds. Out: how much was written and read, and what was read that nobody had output.
"""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from .children import forked, started
from .kills import Output, leftovers, through_the_sdk
from .original_writer import output_in_place
from .payloads import Mixture, kind_of, kind_of_value, name_of, number_of
from .site import CONSUMER, PRODUCER, Site


class Writer(NamedTuple):
    """Who outputs what, and where."""

    site: Site
    kind: str
    size: int
    output: Output


class Traffic(NamedTuple):
    written: int
    read: int
    errors: dict[str, int]
    """Refused reads, by exception."""
    broken: tuple[str, ...]


def one_writer_one_reader(root: str, kind: str, size: int, seconds: float) -> Traffic:
    return _beside_a_reader(Writer(Site(Path(root)).lay_out(), kind, size, through_the_sdk), seconds)


def in_place_beside_a_reader(root: str, kind: str, size: int, seconds: float) -> Traffic:
    """The original's writer, whose files are without our trailer."""
    return _beside_a_reader(Writer(Site(Path(root)).lay_out(), kind, size, output_in_place), seconds)


def _beside_a_reader(writer: Writer, seconds: float) -> Traffic:
    forked(lambda: _write_until(writer, 0)).said()
    until = time.monotonic() + seconds
    writing = started(lambda: _write_until(writer, until))
    reader = forked(lambda: _read_until(writer.site, writer.kind, until))
    return _traffic(writing.ending(), reader)


def two_writers(root: str, kind: str, size: int, seconds: float, threads: bool) -> Traffic:
    """With a reader beside them; the numbers of the one are even, of the other odd."""
    site = Site(Path(root)).lay_out()
    writer = Writer(site, kind, size, through_the_sdk)
    forked(lambda: _write_until(writer, 0)).said()
    until = time.monotonic() + seconds
    if threads:
        writers = [started(lambda: _write_in_threads(writer, until))]
    else:
        writers = [started(lambda: _write_until(writer, until)), started(lambda: _write_until(writer, until, 1))]
    reader = forked(lambda: _read_until(site, kind, until))
    endings = [one.ending() for one in writers]
    failures = [ending.failure or str(ending.code) for ending in endings if ending.failure or ending.code]
    left = [f"left behind: {name}" for name in leftovers(site, kind)]
    traffic = _traffic(endings[0], reader)
    return traffic._replace(broken=(*traffic.broken, *failures, *left))


def held_while_it_is_replaced(root: str, kind: str, size: int) -> list[int]:
    """The number in an input that is held, before and after its producer has put out again and again."""
    site = Site(Path(root)).lay_out()
    forked(lambda: _write_until(Writer(site, kind, size, through_the_sdk), 0)).said()
    return list(forked(lambda: _hold(site, kind, size)).said())


def _write_until(writer: Writer, until: float, first: int = 0) -> int:
    """At least once."""
    site, kind, size, output = writer
    site.enter(PRODUCER, durable=False)
    number = first
    while True:
        output(site, kind, number, size)
        number += 2
        if time.monotonic() >= until:
            return number // 2


def _write_in_threads(writer: Writer, until: float) -> int:
    with ThreadPoolExecutor(2) as threads:
        return sum(threads.map(lambda first: _write_until(writer, until, first), (0, 1)))


def _read_until(site: Site, kind: str, until: float) -> tuple[int, dict[str, int], list[str]]:
    """Read, hold what was read through the next reads, and look at it again before it is let go."""
    from orchest import error

    site.enter(CONSUMER)
    errors: Counter[str] = Counter()
    broken: list[str] = []
    count = 0
    held: list[tuple[int, Any]] = []
    while time.monotonic() < until:
        count += 1
        try:
            inputs = site.inputs()
        except (error.OutputNotFoundError, error.DeserializationError) as refused:
            errors[type(refused).__name__] += 1
            continue
        except Exception as other:  # noqa: BLE001  # that is what is looked for
            broken.append(f"{type(other).__name__}: {other}")
            continue
        problem = _problem(kind, inputs)
        if problem:
            broken.append(problem)
            continue
        (value,) = list(inputs.pop("unnamed")) + list(inputs.values())
        held.append((number_of(value), value))
        if len(held) > 5:
            number, value = held.pop(0)
            if number_of(value) != number:
                broken.append(f"held {number}, now {number_of(value)}")
    return count, dict(errors), broken[:5]


def _problem(kind: str, inputs: dict[str, Any]) -> str:
    """Name, kind and number of what was read belong together, or what does not."""
    unnamed: list[tuple[str | None, Any]] = [(None, value) for value in inputs["unnamed"]]
    ((name, value),) = unnamed or [one for one in inputs.items() if one[0] != "unnamed"]
    try:
        number = number_of(value)
    except Mixture as mixture:
        return str(mixture)
    right = (name_of(kind, number), kind_of(kind, number)) == (name, kind_of_value(value))
    return "" if right else f"{name} with {kind_of_value(value)} {number}"


def _hold(site: Site, kind: str, size: int) -> list[int]:
    site.enter(CONSUMER)
    (value,) = (one for one in site.inputs().values() if not isinstance(one, list))
    numbers = [number_of(value)]
    site.enter(PRODUCER, durable=False)
    for number in (1, 2, 3):
        forked(lambda: site.output(kind, number, size)).said()  # noqa: B023
        numbers.append(number_of(value))
    return numbers


def _traffic(writer: Any, reader: Any) -> Traffic:
    failures = [
        ending.failure or f"ended with {ending.code}" for ending in (writer, reader) if ending.failure or ending.code
    ]
    count, errors, broken = reader.value or (0, {}, [])
    return Traffic(writer.value or 0, count, errors, (*failures, *broken))
