"""Taking due deliveries: which wait for whom, how many are under way, and the claim itself.

In: a transaction, an instant, how many are wanted of whom in which lane. Out: claimed rows with what a sender needs.
Never: a look at more rows than are wanted. A backlog of millions costs a claim as little as a short one, because all
statements walk the partial index of scheduled rows (`ix_deliveries_due`) from subscriber to subscriber.

A claim raises the attempt number, so that a delivery that kills its worker uses up its attempts like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID  # noqa: TC003 - a NamedTuple's annotations are values

from sqlalchemy import Integer, String, Text, Uuid, bindparam, func, select, text

from outbox.database import UtcDateTime
from outbox.delivery.endpoint import HEALTH_POLICY
from outbox.delivery.schedule import LONGEST_RETRY_AFTER
from outbox.delivery.sqlite_values import stored_instant, stored_uuid
from outbox.delivery.state import Lane

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from sqlalchemy.engine import Connection


class Due(NamedTuple):
    """What waits for one subscriber in one lane."""

    subscriber: UUID
    lane: Lane
    rows: int
    """At most as many as were asked for."""


class Wanted(NamedTuple):
    subscriber: UUID
    lane: Lane
    rows: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is ours until its lease ends."""

    delivery: UUID
    subscriber: UUID
    lane: Lane
    attempt: int
    created_at: datetime
    due_at: datetime
    lease_until: datetime
    event_type: str
    payload: str


def instant(connection: Connection) -> datetime:
    """The time that all workers agree on: the server's on PostgreSQL, the host's on SQLite."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    now: datetime = connection.execute(_NOW).scalar_one()
    return now


def due(connection: Connection, now: datetime, most: int) -> list[Due]:
    """The pairs of subscriber and lane with due rows, counted up to `most`; without endpoints that take none now."""
    parameters = {"now": now, "most": most, "opening": now + _LONGEST_OPENING, "silence": now + LONGEST_RETRY_AFTER}
    rows = connection.execute(_DUE, parameters).all()
    return [Due(subscriber, Lane(lane), count) for subscriber, lane, count in rows if count]


def in_flight(connection: Connection) -> dict[UUID, int]:
    """Claimed rows per subscriber, over all workers."""
    return {row.subscriber: row.rows for row in connection.execute(_IN_FLIGHT).all()}


def claim(
    connection: Connection, wanted: Sequence[Wanted], *, worker: str, now: datetime, lease: timedelta
) -> list[Claimed]:
    """The oldest due rows of each, as many as are wanted and there. Nobody else sends them until the lease ends."""
    if not wanted:
        return []
    if connection.dialect.name == "sqlite":
        return _claim_one_by_one(connection, wanted, worker, now, now + lease)
    return _claim_together(connection, wanted, worker, now, now + lease)


def _claim_together(
    connection: Connection, wanted: Sequence[Wanted], worker: str, now: datetime, until: datetime
) -> list[Claimed]:
    parameters = {
        "subscribers": [one.subscriber for one in wanted],
        "lanes": [str(one.lane) for one in wanted],
        "counts": [one.rows for one in wanted],
        "worker": worker,
        "now": now,
        "until": until,
    }
    return [_claimed(row, until) for row in connection.execute(_CLAIM_TOGETHER, parameters).all()]


def _claim_one_by_one(
    connection: Connection, wanted: Sequence[Wanted], worker: str, now: datetime, until: datetime
) -> list[Claimed]:
    """The gate lets nobody else in between the look and the mark."""
    found = []
    for subscriber, lane, count in wanted:
        parameters = {"subscriber": subscriber, "lane": str(lane), "count": count, "now": now}
        found += [_claimed(row, until) for row in connection.execute(_LOOK, parameters).all()]
    if found:
        lease = stored_instant(until)
        connection.exec_driver_sql(_MARK, [(worker, lease, stored_uuid(one.delivery)) for one in found])
    return found


def _claimed(row: Sequence[Any], until: datetime) -> Claimed:
    delivery, subscriber, lane, attempt, created_at, due_at, event_type, payload = row
    return Claimed(delivery, subscriber, Lane(lane), attempt, created_at, due_at, until, event_type, payload or "")


_LONGEST_OPENING = HEALTH_POLICY.longest_opening * (1 + HEALTH_POLICY.jitter_share)
_NOW = select(func.now())

_DUE = (
    text("""
    WITH RECURSIVE waiting(subscriber) AS (
        SELECT (SELECT subscriber_uuid FROM deliveries WHERE status = 'scheduled' ORDER BY subscriber_uuid LIMIT 1)
        UNION ALL
        SELECT (
            SELECT subscriber_uuid FROM deliveries
            WHERE status = 'scheduled' AND subscriber_uuid > waiting.subscriber ORDER BY subscriber_uuid LIMIT 1
        )
        FROM waiting WHERE waiting.subscriber IS NOT NULL
    )
    SELECT waiting.subscriber, lanes.lane, (
        SELECT count(*) FROM (
            SELECT 1 FROM deliveries
            WHERE status = 'scheduled' AND subscriber_uuid = waiting.subscriber AND lane = lanes.lane AND due_at <= :now
            ORDER BY due_at LIMIT :most
        ) AS head
    ) AS due
    FROM waiting
    JOIN endpoints ON endpoints.subscriber_uuid = waiting.subscriber
    CROSS JOIN (
        SELECT 'first' AS lane UNION ALL SELECT 'retry' UNION ALL SELECT 'replay' UNION ALL SELECT 'analytics'
    ) AS lanes
    WHERE endpoints.condition = 'enabled'
      AND (endpoints.breaker <> 'open' OR endpoints.open_until <= :now OR endpoints.open_until > :opening)
      AND (endpoints.not_before IS NULL OR endpoints.not_before <= :now OR endpoints.not_before > :silence)
    """)
    .bindparams(
        bindparam("now", type_=UtcDateTime()),
        bindparam("opening", type_=UtcDateTime()),
        bindparam("silence", type_=UtcDateTime()),
        bindparam("most", type_=Integer()),
    )
    .columns(subscriber=Uuid(), lane=String(), due=Integer())
)

_IN_FLIGHT = text(
    "SELECT subscriber_uuid AS subscriber, count(*) AS rows FROM deliveries WHERE status = 'claimed' GROUP BY 1"
).columns(subscriber=Uuid(), rows=Integer())

_ROW: dict[str, Any] = {
    "uuid": Uuid(),
    "subscriber_uuid": Uuid(),
    "lane": String(),
    "attempts": Integer(),
    "created_at": UtcDateTime(),
    "due_at": UtcDateTime(),
    "type": String(),
    "payload": Text(),
}

_CLAIM_TOGETHER = (
    text("""
    UPDATE deliveries
    SET status = 'claimed', attempts = attempts + 1, claimed_by = :worker, lease_until = :until
    FROM events
    WHERE events.uuid = deliveries.event_uuid AND deliveries.uuid = ANY(ARRAY(
        SELECT head.uuid
        FROM unnest(CAST(:subscribers AS uuid[]), CAST(:lanes AS text[]), CAST(:counts AS integer[]))
            AS wanted(subscriber, lane, count)
        CROSS JOIN LATERAL (
            SELECT uuid FROM deliveries
            WHERE status = 'scheduled' AND subscriber_uuid = wanted.subscriber AND lane = wanted.lane AND due_at <= :now
            ORDER BY due_at LIMIT wanted.count FOR UPDATE SKIP LOCKED
        ) AS head
    ))
    RETURNING deliveries.uuid, subscriber_uuid, lane, attempts, created_at, due_at, events.type,
        CASE lane WHEN 'analytics' THEN events.telemetry ELSE events.payload END AS payload
    """)
    .bindparams(bindparam("now", type_=UtcDateTime()), bindparam("until", type_=UtcDateTime()))
    .columns(**_ROW)
)

_LOOK = (
    text("""
    SELECT deliveries.uuid, subscriber_uuid, lane, attempts + 1 AS attempts, created_at, due_at, events.type,
        CASE lane WHEN 'analytics' THEN events.telemetry ELSE events.payload END AS payload
    FROM deliveries JOIN events ON events.uuid = deliveries.event_uuid
    WHERE status = 'scheduled' AND subscriber_uuid = :subscriber AND lane = :lane AND due_at <= :now
    ORDER BY due_at LIMIT :count
    """)
    .bindparams(bindparam("subscriber", type_=Uuid()), bindparam("now", type_=UtcDateTime()))
    .columns(**_ROW)
)

_MARK = """
    UPDATE deliveries SET status = 'claimed', attempts = attempts + 1, claimed_by = ?, lease_until = ? WHERE uuid = ?
    """
