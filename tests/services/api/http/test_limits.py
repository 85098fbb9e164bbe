"""So many requests a minute, of each caller, and when the next one is allowed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from services.api.http import limits
from services.api.http.limits import RateLimit
from services.api.http.problems import ApiError


class Clock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now = 6_000_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(limits, "time", made)
    return made


def allowed(limit: RateLimit, attempts: int, who: str = "somebody") -> int:
    """How many of so many."""
    return sum(refused(limit, who) is None for _ in range(attempts))


def refused(limit: RateLimit, who: str = "somebody") -> int | None:
    """Seconds to wait."""
    try:
        limit.check(who)
    except ApiError as error:
        return int(error.headers["Retry-After"])
    return None


@pytest.mark.usefixtures("clock")
def test_each_caller_has_the_minute_to_himself() -> None:
    limit = RateLimit(10)
    assert allowed(limit, 25) == 10
    assert allowed(limit, 25, "somebody else") == 10


@pytest.mark.parametrize("begun", [0.0, 20.0, 59.9])
def test_who_waits_as_long_as_told_is_let_in_and_who_does_not_is_not(clock: Clock, begun: float) -> None:
    clock.now += begun
    limit = RateLimit(10)
    allowed(limit, 10)
    told = refused(limit)
    assert told is not None
    clock.now += told - 1.1
    assert refused(limit) is not None
    clock.now += 1.1
    assert refused(limit) is None


def test_in_no_minute_at_all_are_there_many_more_than_allowed(clock: Clock) -> None:
    """At the border of two windows twice as many would slip through a counter that forgets."""
    limit = RateLimit(60)
    times: list[float] = []
    for _ in range(4 * 60):
        clock.now += 0.5
        times += [clock.now] * allowed(limit, 3)
    most = max(sum(start <= at < start + 60 for at in times) for start in times)
    assert 60 <= most <= 70
    assert len(times) >= 100


def test_a_minute_of_silence_forgets_everything(clock: Clock) -> None:
    limit = RateLimit(10)
    allowed(limit, 10)
    clock.now += 120
    assert allowed(limit, 25) == 10


def test_threads_do_not_count_past_each_other() -> None:
    limit = RateLimit(500)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: allowed(limit, 100), range(8))) in range(500, 502)
