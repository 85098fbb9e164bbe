"""How fast do webhooks leave, and at what cost? The outbox rows of the design, on this machine.

`python -m benchmarks.outbox` prints a table, with `--json` the same rows for programs. The real `orchest worker` runs
with every rule on: claims with leases, signatures, the address guard, attempt rows, fenced finishes, durable commits.
The receiver shares the machine. The anchors are Celery (Redis, two worker processes) and Procrastinate (PostgreSQL),
which send the same body to the same receiver, signed and over kept connections; they are installed into an environment
of their own. Rates and CPU times are the median of several runs, the minimum is beside it; CPU time is that of workers,
brokers and databases from the first request to the last finish, so no start of a program is in it; the rows that say so
add what it took to register the events (an event has eight receivers) or to enqueue the jobs (one for each receiver).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID, uuid4

from benchmarks.outbox_anchors.run import Celery, Procrastinate, drained
from benchmarks.outbox_site import Site
from benchmarks.row import Anchor, Row, at_least, at_most, shown
from outbox.subscribers.patterns import Interest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.outbox_site import Arrival

DELIVERIES = 20_000
HOOKS = 8
"""Receivers of each event in the runs for throughput, each with the default limit of requests in flight."""
RUNS = 3
ANCHOR_SHARE = 4
"""The anchors deliver a fourth: they are slower, and their start is not counted."""
CHEAPER = 8
"""Times that the design wants us cheaper than the anchors."""
PATTERN = "project:created"


class Drain(NamedTuple):
    """A backlog delivered."""

    per_second: float
    cpu_milliseconds: float
    """For each delivery: worker, database, Redis."""
    whole_cpu_milliseconds: float
    """The same, and what it took to register the events: writer, database."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the rows as a JSON list")
    parser.add_argument("--deliveries", type=int, default=DELIVERIES, help="in each run for throughput")
    options = parser.parse_args(arguments)
    rows: list[Row] = [*throughput_rows(options.deliveries), *latency_rows(), *isolation_rows()]
    print(shown(rows, as_json=options.json))
    return 0


def throughput_rows(deliveries: int) -> Iterator[Row]:
    ours = {kind: [drain(kind, deliveries) for _ in range(RUNS)] for kind in ("postgresql", "sqlite")}
    anchors = [drained(anchor, deliveries // ANCHOR_SHARE) for anchor in (Celery, Procrastinate)]
    goals = {"postgresql": 2_000, "sqlite": 1_500}
    for anchor in anchors:
        for kind, drains in ours.items():
            rates, other = [one.per_second for one in drains], Anchor(anchor.name, anchor.per_second)
            yield at_least(f"deliveries a second, {kind}", rates, "/s", goals[kind], other)
            costs, other = [one.cpu_milliseconds for one in drains], Anchor(anchor.name, anchor.cpu_milliseconds)
            yield at_most(f"CPU time of a delivery, {kind}", costs, "ms", other.value / CHEAPER, other)
            costs = [one.whole_cpu_milliseconds for one in drains]
            other = Anchor(anchor.name, anchor.whole_cpu_milliseconds)
            name = f"CPU time with registration / enqueueing, {kind}"
            yield at_most(name, costs, "ms", other.value / CHEAPER, other)


@contextmanager
def site(kind: str, *, redis: bool = True) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="bench", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with closing(Site(folder, kind, redis=redis)) as opened:
            yield opened


def drain(kind: str, deliveries: int) -> Drain:
    """From the first request to the last finish; the backlog is there before the worker starts."""
    with site(kind) as opened:
        opened.add_webhooks((f"ok/{number}", Interest(PATTERN)) for number in range(HOOKS))
        idle = opened.cpu_seconds()
        written = opened.write(deliveries // HOOKS, 0, [uuid4()])
        registered = opened.cpu_seconds() - idle + written.cpu_seconds
        opened.start_worker()
        first = opened.receiver.await_arrivals(1)
        before = opened.cpu_seconds()
        arrivals = [*first, *opened.receiver.await_arrivals(deliveries - len(first))]
        opened.await_finished()
        spent = opened.cpu_seconds() - before
        cost = spent * 1000 / (deliveries - len(first))
        return Drain(rate(arrivals), cost, cost + registered * 1000 / deliveries)


def rate(arrivals: Sequence[Arrival]) -> float:
    return (len(arrivals) - 1) * 1e9 / (arrivals[-1].at - arrivals[0].at)


def latency_rows() -> Iterator[Row]:
    """An idle worker, one receiver, single events: from the return of the commit to the arrival of the request."""
    for kind in ("postgresql", "sqlite"):
        with_redis, without = latencies(kind, 400, redis=True), latencies(kind, 200, redis=False)
        for percent, goal in ((50, 5.0), (99, 50.0)):
            fast, slow = percentile(with_redis, percent), percentile(without, percent)
            yield at_most(f"commit to request, {kind}, p{percent}", [fast], "ms", goal, Anchor("no Redis", slow))
            name = f"commit to request, {kind}, no Redis, p{percent}"
            yield at_most(name, [slow], "ms", 1_200.0, Anchor("Redis", fast))


def latencies(kind: str, events: int, *, redis: bool) -> list[float]:
    with site(kind, redis=redis) as opened:
        opened.add_webhooks([("ok/0", Interest(PATTERN))])
        opened.start_worker()
        warm(opened)
        committed = opened.write(events, 19, [uuid4()]).committed
        return delays(opened, committed, opened.receiver.await_arrivals(events))


def warm(opened: Site) -> None:
    """The worker has started, and has delivered once."""
    opened.write(1, 0, [uuid4()])
    opened.await_finished()
    opened.receiver.arrivals()


def isolation_rows() -> Iterator[Row]:
    """A hundred receivers, of which sixty are healthy in both runs; they get 500 deliveries a second in total."""
    healthy, sick = (isolation(sick=sick) for sick in (False, True))
    for percent in (50, 99):
        name = f"60 healthy of 100 receivers, commit to 2xx, p{percent}"
        anchor = Anchor("all healthy", percentile(healthy, percent))
        yield at_most(name, [percentile(sick, percent)], "ms", 250.0, anchor)


PROJECTS = 10
SICK = ("hang", "hang", "drip", "busy")
"""In each project, beside six healthy ones."""
PER_SECOND = 500 / 6
SECONDS = 20


def isolation(*, sick: bool) -> list[float]:
    """Delays of the sixty."""
    projects = [uuid4() for _ in range(PROJECTS)]
    kinds = ("ok",) * 6 + (SICK if sick else ("fine",) * 4)
    with site("postgresql") as opened:
        opened.add_webhooks((kind, Interest(PATTERN, project)) for project in projects for kind in kinds)
        opened.start_worker()
        opened.write(PROJECTS, 0, projects)
        opened.receiver.await_arrivals(6 * PROJECTS)
        events = int(PER_SECOND * SECONDS)
        committed = opened.write(events, PER_SECOND, projects).committed
        return delays(opened, committed, healthy_arrivals(opened, 6 * events))


def healthy_arrivals(opened: Site, count: int) -> list[Arrival]:
    found: list[Arrival] = []
    while sum(arrival.kind == "ok" for arrival in found) < count:
        found += opened.receiver.await_arrivals(1)
    return [arrival for arrival in found if arrival.kind == "ok"]


def delays(opened: Site, committed: dict[UUID, int], arrivals: Sequence[Arrival]) -> list[float]:
    """Milliseconds from the commit to the arrival, of the events in `committed`."""
    events = opened.events_of()
    pairs = ((events[UUID(arrival.identity)], arrival.at) for arrival in arrivals)
    return [(at - committed[event]) / 1e6 for event, at in pairs if event in committed]


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    sys.exit(main())
