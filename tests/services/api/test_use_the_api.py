"""The examples of docs/how-to/use-the-api.md are requests that exist."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.services.api.catalogue import EVERY, body_schema, validator

TEXT = (Path(__file__).parents[3] / "docs" / "how-to" / "use-the-api.md").read_text()
COMMANDS = [shlex.split(line) for line in re.findall(r"^\$ (curl .*)$", TEXT, re.MULTILINE)]


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1] if name in command else ""


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[-1])
def test_an_example_is_a_request_that_exists(command: list[str]) -> None:
    method = option(command, "-X") or "GET"
    path = re.sub(r"\$(\w+)", r"{\1}", command[-1].removeprefix("$ORCHEST_API"))
    (operation,) = [one for one in EVERY.values() if (one.method, one.path) == (method, path)]
    body = option(command, "-d")
    assert bool(body) == (operation.method == "POST")
    if "title" in json.loads(body or "{}"):
        assert not validator(body_schema(operation)).is_valid(json.loads(body)), "it shows a refusal"
    elif body:
        assert validator(body_schema(operation)).is_valid(json.loads(body))


def test_there_are_examples() -> None:
    assert len(COMMANDS) >= 6
