"""What the OrchestCluster's status says: the original's state strings, standard conditions, and the inventory of what
is ours.

In: the recorded status, the plan's actions, how they ended. Out: the next status as JSON. Pure: who writes it, and
when, is apply's business. The inventory is what a later prune may delete, so it must know of every object before that
object exists: an entry with uid "" is an intent (we are about to create this), completed when the object is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from desired_state.objects import ObjectKey
from desired_state.release import RELEASE
from diff.action import Verb
from diff.ownership import mark_of, owner_mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from diff.action import Action
    from diff.plan import Drift
    from diff.snapshot import Snapshot

Inventory = dict[ObjectKey, str]
"""uid by key; uid "" is an intent."""


class State(StrEnum):
    """Literally the original's phase strings: monitoring depends on them."""

    DEPLOYING = "Deploying Orchest Control Plane"
    UPDATING = "Updating"
    RUNNING = "Running"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    ERROR = "Error"


@dataclass(frozen=True, slots=True)
class Report:
    """How things stand, in the terms that conditions are made of."""

    state: State
    ready: bool
    reconciling: bool
    stalled: bool
    paused: bool
    drifted: tuple[ObjectKey, ...]
    """Objects whose drift is seen and left as it is."""
    reason: str
    """CamelCase, for machines."""
    message: str


def working(recorded: Mapping[str, Any], *, paused: bool) -> Report:
    """While an apply is on its way."""
    first = recorded.get("state") not in {State.RUNNING, State.STOPPED, State.UPDATING, State.ERROR}
    state = State.STOPPING if paused else State.DEPLOYING if first else State.UPDATING
    return Report(
        state,
        ready=False,
        reconciling=True,
        stalled=False,
        paused=paused,
        drifted=(),
        reason="Applying",
        message="An apply is on its way.",
    )


def succeeded(drift: Iterable[Drift], *, paused: bool) -> Report:
    """Everything is as Git says, or is deliberately left as it is."""
    drifted = tuple(found.key for found in drift if not found.repaired)
    return Report(
        State.STOPPED if paused else State.RUNNING,
        ready=not paused,
        reconciling=False,
        stalled=False,
        paused=paused,
        drifted=drifted,
        reason="Paused" if paused else "Applied",
        message="Paused by spec.orchest.pause." if paused else "Everything is as Git says, and ready.",
    )


def failed(reason: str, message: str, *, paused: bool) -> Report:
    """An apply ended early. `message` is already free of secrets."""
    return Report(
        State.ERROR,
        ready=False,
        reconciling=False,
        stalled=True,
        paused=paused,
        drifted=(),
        reason=reason,
        message=message,
    )


def status_of(
    report: Report,
    recorded: Mapping[str, Any],
    *,
    spec: Mapping[str, Any],
    generation: int,
    revision: str,
    now: str,
) -> dict[str, Any]:
    """The status to merge over `recorded`, without the inventory.

    Equal facts give an equal status: times move only with what they date.
    """
    conditions = [
        _dated(condition | {"observedGeneration": generation}, recorded, now) for condition in _conditions(report)
    ]
    state_changed = recorded.get("state") != report.state
    status = {
        "state": str(report.state),
        "reason": report.message if report.state is State.ERROR else "",
        "conditions": conditions,
        "lastHeartbeatTime": now if state_changed else recorded.get("lastHeartbeatTime", now),
    }
    if report.reconciling or report.stalled:
        return status
    orchest = spec.get("orchest") or {}
    registries = {*recorded.get("registries", ()), *filter(None, [orchest.get("registry")])}
    return status | {
        "observedGeneration": generation,
        "version": orchest.get("version") or RELEASE,
        "revision": revision or recorded.get("revision", ""),
        "registries": sorted(registries),
    }


def _conditions(report: Report) -> Iterable[dict[str, Any]]:
    drifted = ", ".join(map(str, report.drifted))
    yield _condition("Ready", report.ready, reason=report.reason, message=report.message)
    yield _condition("Reconciling", report.reconciling, reason=report.reason if report.reconciling else "Idle")
    yield (
        _condition("Stalled", True, reason=report.reason, message=report.message)
        if report.stalled
        else _condition("Stalled", False, reason="Idle")
    )
    yield (
        _condition("Drifted", True, reason="DriftLeft", message=f"Changed by others and left so: {drifted}")
        if drifted
        else _condition("Drifted", False, reason="NoDrift")
    )
    yield _condition("Paused", report.paused, reason="PausedBySpec" if report.paused else "NotPaused")


def _condition(kind: str, holds: bool, *, reason: str, message: str = "") -> dict[str, Any]:
    text = message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}..."
    return {"type": kind, "status": "True" if holds else "False", "reason": reason, "message": text}


_LONGEST_MESSAGE = 1024


def _dated(condition: dict[str, Any], recorded: Mapping[str, Any], now: str) -> dict[str, Any]:
    """With the time at which its status was last another one."""
    before: Mapping[str, Any] = next(
        (old for old in recorded.get("conditions") or () if old.get("type") == condition["type"]), {}
    )
    kept = before.get("lastTransitionTime") if before.get("status") == condition["status"] else None
    return condition | {"lastTransitionTime": kept or now}


def read_inventory(status: Mapping[str, Any]) -> Inventory:
    """The recorded inventory. Raises ValueError for an entry whose key nobody can have written."""
    return {ObjectKey.parse(entry["key"]): entry.get("uid", "") for entry in status.get("inventory") or ()}


def reconciled_inventory(recorded: Inventory, snapshot: Snapshot, desired: Iterable[ObjectKey]) -> Inventory:
    """`recorded`, brought up to date by what is there.

    What is gone goes. An intent whose object is there under our mark is completed: a killed apply had created it. A
    desired object under our mark enters even when the status was lost, and so does a claim, which is never pruned.
    """
    mark = owner_mark(snapshot.cluster)
    ours = {key: seen.uid for key, seen in snapshot.objects.items() if mark_of(seen.content) == mark}
    kept = {key: uid or ours.get(key, "") for key, uid in recorded.items() if key in snapshot.objects}
    claims = [key for key in ours if key.kind == "PersistentVolumeClaim"]
    return kept | {key: ours[key] for key in (*desired, *claims) if key in ours}


def intended(actions: Iterable[Action]) -> Inventory:
    """An intent for each object that these actions are about to create. (A replace states its own when the old one is
    gone.)
    """
    return {
        action.key: ""
        for action in actions
        if is_owned(action.key)
        and (action.verb is Verb.ADOPT or (action.verb in {Verb.CREATE, Verb.GENERATE} and not action.precondition.uid))
    }


def is_owned(key: ObjectKey) -> bool:
    """The namespace is never deleted by us, and the OrchestCluster does not own itself."""
    return key.kind not in {"Namespace", "OrchestCluster"}
