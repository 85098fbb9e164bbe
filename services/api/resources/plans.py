"""`/api/plans` and the plans of a cluster: made from manifests that the caller sends, applied by id, once.

In: texts of manifests. Out: stored plans. The server opens no path and no address that a caller names: whoever holds
the files or the Git checkout reads them. Never: a word of a manifest in a problem, for it may be a secret; places in
the text are told instead.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from functools import cache
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from pydantic import Field, JsonValue

from desired_state.cluster import OrchestClusterSpec
from desired_state.errors import DesiredStateError
from desired_state.origin import Origin, OriginKind
from diff.explain import summary
from diff.plan_file import document
from reconciler.documents import SourceError
from reconciler.plans import DEFAULT_LIFETIME_HOURS, as_plan_file
from reconciler.prepare import prepare
from services.api.domain.clusters import Request, apply_plan
from services.api.domain.desired import Document, NotThisCluster, sent
from services.api.domain.plans import list_plans, show_plan, store
from services.api.http.operation import Acts, Nothing, Operation, Reads, Received, Reply, Scope, Sent
from services.api.http.paging import Page, cut
from services.api.http.problems import Mistake, bad_request
from services.api.resources.cluster_path import ONE_CLUSTER, ClusterPath, as_json, open_desk
from services.api.resources.clusters import ApplyTerms
from services.api.resources.operations import OperationView, accepted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from desired_state.errors import Problem
    from services.api.domain.desired import Desired
    from services.api.domain.desk import ClusterDesk
    from services.api.domain.plans import StoredPlan
    from services.api.http.operation import Call

_MOST_DOCUMENTS = 200
_MOST_HOURS = 24 * 366
_MOST_MISTAKES = 50
_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
Line = Annotated[str, Field(max_length=1000, pattern=_ONE_LINE)]


class SentDocument(Received):
    name: Annotated[str, Field(min_length=1, max_length=500, pattern=_ONE_LINE)] = Field(
        description="Its path below the place that was read, so that equal input has equal digests"
    )
    text: str = Field(description="YAML or JSON, with one document or several")


class SentOrigin(Received):
    """Where the caller says it read the manifests: kept with the plan and its history, never opened."""

    location: Line = Field(default="", description="URL or path of the repository")
    revision: Line = Field(default="", description="Branch or tag")
    commit: Annotated[str, Field(pattern="^([0-9a-f]{40}|[0-9a-f]{64})?$")] = ""
    directory: Line = Field(default="", description="Inside the repository")


class PlanCreation(Received):
    documents: list[SentDocument] = Field(min_length=1, max_length=_MOST_DOCUMENTS)
    origin: SentOrigin | None = None
    expires_hours: int = Field(default=int(DEFAULT_LIFETIME_HOURS), ge=1, le=_MOST_HOURS)


class PlanPath(Received):
    uuid: UUID


class PlanState(StrEnum):
    READY = "ready"
    EXPIRED = "expired"
    APPLIED = "applied"


class StoredPlanView(Sent):
    uuid: UUID
    namespace: str
    name: str
    state: PlanState
    summary: str = Field(description="The plan in one line, for people")
    noop: bool = Field(description="In sync: nothing would be written")
    origin: str = Field(description="Where its manifests came from, for people")
    created_at: datetime
    created_by: str = Field(description="Name of the token")
    expires_at: datetime
    operation_uuid: UUID | None = Field(description="The operation that applied it")


class StoredPlanDetail(StoredPlanView):
    document: dict[str, JsonValue] = Field(description="The plan file, as `docs/plan.schema.json` describes it")


class PlanList(Sent):
    plans: list[StoredPlanView]
    next_cursor: UUID | None


class Plans:
    """`/api/plans`, and `plans` below a cluster."""

    def __init__(self, desk: ClusterDesk | None) -> None:
        self._desk = desk

    def operations(self) -> tuple[Operation, ...]:
        return (
            Operation(
                *(HTTPMethod.GET, f"{ONE_CLUSTER}/plans", "list_plans", "Plans of a cluster", Scope.READ),
                Reads(self.list),
                parameters=ClusterPath,
                query=Page,
                answer=PlanList,
                tag="plans",
            ),
            Operation(
                *(HTTPMethod.POST, f"{ONE_CLUSTER}/plans", "create_plan", "Plan from manifests", Scope.WRITE),
                Acts(self.create),
                parameters=ClusterPath,
                body=PlanCreation,
                answer=StoredPlanDetail,
                status=HTTPStatus.CREATED,
                tag="plans",
                description="Nothing is written to the cluster, which need not exist yet. Apply the plan by its uuid.",
            ),
            Operation(
                *(HTTPMethod.GET, "/api/plans/{uuid}", "show_plan", "One plan, whole", Scope.READ),
                Reads(self.show),
                parameters=PlanPath,
                answer=StoredPlanDetail,
                tag="plans",
            ),
            Operation(
                *(HTTPMethod.POST, "/api/plans/{uuid}/apply", "apply_plan", "Apply exactly this plan", Scope.ADMIN),
                Acts(self.apply),
                parameters=PlanPath,
                body=ApplyTerms,
                answer=OperationView,
                status=HTTPStatus.ACCEPTED,
                problems=(HTTPStatus.CONFLICT,),
                tag="plans",
                description="Once, and only while the world is as it was planned for. The header Location names the "
                "operation to watch; that of a 409 names the one in the way.",
            ),
        )

    def list(self, session: Session, call: Call[ClusterPath, Page, Nothing]) -> Reply:
        path, page = call.path, call.query
        found = list_plans(session, path.namespace, path.name, page.cursor, page.limit + 1)
        plans, cursor = cut(found, page.limit, lambda plan: plan.uuid)
        return Reply({"plans": [_view(plan, call.now) for plan in plans], "next_cursor": cursor})

    def show(self, session: Session, call: Call[PlanPath, Nothing, Nothing]) -> Reply:
        return Reply(_detail(show_plan(session, call.path.uuid), call.now))

    def create(self, call: Call[ClusterPath, Nothing, PlanCreation]) -> Reply:
        desk = open_desk(self._desk)
        client = desk.client()
        desired = _desired(call.path, call.body, desk)
        plan = prepare(desired.cluster, client, desk.masker).plan
        plan_file = as_plan_file(plan, desired.origin, lifetime_hours=call.body.expires_hours)
        with desk.database.writing() as session:
            uuid = store(
                session, desk.key_ring, plan_file, desired.manifests, created_by=call.caller.name, now=call.now
            )
            stored = show_plan(session, uuid)
        return Reply(_detail(stored, call.now), headers={"Location": f"/api/plans/{uuid}"})

    def apply(self, call: Call[PlanPath, Nothing, ApplyTerms]) -> Reply:
        desk, request = open_desk(self._desk), Request(call.caller.name, call.now)
        return accepted(apply_plan(desk, call.path.uuid, call.body.terms, request))


def _desired(path: ClusterPath, body: PlanCreation, desk: ClusterDesk) -> Desired:
    """Raises ApiError 400."""
    documents = [Document(document.name, document.text) for document in body.documents]
    said = body.origin or SentOrigin()
    origin = Origin(
        OriginKind.SENT,
        content_digest="",
        location=desk.masker.scrub(said.location),
        revision=said.revision,
        commit=said.commit,
        directory=said.directory,
    )
    with _told_by_place():
        return sent(documents, origin, path.key)


@contextmanager
def _told_by_place() -> Iterator[None]:
    try:
        yield
    except DesiredStateError as error:
        raise bad_request(
            f"The manifests are not valid; mistakes: {len(error.problems)}, listed in errors. What was written there "
            "is not repeated here; orchest render -f FILE says more.",
            [_mistake(problem) for problem in error.problems[:_MOST_MISTAKES]],
        ) from None
    except SourceError:
        raise bad_request("The documents are no manifests: a Git LFS pointer, perhaps.") from None
    except NotThisCluster:
        where = Mistake(where="body.documents", what="An OrchestCluster of the path's namespace and name is needed.")
        raise bad_request("The manifests are of another cluster.", [where]) from None


# --- what is wrong with a manifest, without a word of it


_UNSAID = "It is not what is expected here."
_TOLD = ("unknown field", "is missing")
_STEP = re.compile(r'\.?([A-Za-z0-9_-]+)|\[(\d+)\]|\["[^"]*"\]')


def _mistake(problem: Problem) -> Mistake:
    place = f"body.{problem.file}.text" if problem.file else "body.documents"
    line = f", line {problem.line}, column {problem.column}" if problem.line else ""
    path = _known_path(problem.path)
    return Mistake(where=f"{place}{line}{f': {path}' if path else ''}", what=_what(problem))


def _what(problem: Problem) -> str:
    """Only words of our own: what is expected, and what was probably meant."""
    meant = f' Did you mean "{problem.suggestion}"?' if problem.suggestion else ""
    if problem.expected:
        return f"Expected: {problem.expected}.{meant}"
    if problem.message in _TOLD:
        return f"{problem.message.capitalize()}.{meant}"
    return ("Not YAML." if problem.message.startswith("not YAML") else _UNSAID) + meant


def _known_path(path: str) -> str:
    """As far as it is made of names that we gave."""
    known = ""
    for match in _STEP.finditer(path):
        name, number = match.groups()
        if number is not None:
            known += f"[{number}]"
        elif name in _field_names():
            known += f".{name}" if known else name
        else:
            break
    return known


@cache
def _field_names() -> frozenset[str]:
    schema: dict[str, Any] = OrchestClusterSpec.model_json_schema(by_alias=True)
    models = [schema, *schema.get("$defs", {}).values()]
    frame = {"apiVersion", "kind", "metadata", "namespace", "labels", "annotations", "spec"}
    return frozenset(frame | {name for model in models for name in model.get("properties", {})})


# --- views


def _view(plan: StoredPlan, now: datetime) -> dict[str, Any]:
    return {
        "uuid": plan.uuid,
        "namespace": plan.namespace,
        "name": plan.name,
        "state": _state(plan, now),
        "summary": summary(plan.plan_file.plan),
        "noop": plan.plan_file.plan.is_empty,
        "origin": str(plan.plan_file.header.origin),
        "created_at": plan.created_at,
        "created_by": plan.created_by,
        "expires_at": plan.expires_at,
        "operation_uuid": plan.applied_by,
    }


def _detail(plan: StoredPlan, now: datetime) -> dict[str, Any]:
    return {**_view(plan, now), "document": as_json(document(plan.plan_file))}


def _state(plan: StoredPlan, now: datetime) -> PlanState:
    if plan.applied_by is not None:
        return PlanState.APPLIED
    return PlanState.EXPIRED if now >= plan.expires_at else PlanState.READY
