"""Where the record of an apply waits while the shared database is absent: not installed yet, or out of order.

In: a cycle as it goes on, and why the shared database does not take it. Out: the same rows and events there, once, as
soon as it answers again. Never: deletes here what is not committed there.

The spool is a SQLite database of the same schema. A cycle is recorded in the shared database until that fails for the
first time, and what follows of it in the spool. A commit whose answer was lost counts as failed, so parts of a cycle
may come to lie in both; copying puts them together: what is there already, by id of the cycle, object
key of the outcome or id of the event, is not written again. So a copy that dies at any point is simply repeated.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, exc, func, select, text

from outbox.database import Database
from outbox.errors import DatabaseError
from outbox.events.models import Event
from outbox.events.records import EventFilter, list_events
from outbox.schema import migrate
from reconciler.history import CycleRow, Entry, History, HistoryError, entries, forget, merge, register

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from uuid import UUID

    from sqlalchemy.orm import Session

    from outbox.events.records import EventRecord
    from reconciler.history import ActionOutcome, CycleFinish, CycleStart, Recording

_SIDES = ("", "-wal", "-shm")
"""The files of one SQLite database."""
_ALL = 1_000_000_000


@contextmanager
def recording(shared: Database, spool_file: Path, tell: Callable[[str], None]) -> Iterator[Recording]:
    """Where an apply is recorded; `tell` gets lines for people. What had to wait is copied at the end, if possible.

    On SQLite the database is this host's own, and never absent. Raises DatabaseError when the shared one answers and
    cannot be used all the same.
    """
    if shared.is_sqlite:
        migrate(shared)
        yield History(shared)
        return
    absence = absence_of(shared)
    if absence:
        tell(f"The record of this apply waits in {spool_file} until the shared database takes it. {absence}")
    else:
        migrate(shared)
        _tell(tell, copy_spool(spool_file, shared))
    with closing(Spool(spool_file)) as spool:
        recorder = Recorder(History(shared), spool, absence)
        try:
            yield recorder
        finally:
            for notice in recorder.notices:
                tell(notice)
    if recorder.absence and not absence_of(shared):
        _tell(tell, copy_spool(spool_file, shared))


@contextmanager
def reading(shared: Database, spool_file: Path, tell: Callable[[str], None]) -> Iterator[History]:
    """What was recorded; while the shared database is absent, what waits in the spool.

    Raises DatabaseError when there is neither, or as `recording` does.
    """
    absence = "" if shared.is_sqlite else absence_of(shared)
    if not absence:
        migrate(shared)
        _tell(tell, copy_spool(spool_file, shared))
        yield History(shared)
        return
    with closing(Spool(spool_file)) as spool:
        waiting = spool.count()
        if not waiting:
            raise DatabaseError(absence)
        tell(f"Only what waits in {spool_file} is shown ({waiting} cycles). {absence}")
        yield spool.history()


def copy_spool(spool_file: Path, shared: Database) -> str:
    """Everything that waits there into `shared`, which is brought to the current schema if need be.

    A line for people: what was copied, or why not; "" when nothing waits, or this is no shared database. Never raises
    for either database: what cannot be copied waits on.
    """
    if shared.is_sqlite or not spool_file.exists():
        return ""
    with closing(Spool(spool_file)) as spool:
        try:
            copied = spool.copy(shared)
        except DamagedSpool as damaged:
            return str(damaged)
        except DatabaseError as error:
            return f"What waits in {spool_file} could not be copied to the shared database. {error}"
    if not copied.cycles and not copied.events:
        return ""
    return f"Copied from {spool_file} to the shared database: {copied.cycles} cycles, {copied.events} events."


def absence_of(database: Database) -> str:
    """Why it does not answer, with the mend; "" when it does."""
    try:
        with database.reading() as session:
            session.execute(select(1))
    except DatabaseError as error:
        return str(error)
    return ""


class Recorder:
    """One cycle's `Recording` in the shared database, and from the first failure on in the spool."""

    def __init__(self, shared: History, spool: Spool, absence: str) -> None:
        self.absence = absence
        """Why the shared database does not take the record; "" while it does."""
        self.notices: list[str] = []
        """For people, at the end."""
        self._shared = shared
        self._spool = spool
        self._cycle: Entry | None = None
        """How it began: each part of a cycle that waits needs its beginning beside it."""

    def record_start(self, start: CycleStart, events: Sequence[EventRecord] = ()) -> None:
        self._cycle = Entry(start)
        self._record(lambda: self._shared.record_start(start, events), self._cycle, events)

    def record_outcomes(
        self, cycle: UUID, outcomes: Sequence[ActionOutcome], events: Sequence[EventRecord] = ()
    ) -> None:
        assert self._cycle is not None
        part = replace(self._cycle, outcomes=tuple(outcomes))
        self._record(lambda: self._shared.record_outcomes(cycle, outcomes, events), part, events)

    def record_finish(self, cycle: UUID, finish: CycleFinish, events: Sequence[EventRecord] = ()) -> None:
        assert self._cycle is not None
        part = replace(self._cycle, finish=finish)
        self._record(lambda: self._shared.record_finish(cycle, finish, events), part, events)

    def _record(self, step: Callable[[], None], part: Entry, events: Sequence[EventRecord]) -> None:
        if not self.absence:
            try:
                return step()
            except DatabaseError as error:
                self.absence = str(error)
                self.notices.append(f"The record of this apply waits in {self._spool.file}. {error}")
        return self._put_aside(part, events)

    def _put_aside(self, part: Entry, events: Sequence[EventRecord]) -> None:
        try:
            try:
                self._spool.record(part, events)
            except DamagedSpool as damaged:
                self.notices.append(str(damaged))
                self._spool.record(part, events)
        except DatabaseError as error:
            raise DatabaseError(f"{self.absence} And the record cannot wait in the spool: {error}") from None


class DamagedSpool(DatabaseError):
    """The spool could not be read and was moved away; the next use makes a new one. The text has the mend."""


@dataclass(frozen=True, slots=True)
class Copied:
    cycles: int
    events: int


class Spool:
    """One database file, made when it is needed.

    Its methods raise DamagedSpool when it never can be used again, and any other DatabaseError when it cannot be now.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._database = Database(f"sqlite:///{file}")
        self._is_checked = False

    def close(self) -> None:
        self._database.close()

    def count(self) -> int:
        """How many cycles wait. Makes no file."""
        if not self.file.exists():
            return 0
        with self._opened() as database, database.reading() as session:
            return session.scalar(select(func.count()).select_from(CycleRow)) or 0

    def history(self) -> History:
        """Of what waits."""
        with self._opened() as database:
            return History(database)

    def record(self, entry: Entry, events: Sequence[EventRecord]) -> None:
        """All of it that does not wait here yet: a copy may have taken away what did."""
        with self._opened() as database:
            History(database).record_entry(entry, events)

    def copy(self, shared: Database) -> Copied:
        """Move everything. Nobody writes here meanwhile, so what is deleted here is what was committed there."""
        if not self.count():
            return Copied(0, 0)
        migrate(shared)
        with self._opened() as database, database.writing() as session:
            waiting, events = entries(session), _events(session)
            with shared.writing() as there:
                for entry in waiting:
                    merge(there, entry)
                register(there, events)
            session.execute(delete(Event))
            forget(session)
        return Copied(len(waiting), len(events))

    @contextmanager
    def _opened(self) -> Iterator[Database]:
        """The database in the current schema; moved away when it turns out to be damaged."""
        try:
            self._check()
            migrate(self._database)
            yield self._database
        except (_Damage, HistoryError) as damage:
            raise DamagedSpool(self._set_aside(str(damage))) from None

    def _check(self) -> None:
        """Once: it reads the whole file."""
        if self._is_checked or not self.file.exists():
            return
        try:
            with self._database.engine.connect() as connection:
                found = connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
        except exc.OperationalError:
            # Not damaged but out of reach: whoever uses it next gets the message for that.
            return
        except exc.DatabaseError as error:
            raise _Damage(str(error.orig)) from None
        if found != "ok":
            raise _Damage(found)
        self._is_checked = True

    def _set_aside(self, damage: str) -> str:
        self._database.close()
        self._is_checked = False
        aside = self.file.with_name(f"{self.file.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}")
        for side in _SIDES:
            part = self.file.with_name(self.file.name + side)
            if part.exists():
                part.rename(aside.with_name(aside.name + side))
        return (
            f"{self.file} is damaged ({damage.rstrip('.')}), so applies that waited in it are missing in the history. "
            f"It was moved to {aside}. Rescue what can be read by: sqlite3 {aside} .recover | sqlite3 {self.file}"
        )


class _Damage(Exception):
    """What is wrong with the file."""


def _events(session: Session) -> tuple[EventRecord, ...]:
    """The oldest first: in this order their deliveries are made."""
    return list_events(session, EventFilter(), None, _ALL)[::-1]


def _tell(tell: Callable[[str], None], notice: str) -> None:
    if notice:
        tell(notice)
