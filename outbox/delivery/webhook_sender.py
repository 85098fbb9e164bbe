"""The sender of webhooks, in every shape: a parcel becomes a signed message, the message a POST.

In: one claimed parcel and the time of its attempt. Out: the outcome, with the pause the receiver asked for. Never: a
decision on what happens next, or a second parcel in the same request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from outbox.delivery.outcome import Outcome, Result
from outbox.delivery.request import webhook_message
from outbox.delivery.schedule import with_retry_after
from outbox.delivery.signing import SecretError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from outbox.delivery.sender import Parcel
    from outbox.delivery.transport import Transport


class WebhookSender:
    """Implements `Sender`."""

    batch_size = 1

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def send(self, parcels: Sequence[Parcel], now: datetime) -> Outcome:
        (parcel,) = parcels
        try:
            message = webhook_message(parcel, now)
        except SecretError as error:
            return Outcome(Result.REFUSED, str(error))
        outcome = await self._transport.post(
            message.url, message.headers, message.body, verify_ssl=parcel.destination.verify_ssl
        )
        return with_retry_after(outcome, now)
