"""All that a database holds, to be compared: whether a refused request wrote anything."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text

from outbox.database import Base

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Select, Table

    from outbox.database import Database

_OF_READING = {("access_tokens", "last_used_at")}
"""What is noted of a request that only reads."""


def contents(database: Database) -> dict[str, list[Any]]:
    """By table, every row but for when a token was last used."""
    with database.reading() as session:
        return {
            table.name: sorted(map(tuple, session.execute(_of(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }


@cache
def _of(table: Table) -> Select[Any]:
    return select(*(column for column in table.c if (table.name, column.name) not in _OF_READING))


@contextmanager
def commits_refused(database: Database) -> Iterator[None]:
    """Transactions that registered an event do all they do, and fail at their COMMIT."""
    making, removing = (_SQLITE, _SQLITE_AFTER) if database.is_sqlite else (_POSTGRESQL, _POSTGRESQL_AFTER)
    _execute(database, making)
    try:
        yield
    finally:
        _execute(database, removing)


def _execute(database: Database, statements: tuple[str, ...]) -> None:
    with database.altering() as connection:
        for statement in statements:
            connection.execute(text(statement))


_SQLITE = (
    "CREATE TABLE refused_by (id INTEGER PRIMARY KEY)",
    "CREATE TABLE refusals (id INTEGER REFERENCES refused_by (id) DEFERRABLE INITIALLY DEFERRED)",
    "CREATE TRIGGER refuse AFTER INSERT ON events BEGIN INSERT INTO refusals VALUES (1); END",
)
_SQLITE_AFTER = ("DROP TRIGGER refuse", "DROP TABLE refusals", "DROP TABLE refused_by")
_POSTGRESQL = (
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
    (
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()"
    ),
)
_POSTGRESQL_AFTER = ("DROP TRIGGER refuse ON events", "DROP FUNCTION refuse()")
