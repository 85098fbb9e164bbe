"""When an object counts as ready, and what a person is told while it does not."""

from __future__ import annotations

from typing import Any

import pytest

from diff.action import ReadinessRule
from diff.readiness import ReadinessState, assess, pods_message

READY, PROGRESSING, FAILED = ReadinessState.READY, ReadinessState.PROGRESSING, ReadinessState.FAILED


def workload(status: dict[str, Any], *, generation: int = 1, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x", "generation": generation}, "spec": spec, "status": status}


def rolled_out(**changed: Any) -> dict[str, Any]:
    return {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2} | changed


STUCK = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
NO_QUOTA = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}


@pytest.mark.parametrize(
    ("content", "state", "message"),
    [
        (workload(rolled_out(), replicas=2), READY, "2 of 2 replicas available"),
        (workload({}, replicas=2), PROGRESSING, "the Deployment controller has not seen it yet"),
        (
            workload(rolled_out(), generation=2, replicas=2),
            PROGRESSING,
            "the Deployment controller has not seen it yet",
        ),
        (workload(rolled_out(updatedReplicas=1), replicas=2), PROGRESSING, "1 of 2 replicas updated"),
        (workload(rolled_out(availableReplicas=1), replicas=2), PROGRESSING, "1 of 2 replicas available"),
        (workload(rolled_out(replicas=3), replicas=2), PROGRESSING, "1 old replicas are terminating"),
        (workload({"observedGeneration": 1}), PROGRESSING, "0 of 1 replicas updated"),
        (workload({"observedGeneration": 1}, replicas=0), READY, "0 of 0 replicas available"),
        (
            workload(rolled_out(availableReplicas=1, conditions=[STUCK]), replicas=2),
            FAILED,
            "made no progress in time: 1 of 2 replicas available",
        ),
        (
            workload(rolled_out(updatedReplicas=0, conditions=[NO_QUOTA]), replicas=2),
            PROGRESSING,
            "pods cannot be created: exceeded quota: small",
        ),
        (
            workload(rolled_out(updatedReplicas=1), replicas=2, paused=True),
            FAILED,
            "its rollout is paused; resume it: kubectl rollout resume",
        ),
        (workload(rolled_out(), replicas=2, paused=True), READY, "2 of 2 replicas available"),
    ],
)
def test_a_deployment_is_ready_when_all_wanted_replicas_are_updated_and_available(
    content: dict[str, Any], state: ReadinessState, message: str
) -> None:
    assessment = assess(ReadinessRule.DEPLOYMENT, content)
    assert (assessment.state, assessment.message) == (state, message)


def spread(**changed: Any) -> dict[str, Any]:
    counts = {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}
    return {"observedGeneration": 1} | counts | changed


@pytest.mark.parametrize(
    ("content", "state", "message"),
    [
        (workload(spread()), READY, "available on 3 of 3 nodes"),
        (workload({"desiredNumberScheduled": 0}), PROGRESSING, "the DaemonSet controller has not seen it yet"),
        (workload(spread(updatedNumberScheduled=2)), PROGRESSING, "2 of 3 nodes updated"),
        (
            workload(spread(updatedNumberScheduled=2), updateStrategy={"type": "OnDelete"}),
            READY,
            "available on 3 of 3 nodes",
        ),
        (workload(spread(numberAvailable=1)), PROGRESSING, "available on 1 of 3 nodes"),
        (workload({"observedGeneration": 1, "desiredNumberScheduled": 0}), READY, "available on 0 of 0 nodes"),
    ],
)
def test_a_daemon_set_is_ready_when_it_is_available_on_every_wanted_node(
    content: dict[str, Any], state: ReadinessState, message: str
) -> None:
    assessment = assess(ReadinessRule.DAEMON_SET, content)
    assert (assessment.state, assessment.message) == (state, message)


def claim(phase: str, *annotations: str) -> dict[str, Any]:
    return {"metadata": {"annotations": dict.fromkeys(annotations, "x")}, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("content", "state"),
    [
        (claim("Bound"), READY),
        (claim("Pending"), READY),
        (claim("Pending", "volume.kubernetes.io/selected-node"), PROGRESSING),
        (claim("Pending", "volume.kubernetes.io/storage-provisioner"), PROGRESSING),
        (claim("Lost"), FAILED),
        ({"metadata": {}}, READY),
    ],
)
def test_a_pending_claim_holds_nobody_up_before_somebody_provisions_it(
    content: dict[str, Any], state: ReadinessState
) -> None:
    assert assess(ReadinessRule.CLAIM, content).state is state


def test_gone_names_the_finalizers_it_waits_for() -> None:
    content = {"metadata": {"finalizers": ["example.org/one", "example.org/two"]}}
    assert assess(ReadinessRule.GONE, content).message == "being deleted, waits for example.org/one, example.org/two"
    assert assess(ReadinessRule.GONE, None).state is READY


@pytest.mark.parametrize("rule", [ReadinessRule.DEPLOYMENT, ReadinessRule.DAEMON_SET, ReadinessRule.CLAIM])
def test_an_object_that_vanished_or_is_being_deleted_never_becomes_ready(rule: ReadinessRule) -> None:
    assert assess(rule, None).state is FAILED
    deleted = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Bound"}}
    assert assess(rule, deleted).state is FAILED


def pod(name: str, created: str = "", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "creationTimestamp": created}, "status": status}


def waiting(reason: str, **more: Any) -> dict[str, Any]:
    return {"name": "main", "image": "registry.example.com/a:1", "state": {"waiting": {"reason": reason}}} | more


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"containerStatuses": [waiting("ImagePullBackOff")]}, "ImagePullBackOff: image registry.example.com/a:1"),
        ({"initContainerStatuses": [waiting("ErrImagePull")]}, "ErrImagePull: image registry.example.com/a:1"),
        (
            {"containerStatuses": [waiting("CrashLoopBackOff", lastState={"terminated": {"exitCode": 3}})]},
            "CrashLoopBackOff: container main of image registry.example.com/a:1, last exit code 3",
        ),
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/3 nodes: no room",
                    }
                ]
            },
            "Unschedulable: 0/3 nodes: no room",
        ),
        ({"phase": "Failed", "reason": "Evicted", "message": "disk"}, "Evicted disk"),
        (
            {"conditions": [{"type": "Ready", "status": "False", "message": "containers with unready status: [main]"}]},
            "containers with unready status: [main]",
        ),
    ],
)
def test_a_pod_says_in_its_own_words_why_it_is_not_ready(status: dict[str, Any], message: str) -> None:
    assert pods_message([pod("api-1", **status)]) == f"pod api-1: {message}"


def test_the_newest_pod_with_a_reason_speaks() -> None:
    old = pod("old", "2026-01-01T00:00:00Z", containerStatuses=[waiting("CrashLoopBackOff")])
    new = pod("new", "2026-01-02T00:00:00Z", containerStatuses=[waiting("ImagePullBackOff")])
    fine = pod("fine", "2026-01-03T00:00:00Z", containerStatuses=[waiting("ContainerCreating")])
    assert pods_message([old, new, fine]).startswith("pod new: ImagePullBackOff")
    assert pods_message([fine]) == ""
