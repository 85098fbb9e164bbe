"""Jobs, and the interactive sessions that the original's SDK asks for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("project_uuid", sa.Uuid(), nullable=False),
        sa.Column("pipeline_uuid", sa.Uuid(), nullable=False),
        sa.Column("pipeline_name", sa.String(255), nullable=False),
        sa.Column("pipeline_definition", sa.JSON(), nullable=False),
        sa.Column("pipeline_run_spec", sa.JSON(), nullable=False),
        sa.Column("snapshot_uuid", sa.Uuid(), nullable=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("schedule", sa.String(100), nullable=True),
        sa.Column("next_scheduled_time", _INSTANT, nullable=True),
        sa.Column("last_scheduled_time", _INSTANT, nullable=True),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("strategy_json", sa.JSON(), nullable=False),
        sa.Column("env_variables", sa.LargeBinary(), nullable=False),
        sa.Column("max_retained_pipeline_runs", sa.Integer(), nullable=False),
        sa.Column("total_scheduled_executions", sa.Integer(), nullable=False),
        sa.Column("total_scheduled_pipeline_runs", sa.Integer(), nullable=False),
        sa.Column("created_time", _INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_uuid"], ["projects.uuid"], name="fk_jobs_project_uuid_projects", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("uuid", name="pk_jobs"),
    )
    op.create_index("ix_jobs_project_uuid", "jobs", ["project_uuid", "created_time"])
    op.create_index("ix_jobs_created_time", "jobs", ["created_time", "uuid"])
    op.create_index("ix_jobs_next_scheduled_time", "jobs", ["next_scheduled_time"])
    op.create_table(
        "interactive_sessions",
        sa.Column("project_uuid", sa.Uuid(), nullable=False),
        sa.Column("pipeline_uuid", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("user_services", sa.JSON(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_uuid"],
            ["projects.uuid"],
            name="fk_interactive_sessions_project_uuid_projects",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_uuid", "pipeline_uuid", name="pk_interactive_sessions"),
    )


def downgrade() -> None:
    op.drop_table("interactive_sessions")
    op.drop_table("jobs")
