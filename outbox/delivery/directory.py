"""Destinations as the senders need them, decrypted once a second at most while they are used.

In: subscribers and the session of the claim. Out: their destinations. Never: one older than `FRESH`, so a rotated
secret is in force within that time.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from outbox.subscribers.destinations import load_destinations

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from outbox.key_ring import KeyRing
    from outbox.subscribers.destination import Destination

FRESH = timedelta(seconds=1)


class Directory:
    """For one thread at a time."""

    def __init__(self, key_ring: KeyRing) -> None:
        self._key_ring = key_ring
        self._entries: dict[UUID, tuple[datetime, Destination | None]] = {}

    def look_up(self, session: Session, subscribers: Collection[UUID], now: datetime) -> Mapping[UUID, Destination]:
        """Without those whose secrets cannot be decrypted."""
        stale = [subscriber for subscriber in subscribers if not self._is_fresh(subscriber, now)]
        if stale:
            self._entries = {uuid: entry for uuid, entry in self._entries.items() if self._is_fresh(uuid, now)}
            loaded = load_destinations(session, self._key_ring, stale, now)
            self._entries.update((uuid, (now, loaded.get(uuid))) for uuid in stale)
        found = ((uuid, self._entries[uuid][1]) for uuid in subscribers)
        return {uuid: destination for uuid, destination in found if destination is not None}

    def _is_fresh(self, subscriber: UUID, now: datetime) -> bool:
        entry = self._entries.get(subscriber)
        return entry is not None and timedelta(0) <= now - entry[0] < FRESH
