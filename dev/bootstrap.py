"""From a bare checkout to `.venv`: `python3.11 -m dev.bootstrap`, called first by every make target.

In come the locked requirements, out comes an environment that holds exactly those, plus this checkout and its SDK as
editable installs. A stamp inside it makes a warm call a matter of milliseconds. Only the standard library is used, and
no Python is ever downloaded.
"""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from dev.tools import ToolError, locked, tool

UV_VERSION = "0.13.9"
ROOT = Path(__file__).resolve().parent.parent
SDK = ROOT / "sdk"
ENVIRONMENT = ROOT / ".venv"
REQUIREMENTS = ROOT / "requirements.lock"


def main() -> int:
    """Bring the environment up to date; 0 when it is, 1 with one message when it cannot be."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whichever Python is there runs this
        print(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: make PYTHON=python3.11", file=sys.stderr
        )
        return 1
    stamp = ENVIRONMENT / "up-to-date"
    wanted = _fingerprint()
    if _read(stamp) == wanted:
        return 0
    try:
        with locked(ROOT / ".tools" / "bootstrap.lock"):
            if _read(stamp) != wanted:
                _sync(tool("uv", UV_VERSION) / "uv")
                stamp.write_text(wanted)
    except ToolError as error:
        print(f"set-up failed: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(
            f"set-up failed: {' '.join(error.cmd)} ended with {error.returncode}; its message is above", file=sys.stderr
        )
        return 1
    return 0


def _fingerprint() -> str:
    files = (REQUIREMENTS, ROOT / "pyproject.toml", SDK / "pyproject.toml")
    parts = [str(ROOT), sys.version, *(file.read_text() for file in files)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def _sync(uv: Path) -> None:
    print(f"setting up {ENVIRONMENT.name} from {REQUIREMENTS.name}", file=sys.stderr, flush=True)
    environment = (
        os.environ | registry_settings(pip_settings(uv.parent), os.environ) | {"VIRTUAL_ENV": str(ENVIRONMENT)}
    )
    commands: list[list[str]] = [
        ["pip", "sync", "--quiet", "--require-hashes", str(REQUIREMENTS)],
        [*("pip", "install", "--quiet", "--no-deps", "--no-build-isolation"), *editable(ROOT), *editable(SDK)],
    ]
    if not (ENVIRONMENT / "bin" / "python").exists():
        commands.insert(0, ["venv", "--quiet", "--no-python-downloads", "--python", sys.executable, str(ENVIRONMENT)])
    for command in commands:
        subprocess.run([str(uv), *command], env=environment, cwd=ROOT, check=True)


def editable(project: Path) -> tuple[str, str]:
    """Arguments that install a checkout so that what is changed in it counts at once."""
    return "--editable", str(project)


def pip_settings(bin_folder: Path) -> dict[str, str]:
    """What pip is told by its files and environment, by option name without the section."""
    listed = subprocess.run(
        [str(bin_folder / "python"), "-m", "pip", "config", "list"], stdout=subprocess.PIPE, text=True, check=True
    )
    pairs = [line.split("=", 1) for line in listed.stdout.splitlines() if "=" in line]
    # The environment beats the files, so it comes last.
    pairs.sort(key=lambda pair: pair[0].startswith(":env:"))
    return {name.rsplit(".", 1)[-1]: str(ast.literal_eval(value)) for name, value in pairs}


def registry_settings(pip: dict[str, str], environment: os._Environ[str] | dict[str, str]) -> dict[str, str]:
    """Variables that make uv use the registry of pip, whose files it does not read. What is set for uv already wins."""
    translated = {
        "UV_DEFAULT_INDEX": pip.get("index-url"),
        "UV_INDEX": pip.get("extra-index-url"),
        "UV_HTTP_TIMEOUT": pip.get("default-timeout") or pip.get("timeout"),
        "SSL_CERT_FILE": pip.get("cert"),
    }
    chosen_by_hand = {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & environment.keys()
    return {
        name: value
        for name, value in translated.items()
        if value and name not in environment and not (chosen_by_hand and "INDEX" in name)
    }


if __name__ == "__main__":
    sys.exit(main())
