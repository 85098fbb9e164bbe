"""Interactive sessions, as far as they are asked for: what runs beside a pipeline while somebody works on it.

In: a session of the caller's transaction, and values. Out: `InteractiveSession`s. A pipeline's services may carry
passwords in variables, commands and arguments: these are not even stored. Never: an event; who launches and stops
sessions tells of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from outbox.events.facts import Service
from services.api.domain.models import inserted
from services.api.domain.session_models import InteractiveSessionRow
from services.api.http.problems import conflict, not_found

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session


class SessionStatus(StrEnum):
    """One that has stopped is not there any more."""

    LAUNCHING = "LAUNCHING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"


@dataclass(frozen=True, slots=True)
class InteractiveSession:
    project_uuid: UUID
    pipeline_uuid: UUID
    status: SessionStatus
    user_services: Mapping[str, Service] = field(default_factory=dict)
    """By name, as they were in the pipeline file at launch."""

    @property
    def base_url(self) -> str:
        """Of its JupyterLab."""
        return f"/jupyter-server-{str(self.project_uuid)[:18]}{str(self.pipeline_uuid)[:18]}"


def show(session: Session, project_uuid: UUID, pipeline_uuid: UUID) -> InteractiveSession:
    """Raises ApiError 404."""
    row = session.get(InteractiveSessionRow, (project_uuid, pipeline_uuid))
    if row is None:
        raise not_found("session")
    services = {name: Service.model_validate(kept) for name, kept in row.user_services.items()}
    return InteractiveSession(project_uuid, pipeline_uuid, SessionStatus(row.status), services)


def create(session: Session, launched: InteractiveSession, now: datetime) -> None:
    """Raises ApiError 409: there is one for a pipeline."""
    values = {
        "project_uuid": launched.project_uuid,
        "pipeline_uuid": launched.pipeline_uuid,
        "status": launched.status,
        "user_services": {name: kept.model_dump(mode="json") for name, kept in launched.user_services.items()},
        "created_at": now,
    }
    if not inserted(session, InteractiveSessionRow, **values):
        raise conflict("There is a session of this pipeline already. Use it, or stop it first.")
