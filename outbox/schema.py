"""Brings a database to the schema that this release knows, once, whoever comes first.

In: a database in any state. Out: the same at `CURRENT`, or an error. Never: downgrades, or touches a newer one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from outbox.errors import DatabaseError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection

    from outbox.database import Database

CURRENT = "0001"
"""The last revision in `migrations/versions`; here too, because asking Alembic costs more than a whole command may."""


def migrate(database: Database) -> None:
    """Usually one cheap query. Raises DatabaseError for a database of a newer release, and as its transactions do."""
    with database.reading() as session:
        if recorded_revision(session.connection()) == CURRENT:
            return
    with database.altering() as connection:
        recorded = recorded_revision(connection)
        if recorded != CURRENT:
            _upgrade(connection, recorded, database.place)


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


def _upgrade(connection: Connection, recorded: str, place: str) -> None:
    from alembic import command, script  # noqa: PLC0415 - as above

    config = alembic_config(connection)
    known = {revision.revision for revision in script.ScriptDirectory.from_config(config).walk_revisions()}
    if recorded and recorded not in known:
        raise DatabaseError(
            f"{place}: written by a newer release (schema {recorded}; this release knows up to {CURRENT}). "
            "Upgrade orchest, or give another database by ORCHEST_DATABASE_URL."
        )
    command.upgrade(config, "head")
