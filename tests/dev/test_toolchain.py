"""Which Go builds the programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.cluster.binaries import CONTROL_PLANE, KWOK, Program
from dev.cluster.toolchain import find_go, required_version

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("program", [CONTROL_PLANE, KWOK], ids=lambda program: program.name)
def test_the_modules_say_which_go_they_need(program: Program) -> None:
    assert required_version((program.source / "go.mod").read_text()) == (1, 24)


def test_a_go_that_is_new_enough_is_taken_from_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go1.99.3\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert find_go((1, 24)) == go


def test_a_module_without_a_go_line_is_an_error() -> None:
    with pytest.raises(ValueError, match="no go line"):
        required_version("module example\n")
