"""What others want analytics to know: a front end that was clicked at, a service that duplicated a job.

In: the name of an event and its telemetry payload, in the caller's transaction. Out: an event and a delivery for
analytics alone. Never: an event that users hear or see, even if it has the name of one; a value that the allow-list
does not name, not even stored; anything at all while analytics are off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Table, insert

from outbox.analytics import SUBSCRIBER, anonymous
from outbox.database import announce
from outbox.delivery.endpoint import Condition
from outbox.delivery.models import DeliveryRow
from outbox.delivery.state import Lane, Status
from outbox.events import models
from outbox.identity import new_uuid
from outbox.subscribers.models import EndpointRow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from outbox.analytics import Event

_INSERT_EVENT = insert(cast("Table", models.Event.__table__))
_INSERT_DELIVERY = insert(cast("Table", DeliveryRow.__table__))


def relay(session: Session, event: Event, payload: Mapping[str, Mapping[str, Any]], now: datetime) -> UUID | None:
    """The uuid under which it is recorded; None, and nothing recorded, while analytics are off.

    `payload` has `event_properties` and `derived_properties` and nothing else. Raises ValueError for another one.
    """
    telemetry = anonymous(event, payload)
    endpoint = session.get(EndpointRow, SUBSCRIBER)
    if endpoint is None or endpoint.condition != Condition.ENABLED:
        return None
    uuid = new_uuid()
    telemetry["event_properties"] |= {"uuid": str(uuid), "timestamp": str(now)}
    what = {"uuid": uuid, "type": event.value, "layer": models.RELAYED, "timestamp": now, "facts": {}, "payload": "{}"}
    session.execute(_INSERT_EVENT, what | {"telemetry": models.json_text(telemetry)})
    whom = {"uuid": new_uuid(), "event_uuid": uuid, "subscriber_uuid": SUBSCRIBER, "lane": str(Lane.ANALYTICS)}
    state = {"status": str(Status.SCHEDULED), "attempts": 0, "created_at": now, "due_at": now}
    session.execute(_INSERT_DELIVERY, whom | state)
    announce(session)
    return uuid
