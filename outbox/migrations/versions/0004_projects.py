"""Projects, pipelines, environments and settings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("env_variables", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("uuid", name="pk_projects"),
    )
    op.create_table(
        "pipelines",
        sa.Column("project_uuid", sa.Uuid(), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("env_variables", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("deleted_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("project_uuid", "uuid", name="pk_pipelines"),
        _of_project("pipelines"),
    )
    op.create_table(
        "environments",
        sa.Column("project_uuid", sa.Uuid(), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("project_uuid", "uuid", name="pk_environments"),
        _of_project("environments"),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_settings"),
    )


def _of_project(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_project_uuid_projects"
    return sa.ForeignKeyConstraint(["project_uuid"], ["projects.uuid"], name=name, ondelete="CASCADE")


def downgrade() -> None:
    for table in ("settings", "environments", "pipelines", "projects"):
        op.drop_table(table)
