from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.delivery.outcome import Outcome, Result
from outbox.delivery.schedule import (
    ANALYTICS_POLICY,
    LONGEST_RETRY_AFTER,
    WEBHOOK_POLICY,
    Policy,
    budget,
    clamped,
    next_delay,
    parse_retry_after,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLAIN = 0.5


def test_the_steps_are_those_of_standard_webhooks() -> None:
    steps = [next_delay(attempt, WEBHOOK_POLICY, PLAIN).total_seconds() for attempt in range(10)]
    assert steps == [0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert WEBHOOK_POLICY.attempts == 10


@given(attempt=st.integers(1, 100), jitter=st.floats(0, 1, exclude_max=True))
def test_jitter_moves_a_step_by_a_fifth_at_most(attempt: int, jitter: float) -> None:
    plain = next_delay(attempt, WEBHOOK_POLICY, PLAIN)
    delay = next_delay(attempt, WEBHOOK_POLICY, jitter)
    assert plain * 0.8 <= delay <= plain * 1.2
    assert delay > timedelta(0)


def test_jitter_uses_the_whole_range() -> None:
    plain = next_delay(2, WEBHOOK_POLICY, PLAIN)
    assert next_delay(2, WEBHOOK_POLICY, 0.0) == plain * 0.8
    assert next_delay(2, WEBHOOK_POLICY, 0.9999999) > plain * 1.199


@pytest.mark.parametrize("policy", [WEBHOOK_POLICY, ANALYTICS_POLICY])
def test_no_step_nor_retry_after_is_further_away_than_the_longest_delay(policy: Policy) -> None:
    for jitter in (0.0, 0.9999999):
        for attempt in range(1, 20):
            step = next_delay(attempt, policy, jitter)
            assert step <= clamped(timedelta(days=3650), step) <= policy.longest_delay


REJECTED = Result.REJECTED


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome(REJECTED, "", 500), 10),
        (Outcome(REJECTED, "", 503), 10),
        (Outcome(REJECTED, "", 302), 10),
        (Outcome(REJECTED, "", 408), 10),
        (Outcome(REJECTED, "", 409), 10),
        (Outcome(REJECTED, "", 425), 10),
        (Outcome(REJECTED, "", 429), 10),
        (Outcome(REJECTED, "", 400), 6),
        (Outcome(REJECTED, "", 401), 6),
        (Outcome(REJECTED, "", 404), 6),
        (Outcome(REJECTED, "", 415), 6),
        (Outcome(REJECTED, "", 499), 6),
        (Outcome(Result.UNREACHABLE, ""), 10),
        (Outcome(Result.TIMEOUT, ""), 10),
        (Outcome(Result.BLOCKED, ""), 6),
        (Outcome(Result.REFUSED, ""), 6),
    ],
)
def test_what_will_hardly_change_has_a_shorter_budget(outcome: Outcome, expected: int) -> None:
    assert budget(outcome, WEBHOOK_POLICY) == expected


@pytest.mark.parametrize(
    ("asked", "step", "expected"),
    [
        (timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=5)),
        (timedelta(minutes=7), timedelta(seconds=5), timedelta(minutes=7)),
        (timedelta(days=40), timedelta(seconds=5), timedelta(hours=24)),
        (timedelta(0), timedelta(hours=28), timedelta(hours=28)),
    ],
)
def test_retry_after_is_obeyed_between_our_step_and_a_day(
    asked: timedelta, step: timedelta, expected: timedelta
) -> None:
    assert clamped(asked, step) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", timedelta(0)),
        ("120", timedelta(minutes=2)),
        (" 120 ", timedelta(minutes=2)),
        ("999999999", timedelta(seconds=999_999_999)),
        ("9" * 400, LONGEST_RETRY_AFTER),
        ("Sun, 22 Nov 2026 12:01:00 GMT", timedelta(minutes=1)),
        ("Sunday, 22-Nov-26 12:01:00 GMT", timedelta(minutes=1)),
        ("Sun Nov 22 12:01:00 2026", timedelta(minutes=1)),
        ("Sun, 22 Nov 2026 14:01:00 +0200", timedelta(minutes=1)),
        ("Sun, 22 Nov 2026 11:59:00 GMT", timedelta(0)),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("\u0661\u0662", None),
        ("\u00b2", None),
        ("Sun, 99 Nov 2026 12:01:00 GMT", None),
        ("Sun, 22 Nov 99999999999999999999 12:01:00 GMT", None),
        ("Sun, 22 Nov 2026 12:01:00 +99999999999999", None),
    ],
)
def test_retry_after_is_read_in_both_forms(text: str, expected: timedelta | None) -> None:
    assert parse_retry_after(text, NOW) == expected


@given(st.text())
def test_no_retry_after_whatsoever_raises(text: str) -> None:
    wait = parse_retry_after(text, NOW)
    assert wait is None or wait >= timedelta(0)


@given(st.datetimes(datetime(2026, 11, 22, 12), datetime(2100, 1, 1)))  # noqa: DTZ001 - in UTC by the next line
def test_a_date_is_as_far_away_as_it_says(then: datetime) -> None:
    date = then.replace(microsecond=0, tzinfo=UTC)
    assert parse_retry_after(format_datetime(date, usegmt=True), NOW) == date - NOW
