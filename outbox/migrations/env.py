"""Run by Alembic, on the connection and in the transaction that `outbox/schema.py` opened.

Knows the tables only through `Base`: who wants to compare them all imports the modules that define them first.
"""

from __future__ import annotations

from alembic import context

from outbox.database import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
