"""The SDK on the Pythons it supports, and its outputs from one environment to another: `nox -f sdk/noxfile.py`.

Sessions: `tests` with the newest packages on each Python, `alone` with none of the packages that the SDK knows, and
`matrix` with five environments of any age, each as writer and as reader of all. Interpreters are those on PATH or of
pyenv; one that is absent is named in the last line of the run, and what needs it is left out. Environments are kept in
the folder `.tools/nox`, so that a second run installs nothing. Packages come from wherever pip is told to get them.

The suites that kill, tear and fill up (`tests/faults`) run on one Python: what they attack is the file system.
`torture` runs them at full size, only when asked for.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

SDK = Path(__file__).resolve().parent
ROOT = SDK.parent
sys.path.insert(0, str(ROOT))

from dev.bootstrap import UV_VERSION, pip_settings, registry_settings  # noqa: E402 - found by the line above
from dev.tools import tool  # noqa: E402

PYTHONS = ("3.9", "3.11", "3.13")
REFERENCE = "3.11"
"""The Python of the sessions that need only one."""

TOOLS = ("pytest", "pytest-xdist", "hypothesis")
PYTEST = ("pytest", "--quiet", "-n", "auto", "--dist", "loadfile", "-m", "not torture")
NEWEST = ("numpy", "pandas", "polars", "pyarrow")
STORES = ("fsspec", "s3fs", "moto[server]")
"""An object store on loopback, and what speaks to it."""

ENVIRONMENTS = {
    "of-2022": ("3.9", ("numpy==1.22.*", "pandas==1.4.*", "pyarrow==7.*")),
    "of-2023": ("3.9", ("numpy==1.26.*", "pandas==1.5.*", "pyarrow==14.*")),
    "of-2024": ("3.11", ("numpy==1.26.*", "pandas==2.2.*", "pyarrow==18.*", "polars")),
    "newest-3.11": ("3.11", (*NEWEST, "pytz")),
    "newest-3.13": ("3.13", NEWEST),
}
"""The matrix: name -> Python and packages. One of the newest is without pytz, as pandas 3 leaves it."""


def interpreter(version: str) -> str | None:
    """A Python of that version that starts: from PATH, else from pyenv."""
    on_path = [Path(folder) / f"python{version}" for folder in os.get_exec_path()]
    of_pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), reverse=True)
    return next(filter(None, (_started(path, version) for path in [*on_path, *of_pyenv])), None)


def _started(path: Path, version: str) -> str | None:
    """The interpreter itself, also where the path is a shim or of an environment; None where it does not start."""
    if not path.exists():
        return None
    code = "import sys; print('%d.%d' % sys.version_info[:2], sys._base_executable)"
    done = subprocess.run([str(path), "-c", code], capture_output=True, text=True, check=False)
    found, _, executable = done.stdout.strip().partition(" ")
    return executable if done.returncode == 0 and found == version else None


INTERPRETERS = {version: interpreter(version) for version in PYTHONS}
ran: set[str] = set()
"""The Pythons of which a session has begun."""


def last_line() -> str:
    """Which Pythons took part, said after everything else."""
    absent = [version for version in PYTHONS if INTERPRETERS[version] is None]
    if absent:
        return f"NOT COMPLETE: Python {', '.join(absent)} is neither on PATH nor under ~/.pyenv/versions."
    return f"Python {', '.join(v for v in PYTHONS if v in ran) or 'sessions: none'} ran, none was absent."


# nox prints its summary before the process ends, and this is called as it ends.
atexit.register(lambda: print(last_line(), flush=True))  # noqa: T201

uv = tool("uv", UV_VERSION) / "uv"
os.environ.update(registry_settings(pip_settings(uv.parent), os.environ))
os.environ["UV"] = str(uv)
# nox looks for `python3.9` and the like on PATH, where a shim may stand before the interpreter.
os.environ["PATH"] = os.pathsep.join(
    [*(str(Path(found).parent) for found in INTERPRETERS.values() if found), os.environ["PATH"]]
)

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False
nox.options.envdir = str(ROOT / ".tools" / "nox")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The SDK's tests with the newest packages."""
    ran.add(str(session.python))
    session.install("--editable", ".", *NEWEST, *STORES, *TOOLS)
    faults = [] if session.python == REFERENCE else ["--ignore", "tests/faults"]
    session.run(*PYTEST, *faults, *session.posargs)


@nox.session(python=REFERENCE)
def alone(session: nox.Session) -> None:
    """The SDK's tests without any package that it knows: what they skip then names the package it needs."""
    session.install("--editable", ".", *TOOLS)
    session.run(*PYTEST, "--ignore", "tests/faults", *session.posargs)


@nox.session(python=REFERENCE, default=False)
def torture(session: nox.Session) -> None:
    """Kills, flips and races at full size, with what they print; minutes to hours."""
    ran.add(REFERENCE)
    session.install("--editable", ".", *NEWEST, *TOOLS)
    session.run("pytest", "-m", "torture", "--capture", "no", "tests/faults", *session.posargs)


@nox.session(python=False)
def matrix(session: nox.Session) -> None:
    """Every example from every environment to every other, by this SDK and by the original's reader and writer."""
    names = [name for name, (python, _) in ENVIRONMENTS.items() if INTERPRETERS[python]]
    ran.update(ENVIRONMENTS[name][0] for name in names)
    pythons = {name: environment(session, name) for name in names}
    folder = Path(session.create_tmp()) / "matrix"
    shutil.rmtree(folder, ignore_errors=True)
    folders = [folder / name for name in names]
    outcomes = [folder / f"{name}.json" for name in names]
    for writer in folders:
        writer.mkdir(parents=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda name: module(session, pythons[name], "matrix.writing", folder / name), names))
        list(
            pool.map(
                lambda name: module(session, pythons[name], "matrix.reading", folder / f"{name}.json", *folders), names
            )
        )
    module(session, sys.executable, "matrix.verdict", *outcomes)
    shutil.rmtree(folder)


def environment(session: nox.Session, name: str) -> str:
    """The Python of the environment with that name, made when it is not there."""
    version, packages = ENVIRONMENTS[name]
    home = ROOT / ".tools" / "nox" / name
    if not (home / "bin" / "python").exists():
        made = ["venv", "--quiet", "--clear", "--python", str(INTERPRETERS[version]), str(home)]
        session.run(str(uv), *made, external=True)
    wanted = ["pip", "install", "--quiet", "--only-binary", ":all:", "--python", str(home), *packages]
    session.run(str(uv), *wanted, external=True)
    return str(home / "bin" / "python")


def module(session: nox.Session, python: str, name: str, *arguments: Path) -> None:
    """Run a module of the tests, with the SDK from this checkout."""
    path = {"PYTHONPATH": os.pathsep.join([str(SDK / "src"), str(SDK / "tests")])}
    # Old packages warn about new ones; whether values cross is all that is asked here.
    session.run(python, "-W", "ignore", "-m", name, *map(str, arguments), env=path, external=True)
