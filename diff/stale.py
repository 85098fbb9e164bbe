"""Does a saved plan still hold? Compares it with the plan that the same commit gives against the world of this moment.

A plan file holds no manifests and no values that could be secret, so an apply renders and plans anew. The saved plan
holds when the world it was made for is the same and each of its writes is planned again, to the letter. Changes to
objects that the saved plan does not touch never make it stale: `restricted` leaves them for the next plan.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from diff.action import WRITES
from diff.plan_file import same_action

if TYPE_CHECKING:
    from diff.plan import Basis, Plan

_BASIS = {
    "cluster_uid": "it was made for another Kubernetes cluster",
    "owner_uid": "the OrchestCluster was created, deleted or recreated since",
    "owner_generation": "the OrchestCluster's spec was changed on the server since",
    "crd_hash": "the OrchestCluster CRD was changed since",
    "facts_digest": "the cluster's runtime, storage classes, ingress classes or version changed since",
    "key_id": "it was made with another masking key (set ORCHEST_MASKING_KEY to the one of the machine that planned)",
}


def stale_reasons(saved: Plan, fresh: Plan) -> tuple[str, ...]:
    """Why `saved` does not hold in the world that `fresh` was planned for; empty when it does."""
    basis = _basis_reasons(saved.basis, fresh.basis)
    if incomparable := [basis[name] for name in ("cluster_uid", "key_id") if name in basis]:
        return tuple(incomparable)
    if fresh.is_empty and not saved.is_empty:
        return ("nothing is left to be done: it was applied already, or somebody did the same",)
    return (*basis.values(), *_action_reasons(saved, fresh))


def restricted(fresh: Plan, saved: Plan) -> Plan:
    """`fresh`, which has the manifests, limited to the writes of `saved` and to actions that write nothing.

    An object that `saved` only kept or awaited is not written, whatever happened to it since: nobody agreed to that.
    """
    keys = {action.key for action in saved.actions if action.verb in WRITES}
    actions = (action for action in fresh.actions if action.key in keys or action.verb not in WRITES)
    return replace(fresh, actions=tuple(actions))


def _basis_reasons(saved: Basis, fresh: Basis) -> dict[str, str]:
    """By the name of the field that differs."""
    names = (field.name for field in fields(saved))
    return {name: _BASIS[name] for name in names if getattr(saved, name) != getattr(fresh, name)}


def _action_reasons(saved: Plan, fresh: Plan) -> list[str]:
    now = {action.key: action for action in fresh.actions}
    reasons = []
    for action in saved.actions:
        if action.verb not in WRITES:
            continue
        if action.key not in now:
            reasons.append(f"{action.key}: planned {action.verb}, but nothing needs to be done any more")
        elif not same_action(action, now[action.key]):
            reasons.append(
                f"{action.key}: changed since the plan was made (planned {action.verb}, now {now[action.key].verb})"
            )
    return reasons
