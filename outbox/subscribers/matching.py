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


_SUBSCRIBER, _SUBSCRIPTION, _ENDPOINT = (model.__table__.c for model in (Subscriber, Subscription, EndpointRow))
_HEARING = (
    select(_SUBSCRIBER.uuid, _SUBSCRIBER.type, _ENDPOINT.condition)
    .distinct()
    .select_from(Subscription.__table__)
    .join(Subscriber.__table__, _SUBSCRIBER.uuid == _SUBSCRIPTION.subscriber_uuid)
    .join(EndpointRow.__table__, _ENDPOINT.subscriber_uuid == _SUBSCRIPTION.subscriber_uuid)
    .where(
        _SUBSCRIPTION.event_type.in_(bindparam("patterns", expanding=True)),
        or_(_SUBSCRIPTION.project_uuid.is_(None), _SUBSCRIPTION.project_uuid == bindparam("project", type_=Uuid())),
        or_(_SUBSCRIPTION.job_uuid.is_(None), _SUBSCRIPTION.job_uuid == bindparam("job", type_=Uuid())),
    )
    .order_by(_SUBSCRIBER.uuid)
)
"""Made once: building it costs more than running it. Of tables, not of models: each row is a tuple and nothing else."""


def hearing(session: Session, event_type: str, project_uuid: UUID | None, job_uuid: UUID | None) -> list[Hearing]:
    """Ordered by subscriber, so that those who lock their rows one after the other never wait for each other."""
    parameters = {"patterns": patterns_hearing(event_type), "project": project_uuid, "job": job_uuid}
    return [Hearing(*row) for row in session.connection().execute(_HEARING, parameters)]
