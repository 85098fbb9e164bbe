from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from alembic import command
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Uuid,
    inspect,
    select,
    text,
)

import outbox.migrations.versions
from dev.migration import import_models
from outbox.database import Base, Database
from outbox.errors import DatabaseError
from outbox.schema import CURRENT, alembic_config, migrate, recorded_revision
from reconciler.history import History
from tests.reconciler.cycles import start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def shape(connection: Connection) -> dict[str, Any]:
    """Everything that a migration can change, with the names of constraints."""
    inspector = inspect(connection)
    return {
        table: {
            "columns": [
                (column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(table)
            ],
            "primary key": inspector.get_pk_constraint(table)["name"],
            "foreign keys": sorted(
                (str(key["name"]), str(key["referred_table"]), str(key["options"]))
                for key in inspector.get_foreign_keys(table)
            ),
            "indexes": sorted(str(index["name"]) for index in inspector.get_indexes(table)),
        }
        for table in inspector.get_table_names()
    }


def revision(database: Database) -> str:
    with database.reading() as session:
        return recorded_revision(session.connection())


def test_the_constant_is_the_last_migration() -> None:
    folder = Path(outbox.migrations.versions.__path__[0])
    assert max(path.name.split("_")[0] for path in folder.glob("0*.py")) == CURRENT


def test_an_empty_database_is_brought_to_the_current_schema_and_stays_there(database: Database) -> None:
    assert revision(database) == ""
    migrate(database)
    assert revision(database) == CURRENT
    migrate(database)
    assert revision(database) == CURRENT


def test_the_migrations_make_exactly_the_tables_of_the_models(database: Database) -> None:
    import_models()
    migrate(database)
    with database.altering() as connection:
        assert set(shape(connection)) == {*Base.metadata.tables, "alembic_version"}
        command.check(alembic_config(connection))


def test_a_model_without_its_migration_would_be_noticed(database: Database) -> None:
    import_models()
    migrate(database)
    with database.altering() as connection:
        connection.execute(text("ALTER TABLE cycles DROP COLUMN message"))
        with pytest.raises(Exception, match="message"):
            command.check(alembic_config(connection))


_VERSIONS = Path(outbox.migrations.versions.__path__[0])
REVISIONS = tuple(sorted(path.name.split("_")[0] for path in _VERSIONS.glob("0*.py")))


def fill(connection: Connection) -> None:
    """Two rows in every table that has none, whatever its columns, each referring to the first row of its parents."""
    metadata = MetaData()
    metadata.reflect(connection)
    for table in metadata.sorted_tables:
        if table.name != "alembic_version" and not connection.execute(select(table)).first():
            for number in (1, 2):
                connection.execute(table.insert().values({c.name: value(connection, c, number) for c in table.columns}))


def value(connection: Connection, column: Column[Any], number: int) -> object:
    for key in column.foreign_keys:
        # A child that may exist once per parent refers to the row of its own number.
        parents = connection.execute(select(key.column)).scalars().all()
        return parents[number - 1 if column.primary_key else 0]
    kind = column.type
    if isinstance(kind, Uuid):
        return UUID(int=number)
    if isinstance(kind, JSON):
        return {"number": number}
    if isinstance(kind, LargeBinary):
        return bytes([number])
    if isinstance(kind, DateTime):
        return datetime(2026, 11, number, tzinfo=UTC if connection.dialect.name == "postgresql" else None)
    if isinstance(kind, Boolean):
        return bool(number % 2)
    if isinstance(kind, (Integer, Float)):
        return number
    # SQLite keeps a UUID as 32 characters.
    return f"{number:032x}" if getattr(kind, "length", None) == 32 else f"{column.name} {number}"[: kind_length(kind)]


def kind_length(kind: Any) -> int:
    return getattr(kind, "length", None) or 100


def rows(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    metadata = MetaData()
    metadata.reflect(connection)
    return {
        table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
        for table in metadata.sorted_tables
        if table.name != "alembic_version"
    }


@pytest.mark.parametrize("step", range(len(REVISIONS)), ids=REVISIONS)
def test_a_migration_up_and_down_keeps_every_row_and_constraint_of_the_others(database: Database, step: int) -> None:
    """At the revision below it, with rows in all tables: up, down; then at its own, with rows in its tables too."""
    below = REVISIONS[step - 1] if step else "base"
    with database.altering() as connection:
        command.upgrade(alembic_config(connection), below)
        fill(connection)
    before = state(database)
    move(database, REVISIONS[step])
    fill_and_check(database, before)
    filled = state(database)
    move(database, below)
    assert state(database) == before
    move(database, REVISIONS[step])
    again = state(database)
    assert again[0] == filled[0]
    assert {table: found for table, found in again[1].items() if table in before[1]} == {
        table: filled[1][table] for table in before[1]
    }


def state(database: Database) -> tuple[dict[str, Any], dict[str, list[tuple[Any, ...]]]]:
    with database.altering() as connection:
        tables = shape(connection)
        tables.pop("alembic_version", None)
        return tables, rows(connection)


def move(database: Database, target: str) -> None:
    with database.altering() as connection:
        here = recorded_revision(connection)
        go = command.downgrade if target == "base" or target < here else command.upgrade
        go(alembic_config(connection), target)


def fill_and_check(database: Database, before: tuple[dict[str, Any], dict[str, list[tuple[Any, ...]]]]) -> None:
    """Going up lost and changed no row of the tables that were there, but for new columns at its end and new types of
    events; then the new tables get rows too.
    """
    with database.altering() as connection:
        columns = {table: len(parts["columns"]) for table, parts in before[0].items()}
        now = rows(connection)
        for table, found in before[1].items():
            there = [row[: columns[table]] for row in now[table]]
            assert [row for row in found if row not in there] == [], table
            assert len(found) == len(there) or table == "event_types"
        fill(connection)
        assert all(rows(connection).values())


def test_a_migration_that_loses_the_children_of_a_rebuilt_parent_would_be_noticed(database: Database) -> None:
    """The check above, with the fault it is there for: rows gone, schema the same."""
    migrate(database)
    with database.altering() as connection:
        fill(connection)
    before = state(database)
    with database.altering() as connection:
        connection.execute(text("DELETE FROM attempts"))
    assert state(database)[0] == before[0]
    assert state(database) != before


def test_every_constraint_in_the_database_has_a_name(database: Database) -> None:
    migrate(database)
    with database.altering() as connection:
        tables = shape(connection)
    for table, parts in tables.items():
        if table != "alembic_version":
            assert parts["primary key"] == f"pk_{table}"
            assert all(name.startswith(f"fk_{table}_") for name, *_ in parts["foreign keys"])
            assert all(name.startswith((f"ix_{table}_", f"uq_{table}_")) for name in parts["indexes"])


def test_a_failed_migration_leaves_nothing(database: Database) -> None:
    def migrate_and_fail() -> None:
        with database.altering() as connection:
            command.upgrade(alembic_config(connection), "head")
            raise KeyError

    with pytest.raises(KeyError):
        migrate_and_fail()
    assert revision(database) == ""
    migrate(database)
    assert revision(database) == CURRENT


def test_a_newer_schema_that_supports_this_release_is_used_as_it_is(database: Database) -> None:
    migrate(database)
    with database.altering() as connection:
        connection.execute(text("ALTER TABLE cycles ADD COLUMN colour VARCHAR(10)"))
        connection.execute(text("INSERT INTO event_types (name) VALUES ('project:painted')"))
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    migrate(database)
    assert revision(database) == "9999"
    history = History(database)
    history.record_start(start())
    assert len(history.list(10)) == 1


def test_a_newer_schema_that_gave_this_release_up_is_refused_and_left_alone(database: Database) -> None:
    migrate(database)
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        session.execute(text("UPDATE schema_support SET oldest = '9998'"))
    with pytest.raises(
        DatabaseError, match=rf"newer release \(schema 9999, .* know 9998; this one knows {CURRENT}\). Upgrade orchest"
    ):
        migrate(database)
    assert revision(database) == "9999"


def test_several_processes_migrate_one_database_once(database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)
    program = (
        "from outbox.database import Database; from outbox.schema import migrate\n"
        f"database = Database({url!r}); print('ready', flush=True); input(); migrate(database)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert revision(database) == CURRENT


def test_commands_that_find_nothing_to_migrate_never_load_alembic(database: Database) -> None:
    migrate(database)
    url = database.url.render_as_string(hide_password=False)
    program = (
        "import sys; from outbox.database import Database; from outbox.schema import migrate\n"
        f"migrate(Database({url!r})); print('alembic' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ran.stdout == "False\n"
