"""`python -m matrix.verdict OUTCOMES...`: hold what was read in each environment against what is promised.

Out goes a table of writers and readers, then every broken promise in a line of its own. Exit code 1 when there is one.
Needs the standard library alone. The promises:

- What we write we read, everywhere, but frames that go from a newer major version of pandas to an older one, and what
  the reader's packages do not know at all: those are refused with a text that names both versions.
- With `portable=True` frames pass everywhere; how pandas stores text and times is then its own choice.
- The original's reader reads what we write wherever we do, but for frames of another major version of pandas.
- What the original wrote we read wherever the original itself can; where it cannot we refuse, or do better.
"""

# ruff: noqa: T201 - the table is what it is for
from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

PACKAGES = {"numpy": "numpy", "pandas": "pandas", "mixed": "pandas", "polars": "polars", "arrow": "pyarrow"}
"""The family of an example -> the package whose version decides; Python's own for all others."""

NO_FRAMES = ("pandas.index.small", "pandas.index.large", "pandas.date_range", "pandas.timestamp")
"""Of pandas, but not what `portable=True` is for."""

LOOSE = ("pandas.timestamp", "plain.path")
"""Single values whose own pickles change with minor versions: passed, or refused with both versions named."""

UNFIT_FOR_ARROW = ("pandas.duplicate_columns", "pandas.objects", "pandas.sparse", "pandas.big_endian")
"""Frames that cannot be put out with `portable=True`: a SerializationError says so."""

ZONED = ("pandas.utc", "pandas.zoned")
"""Up to pandas 2 these hold objects of pytz, which the reader needs then as well."""


class Crossing(NamedTuple):
    """One file, read once. `known`: the reader's packages can make the example themselves."""

    writer: str
    reader: str
    way: str
    by: str
    example: str
    known: bool
    outcome: str
    detail: str


class Promise(NamedTuple):
    """The outcomes that keep it, and what the text of a refusal must name."""

    outcomes: frozenset[str]
    naming: tuple[str, ...] = ()

    def broken_by(self, crossing: Crossing) -> str:
        """Why it is broken, or the empty string."""
        if crossing.outcome not in self.outcomes:
            return f"{crossing.outcome}, not {' or '.join(sorted(self.outcomes))}: {crossing.detail}"
        absent = [name for name in self.naming if name not in crossing.detail]
        if crossing.outcome in ("refused", "unwritten") and absent:
            return f"the text does not name {' and '.join(absent)}: {crossing.detail}"
        return ""


PASSES = Promise(frozenset({"equal"}))
NONE = Promise(frozenset({"equal", "different", "refused", "failed", "unknown"}))


def promise(crossing: Crossing, versions: dict[str, dict[str, str]], control: str) -> Promise:
    """What is promised of it; `control` is what came of reading the original's file by the original's reader."""
    writer, reader = versions[crossing.writer], versions[crossing.reader]
    package = PACKAGES.get(crossing.example.partition(".")[0], "python")
    naming = tuple(side[package] for side in (writer, reader) if package in side)
    of_pandas = package == "pandas" and (crossing.way == "ours" or crossing.example in NO_FRAMES)
    if crossing.way == "portable" and crossing.example in UNFIT_FOR_ARROW:
        return Promise(frozenset({"unwritten"}), ("SerializationError",))
    if crossing.by == "original":
        foreign = crossing.way == "original" or not crossing.known or crossing.example in LOOSE
        return NONE if foreign or (of_pandas and major(writer) != major(reader)) else PASSES
    if crossing.way == "original":
        return PASSES if control == "equal" else Promise(frozenset({control, "equal", "refused"}) - {"failed"})
    if not crossing.known:
        # What is portable depends on no version, and so none is remembered.
        unknown = () if crossing.way == "portable" else naming if package in reader else (package,)
        return Promise(frozenset({"refused", "unknown"}), unknown)
    if crossing.example in LOOSE:
        return Promise(frozenset({"equal", "refused"}), naming)
    if of_pandas and major(writer) > major(reader):
        return Promise(frozenset({"refused"}), naming)
    if crossing.example in ZONED and "pytz" in writer and "pytz" not in reader and crossing.way == "ours":
        return Promise(frozenset({"equal", "refused"}), ("pytz",))
    return PASSES


def major(versions: dict[str, str]) -> int:
    return int(versions["pandas"].partition(".")[0])


def main(paths: list[Path]) -> int:
    versions = {path.stem: json.loads(path.read_text())["versions"] for path in paths}
    crossings = [
        Crossing(**outcome, reader=path.stem) for path in paths for outcome in json.loads(path.read_text())["outcomes"]
    ]
    controls = {key(c): c.outcome for c in crossings if (c.way, c.by) == ("original", "original")}
    broken = [(c, promise(c, versions, controls[key(c)]).broken_by(c)) for c in crossings if key(c) in controls]
    broken = [(crossing, why) for crossing, why in broken if why]
    print_table(crossings, versions)
    for crossing, why in broken:
        way = f"{crossing.writer} -> {crossing.by} in {crossing.reader}"
        print(f"BROKEN {crossing.example}, {crossing.way}: {way}: {' '.join(why.split())}")
    print(f"{len(crossings)} files read in {len(paths)} environments, {len(broken)} promises broken")
    return 1 if broken or not crossings else 0


def key(crossing: Crossing) -> tuple[str, str, str]:
    return crossing.writer, crossing.reader, crossing.example


def print_table(crossings: list[Crossing], versions: dict[str, dict[str, str]]) -> None:
    """A line per writer and reader: how many passed, how many were refused, by way and reader."""
    for name, packages in versions.items():
        print(f"{name}: " + ", ".join(f"{package} {version}" for package, version in packages.items()))
    for writer in versions:
        for reader in versions:
            counts = Counter((c.way, c.by, c.outcome) for c in crossings if (c.writer, c.reader) == (writer, reader))
            shown = [f"{way}->{by} {ratio(counts, way, by)}" for way, by in sorted({key[:2] for key in counts})]
            print(f"  {writer:>14} -> {reader:<14} " + "  ".join(shown))


def ratio(counts: Counter[tuple[str, str, str]], way: str, by: str) -> str:
    """Passed of all."""
    total = sum(count for key, count in counts.items() if key[:2] == (way, by))
    return f"{counts[way, by, 'equal']}/{total}"


if __name__ == "__main__":
    sys.exit(main([Path(argument) for argument in sys.argv[1:]]))
