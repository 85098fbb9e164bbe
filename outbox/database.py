"""The one way into the database: engine, session, `Base`, and the gate through which writers pass on SQLite.

In: a URL. Out: transactions, `reading()` and `writing()`, as SQLAlchemy sessions. PostgreSQL is what the processes of a
cluster share; SQLite (WAL) serves one host. Never: tables of its own, or a password in a message.

SQLite lets one writer in at a time, and its busy handler sleeps and is unfair. So writers queue at a gate first: a
thread lock for the threads of this process, then a file lock for the processes of this host, held from BEGIN IMMEDIATE
to COMMIT.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import DateTime, MetaData, create_engine, event, exc, func, select
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from outbox.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    from sqlalchemy.engine.interfaces import Dialect
    from sqlalchemy.pool import ConnectionPoolEntry

_CORRUPT_MEND = "The file is damaged: move it away (a new one is made), or restore it from a backup."
_BUSY_MILLISECONDS = 5_000
_DEAD_HOST = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""A server that is silently gone is noticed within half a minute; seconds, and milliseconds for the last."""
_CONNECTIONS = 15
_IDLE_SECONDS = 5
"""A process that is frozen in the middle of a transaction must not keep its locks: after this PostgreSQL ends it."""
_ALTERING_LOCK = 0x6F726368657374
"""PostgreSQL's advisory lock: the bytes of `orchest`."""
_ANNOUNCED = "orchest_announced"
"""Session info: whether `after_commit` is to be called."""
_BEGIN = "orchest_begin"
"""Execution option: how a SQLite transaction begins."""


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: timezone-aware in Python, always UTC in the row; SQLite, which knows no zones, keeps it naive."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without zone is no instant: {value}")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """All tables. Every constraint gets a name: SQLite's batch migrations drop the nameless ones silently."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {datetime: UtcDateTime}


class Database:
    """An engine and its gate. Safe to share between threads; opening one touches nothing yet.

    `after_commit` is called after each commit of a transaction that asked for it by `announce`: no lock is held any
    more, and it must neither raise nor take long.

    Raises DatabaseError for a URL that is none of ours; later, from the transactions, when the database cannot be used.
    """

    def __init__(
        self, url: str, after_commit: Callable[[], None] = lambda: None, connections: int = _CONNECTIONS
    ) -> None:
        """`connections`: as many as threads may be in a transaction at once; whoever comes later waits."""
        self.url = _parse(url)
        self._after_commit = after_commit
        self.engine = create_engine(
            self.url, hide_parameters=True, pool_size=connections, max_overflow=0, **_options(self.url)
        )
        self._thread_gate = threading.Lock()
        if self.is_sqlite:
            event.listen(self.engine, "do_connect", self._before_connect)
            event.listen(self.engine, "connect", _on_connect)
            event.listen(self.engine, "begin", _on_begin)
        else:
            event.listen(self.engine, "connect", _limit_idleness)
        self._writer = self.engine.execution_options(**{_BEGIN: "IMMEDIATE"})

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def place(self) -> str:
        """For messages: the file, or the URL without its password."""
        return str(self.file) if self.is_sqlite else self.url.render_as_string(hide_password=True)

    @property
    def file(self) -> Path:
        """SQLite only."""
        return Path(self.url.database or "")

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A read-only transaction at one moment; writers do not wait for it."""
        with self._translated(), Session(self.engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction, committed at the end, rolled back on any exception. Keep it short: on SQLite others wait."""
        with self._translated(), self._gate(), Session(self._writer) as session, session.begin():
            yield session
        if session.info.get(_ANNOUNCED):
            self._after_commit()

    @contextmanager
    def altering(self) -> Iterator[Connection]:
        """A transaction that may change the schema, one process at a time.

        On SQLite foreign keys are off in it, because rebuilding a parent table would delete its children by cascade;
        they are checked before the commit.
        """
        with self._translated(), self._gate(), self._writer.connect() as connection:
            if self.is_sqlite:
                with _foreign_keys_off(connection), connection.begin():
                    yield connection
                    _check_foreign_keys(connection, self.place)
                return
            with connection.begin():
                connection.execute(select(func.pg_advisory_xact_lock(_ALTERING_LOCK)))
                yield connection

    @contextmanager
    def _gate(self) -> Iterator[None]:
        """On SQLite the only way to a write transaction; elsewhere nothing. Not reentrant."""
        if not self.is_sqlite:
            yield
            return
        with self._thread_gate, _file_lock(self.file):
            yield

    def close(self) -> None:
        self.engine.dispose()

    def _before_connect(self, *_: object) -> None:
        _prepare_file(self.file)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DatabaseError(f"{self.place}: {error.strerror}. {self._mend}") from None
        except exc.OperationalError as error:
            raise DatabaseError(f"{self.place}: {_first_line(error)}. {self._mend}") from None
        except exc.DatabaseError as error:
            if _is_denied(error) or _is_ended(error):
                raise DatabaseError(f"{self.place}: {_first_line(error)}. {self._mend}") from None
            if _is_corrupt(error):
                raise DatabaseError(f"{self.place}: {_first_line(error)}. {_CORRUPT_MEND}") from None
            raise

    @property
    def _mend(self) -> str:
        if self.is_sqlite:
            return "Check the folder, its permissions and free space, or set XDG_STATE_HOME or ORCHEST_DATABASE_URL."
        return "Check that PostgreSQL runs and that ORCHEST_DATABASE_URL names it with a user who may write."


def announce(session: Session) -> None:
    """Somebody will want to know when this transaction is committed: it leaves work behind that is due now."""
    session.info[_ANNOUNCED] = True


def _parse(text: str) -> URL:
    try:
        url = make_url(text)
    except exc.ArgumentError:
        raise DatabaseError(f"ORCHEST_DATABASE_URL is not a database URL. {_FORMS}") from None
    if url.drivername in {"postgres", "postgresql", "postgresql+psycopg"}:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in {"sqlite", "sqlite+pysqlite"} and url.database and Path(url.database).is_absolute():
        return url.set(drivername="sqlite+pysqlite")
    raise DatabaseError(f"ORCHEST_DATABASE_URL: {url.drivername}: not a database that can be used. {_FORMS}")


_FORMS = "Write postgresql://USER:PASSWORD@HOST/DATABASE, or sqlite:////ABSOLUTE/PATH."


def _options(url: URL) -> dict[str, object]:
    if url.get_backend_name() == "sqlite":
        # isolation_level None: the driver begins no transactions of its own, `_on_begin` does.
        return {"connect_args": {"isolation_level": None, "check_same_thread": False}}
    return {"pool_pre_ping": True, "connect_args": {"application_name": "orchest", **_DEAD_HOST}}


def _prepare_file(path: Path) -> None:
    """A new file is private (SQLite gives -wal and -shm the same mode) and in WAL mode before it has its name.

    Several processes that switched one file to WAL together would lock each other out. And an existing file is not even
    opened here: closing it would drop every lock that SQLite holds on it in this process.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        return
    with TemporaryDirectory(prefix=f"{path.name}.", dir=path.parent) as folder:
        new = Path(folder) / path.name
        new.touch(mode=0o600)
        with closing(sqlite3.connect(new)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        with suppress(FileExistsError):
            os.link(new, path)


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    """Opened anew each time: a descriptor inherited by a forked process would share its lock with it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(f"{path}.writer", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _on_connect(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
    for pragma in (
        f"busy_timeout = {_BUSY_MILLISECONDS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _limit_idleness(connection: psycopg.Connection, _record: ConnectionPoolEntry) -> None:
    """By a statement, since poolers between us and the server refuse start-up parameters."""
    connection.autocommit = True
    connection.execute(f"SET idle_in_transaction_session_timeout = '{_IDLE_SECONDS}s'")
    connection.autocommit = False


def _on_begin(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get(_BEGIN, 'DEFERRED')}")


@contextmanager
def _foreign_keys_off(connection: Connection) -> Iterator[None]:
    """The pragma does nothing inside a transaction, so it goes to the driver, which has not begun one."""
    driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys = ON")


def _check_foreign_keys(connection: Connection, place: str) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        tables = ", ".join(sorted({row[0] for row in broken}))
        raise DatabaseError(f"{place}: {len(broken)} rows would lose their parent ({tables}). Nothing was changed.")


def _is_denied(error: exc.DatabaseError) -> bool:
    """PostgreSQL: insufficient privilege, or a read-only server."""
    return getattr(error.orig, "sqlstate", "") in {"42501", "25006"}


def _is_ended(error: exc.DatabaseError) -> bool:
    """PostgreSQL: this process stood still in a transaction for too long."""
    return getattr(error.orig, "sqlstate", "") == "25P03"


def _is_corrupt(error: exc.DatabaseError) -> bool:
    return any(sign in str(error.orig) for sign in ("not a database", "malformed"))


def _first_line(error: exc.DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0].rstrip(".")
