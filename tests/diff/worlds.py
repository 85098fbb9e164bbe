"""Small worlds for planner tests: a cluster, a few objects, and what happens to them on the server, all as values."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from desired_state.facts import ClusterFacts, IngressClass, StorageClass
from desired_state.masking import Masker
from desired_state.objects import (
    OWNER_ANNOTATION,
    DesiredObject,
    Generated,
    Manifest,
    ObjectKey,
    Recipe,
    Rendering,
    Unknown,
    UnknownValue,
)
from diff.action import WRITES
from diff.after import after
from diff.plan import plan
from diff.snapshot import ObservedObject, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from desired_state.objects import Json
    from diff.action import Action
    from diff.plan import Plan

MASKER = Masker(b"a key of the tests, 32 bytes....")
CLUSTER = ObjectKey("orchest.io", "OrchestCluster", "orchest", "cluster-1")
NAMESPACE = ObjectKey("", "Namespace", "", "orchest")
MARK = "orchest/cluster-1"
NOW = "2026-11-22T12:00:00Z"
FACTS = ClusterFacts(
    cluster_uid="kube-system-uid",
    server_version="v1.34.4",
    container_runtimes=("containerd",),
    node_socket="",
    distribution="",
    ingress_classes=(IngressClass("nginx", "k8s.io/ingress-nginx"),),
    storage_classes=(
        StorageClass("fixed", "example.com/fixed", is_default=False, allows_expansion=False, binding_mode="Immediate"),
        StorageClass("standard", "example.com/p", is_default=True, allows_expansion=True, binding_mode="Immediate"),
    ),
)


def owner_reference() -> dict[str, Json]:
    return {
        "apiVersion": "orchest.io/v1alpha1",
        "kind": "OrchestCluster",
        "name": "cluster-1",
        "uid": Unknown(UnknownValue.OWNER_UID),
        "controller": True,
        "blockOwnerDeletion": False,
    }


def content(api_version: str, kind: str, name: str, *, namespaced: bool = True, **body: Json) -> dict[str, Json]:
    """A manifest with our mark."""
    metadata: dict[str, Json] = {
        "name": name,
        "labels": {"controller.orchest.io/part-of": "orchest", "controller.orchest.io/component": name},
        "annotations": {OWNER_ANNOTATION: MARK},
    }
    if namespaced:
        metadata |= {"namespace": "orchest", "ownerReferences": [owner_reference()]}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}


def deployment(name: str, image: str = "orchest/thing:v1", **pod: Json) -> dict[str, Json]:
    labels = {"controller.orchest.io/component": name}
    container = {
        "name": name,
        "image": image,
        "env": [{"name": "LEVEL", "value": "info"}, {"name": "DB_PASSWORD", "value": "hunter2-canary"}],
        "ports": [{"containerPort": 80}],
        "resources": {"requests": {"cpu": "100m", "memory": "0.5Gi"}},
        **pod,
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return content("apps/v1", "Deployment", name, spec={"selector": {"matchLabels": labels}, "template": template})


def service(name: str) -> dict[str, Json]:
    return content("v1", "Service", name, spec={"selector": {"app": name}, "ports": [{"port": 80, "name": "http"}]})


def claim(name: str, size: str = "10Gi", storage_class: str = "standard") -> dict[str, Json]:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": size}},
    }
    return content("v1", "PersistentVolumeClaim", name, spec=spec)


def config_map(name: str, **data: str) -> dict[str, Json]:
    return content("v1", "ConfigMap", name, data=data or {"a": "1"})


def role_binding(name: str, role: str = "reader") -> dict[str, Json]:
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": "orchest"}]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role}
    return content("rbac.authorization.k8s.io/v1", "RoleBinding", name, subjects=subjects, roleRef=reference)


def ingress(name: str) -> dict[str, Json]:
    backend = {"service": {"name": name, "port": {"number": 80}}}
    rule = {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return content("networking.k8s.io/v1", "Ingress", name, spec={"ingressClassName": "nginx", "rules": [rule]})


def metadata_without_marks(body: Mapping[str, Json]) -> dict[str, Json]:
    """As of an object that somebody else made."""
    return {name: body["metadata"][name] for name in ("name", "namespace")}


def certificate_secret() -> dict[str, Json]:
    return content("v1", "Secret", "registry-tls-secret", type="kubernetes.io/tls")


CERTIFICATE = Generated(Recipe.REGISTRY_CERTIFICATE, ("ca.crt", "tls.crt", "tls.key"), ("docker-registry",))
PASSWORDS = Generated(Recipe.PASSWORDS, ("database", "broker"))


def cluster_content(spec: Mapping[str, Json] | None = None, **annotations: str) -> dict[str, Json]:
    """`annotations` with underscores for dashes: `drift="warn"`, `ignore_drift="/spec/replicas"`."""
    metadata: dict[str, Json] = {"name": "cluster-1", "namespace": "orchest"}
    if annotations:
        metadata["annotations"] = {f"orchest.io/{name.replace('_', '-')}": text for name, text in annotations.items()}
    return {
        "apiVersion": "orchest.io/v1alpha1",
        "kind": "OrchestCluster",
        "metadata": metadata,
        "spec": dict(spec or {"singleNode": True}),
    }


def desired(body: Mapping[str, Json], generated: Generated | None = None) -> DesiredObject:
    component = body["metadata"]["labels"]["controller.orchest.io/component"]
    return DesiredObject(Manifest.of(body), component=component, generated=generated)


def rendering(*bodies: Mapping[str, Json] | DesiredObject, cluster: Mapping[str, Json] | None = None) -> Rendering:
    objects = [body if isinstance(body, DesiredObject) else desired(body) for body in bodies]
    ordered = tuple(sorted(objects, key=lambda item: item.manifest.key))
    return Rendering(Manifest.of(cluster or cluster_content()), ordered)


def usual_rendering(**changes: Mapping[str, Json]) -> Rendering:
    """One object of each sort; `changes` replaces contents by name (underscores for dashes)."""
    bodies: dict[str, Mapping[str, Json]] = {
        "orchest-api": deployment("orchest-api"),
        "docker-registry": service("docker-registry"),
        "userdir-pvc": claim("userdir-pvc"),
        "settings": config_map("settings"),
        "worker": role_binding("worker"),
        "webserver": ingress("webserver"),
    }
    bodies |= {name.replace("_", "-"): body for name, body in changes.items()}
    return rendering(
        *bodies.values(),
        desired(certificate_secret(), CERTIFICATE),
        desired(content("v1", "Secret", "credentials"), PASSWORDS),
    )


def empty_snapshot() -> Snapshot:
    return Snapshot(CLUSTER, FACTS, {}, NOW, crd_hash="crd")


def planned(wanted: Rendering, snapshot: Snapshot) -> Plan:
    return plan(wanted, snapshot, masker=MASKER)


def applied(wanted: Rendering, snapshot: Snapshot | None = None) -> Snapshot:
    """The snapshot after a plan for `wanted` was carried out, with every workload ready."""
    world = snapshot or empty_snapshot()
    for action in planned(wanted, world).actions:
        world = after(world, action)
    return ready(world)


def ready(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, objects={key: _ready(item) for key, item in snapshot.objects.items()})


def _ready(item: ObservedObject) -> ObservedObject:
    statuses: dict[str, dict[str, Json]] = {
        "Deployment": {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
        "DaemonSet": {"desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberAvailable": 1},
        "PersistentVolumeClaim": {"phase": "Bound"},
    }
    if item.key.kind not in statuses:
        return item
    generation = item.content["metadata"].get("generation", 1)
    status = {**statuses[item.key.kind], "observedGeneration": generation}
    return replace(item, content={**item.content, "status": status})


def key(wanted: str) -> ObjectKey:
    """`Deployment.apps/orchest-api`: the namespace goes without saying."""
    kind, _, name = wanted.partition("/")
    return ObjectKey.parse(f"{kind}/orchest/{name}")


def changed(snapshot: Snapshot, wanted: str, change: Callable[[dict[str, Any]], None]) -> Snapshot:
    """The snapshot after somebody did `change` to one object; resourceVersion moves as on a server."""
    item = snapshot.objects[key(wanted)]
    body = copy.deepcopy(dict(item.content))
    change(body)
    version = str(1 + max(int(one.resource_version) for one in snapshot.objects.values()))
    body["metadata"]["resourceVersion"] = version
    edited = ObservedObject(item.key, body["metadata"]["uid"], version, body)
    return replace(snapshot, objects={**snapshot.objects, item.key: edited})


def without_object(snapshot: Snapshot, wanted: str) -> Snapshot:
    """Somebody deleted it."""
    return replace(snapshot, objects={one: item for one, item in snapshot.objects.items() if one != key(wanted)})


def with_object(snapshot: Snapshot, body: Mapping[str, Json], uid: str = "foreign-uid") -> Snapshot:
    """Somebody created it."""
    stored = {**body, "metadata": {**body["metadata"], "uid": uid, "resourceVersion": "9000"}}
    metadata = stored["metadata"]
    metadata["ownerReferences"] = []
    where = Manifest.of(body).key
    return replace(snapshot, objects={**snapshot.objects, where: ObservedObject(where, uid, "9000", stored)})


def taken_over(body: dict[str, Any], fields: Mapping[str, Json], manager: str, operation: str = "Update") -> None:
    """Move fields (fieldsV1) from our manager to another one, as the server does when somebody else changes their
    value.
    """
    entries = body["metadata"]["managedFields"]
    ours = next(entry for entry in entries if entry["manager"] == "orchest-controller")
    _cut(ours["fieldsV1"], fields)
    version = body["apiVersion"]
    entries.append({"manager": manager, "operation": operation, "apiVersion": version, "fieldsV1": dict(fields)})


def let_go(body: dict[str, Any], fields: Mapping[str, Json]) -> None:
    """Fields that somebody removed: the server takes them from our entry."""
    _cut(next(e for e in body["metadata"]["managedFields"] if e["manager"] == "orchest-controller")["fieldsV1"], fields)


def _cut(tree: dict[str, Any], fields: Mapping[str, Json]) -> None:
    for name, below in fields.items():
        if name in tree and below:
            _cut(tree[name], below)
        if name in tree and (not below or not tree[name]):
            del tree[name]


def action_for(made: Plan, wanted: str) -> Action:
    found = [action for action in made.actions if action.key == key(wanted)]
    assert len(found) == 1, [str(action.key) for action in made.actions]
    return found[0]


def writes(made: Plan) -> list[tuple[str, str]]:
    """(verb, key) of everything that would be written."""
    return [(action.verb.value, str(action.key)) for action in made.actions if action.verb in WRITES]


def paths(action: Action) -> list[str]:
    return [change.path for change in action.changes if "owned-paths" not in change.path]


def codes(made: Plan) -> list[str]:
    return [note.code for note in made.notes]


def names(made: Iterable[Action]) -> list[str]:
    return [str(action.key) for action in made]
