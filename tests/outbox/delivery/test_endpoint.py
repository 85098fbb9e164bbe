from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.delivery.endpoint import (
    HEALTH_POLICY,
    Breaker,
    Condition,
    Endpoint,
    after,
    disabled,
    enabled,
    paused,
    room,
    taken,
)
from outbox.delivery.outcome import Outcome, Result

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLAIN = 0.5
CAP = 8
NEW = Endpoint(UUID(int=1))
DELIVERED = Outcome(Result.DELIVERED, "", 200)
DOWN = Outcome(Result.REJECTED, "", 500)
SECOND = timedelta(seconds=1)


def told(endpoint: Endpoint, *outcomes: Outcome, now: datetime = NOW) -> Endpoint:
    for outcome in outcomes:
        endpoint = after(endpoint, outcome, now, HEALTH_POLICY, PLAIN)
    return endpoint


OPEN = told(NEW, *[DOWN] * 5)


def test_a_new_endpoint_has_all_its_room() -> None:
    assert room(NEW, CAP, NOW) == CAP


def test_a_success_of_a_healthy_endpoint_leaves_nothing_to_write() -> None:
    assert told(NEW, DELIVERED) is NEW


def test_five_failures_in_a_row_open_the_breaker() -> None:
    nearly = told(NEW, *[DOWN] * 4)
    assert (room(nearly, CAP, NOW), nearly.failing_since) == (CAP, NOW)
    assert (OPEN.breaker, OPEN.open_until, OPEN.openings) == (Breaker.OPEN, NOW + 10 * SECOND, 1)
    assert room(OPEN, CAP, NOW) == 0


def test_a_success_in_between_starts_the_count_again() -> None:
    assert told(NEW, *[DOWN] * 4, DELIVERED, *[DOWN] * 4).breaker is Breaker.CLOSED
    assert told(NEW, *[DOWN] * 4, DELIVERED).failing_since is None


@pytest.mark.parametrize("result", [result for result in Result if result not in (Result.DELIVERED, Result.GONE)])
def test_every_kind_of_failure_opens_it(result: Result) -> None:
    assert told(NEW, *[Outcome(result, "")] * 5).breaker is Breaker.OPEN


def test_those_that_began_before_it_opened_do_not_keep_it_open_longer() -> None:
    late = told(OPEN, *[DOWN] * 20, now=NOW + 9 * SECOND)
    assert (late.open_until, late.openings) == (OPEN.open_until, OPEN.openings)


def test_half_open_admits_one_probe() -> None:
    then = NOW + 10 * SECOND
    assert OPEN.breaker_at(then - SECOND) is Breaker.OPEN
    assert OPEN.breaker_at(then) is Breaker.HALF_OPEN
    assert room(OPEN, CAP, then) == 1


def test_each_failed_probe_doubles_the_opening_up_to_an_hour() -> None:
    endpoint, now, openings = OPEN, NOW, []
    for _ in range(12):
        assert endpoint.open_until is not None
        openings.append((endpoint.open_until - now).total_seconds())
        now = endpoint.open_until
        endpoint = told(endpoint, DOWN, now=now)
    assert openings == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]


def test_openings_have_jitter() -> None:
    nearly = told(NEW, *[DOWN] * 4)
    least = after(nearly, DOWN, NOW, HEALTH_POLICY, 0.0)
    assert least.open_until == NOW + 8 * SECOND


def test_a_healed_endpoint_is_not_flooded() -> None:
    endpoint = told(OPEN, DELIVERED, now=NOW + 10 * SECOND)
    rounds = []
    for _ in range(5):
        rounds.append(room(endpoint, 20, NOW))
        endpoint = told(endpoint, *[DELIVERED] * rounds[-1])
    assert rounds == [1, 2, 4, 8, 16]
    assert told(endpoint, *[DELIVERED] * 16).ramp is None


def test_a_failure_on_the_ramp_halves_it_and_five_open_the_breaker_again() -> None:
    endpoint = replace(NEW, ramp=8)
    assert told(endpoint, DOWN).ramp == 4
    assert told(endpoint, *[DOWN] * 4).ramp == 1
    assert told(endpoint, *[DOWN] * 5).breaker is Breaker.OPEN


def test_a_success_while_open_closes_it_for_the_receiver_has_answered() -> None:
    endpoint = told(OPEN, DELIVERED)
    assert (endpoint.breaker, endpoint.ramp, endpoint.openings) == (Breaker.CLOSED, 1, 0)


def test_retry_after_silences_the_whole_endpoint() -> None:
    throttled = told(NEW, Outcome(Result.REJECTED, "", 429, retry_after=timedelta(minutes=3)))
    assert room(throttled, CAP, NOW + timedelta(minutes=3) - SECOND) == 0
    assert room(throttled, CAP, NOW + timedelta(minutes=3)) == CAP


@pytest.mark.parametrize(
    ("asked", "silence"),
    [(timedelta(0), timedelta(seconds=5)), (timedelta(days=4000), timedelta(hours=24))],
)
def test_retry_after_is_bounded_on_both_sides(asked: timedelta, silence: timedelta) -> None:
    assert told(NEW, Outcome(Result.REJECTED, "", 503, retry_after=asked)).not_before == NOW + silence


def test_a_shorter_retry_after_does_not_end_a_longer_one() -> None:
    long, short = (Outcome(Result.REJECTED, "", 429, retry_after=timedelta(minutes=m)) for m in (10, 1))
    assert told(NEW, long, short, DOWN).not_before == NOW + timedelta(minutes=10)


def test_gone_disables_the_endpoint() -> None:
    gone = told(NEW, Outcome(Result.GONE, "", 410))
    assert (gone.condition, room(gone, CAP, NOW)) == (Condition.DISABLED, 0)
    assert "410" in gone.reason


def test_no_late_success_enables_a_disabled_endpoint() -> None:
    assert told(disabled(NEW, "because"), DELIVERED, DELIVERED).condition is Condition.DISABLED


def test_a_paused_endpoint_has_no_room_and_keeps_its_reason() -> None:
    endpoint = told(paused(NEW, "asked for"), DOWN)
    assert (room(endpoint, CAP, NOW), endpoint.condition, endpoint.reason) == (0, Condition.PAUSED, "asked for")


def failing(days: float, step: timedelta, outcome: Outcome = DOWN) -> Endpoint:
    """Told of a failure every `step`."""
    endpoint, now = NEW, NOW
    while now <= NOW + timedelta(days=days):
        endpoint = told(endpoint, outcome, now=now)
        now += step
    return endpoint


def test_five_days_of_nothing_but_failures_disable_it() -> None:
    assert failing(4.9, timedelta(hours=1)).condition is Condition.ENABLED
    given_up = failing(5.1, timedelta(hours=1))
    assert given_up.condition is Condition.DISABLED
    assert given_up.reason.startswith("None of 121 attempts since 2026-11-22 12:00 UTC")


def test_one_success_on_the_way_keeps_it_enabled() -> None:
    endpoint = told(failing(4.9, timedelta(hours=1)), DELIVERED)
    assert told(endpoint, *[DOWN] * 100, now=NOW + timedelta(days=5.1)).condition is Condition.ENABLED


def test_a_burst_of_failures_long_ago_and_one_today_do_not_disable_it() -> None:
    burst = told(NEW, *[DOWN] * 500)
    assert told(burst, *[DOWN] * 500, now=NOW + timedelta(days=6)).condition is Condition.ENABLED


def test_few_attempts_do_not_disable_it() -> None:
    assert failing(12, timedelta(days=1)).condition is Condition.ENABLED


def test_our_own_fault_disables_nobody() -> None:
    assert failing(9, timedelta(hours=1), Outcome(Result.REFUSED, "")).condition is Condition.ENABLED


def test_enabling_it_gives_a_clean_record_and_a_ramp() -> None:
    sick = failing(5.1, timedelta(hours=1))
    endpoint = enabled(sick)
    assert room(endpoint, CAP, NOW) == 1
    assert replace(endpoint, ramp=None) == replace(NEW, rate_tokens=sick.rate_tokens, rate_at=sick.rate_at)


def test_a_clock_set_back_neither_keeps_it_open_nor_silent() -> None:
    back = NOW - timedelta(days=30)
    assert room(OPEN, CAP, back) == 1
    assert room(replace(NEW, not_before=NOW), CAP, back) == CAP
    assert told(replace(NEW, not_before=NOW), DOWN, now=back).not_before is None


def test_a_rate_admits_what_a_second_brings_and_refills() -> None:
    endpoint, first = taken(NEW, 100, 10.0, NOW)
    endpoint, at_once = taken(endpoint, 100, 10.0, NOW)
    endpoint, later = taken(endpoint, 100, 10.0, NOW + 0.35 * SECOND)
    endpoint, much_later = taken(endpoint, 100, 10.0, NOW + 100 * SECOND)
    assert (first, at_once, later, much_later) == (10, 0, 3, 10)


def test_no_rate_admits_all_and_writes_nothing() -> None:
    assert taken(NEW, 7, None, NOW) == (NEW, 7)


def test_a_rate_below_one_a_second_admits_one_now_and_then() -> None:
    endpoint, counts = NEW, []
    for second in range(12):
        endpoint, count = taken(endpoint, 5, 0.25, NOW + second * SECOND)
        counts.append(count)
    assert counts == [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]


def test_a_clock_set_back_does_not_dry_up_the_bucket() -> None:
    endpoint, _ = taken(NEW, 100, 10.0, NOW)
    endpoint, _ = taken(endpoint, 1, 10.0, NOW - timedelta(days=1))
    assert taken(endpoint, 100, 10.0, NOW - timedelta(days=1) + SECOND)[1] == 10


@given(
    rate=st.floats(0.01, 1000),
    asks=st.lists(st.tuples(st.floats(0, 5), st.integers(0, 500)), max_size=40),
)
def test_no_rate_is_exceeded_by_more_than_one_second_brings(rate: float, asks: list[tuple[float, int]]) -> None:
    endpoint, now, total = NEW, NOW, 0
    for seconds, wanted in asks:
        now += timedelta(seconds=seconds)
        endpoint, count = taken(endpoint, wanted, rate, now)
        assert 0 <= count <= wanted
        total += count
    assert total <= max(1.0, rate) + rate * (now - NOW).total_seconds() + 1e-3


steps = st.tuples(
    st.sampled_from(list(Result)),
    st.none() | st.timedeltas(timedelta(0), timedelta(days=9)),
    st.timedeltas(-timedelta(days=2), timedelta(days=2)),
    st.floats(0, 1, exclude_max=True),
)


@given(st.lists(steps, max_size=60), st.integers(1, 50))
def test_an_enabled_endpoint_always_has_room_again_in_the_end(
    told_of: list[tuple[Result, timedelta | None, timedelta, float]], cap: int
) -> None:
    endpoint, now = NEW, NOW
    for result, retry_after, passed, jitter in told_of:
        now += passed
        endpoint = after(endpoint, Outcome(result, "", retry_after=retry_after), now, HEALTH_POLICY, jitter)
        assert 0 <= room(endpoint, cap, now) <= cap
        if endpoint.condition is Condition.ENABLED:
            assert any(room(endpoint, cap, now + timedelta(hours=hours)) for hours in (0, 25, 50))
