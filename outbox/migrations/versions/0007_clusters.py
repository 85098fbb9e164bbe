"""Plans that wait to be applied over HTTP, and the long operations that carry them out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_RUNNING = sa.text("state = 'running'")


def upgrade() -> None:
    op.create_table(
        "plans",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("namespace", sa.String(253), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("created_by", sa.String(600), nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("manifests", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("uuid", name="pk_plans"),
    )
    op.create_index("ix_plans_namespace", "plans", ["namespace", "name"])
    op.create_table(
        "operations",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("namespace", sa.String(253), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.Column("plan_uuid", sa.Uuid(), nullable=True),
        sa.Column("cycle_uuid", sa.Uuid(), nullable=True),
        sa.Column("restores_cycle_uuid", sa.Uuid(), nullable=True),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("created_by", sa.String(600), nullable=False),
        sa.Column("finished_at", _INSTANT, nullable=True),
        sa.Column("holder", sa.String(512), nullable=False),
        sa.Column("heartbeat_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("uuid", name="pk_operations"),
    )
    op.create_index("ix_operations_plan_uuid", "operations", ["plan_uuid"])
    op.create_index(
        "uq_operations_running",
        "operations",
        ["namespace", "name"],
        unique=True,
        postgresql_where=_RUNNING,
        sqlite_where=_RUNNING,
    )


def downgrade() -> None:
    op.drop_table("operations")
    op.drop_table("plans")
