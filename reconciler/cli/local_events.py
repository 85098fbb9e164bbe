"""Events of the database that is at hand.

In: what the commands of `orchest events` ask for. Out: the outbox's records. Never: a line of output.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from outbox.delivery.listing import deliveries_of_event
from outbox.events import feed
from outbox.events.records import find_event, list_events

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from outbox.database import Database
    from outbox.delivery.listing import DeliveryView
    from outbox.events.records import EventFilter, EventRecord

_PAUSE_SECONDS = 0.5
_PAGE = 200


class LocalEvents:
    """A `reconciler.cli.events.Events`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, wanted: EventFilter, before: UUID | None, limit: int) -> Sequence[EventRecord]:
        with self._database.reading() as session:
            return list_events(session, wanted, before, limit)

    def show(self, reference: str) -> tuple[EventRecord, Sequence[DeliveryView]]:
        with self._database.reading() as session:
            found = find_event(session, reference)
            return found, deliveries_of_event(session, found.uuid)

    def follow(self, wanted: EventFilter) -> Iterator[EventRecord]:
        with self._database.reading() as session:
            place = feed.settled(session)
        while True:
            with self._database.reading() as session:
                found = feed.stretch(session, wanted, place, _PAGE)
            yield from (placed.event for placed in found.events)
            place = found.end
            if found.is_whole:
                time.sleep(_PAUSE_SECONDS)
