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

if TYPE_CHECKING:
    from dev.cluster.launcher import Cluster

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))]
NOT_HERE = ("make ", "export ", ".cluster/", ".venv/", "git clone")
"""What starts so is run by CI itself, by other tests, or is a matter of the reader's own shell."""
AUTHOR = pygit2.Signature("Reader", "reader@example.com")


LASTING = (["orchest", "worker"],)
"""What runs until it is stopped."""


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
    for command in commands(page):
        words = shlex.split(command)
        if words[:2] in LASTING:
            runs_until_it_is_stopped(words, clone, environment)
            continue
        if words[:2] in (["orchest", "status"], ["orchest", "snapshot"]) and words[2:3] not in (["show"], ["diff"]):
            words += ["-n", namespace]
        done = subprocess.run(words, cwd=clone, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{page}: {command}\n{done.stdout}\n{done.stderr}"


def test_the_pages_have_commands_to_run() -> None:
    assert sum(len(commands(page)) for page in PAGES) >= 20


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    source = ROOT / page
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", source.read_text())
    assert [target for target in targets if not (source.parent / target).exists()] == []
