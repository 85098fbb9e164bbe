from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import exc, insert, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateTable

from outbox.database import Base, Database, UtcDateTime
from outbox.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.synchronize import Barrier


class _Own(DeclarativeBase):
    """Not the project's Base: these tables exist in tests only."""


class Instant(_Own):
    __tablename__ = "instant"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    with database.altering() as connection:
        connection.execute(text("CREATE TABLE counter (id INTEGER PRIMARY KEY, value INTEGER NOT NULL)"))
        connection.execute(text("INSERT INTO counter VALUES (1, 0)"))
    yield database
    database.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'state' / 'history.db'}")
    with database.altering() as connection:
        connection.execute(text("CREATE TABLE counter (id INTEGER PRIMARY KEY, value INTEGER NOT NULL)"))
        connection.execute(text("INSERT INTO counter VALUES (1, 0)"))
    yield database
    database.close()


def value(database: Database) -> int:
    with database.reading() as session:
        return int(session.execute(text("SELECT value FROM counter")).scalar_one())


def child(database: Database, code: str) -> subprocess.Popen[str]:
    """Another process with `database` open; `code` sees it under that name."""
    url = database.url.render_as_string(hide_password=False)
    imports = "import sys\nfrom outbox.database import Database\nfrom sqlalchemy import text\n"
    program = f"{imports}database = Database({url!r})\n{code}"
    return subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    def write_and_fail() -> None:
        with database.writing() as session:
            session.execute(text("UPDATE counter SET value = 7"))
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    assert value(database) == 0


def test_a_transaction_that_ends_is_kept(database: Database) -> None:
    with database.writing() as session:
        session.execute(text("UPDATE counter SET value = 7"))
    assert value(database) == 7


def test_a_reader_neither_waits_for_a_writer_nor_sees_its_work_early(database: Database) -> None:
    with database.writing() as session:
        session.execute(text("UPDATE counter SET value = 7"))
        assert value(database) == 0


READ_THEN_WRITE = """
for _ in range(100):
    with database.writing() as session:
        value = session.execute(text("SELECT value FROM counter")).scalar_one()
        session.execute(text("UPDATE counter SET value = :value"), {"value": value + 1})
"""


def test_no_increment_is_lost_between_processes_and_threads(sqlite: Database) -> None:
    def in_thread() -> None:
        for _ in range(50):
            with sqlite.writing() as session:
                now = session.execute(text("SELECT value FROM counter")).scalar_one()
                session.execute(text("UPDATE counter SET value = :value"), {"value": now + 1})

    processes = [child(sqlite, READ_THEN_WRITE) for _ in range(2)]
    threads = [threading.Thread(target=in_thread) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert value(sqlite) == 300


def test_a_writer_holds_the_gate_until_it_has_committed(sqlite: Database) -> None:
    def gate_is_free() -> bool:
        with Path(f"{sqlite.file}.writer").open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    with sqlite.writing() as session:
        assert not gate_is_free()
        session.execute(text("UPDATE counter SET value = 1"))
        assert not gate_is_free()
    assert gate_is_free()


def test_a_write_transaction_takes_its_lock_with_its_first_statement(sqlite: Database) -> None:
    """One that reads first and takes the lock later could fail in its middle: somebody else wrote meanwhile."""
    with sqlite.writing() as session, closing(sqlite3.connect(sqlite.file, timeout=0)) as other:
        session.execute(text("SELECT value FROM counter"))
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            other.execute("BEGIN IMMEDIATE")


def open_each(together: Barrier, folder: Path, failures: SimpleQueue[str]) -> None:
    """In a process of its own: opens many new databases, each at the same moment as the other processes."""
    for number in range(60):
        database = Database(f"sqlite:///{folder / str(number) / 'history.db'}")
        together.wait(60)
        try:
            with database.reading() as session:
                session.execute(text("SELECT 1"))
        except DatabaseError as error:
            failures.put(str(error))
        database.close()


def test_processes_that_open_a_new_database_together_all_can(tmp_path: Path) -> None:
    """Switching one file to WAL together made a few of a hundred fail with `database is locked`."""
    spawn = multiprocessing.get_context("spawn")
    together, failures = spawn.Barrier(4), spawn.SimpleQueue()
    processes = [spawn.Process(target=open_each, args=(together, tmp_path, failures)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert failures.empty()
    left = {path.name for path in (tmp_path / "0").iterdir()}
    assert left <= {"history.db", "history.db-wal", "history.db-shm"}


def test_opening_another_connection_leaves_the_locks_of_the_first(sqlite: Database) -> None:
    """POSIX drops all locks of a process on a file when it closes any descriptor of that file."""
    leave_wal = (
        f"import sqlite3; sqlite3.connect({str(sqlite.file)!r}, timeout=0).execute('PRAGMA journal_mode=DELETE')"
    )
    with sqlite.reading() as session:
        session.execute(text("SELECT value FROM counter"))
        second = Database(sqlite.url.render_as_string())
        assert value(second) == 0
        tried = subprocess.run([sys.executable, "-c", leave_wal], capture_output=True, text=True, check=False)
        second.close()
    assert "database is locked" in tried.stderr


def test_a_writer_killed_in_its_transaction_leaves_no_trace_and_no_lock(database: Database) -> None:
    process = child(
        database,
        "import time\nwith database.writing() as session:\n"
        '    session.execute(text("UPDATE counter SET value = 99"))\n'
        '    print("written", flush=True)\n    time.sleep(60)\n',
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        os.kill(process.pid, signal.SIGKILL)
    assert value(database) == 0
    with database.writing() as session:
        session.execute(text("UPDATE counter SET value = value + 1"))
    assert value(database) == 1
    if database.is_sqlite:
        with database.reading() as session:
            assert session.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"


def test_sqlite_keeps_foreign_keys_and_durable_commits(sqlite: Database) -> None:
    with sqlite.reading() as session:
        pragmas = {
            name: session.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("foreign_keys", "journal_mode", "synchronous", "busy_timeout")
        }
    assert pragmas == {"foreign_keys": 1, "journal_mode": "wal", "synchronous": 2, "busy_timeout": 5000}


def test_foreign_keys_are_on_again_after_the_schema_was_altered(sqlite: Database) -> None:
    with sqlite.altering() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 0
    with sqlite.writing() as session:
        assert session.execute(text("PRAGMA foreign_keys")).scalar_one() == 1


def test_an_alteration_that_breaks_a_foreign_key_is_not_kept(sqlite: Database) -> None:
    with sqlite.altering() as connection:
        connection.execute(text("CREATE TABLE child (counter_id INTEGER REFERENCES counter (id))"))
        connection.execute(text("INSERT INTO child VALUES (1)"))
    says = r"1 rows would lose their parent \(child\). Nothing was changed"
    with pytest.raises(DatabaseError, match=says), sqlite.altering() as connection:
        connection.execute(text("DELETE FROM counter"))
    assert value(sqlite) == 0


def test_the_files_of_a_history_are_private(sqlite: Database) -> None:
    with sqlite.writing() as session:
        session.execute(text("UPDATE counter SET value = 1"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in sqlite.file.parent.iterdir()}
    assert modes == dict.fromkeys(("history.db", "history.db-wal", "history.db-shm", "history.db.writer"), 0o600)
    assert stat.S_IMODE(sqlite.file.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
def test_an_instant_comes_back_as_the_same_instant_in_utc(database: Database, zone: timezone) -> None:
    at = datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=zone)
    with database.altering() as connection:
        connection.execute(CreateTable(Instant.__table__))  # type: ignore[arg-type]
    with database.writing() as session:
        session.add(Instant(id=1, at=at))
    with database.reading() as session:
        stored = session.get_one(Instant, 1).at
    assert stored == at
    assert stored.tzinfo == UTC


def test_a_time_without_zone_is_refused(database: Database) -> None:
    with database.altering() as connection:
        connection.execute(CreateTable(Instant.__table__))  # type: ignore[arg-type]
    with pytest.raises(exc.StatementError, match="a time without zone is no instant"), database.writing() as session:
        session.execute(insert(Instant).values(id=1, at=datetime(2026, 1, 1)))  # noqa: DTZ001 - the very mistake


def test_every_kind_of_constraint_gets_a_name() -> None:
    assert set(Base.metadata.naming_convention) == {"ix", "uq", "ck", "fk", "pk"}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgres", "is not a database URL. Write postgresql://"),
        ("mysql://root:canary@db/x", "mysql: not a database that can be used"),
        ("sqlite:///relative.db", "sqlite: not a database that can be used"),
        ("sqlite://", "sqlite: not a database that can be used"),
    ],
)
def test_a_url_that_is_no_database_of_ours_is_refused_with_the_right_form(url: str, says: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        Database(url)
    assert says in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    database = Database("postgres://orchest:canary@127.0.0.1:1/orchest")
    with pytest.raises(DatabaseError) as caught, database.reading() as session:
        session.execute(text("SELECT 1"))
    assert "postgresql+psycopg://orchest:***@127.0.0.1:1/orchest" in str(caught.value)
    assert "Check that PostgreSQL runs" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_transaction_of_a_frozen_process_is_ended_by_the_server(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    with database.writing() as session:
        assert session.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one() == "5s"
    database.close()


def test_an_unknown_postgresql_role_gets_the_mend(postgresql_url: str) -> None:
    database = Database(postgresql_url.replace("postgres@", "nobody:canary@"))
    with pytest.raises(DatabaseError, match="Check that PostgreSQL runs") as caught, database.reading() as session:
        session.execute(text("SELECT 1"))
    assert "canary" not in str(caught.value)


def test_a_postgresql_user_without_rights_gets_the_mend(postgresql_url: str) -> None:
    owner = Database(postgresql_url)
    with owner.altering() as connection:
        connection.execute(text("DROP ROLE IF EXISTS guest"))
        connection.execute(text("CREATE ROLE guest LOGIN"))
    owner.close()
    guest = Database(postgresql_url.replace("postgres@", "guest@"))
    with pytest.raises(DatabaseError, match=r"permission denied.*a user who may write"), guest.altering() as connection:
        connection.execute(text("CREATE TABLE forbidden (id INTEGER)"))
    guest.close()


def test_a_file_that_is_no_database_says_so_with_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(b"these are not the bytes of a database" * 100)
    database = Database(f"sqlite:///{path}")
    says = r"history.db: file is not a database. The file is damaged: move it away"
    with pytest.raises(DatabaseError, match=says), database.reading() as session:
        session.execute(text("SELECT 1 FROM sqlite_master"))
    database.close()


def test_a_database_cut_in_the_middle_says_so_with_the_mend(sqlite: Database) -> None:
    with sqlite.writing() as session:
        session.execute(text("CREATE TABLE wide (text TEXT)"))
        session.execute(text("INSERT INTO wide VALUES (hex(randomblob(20000)))"))
    sqlite.close()
    with sqlite.file.open("r+b") as file:
        file.truncate(9000)
    with pytest.raises(DatabaseError, match=r"The file is damaged"), sqlite.reading() as session:
        session.execute(text("SELECT * FROM wide")).all()


def test_a_place_that_cannot_hold_a_database_says_so_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    database = Database(f"sqlite:///{tmp_path / 'file' / 'history.db'}")
    says = r"history.db: File exists. Check the folder.*XDG_STATE_HOME"
    with pytest.raises(DatabaseError, match=says), database.writing() as session:
        session.execute(text("SELECT 1"))
    with pytest.raises(DatabaseError, match=says), database.reading() as session:
        session.execute(text("SELECT 1"))


def test_a_broken_constraint_stays_the_callers_own_error(database: Database) -> None:
    with pytest.raises(exc.IntegrityError), database.writing() as session:
        session.execute(text("INSERT INTO counter VALUES (1, 0)"))


def test_parameters_never_appear_in_errors(database: Database) -> None:
    with pytest.raises(exc.IntegrityError) as caught, database.writing() as session:
        session.execute(text("INSERT INTO counter VALUES (1, :value)"), {"value": 424242})
    assert "424242" not in str(caught.value)
