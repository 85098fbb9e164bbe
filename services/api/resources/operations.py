"""`/api/operations`: long work on clusters, to be watched until it has ended.

In: requests. Out: how far each operation came; whoever polls with its ETag is sent a body only when something happened.
Never: starts or stops one.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPMethod
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import Field

from reconciler.history import UnknownCycle, show_cycle
from services.api.domain.operations import (
    OperationKind,
    OperationState,
    list_operations,
    location,
    show_operation,
)
from services.api.http.operation import Nothing, Operation, Reads, Received, Reply, Scope, Sent
from services.api.http.paging import Page, cut

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from reconciler.history import ActionOutcome
    from services.api.domain.operations import OperationRecord
    from services.api.http.operation import Call


class OperationPath(Received):
    uuid: UUID


class OperationView(Sent):
    uuid: UUID
    kind: OperationKind
    namespace: str
    name: str
    state: OperationState = Field(
        description="`interrupted` when the API was stopped, or was killed and nobody knows more; `refused` and "
        "`stale`: see the message"
    )
    message: str = Field(description="How it ended, empty while it runs")
    progress: str = Field(description="What it does at this moment, empty when it has ended")
    plan_uuid: UUID | None = Field(description="The plan that is applied, once it is made")
    cycle_uuid: UUID | None = Field(description="Its record in the history, from its first write on")
    restores_cycle_uuid: UUID | None = Field(description="Of a rollback: the cycle that it goes back to")
    created_at: datetime
    created_by: str = Field(description="Name of the token")
    finished_at: datetime | None


class OutcomeView(Sent):
    """What came of one action."""

    object_key: str
    verb: str
    reason: str
    result: str
    message: str
    seconds: float


class OperationDetail(OperationView):
    outcomes: list[OutcomeView] = Field(description="Of the actions that have ended so far")


class OperationList(Sent):
    operations: list[OperationView]
    next_cursor: UUID | None


class Operations:
    """`/api/operations`."""

    def operations(self) -> tuple[Operation, ...]:
        return (
            Operation(
                *(HTTPMethod.GET, "/api/operations", "list_operations", "Long work on clusters", Scope.READ),
                Reads(self.list),
                query=Page,
                answer=OperationList,
                tag="operations",
            ),
            Operation(
                *(HTTPMethod.GET, "/api/operations/{uuid}", "show_operation", "How far it came", Scope.READ),
                Reads(self.show),
                parameters=OperationPath,
                answer=OperationDetail,
                tag="operations",
                description="Poll it with If-None-Match until its state is no longer `running`.",
            ),
        )

    def list(self, session: Session, call: Call[Nothing, Page, Nothing]) -> Reply:
        found = list_operations(session, call.query.cursor, call.query.limit + 1, call.now)
        page, cursor = cut(found, call.query.limit, lambda operation: operation.uuid)
        return Reply({"operations": page, "next_cursor": cursor})

    def show(self, session: Session, call: Call[OperationPath, Nothing, Nothing]) -> Reply:
        operation = show_operation(session, call.path.uuid, call.now)
        view = OperationView.model_validate(operation)
        return Reply({**view.model_dump(), "outcomes": _outcomes(session, operation)})


def accepted(operation: OperationRecord) -> Reply:
    return Reply(operation, headers={"Location": location(operation.uuid)})


def _outcomes(session: Session, operation: OperationRecord) -> tuple[ActionOutcome, ...]:
    """None before the first write, nor while the record of it waits elsewhere for the database."""
    if operation.cycle_uuid is None:
        return ()
    try:
        return show_cycle(session, operation.cycle_uuid).outcomes
    except UnknownCycle:
        return ()
