"""What nobody reports: leases that ran out, deliveries that do not fit the condition of their endpoint, clock steps.

In: a transaction and an instant. Out: rows put right, few enough at a time that the transaction stays short; the next
sweep goes on. Never: a queue or a hint. All is found in the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy import and_, bindparam, literal_column, or_, select, text, update

from outbox.database import UtcDateTime
from outbox.delivery.endpoint import Breaker, Endpoint
from outbox.delivery.finish import Move, Policies, advance
from outbox.delivery.models import DeliveryRow
from outbox.delivery.state import Delivery, Lane, Status, expired, is_lost, overdue
from outbox.subscribers.models import EndpointRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Select, Table
    from sqlalchemy.engine import Connection

MOST = 500
"""Rows of each kind in one sweep."""


class Swept(NamedTuple):
    """How many rows of each kind were put right, or are to be."""

    lost: int = 0
    """Their lease ran out."""
    overdue: int = 0
    """A failing endpoint kept them waiting for too long."""
    held: int = 0
    """Their endpoint is not enabled."""
    resumed: int = 0
    """Their endpoint is enabled again."""
    misdated: int = 0
    """Due further away than any delay: a clock was set back."""


def found(connection: Connection, now: datetime, policies: Policies) -> Swept:
    """What a sweep would put right: a look that locks nothing and writes nothing."""
    return Swept(
        len(_lost(connection, _LOST, now, policies)),
        len(_overdue(connection, _OLD, now, policies)),
        len(connection.scalars(_UNHELD).all()),
        len(connection.scalars(_UNRESUMED).all()),
        len(connection.scalars(_MISDATED, {"beyond": _beyond(now, policies)}).all()),
    )


def sweep(connection: Connection, now: datetime, policies: Policies) -> Swept:
    """Puts right what nobody else holds locked."""
    lost = advance(connection, _lost(connection, _locking(_LOST), now, policies))
    dead = _overdue(connection, _locking(_OLD), now, policies)
    if dead:
        connection.execute(_END, [{"delivery": uuid, "now": now} for uuid in dead])
    held = connection.scalars(_locking(_UNHELD)).all()
    resumed = connection.scalars(_locking(_UNRESUMED)).all()
    misdated = connection.scalars(_MISDATED, {"beyond": _beyond(now, policies)}).all()
    _set(connection, held, {"status": str(Status.HELD)})
    _set(connection, resumed, {"status": str(Status.SCHEDULED), "due_at": now})
    _set(connection, misdated, {"due_at": now})
    return Swept(len(lost), len(dead), len(held), len(resumed), len(misdated))


def release(connection: Connection, worker: str, now: datetime, policies: Policies) -> int:
    """What is still claimed by a worker that ends is due again at once, as if its lease had run out. How many."""
    rows = connection.execute(_locking(_OF_WORKER), {"worker": worker}).all()
    moves = [Move(row.uuid, worker, row.attempts, _expired(row, now, policies)) for row in rows]
    return len(advance(connection, moves))


def _lost(connection: Connection, statement: Select[Any], now: datetime, policies: Policies) -> list[Move]:
    rows = connection.execute(statement, {"now": now, "beyond": now + 2 * policies.lease})
    return [
        Move(row.uuid, row.claimed_by, row.attempts, _expired(row, now, policies))
        for row in rows
        if is_lost(_delivery(row), now, policies.lease)
    ]


def _overdue(connection: Connection, statement: Select[Any], now: datetime, policies: Policies) -> list[Any]:
    age = min(policies.webhook.max_age, policies.analytics.max_age)
    rows = connection.execute(statement, {"past": now - age})
    return [row.uuid for row in rows if _is_overdue(row, now, policies)]


def _is_overdue(row: Any, now: datetime, policies: Policies) -> bool:
    endpoint = Endpoint(
        row.subscriber_uuid, breaker=Breaker.OPEN, failing_since=row.failing_since, open_until=row.open_until
    )
    return overdue(_delivery(row), endpoint, now, policies.of(Lane(row.lane))).status is Status.DEAD


def _expired(row: Any, now: datetime, policies: Policies) -> Delivery:
    return expired(_delivery(row), now, policies.of(Lane(row.lane)))


def _delivery(row: Any) -> Delivery:
    return Delivery(
        Status(row.status),
        Lane(row.lane),
        row.attempts,
        row.created_at,
        row.due_at,
        row.claimed_by,
        row.lease_until,
    )


def _beyond(now: datetime, policies: Policies) -> datetime:
    return now + max(policies.webhook.longest_delay, policies.analytics.longest_delay)


def _locking(statement: Select[Any]) -> Select[Any]:
    return statement.with_for_update(of=_TABLE, skip_locked=True)


def _set(connection: Connection, deliveries: Sequence[Any], values: dict[str, object]) -> None:
    if deliveries:
        connection.execute(_CHOSEN.values(values), {"deliveries": list(deliveries)})


_TABLE = cast("Table", DeliveryRow.__table__)
_ENDPOINTS = cast("Table", EndpointRow.__table__)
_LITERAL = {status: _TABLE.c.status == literal_column(f"'{status}'") for status in Status}
"""Not as parameters: only then are the partial indexes of these rows found."""
_COLUMNS = [
    _TABLE.c[name]
    for name in (
        *("uuid", "subscriber_uuid", "status", "lane", "attempts", "created_at", "due_at", "claimed_by"),
        "lease_until",
    )
]
_LOST = (
    select(*_COLUMNS)
    .where(
        _LITERAL[Status.CLAIMED],
        or_(
            _TABLE.c.lease_until <= bindparam("now", type_=UtcDateTime()),
            _TABLE.c.lease_until > bindparam("beyond", type_=UtcDateTime()),
        ),
    )
    .limit(MOST)
)
_OF_WORKER = select(*_COLUMNS).where(_LITERAL[Status.CLAIMED], _TABLE.c.claimed_by == bindparam("worker"))
_OLD = (
    select(*_COLUMNS, _ENDPOINTS.c.failing_since, _ENDPOINTS.c.open_until)
    .join_from(_ENDPOINTS, _TABLE, _TABLE.c.subscriber_uuid == _ENDPOINTS.c.subscriber_uuid)
    .where(
        _ENDPOINTS.c.breaker == str(Breaker.OPEN),
        _ENDPOINTS.c.failing_since < bindparam("past", type_=UtcDateTime()),
        _LITERAL[Status.SCHEDULED],
        _TABLE.c.due_at < bindparam("past", type_=UtcDateTime()),
    )
    .limit(MOST)
)


def _misfits(status: Status, condition: Any) -> Any:
    """Rows of that status whose endpoint is in such a condition."""
    return (
        select(_TABLE.c.uuid)
        .join_from(_ENDPOINTS, _TABLE, _TABLE.c.subscriber_uuid == _ENDPOINTS.c.subscriber_uuid)
        .where(and_(condition, _LITERAL[status]))
        .limit(MOST)
    )


_UNHELD = _misfits(Status.SCHEDULED, _ENDPOINTS.c.condition != "enabled")
_UNRESUMED = _misfits(Status.HELD, _ENDPOINTS.c.condition == "enabled")
_MISDATED = (
    text("""
    SELECT deliveries.uuid FROM endpoints
    CROSS JOIN (
        SELECT 'first' AS lane UNION ALL SELECT 'retry' UNION ALL SELECT 'replay' UNION ALL SELECT 'analytics'
    ) AS lanes
    JOIN deliveries ON deliveries.subscriber_uuid = endpoints.subscriber_uuid AND deliveries.lane = lanes.lane
    WHERE deliveries.status = 'scheduled' AND deliveries.due_at > :beyond
    LIMIT 500
    """)
    .bindparams(bindparam("beyond", type_=UtcDateTime()))
    .columns(uuid=_TABLE.c.uuid.type)
)
_CHOSEN = update(_TABLE).where(_TABLE.c.uuid.in_(bindparam("deliveries", expanding=True)))
_END = (
    update(_TABLE)
    .where(_TABLE.c.uuid == bindparam("delivery"))
    .values(status=str(Status.DEAD), finished_at=bindparam("now", type_=UtcDateTime()))
)
