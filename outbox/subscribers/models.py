"""The tables of those who want to be told. What is sensitive in them is stored encrypted (`outbox/key_ring.py`)."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - SQLAlchemy evaluates the annotations
from uuid import UUID  # noqa: TC003

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from outbox.database import Base


class Subscriber(Base):
    """Single-table inheritance on `type`: a webhook (Slack, Teams and Discord are webhooks too), or analytics."""

    __tablename__ = "subscribers"
    __mapper_args__ = {"polymorphic_on": "type", "polymorphic_identity": "subscriber"}  # noqa: RUF012 - declared so

    uuid: Mapped[UUID] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(String(50))
    created_at: Mapped[datetime]
    max_in_flight: Mapped[int]
    """How many requests may be under way to it at once, over all workers."""
    rate_per_second: Mapped[float | None]
    """How many attempts may begin per second over all workers; None: as many as there are."""


class Webhook(Subscriber):
    __mapper_args__ = {"polymorphic_identity": "webhook"}  # noqa: RUF012

    name: Mapped[str | None] = mapped_column(String(100))
    url: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Encrypted: a chat's webhook URL is itself a secret."""
    url_origin: Mapped[str | None] = mapped_column(String(300))
    """`scheme://host[:port]`: all of the URL that is ever shown."""
    headers: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Encrypted JSON object: custom request headers."""
    content_type: Mapped[str | None] = mapped_column(String(50))
    verify_ssl: Mapped[bool | None]


class Analytics(Subscriber):
    __mapper_args__ = {"polymorphic_identity": "analytics"}  # noqa: RUF012


class SigningSecret(Base):
    """The live secrets of a webhook: one, or during a rotation several; requests are signed with each."""

    __tablename__ = "signing_secrets"

    uuid: Mapped[UUID] = mapped_column(primary_key=True)
    subscriber_uuid: Mapped[UUID] = mapped_column(Uuid, ForeignKey("subscribers.uuid", ondelete="CASCADE"), index=True)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    """None: the current one."""


class Subscription(Base):
    """One thing a subscriber wants to hear: a type or a wildcard, everywhere, in one project, or of one job."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index(
            "uq_subscriptions_everywhere",
            "subscriber_uuid",
            "event_type",
            unique=True,
            sqlite_where=text("project_uuid IS NULL"),
            postgresql_where=text("project_uuid IS NULL"),
        ),
        Index(
            "uq_subscriptions_of_project",
            "subscriber_uuid",
            "event_type",
            "project_uuid",
            unique=True,
            sqlite_where=text("project_uuid IS NOT NULL AND job_uuid IS NULL"),
            postgresql_where=text("project_uuid IS NOT NULL AND job_uuid IS NULL"),
        ),
        Index(
            "uq_subscriptions_of_job",
            "subscriber_uuid",
            "event_type",
            "project_uuid",
            "job_uuid",
            unique=True,
            sqlite_where=text("job_uuid IS NOT NULL"),
            postgresql_where=text("job_uuid IS NOT NULL"),
        ),
        Index("ix_subscriptions_event_type", "event_type"),
    )

    uuid: Mapped[UUID] = mapped_column(primary_key=True)
    subscriber_uuid: Mapped[UUID] = mapped_column(Uuid, ForeignKey("subscribers.uuid", ondelete="CASCADE"))
    event_type: Mapped[str] = mapped_column(String(100))
    """A type, or a prefix of types with `*` as its last segment: `project:*`, `*`."""
    project_uuid: Mapped[UUID | None]
    job_uuid: Mapped[UUID | None]


class EndpointRow(Base):
    """What the worker knows of a subscriber's health. A row of its own, so that user and worker overwrite nothing."""

    __tablename__ = "endpoints"

    subscriber_uuid: Mapped[UUID] = mapped_column(
        Uuid, ForeignKey("subscribers.uuid", ondelete="CASCADE"), primary_key=True
    )
    condition: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    breaker: Mapped[str] = mapped_column(String(16))
    consecutive_failures: Mapped[int]
    failing_since: Mapped[datetime | None]
    open_until: Mapped[datetime | None]
    openings: Mapped[int]
    not_before: Mapped[datetime | None]
    ramp: Mapped[int | None]
    rate_tokens: Mapped[float | None]
    rate_at: Mapped[datetime | None]
