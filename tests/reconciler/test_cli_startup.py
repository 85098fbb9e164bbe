"""What `orchest` costs before it does anything, what it says of itself, and how its outputs can be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click
import jsonschema
import pytest
from ruamel.yaml import YAML

from reconciler.cli import orchest as root
from reconciler.cli.above import Above
from reconciler.cli.exit_codes import ExitCode
from reconciler.prepare import ASSUMED_FACTS
from tests.command_line import orchest
from tests.reconciler.test_cli_input import MANIFEST, snapshot_file

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
HEAVY = {"kubernetes", "sqlalchemy", "alembic", "rich", "pydantic", "ruamel", "urllib3", "deepdiff", "pygit2"}


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "cluster.yaml").write_text(MANIFEST)
    (tmp_path / "empty.json").write_bytes(snapshot_file(ASSUMED_FACTS))
    return tmp_path


def started(code: str, *, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code], stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment
    )


def imported_by(*arguments: str) -> set[str]:
    """The packages that one command line imports."""
    code = f"import sys; from reconciler.cli import run; run({arguments!r}); print(*sys.modules, file=sys.stderr)"
    with started(code, stdout=subprocess.DEVNULL) as process:
        _, said = process.communicate(timeout=60)
    return {name.partition(".")[0] for name in said.splitlines()[-1].split()}


def test_help_imports_nothing_heavy() -> None:
    assert not imported_by("--help") & HEAVY


@pytest.mark.parametrize("output", ["json", "text"])
def test_an_offline_plan_imports_no_client_and_no_database(output: str) -> None:
    imported = imported_by("plan", "-f", "cluster.yaml", "--snapshot", "empty.json", "-o", output)
    assert {"diff", "render", "pydantic"} <= imported
    assert not imported & {"kubernetes", "sqlalchemy", "alembic", "urllib3", "deepdiff", "pygit2"}


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    for name, stored in group.commands.items():
        command = stored.command() if isinstance(stored, Above) else stored
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(commands(root)), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    text = orchest(*path, "--help").succeeded().out
    assert text.startswith(" ".join(("Usage: orchest", *path)))
    assert "..." not in text.replace("[ARGS]...", ""), "a summary that is cut short says little"
    assert orchest(*path, "-h").out == text
    if path and path[-1] not in {"snapshot", "webhook", "events", "completion", "worker", "token", "api"}:
        assert "-o, --output [text|json|yaml]" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(shell: str) -> None:
    assert "_ORCHEST_COMPLETE" in orchest("completion", shell).succeeded().out


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("orchest sna", "snapshot"), ("orchest tok", "token"), ("orchest token rev", "revoke")],
)
def test_completion_knows_the_commands(monkeypatch: pytest.MonkeyPatch, typed: str, completed: str) -> None:
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    monkeypatch.setenv("_ORCHEST_COMPLETE", "bash_complete")
    with started("from reconciler.cli import main; main()") as process:
        said, _ = process.communicate(timeout=60)
    assert said == f"plain,{completed}\n"


def above() -> list[Above]:
    return [command for command in root.commands.values() if isinstance(command, Above)]


@pytest.mark.parametrize("stored", above(), ids=lambda stored: stored.name)
def test_a_command_of_the_layer_above_says_of_itself_what_the_help_says_of_it(stored: Above) -> None:
    loaded = stored.command()
    assert loaded.name == stored.name
    assert loaded.get_short_help_str(100) == stored.get_short_help_str(100)


def test_every_command_of_the_layer_above_is_known_here() -> None:
    table = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"]["orchest.commands"]
    assert set(table) == {stored.name for stored in above()}


def test_help_neither_imports_the_layer_above_nor_looks_for_it() -> None:
    code = "import sys; from reconciler.cli import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    with started(code) as process:
        out, said = process.communicate(timeout=60)
    assert "  token  " in out
    assert not {"services", "importlib.metadata"} & set(said.split())


def test_an_installation_from_before_a_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(root.commands, "later", Above("later", "Not there yet."))
    orchest("later").failed(ExitCode.ERROR, "Install orchest-gitops anew")


def test_a_plan_as_json_is_what_the_schema_says_and_yaml_says_the_same() -> None:
    arguments = ("-f", "cluster.yaml", "--snapshot", "empty.json")
    schema = json.loads((REPOSITORY / "docs" / "plan.schema.json").read_text())
    document = json.loads(orchest("plan", *arguments, "-o", "json").succeeded().out)
    jsonschema.validate(document, schema)
    same = YAML(typ="safe").load(orchest("plan", *arguments, "-o", "yaml").succeeded().out)
    jsonschema.validate(same, schema)
    assert same["actions"] == document["actions"]
    orchest("plan", *arguments, "--out", "plan.json").succeeded()
    jsonschema.validate(json.loads(Path("plan.json").read_text()), schema)


def test_json_and_yaml_say_the_same_of_what_is_rendered_and_saved() -> None:
    for arguments in (
        ("diff", "-f", "cluster.yaml", "--snapshot", "empty.json"),
        ("snapshot", "show", "empty.json"),
        ("snapshot", "diff", "empty.json", "empty.json"),
        ("history",),
    ):
        told = json.loads(orchest(*arguments, "-o", "json").succeeded().out)
        assert YAML(typ="safe").load(orchest(*arguments, "-o", "yaml").succeeded().out) == told
    items = json.loads(orchest("render", "-f", "cluster.yaml", "-o", "json").succeeded().out)["items"]
    assert list(YAML(typ="safe").load_all(orchest("render", "-f", "cluster.yaml").succeeded().out)) == items


@pytest.mark.parametrize("output", ["text", "json", "yaml"])
def test_a_reader_who_has_seen_enough_is_no_error_to_talk_about(output: str) -> None:
    arguments = ["diff", "-f", "cluster.yaml", "--snapshot", "empty.json", "-o", output]
    with started(f"import sys; sys.argv[1:] = {arguments!r}; from reconciler.cli import main; main()") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert said == ""
    assert process.returncode == ExitCode.ERROR
