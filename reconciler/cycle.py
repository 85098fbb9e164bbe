"""One reconcile, whole: load, observe, render, plan, apply, report. Start reading here.

The CLI calls it once, the controller for ever; both run this same code. In: an OrchestCluster with its origin. Out: a
`Report`. Never: parsing, printing, or a decision that belongs to the plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from diff.snapshot_file import dump as dump_snapshot
from diff.stale import restricted, stale_reasons
from reconciler.apply import Applied, Progress, apply
from reconciler.errors import ClusterError, Stale
from reconciler.history_writer import HistoryWriter
from reconciler.observe import observe
from reconciler.plans import as_plan_file, expired
from reconciler.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from desired_state.cluster import OrchestCluster
    from desired_state.masking import Masker
    from desired_state.origin import Origin
    from diff.plan_file import PlanFile
    from reconciler.apply import Permissions
    from reconciler.cluster_client import ClusterClient
    from reconciler.history import Recording
    from reconciler.prepare import Prepared


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asked to be applied."""

    cluster: OrchestCluster
    origin: Origin
    permissions: Permissions
    saved: PlanFile | None = None
    """Apply this plan and no other."""
    timeout_seconds: float | None = None
    """How long to wait for each object; None: as planned."""
    restores: str = ""
    """Id of the cycle whose desired state is applied again; "" for none: this is no rollback."""
    stops: Callable[[], bool] = lambda: False
    """Asked while it is applied: true ends it early, as Ctrl-C does."""


@dataclass(frozen=True, slots=True)
class Report:
    """How a cycle ended. `applied` is None when the person said no."""

    plan_file: PlanFile
    applied: Applied | None
    cycle: str = ""
    """Id of the history's record, "" when there was nothing to record."""


class Screen(Progress, Protocol):
    """Who watches: is shown the plan, may decline it, and is told of the progress."""

    def accepts(self, plan_file: PlanFile) -> bool: ...


def reconcile(order: Order, client: ClusterClient, masker: Masker, recording: Recording, screen: Screen) -> Report:
    """Make the cluster what Git says: exactly the plan, or nothing. Raises an OrchestError when nothing was written."""
    prepared = prepare(order.cluster, client, masker)
    prepared = _patient(prepared, order.timeout_seconds)
    if order.saved:
        prepared = _still_holding(order.saved, prepared)
    plan_file = order.saved or as_plan_file(prepared.plan, order.origin)
    if not screen.accepts(plan_file):
        return Report(plan_file, applied=None)
    record = HistoryWriter(recording, plan_file, prepared, masker, screen, restores=order.restores)
    applied = apply(
        prepared.plan,
        rendering=prepared.rendering,
        snapshot=prepared.snapshot,
        client=client,
        masker=masker,
        plan_id=plan_file.header.plan_id,
        revision=order.origin.commit,
        permissions=order.permissions,
        progress=record,
        now=lambda: datetime.now(UTC),
        stops=order.stops,
    )
    if record.begun:
        record.finish(applied, _state_after(prepared, client, masker))
    return Report(plan_file, applied, record.cycle)


def _state_after(prepared: Prepared, client: ClusterClient, masker: Masker) -> bytes | None:
    """Masked; None when the server does not answer any more: how the apply ended is recorded all the same."""
    before = prepared.snapshot
    try:
        return dump_snapshot(observe(client, before.cluster, before.objects, before.facts), masker)
    except ClusterError:
        return None


def _still_holding(saved: PlanFile, prepared: Prepared) -> Prepared:
    """`prepared`, limited to what the saved plan says. Raises Stale when that is not what the world needs any more."""
    reasons = expired(saved, datetime.now(UTC)) + stale_reasons(saved.plan, prepared.plan)
    if reasons:
        listed = "\n".join(f"  {reason}" for reason in reasons)
        raise Stale(
            f"The plan does not hold any more; nothing was written:\n{listed}\n"
            "Make a new one with: orchest plan --out FILE"
        )
    return replace(prepared, plan=restricted(prepared.plan, saved.plan))


def _patient(prepared: Prepared, timeout_seconds: float | None) -> Prepared:
    if timeout_seconds is None:
        return prepared
    actions = tuple(
        replace(action, readiness=replace(action.readiness, timeout_seconds=timeout_seconds))
        for action in prepared.plan.actions
    )
    return replace(prepared, plan=replace(prepared.plan, actions=actions))
