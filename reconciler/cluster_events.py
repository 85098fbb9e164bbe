"""Which `cluster:*` events an apply causes, and what each tells.

In: the plan, the OrchestCluster as it was and as Git has it, and how actions ended. Out: events as values, in the order
in which they came about. Pure: ids and times come from the caller, and who records the events is the history's
business. Never: a value of a field, since drifted objects are told by key and field paths; texts are masked before.

What was detected is told when the apply begins, what happened to the OrchestCluster itself with that action's outcome,
and the rest at the end: a killed apply takes no event with it that had already come about.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from desired_state.release import RELEASE
from diff.action import Cause
from outbox.events.facts import ApplyOutcome, ClusterAction, ClusterEventFacts, DriftedObject
from outbox.events.types import EventType
from reconciler.record import Result, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from desired_state.objects import Json, ObjectKey
    from diff.action import Action
    from diff.plan import Drift
    from diff.plan_file import PlanFile
    from reconciler.record import Applied, Outcome


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happened; it has no id and no time before it is recorded."""

    type: EventType
    facts: ClusterEventFacts


@dataclass(frozen=True, slots=True)
class Occasion:
    """The apply that is told of."""

    cycle: UUID
    plan_file: PlanFile
    before: Mapping[str, Json] | None
    """The OrchestCluster as it was observed, None when it did not exist."""
    desired: Mapping[str, Json]
    """The OrchestCluster as Git has it."""
    restores: str = ""
    """The cycle whose desired state is applied again; "" for an apply that is no rollback."""


def detected(occasion: Occasion) -> tuple[Occurrence, ...]:
    """Known before the first write: what others did to the cluster, to be repaired or not."""
    drift = occasion.plan_file.plan.drift
    return (_event(occasion, EventType.CLUSTER_DRIFT_DETECTED, drift=drift),) if drift else ()


def caused(occasion: Occasion, outcome: Outcome) -> tuple[Occurrence, ...]:
    """By one action: something only when it was the one on the OrchestCluster."""
    if outcome.key != occasion.plan_file.plan.cluster or outcome.result is not Result.DONE:
        return ()
    return tuple(_event(occasion, kind, outcomes=[outcome]) for kind in _changes(occasion, outcome))


def concluded(occasion: Occasion, applied: Applied) -> tuple[Occurrence, ...]:
    """By the apply as a whole, however it ended."""
    ending = ApplyOutcome(str(applied.verdict))
    events = [
        _event(
            occasion, EventType.CLUSTER_PLAN_APPLIED, outcomes=applied.outcomes, message=applied.message, ending=ending
        )
    ]
    done = {outcome.key for outcome in applied.outcomes if outcome.result is Result.DONE}
    repaired = [drift for drift in occasion.plan_file.plan.drift if drift.repaired and drift.key in done]
    if repaired:
        events.append(_event(occasion, EventType.CLUSTER_DRIFT_REPAIRED, drift=repaired))
    if occasion.restores and applied.verdict is Verdict.DONE:
        text = f"The desired state of cycle {occasion.restores} was applied again."
        events.append(
            _event(occasion, EventType.CLUSTER_ROLLED_BACK, outcomes=applied.outcomes, message=text, ending=ending)
        )
    if applied.verdict is Verdict.FAILED:
        ailing = [outcome for outcome in applied.outcomes if outcome.result is Result.FAILED]
        events.append(_event(occasion, EventType.CLUSTER_UNHEALTHY, outcomes=ailing, message=applied.message))
    return tuple(events)


def _changes(occasion: Occasion, outcome: Outcome) -> Iterable[EventType]:
    if occasion.before is None:
        yield EventType.CLUSTER_CREATED
        return
    if _is_changed_by_git(_action(occasion, outcome.key)):
        yield EventType.CLUSTER_UPDATED
    match _is_paused(occasion.before), _is_paused(occasion.desired):
        case False, True:
            yield EventType.CLUSTER_PAUSED
        case True, False:
            yield EventType.CLUSTER_RESUMED


def _is_changed_by_git(action: Action) -> bool:
    """Whether Git asks for another spec, beyond what merely undoes somebody else's edit."""
    return any(change.cause is Cause.DESIRED and change.path.startswith("spec") for change in action.changes)


def _is_paused(cluster: Mapping[str, Json]) -> bool:
    return bool(_orchest(cluster).get("pause"))


def _orchest(cluster: Mapping[str, Json]) -> Mapping[str, Json]:
    return (cluster.get("spec") or {}).get("orchest") or {}


def _event(
    occasion: Occasion,
    kind: EventType,
    *,
    outcomes: Iterable[Outcome] = (),
    drift: Iterable[Drift] = (),
    message: str = "",
    ending: ApplyOutcome | None = None,
) -> Occurrence:
    plan, header = occasion.plan_file.plan, occasion.plan_file.header
    told = [_told(_action(occasion, outcome.key), outcome) for outcome in outcomes]
    drifted = [DriftedObject(object_key=str(found.key), fields=_paths(found)) for found in drift]
    facts = ClusterEventFacts(
        namespace=plan.cluster.namespace,
        name=plan.cluster.name,
        uid=plan.basis.owner_uid,
        server_uid=plan.basis.cluster_uid,
        cycle_uuid=occasion.cycle,
        plan_id=header.plan_id,
        plan_digest=header.digest,
        commit=header.origin.commit,
        revision=header.origin.revision,
        version_before=_version_before(occasion.before),
        version_after=_orchest(occasion.desired).get("version") or RELEASE,
        outcome=ending,
        counts=Counter(action.verb for action in told),
        actions=tuple(told),
        drifted_count=len(drifted),
        drifted=tuple(drifted),
        message=message,
    )
    return Occurrence(kind, facts)


def _told(action: Action, outcome: Outcome) -> ClusterAction:
    return ClusterAction(
        object_key=str(action.key), verb=str(action.verb), reason=str(action.reason), result=str(outcome.result)
    )


def _paths(drift: Drift) -> tuple[str, ...]:
    """None for an object that is missing as a whole."""
    return tuple(change.path for change in drift.changes)


def _action(occasion: Occasion, key: ObjectKey) -> Action:
    return next(action for action in occasion.plan_file.plan.actions if action.key == key)


def _version_before(cluster: Mapping[str, Json] | None) -> str:
    """The one that was applied last; "" before the first apply."""
    return ((cluster or {}).get("status") or {}).get("version") or ""
