"""The health of one endpoint over all workers: may it be sent to, how many at once, how fast.

In: an endpoint, an outcome, the moment. Out: the endpoint as it is next, or a number of requests. Never: a clock, a
random number, or a row.

The breaker opens after some failures in a row and stays open longer each time. When its time is over it is half-open,
which is derived, never stored: one probe may be under way, and its outcome decides. After a success the endpoint
recovers on a ramp, one request at a time, then two, four. Times further ahead than any we write come from a clock that
has since been set back, and are not believed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from outbox.delivery.outcome import Result
from outbox.delivery.schedule import LONGEST_RETRY_AFTER, clamped, jittered

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from outbox.delivery.outcome import Outcome


class Condition(StrEnum):
    ENABLED = "enabled"
    PAUSED = "paused"
    """By a person."""
    DISABLED = "disabled"
    """By us: it answered 410, or nothing but failures for days."""


class Breaker(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """When an endpoint is given a rest, and when it is given up."""

    failures_to_open: int = 5
    first_opening: timedelta = timedelta(seconds=10)
    """Doubled with each further one."""
    longest_opening: timedelta = timedelta(hours=1)
    jitter_share: float = 0.2
    least_retry_after: timedelta = timedelta(seconds=5)
    ramp_top: int = 32
    """At this many at once an endpoint counts as recovered."""
    failures_to_disable: int = 20
    failing_to_disable: timedelta = timedelta(days=5)
    probed_to_disable: timedelta = timedelta(hours=12)
    """The failures must be spread: the openings between them add up to at least this."""


HEALTH_POLICY = HealthPolicy()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of `endpoints`; the defaults are a new subscriber's."""

    subscriber_uuid: UUID
    condition: Condition = Condition.ENABLED
    reason: str = ""
    """Why it is not enabled, for people."""
    breaker: Breaker = Breaker.CLOSED
    """Closed or open; see `breaker_at`."""
    consecutive_failures: int = 0
    failing_since: datetime | None = None
    """The first failure after the last success."""
    open_until: datetime | None = None
    openings: int = 0
    """Of the breaker since the last success."""
    not_before: datetime | None = None
    """The receiver asked for silence until then."""
    ramp: int | None = None
    """While recovering: how many may be under way."""
    rate_tokens: float | None = None
    """None: a full bucket."""
    rate_at: datetime | None = None

    def breaker_at(self, now: datetime, policy: HealthPolicy = HEALTH_POLICY) -> Breaker:
        if self.breaker is Breaker.CLOSED:
            return Breaker.CLOSED
        return Breaker.OPEN if _lies_ahead(self.open_until, now, _longest_opening(policy)) else Breaker.HALF_OPEN

    def is_open(self, now: datetime, policy: HealthPolicy = HEALTH_POLICY) -> bool:
        return self.breaker_at(now, policy) is Breaker.OPEN


def room(endpoint: Endpoint, cap: int, now: datetime, policy: HealthPolicy = HEALTH_POLICY) -> int:
    """How many requests may be under way to it at this moment, over all workers, those already under way included."""
    if endpoint.condition is not Condition.ENABLED or _lies_ahead(endpoint.not_before, now, LONGEST_RETRY_AFTER):
        return 0
    match endpoint.breaker_at(now, policy):
        case Breaker.OPEN:
            return 0
        case Breaker.HALF_OPEN:
            return min(1, cap)
    return cap if endpoint.ramp is None else min(endpoint.ramp, cap)


def after(endpoint: Endpoint, outcome: Outcome, now: datetime, policy: HealthPolicy, jitter: float) -> Endpoint:
    """The endpoint after one more outcome of a delivery whose fence held. `jitter` in [0, 1).

    A success of a healthy endpoint returns that endpoint itself: there is nothing to write.
    """
    if outcome.result is Result.DELIVERED:
        return _after_success(endpoint, policy)
    failed = _after_failure(endpoint, outcome, now, policy, jitter)
    if outcome.result is Result.GONE:
        return disabled(failed, "The receiver answered 410 Gone: it wants no more deliveries.")
    is_theirs = outcome.result is not Result.REFUSED and failed.condition is Condition.ENABLED
    if is_theirs and _is_given_up(failed, now, policy):
        return disabled(failed, _why_given_up(failed))
    return failed


def paused(endpoint: Endpoint, reason: str) -> Endpoint:
    return replace(endpoint, condition=Condition.PAUSED, reason=reason)


def disabled(endpoint: Endpoint, reason: str) -> Endpoint:
    return replace(endpoint, condition=Condition.DISABLED, reason=reason)


def enabled(endpoint: Endpoint) -> Endpoint:
    """By a person: with a clean record, but on the ramp, for what was held comes all at once."""
    return Endpoint(endpoint.subscriber_uuid, ramp=1, rate_tokens=endpoint.rate_tokens, rate_at=endpoint.rate_at)


def taken(endpoint: Endpoint, wanted: int, rate: float | None, now: datetime) -> tuple[Endpoint, int]:
    """How many of `wanted` attempts may begin now at `rate` per second, and the endpoint with those taken.

    A token bucket that holds what one second brings, and at least one.
    """
    if rate is None:
        return endpoint, wanted
    capacity = max(1.0, rate)
    tokens = capacity
    if endpoint.rate_tokens is not None and endpoint.rate_at is not None:
        elapsed = max(0.0, (now - endpoint.rate_at).total_seconds())
        tokens = min(capacity, endpoint.rate_tokens + elapsed * rate)
    count = min(wanted, int(tokens + _ROUNDING))
    return replace(endpoint, rate_tokens=tokens - count, rate_at=now), count


_ROUNDING = 1e-9


def _after_success(endpoint: Endpoint, policy: HealthPolicy) -> Endpoint:
    if endpoint.breaker is Breaker.CLOSED and endpoint.ramp is None and not endpoint.consecutive_failures:
        return endpoint
    if endpoint.breaker is Breaker.OPEN:
        ramp: int | None = 1
    elif endpoint.ramp is None or endpoint.ramp + 1 >= policy.ramp_top:
        ramp = None
    else:
        ramp = endpoint.ramp + 1
    return replace(
        endpoint,
        breaker=Breaker.CLOSED,
        consecutive_failures=0,
        failing_since=None,
        open_until=None,
        openings=0,
        ramp=ramp,
    )


def _after_failure(
    endpoint: Endpoint, outcome: Outcome, now: datetime, policy: HealthPolicy, jitter: float
) -> Endpoint:
    failed = replace(
        endpoint,
        consecutive_failures=endpoint.consecutive_failures + 1,
        failing_since=endpoint.failing_since or now,
        not_before=_silence(endpoint, outcome, now, policy),
        ramp=None if endpoint.ramp is None else max(1, endpoint.ramp // 2),
    )
    match failed.breaker_at(now, policy):
        case Breaker.OPEN:
            return failed  # began before it opened
        case Breaker.CLOSED if failed.consecutive_failures < policy.failures_to_open:
            return failed
    opening = jittered(_opening(failed.openings, policy), policy.jitter_share, jitter)
    return replace(failed, breaker=Breaker.OPEN, open_until=now + opening, openings=failed.openings + 1)


def _silence(endpoint: Endpoint, outcome: Outcome, now: datetime, policy: HealthPolicy) -> datetime | None:
    earlier = endpoint.not_before if _lies_ahead(endpoint.not_before, now, LONGEST_RETRY_AFTER) else None
    if outcome.retry_after is None:
        return earlier
    asked = now + clamped(outcome.retry_after, policy.least_retry_after)
    return asked if earlier is None else max(earlier, asked)


def _opening(openings: int, policy: HealthPolicy) -> timedelta:
    """Plain length of the one after so many."""
    doubled = 1 << min(openings, 24)  # more would leave the range of a timedelta
    return min(policy.longest_opening, policy.first_opening * doubled)


def _longest_opening(policy: HealthPolicy) -> timedelta:
    return policy.longest_opening * (1 + policy.jitter_share)


def _lies_ahead(instant: datetime | None, now: datetime, longest: timedelta) -> bool:
    return instant is not None and now < instant <= now + longest


def _is_given_up(endpoint: Endpoint, now: datetime, policy: HealthPolicy) -> bool:
    if endpoint.failing_since is None or now - endpoint.failing_since < policy.failing_to_disable:
        return False
    return endpoint.consecutive_failures >= policy.failures_to_disable and _is_spread(endpoint.openings, policy)


def _is_spread(openings: int, policy: HealthPolicy) -> bool:
    probed = sum((_opening(number, policy) for number in range(openings)), timedelta(0))
    return probed >= policy.probed_to_disable


def _why_given_up(endpoint: Endpoint) -> str:
    since = f"{endpoint.failing_since:%Y-%m-%d %H:%M} UTC"
    return f"None of {endpoint.consecutive_failures} attempts since {since} succeeded."
