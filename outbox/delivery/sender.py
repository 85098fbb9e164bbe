"""The border between the engine and those who carry a delivery to its destination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from outbox.delivery.outcome import Outcome
    from outbox.subscribers.destination import Destination


@dataclass(frozen=True, slots=True)
class Parcel:
    """One claimed delivery with all that is needed to send it."""

    delivery: UUID
    attempt: int
    """1 for the first."""
    event_type: str
    payload: str
    """The event's payload, serialized when the event was registered: JSON text, or the telemetry text for analytics."""
    destination: Destination


class Sender(Protocol):
    """Webhooks (in every shape) and analytics are the only implementations."""

    batch_size: int
    """How many parcels of one destination it takes at once."""

    async def send(self, parcels: Sequence[Parcel], now: datetime) -> Outcome:
        """One outcome for all of them. Never raises; never takes longer than its total deadline."""
        ...
