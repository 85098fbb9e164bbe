"""A namespace full of what the original made, every component of it, taken over on a real Kubernetes.

The objects are as the original's controller wrote them: its labels, three of them as selector, HTTP probes, containers
and variables that are gone today, Ingresses with its annotations, one claim for everything. Workloads are replaced, for
the original's fields would live on in them; everything else keeps its uid, and its address.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from desired_state.objects import ObjectKey
from diff.action import ABSENT, WRITES, Cause, Reason, Verb
from reconciler.prepare import prepare
from tests.cluster.test_original_shapes import ORIGINAL, apply_and_wait, given, original_claim, original_cluster
from tests.cluster.workbench import MASKER, client_of, facts_of
from tests.render.cases import cluster as cluster_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dev.cluster.launcher import Cluster
    from reconciler.prepare import Prepared

IMAGES = {"orchest-database": "postgres:13.1", "rabbitmq-server": "rabbitmq:3"}
PORTS = {
    "orchest-database": 5432,
    "rabbitmq-server": 5672,
    "orchest-api": 80,
    "auth-server": 80,
    "orchest-webserver": 80,
}
DEPLOYMENTS = (*PORTS, "celery-worker")
DAEMON_SETS = ("buildkit-daemon", "node-agent")
PATHS = {"orchest-api": "/orchest-api(/|$)(.*)", "auth-server": "/login", "orchest-webserver": "/"}
STATE = {
    "orchest-database": ("/userdir/.orchest/database/data", ".orchest/database/data"),
    "rabbitmq-server": ("/var/lib/rabbitmq/mnesia", ".orchest/rabbitmq-mnesia"),
}
COPIED = {"controller.orchest.io/k8s": "minikube", "orchest.io/restart": "true"}
"""The original copied its OrchestCluster's annotations onto everything."""
NGINX = "nginx.ingress.kubernetes.io"
COLLECTIONS = {
    "Service": "/api/v1/namespaces/{}/services",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
    "OrchestCluster": "/apis/orchest.io/v1alpha1/namespaces/{}/orchestclusters",
}
GROUPS = {"Deployment": "apps", "DaemonSet": "apps", "Ingress": "networking.k8s.io", "OrchestCluster": "orchest.io"}
DECISIONS = {
    "Deployment": (Verb.REPLACE, Reason.ORIGINAL_OBJECT),
    "DaemonSet": (Verb.REPLACE, Reason.ORIGINAL_OBJECT),
    "OrchestCluster": (Verb.UPDATE, Reason.DESIRED_CHANGED),
    "PersistentVolumeClaim": (Verb.ADOPT, Reason.EXISTING_CLAIM),
    "Secret": (Verb.GENERATE, Reason.CONTENT_OUTDATED),
}


def metadata(name: str, **annotations: str) -> dict[str, Any]:
    return {"name": name, "labels": labels(name), "annotations": {**COPIED, **annotations}}


def labels(name: str) -> dict[str, str]:
    marks = {"part-of": "orchest", "component": name, "owner": name}
    return {f"controller.orchest.io/{mark}": text for mark, text in marks.items()}


def pod(name: str) -> dict[str, Any]:
    path, sub_path = STATE.get(name, ("/userdir", ""))
    container: dict[str, Any] = {
        "name": name,
        "image": IMAGES.get(name, f"orchest/{name}:v2022.10.5"),
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "FLASK_ENV", "value": "production"}, {"name": "OF_THE_ORIGINAL", "value": "1"}],
        "volumeMounts": [{"name": "userdir-pvc", "mountPath": path, "subPath": sub_path}],
    }
    if name in PORTS:
        container["ports"] = [{"containerPort": PORTS[name]}]
        container["readinessProbe"] = {"httpGet": {"path": "/api", "port": PORTS[name]}, "timeoutSeconds": 20}
    streamer = {"name": "log-streamer", "image": container["image"], "command": ["python", "log_streamer.py"]}
    return {
        "containers": [container, *([streamer] if name == "orchest-webserver" else [])],
        "volumes": [{"name": "userdir-pvc", "persistentVolumeClaim": {"claimName": "userdir-pvc"}}],
        "dnsConfig": {"options": [{"name": "timeout", "value": "10"}, {"name": "attempts", "value": "5"}]},
    }


def workload(kind: str, name: str) -> dict[str, Any]:
    """The database alone recreated its pods; everything else rolled by default."""
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels(name)},
        "template": {"metadata": {"labels": labels(name)}, "spec": pod(name)},
    }
    if kind == "Deployment":
        spec["replicas"] = 1
    if name == "orchest-database":
        spec["strategy"] = {"type": "Recreate"}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata(name), "spec": spec}


def service(name: str) -> dict[str, Any]:
    spec = {"selector": labels(name), "ports": [{"port": PORTS[name], "targetPort": PORTS[name]}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(name), "spec": spec}


def ingress(name: str) -> dict[str, Any]:
    annotations = {f"{NGINX}/proxy-body-size": "0", f"{NGINX}/auth-signin": "/login"}
    if name == "orchest-api":
        annotations[f"{NGINX}/rewrite-target"] = "/$2"
    backend = {"service": {"name": name, "port": {"number": 80}}}
    path = {"path": PATHS[name], "pathType": "Prefix", "backend": backend}
    spec = {"ingressClassName": "nginx", "rules": [{"http": {"paths": [path]}}]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata(name, **annotations),
        "spec": spec,
    }


def certificate() -> dict[str, Any]:
    old = base64.b64encode(b"old").decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "registry-tls-secret", "labels": {"app": "docker-registry"}},
        "type": "kubernetes.io/tls",
        "data": {"ca.crt": old, "tls.crt": old, "tls.key": old},
    }


def account(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(name)}


def registry_claim() -> dict[str, Any]:
    requests = {"requests": {"storage": "25Gi"}}
    return {**original_claim(), "spec": {"accessModes": ["ReadWriteOnce"], "resources": requests}}


def of_helm(content: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The same as an object of the registry's release, which the original had Helm install."""
    release = {
        "meta.helm.sh/release-name": f"{namespace}-docker-registry",
        "meta.helm.sh/release-namespace": namespace,
    }
    marks = {"app": "docker-registry", "app.kubernetes.io/managed-by": "Helm"}
    return {**content, "metadata": {"name": "docker-registry", "labels": marks, "annotations": release}}


def everything(namespace: str) -> list[dict[str, Any]]:
    """In the original's order. A HTTP probe stood on some ports only; here it stands on all, which is harder."""
    return [
        original_cluster(namespace),
        original_claim(),
        of_helm(registry_claim(), namespace),
        certificate(),
        *(account(name) for name in ("orchest-api", "celery-worker")),
        *(workload("Deployment", name) for name in DEPLOYMENTS),
        *(workload("DaemonSet", name) for name in DAEMON_SETS),
        *(service(name) for name in PORTS),
        *(ingress(name) for name in PATHS),
    ]


def make(server: Cluster, namespace: str, *contents: dict[str, Any]) -> dict[ObjectKey, str]:
    """uid by key. The OrchestCluster comes first, and owns the rest."""
    uids: dict[ObjectKey, str] = {}
    owner = {"apiVersion": "orchest.io/v1alpha1", "kind": "OrchestCluster", "name": "cluster-1"}
    for content in contents:
        uid = uids.get(key("OrchestCluster", namespace, "cluster-1"))
        references = [{**owner, "uid": uid, "controller": True, "blockOwnerDeletion": True}] if uid else []
        owned = {**content, "metadata": {**content["metadata"], "ownerReferences": references}}
        collection = COLLECTIONS[content["kind"]].format(namespace)
        stored = server.api.post(collection, owned, fieldManager=ORIGINAL).expect(201)
        uids[key(content["kind"], namespace, content["metadata"]["name"])] = stored["metadata"]["uid"]
    return uids


def key(kind: str, namespace: str, name: str) -> ObjectKey:
    return ObjectKey(GROUPS.get(kind, ""), kind, namespace, name)


@pytest.fixture
def place(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A namespace; at the end its OrchestCluster loses the original's finalizer, and what lies outside goes."""
    facts_of(cluster.kubeconfig)
    yield namespace
    path = f"{COLLECTIONS['OrchestCluster'].format(namespace)}/cluster-1"
    cluster.api.patch(path, {"metadata": {"finalizers": None}}).expect(200, 404)
    for plural in ("clusterroles", "clusterrolebindings"):
        collection = f"/apis/rbac.authorization.k8s.io/v1/{plural}"
        found = cluster.api.get(collection, labelSelector="controller.orchest.io/part-of=orchest").expect(200)
        for name in (item["metadata"]["name"] for item in found["items"]):
            if namespace in name:
                cluster.api.delete(f"{collection}/{name}").expect(200)


def prepared(server: Cluster, namespace: str) -> Prepared:
    return prepare(given("original_defaults", namespace), client_of(server.kubeconfig), MASKER)


def refusals(of: Prepared) -> list[tuple[str, str, str]]:
    return [(note.code, note.path, note.message) for note in of.plan.notes if note.severity == "refusal"]


def test_everything_that_the_original_made_is_taken_over(cluster: Cluster, place: str) -> None:
    uids = make(cluster, place, *everything(place))

    first = prepared(cluster, place)
    assert refusals(first) == []
    assert ("helm-claim", f"PersistentVolumeClaim/{place}/docker-registry") in [
        (note.code, note.path) for note in first.plan.notes
    ]
    decided = {action.key: action for action in first.plan.actions if action.key in uids}
    assert decided.keys() == uids.keys()
    for found, action in decided.items():
        assert (action.verb, action.reason) == DECISIONS.get(found.kind, (Verb.ADOPT, Reason.ORIGINAL_OBJECT)), found
    assert "volumes stay" in decided[key("Deployment", place, "orchest-api")].explanation
    apply_and_wait(first, cluster)

    again = prepared(cluster, place)
    assert [(action.verb, str(action.key)) for action in again.plan.actions] == []
    now = {found.key: found for found in again.snapshot.objects.values()}
    for found, uid in uids.items():
        assert (now[found].uid == uid) is (found.kind not in {"Deployment", "DaemonSet"}), found
    desired = {each.manifest.key: each.manifest.content for each in again.rendering.objects}
    for found in uids:
        if found.kind in {"Deployment", "DaemonSet"}:
            assert_same_entries(
                now[found].content["spec"]["template"]["spec"], desired[found]["spec"]["template"]["spec"]
            )
    assert [port["port"] for port in now[key("Service", place, "rabbitmq-server")].content["spec"]["ports"]] == [6379]
    guarded = now[key("Ingress", place, "orchest-api")].content["metadata"]["annotations"]
    assert f"{NGINX}/auth-signin" not in guarded
    assert now[given("original_defaults", place).key].content["status"]["state"] == "Running"
    assert_only_ours_run(cluster, place)
    for name in ("userdir-pvc", "docker-registry"):
        claim = now[key("PersistentVolumeClaim", place, name)].content
        assert not claim["metadata"].get("ownerReferences"), "it would be deleted with the OrchestCluster"


def assert_same_entries(there: dict[str, Any], ours: dict[str, Any]) -> None:
    assert [each["name"] for each in there["containers"]] == [each["name"] for each in ours["containers"]]
    assert [each["name"] for each in there.get("volumes") or []] == [each["name"] for each in ours.get("volumes") or []]
    for container, wanted in zip(there["containers"], ours["containers"], strict=True):
        assert [each["name"] for each in container.get("env") or []] == [
            each["name"] for each in wanted.get("env") or []
        ]
        for probe in ("readinessProbe", "livenessProbe"):
            handlers = {"exec", "httpGet", "tcpSocket"}
            assert handlers & (container.get(probe) or {}).keys() == handlers & (wanted.get(probe) or {}).keys()


def assert_only_ours_run(cluster: Cluster, namespace: str) -> None:
    pods = cluster.api.get(f"/api/v1/namespaces/{namespace}/pods").expect(200)["items"]
    variables = [
        entry["name"] for pod in pods for container in pod["spec"]["containers"] for entry in container.get("env", [])
    ]
    assert variables
    assert "OF_THE_ORIGINAL" not in variables


def test_a_field_that_the_original_set_as_we_do_changes_later_without_a_conflict(cluster: Cluster, place: str) -> None:
    """Both hold it after the takeover, and the server names the original in a conflict under our own name."""
    make(cluster, place, original_cluster(place), original_claim(), service("orchest-api"), ingress("auth-server"))
    apply_and_wait(prepared(cluster, place), cluster)

    document = dict(given("original_defaults", place).document)
    orchest = {**document["spec"]["orchest"], "orchestHost": "other.example.com", "version": "v2022.10.4"}
    assert orchest["version"] != document["spec"]["orchest"]["version"]
    changed = cluster_of({**document["spec"], "orchest": orchest}, None, namespace=place)
    apply_and_wait(prepare(changed, client_of(cluster.kubeconfig), MASKER), cluster)

    assert prepare(changed, client_of(cluster.kubeconfig), MASKER).plan.actions == ()


def test_what_helm_installed_is_refused_with_the_command_that_removes_it(cluster: Cluster, place: str) -> None:
    registry = {**service("orchest-api"), "metadata": {}}
    make(cluster, place, original_cluster(place), of_helm(registry, place))

    (refusal,) = refusals(prepared(cluster, place))

    assert refusal[:2] == ("not-ours", f"Service/{place}/docker-registry")
    assert f"helm uninstall {place}-docker-registry -n {place};" in refusal[2]


def test_a_certificate_of_the_original_is_made_anew_in_place(cluster: Cluster, place: str) -> None:
    (uid,) = make(cluster, place, certificate()).values()

    apply_and_wait(prepared(cluster, place), cluster)

    secret = client_of(cluster.kubeconfig).get(key("Secret", place, "registry-tls-secret"))
    assert secret is not None
    assert secret["metadata"]["uid"] == uid
    assert base64.b64decode(secret["data"]["tls.crt"]).startswith(b"-----BEGIN CERTIFICATE")


# Fields that the server refuses beside ours


ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 1}}


def with_variable(deployment: dict[str, Any]) -> tuple[str, Any]:
    names = [entry["name"] for entry in deployment["spec"]["template"]["spec"]["containers"][0]["env"]]
    source = {"name": "PGDATA", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    return f"/spec/template/spec/containers/0/env/{names.index('PGDATA')}", source


def with_volume(deployment: dict[str, Any]) -> tuple[str, Any]:
    name = deployment["spec"]["template"]["spec"]["volumes"][0]["name"]
    return "/spec/template/spec/volumes/0", {"name": name, "emptyDir": {"medium": "Memory"}}


EDITS: Mapping[str, Callable[[dict[str, Any]], tuple[str, Any]]] = {
    "strategy": lambda _: ("/spec/strategy", ROLLING),
    "strategy by type alone": lambda _: ("/spec/strategy", {"type": "RollingUpdate"}),
    "probe": lambda _: ("/spec/template/spec/containers/0/readinessProbe", {"httpGet": {"path": "/", "port": 1}}),
    "variable": with_variable,
    "volume": with_volume,
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_that_stands_in_the_way_of_ours_is_planned_and_undone(edit: str, cluster: Cluster, place: str) -> None:
    apply_and_wait(prepared(cluster, place), cluster)
    database = key("Deployment", place, "orchest-database")
    url = f"{COLLECTIONS['Deployment'].format(place)}/orchest-database"
    path, value = EDITS[edit](cluster.api.get(url).expect(200))
    operation = {"op": "replace", "path": path, "value": value}
    cluster.api.patch(url, [operation], "application/json-patch+json", fieldManager="kubectl-patch").expect(200)

    repair = prepared(cluster, place)
    (action,) = [action for action in repair.plan.actions if action.verb in WRITES]
    assert (action.key, action.verb, action.reason) == (database, Verb.UPDATE, Reason.DRIFTED)
    gone = [change for change in action.changes if change.after is ABSENT]
    assert [change.cause for change in gone] == [Cause.DRIFT]
    apply_and_wait(repair, cluster)

    assert prepared(cluster, place).plan.actions == ()
