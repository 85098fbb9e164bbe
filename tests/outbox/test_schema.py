from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from sqlalchemy import inspect, text

import outbox
import outbox.migrations
import outbox.migrations.versions
import reconciler
from outbox.database import Base, Database
from outbox.errors import DatabaseError
from outbox.schema import CURRENT, alembic_config, migrate, recorded_revision
from reconciler.history import History
from tests.reconciler.cycles import finish, outcome, start

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


def import_everything() -> None:
    for package in (outbox, reconciler):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith("outbox.migrations.") and not module.name.endswith(".__main__"):
                importlib.import_module(module.name)


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
    import_everything()
    migrate(database)
    with database.altering() as connection:
        assert set(shape(connection)) == {*Base.metadata.tables, "alembic_version"}
        command.check(alembic_config(connection))


def test_a_model_without_its_migration_would_be_noticed(database: Database) -> None:
    import_everything()
    migrate(database)
    with database.altering() as connection:
        connection.execute(text("ALTER TABLE cycles DROP COLUMN message"))
        with pytest.raises(Exception, match="message"):
            command.check(alembic_config(connection))


def test_down_and_up_again_gives_the_same_schema(database: Database) -> None:
    migrate(database)
    history = History(database)
    begun = start()
    history.record_start(begun)
    history.record_outcomes(begun.id, [outcome()])
    history.record_finish(begun.id, finish())
    with database.altering() as connection:
        before = shape(connection)
        command.downgrade(alembic_config(connection), "base")
        assert set(shape(connection)) == {"alembic_version"}
        command.upgrade(alembic_config(connection), "head")
        assert shape(connection) == before
    assert history.list(10) == ()


def test_every_constraint_in_the_database_has_a_name(database: Database) -> None:
    migrate(database)
    with database.altering() as connection:
        tables = shape(connection)
    for table, parts in tables.items():
        if table != "alembic_version":
            assert parts["primary key"] == f"pk_{table}"
            assert all(name.startswith(f"fk_{table}_") for name, *_ in parts["foreign keys"])
            assert all(name.startswith(f"ix_{table}_") for name in parts["indexes"])


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


def test_a_database_of_a_newer_release_is_refused_and_left_alone(database: Database) -> None:
    migrate(database)
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(
        DatabaseError, match=r"written by a newer release \(schema 9999; .* up to 0001\). Upgrade orchest"
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
