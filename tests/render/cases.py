"""What the tests of `render` render: facts, clusters made from plain specs, and the golden cases.

A golden case is `golden/<case>.yaml` (cluster and facts) and `golden/<case>.json` (the rendering). After a deliberate
change, `python -m tests.render.cases` writes the JSON files anew; the difference in Git is what is reviewed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from desired_state.cluster import OrchestCluster, OrchestClusterSpec
from desired_state.facts import ClusterFacts, IngressClass, StorageClass
from desired_state.objects import Unknown
from render import render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.objects import Rendering

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))

STANDARD = StorageClass(
    "standard", "orchest.io/local", is_default=True, allows_expansion=True, binding_mode="Immediate"
)
FACTS = ClusterFacts(
    cluster_uid="00000000-0000-0000-0000-000000000001",
    server_version="v1.34.4",
    container_runtimes=("containerd",),
    node_socket="",
    distribution="",
    ingress_classes=(IngressClass("nginx", "k8s.io/ingress-nginx"),),
    storage_classes=(STANDARD,),
)
WITH_DOCKER = replace(FACTS, container_runtimes=("docker",))


def cluster(
    spec: Mapping[str, Any],
    annotations: Mapping[str, str] | None = None,
    *,
    name: str = "cluster-1",
    namespace: str = "orchest",
) -> OrchestCluster:
    metadata = {"name": name, "namespace": namespace, "annotations": dict(annotations or {})}
    document = {"apiVersion": "orchest.io/v1alpha1", "kind": "OrchestCluster", "metadata": metadata, "spec": spec}
    return _cluster(document)


def golden(case: str) -> tuple[OrchestCluster, ClusterFacts]:
    given = YAML(typ="safe").load(GOLDEN / f"{case}.yaml")
    facts = given["facts"]
    return _cluster(given["cluster"]), ClusterFacts(
        cluster_uid=facts["cluster_uid"],
        server_version=facts["server_version"],
        container_runtimes=tuple(facts["container_runtimes"]),
        node_socket=facts["node_socket"],
        distribution=facts["distribution"],
        ingress_classes=tuple(sorted(IngressClass(**each) for each in facts.get("ingress_classes", ()))),
        storage_classes=tuple(sorted(StorageClass(**each) for each in facts.get("storage_classes", ()))),
    )


def rendering_text(rendering: Rendering) -> str:
    """All of a rendering as JSON; what is unknown before the first apply stands as `<unknown ...>`."""
    content = {
        "images": {each.component: f"{each.image} ({each.source})" for each in rendering.images},
        "notes": [f"{each.severity}: {each.code}: {each.path}: {each.message}" for each in rendering.notes],
        "objects": {str(each.manifest.key): each.manifest.content for each in rendering.objects},
    }
    return json.dumps(content, indent=1, default=_shown) + "\n"


def _shown(leaf: Any) -> str:
    assert isinstance(leaf, Unknown), leaf
    return leaf.resolved(f"<unknown {leaf.value}>")


def _cluster(document: Mapping[str, Any]) -> OrchestCluster:
    metadata = document["metadata"]
    return OrchestCluster(
        namespace=metadata["namespace"],
        name=metadata["name"],
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        spec=OrchestClusterSpec.model_validate(document["spec"]),
        document=document,
    )


if __name__ == "__main__":
    for each in CASES:
        (GOLDEN / f"{each}.json").write_text(rendering_text(render(*golden(each))))
