"""What the status says, and that the inventory knows of every object that may one day be pruned."""

from __future__ import annotations

from typing import Any

import pytest

from desired_state.facts import ClusterFacts
from desired_state.objects import OWNER_ANNOTATION, ObjectKey
from desired_state.release import RELEASE
from diff.action import ABSENT, Action, FieldChange, Precondition, Readiness, ReadinessRule, Reason, Verb
from diff.plan import Drift
from diff.snapshot import ObservedObject, Snapshot
from reconciler.status import (
    Report,
    failed,
    intended,
    read_inventory,
    reconciled_inventory,
    status_of,
    succeeded,
    working,
)

CLUSTER = ObjectKey("orchest.io", "OrchestCluster", "orchest", "cluster-1")
API = ObjectKey("apps", "Deployment", "orchest", "orchest-api")
OLD = ObjectKey("", "ConfigMap", "orchest", "old")
FACTS = ClusterFacts("uid", "v1.34.4", ("containerd",), "", "")
EARLY, LATE = "2026-11-22T12:00:00Z", "2026-11-22T13:00:00Z"


def status(report: Report, recorded: dict[str, Any], *, now: str = LATE, **spec: Any) -> dict[str, Any]:
    return recorded | status_of(report, recorded, spec=spec, generation=3, revision="abc", now=now)


def conditions(of: dict[str, Any]) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in of["conditions"]}


def holding(*kinds: str) -> dict[str, str]:
    every = ("Ready", "Reconciling", "Stalled", "Drifted", "Paused")
    return {kind: "True" if kind in kinds else "False" for kind in every}


@pytest.mark.parametrize(
    ("report", "state", "true_conditions"),
    [
        (working({}, paused=False), "Deploying Orchest Control Plane", ["Reconciling"]),
        (working({"state": "Running"}, paused=False), "Updating", ["Reconciling"]),
        (working({"state": "Running"}, paused=True), "Stopping", ["Reconciling", "Paused"]),
        (succeeded((), paused=False), "Running", ["Ready"]),
        (succeeded((Drift(API, (), repaired=True),), paused=False), "Running", ["Ready"]),
        (succeeded((Drift(API, (), repaired=False),), paused=False), "Running", ["Ready", "Drifted"]),
        (succeeded((), paused=True), "Stopped", ["Paused"]),
        (failed("ApplyFailed", "no image", paused=False), "Error", ["Stalled"]),
    ],
)
def test_each_ending_has_the_originals_state_and_the_standard_conditions(
    report: Report, state: str, true_conditions: list[str]
) -> None:
    written = status(report, {})
    assert written["state"] == state
    assert conditions(written) == holding(*true_conditions)
    assert {condition["observedGeneration"] for condition in written["conditions"]} == {3}
    assert all(condition["reason"] for condition in written["conditions"])


def test_an_equal_report_changes_nothing_not_even_a_time() -> None:
    once = status(succeeded((), paused=False), {}, now=EARLY)
    assert status(succeeded((), paused=False), once, now=LATE) == once


def test_a_condition_is_dated_by_its_last_transition() -> None:
    running = status(succeeded((), paused=False), {}, now=EARLY)
    broken = status(failed("ApplyFailed", "no image", paused=False), running, now=LATE)
    moved = {condition["type"] for condition in broken["conditions"] if condition["lastTransitionTime"] == LATE}
    assert moved == {"Ready", "Stalled"}
    assert (broken["lastHeartbeatTime"], broken["reason"]) == (LATE, "no image")


def test_only_an_apply_that_ended_well_has_observed_the_generation() -> None:
    assert "observedGeneration" not in status(working({}, paused=False), {})
    assert "observedGeneration" not in status(failed("x", "y", paused=False), {})
    done = status(succeeded((), paused=False), {})
    assert (done["observedGeneration"], done["version"], done["revision"]) == (3, RELEASE, "abc")


def test_a_registry_is_remembered_after_it_was_changed() -> None:
    before = status(succeeded((), paused=False), {}, orchest={"registry": "one.example.com"})
    after = status(
        succeeded((), paused=False), before, orchest={"registry": "two.example.com", "version": "v2026.12.0"}
    )
    assert after["registries"] == ["one.example.com", "two.example.com"]
    assert after["version"] == "v2026.12.0"


def test_a_long_message_is_cut() -> None:
    written = status(failed("x", "y" * 5000, paused=False), {})
    assert max(len(condition["message"]) for condition in written["conditions"]) < 1100


def observed(key: ObjectKey, uid: str, mark: str = "orchest/cluster-1") -> ObservedObject:
    annotations = {OWNER_ANNOTATION: mark} if mark else {}
    return ObservedObject(key, uid, "1", {"metadata": {"annotations": annotations}})


def snapshot(*objects: ObservedObject) -> Snapshot:
    return Snapshot(CLUSTER, FACTS, {found.key: found for found in objects}, EARLY)


@pytest.mark.parametrize(
    ("recorded", "objects", "desired", "inventory"),
    [
        pytest.param({API: "1"}, [observed(API, "1")], [API], {API: "1"}, id="in sync"),
        pytest.param({API: "1"}, [], [API], {}, id="what is gone goes"),
        pytest.param({OLD: "1"}, [observed(OLD, "1")], [], {OLD: "1"}, id="what may be pruned stays"),
        pytest.param({OLD: ""}, [observed(OLD, "2")], [], {OLD: "2"}, id="an intent is completed"),
        pytest.param(
            {OLD: ""}, [observed(OLD, "2", mark="")], [], {OLD: ""}, id="but not by an object without our mark"
        ),
        pytest.param({}, [observed(API, "1")], [API], {API: "1"}, id="a lost status is found again"),
        pytest.param({}, [observed(OLD, "1")], [], {}, id="what was never recorded nor desired is not taken"),
        pytest.param({}, [observed(API, "1", mark="a/b")], [API], {}, id="another cluster's object is not taken"),
        pytest.param({API: "1"}, [observed(API, "2")], [API], {API: "2"}, id="created again under our mark"),
        pytest.param({OLD: "1"}, [observed(OLD, "2")], [], {OLD: "1"}, id="a copy of a pruned one keeps the old uid"),
    ],
)
def test_the_inventory_follows_what_is_there(
    recorded: dict[ObjectKey, str],
    objects: list[ObservedObject],
    desired: list[ObjectKey],
    inventory: dict[ObjectKey, str],
) -> None:
    assert reconciled_inventory(recorded, snapshot(*objects), desired) == inventory


def action(verb: Verb, key: ObjectKey, uid: str = "") -> Action:
    return Action(
        key,
        verb,
        Reason.NOT_FOUND,
        1,
        (FieldChange("metadata.name", ABSENT, key.name),),
        Precondition(uid, ""),
        Readiness(ReadinessRule.NONE),
    )


def test_an_intent_is_stated_for_every_object_that_will_be_made() -> None:
    secret, namespace = ObjectKey("", "Secret", "orchest", "s"), ObjectKey("", "Namespace", "", "orchest")
    actions = [
        action(Verb.CREATE, API),
        action(Verb.GENERATE, secret),
        action(Verb.CREATE, namespace),
        action(Verb.CREATE, CLUSTER),
        action(Verb.GENERATE, ObjectKey("", "Secret", "orchest", "renewed"), uid="1"),
        action(Verb.UPDATE, OLD, uid="1"),
    ]
    assert intended(actions) == {API: "", secret: ""}


def test_the_inventory_is_read_back_as_it_was_written() -> None:
    entries = [{"key": str(API), "uid": "1"}, {"key": "ClusterRole.rbac.authorization.k8s.io/x", "uid": ""}]
    cluster_role = ObjectKey("rbac.authorization.k8s.io", "ClusterRole", "", "x")
    assert read_inventory({"inventory": entries}) == {API: "1", cluster_role: ""}
    assert read_inventory({}) == {}
