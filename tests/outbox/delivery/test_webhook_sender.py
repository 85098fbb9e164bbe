"""From a parcel to a receiver on loopback and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import uvloop
from standardwebhooks import Webhook

from outbox.delivery.guard import Guard, parse_networks
from outbox.delivery.outcome import Outcome, Result
from outbox.delivery.sender import Parcel, Sender
from outbox.delivery.transport import Limits, Transport
from outbox.delivery.webhook_sender import WebhookSender
from outbox.subscribers.destination import Destination
from tests.outbox.delivery.receivers import Behaviour, Receiver, answer, answering, ok, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DELIVERY = UUID("0198c8f0-aaaa-7bbb-8ccc-0123456789ab")


def send(behaviour: Behaviour, secrets: tuple[str, ...] = (SECRET,)) -> tuple[Outcome, Receiver]:
    async def run() -> tuple[Outcome, Receiver]:
        transport = Transport(Guard(parse_networks(["127.0.0.0/8"])), Limits(total_seconds=2))
        sender: Sender = WebhookSender(transport)
        async with receiving(behaviour) as receiver:
            destination = Destination(DELIVERY, "webhook", "w", receiver.url, secrets)
            parcel = Parcel(DELIVERY, 1, "project:created", '{"type":"project:created"}', destination)
            outcome = await sender.send([parcel], datetime.now(UTC))
            await transport.close()
        return outcome, receiver

    return uvloop.run(run())


def test_what_arrives_is_what_was_signed() -> None:
    outcome, receiver = send(answering(ok()))
    head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    Webhook(SECRET).verify(body, headers)
    assert headers["webhook-id"] == str(DELIVERY)
    assert outcome.result is Result.DELIVERED


@pytest.mark.parametrize("status", [b"429 Slow", b"503 Busy", b"200 OK"])
def test_the_pause_a_receiver_asks_for_is_read(status: bytes) -> None:
    outcome, _ = send(answering(answer(status, b"", b"retry-after: 120")))
    assert outcome.retry_after == timedelta(seconds=120)


def test_a_pause_in_no_known_form_is_none() -> None:
    outcome, _ = send(answering(answer(b"503 Busy", b"", b"Retry-After: soon")))
    assert outcome.retry_after is None


@pytest.mark.parametrize("secrets", [(), ("whsec_!!!",)])
def test_a_parcel_that_cannot_be_signed_is_refused_and_not_sent(secrets: tuple[str, ...]) -> None:
    outcome, receiver = send(answering(ok()), secrets)
    assert outcome.result is Result.REFUSED
    assert receiver.connections == 0
