"""The health of a subscriber as somebody changes it: paused, resumed, disabled, and its deliveries held or due with it.

In: a session of the caller's transaction, and the subscriber, a webhook or analytics. Out: its row in `endpoints`,
which workers write too, so it is locked before it is read. Never: a decision on health; `delivery/endpoint.py` decides.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import update

from outbox.database import announce
from outbox.delivery.endpoint import disabled, enabled, paused
from outbox.delivery.endpoint_rows import endpoint_of
from outbox.delivery.models import DeliveryRow
from outbox.delivery.state import Status
from outbox.subscribers.models import EndpointRow

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from outbox.delivery.endpoint import Endpoint


def locked(session: Session, subscriber: UUID) -> Endpoint:
    """As it is, and on PostgreSQL stays until the end of the transaction."""
    return endpoint_of(_locked_row(session, subscriber))


def change(session: Session, subscriber: UUID, next_of: Callable[[Endpoint], Endpoint]) -> None:
    row = _locked_row(session, subscriber)
    for name, value in asdict(next_of(endpoint_of(row))).items():
        setattr(row, name, value)
    session.flush()


def pause(session: Session, subscriber: UUID, reason: str) -> None:
    """Its deliveries are held, also those of events to come; what is under way ends."""
    change(session, subscriber, lambda endpoint: paused(endpoint, reason))
    _move(session, subscriber, Status.SCHEDULED, status=Status.HELD)


def disable(session: Session, subscriber: UUID, reason: str) -> None:
    """The same, but by the operator instead of its owner."""
    change(session, subscriber, lambda endpoint: disabled(endpoint, reason))
    _move(session, subscriber, Status.SCHEDULED, status=Status.HELD)


def resume(session: Session, subscriber: UUID, now: datetime) -> None:
    """Whatever was held is due now, and the record of failures begins anew."""
    change(session, subscriber, enabled)
    _move(session, subscriber, Status.HELD, status=Status.SCHEDULED, due_at=now)
    announce(session)


def _locked_row(session: Session, subscriber: UUID) -> EndpointRow:
    return session.get_one(EndpointRow, subscriber, with_for_update=True, populate_existing=True)


def _move(session: Session, subscriber: UUID, of: Status, **values: object) -> None:
    """All of its deliveries that have the status `of`."""
    its = (DeliveryRow.subscriber_uuid == subscriber, DeliveryRow.status == of)
    session.execute(update(DeliveryRow).where(*its).values(**values).execution_options(synchronize_session=False))
