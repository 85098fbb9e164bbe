"""Is an observed object ready? Kubernetes' own rules (kstatus-like), one per `ReadinessRule`.

In: an object's content as the API server told it, or None when it is absent. Out: an `Assessment` with a message for
a person. Never: a clock. How long a state must hold, and when patience ends, is the waiting side's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from diff.action import ReadinessRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_PROVISIONING = (
    "volume.kubernetes.io/selected-node",
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
)
"""Annotations of a claim that somebody works on: without one, a pending claim waits for its first consumer."""


class ReadinessState(StrEnum):
    READY = "ready"
    PROGRESSING = "progressing"
    FAILED = "failed"
    """Will not become ready without a person."""


@dataclass(frozen=True, slots=True)
class Assessment:
    state: ReadinessState
    message: str


def assess(rule: ReadinessRule, content: Mapping[str, Any] | None) -> Assessment:
    """Judge one object by `rule`.

    Absence is what GONE waits for, and a failure for every rule that needs the object.
    """
    if rule is ReadinessRule.NONE:
        return _ready("nothing to wait for")
    if rule is ReadinessRule.GONE:
        return _gone(content)
    if content is None:
        return _failed("it does not exist any more")
    if content["metadata"].get("deletionTimestamp"):
        return _failed("somebody is deleting it")
    return _RULES[rule](content)


def _gone(content: Mapping[str, Any] | None) -> Assessment:
    if content is None:
        return _ready("gone")
    finalizers = content["metadata"].get("finalizers") or []
    return _progressing(f"being deleted, waits for {', '.join(finalizers)}" if finalizers else "being deleted")


def _deployment(content: Mapping[str, Any]) -> Assessment:
    spec, status = content.get("spec") or {}, content.get("status") or {}
    wanted = spec.get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if _is_unseen(content):
        return _progressing("the Deployment controller has not seen it yet")
    stuck = _condition(status, "Progressing")
    if stuck.get("status") == "False" and stuck.get("reason") == "ProgressDeadlineExceeded":
        return _failed(f"made no progress in time: {available} of {wanted} replicas available")
    if spec.get("paused") and (updated < wanted or available < wanted):
        return _failed("its rollout is paused; resume it: kubectl rollout resume")
    blocked = _condition(status, "ReplicaFailure")
    if blocked.get("status") == "True":
        return _progressing(f"pods cannot be created: {blocked.get('message', '')}")
    if updated < wanted:
        return _progressing(f"{updated} of {wanted} replicas updated")
    if status.get("replicas", 0) > updated:
        return _progressing(f"{status['replicas'] - updated} old replicas are terminating")
    if available < updated:
        return _progressing(f"{available} of {wanted} replicas available")
    return _ready(f"{available} of {wanted} replicas available")


def _daemon_set(content: Mapping[str, Any]) -> Assessment:
    spec, status = content.get("spec") or {}, content.get("status") or {}
    wanted = status.get("desiredNumberScheduled", 0)
    updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
    if _is_unseen(content):
        return _progressing("the DaemonSet controller has not seen it yet")
    if (spec.get("updateStrategy") or {}).get("type") != "OnDelete" and updated < wanted:
        return _progressing(f"{updated} of {wanted} nodes updated")
    if available < wanted:
        return _progressing(f"available on {available} of {wanted} nodes")
    return _ready(f"available on {available} of {wanted} nodes")


def _claim(content: Mapping[str, Any]) -> Assessment:
    phase = (content.get("status") or {}).get("phase", "Pending")
    if phase == "Bound":
        return _ready("bound")
    if phase == "Lost":
        return _failed("its volume is lost")
    annotations = content["metadata"].get("annotations") or {}
    if not any(name in annotations for name in _PROVISIONING):
        return _ready("waits for its first consumer")
    return _progressing("waits for its volume")


_RULES: Mapping[ReadinessRule, Callable[[Mapping[str, Any]], Assessment]] = {
    ReadinessRule.DEPLOYMENT: _deployment,
    ReadinessRule.DAEMON_SET: _daemon_set,
    ReadinessRule.CLAIM: _claim,
}


def pods_message(pods: Iterable[Mapping[str, Any]]) -> str:
    """Why these pods are not ready, in words of their own: one sentence of the newest pod that has a reason, or ""."""
    newest_first = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)
    return next((message for pod in newest_first if (message := _pod_message(pod))), "")


def _pod_message(pod: Mapping[str, Any]) -> str:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"pod {name}: {scheduled.get('reason', 'Unschedulable')}: {scheduled.get('message', '')}"
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    reasons = (_container_message(container) for container in containers)
    if reason := next((reason for reason in reasons if reason), ""):
        return f"pod {name}: {reason}"
    if status.get("phase") in {"Failed", "Pending"} and (status.get("reason") or status.get("message")):
        return f"pod {name}: {status.get('reason', '')} {status.get('message', '')}".rstrip()
    ready = _condition(status, "Ready")
    if ready.get("status") == "False" and (ready.get("message") or ready.get("reason")):
        return f"pod {name}: {ready.get('message') or ready['reason']}"
    return ""


def _container_message(container: Mapping[str, Any]) -> str:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    if not reason or reason in {"ContainerCreating", "PodInitializing"}:
        return ""
    if "Image" in reason or reason == "RegistryUnavailable":
        return f"{reason}: image {container.get('image', '')}"
    ended = (container.get("lastState") or {}).get("terminated") or {}
    exit_code = f", last exit code {ended['exitCode']}" if "exitCode" in ended else ""
    return f"{reason}: container {container.get('name', '')} of image {container.get('image', '')}{exit_code}"


def _is_unseen(content: Mapping[str, Any]) -> bool:
    observed = (content.get("status") or {}).get("observedGeneration", 0)
    return bool(observed < content["metadata"].get("generation", 1))


def _condition(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((condition for condition in status.get("conditions") or [] if condition.get("type") == name), {})


def _ready(message: str) -> Assessment:
    return Assessment(ReadinessState.READY, message)


def _progressing(message: str) -> Assessment:
    return Assessment(ReadinessState.PROGRESSING, message)


def _failed(message: str) -> Assessment:
    return Assessment(ReadinessState.FAILED, message)
