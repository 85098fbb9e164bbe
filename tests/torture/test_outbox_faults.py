"""The outbox loses nothing, whatever is killed, wiped, frozen or restarted; and the suite has teeth."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from tests.torture.outbox.campaign import Storm, storm, table
from tests.torture.outbox.faults import drawn, outlive_the_lease, restart_redis
from tests.torture.outbox.mutants import mutant
from tests.torture.outbox.recovery import seconds_after_the_lease

_KINDS = ("sqlite", "postgresql")
_SEED = 1
_FAULTS, _EVENTS = 30, 600
_ALL_FAULTS, _ALL_EVENTS = 500, 10_000
_IMPATIENT_SECONDS = 8
_SWEEP_SECONDS = 1.2


def _stormed(kind: str, faults: int, events: int, seed: int) -> Storm:
    return storm(kind, drawn(kind, faults, Random(seed)), events, seed)


def _held(one: Storm, faults: int) -> None:
    assert one.broken == (), one.last_words
    assert len(one.strikes) == faults
    assert all(strike.proof for strike in one.strikes)
    assert one.in_flight * 5 >= faults
    assert one.judgement.committed > 0
    assert one.judgement.rolled_back > 0


@pytest.mark.parametrize("kind", _KINDS)
def test_thirty_faults_lose_nothing(kind: str) -> None:
    _held(_stormed(kind, _FAULTS, _EVENTS, _SEED), _FAULTS)


@pytest.mark.parametrize("kind", _KINDS)
def test_a_worker_without_the_fence_is_caught(kind: str) -> None:
    found = storm(kind, [outlive_the_lease] * 2, 200, _SEED, worker=mutant("no-fence"))
    assert any("late finish" in promise for promise in found.broken), found.strikes


def test_a_worker_that_sweeps_only_what_was_hinted_is_caught() -> None:
    worker = mutant("only-hints")
    found = storm("sqlite", [restart_redis], 100, _SEED, worker=worker, patience=_IMPATIENT_SECONDS)
    assert any("did not arrive" in promise for promise in found.broken), found.strikes


@pytest.mark.torture
@pytest.mark.parametrize("kind", _KINDS)
def test_after_a_kill_the_next_attempt_comes_within_a_lease_and_a_sweep(kind: str) -> None:
    """On a machine that does nothing else."""
    seconds = seconds_after_the_lease(kind, _SEED)
    print(f"\n{kind}: the last of the next attempts came {seconds:.2f} s after the lease had ended")  # noqa: T201
    assert seconds <= _SWEEP_SECONDS


@pytest.mark.torture
def test_five_hundred_faults_lose_nothing() -> None:
    """On each database, both at the same time. ORCHEST_TORTURE_SEED repeats a run; without it each run has its own."""
    seed = int(os.environ.get("ORCHEST_TORTURE_SEED") or time.time_ns() // 1_000_000_000)
    print(f"\noutbox: seed {seed}", flush=True)  # noqa: T201, the run is repeated with it
    with ThreadPoolExecutor() as threads:
        storms = list(threads.map(lambda kind: _stormed(kind, _ALL_FAULTS, _ALL_EVENTS, seed), _KINDS))
    print(table(storms))  # noqa: T201
    for one in storms:
        _held(one, _ALL_FAULTS)
