"""Plans made by the real planner, outcomes as an apply would tell them, and the events that they cause."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from desired_state.origin import Origin, OriginKind
from diff.action import Verb
from diff.plan_file import seal
from outbox.events.types import EventType
from reconciler.cluster_events import Occasion, Occurrence, caused, concluded, detected
from reconciler.record import Applied, Outcome, Result, Verdict
from tests.diff import worlds

if TYPE_CHECKING:
    from desired_state.objects import Rendering
    from diff.snapshot import Snapshot

CYCLE = UUID(int=7)
ORIGIN = Origin(OriginKind.GIT, "d" * 64, (), "https://git.example/fleet", "main", "c" * 40, "clusters/eu")
WANTED = worlds.usual_rendering()
IN_SYNC = worlds.applied(WANTED)
API = "Deployment.apps/orchest-api"


def occasion(wanted: Rendering, snapshot: Snapshot) -> Occasion:
    plan = worlds.planned(wanted, snapshot)
    plan_file = seal(plan, plan_id="plan-1", created_at=worlds.NOW, expires_at=worlds.NOW, origin=ORIGIN)
    observed = snapshot.objects.get(worlds.CLUSTER)
    return Occasion(CYCLE, plan_file, observed.content if observed else None, wanted.cluster.content)


def outcomes(of: Occasion, **results: Result) -> tuple[Outcome, ...]:
    """All done but for those by name (underscores for dashes)."""
    return tuple(
        Outcome(action.key, action.verb, results.get(action.key.name.replace("-", "_"), Result.DONE), "scrubbed", 1.0)
        for action in of.plan_file.plan.actions
    )


def applied(of: Occasion, verdict: Verdict = Verdict.DONE, message: str = "", **results: Result) -> Applied:
    return Applied(outcomes(of, **results), verdict, message)


def everything(of: Occasion, ending: Applied) -> list[EventType]:
    events = [
        *detected(of),
        *(one for outcome in ending.outcomes for one in caused(of, outcome)),
        *concluded(of, ending),
    ]
    return [event.type for event in events]


def only(events: tuple[Occurrence, ...], kind: EventType) -> Occurrence:
    (found,) = (event for event in events if event.type is kind)
    return found


def rendering(spec: dict[str, Any]) -> Rendering:
    return worlds.rendering(worlds.deployment("orchest-api"), cluster=worlds.cluster_content(spec))


def with_image(image: str) -> Snapshot:
    """Somebody set the api's image by hand."""

    def edit(body: dict[str, Any]) -> None:
        container = body["spec"]["template"]["spec"]["containers"][0]
        container["image"] = image
        path: dict[str, Any] = {
            "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"orchest-api"}': {"f:image": {}}}}}}
        }
        worlds.taken_over(body, path, "kubectl-set")

    return worlds.changed(IN_SYNC, API, edit)


def test_a_first_apply_creates_the_cluster() -> None:
    of = occasion(WANTED, worlds.empty_snapshot())
    assert everything(of, applied(of)) == [EventType.CLUSTER_CREATED, EventType.CLUSTER_PLAN_APPLIED]


def test_what_is_told_says_which_cluster_which_plan_and_which_commit() -> None:
    of = occasion(WANTED, worlds.empty_snapshot())
    facts = only(concluded(of, applied(of)), EventType.CLUSTER_PLAN_APPLIED).facts
    plan_file = of.plan_file
    assert (facts.namespace, facts.name, facts.server_uid) == ("orchest", "cluster-1", "kube-system-uid")
    assert (facts.cycle_uuid, facts.plan_id, facts.plan_digest) == (CYCLE, "plan-1", plan_file.header.digest)
    assert (facts.revision, facts.commit) == ("main", "c" * 40)
    assert sum(facts.counts.values()) == len(plan_file.plan.actions)
    assert {action.object_key for action in facts.actions} == {str(action.key) for action in plan_file.plan.actions}
    assert {action.result for action in facts.actions} == {"done"}
    assert (facts.outcome, facts.message) == ("done", "")


def test_a_changed_spec_is_an_update_with_both_versions() -> None:
    before = worlds.applied(rendering({"orchest": {"version": "v2026.11.0"}}))
    recorded = before.objects[worlds.CLUSTER]
    content = {**recorded.content, "status": {"version": "v2026.11.0"}}
    of = occasion(rendering({"orchest": {"version": "v2026.12.0"}}), before)
    of = Occasion(of.cycle, of.plan_file, content, of.desired)
    (outcome,) = (one for one in outcomes(of) if one.key == worlds.CLUSTER)
    (event,) = caused(of, outcome)
    assert event.type is EventType.CLUSTER_UPDATED
    assert (event.facts.version_before, event.facts.version_after) == ("v2026.11.0", "v2026.12.0")
    assert event.facts.actions[0].verb == Verb.UPDATE


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        (False, True, [EventType.CLUSTER_UPDATED, EventType.CLUSTER_PAUSED]),
        (True, False, [EventType.CLUSTER_UPDATED, EventType.CLUSTER_RESUMED]),
        (True, True, [EventType.CLUSTER_UPDATED]),
    ],
)
def test_pausing_and_resuming_are_events_of_their_own(before: bool, after: bool, events: list[EventType]) -> None:
    world = worlds.applied(rendering({"orchest": {"pause": before, "version": "v1"}}))
    of = occasion(rendering({"orchest": {"pause": after, "version": "v2"}}), world)
    (outcome,) = (one for one in outcomes(of) if one.key == worlds.CLUSTER)
    assert [event.type for event in caused(of, outcome)] == events


@pytest.mark.parametrize("result", [Result.FAILED, Result.STALE, Result.NOT_STARTED])
def test_a_cluster_that_could_not_be_written_is_neither_created_nor_updated(result: Result) -> None:
    of = occasion(WANTED, worlds.empty_snapshot())
    ending = applied(of, Verdict.FAILED, "refused", cluster_1=result)
    assert EventType.CLUSTER_CREATED not in everything(of, ending)


def test_an_edit_by_hand_is_detected_and_repaired_with_its_path_and_without_its_values() -> None:
    of = occasion(WANTED, with_image("example.com/canary:1"))
    assert everything(of, applied(of)) == [
        EventType.CLUSTER_DRIFT_DETECTED,
        EventType.CLUSTER_PLAN_APPLIED,
        EventType.CLUSTER_DRIFT_REPAIRED,
    ]
    for event in (*detected(of), only(concluded(of, applied(of)), EventType.CLUSTER_DRIFT_REPAIRED)):
        (drifted,) = event.facts.drifted
        assert drifted.object_key == str(worlds.key(API))
        assert drifted.fields == ("spec.template.spec.containers[name=orchest-api].image",)
        assert event.facts.drifted_count == 1
        assert "canary" not in event.facts.model_dump_json()


def test_an_object_that_somebody_deleted_is_drift_without_fields() -> None:
    gone = worlds.key(API)
    inventory = [{"key": str(gone), "uid": IN_SYNC.objects[gone].uid}]

    def remember(body: dict[str, Any]) -> None:
        body["status"] = {"inventory": inventory}

    world = worlds.without_object(worlds.changed(IN_SYNC, "OrchestCluster.orchest.io/cluster-1", remember), API)
    (event,) = detected(occasion(WANTED, world))
    assert [(one.object_key, one.fields) for one in event.facts.drifted] == [(str(gone), ())]


def test_drift_whose_repair_failed_is_not_told_as_repaired() -> None:
    of = occasion(WANTED, with_image("example.com/hotfix:1"))
    ending = applied(of, Verdict.FAILED, "no", orchest_api=Result.FAILED)
    assert everything(of, ending) == [
        EventType.CLUSTER_DRIFT_DETECTED,
        EventType.CLUSTER_PLAN_APPLIED,
        EventType.CLUSTER_UNHEALTHY,
    ]


def test_drift_that_is_only_observed_is_told_and_never_repaired() -> None:
    wanted = worlds.rendering(worlds.deployment("orchest-api"), cluster=worlds.cluster_content(None, drift="observe"))
    of = occasion(wanted, with_image("example.com/hotfix:1"))
    types = everything(of, applied(of))
    assert EventType.CLUSTER_DRIFT_DETECTED in types
    assert EventType.CLUSTER_DRIFT_REPAIRED not in types


def test_what_did_not_become_ready_makes_the_cluster_unhealthy() -> None:
    of = occasion(WANTED, worlds.empty_snapshot())
    ending = applied(of, Verdict.FAILED, "ImagePullBackOff: image x", orchest_api=Result.FAILED)
    event = only(concluded(of, ending), EventType.CLUSTER_UNHEALTHY)
    assert [action.object_key for action in event.facts.actions] == [str(worlds.key(API))]
    assert event.facts.message == "ImagePullBackOff: image x"
    plan_applied = only(concluded(of, ending), EventType.CLUSTER_PLAN_APPLIED)
    assert (plan_applied.facts.outcome, plan_applied.facts.message) == ("failed", "ImagePullBackOff: image x")


@pytest.mark.parametrize("verdict", [Verdict.STALE, Verdict.CONFLICT, Verdict.INTERRUPTED])
def test_an_apply_that_ended_early_says_nothing_of_health(verdict: Verdict) -> None:
    of = occasion(WANTED, worlds.empty_snapshot())
    types = [event.type for event in concluded(of, applied(of, verdict, "why"))]
    assert types == [EventType.CLUSTER_PLAN_APPLIED]


def test_without_drift_nothing_is_detected() -> None:
    assert detected(occasion(rendering({"orchest": {"version": "v2"}}), IN_SYNC)) == ()


@pytest.mark.parametrize("verdict", Verdict)
def test_a_rollback_is_told_when_it_reached_its_end_and_only_then(verdict: Verdict) -> None:
    of = replace(occasion(WANTED, worlds.empty_snapshot()), restores="0000-former")
    told = {event.type: event.facts for event in concluded(of, applied(of, verdict))}
    assert (EventType.CLUSTER_ROLLED_BACK in told) == (verdict is Verdict.DONE)
    if verdict is Verdict.DONE:
        facts = told[EventType.CLUSTER_ROLLED_BACK]
        assert facts.message == "The desired state of cycle 0000-former was applied again."
        assert facts.actions == told[EventType.CLUSTER_PLAN_APPLIED].actions
    assert EventType.CLUSTER_ROLLED_BACK not in everything(replace(of, restores=""), applied(of, verdict))
