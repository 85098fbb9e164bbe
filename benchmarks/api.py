"""How many requests does the API answer, and how fast? Beside what Falcon and FastAPI do with the same SQL.

`python -m benchmarks.api` prints a table, with `--json` the same rows for programs. Sixteen clients on kept connections
GET a project, or POST one, which writes an event and three deliveries durably in one transaction. The API does what it
always does: token, validation, rate limit, ETag, one line of log and its metrics for each request. The anchors call the
same functions for the same SQL, behind a bare Falcon handler and behind FastAPI, and do none of that. All three run at
the same time on one database, on the same server (gunicorn, one process, sixteen threads); one is asked at a time, in
turns. Clients and database share the machine. Figures are the median of the turns, the best turn is beside it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.api_site import Site
from benchmarks.row import Anchor, Row, at_least, at_most, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

TURNS = 3
SECONDS = 5.0
WARM_SECONDS = 1.5
GOALS = {"bare Falcon": 2.0, "FastAPI": 1.0}
"""How many times slower than the anchor we may be, for all that we do besides."""


class Turn(NamedTuple):
    per_second: float
    p99: float
    """Milliseconds."""
    cpu: float
    """Milliseconds of the server's processes for each request."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the rows as a JSON list")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each turn")
    options = parser.parse_args(arguments)
    found = [row for kind in ("sqlite", "postgresql") for row in rows(kind, options.seconds)]
    print(shown(found, as_json=options.json))
    return 0


def rows(database: str, seconds: float) -> Iterator[Row]:
    for request in ("get", "post"):
        turns = taken(database, request, seconds)
        ours = turns.pop("ours")
        for anchor, theirs in turns.items():
            what = f"{request.upper()} a project, {database}"
            rates, p99s, costs = zip(*ours, strict=True)
            rate, p99, cost = map(statistics.median, zip(*theirs, strict=True))
            times = GOALS[anchor]
            yield at_least(f"{what}, requests a second", rates, "/s", rate / times, Anchor(anchor, rate))
            yield at_most(f"{what}, p99", p99s, "ms", p99 * times, Anchor(anchor, p99))
            yield at_most(f"{what}, CPU time of the server", costs, "ms", cost * times, Anchor(anchor, cost))


def taken(database: str, request: str, seconds: float) -> dict[str, list[Turn]]:
    """Of each server, the turns."""
    with tempfile.TemporaryDirectory(prefix="bench", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with closing(Site(folder, database)) as site:
            turns: dict[str, list[Turn]] = {server: [] for server in site.servers}
            for server in site.servers:
                site.load(server, request, WARM_SECONDS)
            for _ in range(TURNS):
                for server, so_far in turns.items():
                    so_far.append(turn(site, server, request, seconds))
    return turns


def turn(site: Site, server: str, request: str, seconds: float) -> Turn:
    before = site.cpu_seconds(server)
    milliseconds = site.load(server, request, seconds)
    spent = site.cpu_seconds(server) - before
    p99 = statistics.quantiles(milliseconds, n=100, method="inclusive")[98]
    return Turn(len(milliseconds) / seconds, p99, spent * 1000 / len(milliseconds))


if __name__ == "__main__":
    sys.exit(main())
