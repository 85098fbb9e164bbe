"""Who hears an event: the rules of `patterns.py`, asked of the database in one query.

In: type, project and job of an event. Out: each subscriber once, however many of its subscriptions match.
Never: a decision of its own; a property test holds it to the pure rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID  # noqa: TC003 - a NamedTuple's annotations are values

from sqlalchemy import Uuid, bindparam, or_, select

from outbox.subscribers.models import EndpointRow, Subscriber, Subscription
from outbox.subscribers.patterns import patterns_hearing

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class Hearing(NamedTuple):
    subscriber: UUID
    kind: str
    """`webhook` or `analytics`."""
    condition: str
    """Of its endpoint: `enabled`, `paused` or `disabled`."""


_HEARING = (
    select(Subscriber.uuid, Subscriber.type, EndpointRow.condition)
    .distinct()
    .select_from(Subscription)
    .join(Subscriber, Subscriber.uuid == Subscription.subscriber_uuid)
    .join(EndpointRow, EndpointRow.subscriber_uuid == Subscription.subscriber_uuid)
    .where(
        Subscription.event_type.in_(bindparam("patterns", expanding=True)),
        or_(Subscription.project_uuid.is_(None), Subscription.project_uuid == bindparam("project", type_=Uuid())),
        or_(Subscription.job_uuid.is_(None), Subscription.job_uuid == bindparam("job", type_=Uuid())),
    )
    .order_by(Subscriber.uuid)
)
"""Made once: building it costs more than running it."""


def hearing(session: Session, event_type: str, project_uuid: UUID | None, job_uuid: UUID | None) -> list[Hearing]:
    """Ordered by subscriber, so that those who lock their rows one after the other never wait for each other."""
    parameters = {"patterns": patterns_hearing(event_type), "project": project_uuid, "job": job_uuid}
    return [Hearing(*row) for row in session.execute(_HEARING, parameters)]
