"""`/api/clusters`: the OrchestClusters of this Kubernetes, what would change in them, and what may be done at once.

In: requests. Out: what `orchest status`, `plan` and `drift` show, and operations for what takes long. What is desired
here is the OrchestCluster itself: Git is read by whoever makes a plan. Never: a secret; everything is masked.
"""

from __future__ import annotations

from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import Field, JsonValue

from desired_state.errors import DesiredStateError
from diff.explain import summary
from diff.plan_file import plan_document
from reconciler.apply import Permissions
from reconciler.clusters import as_desired, is_paused, list_clusters, observed_cluster
from reconciler.prepare import prepare
from services.api.domain.clusters import Request, Terms, pause, resume, roll_back
from services.api.http.operation import Acts, Nothing, Operation, Received, Reply, Scope, Sent
from services.api.http.problems import conflict
from services.api.resources.cluster_path import ONE_CLUSTER, ClusterPath, as_json, open_desk
from services.api.resources.operations import OperationView, accepted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from diff.plan import Plan
    from services.api.domain.desk import ClusterDesk
    from services.api.http.operation import Call


class ApplyTerms(Received):
    """What is allowed explicitly for this one apply."""

    force_conflicts: bool = Field(default=False, description="Take over fields that other Apply managers hold")
    allow_prune: bool = Field(default=False, description="Delete more objects than the safety rule lets pass")
    timeout_seconds: int | None = Field(
        default=None, ge=1, le=86_400, description="How long to wait for each object; left out: as planned"
    )

    @property
    def terms(self) -> Terms:
        return Terms(Permissions(force_conflicts=self.force_conflicts, prune=self.allow_prune), self.timeout_seconds)


class Rollback(ApplyTerms):
    cycle: UUID = Field(description="The cycle of this cluster's history whose desired state is applied again")


class ClusterView(Sent):
    """What the OrchestCluster says of itself: `orchest status -o json`, and which one it is."""

    namespace: str
    name: str
    uid: str
    generation: int = Field(description="Of its spec; behind `observedGeneration` is what was applied")
    paused: bool = Field(description="Whether its spec asks for a pause")
    status: str = Field(
        description="The state in the original's words, such as `Running`; empty before the first apply"
    )
    version: str = Field(description="The release that was applied last")
    revision: str = Field(description="The Git commit that was applied last, empty without Git")
    reason: str = Field(description="Of the state `Error`")
    conditions: list[dict[str, JsonValue]] = Field(
        description="Kubernetes conditions: Ready, Reconciling, Stalled, Drifted, Paused"
    )
    observedGeneration: int | None = Field(description="The generation that was applied last")  # noqa: N815 - as stored
    lastHeartbeatTime: str | None  # noqa: N815 - as stored
    registries: list[str] = Field(description="Where its release images came from")
    inventory: list[dict[str, JsonValue]] = Field(description="The objects that are ours: key and uid")


class ClusterList(Sent):
    clusters: list[ClusterView]


class PlanView(Sent):
    """A plan as `orchest plan -o json` shows it; `docs/plan.schema.json` describes every key."""

    summary: str = Field(description="The plan in one line, for people")
    cluster: str = Field(description="The object key of the OrchestCluster")
    noop: bool = Field(description="In sync: nothing would be written")
    basis: dict[str, JsonValue] = Field(description="The world that it was made for")
    actions: list[dict[str, JsonValue]] = Field(description="In the order of their waves")
    drift: list[dict[str, JsonValue]]
    images: list[dict[str, JsonValue]]
    notes: list[dict[str, JsonValue]] = Field(description="Warnings and refusals")


class DriftedObject(Sent):
    key: str
    repaired: bool = Field(description="Whether the next apply takes it back; the drift mode says so")
    changes: list[dict[str, JsonValue]] = Field(
        description="By field: path, before, after, and the manager who changed it; masked where sensitive"
    )


class DriftView(Sent):
    namespace: str
    name: str
    drifted: list[DriftedObject] = Field(description="Objects that others changed, or removed")


class Clusters:
    """`/api/clusters`."""

    def __init__(self, desk: ClusterDesk | None) -> None:
        self._desk = desk

    def operations(self) -> tuple[Operation, ...]:
        return (*self._looking(), *self._acting())

    def _looking(self) -> tuple[Operation, ...]:
        return (
            Operation(
                *(HTTPMethod.GET, "/api/clusters", "list_clusters", "All OrchestClusters", Scope.READ),
                Acts(self.list),
                answer=ClusterList,
                problems=(HTTPStatus.NOT_FOUND,),
                tag="clusters",
                description="Those in the namespaces that the API's own credentials may list.",
            ),
            Operation(
                *(HTTPMethod.GET, ONE_CLUSTER, "show_cluster", "State, version and conditions", Scope.READ),
                Acts(self.show),
                parameters=ClusterPath,
                answer=ClusterView,
                tag="clusters",
            ),
            Operation(
                *(HTTPMethod.GET, f"{ONE_CLUSTER}/plan", "show_cluster_plan", "What would change now", Scope.READ),
                Acts(self.plan),
                parameters=ClusterPath,
                answer=PlanView,
                problems=(HTTPStatus.CONFLICT,),
                tag="clusters",
                description="Desired is what the OrchestCluster in the cluster asks for. It is not stored; to apply "
                "what Git asks for, make a plan of its manifests.",
            ),
            Operation(
                *(HTTPMethod.GET, f"{ONE_CLUSTER}/drift", "show_cluster_drift", "What others changed", Scope.READ),
                Acts(self.drift),
                parameters=ClusterPath,
                answer=DriftView,
                problems=(HTTPStatus.CONFLICT,),
                tag="clusters",
            ),
        )

    def _acting(self) -> tuple[Operation, ...]:
        return (
            Operation(
                *(HTTPMethod.POST, f"{ONE_CLUSTER}/pause", "pause_cluster", "Stop its pods, keep its data"),
                Scope.ADMIN,
                Acts(self.pause),
                parameters=ClusterPath,
                body=ApplyTerms,
                answer=OperationView,
                status=HTTPStatus.ACCEPTED,
                problems=(HTTPStatus.CONFLICT,),
                tag="clusters",
                description="Git does not know of it, and its next apply says otherwise.",
            ),
            Operation(
                *(HTTPMethod.POST, f"{ONE_CLUSTER}/resume", "resume_cluster", "End a pause", Scope.ADMIN),
                Acts(self.resume),
                parameters=ClusterPath,
                body=ApplyTerms,
                answer=OperationView,
                status=HTTPStatus.ACCEPTED,
                problems=(HTTPStatus.CONFLICT,),
                tag="clusters",
            ),
            Operation(
                *(HTTPMethod.POST, f"{ONE_CLUSTER}/rollback", "roll_cluster_back", "Apply a former cycle again"),
                Scope.ADMIN,
                Acts(self.roll_back),
                parameters=ClusterPath,
                body=Rollback,
                answer=OperationView,
                status=HTTPStatus.ACCEPTED,
                problems=(HTTPStatus.CONFLICT,),
                tag="clusters",
                description="From the manifests that were kept with its plan, or from Git at its commit.",
            ),
        )

    def list(self, call: Call[Nothing, Nothing, Nothing]) -> Reply:
        del call
        desk = open_desk(self._desk)
        return Reply({"clusters": [_view(desk.masker.mask_content(each)) for each in list_clusters(desk.client())]})

    def show(self, call: Call[ClusterPath, Nothing, Nothing]) -> Reply:
        desk = open_desk(self._desk)
        return Reply(_view(desk.masker.mask_content(observed_cluster(desk.client(), call.path.key))))

    def plan(self, call: Call[ClusterPath, Nothing, Nothing]) -> Reply:
        return Reply(plan_view(self._plan(call.path)))

    def drift(self, call: Call[ClusterPath, Nothing, Nothing]) -> Reply:
        document = plan_document(self._plan(call.path))
        return Reply({**call.path.model_dump(), "drifted": as_json(document["drift"])})

    def pause(self, call: Call[ClusterPath, Nothing, ApplyTerms]) -> Reply:
        return accepted(pause(open_desk(self._desk), call.path.key, call.body.terms, _request(call)))

    def resume(self, call: Call[ClusterPath, Nothing, ApplyTerms]) -> Reply:
        return accepted(resume(open_desk(self._desk), call.path.key, call.body.terms, _request(call)))

    def roll_back(self, call: Call[ClusterPath, Nothing, Rollback]) -> Reply:
        desk, body = open_desk(self._desk), call.body
        return accepted(roll_back(desk, call.path.key, body.cycle, body.terms, _request(call)))

    def _plan(self, path: ClusterPath) -> Plan:
        desk = open_desk(self._desk)
        client = desk.client()
        try:
            cluster = as_desired(observed_cluster(client, path.key))
        except DesiredStateError as error:
            raise conflict(f"This release would not accept the OrchestCluster as it is:\n{error}") from None
        return prepare(cluster, client, desk.masker).plan


def plan_view(plan: Plan) -> dict[str, Any]:
    return {"summary": summary(plan), **plan_json(plan)}


def plan_json(plan: Plan) -> dict[str, Any]:
    document = as_json(plan_document(plan))
    assert isinstance(document, dict)
    return document


def _request(call: Call[Any, Any, Any]) -> Request:
    return Request(call.caller.name, call.now)


def _view(content: Mapping[str, Any]) -> dict[str, Any]:
    metadata, stored = content["metadata"], content.get("status") or {}
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "generation": metadata.get("generation", 0),
        "paused": is_paused(content),
        "status": stored.get("state", ""),
        "version": stored.get("version", ""),
        "revision": stored.get("revision", ""),
        "reason": stored.get("reason", ""),
        "conditions": stored.get("conditions") or [],
        "observedGeneration": stored.get("observedGeneration"),
        "lastHeartbeatTime": stored.get("lastHeartbeatTime"),
        "registries": stored.get("registries") or [],
        "inventory": stored.get("inventory") or [],
    }
