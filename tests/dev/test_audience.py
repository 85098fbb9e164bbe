"""The story's receiver is a judge of its own, and the story fails when something was not heard."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook

from dev.story.audience import missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"event": {"uuid": "u-1", "type": "cluster:created"}}'


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[str]:
    """Its URL; its log is `heard` in the test's folder."""
    (tmp_path / "secret").write_text(SECRET)
    command = [sys.executable, "-m", "dev.story.receiver", str(tmp_path / "secret"), str(tmp_path / "heard")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def post(url: str, secret: str, body: str = BODY) -> int:
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "d-1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("d-1", now, BODY),
    }
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def heard(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "heard").read_text().splitlines()]


def test_the_receiver_remembers_what_is_signed_with_its_secret(receiver: str, tmp_path: Path) -> None:
    assert post(receiver, SECRET) == 204
    (request,) = heard(tmp_path)
    assert (request["id"], request["event"], request["type"]) == ("d-1", "u-1", "cluster:created")


def test_the_receiver_refuses_another_secret_and_a_changed_body(receiver: str, tmp_path: Path) -> None:
    assert post(receiver, SECRET[:-4] + "AAAA") == 400
    assert post(receiver, SECRET, BODY.replace("u-1", "u-2")) == 400
    assert [sorted(request) for request in heard(tmp_path)] == [["heard_at", "refused"]] * 2


EVENTS = [{"uuid": "u-1", "type": "cluster:created"}, {"uuid": "u-2", "type": "cluster:updated"}]
HEARD = [{"event": "u-2", "id": "d-2"}, {"event": "u-1", "id": "d-1"}]
EXPECTED = {"cluster:created": 1, "cluster:updated": 1}


@pytest.mark.parametrize(
    ("events", "requests", "lacking"),
    [
        (EVENTS, HEARD, []),
        (EVENTS, HEARD[:1], ["cluster:created u-1"]),
        (EVENTS, [{"refused": "no"}, HEARD[0]], ["cluster:created u-1"]),
        (EVENTS[:1], HEARD, ["cluster:updated: 1 times; it was recorded 0 times"]),
        (
            [*EVENTS, EVENTS[1] | {"uuid": "u-3"}],
            HEARD,
            ["cluster:updated: 1 times; it was recorded 2 times", "cluster:updated u-3"],
        ),
    ],
)
def test_what_was_not_recorded_or_not_heard_is_missing(
    events: list[dict[str, Any]], requests: list[dict[str, Any]], lacking: list[str]
) -> None:
    assert missing(events, requests, EXPECTED) == lacking
