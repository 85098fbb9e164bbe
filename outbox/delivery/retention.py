"""Forgetting what is over: finished deliveries with their attempts, then the events that no delivery needs any more.

In: an age. Out: rows deleted, few at a time, so that nobody waits for it. Never: a delivery that is not finished, or an
event of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlalchemy import bindparam, delete, select, text

from outbox.database import UtcDateTime
from outbox.delivery.claim import instant
from outbox.delivery.models import DeliveryRow

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy import Table
    from sqlalchemy.engine import Connection

    from outbox.database import Database

_BATCH = 500
_BATCHES = 20
"""In one go: the rest is for the next."""


def forget(database: Database, keep: timedelta) -> int:
    """Deletes what was over longer than `keep` ago. Returns how many deliveries and events went."""
    total = 0
    for _ in range(_BATCHES):
        with database.writing() as session:
            connection = session.connection()
            gone = _forget_some(connection, instant(connection) - keep)
        total += gone
        if not gone:
            break
    return total


def _forget_some(connection: Connection, past: datetime) -> int:
    for find, remove in ((_OVER, _REMOVE_DELIVERIES), (_NEEDLESS, _REMOVE_EVENTS)):
        found = connection.scalars(find, {"past": past, "most": _BATCH}).all()
        if found:
            connection.execute(remove, {"found": list(found)})
            return len(found)
    return 0


_TABLE = cast("Table", DeliveryRow.__table__)
_OVER = (
    select(_TABLE.c.uuid)
    .where(_TABLE.c.finished_at.is_not(None), _TABLE.c.finished_at < bindparam("past", type_=UtcDateTime()))
    .order_by(_TABLE.c.finished_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_REMOVE_DELIVERIES = delete(_TABLE).where(_TABLE.c.uuid.in_(bindparam("found", expanding=True)))
_NEEDLESS = (
    text("""
    SELECT uuid FROM events
    WHERE timestamp < :past AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.event_uuid = events.uuid)
    ORDER BY timestamp LIMIT :most
    """)
    .bindparams(bindparam("past", type_=UtcDateTime()))
    .columns(uuid=_TABLE.c.uuid.type)
)
_REMOVE_EVENTS = text("DELETE FROM events WHERE uuid IN :found").bindparams(
    bindparam("found", expanding=True, type_=_TABLE.c.uuid.type)
)
