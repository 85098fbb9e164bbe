"""New events for all streams of this process: one question to the database in a quarter of a second, while they listen.

In: the order of `outbox.events.feed`. Out: stretches of it behind any place; recent ones from memory, older ones from
the database. Never: a buffer for each reader. A slow reader only falls behind, and reads for itself from where it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import asynccontextmanager
from http import HTTPStatus
from itertools import takewhile
from typing import TYPE_CHECKING, TypeVar

from outbox.errors import DatabaseError
from outbox.events.feed import Place, Placed, Stretch, mend_after_restore, settled, stretch
from outbox.events.records import EventFilter, matches
from services.api.http.problems import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from services.api.http.work import Work

_log = logging.getLogger("services.api")

MOST_LISTENERS = 500
"""In one process."""
MOST_REMEMBERED = 1000
MOST_CHARACTERS = 4 * 1024 * 1024
"""Of the payloads that are remembered."""
_PAUSE_SECONDS = 0.25
_PAUSE_AFTER_ERROR_SECONDS = 2.0
_PAGE = 200
_ALL = EventFilter()

Found = TypeVar("Found")


class EventFeed:
    """For the tasks of one event loop."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._listeners = 0
        self._poller: asyncio.Task[None] | None = None
        self._recent: Recent | None = None
        self._moved = asyncio.Event()

    def check_room(self) -> None:
        """Raises ApiError 503."""
        if self._listeners >= MOST_LISTENERS:
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{MOST_LISTENERS} streams are open here, and no more are served. Try again later.",
                headers={"Retry-After": "10"},
            )

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        self._listeners += 1
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll())
        try:
            yield
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._poller.cancel()
                self._poller = self._recent = None

    async def behind(self, place: Place, wanted: EventFilter) -> Stretch:
        """Raises DatabaseError."""
        found = None if self._recent is None else self._recent.behind(place)
        if found is None:
            return await self._work.run(lambda: self._read(place, wanted))
        return found._replace(events=tuple(one for one in found.events if matches(wanted, one.event)))

    async def moved(self, place: Place) -> None:
        """Until there is something behind `place`. Only while listening."""
        while self._recent is None or self._recent.end <= place:
            await self._moved.wait()

    async def _poll(self) -> None:
        await self._answered(lambda: mend_after_restore(self._work.database))
        recent = self._recent = Recent(await self._answered(self._settled))
        self._tell()
        while True:
            found = await self._answered(lambda: self._read(recent.end, _ALL))
            if found.end > recent.end:
                recent.add(found)
                self._tell()
            if found.is_whole:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _answered(self, function: Callable[[], Found]) -> Found:
        """By the database, as soon as it can: until then the streams are silent."""
        while True:
            try:
                return await self._work.run(function)
            except DatabaseError as error:
                _log.warning("streams wait for the database", extra={"reason": str(error)})
            await asyncio.sleep(_PAUSE_AFTER_ERROR_SECONDS)

    def _tell(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _settled(self) -> Place:
        with self._work.database.reading() as session:
            return settled(session)

    def _read(self, place: Place, wanted: EventFilter) -> Stretch:
        with self._work.database.reading() as session:
            return stretch(session, wanted, place, _PAGE)


class Recent:
    """The last events, within bounds: everything there is between two places."""

    def __init__(self, place: Place) -> None:
        self._start = place
        self.end = place
        self._events: deque[Placed] = deque()
        self._characters = 0

    def add(self, found: Stretch) -> None:
        """What follows."""
        self.end = found.end
        for placed in found.events:
            self._events.append(placed)
            self._characters += len(placed.event.payload)
        while len(self._events) > MOST_REMEMBERED or self._characters > MOST_CHARACTERS:
            forgotten = self._events.popleft()
            self._characters -= len(forgotten.event.payload)
            self._start = forgotten.place

    def behind(self, place: Place) -> Stretch | None:
        """None: it is not remembered that far."""
        if place < self._start:
            return None
        if place >= self.end:
            return Stretch((), place, is_whole=True)
        newer = takewhile(lambda placed: placed.place > place, reversed(self._events))
        return Stretch(tuple(newer)[::-1], self.end, is_whole=True)
