"""`python -m matrix.writing FOLDER`: every example of this environment, put out in three ways below that folder.

`ours` and `portable` are made by this SDK, `original` in the original's format. `written.json` says what there is:
`{"versions": {package: version}, "written": {way: {example: "" or why it could not be written}}}`.
"""

from __future__ import annotations

import json
import platform
import sys
from importlib import metadata
from pathlib import Path

from examples import Example, examples
from orchest import output, testing
from orchest.config import Config
from original import writer

WAYS = ("ours", "portable", "original")
PACKAGES = ("numpy", "pandas", "polars", "pyarrow", "pytz")
FRAMES = ("pandas", "polars", "arrow", "mixed")
"""Families that `portable=True` may change; that it changes no other is for `test_interop.py`."""


def main(folder: Path) -> None:
    Config.durable = False
    Config.silence_multiple_data_transfer_calls_warning = True
    written = {way: write_all(folder / way, way) for way in WAYS}
    report = {"versions": versions(), "written": written}
    (folder / "written.json").write_text(json.dumps(report))


def versions() -> dict[str, str]:
    """Of Python and of each package that is installed."""
    return {"python": platform.python_version()} | {p: metadata.version(p) for p in PACKAGES if installed(p)}


def installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def write_all(folder: Path, way: str) -> dict[str, str]:
    """Each example with an empty string, or why it could not be written."""
    chosen = [example for example in examples() if way != "portable" or example.family in FRAMES]
    return {example.name: tried(way, folder, example) for example in chosen}


def tried(way: str, folder: Path, example: Example) -> str:
    try:
        _write(way, folder, example)
    except Exception as problem:  # noqa: BLE001 - whatever it is, the verdict will tell
        return f"{type(problem).__name__}: {problem}"
    return ""


def _write(way: str, folder: Path, example: Example) -> None:
    with testing.pipeline({example.name: []}, folder) as site, site.step(example.name) as step:
        if way == "original":
            writer.write(example.make(), "value", site.data_dir(example.name), step)
        else:
            output(example.make(), "value", portable=way == "portable")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
