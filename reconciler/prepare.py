"""The reading half of a cycle: observe, render, plan. What `orchest plan` shows, and what `orchest apply` begins with.

In: an OrchestCluster, and a client or a saved snapshot. Out: `Prepared`. Never: a write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from desired_state.facts import ClusterFacts, IngressClass, StorageClass
from diff.plan import plan
from render.cluster import render

if TYPE_CHECKING:
    from desired_state.cluster import OrchestCluster
    from desired_state.masking import Masker
    from desired_state.objects import Json, ObjectKey, Rendering
    from diff.plan import Plan
    from diff.snapshot import Snapshot
    from reconciler.cluster_client import ClusterClient

ASSUMED_FACTS = ClusterFacts(
    cluster_uid="",
    server_version="",
    container_runtimes=("containerd",),
    node_socket="",
    distribution="",
    ingress_classes=(IngressClass("nginx", "k8s.io/ingress-nginx"),),
    storage_classes=(
        StorageClass("standard", "", is_default=True, allows_expansion=True, binding_mode="WaitForFirstConsumer"),
    ),
)
"""The usual cluster, for rendering without one."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything up to the first write."""

    rendering: Rendering
    snapshot: Snapshot
    plan: Plan


def prepare(cluster: OrchestCluster, client: ClusterClient, masker: Masker) -> Prepared:
    """From a server. Raises ClusterError."""
    from reconciler.observe import observe, observe_facts  # noqa: PLC0415 - offline nobody pays for a client

    facts = observe_facts(client)
    rendering = render(cluster, facts, former_registries=_registries(client.get(cluster.key)))
    snapshot = observe(client, cluster.key, [desired.manifest.key for desired in rendering.objects], facts)
    return Prepared(rendering, snapshot, plan(rendering, snapshot, masker=masker))


def prepare_offline(cluster: OrchestCluster, snapshot: Snapshot, masker: Masker) -> Prepared:
    """From a saved snapshot: no server, no client."""
    rendering = render(cluster, snapshot.facts, former_registries=observed_registries(snapshot, cluster.key))
    return Prepared(rendering, snapshot, plan(rendering, snapshot, masker=masker))


def observed_registries(snapshot: Snapshot, cluster: ObjectKey) -> tuple[str, ...]:
    """Registries that the cluster used before: images there are release images too (design, rule 4)."""
    observed = snapshot.objects.get(cluster)
    return _registries(observed.content if observed else None)


def _registries(observed: Json) -> tuple[str, ...]:
    return tuple(((observed or {}).get("status") or {}).get("registries") or ())
