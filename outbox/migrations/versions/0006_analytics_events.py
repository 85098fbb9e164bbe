"""Events get their place in the order of streams, and there are types that only analytics hears.

A trigger numbers each event, so that processes of the release before number theirs too. On PostgreSQL the number is
that of the transaction; on SQLite, where one writes after the other, it counts on. What was there before comes first,
in the order of the ids. (A later migration that rebuilds `events` on SQLite makes its trigger anew.)
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TOLD_TO_ANALYTICS = (
    *("alert:shown", "confirm:shown", "view:loaded", "heartbeat-trigger", "debug-ping"),
    *("project:one-off-job:duplicated", "project:cron-job:duplicated", "project:pipeline:saved"),
)

_TYPES = sa.table("event_types", sa.column("name", sa.String(100)))

_NUMBER_THOSE_BEFORE = """
    UPDATE events SET position = numbered.position
    FROM (
        SELECT uuid, row_number() OVER (ORDER BY uuid) - count(*) OVER () - 1 AS position FROM events
    ) AS numbered
    WHERE numbered.uuid = events.uuid
"""
_POSTGRESQL = (
    """
    CREATE FUNCTION number_event() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.position := pg_current_xact_id()::text::bigint;
        RETURN NEW;
    END
    $$
    """,
    "CREATE TRIGGER number_event BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION number_event()",
)
_SQLITE = (
    """
    CREATE TRIGGER number_event AFTER INSERT ON events
    BEGIN
        UPDATE events SET position = max(
            coalesce((SELECT max(position) FROM events), 0) + 1,
            CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
        )
        WHERE uuid = NEW.uuid;
    END
    """,
)
"""Milliseconds where nothing is left to count on from, so that no number comes twice."""


def upgrade() -> None:
    op.add_column("events", sa.Column("position", sa.BigInteger(), nullable=True))
    op.execute(_NUMBER_THOSE_BEFORE)
    op.create_index("ix_events_position", "events", ["position", "uuid"])
    for statement in _SQLITE if _is_sqlite() else _POSTGRESQL:
        op.execute(statement)
    op.bulk_insert(_TYPES, [{"name": name} for name in _TOLD_TO_ANALYTICS])


def downgrade() -> None:
    """What was only told to analytics goes with its types."""
    op.execute("DELETE FROM events WHERE layer = 'analytics'")
    op.execute(_TYPES.delete().where(_TYPES.c.name.in_(_TOLD_TO_ANALYTICS)))
    op.execute("DROP TRIGGER number_event" if _is_sqlite() else "DROP TRIGGER number_event ON events")
    if not _is_sqlite():
        op.execute("DROP FUNCTION number_event()")
    op.drop_index("ix_events_position", "events")
    op.drop_column("events", "position")


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
