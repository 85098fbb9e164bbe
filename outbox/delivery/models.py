"""The tables of deliveries and of each attempt at one."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - SQLAlchemy evaluates the annotations
from uuid import UUID  # noqa: TC003

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from outbox.database import Base

_SCHEDULED = text("status = 'scheduled'")
_CLAIMED = text("status = 'claimed'")
_HELD = text("status = 'held'")
_FINISHED = text("finished_at IS NOT NULL")


class DeliveryRow(Base):
    """One event for one subscriber. Only the rows that are due are in the index that a claim reads."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index(
            "ix_deliveries_due",
            "subscriber_uuid",
            "lane",
            "due_at",
            sqlite_where=_SCHEDULED,
            postgresql_where=_SCHEDULED,
        ),
        Index(
            "ix_deliveries_lease", "subscriber_uuid", "lease_until", sqlite_where=_CLAIMED, postgresql_where=_CLAIMED
        ),
        Index("ix_deliveries_held", "subscriber_uuid", "due_at", sqlite_where=_HELD, postgresql_where=_HELD),
        Index("ix_deliveries_finished_at", "finished_at", sqlite_where=_FINISHED, postgresql_where=_FINISHED),
        Index("ix_deliveries_subscriber_uuid", "subscriber_uuid", "uuid"),
        Index("ix_deliveries_event_uuid", "event_uuid"),
    )

    uuid: Mapped[UUID] = mapped_column(primary_key=True)
    """The receiver's `webhook-id`: the same over all attempts."""
    event_uuid: Mapped[UUID] = mapped_column(Uuid, ForeignKey("events.uuid", ondelete="CASCADE"))
    subscriber_uuid: Mapped[UUID] = mapped_column(Uuid, ForeignKey("subscribers.uuid", ondelete="CASCADE"))
    status: Mapped[str] = mapped_column(String(16))
    lane: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    """Raised by each claim: the number of the attempt under way or of the last one."""
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    claimed_by: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    replay_of: Mapped[UUID | None]
    """The delivery this one repeats under a new id."""


class AttemptRow(Base):
    """What came of one attempt. A late one of a lost lease is recorded too; it changes nothing else."""

    __tablename__ = "attempts"

    delivery_uuid: Mapped[UUID] = mapped_column(
        Uuid, ForeignKey("deliveries.uuid", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    started_at: Mapped[datetime]
    milliseconds: Mapped[float]
    result: Mapped[str] = mapped_column(String(16))
    status_code: Mapped[int | None]
    message: Mapped[str] = mapped_column(Text)
    response_headers: Mapped[str | None] = mapped_column(Text)
    """JSON array of [name, value], capped."""
    response_body: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The first bytes, capped."""
    worker: Mapped[str] = mapped_column(String(100))
