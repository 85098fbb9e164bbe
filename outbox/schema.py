"""Brings a database to the schema that this release knows, once, whoever comes first.

In: a database in any state. Out: the same at `CURRENT` or later, or an error. Never: downgrades.

During a rolling update old processes meet the schema of new ones. A migration that only adds (a table, a column with a
default, an event type) leaves them running; one that takes something away raises `schema_support.oldest` to its own
number, and releases before it refuse the database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import String, inspect, select, text
from sqlalchemy.orm import Mapped, mapped_column

from outbox.database import Base
from outbox.errors import DatabaseError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection

    from outbox.database import Database

CURRENT = "0007"
"""The last revision in `migrations/versions`; here too, because asking Alembic costs more than a whole command may."""


class SchemaSupport(Base):
    """One row: the oldest release, by its `CURRENT`, that may use this database."""

    __tablename__ = "schema_support"

    oldest: Mapped[str] = mapped_column(String(32), primary_key=True)


def migrate(database: Database) -> None:
    """Usually one cheap query. Raises DatabaseError for a database that is too new, and as its transactions do."""
    with database.reading() as session:
        if recorded_revision(session.connection()) == CURRENT:
            return
    with database.altering() as connection:
        recorded = recorded_revision(connection)
        if recorded <= CURRENT:
            _upgrade(connection)
        elif (oldest := _oldest_supported(connection)) > CURRENT:
            raise DatabaseError(
                f"{database.place}: written by a newer release (schema {recorded}, for releases that know {oldest}; "
                f"this one knows {CURRENT}). Upgrade orchest, or give another database by ORCHEST_DATABASE_URL."
            )


def recorded_revision(connection: Connection) -> str:
    """Nothing ("") for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() or ""


def alembic_config(connection: Connection) -> Config:
    """For Alembic's commands on this connection; nothing is read from a file."""
    from alembic.config import Config  # noqa: PLC0415 - costs 300 ms, and nearly every command finds nothing to migrate

    config = Config()
    config.set_main_option("script_location", "outbox:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _oldest_supported(connection: Connection) -> str:
    return connection.execute(select(SchemaSupport.oldest)).scalar_one()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - as above

    command.upgrade(alembic_config(connection), CURRENT)
