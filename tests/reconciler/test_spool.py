"""A shared PostgreSQL that is stopped and started, processes that are killed, and a record that is complete, once."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import select, text

from outbox.database import Database
from outbox.delivery.models import DeliveryRow
from outbox.errors import DatabaseError
from outbox.events.records import EventFilter, EventRecord, list_events
from outbox.events.types import EventType
from outbox.schema import migrate
from outbox.subscribers.models import EndpointRow, Subscription, Webhook
from reconciler.history import CycleOutcome, Entry, History
from reconciler.spool import Spool, copy_spool, reading, recording
from tests.reconciler.cycles import NOON, event, finish, outcome, start
from tests.torture.outbox.servers import PostgreSQL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.history import CycleFinish, CycleStart, Recording


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        server = PostgreSQL(Path(folder) / "server", durable=False)
        yield server
        server.close()


@pytest.fixture
def shared(server: PostgreSQL) -> Iterator[Database]:
    """Empty, without a schema; the server runs at the end whatever a test did to it."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    with closing(Database(server.url.replace("/postgres?", f"/{name}?"))) as database:
        yield database
    if server.process.poll() is not None:
        server.start()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


@pytest.fixture
def told() -> list[str]:
    return []


DRIFT = event(EventType.CLUSTER_DRIFT_DETECTED)
CREATED = event(EventType.CLUSTER_CREATED)
APPLIED = event(EventType.CLUSTER_PLAN_APPLIED)
EVENTS = tuple(sorted((DRIFT, CREATED, APPLIED), key=lambda one: one.uuid))
ONE, TWO = outcome(object_key="Service/orchest/one"), outcome(object_key="Service/orchest/two")


def nothing() -> None:
    pass


def record(
    recording: Recording,
    begun: CycleStart,
    *,
    before_start: Callable[[], object] = nothing,
    before_outcomes: Callable[[], object] = nothing,
    before_finish: Callable[[], object] = nothing,
) -> None:
    """A whole cycle, step by step, while something happens in between."""
    before_start()
    recording.record_start(begun, [DRIFT])
    recording.record_outcomes(begun.id, [ONE], [CREATED])
    before_outcomes()
    recording.record_outcomes(begun.id, [TWO])
    before_finish()
    recording.record_finish(begun.id, finish(), [APPLIED])


def subscribe(database: Database) -> UUID:
    """Somebody who hears everything."""
    migrate(database)
    subscriber = uuid4()
    health = {"condition": "enabled", "reason": "", "breaker": "closed", "consecutive_failures": 0, "openings": 0}
    with database.writing() as session:
        session.add(Webhook(uuid=subscriber, created_at=NOON, max_in_flight=4))
        session.flush()
        session.add(EndpointRow(subscriber_uuid=subscriber, **health))
        session.add(Subscription(uuid=uuid4(), subscriber_uuid=subscriber, event_type="*"))
    return subscriber


def events_in(database: Database) -> tuple[EventRecord, ...]:
    """By id: those of one millisecond have no order."""
    with database.reading() as session:
        return list_events(session, EventFilter(), None, 1000)[::-1]


def deliveries_in(database: Database) -> Counter[UUID]:
    """How many there are of each event."""
    with database.reading() as session:
        return Counter(session.scalars(select(DeliveryRow.event_uuid)))


def is_complete(database: Database, begun: CycleStart, done: CycleFinish | None = None) -> None:
    """The cycle stands there as if nothing had happened meanwhile."""
    done = done or finish()
    history = History(database)
    detail = history.show(str(begun.id))
    cycle = detail.cycle
    assert detail.outcomes == (ONE, TWO)
    assert (cycle.cluster, cycle.origin, cycle.started_at) == (begun.cluster, begun.origin, begun.started_at)
    assert (cycle.outcome, cycle.finished_at, cycle.counts) == (done.outcome, done.finished_at, done.counts)
    assert history.content(cycle.plan_document) == begun.plan_document
    assert history.content(cycle.snapshot_before) == begun.snapshot
    assert cycle.snapshot_after is not None
    assert history.content(cycle.snapshot_after) == done.snapshot


def waits(file: Path) -> int:
    with closing(Spool(file)) as spool:
        return spool.count()


# --- the shared database comes and goes ------------------------------------------------------------------------------


def test_without_any_trouble_there_is_no_spool(shared: Database, file: Path, told: list[str]) -> None:
    begun = start()
    with recording(shared, file, told.append) as here:
        record(here, begun)
    is_complete(shared, begun)
    assert not file.exists()
    assert told == []


def test_a_database_of_this_host_alone_has_no_spool(tmp_path: Path, file: Path, told: list[str]) -> None:
    begun = start()
    with closing(Database(f"sqlite:///{tmp_path / 'history.db'}")) as own:
        with recording(own, file, told.append) as here:
            record(here, begun)
        is_complete(own, begun)
    assert not file.exists()


@pytest.mark.parametrize("moment", ["before_start", "before_outcomes", "before_finish"])
def test_an_outage_at_any_moment_costs_nothing_and_is_told_in_one_line(
    server: PostgreSQL, shared: Database, file: Path, told: list[str], moment: str
) -> None:
    subscribe(shared)
    begun = start()
    with recording(shared, file, told.append) as here:
        record(here, begun, **{moment: server.stop_at_once})

    assert waits(file) == 1
    assert len(told) == 1
    assert f"waits in {file}" in told[0]
    assert "Check that PostgreSQL runs" in told[0]
    server.start()
    assert copy_spool(file, shared).startswith(f"Copied from {file} to the shared database: 1 cycles")
    is_complete(shared, begun)
    assert events_in(shared) == EVENTS
    assert deliveries_in(shared) == dict.fromkeys((one.uuid for one in EVENTS), 1)
    assert waits(file) == 0
    assert copy_spool(file, shared) == ""


@pytest.mark.parametrize("back", ["before_start", "before_outcomes", "before_finish"])
def test_an_apply_that_installs_its_own_database_ends_with_its_record_there(
    server: PostgreSQL, shared: Database, file: Path, told: list[str], back: str
) -> None:
    server.stop_at_once()
    begun = start()
    with recording(shared, file, told.append) as here:
        record(here, begun, **{back: server.start})

    is_complete(shared, begun)
    assert events_in(shared) == EVENTS
    assert waits(file) == 0
    assert len(told) == 2
    assert "waits in" in told[0]
    assert "1 cycles, 3 events" in told[1]


def test_the_next_command_copies_before_it_does_anything_else(
    server: PostgreSQL, shared: Database, file: Path, told: list[str]
) -> None:
    server.stop_at_once()
    first, second = start(), start()
    with recording(shared, file, told.append) as here:
        record(here, first)
    server.start()
    with recording(shared, file, told.append) as here:
        is_complete(shared, first)
        here.record_start(second)
    assert [cycle.id for cycle in History(shared).list(5)][:2].count(second.id) == 1


def test_while_the_shared_database_is_absent_the_history_shows_what_waits_and_says_so(
    server: PostgreSQL, shared: Database, file: Path, told: list[str]
) -> None:
    server.stop_at_once()
    begun = start()
    with pytest.raises(DatabaseError, match="Check that PostgreSQL runs"), reading(shared, file, told.append):
        pytest.fail("there is nothing to read")
    assert not file.exists()
    with recording(shared, file, told.append) as here:
        record(here, begun)
    told.clear()
    with reading(shared, file, told.append) as history:
        assert [cycle.id for cycle in history.list(5)] == [begun.id]
    assert len(told) == 1
    assert f"Only what waits in {file} is shown (1 cycles)" in told[0]
    server.start()
    told.clear()
    with reading(shared, file, told.append) as history:
        assert [cycle.id for cycle in history.list(5)] == [begun.id]
    assert told[0].startswith("Copied")


def test_a_commit_whose_answer_was_lost_is_not_recorded_twice(shared: Database, file: Path) -> None:
    """In both at once: the shared database committed all of it, and the apply never heard so."""
    subscribe(shared)
    begun = start()
    record(History(shared), begun)
    with closing(Spool(file)) as spool:
        spool.record(Entry(begun, (ONE, TWO), finish()), EVENTS)
        spool.copy(shared)
    is_complete(shared, begun)
    assert events_in(shared) == EVENTS
    assert set(deliveries_in(shared).values()) == {1}


def test_a_cycle_that_waits_may_go_on_after_somebody_copied_it(
    server: PostgreSQL, shared: Database, file: Path, told: list[str]
) -> None:
    """Another command of this host copies at every moment at which the apply has just recorded something."""

    def copy() -> None:
        assert copy_spool(file, shared).startswith("Copied")

    server.stop_at_once()
    begun = start()
    with recording(shared, file, told.append) as here:
        server.start()
        record(here, begun, before_outcomes=copy, before_finish=copy)
    is_complete(shared, begun)
    assert events_in(shared) == EVENTS


def test_a_running_cycle_of_the_shared_database_ends_when_a_later_one_is_copied(shared: Database, file: Path) -> None:
    migrate(shared)
    lost = start()
    History(shared).record_start(lost)
    later = start(started_at=NOON.replace(hour=13))
    with closing(Spool(file)) as spool:
        spool.record(Entry(later), ())
        spool.copy(shared)
    history = History(shared)
    assert history.show(str(lost.id)).cycle.outcome is CycleOutcome.INTERRUPTED
    assert history.show(str(later.id)).cycle.outcome is CycleOutcome.RUNNING


def test_a_later_cycle_of_the_shared_database_is_not_ended_by_an_earlier_one(shared: Database, file: Path) -> None:
    migrate(shared)
    later = start(started_at=NOON.replace(hour=13))
    History(shared).record_start(later)
    with closing(Spool(file)) as spool:
        spool.record(Entry(start()), ())
        spool.copy(shared)
    assert History(shared).show(str(later.id)).cycle.outcome is CycleOutcome.RUNNING


def test_a_database_that_answers_and_is_too_new_is_refused_and_nothing_waits(
    shared: Database, file: Path, told: list[str]
) -> None:
    migrate(shared)
    with shared.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        session.execute(text("UPDATE schema_support SET oldest = '9998'"))
    with pytest.raises(DatabaseError, match="written by a newer release"), recording(shared, file, told.append):
        pytest.fail("nobody may write there")
    assert not file.exists()


def test_when_it_cannot_wait_either_the_message_names_both_troubles(
    server: PostgreSQL, shared: Database, tmp_path: Path, told: list[str]
) -> None:
    (tmp_path / "plain").write_text("no folder")
    file = tmp_path / "plain" / "spool.db"
    server.stop_at_once()
    with (
        pytest.raises(DatabaseError, match=r"(?s)Check that PostgreSQL runs.* cannot wait in the spool: .*Check the"),
        recording(shared, file, told.append) as here,
    ):
        here.record_start(start())


# --- killed processes ------------------------------------------------------------------------------------------------

APPLY = """
import time
from pathlib import Path
from outbox.database import Database
from reconciler.spool import recording
from tests.reconciler.cycles import outcome, start
with recording(Database({url!r}), Path({file!r}), print) as here:
    cycle = start()
    here.record_start(cycle)
    here.record_outcomes(cycle.id, [outcome()])
    print(cycle.id, flush=True)
    time.sleep(60)
"""

COPY = """
import os, signal
from pathlib import Path
from outbox.database import Database
from reconciler.spool import copy_spool
def die():
    os.kill(os.getpid(), signal.SIGKILL)
print("begun", flush=True)
copy_spool(Path({file!r}), Database({url!r}{after_commit}))
"""


def url_of(database: Database) -> str:
    return database.url.render_as_string(hide_password=False)


def copying(shared: Database, file: Path, *, dies_after_commit: bool = False) -> subprocess.Popen[str]:
    after_commit = ", after_commit=die" if dies_after_commit else ""
    program = COPY.format(url=url_of(shared), file=str(file), after_commit=after_commit)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def fill(file: Path, cycles: int) -> list[tuple[CycleStart, EventRecord]]:
    filled = [(start(plan_document=b"plan %d" % number), event()) for number in range(cycles)]
    with closing(Spool(file)) as spool:
        for begun, happened in filled:
            spool.record(Entry(begun, (ONE, TWO), finish()), [happened])
    return filled


def is_there_once(shared: Database, filled: list[tuple[CycleStart, EventRecord]]) -> None:
    for begun, _ in filled:
        is_complete(shared, begun)
    assert Counter(one.uuid for one in events_in(shared)) == Counter(one.uuid for _, one in filled)
    assert deliveries_in(shared) == dict.fromkeys((one.uuid for _, one in filled), 1)


def test_an_apply_that_is_killed_while_its_record_waits_is_interrupted_in_the_shared_history(
    server: PostgreSQL, shared: Database, file: Path
) -> None:
    server.stop_at_once()
    program = APPLY.format(url=url_of(shared), file=str(file))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "waits in" in process.stdout.readline()
        cycle = process.stdout.readline().strip()
        process.kill()
    server.start()
    copy_spool(file, shared)
    detail = History(shared).show(cycle)
    assert detail.cycle.outcome is CycleOutcome.INTERRUPTED
    assert detail.outcomes == (outcome(),)


def test_a_copy_that_is_killed_between_the_two_commits_is_repeated_without_doubles(
    shared: Database, file: Path
) -> None:
    subscribe(shared)
    filled = fill(file, 3)
    with copying(shared, file, dies_after_commit=True) as process:
        process.wait(60)
    assert process.returncode == -signal.SIGKILL
    is_there_once(shared, filled)
    assert waits(file) == 3

    assert "3 cycles" in copy_spool(file, shared)
    is_there_once(shared, filled)
    assert waits(file) == 0


def test_a_copy_that_is_killed_before_the_first_commit_leaves_everything_where_it_was(
    shared: Database, file: Path
) -> None:
    subscribe(shared)
    filled = fill(file, 3)
    with closing(Database(url_of(shared))) as other, other.writing() as holding, copying(shared, file) as process:
        holding.execute(text("LOCK TABLE events IN ACCESS EXCLUSIVE MODE"))
        until_somebody_waits(shared)
        process.kill()
    assert History(shared).list(5) == ()
    assert waits(file) == 3
    copy_spool(file, shared)
    is_there_once(shared, filled)


def until_somebody_waits(database: Database) -> None:
    deadline = time.monotonic() + 60
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while True:
        with database.reading() as session:
            if session.scalar(query):
                return
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_copies_killed_at_any_moment_end_with_everything_there_once(shared: Database, file: Path) -> None:
    subscribe(shared)
    filled = fill(file, 40)
    for milliseconds in (0, 60, 120, 180, 240):
        with copying(shared, file) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            time.sleep(milliseconds / 1000)
            process.kill()
    copy_spool(file, shared)
    is_there_once(shared, filled)
    assert waits(file) == 0


def test_several_processes_that_copy_at_once_copy_once(shared: Database, file: Path) -> None:
    subscribe(shared)
    filled = fill(file, 20)
    processes = [copying(shared, file) for _ in range(3)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    is_there_once(shared, filled)


# --- a damaged file --------------------------------------------------------------------------------------------------


def garbage(file: Path) -> None:
    file.write_bytes(b"this is no database" * 300)


def cut_off(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def overwritten(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[4096 : len(data) - 4096] = b"\xaa" * (len(data) - 8192)
    file.write_bytes(bytes(data))


def changed_content(file: Path) -> None:
    with closing(Database(f"sqlite:///{file}")) as database, database.writing() as session:
        session.execute(text("UPDATE contents SET compressed = x'00'"))


DAMAGES = (garbage, cut_off, overwritten, changed_content)


def checkpoint(file: Path) -> None:
    """Everything into the one file: what is damaged then is all there is."""
    with closing(Database(f"sqlite:///{file}")) as database, database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    file.with_name(f"{file.name}-wal").unlink(missing_ok=True)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_spool_is_moved_away_with_the_mend_and_blocks_nobody(
    shared: Database, file: Path, told: list[str], damage: Callable[[Path], None]
) -> None:
    fill(file, 5)
    checkpoint(file)
    damage(file)
    remains = file.read_bytes()
    begun = start()
    with recording(shared, file, told.append) as here:
        record(here, begun)

    is_complete(shared, begun)
    assert len(told) == 1
    assert f"{file} is damaged (" in told[0]
    (aside,) = (path for path in file.parent.glob("spool.db.damaged-*") if path.suffix != ".writer")
    assert f"sqlite3 {aside} .recover | sqlite3 {file}" in told[0]
    assert remains[:4096] == aside.read_bytes()[:4096]


@pytest.mark.parametrize("damage", [garbage, cut_off])
def test_during_an_outage_a_damaged_spool_is_replaced(
    server: PostgreSQL, shared: Database, file: Path, told: list[str], damage: Callable[[Path], None]
) -> None:
    fill(file, 5)
    checkpoint(file)
    damage(file)
    server.stop_at_once()
    begun = start()
    with recording(shared, file, told.append) as here:
        record(here, begun)
    assert sum("is damaged" in line for line in told) == 1
    assert waits(file) == 1
    server.start()
    copy_spool(file, shared)
    is_complete(shared, begun)


def test_a_damaged_spool_is_told_to_who_only_reads(shared: Database, file: Path, told: list[str]) -> None:
    garbage(file)
    with reading(shared, file, told.append) as history:
        assert history.list(5) == ()
    assert "is damaged" in told[0]


def test_who_reads_a_damaged_spool_during_an_outage_gets_its_message_and_next_time_that_of_the_database(
    server: PostgreSQL, shared: Database, file: Path, told: list[str]
) -> None:
    garbage(file)
    server.stop_at_once()
    for words in ("is damaged", "Check that PostgreSQL runs"):
        with pytest.raises(DatabaseError, match=words), reading(shared, file, told.append):
            pytest.fail("there is nothing to read")


def test_a_sound_spool_is_never_moved_away(file: Path) -> None:
    fill(file, 2)
    assert [waits(file) for _ in range(3)] == [2, 2, 2]
    assert not list(file.parent.glob("*.damaged-*"))


def test_a_spool_that_cannot_be_opened_is_not_taken_for_damaged(file: Path) -> None:
    file.mkdir()
    with closing(Spool(file)) as spool, pytest.raises(DatabaseError, match="Check the folder"):
        spool.count()
    assert file.is_dir()
