from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.delivery.endpoint import Breaker, Endpoint
from outbox.delivery.outcome import Outcome, Result
from outbox.delivery.schedule import WEBHOOK_POLICY
from outbox.delivery.state import (
    Delivery,
    Lane,
    Status,
    claimed,
    expired,
    finished,
    held,
    holds_fence,
    is_due,
    is_lost,
    overdue,
    replayed,
    resumed,
    retried,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
LEASE = timedelta(seconds=60)
NEW = Delivery(Status.SCHEDULED, Lane.FIRST, 0, NOW, NOW)
UNDER_WAY = claimed(NEW, "me", NOW, LEASE)
DELIVERED = Outcome(Result.DELIVERED, "", 200)
DOWN = Outcome(Result.REJECTED, "", 500)
PLAIN = 0.5


def finish(delivery: Delivery, outcome: Outcome, now: datetime = LATER) -> Delivery:
    return finished(delivery, outcome, now, WEBHOOK_POLICY, PLAIN)


def test_a_claim_raises_the_attempt_and_sets_the_fence() -> None:
    assert Delivery(Status.CLAIMED, Lane.FIRST, 1, NOW, NOW, "me", NOW + LEASE) == UNDER_WAY
    assert holds_fence(UNDER_WAY, "me", 1)
    assert not holds_fence(UNDER_WAY, "you", 1)
    assert not holds_fence(UNDER_WAY, "me", 2)
    assert not holds_fence(finish(UNDER_WAY, DOWN), "me", 1)


def test_a_delivered_one_is_finished_now() -> None:
    assert finish(UNDER_WAY, DELIVERED) == Delivery(
        Status.DELIVERED, Lane.FIRST, 1, NOW, NOW, claimed_by=None, lease_until=None, finished_at=LATER
    )


def test_a_failed_first_attempt_goes_to_the_lane_of_retries() -> None:
    assert finish(UNDER_WAY, DOWN) == Delivery(Status.SCHEDULED, Lane.RETRY, 1, NOW, LATER + timedelta(seconds=5))


@pytest.mark.parametrize("lane", [Lane.RETRY, Lane.REPLAY, Lane.ANALYTICS])
def test_the_other_lanes_are_kept(lane: Lane) -> None:
    assert finish(replace(UNDER_WAY, lane=lane), DOWN).lane is lane


def test_a_delivery_that_never_succeeds_has_ten_attempts_and_is_dead() -> None:
    delivery, now = NEW, NOW
    starts = []
    while delivery.status is Status.SCHEDULED:
        now = delivery.due_at
        starts.append((now - NOW).total_seconds())
        delivery = finish(claimed(delivery, "me", now, LEASE), DOWN, now)
    assert starts == [0, 5, 305, 2105, 9305, 27305, 63305, 113705, 185705, 272105]
    assert (delivery.status, delivery.attempts, delivery.finished_at) == (Status.DEAD, 10, now)


@pytest.mark.parametrize(
    ("outcome", "attempts"),
    [
        (Outcome(Result.REJECTED, "", 404), 6),
        (Outcome(Result.BLOCKED, ""), 6),
        (Outcome(Result.REFUSED, ""), 6),
        (Outcome(Result.TIMEOUT, ""), 10),
        (Outcome(Result.UNREACHABLE, ""), 10),
        (Outcome(Result.REJECTED, "", 429), 10),
    ],
)
def test_the_last_attempt_is_as_late_as_its_outcome_deserves(outcome: Outcome, attempts: int) -> None:
    assert finish(replace(UNDER_WAY, attempts=attempts - 1), outcome).status is Status.SCHEDULED
    assert finish(replace(UNDER_WAY, attempts=attempts), outcome).status is Status.DEAD


def test_past_the_age_limit_a_failed_attempt_is_the_last_one() -> None:
    limit = NOW + WEBHOOK_POLICY.max_age
    assert finish(UNDER_WAY, DOWN, limit).status is Status.SCHEDULED
    assert finish(UNDER_WAY, DOWN, limit + timedelta(seconds=1)).status is Status.DEAD
    assert finish(UNDER_WAY, DELIVERED, limit + timedelta(days=1)).status is Status.DELIVERED


def test_retry_after_moves_the_next_attempt_back_but_not_forward() -> None:
    asked = Outcome(Result.REJECTED, "", 503, retry_after=timedelta(minutes=3))
    assert finish(UNDER_WAY, asked).due_at == LATER + timedelta(minutes=3)
    assert finish(replace(UNDER_WAY, attempts=3), asked).due_at == LATER + timedelta(minutes=30)


def test_gone_holds_the_delivery_so_that_enabling_the_endpoint_again_loses_nothing() -> None:
    gone = finish(UNDER_WAY, Outcome(Result.GONE, "", 410))
    assert (gone.status, gone.claimed_by, gone.finished_at) == (Status.HELD, None, None)
    assert resumed(gone, LATER).status is Status.SCHEDULED


def test_a_lost_lease_makes_it_due_at_once() -> None:
    assert not is_lost(UNDER_WAY, NOW + LEASE - timedelta(seconds=1), LEASE)
    assert is_lost(UNDER_WAY, NOW + LEASE, LEASE)
    after = expired(UNDER_WAY, LATER, WEBHOOK_POLICY)
    assert after == Delivery(Status.SCHEDULED, Lane.RETRY, 1, NOW, LATER)


def test_a_message_that_kills_its_worker_each_time_dies_too() -> None:
    delivery = NEW
    for attempt in range(1, 11):
        assert delivery.status is Status.SCHEDULED
        delivery = claimed(delivery, "me", LATER, LEASE)
        assert delivery.attempts == attempt
        delivery = expired(delivery, LATER, WEBHOOK_POLICY)
    assert (delivery.status, delivery.finished_at) == (Status.DEAD, LATER)


def test_a_clock_set_back_neither_hides_a_due_row_nor_keeps_a_lease() -> None:
    back = NOW - timedelta(days=365)
    assert is_due(NEW, back, WEBHOOK_POLICY)
    assert is_lost(UNDER_WAY, back, LEASE)
    assert not is_due(NEW, NOW - timedelta(hours=1), WEBHOOK_POLICY)


def test_only_a_scheduled_row_is_due() -> None:
    assert is_due(NEW, NOW, WEBHOOK_POLICY)
    for status in Status:
        assert is_due(replace(NEW, status=status), NOW, WEBHOOK_POLICY) == (status is Status.SCHEDULED)
        assert not is_lost(replace(NEW, status=status), NOW, LEASE)


OPEN = Endpoint(
    UUID(int=1), breaker=Breaker.OPEN, failing_since=NOW - timedelta(days=30), open_until=NOW + timedelta(minutes=5)
)


def test_a_failing_endpoint_may_not_keep_a_row_longer_than_the_age_limit() -> None:
    waiting = replace(NEW, created_at=NOW - timedelta(days=20), due_at=NOW - timedelta(days=15))
    assert overdue(waiting, OPEN, NOW, WEBHOOK_POLICY).status is Status.DEAD
    assert overdue(replace(waiting, due_at=NOW - timedelta(days=13)), OPEN, NOW, WEBHOOK_POLICY).status is (
        Status.SCHEDULED
    )


@pytest.mark.parametrize(
    "endpoint",
    [
        Endpoint(UUID(int=1)),
        replace(OPEN, failing_since=NOW - timedelta(days=1)),
        replace(OPEN, open_until=NOW - timedelta(seconds=1)),
    ],
)
def test_a_row_that_waited_for_a_stopped_worker_is_not_dead_before_an_attempt(endpoint: Endpoint) -> None:
    waiting = replace(NEW, due_at=NOW - timedelta(days=100))
    assert overdue(waiting, endpoint, NOW, WEBHOOK_POLICY) == waiting


def test_a_pause_holds_what_is_scheduled_and_nothing_else() -> None:
    for status in Status:
        expected = Status.HELD if status is Status.SCHEDULED else status
        assert held(replace(NEW, status=status)).status is expected


def test_resuming_makes_what_was_held_due_and_nothing_else() -> None:
    for status in Status:
        after = resumed(replace(NEW, status=status), LATER)
        assert after == (
            replace(NEW, status=Status.SCHEDULED, due_at=LATER)
            if status is Status.HELD
            else replace(NEW, status=status)
        )


def test_a_dead_one_is_retried_by_hand_under_a_higher_number() -> None:
    dead = finish(replace(UNDER_WAY, attempts=10, lane=Lane.RETRY), DOWN)
    again = retried(dead, LATER)
    assert (again.status, again.due_at, again.finished_at, again.attempts) == (Status.SCHEDULED, LATER, None, 10)
    once_more = claimed(again, "me", LATER, LEASE)
    assert once_more.attempts == 11
    assert finish(once_more, DOWN).status is Status.DEAD
    assert finish(once_more, DELIVERED).status is Status.DELIVERED


@pytest.mark.parametrize("status", [Status.CLAIMED, Status.DELIVERED])
def test_what_is_under_way_or_delivered_is_not_retried(status: Status) -> None:
    delivery = replace(NEW, status=status)
    assert retried(delivery, LATER) == delivery


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.HELD, Status.DEAD])
def test_what_waits_or_is_dead_is_due_now_when_somebody_asks(status: Status) -> None:
    again = retried(replace(NEW, status=status, due_at=NOW + timedelta(hours=9)), LATER)
    assert again == replace(NEW, due_at=LATER)


def test_a_replay_is_a_new_row_in_a_lane_of_its_own() -> None:
    done = finish(UNDER_WAY, DELIVERED)
    assert replayed(done, LATER) == Delivery(Status.SCHEDULED, Lane.REPLAY, 0, LATER, LATER)
    assert replayed(replace(done, lane=Lane.ANALYTICS), LATER).lane is Lane.ANALYTICS


outcomes = st.builds(
    Outcome,
    st.sampled_from(list(Result)),
    st.just(""),
    st.none() | st.integers(100, 599),
    st.none() | st.timedeltas(timedelta(0), timedelta(days=400)),
)
instants = st.timedeltas(-timedelta(days=400), timedelta(days=400)).map(lambda delta: NOW + delta)


@given(
    before=st.builds(
        Delivery, st.just(Status.SCHEDULED), st.sampled_from(list(Lane)), st.integers(0, 30), st.just(NOW), st.just(NOW)
    ),
    at=instants,
    then=instants,
    outcome=outcomes,
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_whatever_comes_of_an_attempt_the_row_is_neither_lost_nor_still_claimed(
    before: Delivery, at: datetime, then: datetime, outcome: Outcome, jitter: float
) -> None:
    delivery = claimed(before, "me", at, LEASE)
    after = finished(delivery, outcome, then, WEBHOOK_POLICY, jitter)
    assert (after.claimed_by, after.lease_until, after.attempts) == (None, None, before.attempts + 1)
    assert (after.finished_at is not None) == (after.status in (Status.DELIVERED, Status.DEAD))
    assert (after.status is Status.DELIVERED) == (outcome.result is Result.DELIVERED)
    if after.status is Status.SCHEDULED:
        assert then < after.due_at <= then + WEBHOOK_POLICY.longest_delay
        assert after.attempts < WEBHOOK_POLICY.attempts
