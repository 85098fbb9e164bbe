"""The table of jobs. Their runs come with tables of their own."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - SQLAlchemy evaluates the annotations
from uuid import UUID  # noqa: TC003

from pydantic import JsonValue  # noqa: TC002
from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from outbox.database import Base
from services.api.domain.models import MOST_NAME_CHARACTERS
from services.api.domain.schedule import MOST_CHARACTERS as MOST_SCHEDULE_CHARACTERS


class JobRow(Base):
    """The pipeline is a copy: it goes on as it was when the job was drafted, whatever becomes of the original."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_project_uuid", "project_uuid", "created_time"),
        Index("ix_jobs_created_time", "created_time", "uuid"),
        Index("ix_jobs_next_scheduled_time", "next_scheduled_time"),
    )

    uuid: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(MOST_NAME_CHARACTERS))
    project_uuid: Mapped[UUID] = mapped_column(Uuid, ForeignKey("projects.uuid", ondelete="CASCADE"))
    pipeline_uuid: Mapped[UUID]
    pipeline_name: Mapped[str] = mapped_column(String(MOST_NAME_CHARACTERS))
    pipeline_definition: Mapped[dict[str, JsonValue]] = mapped_column(JSON)
    pipeline_run_spec: Mapped[dict[str, JsonValue]] = mapped_column(JSON)
    snapshot_uuid: Mapped[UUID | None]
    """Of the project's copy that its runs work on."""
    status: Mapped[str] = mapped_column(String(16))
    schedule: Mapped[str | None] = mapped_column(String(MOST_SCHEDULE_CHARACTERS))
    next_scheduled_time: Mapped[datetime | None]
    last_scheduled_time: Mapped[datetime | None]
    parameters: Mapped[list[dict[str, dict[str, JsonValue]]]] = mapped_column(JSON)
    strategy_json: Mapped[dict[str, JsonValue]] = mapped_column(JSON)
    env_variables: Mapped[bytes] = mapped_column(LargeBinary)
    """Encrypted: they hold passwords."""
    max_retained_pipeline_runs: Mapped[int]
    total_scheduled_executions: Mapped[int]
    """How many times it was run; each time makes as many pipeline runs as there are parameters."""
    total_scheduled_pipeline_runs: Mapped[int]
    created_time: Mapped[datetime]
