"""The torture has teeth: each bug that is planted here is caught by a few tuples of one workload, and none is seen
without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import diff.decision
import diff.order
import diff.plan
import diff.precondition
import diff.pruning
import reconciler.apply
import reconciler.status
from diff.action import Verb
from diff.ownership import Ownership, mark_of
from tests.torture.attack import Attack, Result, Size
from tests.torture.campaign import problems
from tests.torture.workloads import workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diff.action import Action
    from diff.plan import Plan

_FEW = Size(second_crashes=1, orders=1, stale=40, leases=40, missed=20, foreign=110, views=1)
_MOST_TUPLES = 700

Plant = Callable[[pytest.MonkeyPatch], None]


class Bug(NamedTuple):
    name: str
    workload: str
    families: Sequence[str]
    symptom: str
    """Part of the text of the promise that it breaks."""
    plant: Plant


def _putting(module: object, name: str, value: object) -> Plant:
    return lambda patch: patch.setattr(module, name, value)


_holds = diff.precondition.holds


def _without_uid(action: Action, snapshot: Any, masker: Any) -> bool:
    there = snapshot.objects.get(action.key)
    if there is None or not action.precondition.uid:
        return _holds(action, snapshot, masker)
    return diff.precondition.precondition_of(masker, there, action.manifest).seen == action.precondition.seen


def _without_seen(action: Action, snapshot: Any, _masker: Any) -> bool:
    there = snapshot.objects.get(action.key)
    return (there.uid if there else "") == action.precondition.uid


def _with_resource_version_alone(action: Action, snapshot: Any, masker: Any) -> bool:
    """The server recreates a deleted object when no uid is sent."""
    return action.key not in snapshot.objects or _holds(action, snapshot, masker)


def _creating_over_existing(action: Action, snapshot: Any, masker: Any) -> bool:
    return not action.precondition.uid or _holds(action, snapshot, masker)


def _pruning_the_unmarked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(diff.pruning, "may_delete", lambda *_: True)
    patch.setattr(diff.pruning, "ownership", lambda *_: Ownership.OURS)
    patch.setattr(diff.pruning, "mark_of", lambda _: "")


def _pruning_the_unrecorded(observed: Any, mark: str, _recorded: Any) -> bool:
    return mark_of(observed.content) == mark


_refuse = reconciler.apply.refuse


def _forcing_everywhere(plan: Plan, permissions: Any) -> None:
    _refuse(replace(plan, actions=tuple(replace(action, conflicts=()) for action in plan.actions)), permissions)


def _deleting_claims(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(diff.pruning, "_keep", lambda observed, world: diff.pruning._delete(observed, world, paused=False))


def _forgetting_dropped_fields(patch: pytest.MonkeyPatch) -> None:
    """No record of which fields were set: what Git no longer sets is never looked for."""
    patch.setattr(diff.decision, "with_owned_paths", lambda content, _: content)


def _remembering_too_long(_rendering: Any, _snapshot: Any, memory: Any, _versions: Any, _masker: Any) -> bool:
    return memory.plan is not None


def _deleting_other_incarnations(observed: Any, mark: str, recorded: Any) -> bool:
    return mark_of(observed.content) == mark and str(observed.key) in recorded


BUGS = (
    Bug(
        "no uid check",
        "version bump",
        ("foreign write",),
        "another incarnation",
        _putting(diff.precondition, "holds", _without_uid),
    ),
    Bug(
        "no seen check",
        "version bump",
        ("foreign write",),
        "had not seen",
        _putting(diff.precondition, "holds", _without_seen),
    ),
    Bug(
        "resourceVersion alone",
        "version bump",
        ("foreign write",),
        "object that is gone",
        _putting(diff.precondition, "holds", _with_resource_version_alone),
    ),
    Bug(
        "create over existing",
        "resume",
        ("stale view", "lost lease"),
        "over an existing object",
        _putting(diff.precondition, "holds", _creating_over_existing),
    ),
    Bug("prune without mark", "replicas change", ("crash",), "bystander was touched", _pruning_the_unmarked),
    Bug(
        "prune without inventory",
        "replicas change",
        ("crash",),
        "bystander was touched",
        _putting(diff.pruning, "may_delete", _pruning_the_unrecorded),
    ),
    Bug(
        "prune of another incarnation",
        "pause",
        ("foreign write",),
        "not ours",
        _putting(diff.pruning, "may_delete", _deleting_other_incarnations),
    ),
    Bug(
        "force everywhere",
        "field of another manager",
        ("crash",),
        "another Apply manager",
        _putting(reconciler.apply, "refuse", _forcing_everywhere),
    ),
    Bug("claims are deleted", "registry application removed", ("crash",), "a claim was deleted", _deleting_claims),
    Bug(
        "dropped fields are forgotten",
        "replicas change",
        ("crash",),
        "not what a new installation would have",
        _forgetting_dropped_fields,
    ),
    Bug(
        "states are remembered too long",
        "version bump",
        ("missed states",),
        "remembering changes the plan",
        _putting(diff.plan, "_is_unchanged", _remembering_too_long),
    ),
    Bug(
        "strangers are overwritten",
        "version bump",
        ("foreign write",),
        "not ours",
        _putting(diff.decision, "_refusal", lambda *_: None),
    ),
    Bug(
        "waves upside down",
        "fresh install, minimal",
        ("crash",),
        "",
        _putting(diff.decision, "wave_of", lambda item: 5 - diff.order.wave_of(item)),
    ),
    Bug(
        "intents are not recorded",
        "fresh install, full",
        ("another commit",),
        "an orphan",
        _putting(reconciler.status, "intended", lambda _: {}),
    ),
)


def _attacked(bug: Bug) -> Result:
    return Attack(workload(bug.workload), _FEW, seed=1).run(bug.families)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught_by_few_tuples(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    workload(bug.workload)  # Built before the bug is there.
    bug.plant(monkeypatch)
    result = _attacked(bug)
    found = problems([result])
    assert any(bug.symptom in problem for problem in found), found
    assert len(result.cases) <= _MOST_TUPLES


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_without_the_bug_the_same_tuples_find_nothing(bug: Bug) -> None:
    assert problems([_attacked(bug)]) == []


def test_plans_of_planted_worlds_have_writes() -> None:
    """The positive control's own control: each workload gives the planner something to do."""
    for bug in BUGS:
        attack = Attack(workload(bug.workload), _FEW, seed=1)
        assert any(action.verb is not Verb.KEEP for action in attack.plan_of(attack.subject.initial).actions)
