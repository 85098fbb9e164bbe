"""Events in an order that never changes behind a reader: what a stream has passed, no transaction adds to any more.

In: a reading session, a place in that order. Out: events behind it, up to where the order is settled. Never: an event
twice, or one left out, however late its transaction commits and whatever its id or timestamp says.

Ids say when events were made, not when they became visible: a slow transaction, or a copy of what was recorded
elsewhere, comes with ids from before. So the database numbers events (migration 0006). On SQLite writers come one after
the other, and the numbers are in that order. On PostgreSQL the number is the transaction's own, and the order is
settled below the oldest transaction that is still writing: everything there is committed or gone for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from sqlalchemy import func, select, text, tuple_

from outbox.events.models import Event
from outbox.events.records import RECORD_COLUMNS, EventRecord, conditions_of

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from outbox.database import Database
    from outbox.events.records import EventFilter

NO_EVENT = UUID(int=0)


class Place(NamedTuple):
    """Behind the event of this number and id; with the id `NO_EVENT` before all events of the number."""

    number: int
    uuid: UUID


BEGINNING = Place(-(1 << 62), NO_EVENT)


class Placed(NamedTuple):
    place: Place
    event: EventRecord


class Stretch(NamedTuple):
    events: tuple[Placed, ...]
    end: Place
    """Up to here nothing is missing."""
    is_whole: bool
    """False: there is more that is settled already."""


def settled(session: Session) -> Place:
    """Behind the last event before which none can be added any more."""
    query = select(Event.position, Event.uuid).order_by(Event.position.desc(), Event.uuid.desc()).limit(1)
    if _is_postgresql(session):
        query = query.where(Event.position < _OLDEST_WRITER)
    last = session.execute(query).first()
    return BEGINNING if last is None or last[0] is None else Place(last[0], last[1])


def stretch(session: Session, wanted: EventFilter, after: Place, limit: int) -> Stretch:
    """At most `limit` events behind `after`."""
    end = settled(session)
    if end <= after:
        return Stretch((), after, is_whole=True)
    query = (
        select(Event.position, *RECORD_COLUMNS)
        .where(tuple_(Event.position, Event.uuid) > tuple_(after.number, after.uuid), Event.position <= end.number)
        .where(*conditions_of(wanted))
        .order_by(Event.position, Event.uuid)
        .limit(limit)
    )
    found = tuple(Placed(Place(number, row[0]), EventRecord(*row)) for number, *row in session.execute(query))
    if len(found) < limit:
        return Stretch(found, end, is_whole=True)
    return Stretch(found, found[-1].place, is_whole=False)


def place_behind(session: Session, uuid: UUID) -> Place | None:
    """Behind `NO_EVENT`: the beginning. None: there is no such event, or it is forgotten."""
    if uuid == NO_EVENT:
        return BEGINNING
    number = session.scalar(select(Event.position).where(Event.uuid == uuid))
    return None if number is None else Place(number, uuid)


def place_before(session: Session, instant: datetime) -> Place:
    """Before every event that is not older."""
    number = session.scalar(select(func.min(Event.position)).where(Event.timestamp >= instant))
    return settled(session) if number is None else Place(number, NO_EVENT)


def mend_after_restore(database: Database) -> int:
    """How many events had numbers of another server: PostgreSQL counts transactions anew where a dump is restored.

    They go before everything of this server, in the order they had. Usually one look into an index.
    """
    if database.is_sqlite:
        return 0
    with database.reading() as session:
        if not session.scalar(_FROM_ELSEWHERE):
            return 0
    with database.writing() as session:
        session.execute(text("LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE"))
        if not session.scalar(_FROM_ELSEWHERE):
            return 0
        return len(session.execute(_PUT_BEFORE).all())


def _is_postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"


_OLDEST_WRITER = text("pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
_FROM_ELSEWHERE = text("""
    SELECT EXISTS (SELECT 1 FROM events WHERE position >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint)
""")
_PUT_BEFORE = text("""
    WITH other AS (
        SELECT uuid, position FROM events WHERE position < 0 OR xmin::text::bigint <> position % 4294967296
    )
    UPDATE events SET position = events.position - 1 - (SELECT max(position) FROM other)
    FROM other WHERE other.uuid = events.uuid
    RETURNING events.uuid
""")
"""A row written on this server knows its transaction by itself (`xmin`, the lower half of its number)."""
