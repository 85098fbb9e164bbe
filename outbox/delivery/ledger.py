"""All that the engine says to the database, each time one transaction: reports and the next claim, a sweep, the end.

In: reports, and how much of each lane is under way. Out: the next claimed deliveries with their destinations. Never: a
transaction that outlives its call, or one on SQLite that waits for anything but the gate.

Reports of the last requests and the claim of the next share a transaction: the durable commit costs more than all the
statements in it. Every look at an endpoint that leads to a decision happens under the lock of its row, so its cap and
its rate hold over all workers.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from outbox.delivery.claim import Wanted, claim, due, in_flight, instant
from outbox.delivery.directory import Directory
from outbox.delivery.endpoint import room, taken
from outbox.delivery.endpoint_rows import existing, lock, save
from outbox.delivery.finish import finish
from outbox.delivery.lanes import Demand, next_turn
from outbox.delivery.sweep import Swept, found, release, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.engine import Connection

    from outbox.database import Database
    from outbox.delivery.claim import Claimed, Due
    from outbox.delivery.endpoint import Endpoint
    from outbox.delivery.endpoint_rows import Locked
    from outbox.delivery.finish import Policies, Report
    from outbox.delivery.state import Lane
    from outbox.key_ring import KeyRing
    from outbox.subscribers.destination import Destination


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a transaction brought."""

    claims: Sequence[Claimed]
    destinations: Mapping[UUID, Destination]
    """Without those that cannot be decrypted."""
    kept: Sequence[Report]
    """Reports whose endpoint somebody else had locked: to be handed in again."""
    looks_again: bool
    """Some was claimed, and more is due."""


class Look(NamedTuple):
    """What waits, found without writing."""

    is_due: bool
    to_sweep: Swept


class Ledger:
    """For one worker, used by one thread at a time except for `look` and `sweep`, which may run beside the rest."""

    def __init__(
        self,
        database: Database,
        key_ring: KeyRing,
        *,
        worker: str,
        slots: int,
        policies: Policies,
        batch_sizes: Mapping[str, int],
        draw: Callable[[], float],
    ) -> None:
        """`batch_sizes`: by kind of subscriber, how many deliveries one request carries; `draw` gives numbers in
        [0, 1).
        """
        self._database = database
        self._directory = Directory(key_ring)
        self._worker = worker
        self._slots = slots
        self._policies = policies
        self._batch_sizes = batch_sizes
        self._most = max(-(-slots // 4), *batch_sizes.values())
        self._draw = draw
        self._last: UUID | None = None

    def exchange(self, reports: Sequence[Report], under_way: Mapping[Lane, int] | None) -> Exchange:
        """Hands in reports, and takes what is due as far as there are slots.

        `under_way`: requests of this worker by lane, those reported here no longer counted; None: claim nothing.
        Raises what the database raises; nobody knows then whether it was committed, and it may be repeated as it was.
        """
        with self._database.writing() as session:
            connection = session.connection()
            now = instant(connection)
            waiting = due(connection, now, self._most) if under_way is not None else []
            locked = lock(connection, {report.subscriber for report in reports} | {one.subscriber for one in waiting})
            endpoints = {uuid: one.endpoint for uuid, one in locked.items()}
            handed_in = [report for report in reports if report.subscriber in locked]
            endpoints = finish(
                connection,
                handed_in,
                endpoints,
                worker=self._worker,
                now=now,
                policies=self._policies,
                draw=self._draw,
            )
            claims: list[Claimed] = []
            wanted: list[Wanted] = []
            if waiting:
                wanted, endpoints = self._choose(
                    connection, waiting, locked, endpoints, under_way=under_way or {}, now=now
                )
                claims = claim(connection, wanted, worker=self._worker, now=now, lease=self._policies.lease)
            save(connection, locked, endpoints)
            destinations = self._directory.look_up(session, {one.subscriber for one in claims}, now)
            kept = self._kept(connection, reports, locked)
        return Exchange(claims, destinations, kept, self._is_more(wanted))

    def look(self) -> Look:
        """Is anything due, is anything to be swept? So an idle worker never writes."""
        with self._database.reading() as session:
            connection = session.connection()
            now = instant(connection)
            return Look(bool(due(connection, now, 1)), found(connection, now, self._policies))

    def sweep(self) -> Swept:
        with self._database.writing() as session:
            connection = session.connection()
            return sweep(connection, instant(connection), self._policies)

    def release(self) -> int:
        """At the end: what this worker still holds is due for the others. Returns how many."""
        with self._database.writing() as session:
            connection = session.connection()
            return release(connection, self._worker, instant(connection), self._policies)

    def _choose(
        self,
        connection: Connection,
        waiting: Sequence[Due],
        locked: Mapping[UUID, Locked],
        endpoints: Mapping[UUID, Endpoint],
        *,
        under_way: Mapping[Lane, int],
        now: datetime,
    ) -> tuple[list[Wanted], dict[UUID, Endpoint]]:
        """Whose rows are claimed, and the endpoints with the rate that this uses up."""
        demands = self._demands(waiting, locked, endpoints, in_flight(connection), now)
        turn = next_turn(demands, self._slots, under_way, self._last, self._draw())
        self._last = turn.last
        wanted, after = [], dict(endpoints)
        for subscriber, lane, count in turn.grants:
            rows = count * self._batch_size(locked[subscriber])
            wanted.append(Wanted(subscriber, lane, rows))
            after[subscriber], _ = taken(after[subscriber], count, locked[subscriber].rate_per_second, now)
        return wanted, after

    def _demands(
        self,
        waiting: Sequence[Due],
        locked: Mapping[UUID, Locked],
        endpoints: Mapping[UUID, Endpoint],
        rows_in_flight: Mapping[UUID, int],
        now: datetime,
    ) -> list[Demand]:
        by_subscriber: dict[UUID, dict[Lane, int]] = defaultdict(dict)
        for one in waiting:
            if one.subscriber in locked:
                by_subscriber[one.subscriber][one.lane] = _batches(one.rows, self._batch_size(locked[one.subscriber]))
        demands = []
        for subscriber, lanes in by_subscriber.items():
            held = locked[subscriber]
            busy = _batches(rows_in_flight.get(subscriber, 0), self._batch_size(held))
            free = max(0, room(endpoints[subscriber], held.max_in_flight, now) - busy)
            _, at_rate = taken(endpoints[subscriber], free, held.rate_per_second, now)
            demands.append(Demand(subscriber, lanes, at_rate, busy))
        return demands

    def _batch_size(self, locked: Locked) -> int:
        return self._batch_sizes.get(locked.kind, 1)

    def _is_more(self, wanted: Sequence[Wanted]) -> bool:
        """Due rows are counted up to a limit only: where all of those are taken there may be more. Whatever else was
        left had no room, and room comes with a report.
        """
        return any(one.rows >= self._most for one in wanted)

    def _kept(self, connection: Connection, reports: Sequence[Report], locked: Mapping[UUID, Locked]) -> list[Report]:
        """Not those of subscribers that were removed: their rows went with them."""
        left = [report for report in reports if report.subscriber not in locked]
        still_there = existing(connection, {report.subscriber for report in left})
        return [report for report in left if report.subscriber in still_there]


def _batches(rows: int, size: int) -> int:
    return -(-rows // size)
