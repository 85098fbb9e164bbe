"""`/api/environments`: the paths, bodies and codes of the original."""

from __future__ import annotations

from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from pydantic import Field

from services.api.domain import environments
from services.api.http.operation import Nothing, Operation, Reads, Received, Reply, Scope, Sent, Writes
from services.api.resources.lists import Part, PartOfAll, Place, first, wanted
from services.api.resources.message import Message
from services.api.resources.projects import ProjectPath

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from services.api.http.operation import Call


class EnvironmentPath(Received):
    project_uuid: UUID
    environment_uuid: UUID


class EnvironmentCreation(Received):
    uuid: UUID = Field(default_factory=uuid4, description="Left out: a new one is made")


class EnvironmentView(Sent):
    project_uuid: UUID
    uuid: UUID


class EnvironmentList(Sent):
    environments: list[EnvironmentView]
    next_cursor: str | None = Field(
        default=None,
        exclude_if=lambda cursor: cursor is None,
        description="There only when a `limit` was given and more follow",
    )


class EnvironmentUse(Sent):
    message: bool = Field(description="The same once more, as in the original")
    in_use: bool = Field(description="Whether a job that has not ended needs it")


class Environments:
    """`/api/environments`."""

    def operations(self) -> tuple[Operation, ...]:
        of_project = "/api/environments/{project_uuid}"
        one = "/api/environments/{project_uuid}/{environment_uuid}"
        use = "/api/environments/in-use/{project_uuid}/{environment_uuid}"
        return (
            Operation(
                *(HTTPMethod.GET, "/api/environments/", "list_environments", "All environments", Scope.READ),
                Reads(self.list),
                query=PartOfAll,
                answer=EnvironmentList,
                tag="environments",
            ),
            Operation(
                *(HTTPMethod.GET, of_project, "list_project_environments", "Those of one project", Scope.READ),
                Reads(self.list_of),
                parameters=ProjectPath,
                query=Part,
                answer=EnvironmentList,
                tag="environments",
            ),
            Operation(
                *(HTTPMethod.POST, of_project, "create_environment", "Add an environment to a project", Scope.WRITE),
                Writes(self.create),
                parameters=ProjectPath,
                body=EnvironmentCreation,
                answer=EnvironmentView,
                status=HTTPStatus.CREATED,
                problems=(HTTPStatus.CONFLICT,),
                tag="environments",
            ),
            Operation(
                *(HTTPMethod.GET, one, "show_environment", "One environment", Scope.READ),
                Reads(self.show),
                parameters=EnvironmentPath,
                answer=EnvironmentView,
                tag="environments",
            ),
            Operation(
                *(HTTPMethod.DELETE, one, "delete_environment", "Delete an environment", Scope.WRITE),
                Writes(self.delete),
                parameters=EnvironmentPath,
                answer=Message,
                tag="environments",
                description="Jobs that need it and have not ended are aborted.",
            ),
            Operation(
                *(HTTPMethod.GET, use, "show_environment_use", "Whether somebody needs it", Scope.READ),
                Reads(self.show_use),
                parameters=EnvironmentPath,
                answer=EnvironmentUse,
                tag="environments",
            ),
        )

    def list(self, session: Session, call: Call[Nothing, PartOfAll, Nothing]) -> Reply:
        found = environments.environments(session, call.query.place, wanted(call.query.limit))
        part, last = first(found, call.query.limit)
        return Reply({"environments": part, "next_cursor": last and str(Place(last.project_uuid, last.uuid))})

    def list_of(self, session: Session, call: Call[ProjectPath, Part, Nothing]) -> Reply:
        limit = call.query.limit
        found = environments.environments_of(session, call.path.project_uuid, call.query.cursor, wanted(limit))
        part, last = first(found, limit)
        return Reply({"environments": part, "next_cursor": last and str(last.uuid)})

    def create(self, session: Session, call: Call[ProjectPath, Nothing, EnvironmentCreation]) -> Reply:
        environment = environments.Environment(call.path.project_uuid, call.body.uuid)
        return Reply(environments.create(session, environment, call.now))

    def show(self, session: Session, call: Call[EnvironmentPath, Nothing, Nothing]) -> Reply:
        return Reply(environments.show(session, call.path.project_uuid, call.path.environment_uuid))

    def delete(self, session: Session, call: Call[EnvironmentPath, Nothing, Nothing]) -> Reply:
        environments.delete(session, call.path.project_uuid, call.path.environment_uuid)
        return Reply({"message": "Environment deletion was successful."})

    def show_use(self, session: Session, call: Call[EnvironmentPath, Nothing, Nothing]) -> Reply:
        is_used = environments.is_used(session, call.path.project_uuid, call.path.environment_uuid)
        return Reply({"message": is_used, "in_use": is_used})
