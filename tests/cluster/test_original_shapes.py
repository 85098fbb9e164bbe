"""Manifests that the original's users have, and clusters that the original made, on a Kubernetes that runs them.

Each shape is planned, applied, becomes ready, and asks for nothing more. What the original left behind in a namespace
is taken over where it stands: claims keep their data, workloads end up as ours and nothing of the old ones runs on.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from desired_state.objects import ObjectKey
from diff.action import WRITES, ReadinessRule, Verb
from diff.plan import plan
from reconciler.observe import observe
from reconciler.prepare import Prepared, prepare
from render import render
from tests.cluster.workbench import MASKER, client_of, facts_of, quickly, workbench
from tests.cluster.workbench import Prepared as Unhurried
from tests.render.cases import cluster as cluster_of
from tests.render.cases import golden

if TYPE_CHECKING:
    from collections.abc import Iterator

    from desired_state.cluster import OrchestCluster
    from desired_state.facts import ClusterFacts
    from dev.cluster.launcher import Cluster

SHAPES = ["docker", "microk8s", "minimal", "original_defaults", "without_argo", "without_registry"]
THERE = {
    '"(fast|shared)"': '"standard"',
    r'"example.com/plane": "(control|worker)"': '"kubernetes.io/os": "linux"',
    r'nodeSelector.example\\\\.com/plane", "value": "control"': r'nodeSelector.kubernetes\\\\.io/os", "value": "linux"',
    '"disk": "(ssd|nvme)"': '"kubernetes.io/arch": "amd64"',
}
"""What a golden case names, and what the local cluster has for it."""
LABELS = {
    "controller.orchest.io/part-of": "orchest",
    "controller.orchest.io/component": "orchest-api",
    "controller.orchest.io/owner": "orchest-api",
}
FINALIZER = "controller.orchest.io"
ORIGINAL = "orchest-controller"
"""The original's field manager has our name; it writes by update, we by apply, which the server keeps apart."""
TIMEOUT_SECONDS = 120


def given(case: str, namespace: str) -> OrchestCluster:
    """A golden case in this namespace, for the nodes and the StorageClass that there are."""
    document = golden(case)[0].document
    text = json.dumps(document["spec"])
    for pattern, there in THERE.items():
        text = re.sub(pattern, there, text)
    spec = json.loads(text)
    return cluster_of(spec, document["metadata"].get("annotations"), namespace=namespace)


def facts_for(case: str, real: ClusterFacts) -> ClusterFacts:
    """The simulated nodes run containerd; a case may have others."""
    wanted = golden(case)[1]
    return replace(real, container_runtimes=wanted.container_runtimes, distribution=wanted.distribution)


def prepared_for(cluster: OrchestCluster, facts: ClusterFacts, server: Cluster) -> Prepared:
    rendering = render(cluster, facts)
    keys = [desired.manifest.key for desired in rendering.objects]
    snapshot = observe(client_of(server.kubeconfig), cluster.key, keys, facts)
    return Prepared(rendering, snapshot, plan(rendering, snapshot, masker=MASKER))


def apply_and_wait(prepared: Prepared, server: Cluster) -> None:
    rules = (ReadinessRule.DEPLOYMENT, ReadinessRule.DAEMON_SET, ReadinessRule.CLAIM)
    patient = quickly(Unhurried(prepared.plan, prepared.rendering, prepared.snapshot), *rules, timeout=TIMEOUT_SECONDS)
    applied = workbench(server, prepared.plan.cluster.namespace).apply(patient)
    assert applied.exit_code == 0, applied.message


@pytest.fixture
def clean_cluster(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A namespace; what a rendering makes outside of it goes at the end."""
    yield namespace
    for plural in ("clusterroles", "clusterrolebindings"):
        collection = f"/apis/rbac.authorization.k8s.io/v1/{plural}"
        for item in cluster.api.get(collection, labelSelector="controller.orchest.io/part-of=orchest").expect(200)[
            "items"
        ]:
            if namespace in item["metadata"]["name"]:
                cluster.api.delete(f"{collection}/{item['metadata']['name']}").expect(200)


@pytest.mark.parametrize("case", SHAPES)
def test_a_manifest_of_the_original_is_applied_becomes_ready_and_asks_for_nothing_more(
    case: str, cluster: Cluster, clean_cluster: str
) -> None:
    wanted, facts = given(case, clean_cluster), facts_for(case, facts_of(cluster.kubeconfig))

    apply_and_wait(prepared_for(wanted, facts, cluster), cluster)

    assert prepared_for(wanted, facts, cluster).plan.actions == ()
    path = f"/apis/orchest.io/v1alpha1/namespaces/{clean_cluster}/orchestclusters/{wanted.name}"
    found = cluster.api.get(path).expect(200)
    assert found["status"]["state"] == "Running"
    assert found["spec"] == wanted.document["spec"]
    ready = [each for each in found["status"]["conditions"] if each["type"] == "Ready"]
    assert [each["status"] for each in ready] == ["True"]


# A cluster that the original made


def original_cluster(namespace: str) -> dict[str, Any]:
    """The OrchestCluster as the original's controller left it: its defaults in the spec, its finalizer."""
    document = deepcopy(dict(golden("original_defaults")[0].document))
    metadata = {**document["metadata"], "namespace": namespace, "finalizers": [FINALIZER]}
    return {**document, "metadata": metadata}


def original_claim() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "userdir-pvc", "labels": {**LABELS, "controller.orchest.io/component": "cluster-1"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "50Gi"}}},
    }


def original_deployment(selector: dict[str, str]) -> dict[str, Any]:
    container = {
        "name": "orchest-api",
        "image": "orchest/orchest-api:v2022.10.5",
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 80}],
        "env": [{"name": "FLASK_ENV", "value": "production"}, {"name": "OF_THE_ORIGINAL", "value": "1"}],
        "volumeMounts": [{"name": "userdir-pvc", "mountPath": "/userdir"}],
    }
    volumes = [{"name": "userdir-pvc", "persistentVolumeClaim": {"claimName": "userdir-pvc"}}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "orchest-api", "labels": {**LABELS, "orchest.io/deployment-hash": "1234567"}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": selector},
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [container], "volumes": volumes}},
        },
    }


def original_service() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "orchest-api", "labels": LABELS},
        "spec": {"selector": LABELS, "ports": [{"port": 80, "targetPort": 80}]},
    }


def made_by_the_original(server: Cluster, namespace: str, selector: dict[str, str]) -> str:
    """Returns the uid of the user directory's claim."""
    objects = {
        f"/apis/orchest.io/v1alpha1/namespaces/{namespace}/orchestclusters": original_cluster(namespace),
        f"/apis/apps/v1/namespaces/{namespace}/deployments": original_deployment(selector),
        f"/api/v1/namespaces/{namespace}/services": original_service(),
    }
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    claim = server.api.post(claims, original_claim(), fieldManager=ORIGINAL).expect(201)
    for collection, body in objects.items():
        server.api.post(collection, body, fieldManager=ORIGINAL).expect(201)
    path = f"/apis/orchest.io/v1alpha1/namespaces/{namespace}/orchestclusters/cluster-1"
    status = {
        "status": {"state": "Running", "observedGeneration": 1, "conditions": [{"event": "deploying orchest-api"}]}
    }
    server.api.patch(f"{path}/status", status).expect(200)
    uid: str = claim["metadata"]["uid"]
    return uid


@pytest.fixture
def released_cluster(cluster: Cluster, clean_cluster: str) -> Iterator[str]:
    """A namespace whose OrchestCluster loses the original's finalizer at the end: nobody else would remove it."""
    yield clean_cluster
    path = f"/apis/orchest.io/v1alpha1/namespaces/{clean_cluster}/orchestclusters/cluster-1"
    cluster.api.patch(path, {"metadata": {"finalizers": None}}).expect(200)


@pytest.mark.parametrize(
    "selector",
    [{key: LABELS[key] for key in sorted(LABELS) if not key.endswith("owner")}, LABELS],
    ids=["our selector", "another selector"],
)
def test_a_cluster_that_the_original_made_is_taken_over_with_its_data(
    selector: dict[str, str], cluster: Cluster, released_cluster: str
) -> None:
    namespace = released_cluster
    client = client_of(cluster.kubeconfig)
    facts_of(cluster.kubeconfig)
    uid = made_by_the_original(cluster, namespace, selector)
    wanted = given("original_defaults", namespace)

    first = prepare(wanted, client, MASKER)
    verbs = {action.key.kind: action.verb for action in first.plan.actions if action.precondition.uid}
    assert verbs == {
        "OrchestCluster": Verb.UPDATE,
        "PersistentVolumeClaim": Verb.ADOPT,
        "Deployment": Verb.REPLACE,
        "Service": Verb.ADOPT,
    }
    apply_and_wait(first, cluster)

    again = prepare(wanted, client, MASKER)
    assert [action for action in again.plan.actions if action.verb in WRITES] == []
    assert again.snapshot.objects[ObjectKey("", "PersistentVolumeClaim", namespace, "userdir-pvc")].uid == uid
    deployed = again.snapshot.objects[ObjectKey("apps", "Deployment", namespace, "orchest-api")].content
    desired = {each.manifest.key: each.manifest.content for each in again.rendering.objects}
    assert "OF_THE_ORIGINAL" not in json.dumps(deployed)
    for field in ("containers", "volumes"):
        ours = desired[ObjectKey("apps", "Deployment", namespace, "orchest-api")]["spec"]["template"]["spec"][field]
        there = deployed["spec"]["template"]["spec"][field]
        assert [each["name"] for each in there] == [each["name"] for each in ours]
    status = again.snapshot.objects[wanted.key].content["status"]
    assert status["state"] == "Running"


def test_an_object_of_the_same_name_that_nobody_marked_is_never_adopted(cluster: Cluster, clean_cluster: str) -> None:
    foreign = original_service()
    del foreign["metadata"]["labels"]
    cluster.api.post(f"/api/v1/namespaces/{clean_cluster}/services", foreign).expect(201)
    facts_of(cluster.kubeconfig)

    refusals = prepare(given("minimal", clean_cluster), client_of(cluster.kubeconfig), MASKER).plan.notes

    assert [(note.code, note.path) for note in refusals if note.severity == "refusal"] == [
        ("not-ours", f"Service/{clean_cluster}/orchest-api")
    ]
