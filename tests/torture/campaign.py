"""All workloads under attack, over as many processes as asked for, and what came out of it as one table.

In: a size, a seed, a number of processes. Out: results in the order of the workloads, and the table as text.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tests.torture.attack import FAMILIES, Attack, Result, Size
from tests.torture.workloads import NAMES, workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class _Order(NamedTuple):
    name: str
    size: Size
    seed: int


def attacked(order: _Order) -> Result:
    return Attack(workload(order.name), order.size, order.seed).run()


def campaign(size: Size, seed: int) -> list[Result]:
    return [attacked(_Order(name, size, seed)) for name in NAMES]


def parallel_campaign(size: Size, seed: int, processes: int, told: Callable[[Result], None]) -> list[Result]:
    """The same in `processes`; `told` hears of each workload when it is done."""
    orders = [_Order(name, size, seed) for name in sorted(NAMES, key=_LONG_ONES.__contains__, reverse=True)]
    results: dict[str, Result] = {}
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=1) as pool:
        for result in pool.imap_unordered(attacked, orders, chunksize=1):
            results[result.workload] = result
            told(result)
    return [results[name] for name in NAMES]


_LONG_ONES = ("fresh install, minimal", "fresh install, full", "adoption of the original's")
"""Begun first, so that no process works alone at the end."""


def tuples(results: Iterable[Result]) -> int:
    """Distinct (workload, perturbation, write index, view)."""
    return sum(len(result.cases) for result in results)


def problems(results: Iterable[Result]) -> list[str]:
    return [f"{case}: {problem}" for result in results for problem, case in result.problems.items()]


def table(results: Sequence[Result]) -> str:
    """Markdown: one row for each workload, one column for each family of perturbations."""
    header = ["workload", *FAMILIES, "tuples", "worlds planned", "writes", "refused", "broken"]
    rows = [
        [
            result.workload,
            *(str(result.families[family]) for family in FAMILIES),
            str(len(result.cases)),
            str(result.worlds),
            str(result.requests),
            str(result.refused),
            str(len(result.problems)),
        ]
        for result in results
    ]
    families = sum((result.families for result in results), Counter[str]())
    sums = [
        *(str(families[family]) for family in FAMILIES),
        str(tuples(results)),
        *(str(sum(value(result) for result in results)) for value in _COUNTS),
    ]
    lines = [header, ["---"] * len(header), *rows, ["all", *sums]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_COUNTS = (
    lambda result: result.worlds,
    lambda result: result.requests,
    lambda result: result.refused,
    lambda result: len(result.problems),
)
