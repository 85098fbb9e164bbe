from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from desired_state.masking import Masker
from reconciler.settings import MASKING_KEY_BYTES, SettingsError, load_settings, masking_key, stable_masking_key


def test_without_any_variable_everything_lies_below_home() -> None:
    settings = load_settings({"HOME": "/home/ada"})
    assert settings.state == Path("/home/ada/.local/state/orchest")
    assert settings.git_cache == Path("/home/ada/.cache/orchest/git")
    assert settings.database_url == "sqlite:////home/ada/.local/state/orchest/history.db"
    assert (settings.namespace, settings.cluster) == ("orchest", "cluster-1")


def test_xdg_folders_and_the_database_url_win() -> None:
    settings = load_settings(
        {
            "HOME": "/h",
            "XDG_STATE_HOME": "/s",
            "XDG_CACHE_HOME": "/c",
            "ORCHEST_DATABASE_URL": "postgresql://db/orchest",
        }
    )
    assert settings.state == Path("/s/orchest")
    assert settings.cache == Path("/c/orchest")
    assert settings.database_url == "postgresql://db/orchest"


@pytest.mark.parametrize("written", ["", "relative/folder"])
def test_a_relative_xdg_folder_is_ignored(written: str) -> None:
    assert load_settings({"HOME": "/h", "XDG_STATE_HOME": written}).state == Path("/h/.local/state/orchest")


def test_secrets_do_not_show_in_a_settings_repr(tmp_path: Path) -> None:
    settings = load_settings(
        {
            "XDG_STATE_HOME": str(tmp_path),
            "ORCHEST_DATABASE_URL": "postgresql://u:canary@db/x",
            "ORCHEST_MASKING_KEY": "canary" * 4,
        }
    )
    assert "canary" not in repr(settings)
    assert str(masking_key(settings).key) not in repr(masking_key(settings))


def test_the_key_file_is_made_once_private_and_then_read(tmp_path: Path) -> None:
    settings = load_settings({"XDG_STATE_HOME": str(tmp_path / "state")})
    first, second = stable_masking_key(settings), stable_masking_key(settings)
    assert first == second
    assert len(first.key) == MASKING_KEY_BYTES
    assert stat.S_IMODE(settings.masking_key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.state.stat().st_mode) == 0o700
    assert [path.name for path in settings.state.iterdir()] == ["masking.key"]


def test_different_users_have_different_keys(tmp_path: Path) -> None:
    keys = {stable_masking_key(load_settings({"XDG_STATE_HOME": str(tmp_path / name)})).key for name in "abc"}
    assert len(keys) == 3


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    program = (
        "import os; from reconciler.settings import load_settings, stable_masking_key\n"
        "print('ready', flush=True); input(); print(stable_masking_key(load_settings(os.environ)).key.hex())"
    )
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    keys = {process.communicate(timeout=30)[0] for process in processes}
    assert len(keys) == 1
    assert len(keys.pop().strip()) == 2 * MASKING_KEY_BYTES


@pytest.mark.parametrize("text", ["sixteen-letters!", "k" * 200, "schlüssel-schlüssel"])
def test_a_key_from_the_environment_serves_a_masker_and_leaves_no_file(tmp_path: Path, text: str) -> None:
    settings = load_settings({"XDG_STATE_HOME": str(tmp_path), "ORCHEST_MASKING_KEY": text})
    key = stable_masking_key(settings)
    assert key == masking_key(settings)
    assert Masker(key.key).key_id
    assert list(tmp_path.iterdir()) == []


def test_a_short_key_is_refused_without_being_shown(tmp_path: Path) -> None:
    settings = load_settings({"XDG_STATE_HOME": str(tmp_path), "ORCHEST_MASKING_KEY": "canary"})
    for read in (masking_key, stable_masking_key):
        with pytest.raises(
            SettingsError, match=r"6 characters, at least 16 are needed. Make one by: openssl"
        ) as caught:
            read(settings)
        assert "canary" not in str(caught.value)


def test_a_key_file_that_others_may_read_is_refused_with_the_mend(tmp_path: Path) -> None:
    settings = load_settings({"XDG_STATE_HOME": str(tmp_path)})
    stable_masking_key(settings)
    settings.masking_key_file.chmod(0o644)
    for read in (masking_key, stable_masking_key):
        with pytest.raises(SettingsError, match=r"mode 644\). Run: chmod 600 .*masking.key"):
            read(settings)


@pytest.mark.parametrize("content", [b"", b"cut", b"x" * 33])
def test_a_damaged_key_file_is_refused_with_the_mend(tmp_path: Path, content: bytes) -> None:
    settings = load_settings({"XDG_STATE_HOME": str(tmp_path)})
    stable_masking_key(settings)
    settings.masking_key_file.write_bytes(content)
    with pytest.raises(
        SettingsError, match=rf"{len(content)} bytes, a masking key has 32. Restore the file, or delete"
    ):
        masking_key(settings)


def test_without_a_writable_home_reading_commands_go_on_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = load_settings({"XDG_STATE_HOME": str(tmp_path / "file")})
    first, second = masking_key(settings), masking_key(settings)
    assert first.key != second.key
    assert len(first.key) == MASKING_KEY_BYTES
    assert "Set XDG_STATE_HOME or ORCHEST_MASKING_KEY" in first.warning


def test_without_a_writable_home_a_stable_key_is_refused_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = load_settings({"XDG_STATE_HOME": str(tmp_path / "file")})
    with pytest.raises(SettingsError, match=r"no place for the masking key. Set XDG_STATE_HOME to a writable folder"):
        stable_masking_key(settings)


def test_a_stable_key_carries_no_warning(tmp_path: Path) -> None:
    assert masking_key(load_settings({"XDG_STATE_HOME": str(tmp_path)})).warning == ""
