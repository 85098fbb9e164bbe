"""Every command in the pages is run, in the order of the page, as a reader would type it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pygit2
import pytest

from tests.outbox.programs import eventually

if TYPE_CHECKING:
    from dev.cluster.launcher import Cluster

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))]
NOT_HERE = ("make ", "export ", ".cluster/", ".venv/", "git clone", "curl ")
"""What starts so is run by CI itself, by other tests, or is a matter of the reader's own shell."""
AUTHOR = pygit2.Signature("Reader", "reader@example.com")
ADDRESS = "http://127.0.0.1:8000"
"""Where pages have an API; here it is at a free port, and stays until the page ends."""


def runs_until_it_is_stopped(words: list[str], folder: Path, environment: dict[str, str]) -> None:
    with subprocess.Popen(words, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = "".join(
            line for line in iter(process.stderr.readline, "") if not _stopped_once_it_delivers(process, line)
        )
        assert process.wait(timeout=60) == 0, said


def _stopped_once_it_delivers(process: subprocess.Popen[str], line: str) -> bool:
    if '"delivering"' not in line:
        return False
    process.terminate()
    return True


class Reader:
    """Types what a page says, one command after the other."""

    def __init__(self, folder: Path, environment: dict[str, str], namespace: str) -> None:
        self._folder = folder
        self._environment = environment
        self._namespace = namespace
        self._address = ADDRESS
        self._log = folder.parent / "served.log"
        self._served: list[subprocess.Popen[bytes]] = []

    def types(self, command: str) -> None:
        words = [word.replace(ADDRESS, self._address) for word in shlex.split(command)]
        if words[:2] == ["orchest", "worker"]:
            runs_until_it_is_stopped(words, self._folder, self._environment)
            return
        if words[:2] == ["orchest", "api"] or words[0] == "gunicorn":
            self.serves(words)
            return
        if {"status", "snapshot"} & set(words[1:4]) and not {"show", "diff"} & set(words):
            words += ["-n", self._namespace]
        done = subprocess.run(
            words, cwd=self._folder, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"

    def serves(self, words: list[str]) -> None:
        """From now on, until the page ends."""
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                [*words, "--bind", "127.0.0.1:0"], cwd=self._folder, env=self._environment, stderr=log
            )
        self._served.append(process)
        eventually(lambda: process.poll() is not None or "Listening at" in self._log.read_text(), 30)
        assert process.poll() is None, self._log.read_text()
        said = self._log.read_text()
        self._address = re.findall(r"Listening at:? (http://[^ \n]+)", said)[0]
        if token := re.findall(r"Admin token, shown this once: (\S+)", said):
            self._environment["ORCHEST_API_TOKEN"] = token[0]

    def asks_an_api(self) -> None:
        """What the page's `export ORCHEST_API_URL` says; there is a cluster already."""
        self.types("orchest apply -f examples/orchestcluster.yaml --yes")
        self.serves(["orchest", "api"])
        self._environment["ORCHEST_API_URL"] = self._address

    def ends(self) -> None:
        self._environment.pop("ORCHEST_API_URL", None)
        for process in self._served:
            process.terminate()
        assert [process.wait(30) for process in self._served] == [0] * len(self._served), self._log.read_text()


def commands(page: str) -> list[str]:
    """The lines of a page's console blocks that begin with `$ `; the rest of a block is output or another shell's."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    lines = [
        line[2:].partition("  #")[0].strip() for block in blocks for line in block.splitlines() if line.startswith("$ ")
    ]
    return [line for line in lines if not line.startswith(NOT_HERE)]


def reader(folder: Path, namespace: str) -> Path:
    """A folder like a fresh clone, where the example lives in a namespace of this test's."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    manifest = folder / "examples" / "orchestcluster.yaml"
    manifest.write_text(manifest.read_text().replace("namespace: orchest", f"namespace: {namespace}"))
    repository = pygit2.init_repository(folder, initial_head="main")
    repository.index.add_all()
    repository.create_commit("refs/heads/main", AUTHOR, AUTHOR, "Clone", repository.index.write_tree(), [])
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_the_commands_of_a_page_do_what_it_says(page: str, cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    clone = reader(tmp_path / "clone", namespace)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "KUBECONFIG": str(cluster.kubeconfig),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    person = Reader(clone, environment, namespace)
    try:
        if "export ORCHEST_API_URL=" in (ROOT / page).read_text():
            person.asks_an_api()
        for command in commands(page):
            person.types(command)
    finally:
        person.ends()


def test_the_pages_have_commands_to_run() -> None:
    assert sum(len(commands(page)) for page in PAGES) >= 20


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    source = ROOT / page
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", source.read_text())
    assert [target for target in targets if not (source.parent / target).exists()] == []
