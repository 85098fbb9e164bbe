"""Does the receiver hear us? One request now, through the same guard, signatures and transport as every delivery.

In: a destination, of a webhook or of one that is only thought of. Out: the outcome. Never: a row.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from outbox.delivery import request
from outbox.delivery.transport import Transport
from outbox.delivery.webhook_sender import WebhookSender
from outbox.identity import new_uuid

if TYPE_CHECKING:
    from datetime import datetime

    from outbox.delivery.guard import Guard
    from outbox.delivery.outcome import Outcome
    from outbox.subscribers.destination import Destination


def ping(destination: Destination, guard: Guard, now: datetime) -> Outcome:
    """Waits for the answer, at most the transport's total deadline. From a thread without a running loop."""
    return asyncio.run(_ping(destination, guard, now))


async def _ping(destination: Destination, guard: Guard, now: datetime) -> Outcome:
    transport = Transport(guard)
    try:
        return await WebhookSender(transport).send([request.ping(destination, new_uuid(), now)], now)
    finally:
        await transport.close()
