"""The anchors: installed into an environment of their own, given the same work, measured by the same clock.

In: which one, how many deliveries. Out: rate and CPU time. Nothing of them is imported here.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import cpu
from benchmarks.anchor_environment import anchor_environment
from benchmarks.outbox_site import Receiver
from tests.torture.outbox.servers import PostgreSQL, Redis

if TYPE_CHECKING:
    from collections.abc import Mapping

_REQUIREMENTS = ("celery[redis]==5.7.0", "procrastinate==3.10.0", "psycopg[binary]", "requests", "aiohttp")
_HERE = Path(__file__).resolve().parent


class Measured(NamedTuple):
    name: str
    per_second: float
    cpu_milliseconds: float
    """For each delivery, from the first request to the last: workers and broker."""
    whole_cpu_milliseconds: float
    """The same, and what it took to enqueue the job: client and broker."""


class Celery:
    """Redis as broker, two prefork processes, everything else by default."""

    name = "Celery 5.7"

    def __init__(self, folder: Path) -> None:
        self._server = Redis(folder)
        self.environment = {"BROKER_URL": self._server.url.replace("unix://", "redis+socket://")}
        self.enqueue = ("python", "celery_deliveries.py", "enqueue")
        self.work = ("celery", "-A", "celery_deliveries", "worker", "-c", "2", "--loglevel", "warning")
        self.process = self._server.process

    def close(self) -> None:
        self._server.close()


class Procrastinate:
    """PostgreSQL, twenty jobs at once, which is where it is fastest here."""

    name = "Procrastinate 3.10"

    def __init__(self, folder: Path) -> None:
        self._server = PostgreSQL(folder / "postgresql", durable=True)
        self.environment = {"DATABASE_URL": self._server.url}
        self.enqueue = ("python", "procrastinate_deliveries.py", "enqueue")
        self.work = ("python", "procrastinate_deliveries.py", "work")
        self.process = self._server.process
        _run(("python", "procrastinate_deliveries.py", "schema"), self.environment)

    def close(self) -> None:
        self._server.close()


def drained(anchor: type[Celery | Procrastinate], deliveries: int) -> Measured:
    """The backlog is there before the worker starts."""
    with tempfile.TemporaryDirectory(prefix="anchor", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with closing(anchor(folder)) as peer, closing(Receiver(folder)) as receiver:
            idle = cpu.seconds([peer.process.pid])
            client = float(_run((*peer.enqueue, str(deliveries), receiver.url("ok/0")), peer.environment))
            enqueued = client + cpu.seconds([peer.process.pid]) - idle
            with closing(_Worker(peer, folder / "output")) as worker:
                first = receiver.await_arrivals(1)
                before = cpu.seconds([worker.process.pid, peer.process.pid])
                arrivals = [*first, *receiver.await_arrivals(deliveries - len(first))]
                spent = cpu.seconds([worker.process.pid, peer.process.pid]) - before
    per_second = (len(arrivals) - 1) * 1e9 / (arrivals[-1].at - arrivals[0].at)
    cost = spent * 1000 / (deliveries - len(first))
    return Measured(peer.name, per_second, cost, cost + enqueued * 1000 / deliveries)


class _Worker:
    def __init__(self, peer: Celery | Procrastinate, output: Path) -> None:
        with output.open("wb") as log:
            self.process = subprocess.Popen(
                _command(peer.work), env=os.environ | peer.environment, cwd=_HERE, stdout=log, stderr=log
            )

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def _run(command: tuple[str, ...], environment: Mapping[str, str]) -> bytes:
    """Returns what it printed."""
    done = subprocess.run(
        _command(command), env=os.environ | environment, cwd=_HERE, check=True, stdout=subprocess.PIPE
    )
    return done.stdout


def _command(words: tuple[str, ...]) -> list[str]:
    return [str(_environment() / "bin" / words[0]), *words[1:]]


def _environment() -> Path:
    return anchor_environment("outbox-anchors-1", _REQUIREMENTS)
