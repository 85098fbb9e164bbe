"""Writing down what came of attempts: the attempt's row always, the delivery's next state only for who holds the fence.

In: reports of attempts, in batches. Out: rows; the endpoints as the outcomes leave them. Never: the state of a delivery
whose lease was lost meanwhile; whoever claimed it after that decides.

All of it is in one transaction under the fence, so repeating it after an error of which nobody knows whether the commit
came before it changes nothing a second time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, cast

import orjson
from sqlalchemy import Uuid, bindparam, select, text

from outbox.delivery.endpoint import HEALTH_POLICY, HealthPolicy, after
from outbox.delivery.models import DeliveryRow
from outbox.delivery.schedule import ANALYTICS_POLICY, WEBHOOK_POLICY, Policy
from outbox.delivery.sqlite_values import stored_instant, stored_uuid
from outbox.delivery.state import Delivery, Lane, Status, finished

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import Table
    from sqlalchemy.engine import Connection

    from outbox.delivery.claim import Claimed
    from outbox.delivery.endpoint import Endpoint
    from outbox.delivery.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Policies:
    """The rules of all lanes and endpoints."""

    webhook: Policy = WEBHOOK_POLICY
    analytics: Policy = ANALYTICS_POLICY
    health: HealthPolicy = HEALTH_POLICY
    lease: timedelta = timedelta(seconds=60)
    """How long a claimed row is its worker's: well above the total deadline of a request."""

    def of(self, lane: Lane) -> Policy:
        return self.analytics if lane is Lane.ANALYTICS else self.webhook


@dataclass(frozen=True, slots=True)
class Report:
    """One request: the deliveries that it carried, all of one subscriber, and what came of it."""

    claims: tuple[Claimed, ...]
    started_at: datetime
    outcome: Outcome

    @property
    def subscriber(self) -> UUID:
        return self.claims[0].subscriber


class Attempt(NamedTuple):
    """A row of `attempts`."""

    delivery_uuid: UUID
    number: int
    started_at: datetime
    milliseconds: float
    result: str
    status_code: int | None
    message: str
    response_headers: str | None
    response_body: bytes | None
    worker: str


class Move(NamedTuple):
    """The next state of a delivery, for whoever holds this fence."""

    delivery: UUID
    worker: str
    attempt: int
    after: Delivery


def finish(
    connection: Connection,
    reports: Sequence[Report],
    endpoints: Mapping[UUID, Endpoint],
    *,
    worker: str,
    now: datetime,
    policies: Policies,
    draw: Callable[[], float],
) -> dict[UUID, Endpoint]:
    """Returns `endpoints` (locked rows) after those reports whose fence still held. `draw` gives jitter in [0, 1)."""
    moves = [
        Move(claim.delivery, worker, claim.attempt, _after(claim, report.outcome, now, policies, draw()))
        for report in reports
        for claim in report.claims
    ]
    moved = advance(connection, moves)
    _record(connection, reports, moved, worker)
    folded = dict(endpoints)
    for report in reports:
        if any(claim.delivery in moved for claim in report.claims):
            folded[report.subscriber] = after(folded[report.subscriber], report.outcome, now, policies.health, draw())
    return folded


def advance(connection: Connection, moves: Sequence[Move]) -> set[UUID]:
    """Makes the moves whose fence holds: still claimed by that worker under that attempt. Returns their deliveries."""
    if not moves:
        return set()
    if connection.dialect.name == "sqlite":
        return _advance_one_by_one(connection, moves)
    steps = [
        {
            "uuid": move.delivery,
            "worker": move.worker,
            "attempt": move.attempt,
            "status": move.after.status,
            "lane": move.after.lane,
            "due": move.after.due_at,
            "finished": move.after.finished_at,
        }
        for move in moves
    ]
    return set(connection.scalars(_ADVANCE_TOGETHER, {"moves": orjson.dumps(steps).decode()}).all())


def _after(claim: Claimed, outcome: Outcome, now: datetime, policies: Policies, jitter: float) -> Delivery:
    before = Delivery(Status.CLAIMED, claim.lane, claim.attempt, claim.created_at, claim.due_at)
    return finished(before, outcome, now, policies.of(claim.lane), jitter)


def _advance_one_by_one(connection: Connection, moves: Sequence[Move]) -> set[UUID]:
    """The gate lets nobody else in between the look and the update."""
    rows = connection.execute(_CLAIMED, {"deliveries": [move.delivery for move in moves]}).all()
    fences = {(delivery, worker, attempt) for delivery, worker, attempt in rows}
    fenced = [move for move in moves if _holds(move, fences)]
    steps = [
        (
            str(move.after.status),
            str(move.after.lane),
            stored_instant(move.after.due_at),
            stored_instant(move.after.finished_at),
            stored_uuid(move.delivery),
            move.worker,
            move.attempt,
        )
        for move in fenced
    ]
    if steps:
        connection.exec_driver_sql(_ADVANCE, steps)
    return {move.delivery for move in fenced}


def _holds(move: Move, fences: set[tuple[UUID, str, int]]) -> bool:
    return (move.delivery, move.worker, move.attempt) in fences


def _record(connection: Connection, reports: Sequence[Report], moved: set[UUID], worker: str) -> None:
    """One row per attempt, except for deliveries that were removed meanwhile together with their subscriber."""
    late = [claim.delivery for report in reports for claim in report.claims if claim.delivery not in moved]
    kept = moved | set(connection.scalars(_KEPT, {"deliveries": late})) if late else moved
    rows = [_attempt(claim, report, worker) for report in reports for claim in report.claims if claim.delivery in kept]
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_RECORD, [_stored(row) for row in rows])
    else:
        attempts = orjson.dumps([_portable(row) for row in rows]).decode()
        connection.execute(_RECORD_TOGETHER, {"attempts": attempts})


def _attempt(claim: Claimed, report: Report, worker: str) -> Attempt:
    outcome = report.outcome
    return Attempt(
        claim.delivery,
        claim.attempt,
        report.started_at,
        outcome.milliseconds,
        str(outcome.result),
        outcome.status_code,
        _storable(outcome.message),
        json.dumps(outcome.response_headers) if outcome.response_headers else None,
        outcome.response_body or None,
        worker,
    )


def _stored(attempt: Attempt) -> tuple[object, ...]:
    """For SQLite."""
    delivery, number, started_at, *rest = attempt
    return (stored_uuid(delivery), number, stored_instant(started_at), *rest)


def _portable(attempt: Attempt) -> dict[str, object]:
    """For PostgreSQL: JSON knows no bytes."""
    body = attempt.response_body
    return attempt._asdict() | {"response_body": body.hex() if body else None}


def _storable(text: str) -> str:
    """A receiver may put into a message what no database takes as text: NUL, or halves of surrogate pairs."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


_TABLE = cast("Table", DeliveryRow.__table__)
_CLAIMED = select(_TABLE.c.uuid, _TABLE.c.claimed_by, _TABLE.c.attempts).where(
    _TABLE.c.uuid.in_(bindparam("deliveries", expanding=True)), _TABLE.c.status == "claimed"
)
_ADVANCE = """
    UPDATE deliveries
    SET status = ?, lane = ?, due_at = ?, finished_at = ?, claimed_by = NULL, lease_until = NULL
    WHERE uuid = ? AND claimed_by = ? AND attempts = ? AND status = 'claimed'
    """
_ADVANCE_TOGETHER = text("""
    UPDATE deliveries
    SET status = move.status, lane = move.lane, due_at = move.due, finished_at = move.finished,
        claimed_by = NULL, lease_until = NULL
    FROM json_to_recordset(CAST(:moves AS json)) AS move(
        uuid uuid, worker text, attempt integer, status text, lane text, due timestamptz, finished timestamptz
    )
    WHERE deliveries.uuid = move.uuid AND claimed_by = move.worker AND attempts = move.attempt
      AND deliveries.status = 'claimed'
    RETURNING deliveries.uuid
    """).columns(uuid=Uuid())
_KEPT = (
    select(_TABLE.c.uuid)
    .where(_TABLE.c.uuid.in_(bindparam("deliveries", expanding=True)))
    .with_for_update(read=True, key_share=True)
)
_COLUMNS = ", ".join(Attempt._fields)
_RECORD = f"""
    INSERT INTO attempts ({_COLUMNS}) VALUES ({", ".join("?" for _ in Attempt._fields)}) ON CONFLICT DO NOTHING
    """  # noqa: S608 - the names of columns
_RECORD_TOGETHER = text(f"""
    INSERT INTO attempts ({_COLUMNS})
    SELECT delivery_uuid, number, started_at, milliseconds, result, status_code, message, response_headers,
        decode(response_body, 'hex'), worker
    FROM json_to_recordset(CAST(:attempts AS json)) AS attempt(
        delivery_uuid uuid, number integer, started_at timestamptz, milliseconds double precision, result text,
        status_code integer, message text, response_headers text, response_body text, worker text
    )
    ON CONFLICT DO NOTHING
    """)  # noqa: S608 - the names of columns
