"""The examples of `curl` in the pages are requests that exist."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.services.api.catalogue import EVERY, body_schema, validator

PAGES = sorted((Path(__file__).parents[3] / "docs").rglob("*.md"))
LINES = [line for page in PAGES for line in re.findall(r"^\$ (curl .*)$", page.read_text(), re.MULTILINE)]
COMMANDS = [shlex.split(line) for line in LINES]


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1] if name in command else ""


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[-1])
def test_an_example_is_a_request_that_exists(command: list[str]) -> None:
    method = option(command, "-X") or "GET"
    below = command[-1].removeprefix("$ORCHEST_API").removeprefix("http://127.0.0.1:8000").partition("?")[0]
    path = re.sub(r"\$(\w+)", r"{\1}", below)
    (operation,) = [one for one in EVERY.values() if (one.method, one.path.rstrip("/")) == (method, path.rstrip("/"))]
    body = option(command, "-d")
    assert bool(body) == (operation.method == "POST")
    if "title" in json.loads(body or "{}"):
        assert not validator(body_schema(operation)).is_valid(json.loads(body)), "it shows a refusal"
    elif body:
        assert validator(body_schema(operation)).is_valid(json.loads(body))


def test_there_are_examples() -> None:
    assert len(COMMANDS) >= 6
