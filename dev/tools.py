"""Developer tools that come from the Python registry, each in an environment of its own in the user's cache.

In come a package's name and version, out comes the folder of its programs. A tool is installed once, under a lock, so
two builds may ask at the same time. Only the standard library is used: this runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class ToolError(Exception):
    """A tool could not be installed; the text says what to do."""


def cache_folder() -> Path:
    """The folder of everything this project fetches or builds once per user."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "orchest-gitops"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file, made when missing; waits for whoever holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that holds {path}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def tool(package: str, version: str) -> Path:
    """The `bin` folder of an environment that holds exactly this version of the package."""
    home = cache_folder() / "tools" / f"{package}-{version}"
    done = home / "installed"
    if not done.exists():
        with locked(home.with_suffix(".lock")):
            if not done.exists():
                _install(f"{package}=={version}", home)
                done.touch()
    return home / "bin"


def _install(requirement: str, home: Path) -> None:
    # An environment cannot be moved, so a half-made one is known by its missing mark and made again.
    shutil.rmtree(home, ignore_errors=True)
    print(f"installing {requirement} into {home}", file=sys.stderr, flush=True)
    _run(
        [sys.executable, "-m", "venv", str(home)], "Python's venv module does not work here; install it (python3-venv)"
    )
    _run(
        [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement],
        "check that pip reaches its package registry",
    )


def _run(command: list[str], mend: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise ToolError(f"{' '.join(command)} failed: {mend}\n{done.stdout.strip()}")
