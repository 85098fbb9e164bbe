"""When to try again: the steps between attempts, their jitter, and how many attempts a failure deserves.

In: numbers, outcomes and policies. Out: durations and counts. Never: a clock, a random number, or a state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from outbox.delivery.outcome import Result

if TYPE_CHECKING:
    from outbox.delivery.outcome import Outcome

LONGEST_RETRY_AFTER = timedelta(hours=24)
_PASSING = frozenset({408, 409, 425, 429})
"""Of the 4xx answers those that speak of the moment, not of the message."""
_LONGEST_DIGITS = 9
"""More seconds than 31 years are no answer but an attack on integers."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how long a delivery is tried. `delays[n]` is the wait before attempt n + 1."""

    delays: tuple[timedelta, ...]
    short_attempts: int
    """The budget when the same message will hardly be taken: other 4xx, and what we refused to send ourselves."""
    max_age: timedelta = timedelta(days=14)
    """Past this a failed attempt is the last one, and an endpoint that fails may not keep a row waiting longer."""
    jitter_share: float = 0.2

    @property
    def attempts(self) -> int:
        """The whole budget."""
        return len(self.delays)

    @property
    def longest_delay(self) -> timedelta:
        """No due time is honestly further away than this: one that is was written by a clock that has stepped."""
        return max(*self.delays, LONGEST_RETRY_AFTER) * (1 + self.jitter_share)


WEBHOOK_POLICY = Policy(
    delays=(
        timedelta(0),
        timedelta(seconds=5),
        timedelta(minutes=5),
        timedelta(minutes=30),
        timedelta(hours=2),
        timedelta(hours=5),
        timedelta(hours=10),
        timedelta(hours=14),
        timedelta(hours=20),
        timedelta(hours=24),
    ),
    short_attempts=6,
)
ANALYTICS_POLICY = Policy(
    delays=(
        timedelta(0),
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(minutes=30),
        timedelta(hours=2),
        timedelta(hours=6),
    ),
    short_attempts=6,
    max_age=timedelta(days=3),
)


def next_delay(attempt: int, policy: Policy, jitter: float) -> timedelta:
    """The wait after the failed `attempt` (from 1); past the end the last step again.

    `jitter` in [0, 1), as `random.random()` gives it: 0.5 is the plain step.
    """
    return jittered(policy.delays[min(attempt, policy.attempts - 1)], policy.jitter_share, jitter)


def jittered(delay: timedelta, share: float, jitter: float) -> timedelta:
    """`delay` moved by at most `share` of itself to either side; `jitter` in [0, 1)."""
    return delay * (1 + share * (2 * jitter - 1))


def budget(outcome: Outcome, policy: Policy) -> int:
    """After how many attempts a delivery whose last one came out like this is given up."""
    return policy.short_attempts if _is_lasting(outcome) else policy.attempts


def _is_lasting(outcome: Outcome) -> bool:
    if outcome.result in (Result.BLOCKED, Result.REFUSED):
        return True
    code = outcome.status_code
    return outcome.result is Result.REJECTED and code is not None and 400 <= code < 500 and code not in _PASSING


def clamped(retry_after: timedelta, step: timedelta) -> timedelta:
    """What the receiver asked for, but no sooner than our own step and no later than a day."""
    return max(step, min(retry_after, LONGEST_RETRY_AFTER))


def with_retry_after(outcome: Outcome, now: datetime) -> Outcome:
    """The outcome with the pause that its answer's headers ask for, if they do."""
    for name, value in outcome.response_headers:
        if name.lower() == "retry-after":
            return replace(outcome, retry_after=parse_retry_after(value, now))
    return outcome


def parse_retry_after(text: str, now: datetime) -> timedelta | None:
    """Both forms of the header, seconds or an HTTP date; a date that has passed is zero; None for anything else."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text)) if len(text) <= _LONGEST_DIGITS else LONGEST_RETRY_AFTER
    try:
        then = parsedate_to_datetime(text)
        return max(timedelta(0), (then if then.tzinfo else then.replace(tzinfo=UTC)) - now)
    except (ValueError, OverflowError):
        return None
