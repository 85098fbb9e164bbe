"""What is there now? One snapshot of everything a plan compares with, read in parallel.

In: a client, the OrchestCluster's key, the keys that rendering wants. Out: `ClusterFacts`, `Snapshot`. Facts come
first, because rendering needs them and observation needs the rendered keys. Never: a write, or a decision about what
the observations mean.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson

from desired_state.facts import ClusterFacts, IngressClass, StorageClass
from desired_state.objects import KINDS, OWNER_ANNOTATION, PART_OF_LABEL, ObjectKey
from diff.snapshot import ObservedObject, Snapshot
from reconciler.cluster_client import CONNECTIONS, CRD, INGRESS_CLASS, NODE, STORAGE_CLASS
from reconciler.errors import CrdNotInstalled
from reconciler.status import read_inventory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from desired_state.objects import Kind
    from reconciler.cluster_client import ClusterClient, Content

_KUBE_SYSTEM = ObjectKey("", "Namespace", "", "kube-system")
_CRD = ObjectKey(CRD.group, CRD.kind, "", "orchestclusters.orchest.io")
_SOCKET_ANNOTATION = "kubeadm.alpha.kubernetes.io/cri-socket"
_DEFAULT_CLASS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)

_SELECTED = tuple(kind for kind in KINDS.values() if kind.kind not in {"Namespace", "OrchestCluster"})
"""Kinds whose objects are found by the label that everything of ours and of the original carries."""


def observe_facts(client: ClusterClient) -> ClusterFacts:
    """What rendering must know of the cluster. Raises ClusterError."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        kube_system = pool.submit(client.get, _KUBE_SYSTEM)
        version = pool.submit(client.version)
        nodes = pool.submit(client.list, NODE)
        ingress_classes = pool.submit(client.list, INGRESS_CLASS)
        storage_classes = pool.submit(client.list, STORAGE_CLASS)
    return derive_facts(
        nodes=nodes.result(),
        ingress_classes=ingress_classes.result(),
        storage_classes=storage_classes.result(),
        server_version=version.result()["gitVersion"],
        cluster_uid=(kube_system.result() or {}).get("metadata", {}).get("uid", ""),
    )


def observe(client: ClusterClient, cluster: ObjectKey, keys: Iterable[ObjectKey], facts: ClusterFacts) -> Snapshot:
    """Everything now there that is labelled as ours or the original's, in the inventory, or has one of the desired
    `keys`.

    Raises ClusterError.
    """
    taken_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        crd = pool.submit(client.get, _CRD)
        owner = pool.submit(_get_cluster, client, cluster)
        namespace = pool.submit(client.get, ObjectKey("", "Namespace", "", cluster.namespace))
        lists = pool.map(lambda kind: _list_selected(client, kind, cluster), _SELECTED)
        objects = {seen.key: seen for found in lists for seen in found}
        recorded = read_inventory((owner.result() or {}).get("status") or {})
        missing = sorted({*keys, *recorded} - objects.keys())
        alone = [owner.result(), namespace.result(), *pool.map(client.get, missing)]
        objects.update((seen.key, seen) for content in alone if content for seen in (observed(content),))
    return Snapshot(
        cluster=cluster,
        facts=facts,
        objects=objects,
        taken_at=taken_at,
        crd_hash=crd_hash(crd.result()),
    )


def observed(content: Mapping[str, Any]) -> ObservedObject:
    """One object of a snapshot from its whole JSON. Raises KeyError for a kind that is not in `KINDS`."""
    kind, metadata = KINDS[content["apiVersion"].rpartition("/")[0], content["kind"]], content["metadata"]
    key = ObjectKey(kind.group, kind.kind, metadata["namespace"] if kind.namespaced else "", metadata["name"])
    return ObservedObject(key, metadata["uid"], metadata["resourceVersion"], content)


def crd_hash(crd: Mapping[str, Any] | None) -> str:
    """Names one spec of the installed CRD; "" when it is not installed."""
    if crd is None:
        return ""
    return blake2b(orjson.dumps(crd["spec"], option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def _get_cluster(client: ClusterClient, cluster: ObjectKey) -> Content | None:
    try:
        return client.get(cluster)
    except CrdNotInstalled:
        return None  # Then there is no OrchestCluster; the snapshot says so by its empty crd_hash.


def _list_selected(client: ClusterClient, kind: Kind, cluster: ObjectKey) -> list[ObservedObject]:
    namespace = cluster.namespace if kind.namespaced else ""
    found = client.list(kind, namespace=namespace, labels={PART_OF_LABEL: "orchest"})
    mark = f"{cluster.namespace}/{cluster.name}"
    return [
        observed(content)
        for content in found
        # Cluster-wide, other clusters of ours have the label too.
        if kind.namespaced or (content["metadata"].get("annotations") or {}).get(OWNER_ANNOTATION) == mark
    ]


def derive_facts(
    *,
    nodes: Sequence[Mapping[str, Any]],
    ingress_classes: Sequence[Mapping[str, Any]],
    storage_classes: Sequence[Mapping[str, Any]],
    server_version: str,
    cluster_uid: str,
) -> ClusterFacts:
    """Pure: the same objects in any order give the same facts."""
    by_name = sorted(nodes, key=lambda node: str(node["metadata"]["name"]))
    return ClusterFacts(
        cluster_uid=cluster_uid,
        server_version=server_version,
        container_runtimes=tuple(sorted({runtime for node in nodes if (runtime := _runtime(node))})),
        node_socket=_annotations(by_name[0]).get(_SOCKET_ANNOTATION, "").removeprefix("unix://") if by_name else "",
        distribution=next((name for node in by_name for name in _distributions(node)), ""),
        ingress_classes=tuple(
            sorted(
                IngressClass(item["metadata"]["name"], (item.get("spec") or {}).get("controller", ""))
                for item in ingress_classes
            )
        ),
        storage_classes=tuple(sorted(map(_storage_class, storage_classes))),
    )


def _runtime(node: Mapping[str, Any]) -> str:
    """`containerd` of `containerd://1.7.0`; "" for a node whose kubelet never reported."""
    version = node.get("status", {}).get("nodeInfo", {}).get("containerRuntimeVersion", "")
    return str(version).partition("://")[0]


def _distributions(node: Mapping[str, Any]) -> Iterator[str]:
    """Whatever this node's labels, annotations, provider id, version and name give away."""
    labels = node["metadata"].get("labels") or {}
    provider = str((node.get("spec") or {}).get("providerID", ""))
    kubelet = str(node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", ""))
    if any(label.startswith("minikube.k8s.io/") for label in labels):
        yield "minikube"
    if "microk8s.io/cluster" in labels or "/snap/microk8s/" in _annotations(node).get(_SOCKET_ANNOTATION, ""):
        yield "microk8s"
    if any(label.startswith("eks.amazonaws.com/") for label in labels) or "-eks-" in kubelet:
        yield "eks"
    if any(label.startswith("cloud.google.com/gke-") for label in labels) or "-gke." in kubelet:
        yield "gke"
    if provider.startswith("k3s://") or "+k3s" in kubelet or labels.get("node.kubernetes.io/instance-type") == "k3s":
        yield "k3s"
    if node["metadata"]["name"] == "docker-desktop":
        yield "docker-desktop"


def _storage_class(item: Mapping[str, Any]) -> StorageClass:
    return StorageClass(
        name=item["metadata"]["name"],
        provisioner=item["provisioner"],
        is_default=any(_annotations(item).get(name) == "true" for name in _DEFAULT_CLASS),
        allows_expansion=bool(item.get("allowVolumeExpansion", False)),
        binding_mode=item.get("volumeBindingMode", "Immediate"),
    )


def _annotations(content: Mapping[str, Any]) -> Mapping[str, str]:
    return content["metadata"].get("annotations") or {}
