"""Run by Alembic, on the connection and in the transaction that `outbox/schema.py` opened.

Knows the tables only through `Base`: who wants to compare them all imports the modules that define them first.
"""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from outbox.database import Base, UtcDateTime


def _render(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """In a migration our own types stand as what they are in the database: the class may be gone one day."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    compare_server_default=True,
    render_item=_render,
)
with context.begin_transaction():
    context.run_migrations()
