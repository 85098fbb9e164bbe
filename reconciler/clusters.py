"""The OrchestClusters that are on a server: all of them, or one as if it were what Git says.

In: a client, or an OrchestCluster as the server told it. Out: its JSON, or an `OrchestCluster` to be planned for. Who
plans for the cluster's own spec sees the drift of its objects alone. Never: a write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from desired_state.document import load_clusters
from desired_state.objects import GROUP, KINDS, ObjectKey
from diff.owned_paths import OWNED_PATHS_ANNOTATION
from reconciler.errors import CrdNotInstalled, Forbidden, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from desired_state.cluster import OrchestCluster
    from reconciler.cluster_client import ClusterClient, Content

KIND = KINDS[GROUP, "OrchestCluster"]
_NAMESPACE = KINDS["", "Namespace"]
_UNSENT = ("status",)


def cluster_key(namespace: str, name: str) -> ObjectKey:
    return ObjectKey(GROUP, KIND.kind, namespace, name)


def list_clusters(client: ClusterClient) -> list[Content]:
    """By namespace and name: in all namespaces, or in those in which we may list. None without the CRD.

    Raises ClusterError; Forbidden only where neither clusters nor namespaces may be listed.
    """
    try:
        found = client.list(KIND)
    except CrdNotInstalled:
        return []
    except Forbidden:
        found = list(_where_permitted(client))
    return sorted(found, key=lambda content: (content["metadata"]["namespace"], content["metadata"]["name"]))


def observed_cluster(client: ClusterClient, key: ObjectKey) -> Content:
    """As it is now. Raises NotFound, ClusterError."""
    try:
        content = client.get(key)
    except CrdNotInstalled:
        content = None
    if content is None:
        raise NotFound("There is no such OrchestCluster.")
    return content


def server_uid(client: ClusterClient) -> str:
    """Of the Kubernetes cluster: uid of its namespace kube-system, "" when it is not to be seen."""
    content = client.get(ObjectKey("", "Namespace", "", "kube-system"))
    return str(content["metadata"]["uid"]) if content else ""


def manifest_text(content: Mapping[str, Any]) -> str:
    """The OrchestCluster as JSON, without what it reports of itself and what our applies note on it."""
    metadata = content["metadata"]
    annotations = {**(metadata.get("annotations") or {})}
    annotations.pop(OWNED_PATHS_ANNOTATION, None)
    wanted = {name: value for name, value in content.items() if name not in _UNSENT}
    return orjson.dumps({**wanted, "metadata": {**metadata, "annotations": annotations}}).decode()


def as_desired(content: Mapping[str, Any]) -> OrchestCluster:
    """What is there, as what was asked for. Raises DesiredStateError for what this release would not accept."""
    (cluster,) = load_clusters([(KIND.kind, manifest_text(content))])
    return cluster


def paused(content: Mapping[str, Any]) -> Content:
    """The same with `spec.orchest.pause` set."""
    return _with_orchest(content, {**_orchest(content), "pause": True})


def resumed(content: Mapping[str, Any]) -> Content:
    """The same with `spec.orchest.pause` left out, which is what it means when Git does not name it."""
    return _with_orchest(content, {name: value for name, value in _orchest(content).items() if name != "pause"})


def is_paused(content: Mapping[str, Any]) -> bool:
    return bool(_orchest(content).get("pause"))


def _orchest(content: Mapping[str, Any]) -> Mapping[str, Any]:
    return (content.get("spec") or {}).get("orchest") or {}


def _with_orchest(content: Mapping[str, Any], orchest: Mapping[str, Any]) -> Content:
    return {**content, "spec": {**(content.get("spec") or {}), "orchest": dict(orchest)}}


def _where_permitted(client: ClusterClient) -> Iterator[Content]:
    for namespace in client.list(_NAMESPACE):
        try:
            yield from client.list(KIND, namespace=namespace["metadata"]["name"])
        except Forbidden:
            continue
