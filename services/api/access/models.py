"""The table of access tokens. A token itself is not in it, only its digest."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - SQLAlchemy evaluates the annotations
from uuid import UUID  # noqa: TC003

from sqlalchemy import JSON, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from outbox.database import Base


class AccessToken(Base):
    __tablename__ = "access_tokens"

    uuid: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    """SHA-256 of its text: 256 random bits cannot be guessed from it, so it needs neither salt nor slowness."""
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(600))
    expires_at: Mapped[datetime | None]
    """None: never."""
    last_used_at: Mapped[datetime | None]
    """Behind by up to a minute."""
    revoked_at: Mapped[datetime | None]
