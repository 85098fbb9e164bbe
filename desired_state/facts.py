"""What rendering must know of the cluster it renders for, as one value.

Observed by the shell, kept in every snapshot and compared by the stale check, so `render(cluster, facts)` stays pure.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class IngressClass:
    name: str
    controller: str


@dataclass(frozen=True, slots=True, order=True)
class StorageClass:
    name: str
    provisioner: str
    is_default: bool
    allows_expansion: bool
    binding_mode: str


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """All tuples are sorted, so that equal clusters have equal facts."""

    cluster_uid: str
    """uid of the namespace kube-system: the usual identity of a Kubernetes cluster."""
    server_version: str
    """gitVersion, e.g. `v1.34.4`."""
    container_runtimes: tuple[str, ...]
    """Distinct runtime names over all nodes: `("containerd",)`. More than one means not homogeneous."""
    node_socket: str
    """The kubeadm cri-socket annotation of the first node (by name) without `unix://`, or ""."""
    distribution: str
    """"", minikube, microk8s, eks, gke, k3s or docker-desktop."""
    ingress_classes: tuple[IngressClass, ...] = ()
    storage_classes: tuple[StorageClass, ...] = ()
