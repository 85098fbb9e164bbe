"""The page for integrators: its code must accept what we send."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from standardwebhooks import WebhookVerificationError

from outbox.delivery.request import webhook_message
from outbox.delivery.schedule import WEBHOOK_POLICY
from outbox.delivery.sender import Parcel
from outbox.subscribers.destination import Destination

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "webhooks.md").read_text()
OWN = "a secret of the receiver's own: ünïcode, no base64"
MADE = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def code() -> dict[str, Any]:
    """The functions that the page's Python blocks define."""
    defined: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, defined)
    return defined


@pytest.mark.parametrize(("function", "secret"), [("received", MADE), ("received_with_own_secret", OWN)])
def test_the_code_of_the_page_accepts_what_we_send_and_nothing_else(function: str, secret: str) -> None:
    destination = Destination(uuid4(), "webhook", "ci", "https://ci.example.com/", (secret,))
    parcel = Parcel(uuid4(), 1, "project:created", '{"type": "project:created", "name": "bees"}', destination)
    message = webhook_message(parcel, datetime.now(UTC))
    received = code()[function]
    headers = dict(message.headers)
    assert received(secret, headers, message.body) == {"type": "project:created", "name": "bees"}
    with pytest.raises(WebhookVerificationError):
        received(secret, headers, message.body.replace(b"bees", b"wasp"))
    late = webhook_message(parcel, datetime.now(UTC) - timedelta(minutes=6))
    with pytest.raises(WebhookVerificationError):
        received(secret, dict(late.headers), late.body)


def test_the_page_tells_the_schedule_that_is_in_force() -> None:
    spelled = re.search(r"Attempts follow after (.*?), each moved by up to a fifth", PAGE)
    assert spelled is not None
    units = {"s": "seconds", "min": "minutes", "h": "hours"}
    told = [timedelta(**{units[unit]: int(number)}) for number, unit in re.findall(r"(\d+) (s|min|h)\b", spelled[1])]
    assert tuple(told) == WEBHOOK_POLICY.delays
    assert f"{WEBHOOK_POLICY.attempts} times in all" in PAGE
    assert f"tried again, {WEBHOOK_POLICY.short_attempts} times in all" in PAGE
