"""What can be wished for a cluster over HTTP: apply a plan, pause, resume, go back to a former cycle.

In: the desk, the cluster, who wishes. Out: a running operation, or the reason why there is none. Pausing and resuming
are a plan and an apply like any other; what is desired is the OrchestCluster itself with one field changed. Never: a
write; the operation's own thread does that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from reconciler.clusters import observed_cluster, paused, resumed, server_uid
from reconciler.history import UnknownCycle, show_cycle
from services.api.domain.desired import check_readable, observed, read_again, stored
from services.api.domain.desk import Task
from services.api.domain.operations import OperationKind, Wish, in_the_way
from services.api.domain.plans import has_plan, manifests_of, show_plan
from services.api.http.problems import conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from desired_state.objects import ObjectKey
    from reconciler.apply import Permissions
    from reconciler.history import CycleRecord
    from services.api.domain.desired import Desired
    from services.api.domain.desk import ClusterDesk
    from services.api.domain.operations import OperationRecord
    from services.api.domain.plans import StoredPlan

_AFTER_PAUSE = (
    "Git does not ask for this: its next apply resumes the cluster, unless spec.orchest.pause: true is committed there."
)
_AFTER_RESUME = "If Git asks for spec.orchest.pause: true, its next apply pauses the cluster again."


@dataclass(frozen=True, slots=True)
class Request:
    """Who wishes it, when."""

    caller: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Terms:
    """What a caller allows explicitly for one apply."""

    permissions: Permissions
    timeout_seconds: float | None


def apply_plan(desk: ClusterDesk, uuid: UUID, terms: Terms, request: Request) -> OperationRecord:
    """Raises ApiError 404, and 409 for a plan that was used or expired, and beside a running operation."""
    desk.client()
    with desk.database.reading() as session:
        plan = show_plan(session, uuid)
        manifests = manifests_of(session, desk.key_ring, uuid)
    _check_usable(plan, request.now)
    key, origin = plan.plan_file.plan.cluster, plan.plan_file.header.origin
    wish = Wish(OperationKind.APPLY, key.namespace, key.name, request.caller, plan_uuid=uuid)
    task = Task(
        wish,
        lambda: stored(manifests, origin, key),
        terms.permissions,
        saved=plan.plan_file,
        timeout_seconds=terms.timeout_seconds,
    )
    return desk.carry_out(task, request.now)


def pause(desk: ClusterDesk, key: ObjectKey, terms: Terms, request: Request) -> OperationRecord:
    """Raises NotFound, ClusterError, and ApiError 409 beside a running operation."""
    return _change(desk, key, terms, request, kind=OperationKind.PAUSE, changed=paused, remark=_AFTER_PAUSE)


def resume(desk: ClusterDesk, key: ObjectKey, terms: Terms, request: Request) -> OperationRecord:
    """Raises NotFound, ClusterError, and ApiError 409 beside a running operation."""
    return _change(desk, key, terms, request, kind=OperationKind.RESUME, changed=resumed, remark=_AFTER_RESUME)


def roll_back(desk: ClusterDesk, key: ObjectKey, cycle: UUID, terms: Terms, request: Request) -> OperationRecord:
    """Raises UnknownCycle, NotFound, ClusterError, and ApiError 409 where there is no way back."""
    with desk.database.reading() as session:
        former = show_cycle(session, cycle).cycle
        if (former.cluster.namespace, former.cluster.name) != (key.namespace, key.name):
            raise UnknownCycle("There is no such cycle of this cluster.")
        is_kept = has_plan(session, former.plan_id)
        manifests = manifests_of(session, desk.key_ring, UUID(former.plan_id)) if is_kept else ()
    if not is_kept:
        check_readable(former)
    _check_same_kubernetes(desk, key, former)
    desired = (lambda: stored(manifests, former.origin, key)) if is_kept else (lambda: read_again(former, key))
    wish = Wish(OperationKind.ROLLBACK, key.namespace, key.name, request.caller, restores_cycle_uuid=cycle)
    task = Task(
        wish,
        desired,
        terms.permissions,
        timeout_seconds=terms.timeout_seconds,
        remark=f"This is the desired state of cycle {cycle}. Git may ask for another one at its next apply.",
    )
    return desk.carry_out(task, request.now)


def _change(
    desk: ClusterDesk,
    key: ObjectKey,
    terms: Terms,
    request: Request,
    *,
    kind: OperationKind,
    changed: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    remark: str,
) -> OperationRecord:
    client = desk.client()
    observed_cluster(client, key)

    def desired() -> Desired:
        return observed(changed(observed_cluster(client, key)))

    wish = Wish(kind, key.namespace, key.name, request.caller)
    task = Task(wish, desired, terms.permissions, timeout_seconds=terms.timeout_seconds, remark=remark)
    return desk.carry_out(task, request.now)


def _check_usable(plan: StoredPlan, now: datetime) -> None:
    if plan.applied_by is not None:
        raise in_the_way(plan.applied_by, "This plan was already applied. A plan is used once: make a new one.")
    if now >= plan.expires_at:
        raise conflict("This plan expired. Make a new one.")


def _check_same_kubernetes(desk: ClusterDesk, key: ObjectKey, former: CycleRecord) -> None:
    client = desk.client()
    observed_cluster(client, key)
    if former.cluster.server_uid != server_uid(client):
        raise conflict("This cycle happened in another Kubernetes cluster than the one this API manages.")
