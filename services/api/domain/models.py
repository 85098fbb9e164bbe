"""The tables of projects, pipelines, environments and settings. Variables lie in them encrypted (`env_variables.py`).

Uuids come from callers, as the original's clients give them, so two requests may bring the same one at once: rows are
made by `inserted`.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - SQLAlchemy evaluates the annotations
from typing import TYPE_CHECKING, cast
from uuid import UUID  # noqa: TC003

from pydantic import JsonValue  # noqa: TC002
from sqlalchemy import JSON, ForeignKey, LargeBinary, String, Uuid
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from outbox.database import Base

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.orm import Session

MOST_NAME_CHARACTERS = 255


class ProjectRow(Base):
    __tablename__ = "projects"

    uuid: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(MOST_NAME_CHARACTERS))
    env_variables: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]


class PipelineRow(Base):
    """Kept when the pipeline is deleted: its jobs go on, and tell of it."""

    __tablename__ = "pipelines"

    project_uuid: Mapped[UUID] = mapped_column(Uuid, ForeignKey("projects.uuid", ondelete="CASCADE"), primary_key=True)
    uuid: Mapped[UUID] = mapped_column(primary_key=True)
    """Unique in its project only: a project that is copied brings the same pipelines."""
    name: Mapped[str] = mapped_column(String(MOST_NAME_CHARACTERS))
    env_variables: Mapped[bytes] = mapped_column(LargeBinary)
    """Of a deleted pipeline: none."""
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class EnvironmentRow(Base):
    __tablename__ = "environments"

    project_uuid: Mapped[UUID] = mapped_column(Uuid, ForeignKey("projects.uuid", ondelete="CASCADE"), primary_key=True)
    uuid: Mapped[UUID] = mapped_column(primary_key=True)
    """Unique in its project only, as above."""
    created_at: Mapped[datetime]


class SettingRow(Base):
    """A setting that somebody has set; all others have their defaults."""

    __tablename__ = "settings"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    value: Mapped[JsonValue] = mapped_column(JSON, nullable=False)


def inserted(session: Session, model: type[Base], **values: object) -> bool:
    """Whether there was no row with this key; if there was, nothing is changed.

    On PostgreSQL of two at once the second waits for the first one's commit: neither sees an error of the database.
    """
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = (
        insert(cast("Table", model.__table__))
        .values(values)
        .on_conflict_do_nothing()
        .returning(*model.__table__.primary_key)
    )
    return session.execute(statement).first() is not None
