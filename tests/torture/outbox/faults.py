"""The blows, one function each: it strikes, proves that it struck, and mends what a supervisor would mend.

In: the site and a random generator. Out: a `Strike`. A worker is frozen first, so that what it holds is known for
certain when it is killed.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tests.torture.outbox.servers import awaited, frozen, killed, thawed
from tests.torture.outbox.site import LEASE_SECONDS, Claim, await_ready

if TYPE_CHECKING:
    from random import Random

    from tests.torture.outbox.site import Program, Site

_TRY_SECONDS = 4.0
_TRIES = 5
_SOME_EVENTS = 20
_IDLE_LOOKS = 8
"""After so many looks at idle workers the writer gives them something to do."""
_ANSWERED_SECONDS = 0.3
"""Within this the requests of a worker that has just been frozen are answered."""
_LATE_FINISH_SECONDS = 0.8
"""For the sleeper to hear its answers and write down what came of them; less than the second worker's deadline."""


class Strike(NamedTuple):
    kind: str
    proof: str
    in_flight: int
    """How many deliveries were claimed and not finished, by whom it struck, at that moment."""
    broken: tuple[str, ...] = ()
    """Promises that were seen broken on the spot."""


def kill_worker_between_claim_and_finish(site: Site, random: Random) -> Strike:
    """Whichever has claims: often one has them all. The other may still be starting after an earlier blow."""
    up = [worker for worker in site.workers if worker.is_ready] or site.workers
    worker, claims = _frozen_with_claims(site, random.sample(up, len(up)), random)
    return _killed_and_restarted("worker killed between claim and finish", worker, len(claims))


def kill_worker(site: Site, random: Random) -> Strike:
    worker = random.choice(site.workers)
    worker.freeze()
    return _killed_and_restarted("worker killed at any time", worker, len(site.claims(worker)))


def kill_writer(site: Site, random: Random) -> Strike:
    time.sleep(random.uniform(0, 0.05))
    return _killed_and_restarted("writer killed", site.writer, 0)


def flush_redis(site: Site, _random: Random) -> Strike:
    claims = len(site.claims())
    return Strike("Redis wiped", site.redis.flush(), claims)


def restart_redis(site: Site, random: Random) -> Strike:
    claims = len(site.claims())
    proof = site.redis.stop()
    time.sleep(random.uniform(0, 0.5))
    site.redis.start()
    return Strike("Redis killed and started", proof, claims)


def freeze_redis(site: Site, random: Random) -> Strike:
    claims = len(site.claims())
    proof = frozen(site.redis.process)
    time.sleep(random.uniform(0.05, 1))
    thawed(site.redis.process)
    return Strike("Redis frozen", proof, claims)


def end_backend(site: Site, random: Random) -> Strike:
    assert site.postgresql
    postgresql = site.postgresql
    while True:
        backends = awaited(postgresql.backends, "a connection to end")
        claims = len(site.claims())
        # That of a worker killed just before may end by itself in this very moment.
        if proof := postgresql.end_backend(random.choice(backends)):
            return Strike("PostgreSQL connection ended", proof, claims)


def stop_postgresql(site: Site, random: Random) -> Strike:
    assert site.postgresql
    claims = len(site.claims())
    proof = site.postgresql.stop_at_once()
    time.sleep(random.uniform(0, 0.3))
    site.postgresql.start()
    return Strike("PostgreSQL stopped at once", proof, claims)


def kill_inside_a_transaction(site: Site, random: Random) -> Strike:
    """SQLite: whoever holds the gate, frozen with it, dies with a half-written WAL."""
    deadline = time.monotonic() + _TRY_SECONDS
    while time.monotonic() < deadline:
        program = random.choice([site.writer, *site.workers])
        program.freeze()
        if site.gate_holder() == program.process.pid:
            claims = len(site.claims(program))
            wal = site.wal_bytes()
            strike = _killed_and_restarted("process killed inside a SQLite transaction", program, claims)
            return strike._replace(proof=f"{strike.proof} holding the gate, WAL of {wal} bytes")
        thawed(program.process)
        time.sleep(random.uniform(0, 0.01))
    return kill_worker(site, random)


def outlive_the_lease(site: Site, random: Random) -> Strike:
    """A worker sleeps over its lease with requests under way; another one takes its deliveries; the first wakes up
    and finds its answers waiting. Its late finish must not take the deliveries out of the hands of the second.
    """
    sleeper, other = random.sample(site.workers, 2)
    claims = asleep_with_answers(site, sleeper, other, random)
    if not claims:
        thawed(sleeper.process)
        return Strike("worker frozen with nothing to do", f"pid {sleeper.process.pid}", 0)
    try:
        site.hold(claims)
        taken = set(awaited(lambda: _taken_over(site, claims), "another worker to take over", LEASE_SECONDS + 10))
        thawed(sleeper.process)
        time.sleep(_LATE_FINISH_SECONDS)
        lost = taken - set(site.claims())
    finally:
        thawed(sleeper.process)
        site.hold([])
    broken = (f"a late finish took {len(lost)} deliveries from another worker",) if lost else ()
    return Strike("worker frozen beyond its lease", f"{len(taken)} deliveries taken over", len(claims), broken)


def asleep_with_answers(site: Site, sleeper: Program, other: Program, random: Random) -> list[Claim]:
    """Freezes the first at a moment when it has no open transaction, and requests whose answers it has not written
    down: those are returned. The other one leaves it all the work before, and runs after.
    """
    for _ in range(_TRIES):
        _freeze_outside_a_transaction(site, other, random)
        site.allow_more(_SOME_EVENTS)
        _frozen_with_claims(site, [sleeper], random)
        thawed(other.process)
        time.sleep(_ANSWERED_SECONDS)
        received = site.received()
        # Read again: a commit that the server had already been sent is done although its sender is frozen.
        answered = [claim for claim in site.claims(sleeper) if claim.delivery in received]
        if answered and not site.blocks_others(sleeper):
            return answered
        thawed(sleeper.process)
    return []


def _freeze_outside_a_transaction(site: Site, worker: Program, random: Random) -> None:
    await_ready(worker)
    worker.freeze()
    while site.blocks_others(worker):
        thawed(worker.process)
        time.sleep(random.uniform(0.005, 0.03))
        worker.freeze()


def _taken_over(site: Site, claims: list[Claim]) -> list[Claim]:
    """The same deliveries in later claims."""
    before = {claim.delivery: claim.attempt for claim in claims}
    return [claim for claim in site.claims() if claim.attempt > before.get(claim.delivery, claim.attempt)]


def _frozen_with_claims(site: Site, workers: Sequence[Program], random: Random) -> tuple[Program, list[Claim]]:
    """Stops one of them at a moment when it has claimed and not finished; when there is no such moment, at any."""
    for worker in workers:
        await_ready(worker)
    deadline = time.monotonic() + _TRY_SECONDS
    for number in itertools.count(1):
        worker = workers[number % len(workers)]
        worker.freeze()
        claims = site.claims(worker)
        if claims or time.monotonic() > deadline:
            break
        thawed(worker.process)
        time.sleep(random.uniform(0.005, 0.03))
        if number % _IDLE_LOOKS == 0:
            site.allow_more(_SOME_EVENTS // 4)
    return worker, claims


def _killed_and_restarted(kind: str, program: Program, in_flight: int) -> Strike:
    proof = killed(program.process)
    program.start()
    return Strike(kind, proof, in_flight)


HARMLESS = frozenset({"writer killed", "Redis wiped", "Redis killed and started", "Redis frozen"})
"""Kinds that cannot cause a duplicate: they touch nobody who delivers."""
Fault = Callable[["Site", "Random"], Strike]

WEIGHTS: Mapping[str, Mapping[Fault, int]] = {
    "sqlite": {
        kill_worker_between_claim_and_finish: 22,
        kill_worker: 5,
        kill_writer: 12,
        kill_inside_a_transaction: 16,
        flush_redis: 20,
        restart_redis: 14,
        freeze_redis: 10,
        outlive_the_lease: 1,
    },
    "postgresql": {
        kill_worker_between_claim_and_finish: 22,
        kill_worker: 4,
        kill_writer: 10,
        end_backend: 22,
        stop_postgresql: 11,
        flush_redis: 13,
        restart_redis: 10,
        freeze_redis: 7,
        outlive_the_lease: 1,
    },
}
"""Of a hundred faults on each kind of database. Each kind strikes at least once."""


def drawn(kind: str, count: int, random: Random) -> list[Fault]:
    """A mix of `count` faults in random order."""
    weights = WEIGHTS[kind]
    mixed = [fault for fault, weight in weights.items() for _ in range(max(1, weight * count // 100))]
    mixed += random.choices(list(weights), weights=list(weights.values()), k=max(0, count - len(mixed)))
    random.shuffle(mixed)
    return mixed[:count]
