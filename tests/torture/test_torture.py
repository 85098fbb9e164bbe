"""The reconciler survives crashes, stale views, missed states and foreign writes: no tuple breaks a promise."""

from __future__ import annotations

import os
import resource
import time
from functools import cache

import pytest

from tests.torture.attack import FULL, SMALL, Result
from tests.torture.campaign import campaign, parallel_campaign, problems, table, tuples
from tests.torture.workloads import NAMES

_SEED = 1


@cache
def _small() -> list[Result]:
    return campaign(SMALL, _SEED)


@pytest.mark.parametrize("name", NAMES)
def test_no_perturbation_breaks_a_promise(name: str) -> None:
    assert problems(result for result in _small() if result.workload == name) == []


def test_ten_thousand_distinct_tuples_are_tried() -> None:
    assert tuples(_small()) >= 10_000


def _tell(result: Result) -> None:
    print(f"  {result.workload}: {len(result.cases)} tuples, {len(result.problems)} promises broken", flush=True)  # noqa: T201


@pytest.mark.torture
def test_a_hundred_thousand_distinct_tuples_break_no_promise() -> None:
    """Full size. ORCHEST_TORTURE_SEED repeats a run; without it each run has a seed of its own."""
    seed = int(os.environ.get("ORCHEST_TORTURE_SEED") or time.time_ns() // 1_000_000_000)
    print(f"\ntorture: seed {seed}", flush=True)  # noqa: T201, the run is repeated with it
    start = time.monotonic()
    results = parallel_campaign(FULL, seed, 2, _tell)
    print(table(results))  # noqa: T201
    spent, usage = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = usage.ru_utime + usage.ru_stime
    print(f"{tuples(results)} distinct tuples in {spent:.0f} s ({cpu:.0f} s of CPU time), seed {seed}")  # noqa: T201
    assert problems(results) == []
    assert tuples(results) >= 100_000
