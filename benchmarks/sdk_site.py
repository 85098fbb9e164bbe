"""Where it is measured: a folder on a disk, the pipeline of a producer and a consumer, fresh processes.

In: what to do with which value in which way. Out: what that process measured. The packages that values and anchors need
are in an environment of their own; the SDK comes from this work tree. Never: two measurements at the same time.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.anchor_environment import anchor_environment
from benchmarks.sdk_ways import CONSUMER, OF_ORIGINAL, ORIGINAL, OURS, PRODUCER

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROOT = Path(__file__).resolve().parent.parent
_REQUIREMENTS = ("numpy==2.4.6", "pandas==3.1.1", "polars==2.1.0", "pyarrow==26.0.1", "requests==2.34.2")
_PIPELINE_UUID = "30000000-0000-4000-8000-000000000003"
_MIB = 1024 * 1024


class Measured(NamedTuple):
    """One process. Milliseconds and MiB; what was not asked for is 0."""

    milliseconds: float
    """Of many calls in that process, the median."""
    minimum: float
    peak: float = 0.0
    """More than it held just before, private and shared together."""
    private: float = 0.0
    """More than it held just before, when the call was over."""
    shared: float = 0.0
    """Pages of mapped files, which are the page cache's own."""
    touched: float = 0.0
    """Milliseconds to read every page of the value."""
    touched_private: float = 0.0
    size: float = 0.0
    """Bytes of the files."""


class Site:
    """Its folder belongs to the caller. What is prepared stays until `forget`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._python = anchor_environment("sdk-1", _REQUIREMENTS) / "bin" / "python"
        self._sizes: dict[str, int] = {}
        self._prepared: set[Path] = set()
        # As it is now: whoever edits it meanwhile would have measurements fail, or mean two things.
        shutil.copytree(_ROOT / "sdk" / "src", folder / "sdk")
        (folder / "pipeline.json").write_text(json.dumps(_pipeline()), encoding="utf-8")

    def prepare(self, value: str, ways: Sequence[str]) -> None:
        """Files for readers, each in the way's own format. The length of ours is the length of raw files."""
        for way in (OURS, *ways):
            folder = self._files_of(value, way)
            if folder not in self._prepared:
                written = self._run("prepare", value, _writer(way), folder, PRODUCER)
                self._prepared.add(folder)
                self._sizes.setdefault(value, int(written.size))

    def forget(self, value: str) -> None:
        """The files of it, for they are large."""
        for folder in {path for path in self._prepared if path.parent == self._folder / _slug(value)}:
            shutil.rmtree(folder)
            self._prepared.remove(folder)

    def measure(self, do: str, value: str, way: str) -> Measured:
        if do.startswith("write"):
            return self._run(do, value, way, self._folder / "written", PRODUCER)
        return self._run(do, value, way, self._files_of(value, way), CONSUMER)

    def imported(self, modules: str) -> Measured:
        """A process that has nothing but what Python itself imports."""
        program = f"import time; s = time.perf_counter(); import {modules}; print((time.perf_counter() - s) * 1000)"
        milliseconds = float(self._output(["-c", program], PRODUCER))
        return Measured(milliseconds, milliseconds)

    def _files_of(self, value: str, way: str) -> Path:
        return self._folder / _slug(value) / _slug(_writer(way))

    def _run(self, do: str, value: str, way: str, folder: Path, step: str) -> Measured:
        task: list[Any] = [do, value, way, str(folder), self._sizes.get(value, 0)]
        printed = self._output(["-m", "benchmarks.sdk_process", json.dumps(task)], step)
        return Measured(**json.loads(printed))

    def _output(self, arguments: list[str], step: str) -> str:
        environment = os.environ | {
            "PYTHONPATH": f"{self._folder / 'sdk'}:{_ROOT}",
            "ORCHEST_PIPELINE_PATH": str(self._folder / "pipeline.json"),
            "ORCHEST_PIPELINE_UUID": _PIPELINE_UUID,
            "ORCHEST_SESSION_TYPE": "noninteractive",
            "ORCHEST_STEP_UUID": step,
        }
        command = [str(self._python), *arguments]
        done = subprocess.run(command, cwd=_ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout


def _writer(way: str) -> str:
    """Ways of reading may share a way of writing: what follows the comma says how it is read."""
    return ORIGINAL if way in {ORIGINAL, OF_ORIGINAL} else way.partition(",")[0]


def _slug(name: str) -> str:
    return name.replace(" ", "-").replace(",", "")


def _pipeline() -> dict[str, Any]:
    return {
        "name": "benchmark",
        "uuid": _PIPELINE_UUID,
        "version": "1.2.3",
        "parameters": {},
        "settings": {},
        "services": {},
        "steps": {PRODUCER: _step(PRODUCER, []), CONSUMER: _step(CONSUMER, [PRODUCER])},
    }


def _step(uuid: str, parents: list[str]) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "title": "a step",
        "environment": "",
        "file_path": f"{uuid}.py",
        "kernel": {"name": "python", "display_name": "Python 3"},
        "incoming_connections": parents,
        "meta_data": {"hidden": False, "position": [0, 0]},
        "parameters": {},
    }
