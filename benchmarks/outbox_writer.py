"""Commits events as an application does, one per transaction.

`python -m benchmarks.outbox_writer COUNT PER_SECOND PROJECT...`

In: how many, how fast (0: as fast as possible), the projects they belong to in turn. Out: on standard output, in JSON,
the CPU seconds spent on it, and a list of (event, nanoseconds of the monotonic clock when its commit had returned).
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING
from uuid import UUID

import orjson

from outbox.events.facts import ProjectFacts
from outbox.events.register import register_project_created_event
from reconciler.cli.wiring import database

if TYPE_CHECKING:
    from collections.abc import Sequence

_PADDING = "x" * 450
"""Makes the body of a request about 1 KB."""


def main(count: int, per_second: float, projects: Sequence[UUID]) -> None:
    written = []
    with database() as opened:
        started, spent = time.monotonic(), time.process_time()
        for number in range(count):
            if per_second:
                time.sleep(max(0.0, started + number / per_second - time.monotonic()))
            project = projects[number % len(projects)]
            facts = ProjectFacts(project_uuid=project, project_name=f"{_PADDING}{number}")
            with opened.writing() as session:
                event = register_project_created_event(session, facts)
            written.append((str(event), time.monotonic_ns()))
        cpu = time.process_time() - spent
    sys.stdout.buffer.write(orjson.dumps((cpu, written)))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), [UUID(text) for text in sys.argv[3:]])
