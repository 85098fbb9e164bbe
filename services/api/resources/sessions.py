"""`/api/sessions`: for now what the original's SDK asks from inside a session, which has no token to send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPMethod
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import Field

from services.api.domain import sessions
from services.api.domain.sessions import SessionStatus
from services.api.http.operation import NOBODY, Operation, Reads, Received, Reply, Scope, Sent

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from services.api.http.operation import Call, Nothing


class SessionPath(Received):
    project_uuid: UUID
    pipeline_uuid: UUID


class UserServiceView(Sent):
    """Without variables, command and arguments: they may hold secrets."""

    name: str
    image: str
    scope: Sequence[str] = Field(description="`interactive`, `noninteractive`, or both")
    order: int | None
    ports: Sequence[int]
    exposed: bool = Field(description="Whether it can be reached from outside of the cluster")
    requires_authentication: bool
    preserve_base_path: bool
    binds: Mapping[str, str]


class SessionView(Sent):
    project_uuid: UUID
    pipeline_uuid: UUID
    status: SessionStatus | None = Field(description="Null for callers without a token")
    base_url: str | None = Field(description="Of its JupyterLab; null for callers without a token")
    user_services: Mapping[str, UserServiceView] = Field(description="By name")


class Sessions:
    """`/api/sessions`."""

    def __init__(self, are_open: bool) -> None:
        """`are_open`: to those who ask from inside the cluster without a token, as user pods do."""
        self._are_open = are_open

    def operations(self) -> tuple[Operation, ...]:
        return (
            Operation(
                *(HTTPMethod.GET, "/api/sessions/{project_uuid}/{pipeline_uuid}", "show_session"),
                *("The services of a session", Scope.READ, Reads(self.show)),
                parameters=SessionPath,
                answer=SessionView,
                tag="sessions",
                open_inside=self._are_open,
                description="Steps and notebooks ask for it by `orchest.get_services()`.",
            ),
        )

    def show(self, session: Session, call: Call[SessionPath, Nothing, Nothing]) -> Reply:
        found = sessions.show(session, call.path.project_uuid, call.path.pipeline_uuid)
        known = call.caller is not NOBODY
        return Reply(
            {
                "project_uuid": found.project_uuid,
                "pipeline_uuid": found.pipeline_uuid,
                "status": found.status if known else None,
                "base_url": found.base_url if known else None,
                "user_services": found.user_services,
            }
        )
