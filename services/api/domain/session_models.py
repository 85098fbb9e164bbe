"""The table of interactive sessions."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - SQLAlchemy evaluates the annotations
from uuid import UUID  # noqa: TC003

from pydantic import JsonValue  # noqa: TC002
from sqlalchemy import JSON, ForeignKey, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from outbox.database import Base


class InteractiveSessionRow(Base):
    """There is one for a pipeline, from its launch until it has stopped."""

    __tablename__ = "interactive_sessions"

    project_uuid: Mapped[UUID] = mapped_column(Uuid, ForeignKey("projects.uuid", ondelete="CASCADE"), primary_key=True)
    pipeline_uuid: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(String(16))
    user_services: Mapped[dict[str, dict[str, JsonValue]]] = mapped_column(JSON)
    """As they were in the pipeline file when the session was launched, by name, without values of variables."""
    created_at: Mapped[datetime]
