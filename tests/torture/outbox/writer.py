"""A program that commits events, in a database opened as `orchest` opens it.

`python -m tests.torture.outbox.writer FOLDER`.

In: in FOLDER `writer.quota`, how many events may be committed by now. Out: `writer.log`: `begun` before the commit,
`committed` after it returned, `rolled back` after that; `unknown` when the database failed somewhere in between. Ends
when the log has as many committed events as `writer.total` says.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from outbox.errors import DatabaseError
from reconciler.cli.wiring import database
from tests.torture.outbox.events import register_some_event
from tests.torture.outbox.logs import Log, entries_of

if TYPE_CHECKING:
    from uuid import UUID

    from outbox.database import Database

BEGUN, COMMITTED, ROLLED_BACK, UNKNOWN = "begun", "committed", "rolled back", "unknown"
_ROLLED_BACK_SHARE = 0.15
_EVENTS_AT_ONCE = 3
_POLL_SECONDS = 0.01
_RETRY_SECONDS = 0.1


class Regret(Exception):
    """The caller changes its mind after the events are registered."""


class Writer:
    def __init__(self, folder: Path) -> None:
        self._random = random.Random()
        self._folder = folder
        log = folder / "writer.log"
        self._done = sum(entry["what"] == COMMITTED for entry in entries_of(log))
        self._log = Log(log)

    def run(self) -> None:
        total = _number(self._folder / "writer.total")
        with database() as opened:
            while self._done < total:
                if self._done < _number(self._folder / "writer.quota"):
                    self._transact(opened)
                else:
                    time.sleep(_POLL_SECONDS)

    def _transact(self, opened: Database) -> None:
        events: list[UUID] = []
        try:
            with opened.writing() as session:
                count = self._random.randint(1, _EVENTS_AT_ONCE)
                events += [register_some_event(session, self._random) for _ in range(count)]
                self._note(BEGUN, events)
                self._may_regret()
        except Regret:
            self._note(ROLLED_BACK, events)
        except (DatabaseError, SQLAlchemyError) as error:
            self._note(UNKNOWN, events, type(error).__name__)
            time.sleep(_RETRY_SECONDS)
        else:
            self._note(COMMITTED, events)
            self._done += len(events)

    def _may_regret(self) -> None:
        if self._random.random() < _ROLLED_BACK_SHARE:
            raise Regret

    def _note(self, what: str, events: list[UUID], why: str = "") -> None:
        self._log.append({"what": what, "event": str(event), "at": time.time(), "why": why} for event in events)


def _number(path: Path) -> int:
    return int(path.read_text())


if __name__ == "__main__":
    Writer(Path(sys.argv[1])).run()
