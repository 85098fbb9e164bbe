"""How long a killed worker's deliveries wait for their next attempt, when nothing else goes wrong.

In: the kind of database. Out: seconds. Two workers run; the other one must find by itself what the dead one held.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.torture.outbox.faults import asleep_with_answers
from tests.torture.outbox.logs import entries_of
from tests.torture.outbox.servers import awaited, killed
from tests.torture.outbox.site import LEASE_SECONDS, WORKER, Claim, Site

if TYPE_CHECKING:
    from collections.abc import Sequence

_EVENTS = 1_000


def seconds_after_the_lease(kind: str, seed: int) -> float:
    """From the end of the dead worker's leases to the arrival of the last of the next attempts."""
    with tempfile.TemporaryDirectory(prefix="recovery", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with closing(Site(folder, kind, WORKER)) as site:
            site.open(_EVENTS)
            victim, other = site.workers
            claims = asleep_with_answers(site, victim, other, Random(seed))
            assert claims
            killed(victim.process)
            leases = site.leases()
            before = len(entries_of(folder / "receiver.log"))
            again = awaited(lambda: _repeated(folder, claims, before), "the next attempts", 4 * LEASE_SECONDS)
            return max(again) - max(leases[claim.delivery] for claim in claims)


def _repeated(folder: Path, claims: Sequence[Claim], before: int) -> list[float]:
    """When each of these deliveries arrived again, after that many requests; empty until all have."""
    wanted = {str(claim.delivery) for claim in claims}
    first: dict[str, float] = {}
    for entry in entries_of(folder / "receiver.log")[before:]:
        if entry["delivery"] in wanted:
            first.setdefault(entry["delivery"], entry["at"])
    return list(first.values()) if first.keys() == wanted else []
