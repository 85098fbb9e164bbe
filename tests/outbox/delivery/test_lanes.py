from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.delivery.lanes import LEAST_SLOTS, Demand, Grant, free_slots, next_turn, shares
from outbox.delivery.state import Lane

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST, RETRY, REPLAY, ANALYTICS = Lane
IDLE: Mapping[Lane, int] = {}


def demand(number: int, room: int = 4, in_flight: int = 0, **due: int) -> Demand:
    return Demand(UUID(int=number), {Lane(lane): count for lane, count in due.items()}, room, in_flight)


def granted(grants: tuple[Grant, ...], by: str = "subscriber") -> dict[object, int]:
    total: Counter[object] = Counter()
    for grant in grants:
        total[grant.subscriber.int if by == "subscriber" else grant.lane] += grant.slots
    return dict(total)


@given(st.integers(LEAST_SLOTS, 5000))
def test_every_lane_has_a_share_and_together_they_are_all(slots: int) -> None:
    share = shares(slots)
    assert sum(share.values()) == slots
    assert min(share.values()) >= 1
    assert share[FIRST] >= 2 * share[RETRY] >= share[REPLAY]


def test_the_shares_of_256_slots() -> None:
    assert shares(256) == {FIRST: 165, RETRY: 54, REPLAY: 25, ANALYTICS: 12}


counts = st.dictionaries(st.sampled_from(list(Lane)), st.integers(0, 300), max_size=4)


@given(slots=st.integers(LEAST_SLOTS, 300), in_flight=counts, due=counts)
def test_no_more_begin_than_are_due_or_than_there_are_slots(
    slots: int, in_flight: dict[Lane, int], due: dict[Lane, int]
) -> None:
    free = free_slots(slots, in_flight, due)
    assert all(0 <= free[lane] <= due.get(lane, 0) for lane in Lane)
    assert sum(free.values()) <= max(0, slots - sum(in_flight.values()))


@given(slots=st.integers(LEAST_SLOTS, 300), storm=st.integers(0, 10_000), lane=st.sampled_from([RETRY, REPLAY]))
def test_a_storm_in_another_lane_leaves_half_of_the_first_attempts_share_free(
    slots: int, storm: int, lane: Lane
) -> None:
    under_way = free_slots(slots, IDLE, {lane: storm})[lane]
    later = free_slots(slots, {lane: under_way}, {FIRST: 10_000, lane: storm})
    assert later[FIRST] >= shares(slots)[FIRST] // 2


@pytest.mark.parametrize("lane", list(Lane))
def test_what_is_lent_is_not_lent_again(lane: Lane) -> None:
    under_way = free_slots(256, IDLE, {lane: 10_000})[lane]
    assert free_slots(256, {lane: under_way}, {lane: 10_000})[lane] == 0


def test_an_idle_share_is_lent() -> None:
    assert free_slots(256, IDLE, {FIRST: 1000})[FIRST] > shares(256)[FIRST]
    assert free_slots(256, IDLE, {RETRY: 1000})[RETRY] > shares(256)[RETRY]


def test_one_endpoint_alone_gets_what_it_has_room_for() -> None:
    assert next_turn([demand(1, first=10)], 64, IDLE, None, 0.5).grants == (Grant(UUID(int=1), FIRST, 4),)
    assert next_turn([demand(1, room=1, in_flight=3, first=1)], 64, {FIRST: 3}, None, 0.5).grants == (
        Grant(UUID(int=1), FIRST, 1),
    )


def test_endpoints_take_turns_and_none_gets_two_before_all_have_one() -> None:
    demands = [demand(number, first=100) for number in range(1, 9)]
    grants = granted(next_turn(demands, 32, IDLE, None, 0.5).grants)
    assert set(grants) == set(range(1, 9))
    assert max(grants.values()) - min(grants.values()) <= 1


def test_when_slots_are_short_the_next_turn_begins_where_this_one_ended() -> None:
    demands = [demand(number, first=100) for number in range(1, 101)]
    served: Counter[object] = Counter()
    last = None
    for _ in range(5):
        turn = next_turn(demands, 32, IDLE, last, 0.5)
        served.update(granted(turn.grants))
        last = turn.last
    assert len(served) == 100
    assert max(served.values()) - min(served.values()) <= 1


def test_without_room_nothing_is_granted_and_the_turn_stays() -> None:
    last = UUID(int=3)
    assert next_turn([demand(1, room=0, first=5), demand(2, room=-2, first=5)], 64, IDLE, last, 0.5) == ((), last)
    assert next_turn([demand(1, first=5)], 8, {FIRST: 8}, last, 0.5) == ((), last)


def test_no_lane_of_a_busy_endpoint_waits_for_ever() -> None:
    served: Counter[object] = Counter()
    for turn in range(400):
        one = demand(1, room=1, first=1000, retry=1000, replay=1000)
        served.update(granted(next_turn([one], 64, IDLE, None, (turn * 0.7548776662) % 1.0).grants, "lane"))
    assert served[FIRST] > served[RETRY] > served[REPLAY] > 0


@pytest.mark.parametrize("draw", [0.0, 0.3, 0.5, 0.8, 0.9999999])
def test_a_lane_without_slots_does_not_block_the_others(draw: float) -> None:
    in_flight = {RETRY: shares(64)[RETRY] + 40}
    grants = next_turn([demand(1, first=2, retry=2)], 64, in_flight, None, draw).grants
    assert grants == (Grant(UUID(int=1), FIRST, 2),)


def test_the_slow_ones_cannot_have_the_last_slots() -> None:
    """Nothing of theirs ever ends; what is left goes to those who have nothing under way."""
    in_flight: Counter[int] = Counter()
    for _ in range(100):
        hanging = [demand(number, room=50, in_flight=in_flight[number], first=1000) for number in range(3)]
        in_flight.update(
            {
                grant.subscriber.int: grant.slots
                for grant in next_turn(hanging, 64, {FIRST: in_flight.total()}, None, 0.5).grants
            }
        )
    fresh = demand(99, first=1)
    grants = next_turn([*hanging, fresh], 64, {FIRST: in_flight.total()}, None, 0.5).grants
    assert Grant(UUID(int=99), FIRST, 1) in grants
    assert in_flight.total() < shares(64)[FIRST]


def test_healthy_endpoints_do_not_feel_the_sick_ones() -> None:
    """Of 100 endpoints 40 hold all they get for 15 turns; the others answer before the next turn."""
    sick, healthy = range(40), range(40, 100)
    held: Counter[int] = Counter()
    last = None
    for turn in range(30):
        demands = [demand(n, room=4 - held[n], in_flight=held[n], first=100) for n in sick]
        demands += [demand(n, first=1) for n in healthy]
        result = next_turn(demands, 256, {FIRST: held.total()}, last, (turn * 0.75) % 1.0)
        grants, last = granted(result.grants), result.last
        assert all(grants.get(n) == 1 for n in healthy)
        held.update({n: grants.get(n, 0) for n in sick})
        if turn % 15 == 14:
            assert held.total() >= 40
            held.clear()


demands_of_any_kind = st.lists(
    st.builds(demand, st.integers(0, 2**128 - 1), st.integers(-2, 8), st.integers(0, 8)).flatmap(
        lambda one: counts.map(lambda due: Demand(one.subscriber, due, one.room, one.in_flight))
    ),
    max_size=30,
    unique_by=lambda one: one.subscriber,
)


@given(
    demands=demands_of_any_kind,
    slots=st.integers(LEAST_SLOTS, 100),
    in_flight=counts,
    last=st.none() | st.uuids(),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_a_turn_respects_room_due_and_slots_and_is_fair(
    demands: list[Demand], slots: int, in_flight: dict[Lane, int], last: UUID | None, draw: float
) -> None:
    grants = next_turn(demands, slots, in_flight, last, draw).grants
    by_subscriber = granted(grants)
    assert sum(by_subscriber.values()) <= max(0, slots - sum(in_flight.values()))
    assert len(set(map(hash, (grant[:2] for grant in grants)))) == len(grants)
    for one in demands:
        mine = {grant.lane: grant.slots for grant in grants if grant.subscriber == one.subscriber}
        assert sum(mine.values()) <= max(0, one.room)
        assert all(count <= one.due.get(lane, 0) for lane, count in mine.items())


@given(
    number=st.integers(1, 60),
    room=st.integers(1, 60),
    slots=st.integers(LEAST_SLOTS, 200),
    in_flight=st.integers(0, 200),
    last=st.none() | st.integers(0, 100).map(lambda number: UUID(int=number)),
)
def test_equal_endpoints_get_equal_parts(number: int, room: int, slots: int, in_flight: int, last: UUID | None) -> None:
    demands = [demand(n, room=room, first=1000) for n in range(number)]
    grants = granted(next_turn(demands, slots, {FIRST: in_flight}, last, 0.5).grants)
    parts = [grants.get(n, 0) for n in range(number)]
    assert max(parts) - min(parts) <= 1
