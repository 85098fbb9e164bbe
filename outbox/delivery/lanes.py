"""Whose turn it is: how the slots of one worker are shared between lanes, and a claim between endpoints.

In: what is due, what is under way, how much room each endpoint has, a random draw. Out: how many of each endpoint's
rows of each lane the next claim takes. Never: a row, a clock, or an endpoint that waits because another one is slow.

A slot is one request under way. Lanes have shares, and lend half of what they leave idle: a storm of retries may use
some of the slots of the first attempts, never so many that new events wait for it. Endpoints take turns, one row each
time round. The fewer slots are left in a lane, the fewer requests one endpoint may have under way, so the slow ones
cannot have the last of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from outbox.delivery.state import Lane

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

LEAST_SLOTS = 8
_WEIGHTS = {Lane.FIRST: 0.6, Lane.RETRY: 0.25, Lane.REPLAY: 0.1, Lane.ANALYTICS: 0.05}
"""How often a lane's turn comes at an endpoint that has rows in several."""
_GOLDEN = 0.618033988749895
"""Steps of this size spread draws evenly over [0, 1)."""
_LIMITS = ((0.75, 1_000_000), (0.5, 4), (0.33, 2))
"""While at least this part of a lane's share is free, one endpoint may have so many requests under way; below, one."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one endpoint has to send now. Only endpoints with something due need one."""

    subscriber: UUID
    due: Mapping[Lane, int]
    """Rows; for analytics batches."""
    room: int
    """How many requests may begin: `endpoint.room` less those under way from all workers, no more than its rate."""
    in_flight: int = 0
    """From this worker."""


class Grant(NamedTuple):
    subscriber: UUID
    lane: Lane
    slots: int
    """How many requests: of one row each, for analytics of one batch each."""


class Turn(NamedTuple):
    grants: tuple[Grant, ...]
    last: UUID | None
    """The endpoint served last: hand it to the next turn, which begins behind it."""


def shares(slots: int) -> dict[Lane, int]:
    """Of at least `LEAST_SLOTS` slots: small shares for replay and analytics, the rest 75 to 25 for first attempts and
    retries; they add up to `slots`.
    """
    replay, analytics = max(1, slots // 10), max(1, slots // 20)
    webhooks = slots - replay - analytics
    retry = max(1, webhooks // 4)
    return {Lane.FIRST: webhooks - retry, Lane.RETRY: retry, Lane.REPLAY: replay, Lane.ANALYTICS: analytics}


def next_turn(
    demands: Sequence[Demand], slots: int, in_flight: Mapping[Lane, int], last: UUID | None, draw: float
) -> Turn:
    """Shares what is free of a worker's slots between the endpoints, one request each time round, beginning behind
    `last`; `in_flight` are its own requests under way by lane.

    Where an endpoint has rows in several lanes, chance weighted by lane says which is next, so that none of them waits
    for ever; `draw` in [0, 1) is that chance.
    """
    free = _Free(slots, in_flight, _due(demands))
    round_of: Iterable[_Waiting] = map(_Waiting, _behind(demands, last))
    taken: dict[tuple[UUID, Lane], int] = {}
    while free.total:
        still = []
        for one in round_of:
            lane = one.pick(free, draw)
            if lane is None:
                continue
            draw = (draw + _GOLDEN) % 1.0
            free.take(lane)
            last = one.subscriber
            taken[last, lane] = taken.get((last, lane), 0) + 1
            still.append(one)
            if not free.total:
                break
        if not still:
            break
        round_of = still
    return Turn(tuple(Grant(subscriber, lane, count) for (subscriber, lane), count in taken.items()), last)


def free_slots(slots: int, in_flight: Mapping[Lane, int], due: Mapping[Lane, int]) -> dict[Lane, int]:
    """How many requests of each lane may begin now, never more than are due. Lanes are served in order of urgency."""
    share = shares(slots)
    unused = slots - sum(in_flight.values())
    on_loan = sum(max(0, in_flight.get(lane, 0) - share[lane]) for lane in Lane)
    lendable = sum(max(0, share[lane] - in_flight.get(lane, 0) - due.get(lane, 0)) // 2 for lane in Lane) - on_loan
    free: dict[Lane, int] = {}
    for lane in Lane:
        free[lane] = max(0, min(due.get(lane, 0), share[lane] - in_flight.get(lane, 0), unused))
        unused -= free[lane]
    lendable = max(0, min(lendable, unused))
    for lane in Lane:
        loan = min(due.get(lane, 0) - free[lane], lendable)
        free[lane] += loan
        lendable -= loan
    return free


def _due(demands: Sequence[Demand]) -> dict[Lane, int]:
    """What could begin now, were there slots for all."""
    total = dict.fromkeys(Lane, 0)
    for demand in demands:
        if demand.room > 0:
            for lane, count in demand.due.items():
                total[lane] += min(count, demand.room)
    return total


class _Free:
    """The slots of each lane during a turn."""

    __slots__ = ("_left", "_share", "_unused", "limits", "total")

    def __init__(self, slots: int, in_flight: Mapping[Lane, int], due: Mapping[Lane, int]) -> None:
        self._share = shares(slots)
        self._unused = {lane: self._share[lane] - in_flight.get(lane, 0) for lane in Lane}
        self._left = free_slots(slots, in_flight, due)
        self.total = sum(self._left.values())
        self.limits = {lane: self._limit(lane) for lane in Lane if self._left[lane]}
        """Of each lane that has a slot left: how many requests one endpoint may have under way."""

    def take(self, lane: Lane) -> None:
        self.total -= 1
        self._left[lane] -= 1
        self._unused[lane] -= 1
        if self._left[lane]:
            self.limits[lane] = self._limit(lane)
        else:
            del self.limits[lane]

    def _limit(self, lane: Lane) -> int:
        part = self._unused[lane] / self._share[lane]
        return next((limit for least, limit in _LIMITS if part >= least), 1)


class _Waiting:
    """One endpoint during a turn."""

    __slots__ = ("due", "room", "subscriber", "under_way")

    def __init__(self, demand: Demand) -> None:
        self.subscriber = demand.subscriber
        self.due = {lane: count for lane, count in demand.due.items() if count > 0}
        self.room = demand.room
        self.under_way = demand.in_flight

    def pick(self, free: _Free, draw: float) -> Lane | None:
        """Takes one row from a lane that has a slot for it; None when there is none, nor will be in this turn."""
        if self.room <= 0:
            return None
        lanes = [lane for lane in self.due if self.under_way < free.limits.get(lane, 0)]
        if not lanes:
            return None
        lane = lanes[0] if len(lanes) == 1 else _drawn(lanes, draw)
        self.room -= 1
        self.under_way += 1
        self.due[lane] -= 1
        if not self.due[lane]:
            del self.due[lane]
        return lane


def _drawn(lanes: Sequence[Lane], draw: float) -> Lane:
    mark = draw * sum(_WEIGHTS[lane] for lane in lanes)
    for lane in lanes:
        mark -= _WEIGHTS[lane]
        if mark < 0:
            return lane
    return lanes[-1]


def _behind(demands: Sequence[Demand], last: UUID | None) -> list[Demand]:
    """In the order of ids, rotated so that the first is the one after `last`."""
    ordered = sorted(demands, key=lambda demand: demand.subscriber.int)
    if last is None:
        return ordered
    number = last.int
    start = next((i for i, demand in enumerate(ordered) if demand.subscriber.int > number), 0)
    return ordered[start:] + ordered[:start]
