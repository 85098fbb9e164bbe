"""One storm: events are written while faults strike, then everything is left alone until it has settled, then judged.

In: the kind of database, numbers of faults and events, a seed. Out: a result, and results as a table.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.torture.outbox.faults import HARMLESS, Fault, Strike
from tests.torture.outbox.logs import entries_of
from tests.torture.outbox.promises import Accounts, Judgement, judged
from tests.torture.outbox.servers import awaited
from tests.torture.outbox.site import HOOKS, LEASE_SECONDS, MOST_IN_FLIGHT, WORKER, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATIENCE_SECONDS = LEASE_SECONDS + 1.2 + 30
"""A lease, a sweep, and a machine that is busy with something else."""
_WRITE_SECONDS = 60
_EVEN_SHARE = 0.6
"""Of the events; the rest is for faults that need more work under way."""
_UNHINTED_SHARE = 20
"""The last of so many events are written when Redis is gone for good: nobody will ever be told of them."""


@dataclass(frozen=True, slots=True)
class Storm:
    kind: str
    seed: int
    strikes: tuple[Strike, ...]
    judgement: Judgement
    most_duplicates: int
    seconds: float
    last_words: str
    """Of all programs."""

    @property
    def broken(self) -> tuple[str, ...]:
        return (*(promise for strike in self.strikes for promise in strike.broken), *self.judgement.broken)

    @property
    def in_flight(self) -> int:
        """How many faults struck between a claim and its finish."""
        return sum(strike.in_flight > 0 for strike in self.strikes)


def storm(
    kind: str,
    faults: Sequence[Fault],
    events: int,
    seed: int,
    *,
    worker: Sequence[str] = WORKER,
    patience: float = PATIENCE_SECONDS,
) -> Storm:
    """Raises TimeoutError when a server or the writer does not come back."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="storm", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with closing(Site(folder, kind, worker)) as site:
            try:
                strikes = _stormed(site, faults, events, Random(seed), patience)
            except Exception as error:
                error.add_note(site.last_words())
                raise
            most = MOST_IN_FLIGHT * sum(strike.kind not in HARMLESS for strike in strikes)
            judgement, words = judged(_accounts(site), most), site.last_words()
    return Storm(kind, seed, tuple(strikes), judgement, most, time.monotonic() - started, words)


def _stormed(site: Site, faults: Sequence[Fault], events: int, random: Random, patience: float) -> list[Strike]:
    site.open(events)
    strikes = _struck(site, faults, events - events // _UNHINTED_SHARE, random)
    _settle(site, patience)
    site.redis.stop()
    site.allow(events)
    awaited(site.writer_is_done, "the writer to end", _WRITE_SECONDS)
    _settle(site, patience)
    return strikes


def _struck(site: Site, faults: Sequence[Fault], events: int, random: Random) -> list[Strike]:
    """Each fault gets its share of the events, so that there is work under way when it strikes."""
    strikes = []
    for number, fault in enumerate(faults, 1):
        site.supervise()
        site.allow(int(events * _EVEN_SHARE * number / len(faults)))
        strikes.append(fault(site, random))
        time.sleep(random.uniform(0, 0.1))
    return strikes


def _settle(site: Site, patience: float) -> None:
    """Until nothing is left to do, or no longer than any row may take."""
    deadline = time.monotonic() + patience
    while site.unfinished() and time.monotonic() < deadline:
        site.supervise()
        time.sleep(0.2)


def _accounts(site: Site) -> Accounts:
    return Accounts(
        writer=entries_of(site.folder / "writer.log"),
        receiver=entries_of(site.folder / "receiver.log"),
        events=site.events(),
        deliveries=site.deliveries(),
        attempts=site.attempts(),
    )


def table(storms: Sequence[Storm]) -> str:
    """Markdown: what struck, then what became of it; one column for each database."""
    kinds = Counter(strike.kind for one in storms for strike in one.strikes)
    per_storm = [Counter(strike.kind for strike in one.strikes) for one in storms]
    rows = [["fault", *(one.kind for one in storms)], ["---"] * (len(storms) + 1)]
    rows += [[kind, *(str(counts[kind]) for counts in per_storm)] for kind in sorted(kinds)]
    rows += [[name, *(str(value(one)) for one in storms)] for name, value in _FIGURES.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


_FIGURES: dict[str, Callable[[Storm], object]] = {
    "**faults**": lambda one: len(one.strikes),
    "of them between claim and finish": lambda one: one.in_flight,
    "events committed": lambda one: one.judgement.committed,
    "events rolled back": lambda one: one.judgement.rolled_back,
    "events whose writer never knew": lambda one: one.judgement.unknown,
    "subscribers": lambda _: len(HOOKS),
    "requests received": lambda one: one.judgement.requests,
    "duplicates (at most)": lambda one: f"{one.judgement.duplicates} ({one.most_duplicates})",
    "**promises broken**": lambda one: len(one.broken),
    "seconds": lambda one: round(one.seconds),
    "seed": lambda one: one.seed,
}
