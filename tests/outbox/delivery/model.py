"""A small world of deliveries, endpoints and workers that only the pure decisions move, and what must hold in it.

In: what happens (a claim, an outcome, a crash, a step of the clock ...). Out: the world after it, or an AssertionError
naming the broken promise. The ledger of claims is kept apart from the rows, so that a wrong decision cannot hide
itself.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from outbox.delivery import endpoint as health
from outbox.delivery import state
from outbox.delivery.endpoint import Condition, Endpoint, HealthPolicy
from outbox.delivery.lanes import Demand, next_turn
from outbox.delivery.outcome import Outcome, Result
from outbox.delivery.schedule import ANALYTICS_POLICY, WEBHOOK_POLICY, Policy
from outbox.delivery.state import Delivery, Lane, Status

if TYPE_CHECKING:
    from collections.abc import Callable

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEASE = timedelta(seconds=60)
CAP = 3
HEALTH = HealthPolicy(failures_to_open=2)
"""Opens so soon that breakers are seen often."""
SLOTS = 8
DELIVERED = Outcome(Result.DELIVERED, "", 200)
ENDED = (Status.DELIVERED, Status.DEAD)


@dataclass(frozen=True)
class Rules:
    """The decisions under test; a planted bug replaces one."""

    claimed: Callable[[Delivery, str, datetime, timedelta], Delivery] = state.claimed
    holds_fence: Callable[[Delivery, str, int], bool] = state.holds_fence
    is_lost: Callable[[Delivery, datetime, timedelta], bool] = state.is_lost
    is_due: Callable[[Delivery, datetime, Policy], bool] = state.is_due
    expired: Callable[[Delivery, datetime, Policy], Delivery] = state.expired
    finished: Callable[[Delivery, Outcome, datetime, Policy, float], Delivery] = state.finished
    room: Callable[[Endpoint, int, datetime], int] = health.room
    after: Callable[[Endpoint, Outcome, datetime, HealthPolicy, float], Endpoint] = health.after


class Flight(NamedTuple):
    """A request under way, in the memory of a worker."""

    row: int
    worker: str
    attempt: int


@dataclass
class World:
    rules: Rules = field(default_factory=Rules)
    now: datetime = NOON
    rows: dict[int, Delivery] = field(default_factory=dict)
    homes: dict[int, int] = field(default_factory=dict)
    """The endpoint of each row."""
    endpoints: dict[int, Endpoint] = field(default_factory=dict)
    flights: list[Flight] = field(default_factory=list)
    last: UUID | None = None
    ledger: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Who claimed each row last and has neither finished nor lost it."""
    fences: set[tuple[int, int]] = field(default_factory=set)
    seen: dict[int, int] = field(default_factory=dict)
    """The attempts of each row at the last check."""
    extra: Counter[int] = field(default_factory=Counter)
    """Attempts that a person added: a retry or a resume each allow one more."""

    def register(self, number: int, lane: Lane) -> None:
        endpoint = self.endpoints.setdefault(number, Endpoint(UUID(int=number)))
        status = Status.SCHEDULED if endpoint.condition is Condition.ENABLED else Status.HELD
        self._add(number, Delivery(status, lane, 0, self.now, self.now))

    def _add(self, number: int, delivery: Delivery) -> None:
        row = len(self.rows)
        self.rows[row] = delivery
        self.homes[row] = number

    def claim(self, worker: str, draw: float) -> None:
        in_flight = Counter(self.rows[flight.row].lane for flight in self.flights if flight.worker == worker)
        turn = next_turn(self._demands(worker), SLOTS, in_flight, self.last, draw)
        self.last = turn.last
        for grant in turn.grants:
            rows = self._due(grant.subscriber.int, grant.lane)[: grant.slots]
            assert len(rows) == grant.slots, "a claim of rows that are not there"
            for row in rows:
                self._claim_row(row, worker)

    def _claim_row(self, row: int, worker: str) -> None:
        before = self.rows[row]
        after = self.rows[row] = self.rules.claimed(before, worker, self.now, LEASE)
        assert (row, after.attempts) not in self.fences, f"row {row}: two claims share attempt {after.attempts}"
        assert row not in self.ledger, f"row {row}: claimed while {self.ledger[row]} has it"
        self.fences.add((row, after.attempts))
        self.ledger[row] = (worker, after.attempts)
        self.flights.append(Flight(row, worker, after.attempts))

    def _demands(self, worker: str) -> list[Demand]:
        demands = []
        for number, endpoint in self.endpoints.items():
            claimed = [row for row, home in self.homes.items() if home == number and self._is(row, Status.CLAIMED)]
            due = {lane: len(self._due(number, lane)) for lane in Lane}
            room = self.rules.room(endpoint, CAP, self.now) - len(claimed)
            mine = sum(1 for row in claimed if self.rows[row].claimed_by == worker)
            demands.append(Demand(endpoint.subscriber_uuid, due, room, mine))
        return demands

    def _is(self, row: int, status: Status) -> bool:
        return self.rows[row].status is status

    def _due(self, number: int, lane: Lane) -> list[int]:
        mine = (row for row, home in self.homes.items() if home == number and self.rows[row].lane is lane)
        return [row for row in mine if self.rules.is_due(self.rows[row], self.now, policy_of(self.rows[row]))]

    def finish(self, flight: Flight, outcome: Outcome, jitter: float) -> None:
        """The row only behind its fence, the endpoint always."""
        self.flights.remove(flight)
        before, number = self.rows[flight.row], self.homes[flight.row]
        self.endpoints[number] = self.rules.after(self.endpoints[number], outcome, self.now, HEALTH, jitter)
        if self.rules.holds_fence(before, flight.worker, flight.attempt):
            self.rows[flight.row] = self.rules.finished(before, outcome, self.now, policy_of(before), jitter)
        changed = self.rows[flight.row] != before
        owner = self.ledger.get(flight.row)
        mine = owner == (flight.worker, flight.attempt)
        assert mine or not changed, f"{flight} came late and changed a row of {owner}"
        if mine:
            del self.ledger[flight.row]
            assert changed, f"{flight} finished and nothing came of it"
        self._hold(number)

    def sweep(self) -> None:
        for row, delivery in self.rows.items():
            endpoint, policy = self.endpoints[self.homes[row]], policy_of(delivery)
            if self.rules.is_lost(delivery, self.now, LEASE):
                assert row in self.ledger, f"row {row} is {delivery} and nobody's"
                self.rows[row] = self.rules.expired(delivery, self.now, policy)
                del self.ledger[row]
            else:
                self.rows[row] = state.overdue(delivery, endpoint, self.now, policy)
        for number in self.endpoints:
            self._hold(number)

    def _hold(self, number: int) -> None:
        if self.endpoints[number].condition is Condition.ENABLED:
            return
        for row, home in self.homes.items():
            if home == number:
                self.rows[row] = state.held(self.rows[row])

    def crash(self, worker: str) -> None:
        self.flights = [flight for flight in self.flights if flight.worker != worker]

    def pause(self, number: int) -> None:
        self.endpoints[number] = health.paused(self.endpoints[number], "asked for")
        self._hold(number)

    def resume(self, number: int) -> None:
        self.endpoints[number] = health.enabled(self.endpoints[number])
        for row, home in self.homes.items():
            if home == number and self._is(row, Status.HELD):
                self.rows[row] = state.resumed(self.rows[row], self.now)
                self.extra[row] += 1

    def retry(self, row: int) -> None:
        if self.rows[row].status in (Status.DEAD, Status.HELD):
            self.extra[row] += 1
        self.rows[row] = state.retried(self.rows[row], self.now)
        self._hold(self.homes[row])

    def replay(self, row: int) -> None:
        self._add(self.homes[row], state.replayed(self.rows[row], self.now))
        self._hold(self.homes[row])

    def check(self) -> None:
        """What holds at every moment."""
        for row, delivery in self.rows.items():
            assert delivery.attempts >= self.seen.get(row, 0), f"row {row}: attempts fell"
            self.seen[row] = delivery.attempts
            is_claimed = delivery.status is Status.CLAIMED
            assert (delivery.claimed_by is not None) == is_claimed, delivery
            assert (delivery.lease_until is not None) == is_claimed, delivery
            assert (delivery.finished_at is not None) == (delivery.status in ENDED), delivery
            assert (row in self.ledger) == is_claimed, f"row {row} is {delivery.status}, claims: {self.ledger}"
            assert delivery.attempts <= policy_of(delivery).attempts + self.extra[row], "the budget is exceeded"
        for row, (worker, attempt) in self.ledger.items():
            assert state.holds_fence(self.rows[row], worker, attempt), f"row {row} has two fences"

    def _copy(self) -> World:
        """Apart from this one; the values in it are frozen and shared."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return World(**{name: copy.copy(value) for name, value in own.items()})

    def check_the_end(self) -> None:
        """Once everybody behaves, every row ends: nothing is stuck, no breaker is shut for ever."""
        end = self._copy()
        for number, endpoint in end.endpoints.items():
            if endpoint.condition is not Condition.ENABLED:
                end.resume(number)
        for _ in range(100):
            if all(delivery.status in ENDED for delivery in end.rows.values()):
                return
            end.flights.clear()
            end.sweep()
            end.claim("last", draw=0.5)
            for flight in list(end.flights):
                end.finish(flight, DELIVERED, jitter=0.5)
            end.now += timedelta(hours=1)
        raise AssertionError(f"stuck for ever: {[row for row in end.rows.values() if row.status not in ENDED]}")


def policy_of(delivery: Delivery) -> Policy:
    return ANALYTICS_POLICY if delivery.lane is Lane.ANALYTICS else WEBHOOK_POLICY


def without_fence(delivery: Delivery, worker: str, attempt: int) -> bool:
    """Planted: whoever comes may finish."""
    del worker, attempt
    return delivery.status is Status.CLAIMED


def without_raising(delivery: Delivery, worker: str, now: datetime, lease: timedelta) -> Delivery:
    """Planted: the attempt is counted when it ends, not when it begins."""
    return replace(state.claimed(delivery, worker, now, lease), attempts=delivery.attempts)


def counted_at_the_end(delivery: Delivery, outcome: Outcome, now: datetime, policy: Policy, jitter: float) -> Delivery:
    """Planted with `without_raising`."""
    return state.finished(replace(delivery, attempts=delivery.attempts + 1), outcome, now, policy, jitter)


def never_half_open(endpoint: Endpoint, cap: int, now: datetime) -> int:
    """Planted: an open breaker stays so."""
    return 0 if endpoint.breaker is health.Breaker.OPEN else health.room(endpoint, cap, now)


def forgotten_by_the_sweep(delivery: Delivery, now: datetime, lease: timedelta) -> bool:
    """Planted: a retry whose lease ran out is not found."""
    return state.is_lost(delivery, now, lease) and delivery.lane is Lane.FIRST


def without_cap_on_the_clock(delivery: Delivery, now: datetime, policy: Policy) -> bool:
    """Planted: a due time written by a clock since set back is believed."""
    del policy
    return delivery.status is Status.SCHEDULED and delivery.due_at <= now


def ignored_when_gone(delivery: Delivery, outcome: Outcome, now: datetime, policy: Policy, jitter: float) -> Delivery:
    """Planted: after 410 the row is left as it is."""
    if outcome.result is Result.GONE:
        return delivery
    return state.finished(delivery, outcome, now, policy, jitter)


PLANTED = {
    ("no fence", "came late and changed a row"): Rules(holds_fence=without_fence),
    ("attempts not raised at claim", "two claims share"): Rules(claimed=without_raising, finished=counted_at_the_end),
    ("sweep forgets", "stuck for ever"): Rules(is_lost=forgotten_by_the_sweep),
    ("breaker never half-open", "stuck for ever"): Rules(room=never_half_open),
    ("clock believed", "stuck for ever"): Rules(is_due=without_cap_on_the_clock),
    ("410 keeps the claim", "nothing came of it"): Rules(finished=ignored_when_gone),
}
"""By name and by the promise that is seen broken."""
