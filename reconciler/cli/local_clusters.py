"""Clusters by the kubeconfig that is at hand, or offline by a saved snapshot.

In: what the commands `status`, `plan`, `diff` and `apply` ask for. Out: the OrchestCluster, plans, an apply that was
watched. Never: an API.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli import wiring
from reconciler.cli.options import Chosen, Target, choose
from reconciler.errors import NotFound, Stale
from reconciler.plans import as_plan_file, read_plan_file
from reconciler.prepare import prepare, prepare_offline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.masking import Masker
    from desired_state.objects import ObjectKey
    from diff.plan_file import PlanFile
    from reconciler.cli.options import Input
    from reconciler.cli.planning import Terms
    from reconciler.prepare import Prepared
    from reconciler.source import Documents


class LocalClusters:
    """A `reconciler.cli.planning.Clusters`."""

    keeps_plans = False

    def __init__(self, target: Target, snapshot_file: str | None) -> None:
        self._target = target
        self._snapshot_file = snapshot_file

    def status(self, key: ObjectKey) -> Mapping[str, Any]:
        observed = wiring.client(self._target, wiring.masker()).get(key)
        if observed is None:
            raise NotFound(
                f"There is no OrchestCluster {key.namespace}/{key.name}. "
                "Choose another by -n and -c, or make it: orchest apply -f FILE"
            )
        return observed

    def plan(self, chosen: Chosen, read: Documents, *, is_kept: bool, hours: int) -> PlanFile:
        del read
        made = prepared(chosen, self._target, self._snapshot_file, wiring.masker(stable=is_kept)).plan
        return as_plan_file(made, chosen.origin, lifetime_hours=hours)

    def apply(self, plan_reference: str | None, source: Input, terms: Terms) -> int:
        from reconciler.apply import Permissions
        from reconciler.cli.screen import ApplyScreen
        from reconciler.cycle import Order, reconcile

        masker = wiring.masker(stable=True)
        saved = read_plan_file(Path(plan_reference)) if plan_reference else None
        chosen = _reread(saved) if saved else choose(source.read(), self._target)
        permissions = Permissions(force_conflicts=terms.force_conflicts, prune=terms.allow_prune)
        order = Order(chosen.cluster, chosen.origin, permissions, saved=saved, timeout_seconds=terms.timeout_seconds)
        client = wiring.client(self._target, masker)
        with (
            wiring.recording() as recording,
            ApplyScreen(output=terms.output, is_agreed=terms.is_agreed, is_reviewed=saved is not None) as screen,
        ):
            return screen.report(reconcile(order, client, masker, recording, screen))


def prepared(chosen: Chosen, target: Target, snapshot_file: str | None, masker: Masker) -> Prepared:
    """Offline when there is a snapshot."""
    if snapshot_file:
        return prepare_offline(chosen.cluster, wiring.saved_snapshot(snapshot_file), masker)
    return prepare(chosen.cluster, wiring.client(target, masker), masker)


def _reread(saved: PlanFile) -> Chosen:
    """The saved plan's cluster, from where its manifests were read. Raises Stale when they are others now."""
    from reconciler.source import reread

    key = saved.plan.cluster
    documents = reread(saved.header.origin)
    if documents.origin.content_digest != saved.header.origin.content_digest:
        raise Stale(
            f"{saved.header.origin} was changed since the plan was made. Make a new one with: orchest plan --out FILE"
        )
    target = Target(None, None, key.namespace, key.name)
    return Chosen(choose(documents, target).cluster, saved.header.origin)
