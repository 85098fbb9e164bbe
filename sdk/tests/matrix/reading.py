"""`python -m matrix.reading OUTCOMES FOLDER...`: read what other environments wrote into those folders.

OUTCOMES becomes a list of JSON objects, one per file and reader: who wrote it, how, by which reader it was read, and
what came of it: `equal`, `different`, `refused` (a DeserializationError), `failed` (any other error), `unknown` when
it was read and this environment has nothing to compare it with, `unwritten` when there is no file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Callable

from equality import difference
from examples import Example, examples, version
from matrix.cells import cells
from matrix.writing import WAYS, versions
from orchest import error, testing, transfer
from original import reader


def main(outcomes: Path, folders: list[Path]) -> None:
    known = {example.name: example for example in examples()}
    seen = [outcome for folder in folders for way in WAYS for outcome in read_all(folder, way, known)]
    outcomes.write_text(json.dumps({"versions": versions(), "outcomes": seen}))


def read_all(folder: Path, way: str, known: dict[str, Example]) -> list[dict[str, Any]]:
    """One outcome for each file and reader."""
    report = json.loads((folder / "written.json").read_text())
    alike = way != "portable" and same_major(report["versions"].get("pandas", ""))
    outcomes = []
    for name, problem in report["written"][way].items():
        with testing.pipeline({name: []}, folder / way) as site:
            for by, read in READERS.items():
                result = ("unwritten", problem) if problem else tried(read, site, known.get(name, name), alike=alike)
                told = {"way": way, "by": by, "known": name in known, "outcome": result[0], "detail": result[1]}
                outcomes.append({"writer": folder.name, "example": name, **told})
    return outcomes


def same_major(pandas: str) -> bool:
    return pandas.partition(".")[0] == str(*version("pandas")[:1])


def ours(site: testing.Site, name: str) -> Any:
    function, arguments, keywords, _ = transfer.resolve(site.step_uuid(name))
    return function(*arguments, **keywords)


def original(site: testing.Site, name: str) -> Any:
    return reader.read(site.data_dir(name), site.step_uuid(name)).value


READERS: dict[str, Callable[[testing.Site, str], Any]] = {"ours": ours, "original": original}


def tried(
    read: Callable[[testing.Site, str], Any], site: testing.Site, example: Example | str, *, alike: bool
) -> tuple[str, str]:
    """What came of reading, and why. Frames are compared by their cells unless the versions of pandas are `alike`."""
    try:
        value = read(site, example if isinstance(example, str) else example.name)
    except error.DeserializationError as problem:
        return "refused", str(problem)
    except Exception as problem:  # noqa: BLE001 - whatever it is, it is the outcome
        return "failed", f"{type(problem).__name__}: {problem}"
    if isinstance(example, str):
        return "unknown", ""
    expected = example.make()
    by_cells = example.family in ("pandas", "mixed") and not alike
    found = difference(cells(expected), cells(value)) if by_cells else difference(expected, value)
    return ("different", found) if found else ("equal", "")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
