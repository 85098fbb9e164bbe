"""Deliveries, endpoints and workers in any order of claims, outcomes, crashes, clock steps and orders of people."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test, invariant, precondition, rule

from outbox.delivery.outcome import Outcome, Result
from outbox.delivery.state import Lane
from tests.outbox.delivery.model import LEASE, PLANTED, Rules, World

ENDPOINTS = st.integers(1, 3)
WORKERS = st.sampled_from(["a", "b"])
ANY = st.integers(0, 10_000)
JITTER = st.floats(0, 1, exclude_max=True)
FAILURES = st.builds(
    Outcome,
    st.sampled_from([result for result in Result if result is not Result.DELIVERED]),
    st.just(""),
    st.sampled_from([None, 302, 404, 429, 500, 503]),
    st.none() | st.timedeltas(timedelta(0), timedelta(days=3)),
)
OUTCOMES = FAILURES | st.just(Outcome(Result.DELIVERED, "", 200))


class Deliveries(RuleBasedStateMachine):
    """Every rule is one thing that happens; `World` decides and asserts."""

    decisions: ClassVar = Rules()

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.decisions)

    @rule(endpoint=ENDPOINTS, lane=st.sampled_from([Lane.FIRST, Lane.FIRST, Lane.ANALYTICS]))
    def register(self, endpoint: int, lane: Lane) -> None:
        self.world.register(endpoint, lane)

    @rule(worker=WORKERS, draw=JITTER)
    def claim(self, worker: str, draw: float) -> None:
        self.world.claim(worker, draw)

    @precondition(lambda self: self.world.flights)
    @rule(pick=ANY, outcome=OUTCOMES, jitter=JITTER)
    def finish(self, pick: int, outcome: Outcome, jitter: float) -> None:
        flights = self.world.flights
        self.world.finish(flights[pick % len(flights)], outcome, jitter)

    @precondition(lambda self: self.world.flights)
    @rule(outcome=FAILURES, jitter=JITTER)
    def fail_all(self, outcome: Outcome, jitter: float) -> None:
        for flight in list(self.world.flights):
            self.world.finish(flight, outcome, jitter)

    @rule(worker=WORKERS)
    def crash(self, worker: str) -> None:
        self.world.crash(worker)

    @rule()
    def sweep(self) -> None:
        self.world.sweep()

    @rule(worker=WORKERS, draw=JITTER)
    def outlive_the_leases(self, worker: str, draw: float) -> None:
        self.world.now += 2 * LEASE
        self.world.sweep()
        self.world.claim(worker, draw)

    @rule(seconds=st.sampled_from([1, 10, 61, 600, 3600, 30 * 3600]))
    def wait(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @rule(hours=st.sampled_from([-24 * 400, -30, -1, 24 * 6, 24 * 400]))
    def step_the_clock(self, hours: int) -> None:
        self.world.now += timedelta(hours=hours)

    @precondition(lambda self: self.world.endpoints)
    @rule(pick=ANY)
    def pause(self, pick: int) -> None:
        self.world.pause(self._endpoint(pick))

    @precondition(lambda self: self.world.endpoints)
    @rule(pick=ANY)
    def resume(self, pick: int) -> None:
        self.world.resume(self._endpoint(pick))

    @precondition(lambda self: self.world.rows)
    @rule(pick=ANY)
    def retry(self, pick: int) -> None:
        self.world.retry(pick % len(self.world.rows))

    @precondition(lambda self: self.world.rows)
    @rule(pick=ANY)
    def replay(self, pick: int) -> None:
        self.world.replay(pick % len(self.world.rows))

    @invariant()
    def holds(self) -> None:
        self.world.check()

    @rule()
    def look_ahead(self) -> None:
        self.world.check_the_end()

    def _endpoint(self, pick: int) -> int:
        return sorted(self.world.endpoints)[pick % len(self.world.endpoints)]


def explore(rules: Rules, number: int, how: settings) -> None:
    """Runs with the seed `number`; raises the AssertionError of the first broken promise."""
    machine = type("DeliveriesUnder", (Deliveries,), {"decisions": rules})
    seed(number)(get_state_machine_test(machine, settings=how))()


def unshrunk(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


def test_no_order_of_things_loses_or_blocks_a_delivery() -> None:
    explore(Rules(), 1, unshrunk(150))


@pytest.mark.parametrize(("bug", "broken"), sorted(PLANTED))
def test_a_planted_bug_is_found(bug: str, broken: str) -> None:
    with pytest.raises(AssertionError, match=broken):
        explore(PLANTED[bug, broken], 1, unshrunk(2000))
