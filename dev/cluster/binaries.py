"""The programs of the local cluster, built from source once per user and version.

In come two Go modules beside this file, out come the paths of two binaries in the user's cache, named after a hash of
what they are built from. A build runs under a lock, shows its progress, goes on where an interrupted one stopped and is
moved into place whole; asking for a finished one costs milliseconds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sysconfig
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dev.cluster.progress import Progress
from dev.cluster.toolchain import find_go, required_version
from dev.tools import ToolError, cache_folder, locked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KUBERNETES_VERSION = "v1.34.4"
_SOURCES = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Program:
    """A Go module beside this file, the package in it that is built, and the variables set by the linker."""

    name: str
    package: str
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def source(self) -> Path:
        """The folder of the module."""
        return _SOURCES / self.name


def _version_variables(version: str) -> tuple[tuple[str, str], ...]:
    major, minor, _ = version.removeprefix("v").split(".")
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    values = (("gitVersion", version), ("gitMajor", major), ("gitMinor", minor))
    return tuple((f"{package}.{name}", value) for package in packages for name, value in values)


CONTROL_PLANE = Program("controlplane", ".", _version_variables(KUBERNETES_VERSION))
KWOK = Program("kwok", "sigs.k8s.io/kwok/cmd/kwok")


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the built programs are."""

    control_plane: Path
    kwok: Path


def build() -> Binaries:
    """Both programs, built now if they are not in the cache; raises ToolError when a build fails."""
    home = cache_folder() / "cluster"
    binaries = Binaries(control_plane=_binary(home, CONTROL_PLANE), kwok=_binary(home, KWOK))
    wanted = ((CONTROL_PLANE, binaries.control_plane), (KWOK, binaries.kwok))
    if any(not binary.exists() for _, binary in wanted):
        with locked(home / "lock"):
            # One after the other: two linkers at once need more memory than a small machine has.
            for program, binary in wanted:
                if not binary.exists():
                    binary.parent.mkdir(parents=True, exist_ok=True)
                    _compile(program, binary, scratch=home / "scratch")
            # Kept until now, so that an interrupted build goes on where it was.
            shutil.rmtree(home / "scratch", ignore_errors=True)
    return binaries


def _binary(home: Path, program: Program) -> Path:
    return home / f"{program.name}-{_key(program)}" / program.name


def _key(program: Program) -> str:
    digest = hashlib.sha256(repr((program, sysconfig.get_platform())).encode())
    for path in sorted(program.source.iterdir()):
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _compile(program: Program, binary: Path, scratch: Path) -> None:
    go = find_go(required_version((program.source / "go.mod").read_text()))
    progress = Progress(f"building {program.name} (once, kept in {binary.parent})")
    runner = _Go(go, program.source, _go_environment(go, scratch))
    target = scratch / program.name
    packages = runner.run(
        ["list", "-deps", program.package],
        lambda lines: progress.show(f"{_count(lines, downloads=True)} modules fetched"),
    )
    expected = _count(packages, downloads=False)
    options = ["-v", "-buildvcs=false", "-trimpath", "-ldflags", _linker_flags(program)]
    compiled = runner.run(
        ["build", *options, "-o", str(target), program.package],
        lambda lines: progress.show(f"{_count(lines, downloads=False)} of at most {expected} packages compiled"),
    )
    target.replace(binary)
    progress.done(f"done, {_count(compiled, downloads=False)} packages compiled, {binary.stat().st_size / 1e6:.0f} MB")


def _linker_flags(program: Program) -> str:
    return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in program.variables)])


def _count(lines: Sequence[str], *, downloads: bool) -> int:
    return sum(line.startswith("go: downloading ") is downloads for line in lines)


def _go_environment(go: Path, scratch: Path) -> dict[str, str]:
    """The environment of a build: with the caches Go already has, or else with private ones in the scratch folder."""
    flags = f"{os.environ.get('GOFLAGS', '')} -mod=readonly -modcacherw".strip()
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": flags}
    for name in ("GOMODCACHE", "GOCACHE"):
        folder = _go_setting(go, name)
        if not (folder and Path(folder).is_dir()):
            environment[name] = str(scratch / name.lower())
    return environment


def _go_setting(go: Path, name: str) -> str:
    return subprocess.run([str(go), "env", name], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@dataclass(frozen=True, slots=True)
class _Go:
    go: Path
    module: Path
    environment: dict[str, str]

    def run(self, arguments: list[str], tick: Callable[[Sequence[str]], None]) -> list[str]:
        """The lines it wrote, to either stream; `tick` sees those so far twice a second. Raises ToolError."""
        lines: list[str] = []
        with subprocess.Popen(
            [str(self.go), *arguments],
            cwd=self.module,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            reader = threading.Thread(target=lines.extend, args=(process.stdout,))
            reader.start()
            while reader.is_alive():
                reader.join(0.5)
                tick(lines)
        if process.returncode:
            raise ToolError(f"go {arguments[0]} failed in {self.module}:\n{''.join(lines[-20:])}")
        return lines
