"""`/api/pipelines`: the paths, bodies and codes of the original."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from pydantic import Field

from services.api.domain import pipelines
from services.api.domain.alteration import Alteration
from services.api.domain.env_variables import EnvVariables
from services.api.http.operation import Nothing, Operation, Reads, Received, Reply, Scope, Sent, Writes
from services.api.resources.lists import PartOfAll, Place, first, wanted
from services.api.resources.message import Message
from services.api.resources.projects import Name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from outbox.key_ring import KeyRing
    from services.api.http.operation import Call


class PipelinePath(Received):
    project_uuid: UUID
    pipeline_uuid: UUID


class PipelineCreation(Received):
    project_uuid: UUID
    uuid: UUID = Field(default_factory=uuid4, description="Left out: a new one is made")
    name: Name = ""
    env_variables: EnvVariables = Field(default={}, description="They win over those of the project")


class PipelineUpdate(Received):
    """What is left out, or null, stays as it is."""

    name: Name | None = None
    env_variables: EnvVariables | None = Field(default=None, description="All of them: what is missing is taken away")


class PipelineView(Sent):
    project_uuid: UUID
    uuid: UUID
    name: str
    env_variables: Mapping[str, str] | None = Field(
        description="Null in lists, and for callers who may only read: the values may be secrets"
    )


class PipelineList(Sent):
    pipelines: list[PipelineView]
    next_cursor: str | None = Field(
        default=None,
        exclude_if=lambda cursor: cursor is None,
        description="There only when a `limit` was given and more follow",
    )


class Pipelines:
    """`/api/pipelines`."""

    def __init__(self, key_ring: KeyRing) -> None:
        self._key_ring = key_ring

    def operations(self) -> tuple[Operation, ...]:
        one = "/api/pipelines/{project_uuid}/{pipeline_uuid}"
        return (
            Operation(
                *(HTTPMethod.GET, "/api/pipelines/", "list_pipelines", "All pipelines of all projects", Scope.READ),
                Reads(self.list),
                query=PartOfAll,
                answer=PipelineList,
                tag="pipelines",
            ),
            Operation(
                *(HTTPMethod.POST, "/api/pipelines/", "create_pipeline", "Add a pipeline to a project", Scope.WRITE),
                Writes(self.create),
                body=PipelineCreation,
                answer=PipelineView,
                status=HTTPStatus.CREATED,
                problems=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
                tag="pipelines",
            ),
            Operation(
                *(HTTPMethod.GET, one, "show_pipeline", "One pipeline", Scope.READ),
                Reads(self.show),
                parameters=PipelinePath,
                answer=PipelineView,
                tag="pipelines",
            ),
            Operation(
                *(HTTPMethod.PUT, one, "update_pipeline", "Change its name or its variables", Scope.WRITE),
                Writes(self.update),
                parameters=PipelinePath,
                body=PipelineUpdate,
                answer=Message,
                tag="pipelines",
            ),
            Operation(
                *(HTTPMethod.DELETE, one, "delete_pipeline", "Delete a pipeline; its jobs stay", Scope.WRITE),
                Writes(self.delete),
                parameters=PipelinePath,
                answer=Message,
                tag="pipelines",
            ),
        )

    def list(self, session: Session, call: Call[Nothing, PartOfAll, Nothing]) -> Reply:
        found = pipelines.pipelines(session, call.query.place, wanted(call.query.limit))
        part, last = first(found, call.query.limit)
        return Reply({"pipelines": part, "next_cursor": last and str(Place(last.project_uuid, last.uuid))})

    def create(self, session: Session, call: Call[Nothing, Nothing, PipelineCreation]) -> Reply:
        body = call.body
        pipeline = pipelines.Pipeline(body.project_uuid, body.uuid, body.name, body.env_variables)
        return Reply(pipelines.create(session, pipeline, self._key_ring, call.now))

    def show(self, session: Session, call: Call[PipelinePath, Nothing, Nothing]) -> Reply:
        key = (call.path.project_uuid, call.path.pipeline_uuid)
        if call.caller.may(Scope.WRITE):
            return Reply(pipelines.show_whole(session, *key, self._key_ring))
        return Reply(pipelines.show(session, *key))

    def update(self, session: Session, call: Call[PipelinePath, Nothing, PipelineUpdate]) -> Reply:
        asked = Alteration(call.body.name, call.body.env_variables)
        pipelines.update(session, call.path.project_uuid, call.path.pipeline_uuid, asked, self._key_ring)
        return Reply({"message": "Pipeline was updated successfully."})

    def delete(self, session: Session, call: Call[PipelinePath, Nothing, Nothing]) -> Reply:
        pipelines.delete(session, call.path.project_uuid, call.path.pipeline_uuid, self._key_ring, call.now)
        return Reply({"message": "Pipeline deletion was successful."})
