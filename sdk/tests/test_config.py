from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchest import config, error
from orchest.config import Config

SOURCE = str(Path(config.__file__).parents[1])

ATTRIBUTES = [
    "SESSION_UUID",
    "SESSION_TYPE",
    "PROJECT_UUID",
    "PROJECT_DIR",
    "PIPELINE_UUID",
    "PIPELINE_DEFINITION_PATH",
    "STEP_DATA_DIR",
    "allow_pickle",
    "verify",
    "durable",
    "keep_named_outputs",
]


def _imported(cwd: Path, **environment: str) -> dict[str, Any]:
    """`Config` of a fresh process, with warnings as errors."""
    code = f"import json; from orchest import Config; print(json.dumps([getattr(Config, a) for a in {ATTRIBUTES!r}]))"
    command = [sys.executable, "-W", "error", "-c", code]
    ended = subprocess.run(
        command, cwd=cwd, env={"PYTHONPATH": SOURCE, **environment}, capture_output=True, text=True, check=True
    )
    return dict(zip(ATTRIBUTES, json.loads(ended.stdout)))


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of /project-dir."""
    folder = tmp_path / "project-dir"
    folder.mkdir()
    monkeypatch.setattr(config, "CONTAINER_PROJECT_DIR", str(folder))
    return folder


@pytest.mark.skipif(Path("/project-dir").exists(), reason="this machine is an Orchest container")
def test_without_an_environment_config_is_as_it_was(tmp_path: Path) -> None:
    assert _imported(tmp_path) == {
        "SESSION_UUID": None,
        "SESSION_TYPE": None,
        "PROJECT_UUID": None,
        "PROJECT_DIR": None,
        "PIPELINE_UUID": "",
        "PIPELINE_DEFINITION_PATH": None,
        "STEP_DATA_DIR": "/project-dir/.orchest/pipelines//data/{step_uuid}",
        "allow_pickle": True,
        "verify": "lazy",
        "durable": True,
        "keep_named_outputs": False,
    }


def test_the_platforms_variables_are_taken_over(tmp_path: Path) -> None:
    names = ("SESSION_UUID", "SESSION_TYPE", "PROJECT_UUID", "PIPELINE_UUID")
    read = _imported(tmp_path, **{f"ORCHEST_{name}": name.lower() for name in names})
    assert {name: read[name] for name in names} == {name: name.lower() for name in names}


def test_config_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (Config.SESSION_UUID, Config.STEP_DATA_DIR)
    monkeypatch.setenv("ORCHEST_SESSION_UUID", "later")
    monkeypatch.setenv("ORCHEST_SDK_PROJECT_DIR", str(tmp_path))
    after = (Config.SESSION_UUID, Config.STEP_DATA_DIR)
    assert after == before


def test_in_a_container_the_project_is_the_containers(container: Path, tmp_path: Path) -> None:
    environment = {"ORCHEST_SDK_PROJECT_DIR": str(tmp_path / "other"), "ORCHEST_PIPELINE_PATH": "relative.orchest"}
    project = config._project_dir(environment)
    assert project == str(container)
    assert config._pipeline_path(environment, project) == "relative.orchest"
    (container / "relative.orchest").write_text('{"uuid": "of the file"}')
    assert config._pipeline_uuid(environment, project, str(container / "relative.orchest")) == ""


def test_outside_the_variable_names_the_project(tmp_path: Path) -> None:
    read = _imported(tmp_path, ORCHEST_SDK_PROJECT_DIR="sub", ORCHEST_PIPELINE_UUID="p")
    assert read["PROJECT_DIR"] == str(tmp_path / "sub")
    assert read["STEP_DATA_DIR"] == str(tmp_path / "sub" / ".orchest/pipelines/p/data/{step_uuid}")


def test_outside_the_nearest_project_above_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    (inner / "a" / "b").mkdir(parents=True)
    (inner / ".orchest").mkdir()
    (tmp_path / "outer" / ".orchest").mkdir()
    assert _imported(inner / "a" / "b")["PROJECT_DIR"] == str(inner)
    assert _imported(inner)["PROJECT_DIR"] == str(inner)
    assert _imported(tmp_path / "outer")["PROJECT_DIR"] == str(tmp_path / "outer")


def test_the_hosts_project_folder_is_never_used(tmp_path: Path) -> None:
    host = tmp_path / "host"
    (host / ".orchest").mkdir(parents=True)
    assert _imported(tmp_path, ORCHEST_PROJECT_DIR=str(host))["PROJECT_DIR"] is None


def test_outside_a_pipeline_path_starts_at_the_project(tmp_path: Path) -> None:
    environment = {"ORCHEST_SDK_PROJECT_DIR": str(tmp_path / "project")}
    relative = _imported(tmp_path, ORCHEST_PIPELINE_PATH="a/main.orchest", **environment)
    absolute = _imported(tmp_path, ORCHEST_PIPELINE_PATH="/b/main.orchest", **environment)
    assert relative["PIPELINE_DEFINITION_PATH"] == str(tmp_path / "project" / "a" / "main.orchest")
    assert absolute["PIPELINE_DEFINITION_PATH"] == "/b/main.orchest"


def test_outside_the_pipeline_file_knows_its_uuid(tmp_path: Path) -> None:
    (tmp_path / ".orchest").mkdir()
    (tmp_path / "main.orchest").write_text('{"uuid": "of the file"}')
    read = _imported(tmp_path, ORCHEST_PIPELINE_PATH="main.orchest")
    assert read["PIPELINE_UUID"] == "of the file"
    assert read["STEP_DATA_DIR"].endswith("/.orchest/pipelines/of the file/data/{step_uuid}")
    assert _imported(tmp_path, ORCHEST_PIPELINE_PATH="main.orchest", ORCHEST_PIPELINE_UUID="p")["PIPELINE_UUID"] == "p"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"uuid": 1}', b"\xff", b"null", b"[" * 100_000])
def test_a_bad_pipeline_file_does_not_hinder_the_import(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "main.orchest"
    path.write_bytes(content)
    assert config._pipeline_uuid({}, str(tmp_path), str(path)) == ""


def test_a_missing_pipeline_file_does_not_hinder_the_import(tmp_path: Path) -> None:
    (tmp_path / ".orchest").mkdir()
    assert _imported(tmp_path, ORCHEST_PIPELINE_PATH="main.orchest")["PIPELINE_UUID"] == ""


def test_a_removed_working_directory_does_not_hinder_the_import(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = "import os; os.rmdir(os.getcwd()); from orchest import Config; print(Config.PROJECT_DIR)"
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=gone,
        env={"PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "None\n"


def test_braces_in_the_projects_path_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "STEP_DATA_DIR", config.step_data_template(str(tmp_path / "{a}"), "p"))
    assert Config.get_step_data_dir("s") == f"{tmp_path}/{{a}}/.orchest/pipelines/p/data/s"


def test_the_step_data_dir_can_be_patched_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchest.transfer.Config.STEP_DATA_DIR", f"{tmp_path}/{{step_uuid}}/x")
    assert Config.get_step_data_dir("s") == f"{tmp_path}/s/x"


@pytest.mark.skipif(Path("/project-dir").exists(), reason="this machine is an Orchest container")
def test_the_first_use_without_a_project_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "STEP_DATA_DIR", config.step_data_template(None, ""))
    with pytest.raises(error.Error, match=r"no project here.*Set ORCHEST_SDK_PROJECT_DIR"):
        Config.get_step_data_dir("s")


def test_a_containers_data_dir_is_the_originals(container: Path) -> None:
    template = config.step_data_template(None, "p")
    assert template == f"{container}/.orchest/pipelines/p/data/{{step_uuid}}"


SWITCHES = [
    # the variable, (allow_pickle, durable, keep_named_outputs)
    (None, (True, True, False)),
    ("", (True, True, False)),
    ("1", (True, True, True)),
    ("TRUE", (True, True, True)),
    ("yes", (True, True, True)),
    (" on ", (True, True, True)),
    ("0", (False, False, False)),
    ("False", (False, False, False)),
    ("no", (False, False, False)),
    ("off", (False, False, False)),
    ("flase", (False, True, False)),  # what is neither takes the careful side
]


@pytest.mark.parametrize(("word", "expected"), SWITCHES)
def test_a_switch_is_a_yes_or_a_no(word: str | None, expected: tuple[bool, bool, bool]) -> None:
    sides = ((True, False), (True, True), (False, False))
    assert tuple(config._switch(word, unset=unset, unclear=unclear) for unset, unclear in sides) == expected


@pytest.mark.parametrize("word", ["0", "flase"])
def test_the_switches_come_from_the_environment(tmp_path: Path, word: str) -> None:
    names = ("allow_pickle", "durable", "keep_named_outputs")
    read = _imported(tmp_path, **{f"ORCHEST_SDK_{name.upper()}": word for name in names})
    assert tuple(read[name] for name in names) == dict(SWITCHES)[word]


@pytest.mark.parametrize("word", ["off", "lazy", "full"])
def test_verification_is_one_of_three_words(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    assert config.verification(word) == word
    monkeypatch.setattr(Config, "verify", word)
    assert config.verification() == word


def test_another_word_for_verification_fails_at_its_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _imported(tmp_path, ORCHEST_SDK_VERIFY=" Paranoid ")["verify"] == "paranoid"
    monkeypatch.setattr(Config, "verify", "paranoid")
    with pytest.raises(error.Error, match=r"ORCHEST_SDK_VERIFY .* is 'paranoid': say one of off, lazy, full"):
        config.verification()
    with pytest.raises(error.Error, match="verify is 'paranoid'"):
        config.verification("paranoid")
