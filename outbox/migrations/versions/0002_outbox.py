"""The outbox: types of events, events, who is told, deliveries and the attempts at each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)

_LIFE = ("created", "updated", "deleted")
_BUILD = ("created", "started", "cancelled", "failed", "succeeded")
_FAMILIES = {
    "project:": _LIFE,
    "project:pipeline:": _LIFE,
    "project:environment:": ("created", "deleted"),
    "project:environment:image-build:": _BUILD,
    "jupyter:image-build:": _BUILD,
    "project:pipeline:interactive-session:": ("started", "stopped", "service-restarted", "failed", "succeeded"),
    "project:pipeline:interactive-session:pipeline-run:": _BUILD,
    "project:one-off-job:": ("created", "started", "deleted", "cancelled", "failed", "updated", "succeeded"),
    "project:one-off-job:pipeline-run:": (*_BUILD, "deleted"),
    "project:cron-job:": (
        *("created", "started", "deleted", "cancelled", "failed", "succeeded", "updated"),
        *("paused", "unpaused"),
    ),
    "project:cron-job:run:": ("started", "succeeded", "failed"),
    "project:cron-job:run:pipeline-run:": (*_BUILD, "deleted"),
    "cluster:": (
        *("created", "updated", "plan-applied", "drift-detected", "drift-repaired", "unhealthy"),
        *("paused", "resumed", "rolled-back", "deleted"),
    ),
}


def upgrade() -> None:
    support = op.create_table(
        "schema_support",
        sa.Column("oldest", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("oldest", name="pk_schema_support"),
    )
    op.bulk_insert(support, [{"oldest": revision}])
    event_types = op.create_table(
        "event_types",
        sa.Column("name", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_event_types"),
    )
    op.bulk_insert(event_types, [{"name": family + name} for family, names in _FAMILIES.items() for name in names])
    op.create_table(
        "events",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(100), nullable=False),
        sa.Column("layer", sa.String(50), nullable=False),
        sa.Column("timestamp", _INSTANT, nullable=False),
        sa.Column("project_uuid", sa.Uuid(), nullable=True),
        sa.Column("job_uuid", sa.Uuid(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("telemetry", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("uuid", name="pk_events"),
        sa.ForeignKeyConstraint(["type"], ["event_types.name"], name="fk_events_type_event_types"),
    )
    op.create_index("ix_events_type", "events", ["type", "uuid"])
    op.create_index("ix_events_project_uuid", "events", ["project_uuid", "job_uuid"])
    op.create_index("ix_events_timestamp", "events", ["timestamp"])
    _create_subscribers()
    _create_deliveries()


def _create_subscribers() -> None:
    op.create_table(
        "subscribers",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(50), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("max_in_flight", sa.Integer(), nullable=False),
        sa.Column("rate_per_second", sa.Double(), nullable=True),
        sa.Column("name", sa.String(100), nullable=True),
        sa.Column("url", sa.LargeBinary(), nullable=True),
        sa.Column("url_origin", sa.String(300), nullable=True),
        sa.Column("headers", sa.LargeBinary(), nullable=True),
        sa.Column("content_type", sa.String(50), nullable=True),
        sa.Column("verify_ssl", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("uuid", name="pk_subscribers"),
    )
    op.create_table(
        "signing_secrets",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("subscriber_uuid", sa.Uuid(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("uuid", name="pk_signing_secrets"),
        _of_subscriber("signing_secrets"),
    )
    op.create_index("ix_signing_secrets_subscriber_uuid", "signing_secrets", ["subscriber_uuid"])
    op.create_table(
        "subscriptions",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("subscriber_uuid", sa.Uuid(), nullable=False),
        sa.Column("event_type", sa.String(100), nullable=False),
        sa.Column("project_uuid", sa.Uuid(), nullable=True),
        sa.Column("job_uuid", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("uuid", name="pk_subscriptions"),
        _of_subscriber("subscriptions"),
    )
    scope = ["subscriber_uuid", "event_type"]
    _create_index("uq_subscriptions_everywhere", "subscriptions", scope, "project_uuid IS NULL", unique=True)
    scope = [*scope, "project_uuid"]
    where = "project_uuid IS NOT NULL AND job_uuid IS NULL"
    _create_index("uq_subscriptions_of_project", "subscriptions", scope, where, unique=True)
    scope = [*scope, "job_uuid"]
    _create_index("uq_subscriptions_of_job", "subscriptions", scope, "job_uuid IS NOT NULL", unique=True)
    op.create_index("ix_subscriptions_event_type", "subscriptions", ["event_type"])
    op.create_table(
        "endpoints",
        sa.Column("subscriber_uuid", sa.Uuid(), nullable=False),
        sa.Column("condition", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("breaker", sa.String(16), nullable=False),
        sa.Column("consecutive_failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", _INSTANT, nullable=True),
        sa.Column("open_until", _INSTANT, nullable=True),
        sa.Column("openings", sa.Integer(), nullable=False),
        sa.Column("not_before", _INSTANT, nullable=True),
        sa.Column("ramp", sa.Integer(), nullable=True),
        sa.Column("rate_tokens", sa.Double(), nullable=True),
        sa.Column("rate_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("subscriber_uuid", name="pk_endpoints"),
        _of_subscriber("endpoints"),
    )


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("event_uuid", sa.Uuid(), nullable=False),
        sa.Column("subscriber_uuid", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("lane", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("due_at", _INSTANT, nullable=False),
        sa.Column("claimed_by", sa.String(100), nullable=True),
        sa.Column("lease_until", _INSTANT, nullable=True),
        sa.Column("finished_at", _INSTANT, nullable=True),
        sa.Column("replay_of", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("uuid", name="pk_deliveries"),
        sa.ForeignKeyConstraint(
            ["event_uuid"], ["events.uuid"], name="fk_deliveries_event_uuid_events", ondelete="CASCADE"
        ),
        _of_subscriber("deliveries"),
    )
    due = ["subscriber_uuid", "lane", "due_at"]
    _create_index("ix_deliveries_due", "deliveries", due, "status = 'scheduled'")
    _create_index("ix_deliveries_lease", "deliveries", ["subscriber_uuid", "lease_until"], "status = 'claimed'")
    _create_index("ix_deliveries_held", "deliveries", ["subscriber_uuid", "due_at"], "status = 'held'")
    _create_index("ix_deliveries_finished_at", "deliveries", ["finished_at"], "finished_at IS NOT NULL")
    op.create_index("ix_deliveries_subscriber_uuid", "deliveries", ["subscriber_uuid", "uuid"])
    op.create_index("ix_deliveries_event_uuid", "deliveries", ["event_uuid"])
    op.create_table(
        "attempts",
        sa.Column("delivery_uuid", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("milliseconds", sa.Double(), nullable=False),
        sa.Column("result", sa.String(16), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("response_headers", sa.Text(), nullable=True),
        sa.Column("response_body", sa.LargeBinary(), nullable=True),
        sa.Column("worker", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("delivery_uuid", "number", name="pk_attempts"),
        sa.ForeignKeyConstraint(
            ["delivery_uuid"], ["deliveries.uuid"], name="fk_attempts_delivery_uuid_deliveries", ondelete="CASCADE"
        ),
    )


def _of_subscriber(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_subscriber_uuid_subscribers"
    return sa.ForeignKeyConstraint(["subscriber_uuid"], ["subscribers.uuid"], name=name, ondelete="CASCADE")


def _create_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def downgrade() -> None:
    for table in (
        *("attempts", "deliveries", "endpoints", "subscriptions", "signing_secrets", "subscribers"),
        *("events", "event_types", "schema_support"),
    ):
        op.drop_table(table)
