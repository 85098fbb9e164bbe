"""What became of the deliveries to a webhook: for people who look, and for programs that page.

In: a session, and which deliveries are meant. Out: frozen values, newest first. Never: a write, a payload's secret, or
the deliveries of analytics, which are nobody's to see.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - the API makes models of these dataclasses
from typing import TYPE_CHECKING
from uuid import UUID  # noqa: TC003

from sqlalchemy import select
from sqlalchemy.orm import defer

from outbox.delivery.models import AttemptRow, DeliveryRow
from outbox.events.models import Event
from outbox.reference import span_of
from outbox.subscribers.errors import Unknown
from outbox.subscribers.models import Webhook

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from outbox.delivery.state import Status


@dataclass(frozen=True, slots=True)
class AttemptView:
    number: int
    started_at: datetime
    milliseconds: float
    result: str
    status_code: int | None
    message: str
    worker: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said to one attempt, capped when it was recorded."""

    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class DeliveryView:
    uuid: UUID
    webhook: UUID
    webhook_name: str
    event: UUID
    event_type: str
    status: str
    lane: str
    attempts: int
    created_at: datetime
    due_at: datetime
    finished_at: datetime | None
    replay_of: UUID | None
    last: AttemptView | None
    """The last attempt that was recorded; one that is under way is not yet."""


@dataclass(frozen=True, slots=True)
class DeliveryDetail:
    delivery: DeliveryView
    attempts: tuple[tuple[AttemptView, Answer], ...]


def deliveries(
    session: Session, webhook: UUID, *, limit: int, status: Status | None = None, before: UUID | None = None
) -> list[DeliveryView]:
    """Newest first. The next page is `before` the last one of this page."""
    statement = _DELIVERIES.where(DeliveryRow.subscriber_uuid == webhook)
    if status:
        statement = statement.where(DeliveryRow.status == status)
    if before:
        statement = statement.where(DeliveryRow.uuid < before)
    return _views(session, statement.order_by(DeliveryRow.uuid.desc()).limit(limit))


def deliveries_of_event(session: Session, event: UUID) -> list[DeliveryView]:
    """Who was told of it, in the order in which they came to be."""
    return _views(session, _DELIVERIES.where(DeliveryRow.event_uuid == event).order_by(DeliveryRow.uuid))


def find_delivery(session: Session, reference: str) -> DeliveryView:
    """By uuid, or by what only one of them begins with. Raises Unknown."""
    span = span_of(reference)
    found = span and _views(session, _DELIVERIES.where(DeliveryRow.uuid.between(*span)).limit(2))
    if not found:
        text = f"No delivery {reference}. They are listed by: orchest webhook attempts NAME"
        raise Unknown(text, "There is no such delivery.")
    if len(found) > 1:
        plain = "Several deliveries begin so. Give more of the uuid."
        raise Unknown(f"Several deliveries begin with {reference}. Give more of the uuid.", plain)
    return found[0]


def detail(session: Session, reference: str) -> DeliveryDetail:
    """With every attempt and its answer. Raises Unknown."""
    found = find_delivery(session, reference)
    rows = session.scalars(select(AttemptRow).where(AttemptRow.delivery_uuid == found.uuid).order_by(AttemptRow.number))
    return DeliveryDetail(found, tuple((_attempt(row), _answer(row)) for row in rows))


_DELIVERIES = (
    select(DeliveryRow, Event.type, Webhook.name)
    .join(Event, Event.uuid == DeliveryRow.event_uuid)
    .join(Webhook, Webhook.uuid == DeliveryRow.subscriber_uuid)
)
"""The join leaves out what is not a webhook's."""


def _views(session: Session, statement: Select[DeliveryRow, str, str | None]) -> list[DeliveryView]:
    rows = session.execute(statement).all()
    last = _last_attempts(session, [row.uuid for row, _, _ in rows])
    return [_view(row, event_type, name or "", last.get(row.uuid)) for row, event_type, name in rows]


def _last_attempts(session: Session, uuids: Collection[UUID]) -> Mapping[UUID, AttemptView]:
    statement = (
        select(AttemptRow)
        .options(defer(AttemptRow.response_headers), defer(AttemptRow.response_body))
        .where(AttemptRow.delivery_uuid.in_(uuids))
        .order_by(AttemptRow.number)
    )
    return {row.delivery_uuid: _attempt(row) for row in session.scalars(statement)}


def _view(row: DeliveryRow, event_type: str, name: str, last: AttemptView | None) -> DeliveryView:
    return DeliveryView(
        uuid=row.uuid,
        webhook=row.subscriber_uuid,
        webhook_name=name,
        event=row.event_uuid,
        event_type=event_type,
        status=row.status,
        lane=row.lane,
        attempts=row.attempts,
        created_at=row.created_at,
        due_at=row.due_at,
        finished_at=row.finished_at,
        replay_of=row.replay_of,
        last=last,
    )


def _attempt(row: AttemptRow) -> AttemptView:
    return AttemptView(
        number=row.number,
        started_at=row.started_at,
        milliseconds=row.milliseconds,
        result=row.result,
        status_code=row.status_code,
        message=row.message,
        worker=row.worker,
    )


def _answer(row: AttemptRow) -> Answer:
    headers = json.loads(row.response_headers) if row.response_headers else []
    return Answer(tuple((str(name), str(value)) for name, value in headers), row.response_body or b"")
