"""Once more, because somebody asks: one delivery again, or all events of a span of time for one webhook.

In: a delivery, or a selection of events. Out: rows that are due. A retry keeps its id; a replay is a new delivery under
a new id, in a lane of its own that delays nobody. Never: a request, or an event that the webhook does not hear.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime  # noqa: TC003 - a NamedTuple's annotations are values
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID  # noqa: TC003

from sqlalchemy import String, Uuid, and_, cast, func, insert, literal, literal_column, or_, select, type_coerce

from outbox.database import UtcDateTime, announce
from outbox.delivery.endpoint import Condition
from outbox.delivery.models import DeliveryRow
from outbox.delivery.state import Delivery, Lane, Status, held, retried
from outbox.events.models import RELAYED, Event
from outbox.events.records import of_pattern
from outbox.identity import RANDOM_BYTES, uuid7
from outbox.subscribers.errors import NotNow, Unknown
from outbox.subscribers.models import EndpointRow, Webhook
from outbox.subscribers.patterns import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session
    from sqlalchemy.sql.elements import SQLCoreOperations

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
    after: Position | None = None
    """Without the events up to there: the `last` of the batch before."""


class Position(NamedTuple):
    """Of an event among all, the oldest first."""

    timestamp: datetime
    event: UUID


class Batch(NamedTuple):
    made: int
    """Deliveries."""
    last: Position | None
    """Of a full batch; None: there are no more events."""


def retry(session: Session, delivery: UUID, now: datetime) -> None:
    """A dead or waiting delivery is due now, under the same id. Raises Unknown, NotNow."""
    row = session.scalars(_OF_WEBHOOK.where(DeliveryRow.uuid == delivery)).one_or_none()
    if row is None:
        text = f"No delivery {delivery}. They are listed by: orchest webhook attempts NAME"
        raise Unknown(text, "There is no such delivery.")
    if row.status == Status.CLAIMED:
        text = f"Delivery {delivery} is under way at this moment. Look again: orchest webhook attempts"
        raise NotNow(text, "The delivery is under way at this moment. Look again in a minute.")
    if row.status == Status.DELIVERED:
        text = f"Delivery {delivery} was delivered. To send its event again: orchest webhook replay"
        raise NotNow(text, "The delivery was delivered. To send its event again, replay it.")
    if (condition := _condition(session, row.subscriber_uuid)) is not Condition.ENABLED:
        text = f"The webhook of delivery {delivery} is {condition}. First: orchest webhook resume NAME"
        raise NotNow(text, f"The webhook of the delivery is {condition}. Resume it first.")
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
    return _counted(session, and_(_chosen(selection), ~_is_waited_for(selection.webhook)))


def count_ahead(session: Session, selection: Selection) -> int:
    """How many events a replay would look at, those that it leaves out included: quicker than `count`."""
    return _counted(session, _chosen(selection))


def replay(database: Database, selection: Selection, now: datetime) -> int:
    """How many deliveries were made. Interrupted, it leaves whole batches behind, and another one takes up the rest."""
    done = 0
    while True:
        with database.writing() as session:
            batch = replay_batch(session, selection, now)
        done += batch.made
        if batch.last is None:
            return done
        selection = replace(selection, after=batch.last)


def replay_batch(session: Session, selection: Selection, now: datetime) -> Batch:
    """Of the next `BATCH` events, the oldest first. So long as it takes, however many wait or are still to come."""
    events = select(Event.timestamp, Event.uuid).where(_chosen(selection))
    found = session.execute(events.order_by(Event.timestamp, Event.uuid).limit(BATCH)).all()
    made = _repeat(session, selection.webhook, [event for _, event in found], now)
    announce(session)
    return Batch(made, Position(*found[-1]) if len(found) == BATCH else None)


def _repeat(session: Session, webhook: UUID, events: Sequence[UUID], now: datetime) -> int:
    condition = _condition(session, webhook)
    status = Status.SCHEDULED if condition is Condition.ENABLED else Status.HELD
    columns = {
        DeliveryRow.uuid: _new_uuid(session, now),
        DeliveryRow.event_uuid: Event.uuid,
        DeliveryRow.subscriber_uuid: literal(webhook, Uuid()),
        DeliveryRow.status: literal(str(status)),
        DeliveryRow.lane: literal(str(Lane.REPLAY)),
        DeliveryRow.attempts: literal(0),
        DeliveryRow.created_at: literal(now, UtcDateTime()),
        DeliveryRow.due_at: literal(now, UtcDateTime()),
        DeliveryRow.replay_of: _earlier(webhook),
    }
    repeated = select(*columns.values()).where(Event.uuid.in_(events), ~_is_waited_for(webhook))
    statement = insert(DeliveryRow).from_select([column.key for column in columns], repeated)
    return len(session.scalars(statement.returning(DeliveryRow.uuid)).all())


def _counted(session: Session, condition: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(Event).where(condition)) or 0


def _chosen(selection: Selection) -> ColumnElement[bool]:
    return and_(
        Event.layer != RELAYED,
        _behind(selection),
        Event.timestamp < selection.until,
        of_pattern(selection.pattern),
        or_(*(_heard(interest) for interest in selection.interests)),
    )


def _behind(selection: Selection) -> ColumnElement[bool]:
    if selection.after is None:
        return Event.timestamp >= selection.since
    timestamp, event = selection.after
    ties = and_(Event.timestamp == timestamp, Event.uuid > event)
    return and_(Event.timestamp >= max(selection.since, timestamp), or_(Event.timestamp > timestamp, ties))


def _is_waited_for(webhook: UUID) -> ColumnElement[bool]:
    """Whether the event still waits for it.

    Not EXISTS: PostgreSQL makes a join of that, of a size it guessed before the replay made its deliveries.
    """
    waiting = select(func.count()).select_from(DeliveryRow).where(*_told(webhook), DeliveryRow.status.in_(_WAITING))
    return waiting.scalar_subquery() > 0


def _told(webhook: UUID) -> tuple[ColumnElement[bool], ...]:
    """The deliveries of the event to it, by the index of events: an event has few, a webhook has millions."""
    return (DeliveryRow.event_uuid == Event.uuid, _unindexed(DeliveryRow.subscriber_uuid) == webhook)


def _unindexed(column: SQLCoreOperations[UUID]) -> ColumnElement[UUID]:
    """The same value in a form that no index serves."""
    return func.coalesce(column, column)


def _heard(interest: Interest) -> ColumnElement[bool]:
    scope = []
    if interest.project_uuid:
        scope.append(Event.project_uuid == interest.project_uuid)
    if interest.job_uuid:
        scope.append(Event.job_uuid == interest.job_uuid)
    return and_(of_pattern(interest.pattern), *scope)


def _earlier(webhook: UUID) -> ColumnElement[UUID]:
    """The newest delivery of the same event to the same webhook, if there was one."""
    earlier = select(DeliveryRow.uuid).where(*_told(webhook))
    return earlier.order_by(_unindexed(DeliveryRow.uuid).desc()).limit(1).scalar_subquery()


def _new_uuid(session: Session, now: datetime) -> ColumnElement[UUID]:
    """What `identity.new_uuid` makes, made by the database, anew for each row."""
    milliseconds = literal(uuid7(int(now.timestamp() * 1e9), bytes(RANDOM_BYTES)).hex[:13])
    if session.get_bind().dialect.name == "sqlite":
        variant = "substr('89ab', (random() & 3) + 1, 1)"
        digits = f"(substr(hex(randomblob(2)), 2) || {variant} || substr(hex(randomblob(8)), 2))"
        return type_coerce(func.lower(milliseconds.concat(literal_column(digits))), Uuid())
    rest = func.substr(func.replace(cast(func.gen_random_uuid(), String), "-", ""), 14)
    return cast(milliseconds.concat(rest), Uuid())


_OF_WEBHOOK = (
    select(DeliveryRow)
    .join(Webhook, Webhook.uuid == DeliveryRow.subscriber_uuid)
    .with_for_update(of=DeliveryRow)
    .execution_options(populate_existing=True)
)
"""The join leaves out what is not a webhook's."""


def _condition(session: Session, webhook: UUID) -> Condition:
    return Condition(session.scalars(select(EndpointRow.condition).where(EndpointRow.subscriber_uuid == webhook)).one())
