"""What a fresh local cluster holds: its classes, its simulated nodes, and how simulated pods live.

In comes what kind of nodes are wanted, out come Kubernetes objects as plain JSON values, each with the path it is
posted to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PROVISIONER = "local.orchest.io/hostpath"
INGRESS_CONTROLLER = "k8s.io/ingress-nginx"
SIMULATED_NODE = {"kwok.x-k8s.io/node": "fake"}
_STAGE_GROUP = "kwok.x-k8s.io"

Posted = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class NodeShape:
    """The simulated nodes: how many, and what each says about itself. A runtime is written as in a node's status."""

    count: int = 3
    runtime: str = "containerd://1.7.0"
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)


def classes() -> list[Posted]:
    """The default StorageClass, which waits for its first consumer and may grow, and the nginx IngressClass."""
    storage = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
        "allowVolumeExpansion": True,
    }
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "nginx"},
        "spec": {"controller": INGRESS_CONTROLLER},
    }
    return [("/apis/storage.k8s.io/v1/storageclasses", storage), ("/apis/networking.k8s.io/v1/ingressclasses", ingress)]


def nodes(shape: NodeShape, kubernetes_version: str) -> list[Posted]:
    """Nodes that are Ready from the start; kwok renews their leases and plays their pods."""
    return [
        ("/api/v1/nodes", _node(f"node-{number}", number, shape, kubernetes_version))
        for number in range(1, shape.count + 1)
    ]


def _node(name: str, number: int, shape: NodeShape, kubernetes_version: str) -> dict[str, Any]:
    size = {"cpu": "32", "memory": "256Gi", "pods": "500", "ephemeral-storage": "1Ti"}
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels | shape.labels, "annotations": SIMULATED_NODE | shape.annotations},
        "status": {
            "allocatable": size,
            "capacity": size,
            "addresses": [{"type": "InternalIP", "address": f"10.0.0.{number}"}, {"type": "Hostname", "address": name}],
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "Simulated", "message": "kwok plays this node"}
            ],
            "nodeInfo": {
                "architecture": "amd64",
                "operatingSystem": "linux",
                "osImage": "simulated",
                "kernelVersion": "simulated",
                "containerRuntimeVersion": shape.runtime,
                "kubeletVersion": kubernetes_version,
                "kubeProxyVersion": kubernetes_version,
                "bootID": "",
                "machineID": "",
                "systemUUID": "",
            },
        },
    }


def stage_definition() -> Posted:
    """The CRD of kwok's Stages: by applying one, anybody can delay, fail or finish pods of a running cluster."""
    names = {"kind": "Stage", "listKind": "StageList", "plural": "stages", "singular": "stage"}
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": free, "status": free}}},
        "subresources": {"status": {}},
    }
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"stages.{_STAGE_GROUP}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, local use only"},
        },
        "spec": {"group": _STAGE_GROUP, "scope": "Cluster", "names": names, "versions": [version]},
    }
    return "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition


def stages() -> list[Posted]:
    """How a simulated pod lives: ready at once, finished at once when a Job owns it, gone when deleted.

    They weigh nothing, so an own Stage for the same pods with weight 1 takes their place; and a pod to which any other
    Stage has given container statuses is never made ready.
    """
    return [
        _stage(
            "pod-ready",
            {".metadata.deletionTimestamp": None, ".status.containerStatuses": None},
            {"statusTemplate": _POD_READY},
        ),
        _stage(
            "pod-complete",
            {
                ".metadata.deletionTimestamp": None,
                ".status.phase": "Running",
                ".metadata.ownerReferences.[].kind": "Job",
            },
            {"statusTemplate": _POD_COMPLETE},
        ),
        _stage("pod-delete", {".metadata.deletionTimestamp": "*"}, {"finalizers": {"empty": True}, "delete": True}),
        # Without a Stage for nodes kwok takes no node under its care, and renews no lease.
        _stage("node-settle", {".status.phase": None}, {"statusTemplate": "phase: Running"}, kind="Node"),
    ]


def _stage(name: str, selector: dict[str, str | None], effect: dict[str, Any], kind: str = "Pod") -> Posted:
    """A Stage whose selector maps a path to the value it must have; "*" for any value, None for none."""
    stage = {
        "apiVersion": f"{_STAGE_GROUP}/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": [_expression(path, value) for path, value in selector.items()]},
            "next": effect,
        },
    }
    return f"/apis/{_STAGE_GROUP}/v1alpha1/stages", stage


def _expression(path: str, value: str | None) -> dict[str, Any]:
    match value:
        case None:
            return {"key": path, "operator": "DoesNotExist"}
        case "*":
            return {"key": path, "operator": "Exists"}
        case _:
            return {"key": path, "operator": "In", "values": [value]}


_POD_READY = """
{{ $now := Now }}
phase: Running
startTime: {{ $now | Quote }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) | Quote }}
conditions:
{{ range $type := ( list "Initialized" "ContainersReady" "Ready" ) }}
- { type: {{ $type }}, status: "True", lastTransitionTime: {{ $now | Quote }} }
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: true
  started: true
  restartCount: 0
  state: { running: { startedAt: {{ $now | Quote }} } }
{{ end }}
initContainerStatuses:
{{ range .spec.initContainers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: true
  restartCount: 0
  state:
    terminated: { exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }} }
{{ end }}
"""  # noqa: E501 - a template's line cannot be broken

_POD_COMPLETE = """
{{ $now := Now }}
phase: Succeeded
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: false
  started: false
  restartCount: 0
  state:
    terminated: { exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }} }
{{ end }}
"""
