"""`/api/projects`: the paths, bodies and codes of the original."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Annotated
from uuid import UUID, uuid4

from pydantic import Field

from services.api.domain import projects
from services.api.domain.alteration import Alteration
from services.api.domain.env_variables import EnvVariables
from services.api.domain.models import MOST_NAME_CHARACTERS
from services.api.http.operation import Nothing, Operation, Reads, Received, Reply, Scope, Sent, Writes
from services.api.resources.lists import Part, first, wanted
from services.api.resources.message import Message

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from outbox.key_ring import KeyRing
    from services.api.http.operation import Call

Name = Annotated[
    str,
    Field(
        max_length=MOST_NAME_CHARACTERS,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description=f"For people; at most {MOST_NAME_CHARACTERS} characters, no control characters",
    ),
]


class ProjectPath(Received):
    project_uuid: UUID


class ProjectCreation(Received):
    uuid: UUID = Field(default_factory=uuid4, description="Left out: a new one is made")
    name: Name = ""
    env_variables: EnvVariables = Field(default={}, description="Of all its pipelines")


class ProjectUpdate(Received):
    """What is left out, or null, stays as it is."""

    name: Name | None = None
    env_variables: EnvVariables | None = Field(default=None, description="All of them: what is missing is taken away")


class ProjectView(Sent):
    uuid: UUID
    name: str
    env_variables: Mapping[str, str] | None = Field(
        description="Null in lists, and for callers who may only read: the values may be secrets"
    )


class ProjectList(Sent):
    projects: list[ProjectView]
    next_cursor: UUID | None = Field(
        default=None,
        exclude_if=lambda cursor: cursor is None,
        description="There only when a `limit` was given and more follow",
    )


class Projects:
    """`/api/projects`."""

    def __init__(self, key_ring: KeyRing) -> None:
        self._key_ring = key_ring

    def operations(self) -> tuple[Operation, ...]:
        one = "/api/projects/{project_uuid}"
        return (
            Operation(
                *(HTTPMethod.GET, "/api/projects/", "list_projects", "All projects", Scope.READ),
                Reads(self.list),
                query=Part,
                answer=ProjectList,
                tag="projects",
            ),
            Operation(
                *(HTTPMethod.POST, "/api/projects/", "create_project", "Add a project", Scope.WRITE),
                Writes(self.create),
                body=ProjectCreation,
                answer=ProjectView,
                status=HTTPStatus.CREATED,
                problems=(HTTPStatus.CONFLICT,),
                tag="projects",
            ),
            Operation(
                *(HTTPMethod.GET, one, "show_project", "One project", Scope.READ),
                Reads(self.show),
                parameters=ProjectPath,
                answer=ProjectView,
                tag="projects",
            ),
            Operation(
                *(HTTPMethod.PUT, one, "update_project", "Change its name or its variables", Scope.WRITE),
                Writes(self.update),
                parameters=ProjectPath,
                body=ProjectUpdate,
                answer=Message,
                tag="projects",
            ),
            Operation(
                *(HTTPMethod.DELETE, one, "delete_project", "Delete a project with all that is in it", Scope.WRITE),
                Writes(self.delete),
                parameters=ProjectPath,
                answer=Message,
                tag="projects",
            ),
        )

    def list(self, session: Session, call: Call[Nothing, Part, Nothing]) -> Reply:
        found = projects.projects(session, call.query.cursor, wanted(call.query.limit))
        part, last = first(found, call.query.limit)
        return Reply({"projects": part, "next_cursor": last and last.uuid})

    def create(self, session: Session, call: Call[Nothing, Nothing, ProjectCreation]) -> Reply:
        project = projects.Project(call.body.uuid, call.body.name, call.body.env_variables)
        return Reply(projects.create(session, project, self._key_ring, call.now))

    def show(self, session: Session, call: Call[ProjectPath, Nothing, Nothing]) -> Reply:
        if call.caller.may(Scope.WRITE):
            return Reply(projects.show_whole(session, call.path.project_uuid, self._key_ring))
        return Reply(projects.show(session, call.path.project_uuid))

    def update(self, session: Session, call: Call[ProjectPath, Nothing, ProjectUpdate]) -> Reply:
        asked = Alteration(call.body.name, call.body.env_variables)
        projects.update(session, call.path.project_uuid, asked, self._key_ring)
        return Reply({"message": "Project was updated successfully."})

    def delete(self, session: Session, call: Call[ProjectPath, Nothing, Nothing]) -> Reply:
        projects.delete(session, call.path.project_uuid)
        return Reply({"message": "Project deletion was successful."})
