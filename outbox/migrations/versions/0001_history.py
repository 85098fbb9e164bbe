"""The history of a cluster: cycles, what came of each action, and the plans and snapshots they refer to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "contents",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("compressed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_contents"),
    )
    op.create_table(
        "cycles",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("namespace", sa.String(253), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("uid", sa.String(64), nullable=False),
        sa.Column("server_uid", sa.String(64), nullable=False),
        sa.Column("origin_kind", sa.String(16), nullable=False),
        sa.Column("origin", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("commit", sa.String(64), nullable=False),
        sa.Column("plan_id", sa.String(64), nullable=False),
        sa.Column("plan_digest", sa.String(128), nullable=False),
        sa.Column("holder", sa.String(512), nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("finished_at", _INSTANT, nullable=True),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("plan_document", sa.String(64), nullable=False),
        sa.Column("snapshot_before", sa.String(64), nullable=False),
        sa.Column("snapshot_after", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_cycles"),
        sa.ForeignKeyConstraint(["plan_document"], ["contents.digest"], name="fk_cycles_plan_document_contents"),
        sa.ForeignKeyConstraint(["snapshot_before"], ["contents.digest"], name="fk_cycles_snapshot_before_contents"),
        sa.ForeignKeyConstraint(["snapshot_after"], ["contents.digest"], name="fk_cycles_snapshot_after_contents"),
    )
    op.create_index("ix_cycles_started_at", "cycles", ["started_at"])
    op.create_index("ix_cycles_outcome", "cycles", ["outcome"])
    op.create_table(
        "action_outcomes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("object_key", sa.String(1024), nullable=False),
        sa.Column("verb", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("result", sa.String(32), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_action_outcomes"),
        sa.ForeignKeyConstraint(
            ["cycle_id"], ["cycles.id"], name="fk_action_outcomes_cycle_id_cycles", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_action_outcomes_cycle_id", "action_outcomes", ["cycle_id"])


def downgrade() -> None:
    op.drop_table("action_outcomes")
    op.drop_table("cycles")
    op.drop_table("contents")
