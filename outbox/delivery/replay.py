"""Once more, because somebody asks: one delivery again, or all events of a span of time for one webhook.

In: a delivery, or a selection of events. Out: rows that are due. A retry keeps its id; a replay is a new delivery under
a new id, in a lane of its own that delays nobody. Never: a request, or an event that the webhook does not hear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import String, Uuid, and_, cast, func, insert, literal, literal_column, or_, select, type_coerce

from outbox.database import UtcDateTime, announce
from outbox.delivery.endpoint import Condition
from outbox.delivery.models import DeliveryRow
from outbox.delivery.state import Delivery, Lane, Status, held, retried
from outbox.events.models import Event
from outbox.events.records import of_pattern
from outbox.identity import RANDOM_BYTES, uuid7
from outbox.subscribers.errors import NotNow, Unknown
from outbox.subscribers.models import EndpointRow
from outbox.subscribers.patterns import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from outbox.database import Database
    from outbox.subscribers.patterns import Interest

BATCH = 1000
"""Events per transaction: a replay of a million lets others write in between."""
_WAITING = (Status.SCHEDULED, Status.CLAIMED, Status.HELD)


@dataclass(frozen=True, slots=True)
class Selection:
    """The events of a span of time that a webhook hears by its subscriptions of today, told to it then or not.

    An event that still waits for it is left out: it comes by itself.
    """

    webhook: UUID
    interests: tuple[Interest, ...]
    since: datetime
    until: datetime
    """Exclusive; not in the future, so that a replay ends."""
    pattern: str = EVERYTHING


def retry(session: Session, delivery: UUID, now: datetime) -> None:
    """A dead or waiting delivery is due now, under the same id. Raises Unknown, NotNow."""
    row = session.get(DeliveryRow, delivery, with_for_update=True)
    if row is None:
        raise Unknown(f"No delivery {delivery}. They are listed by: orchest webhook attempts NAME")
    if row.status == Status.CLAIMED:
        raise NotNow(f"Delivery {delivery} is under way at this moment. Look again: orchest webhook attempts")
    if row.status == Status.DELIVERED:
        raise NotNow(f"Delivery {delivery} was delivered. To send its event again: orchest webhook replay")
    if (condition := _condition(session, row.subscriber_uuid)) is not Condition.ENABLED:
        raise NotNow(f"The webhook of delivery {delivery} is {condition}. First: orchest webhook resume NAME")
    before = Delivery(
        status=Status(row.status),
        lane=Lane(row.lane),
        attempts=row.attempts,
        created_at=row.created_at,
        due_at=row.due_at,
        finished_at=row.finished_at,
    )
    after = retried(held(before), now)
    row.status, row.due_at, row.finished_at = after.status, after.due_at, after.finished_at
    announce(session)


def count(session: Session, selection: Selection) -> int:
    """How many deliveries a replay would make at this moment."""
    return session.scalar(select(func.count()).select_from(Event).where(_selected(selection))) or 0


def replay(database: Database, selection: Selection, now: datetime) -> int:
    """How many deliveries were made. Interrupted, it leaves whole batches behind, and another one takes up the rest."""
    done, last = 0, None
    while True:
        with database.writing() as session:
            made = _replay_batch(session, selection, now, last)
        done += len(made)
        if len(made) < BATCH:
            return done
        last = max(made)


def _replay_batch(session: Session, selection: Selection, now: datetime, after: UUID | None) -> Sequence[UUID]:
    """The next events behind `after`, oldest first: their uuids."""
    condition = _condition(session, selection.webhook)
    status = Status.SCHEDULED if condition is Condition.ENABLED else Status.HELD
    events = select(Event.uuid.label("event")).where(_selected(selection)).order_by(Event.uuid).limit(BATCH)
    if after:
        events = events.where(Event.uuid > after)
    chosen = events.subquery()
    columns = {
        DeliveryRow.uuid: _new_uuid(session, now),
        DeliveryRow.event_uuid: chosen.c.event,
        DeliveryRow.subscriber_uuid: literal(selection.webhook, Uuid()),
        DeliveryRow.status: literal(str(status)),
        DeliveryRow.lane: literal(str(Lane.REPLAY)),
        DeliveryRow.attempts: literal(0),
        DeliveryRow.created_at: literal(now, UtcDateTime()),
        DeliveryRow.due_at: literal(now, UtcDateTime()),
        DeliveryRow.replay_of: _earlier(selection.webhook, chosen.c.event),
    }
    statement = insert(DeliveryRow).from_select([column.key for column in columns], select(*columns.values()))
    made = session.scalars(statement.returning(DeliveryRow.event_uuid)).all()
    announce(session)
    return made


def _selected(selection: Selection) -> ColumnElement[bool]:
    waiting = select(DeliveryRow.uuid).where(
        DeliveryRow.event_uuid == Event.uuid,
        DeliveryRow.subscriber_uuid == selection.webhook,
        DeliveryRow.status.in_(_WAITING),
    )
    return and_(
        Event.timestamp >= selection.since,
        Event.timestamp < selection.until,
        of_pattern(selection.pattern),
        or_(*(_heard(interest) for interest in selection.interests)),
        ~waiting.exists(),
    )


def _heard(interest: Interest) -> ColumnElement[bool]:
    scope = []
    if interest.project_uuid:
        scope.append(Event.project_uuid == interest.project_uuid)
    if interest.job_uuid:
        scope.append(Event.job_uuid == interest.job_uuid)
    return and_(of_pattern(interest.pattern), *scope)


def _earlier(webhook: UUID, event: ColumnElement[UUID]) -> ColumnElement[UUID]:
    """The newest delivery of the same event to the same webhook, if there was one."""
    earlier = select(DeliveryRow.uuid).where(DeliveryRow.event_uuid == event, DeliveryRow.subscriber_uuid == webhook)
    return earlier.order_by(DeliveryRow.uuid.desc()).limit(1).scalar_subquery()


def _new_uuid(session: Session, now: datetime) -> ColumnElement[UUID]:
    """What `identity.new_uuid` makes, made by the database, anew for each row."""
    milliseconds = literal(uuid7(int(now.timestamp() * 1e9), bytes(RANDOM_BYTES)).hex[:13])
    if session.get_bind().dialect.name == "sqlite":
        variant = "substr('89ab', (random() & 3) + 1, 1)"
        digits = f"(substr(hex(randomblob(2)), 2) || {variant} || substr(hex(randomblob(8)), 2))"
        return type_coerce(func.lower(milliseconds.concat(literal_column(digits))), Uuid())
    rest = func.substr(func.replace(cast(func.gen_random_uuid(), String), "-", ""), 14)
    return cast(milliseconds.concat(rest), Uuid())


def _condition(session: Session, webhook: UUID) -> Condition:
    return Condition(session.scalars(select(EndpointRow.condition).where(EndpointRow.subscriber_uuid == webhook)).one())
