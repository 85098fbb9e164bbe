"""Events as they are in the table, for people who look and for copies.

In: a reading session. Out: frozen values, newest first. Never: a judgement of what is in them; events of types and
layers that this version does not know are read like all others. What was relayed for analytics is not among them.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - answers of the API are parsed into these dataclasses
from dataclasses import asdict, dataclass
from datetime import datetime  # noqa: TC003
from typing import TYPE_CHECKING, Any
from uuid import UUID  # noqa: TC003

from sqlalchemy import String, select, true, type_coerce

from outbox.events.errors import UnknownEventError
from outbox.events.models import RELAYED, Event, class_of
from outbox.reference import span_of
from outbox.subscribers.patterns import EVERYTHING, Interest, hears

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class EventRecord:
    uuid: UUID
    type: str
    layer: str
    """As recorded, known here or not."""
    timestamp: datetime
    project_uuid: UUID | None
    job_uuid: UUID | None
    facts: Mapping[str, Any]
    """JSON."""
    payload: str
    """JSON text: what users were told."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """None: all of them."""

    pattern: str = EVERYTHING
    """As in subscriptions; one that matches nothing finds nothing."""
    project_uuid: UUID | None = None
    job_uuid: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Exclusive."""


RECORD_COLUMNS = (
    Event.uuid,
    Event.type,
    type_coerce(Event.layer, String),
    Event.timestamp,
    Event.project_uuid,
    Event.job_uuid,
    Event.facts,
    Event.payload,
)
"""In the order of `EventRecord`."""
_RECORD = select(*RECORD_COLUMNS).where(Event.layer != RELAYED)


def list_events(session: Session, wanted: EventFilter, before: UUID | None, limit: int) -> tuple[EventRecord, ...]:
    """Newest first, at most `limit`. `before`: the last uuid of the page before this one."""
    conditions = conditions_of(wanted)
    if before is not None:
        conditions.append(Event.uuid < before)
    query = _RECORD.where(*conditions).order_by(Event.uuid.desc()).limit(limit)
    return tuple(EventRecord(*row) for row in session.execute(query))


def show_event(session: Session, uuid: UUID) -> EventRecord | None:
    """None: there is none."""
    row = session.execute(_RECORD.where(Event.uuid == uuid)).one_or_none()
    return None if row is None else EventRecord(*row)


def find_event(session: Session, reference: str) -> EventRecord:
    """By uuid, or by what only one of them begins with. Raises UnknownEventError."""
    span = span_of(reference)
    found = span and session.execute(_RECORD.where(Event.uuid.between(*span)).limit(2)).all()
    if not found:
        raise UnknownEventError(f"No event {reference}. They are listed by: orchest events list")
    if len(found) > 1:
        raise UnknownEventError(f"Several events begin with {reference}. Give more of the uuid.")
    return EventRecord(*found[0])


def of_pattern(pattern: str) -> ColumnElement[bool]:
    """The same as `patterns.hears`, for a query over events."""
    if pattern == EVERYTHING:
        return true()
    if pattern.endswith(":*"):
        return Event.type.startswith(pattern.removesuffix("*"), autoescape=True)
    return Event.type == pattern


def matches(wanted: EventFilter, event: EventRecord) -> bool:
    """The same as the query, for an event at hand."""
    return (
        hears(
            Interest(wanted.pattern, wanted.project_uuid, wanted.job_uuid),
            event.type,
            event.project_uuid,
            event.job_uuid,
        )
        and (wanted.since is None or event.timestamp >= wanted.since)
        and (wanted.until is None or event.timestamp < wanted.until)
    )


def record_of(event: Event) -> EventRecord:
    """Of an event that was just made; it need not be in any database."""
    return EventRecord(
        event.uuid,
        event.type,
        event.layer,
        event.timestamp,
        event.project_uuid,
        event.job_uuid,
        event.facts,
        event.payload,
    )


def event_from(record: EventRecord) -> Event:
    """The event again, in no session."""
    return class_of(record.layer)(**asdict(record))


def conditions_of(wanted: EventFilter) -> list[ColumnElement[bool]]:
    """For a query over events, as `matches` is for one event."""
    conditions = [Event.layer != RELAYED, of_pattern(wanted.pattern)]
    if wanted.project_uuid is not None:
        conditions.append(Event.project_uuid == wanted.project_uuid)
    if wanted.job_uuid is not None:
        conditions.append(Event.job_uuid == wanted.job_uuid)
    if wanted.since is not None:
        conditions.append(Event.timestamp >= wanted.since)
    if wanted.until is not None:
        conditions.append(Event.timestamp < wanted.until)
    return conditions
