"""The life of one delivery: scheduled, claimed, then delivered, or scheduled again, held, or dead.

In: a delivery, what happened, the moment, a policy. Out: the delivery as it is next. Never: a clock, a random number,
or a row; `claim.py` writes the same steps as SQL.

The fence of an attempt is the pair (`claimed_by`, `attempts`). A claim raises `attempts`, so no two claims share a
fence, and a message that kills its worker uses up its budget all the same. Who finishes must still hold the fence
(`holds_fence`); a late one changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from outbox.delivery.outcome import Result
from outbox.delivery.schedule import budget, clamped, next_delay

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from outbox.delivery.endpoint import Endpoint
    from outbox.delivery.outcome import Outcome
    from outbox.delivery.schedule import Policy


class Lane(StrEnum):
    FIRST = "first"
    RETRY = "retry"
    REPLAY = "replay"
    ANALYTICS = "analytics"


class Status(StrEnum):
    SCHEDULED = "scheduled"
    CLAIMED = "claimed"
    DELIVERED = "delivered"
    HELD = "held"
    """Its endpoint is paused or disabled; it waits without limit."""
    DEAD = "dead"
    """Not tried again unless somebody asks."""


@dataclass(frozen=True, slots=True)
class Delivery:
    status: Status
    lane: Lane
    attempts: int
    """The number of the attempt under way or of the last one; never falls."""
    created_at: datetime
    due_at: datetime
    claimed_by: str | None = None
    lease_until: datetime | None = None
    finished_at: datetime | None = None


def is_due(delivery: Delivery, now: datetime, policy: Policy) -> bool:
    """A due time beyond the longest step was written by a clock that has since been set back: it counts as now."""
    return delivery.status is Status.SCHEDULED and not now < delivery.due_at <= now + policy.longest_delay


def claimed(delivery: Delivery, worker: str, now: datetime, lease: timedelta) -> Delivery:
    """`worker` may send it until the lease ends. Only of a scheduled one that is due."""
    return replace(
        delivery,
        status=Status.CLAIMED,
        attempts=delivery.attempts + 1,
        claimed_by=worker,
        lease_until=now + lease,
    )


def holds_fence(delivery: Delivery, worker: str, attempt: int) -> bool:
    return (delivery.status, delivery.claimed_by, delivery.attempts) == (Status.CLAIMED, worker, attempt)


def finished(delivery: Delivery, outcome: Outcome, now: datetime, policy: Policy, jitter: float) -> Delivery:
    """What becomes of a claimed delivery after its attempt. Only for the holder of the fence.

    410 says nothing against the message: the endpoint is disabled (`endpoint.after`) and this delivery is held with
    all its others, so that enabling it again loses none. `jitter` in [0, 1).
    """
    if outcome.result is Result.DELIVERED:
        return _ended(delivery, Status.DELIVERED, now)
    if outcome.result is Result.GONE:
        return _unclaimed(delivery, Status.HELD, now)
    if delivery.attempts >= budget(outcome, policy) or now - delivery.created_at > policy.max_age:
        return _ended(delivery, Status.DEAD, now)
    step = next_delay(delivery.attempts, policy, jitter)
    wait = step if outcome.retry_after is None else clamped(outcome.retry_after, step)
    return _unclaimed(delivery, Status.SCHEDULED, now + wait)


def is_lost(delivery: Delivery, now: datetime, lease: timedelta) -> bool:
    """Whether its lease ran out. One that ends later than any lease given now was written by a clock since set back."""
    if delivery.status is not Status.CLAIMED or delivery.lease_until is None:
        return False
    return not now < delivery.lease_until <= now + 2 * lease


def expired(delivery: Delivery, now: datetime, policy: Policy) -> Delivery:
    """What becomes of a claimed delivery whose lease ran out: nobody knows what came of the attempt, so it is due
    again at once; dead when it has used up its budget that way.
    """
    if delivery.attempts >= policy.attempts:
        return _ended(delivery, Status.DEAD, now)
    return _unclaimed(delivery, Status.SCHEDULED, now)


def overdue(delivery: Delivery, endpoint: Endpoint, now: datetime, policy: Policy) -> Delivery:
    """Dead when a failing endpoint, its breaker open, has kept it waiting for longer than the age limit.

    The wait counts from when it was due and from when the endpoint began to fail: an idle worker ages nothing.
    """
    if delivery.status is not Status.SCHEDULED or not endpoint.is_open(now) or endpoint.failing_since is None:
        return delivery
    if now - max(delivery.due_at, endpoint.failing_since) <= policy.max_age:
        return delivery
    return _ended(delivery, Status.DEAD, now)


def held(delivery: Delivery) -> Delivery:
    """Its endpoint is no longer enabled. One under way is finished first; the ended ones stay as they are."""
    if delivery.status is not Status.SCHEDULED:
        return delivery
    return replace(delivery, status=Status.HELD)


def resumed(delivery: Delivery, now: datetime) -> Delivery:
    """Its endpoint is enabled again: what was held is due now."""
    if delivery.status is not Status.HELD:
        return delivery
    return replace(delivery, status=Status.SCHEDULED, due_at=now)


def retried(delivery: Delivery, now: datetime) -> Delivery:
    """Somebody asked: a dead, held or waiting one is due now, under the same id. With its budget used up this is one
    attempt more. Others stay as they are; a delivered one is repeated as a new row, a replay.
    """
    if delivery.status in (Status.CLAIMED, Status.DELIVERED):
        return delivery
    return replace(delivery, status=Status.SCHEDULED, due_at=now, finished_at=None)


def replayed(delivery: Delivery, now: datetime) -> Delivery:
    """The new row (under a new id) that repeats this one."""
    lane = Lane.ANALYTICS if delivery.lane is Lane.ANALYTICS else Lane.REPLAY
    return Delivery(Status.SCHEDULED, lane, attempts=0, created_at=now, due_at=now)


def _ended(delivery: Delivery, status: Status, now: datetime) -> Delivery:
    return replace(delivery, status=status, claimed_by=None, lease_until=None, finished_at=now)


def _unclaimed(delivery: Delivery, status: Status, due_at: datetime) -> Delivery:
    lane = Lane.RETRY if delivery.lane is Lane.FIRST else delivery.lane
    return replace(delivery, status=status, lane=lane, due_at=due_at, claimed_by=None, lease_until=None)
