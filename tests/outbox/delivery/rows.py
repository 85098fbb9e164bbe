"""Rows to begin a test with: subscribers, events and deliveries as the rest of the outbox would have written them."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import insert, select, update

from outbox.delivery.claim import Claimed, Wanted, claim, instant
from outbox.delivery.models import AttemptRow, DeliveryRow
from outbox.delivery.state import Lane
from outbox.events.models import Event
from outbox.identity import new_uuid
from outbox.key_ring import KeyRing
from outbox.subscribers.destinations import place
from outbox.subscribers.models import EndpointRow, Subscriber

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from sqlalchemy import Table
    from sqlalchemy.engine import Connection, RowMapping

    from outbox.database import Base, Database

NOW = datetime.now(UTC) - timedelta(minutes=1)
"""A moment that both databases agree has passed."""
KEY_RING = KeyRing(["k" * 64])
URL = "https://receiver.example/hook"
EVENT_TYPE = "project:created"


def add_subscriber(
    database: Database, *, kind: str = "webhook", max_in_flight: int = 100, rate: float | None = None, **endpoint: Any
) -> UUID:
    uuid = new_uuid()
    with database.writing() as session:
        session.execute(
            insert(table_of(Subscriber)).values(
                uuid=uuid,
                type=kind,
                created_at=NOW,
                max_in_flight=max_in_flight,
                rate_per_second=rate,
                name=kind,
                url=KEY_RING.encrypt(URL, place(uuid, "url")),
            )
        )
        health = {"condition": "enabled", "reason": "", "breaker": "closed", "consecutive_failures": 0, "openings": 0}
        session.execute(insert(table_of(EndpointRow)).values(subscriber_uuid=uuid, **(health | endpoint)))
    return uuid


def add_deliveries(database: Database, subscriber: UUID, count: int = 1, **columns: Any) -> list[UUID]:
    """Each with an event of its own; due since `NOW`, oldest first."""
    events = [
        {
            "uuid": new_uuid(),
            "type": EVENT_TYPE,
            "layer": "project",
            "timestamp": NOW,
            "facts": {},
            "payload": f'{{"number": {number}}}',
            "telemetry": f'{{"telemetry": {number}}}',
        }
        for number in range(count)
    ]
    plain = {"status": "scheduled", "lane": "first", "attempts": 0, "created_at": NOW}
    made: list[dict[str, Any]] = [
        plain
        | {
            "uuid": new_uuid(),
            "event_uuid": event["uuid"],
            "subscriber_uuid": subscriber,
            "due_at": NOW + timedelta(microseconds=number),
        }
        | columns
        for number, event in enumerate(events)
    ]
    with database.writing() as session:
        session.execute(insert(table_of(Event)), events)
        session.execute(insert(table_of(DeliveryRow)), made)
    return [row["uuid"] for row in made]


def table_of(model: type[Base]) -> Table:
    return cast("Table", model.__table__)


def delivery(database: Database, uuid: UUID) -> RowMapping:
    with database.reading() as session:
        return session.execute(select(DeliveryRow.__table__).where(DeliveryRow.uuid == uuid)).mappings().one()


def deliveries(database: Database) -> Sequence[RowMapping]:
    with database.reading() as session:
        return session.execute(select(DeliveryRow.__table__).order_by(DeliveryRow.uuid)).mappings().all()


def attempts(database: Database) -> Sequence[RowMapping]:
    with database.reading() as session:
        statement = select(AttemptRow.__table__).order_by(AttemptRow.delivery_uuid, AttemptRow.number)
        return session.execute(statement).mappings().all()


def endpoint(database: Database, subscriber: UUID) -> RowMapping:
    with database.reading() as session:
        statement = select(EndpointRow.__table__).where(EndpointRow.subscriber_uuid == subscriber)
        return session.execute(statement).mappings().one()


@contextmanager
def transaction(database: Database) -> Iterator[tuple[Connection, datetime]]:
    """A writing one, and the time in it."""
    with database.writing() as session:
        connection = session.connection()
        yield connection, instant(connection)


def claim_all(
    database: Database, subscriber: UUID, *, worker: str = "me", lane: Lane = Lane.FIRST, rows: int = 1000
) -> list[Claimed]:
    with transaction(database) as (connection, now):
        wanted = [Wanted(subscriber, lane, rows)]
        return claim(connection, wanted, worker=worker, now=now, lease=timedelta(seconds=60))


def change(database: Database, model: type[Base], **values: Any) -> None:
    """In all rows of that table."""
    with database.writing() as session:
        session.execute(update(table_of(model)).values(**values))
