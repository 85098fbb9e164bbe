from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orchest
from orchest import _compatibility

SDK = Path(__file__).parents[1]

PLATFORMS = {
    # what ORCHEST_VERSION says: whether this SDK is too new for it
    "v2022.03.6": True,
    "v2022.03.5": True,
    "v2022.03.0": True,
    "v2021.05.1": True,
    "v2021.12.31": True,
    "v2022.03.7": False,
    "v2022.04.0": False,
    "v2023.06.1": False,
    "v2026.11.0": False,
    "v2021.05.0": False,
    "v2021.04.9": False,
    "v2020.01.0": False,
    "v2022.03": True,
    "v2022": True,
    "v2021": False,
    # these raised ValueError at import
    "2022.03.6": True,
    "2022.03.7": False,
    "v2022.03.6-rc1": True,
    "v2022.03.7-rc1": False,
    "v2022.03.x": True,
    "dev": False,
    "": False,
    "v": False,
    "latest": False,
    "v1.2.3": False,
    "v99999999999999999999.1": False,
    "٢٠٢٢.٠٣.٦": False,
}


@pytest.mark.parametrize(("platform", "incompatible"), PLATFORMS.items())
def test_the_platforms_before_kubernetes_are_too_old(platform: str, *, incompatible: bool) -> None:
    assert _compatibility.is_incompatible(platform) is incompatible


@given(st.text())
def test_no_version_is_an_exception(platform: str) -> None:
    assert _compatibility.is_incompatible(platform) in {True, False}


def _import(version: str | None, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(Path(orchest.__file__).parents[1])}
    if version is not None:
        environment["ORCHEST_VERSION"] = version
    command = [sys.executable, *options, "-c", "import orchest; print(orchest.orchest_version)"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_an_old_platform_is_warned_about_once() -> None:
    ended = _import("v2022.03.6")
    assert (ended.returncode, ended.stdout) == (0, "v2022.03.6\n")
    assert ended.stderr.count("UserWarning") == ended.stderr.count("incompatible version") == 1


@pytest.mark.parametrize("version", [None, "v2022.03.7", "v2022.03.7-rc1", "nonsense", ""])
def test_other_platforms_are_not_warned_about(version: str | None) -> None:
    ended = _import(version, "-W", "error")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{version}\n", "")


def test_the_warning_is_a_user_warning() -> None:
    ended = _import("v2021.06.0", "-W", "error::UserWarning")
    assert ended.returncode == 1
    assert "UserWarning: The Orchest SDK seems to have an incompatible version" in ended.stderr


def test_the_version_is_the_distributions() -> None:
    assert f'version = "{orchest.__version__}"' in (SDK / "pyproject.toml").read_text().splitlines()
    assert re.fullmatch(r"\d+\.\d+\.\d+", orchest.__version__)
