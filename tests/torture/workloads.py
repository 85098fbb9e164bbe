"""What the torture disturbs: pairs of an initial world and what Git wants next, one for each kind of change.

In: names. Out: `Workload`s, built by rendering real manifests and installing them in process. Every world also holds
bystanders, objects that look like ours in some way and must never be touched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from desired_state.masking import Masker
from desired_state.objects import OWNER_ANNOTATION, PART_OF_LABEL, Manifest, ObjectKey
from diff.plan import plan
from diff.snapshot import Snapshot
from render.cluster import render
from tests.render.cases import FACTS, cluster
from tests.torture import foreign, server
from tests.torture.applying import carry_out, known_inventory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from desired_state.objects import Json, Rendering

MASKER = Masker(b"a key of the torture, 32 bytes..")
CLUSTER = ObjectKey("orchest.io", "OrchestCluster", "orchest", "cluster-1")
NOW = "2026-11-22T12:00:00Z"

Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    initial: Snapshot
    rendering: Rendering
    """What Git wants now."""
    ideal: Snapshot
    """The same, installed where there was nothing: two ways must lead to one state."""
    rival: Rendering
    """What Git wants when somebody thinks better of it half-way."""
    bystanders: frozenset[ObjectKey]


def _spec(**orchest: Json) -> Spec:
    return {"singleNode": True, "orchest": {"version": "v2026.10.1", **orchest}}


_VOLUME = {"volumeSize": "10Gi", "storageClass": "standard"}
MINIMAL: Spec = {"singleNode": True}
FULL: Spec = {
    "singleNode": False,
    "controlNodeSelector": {"role": "control"},
    "workerNodeSelector": {"role": "worker"},
    "postgres": {
        "env": [{"name": "PGDATA", "value": "/userdir/.orchest/database/data"}],
        "resources": {"requests": {"cpu": "0.5"}},
    },
    "applications": [
        {"name": "docker-registry", "config": {"helm": {"parameters": [{"name": "persistence.size", "value": "20Gi"}]}}}
    ],
    "orchest": {
        "version": "v2026.10.1",
        "orchestHost": "orchest.example.com",
        "env": [{"name": "ORCHEST_LOG_LEVEL", "value": "DEBUG"}],
        "resources": {"separateOrchestStateFromUserDir": True, "userDirVolume": _VOLUME, "orchestStateVolume": _VOLUME},
        "orchestApi": {
            "replicas": 2,
            "image": "example.com/team/orchest-api:mine",
            "env": [{"name": "EXTRA", "value": "1"}],
        },
        "orchestWebServer": {"replicas": 2, "tolerations": [{"key": "dedicated", "operator": "Exists"}]},
        "celeryWorker": {"replicas": 3, "resources": {"limits": {"memory": "1.5Gi"}}},
        "authServer": {"imagePullPolicy": "Always"},
    },
}


def _rendered(spec: Spec) -> Rendering:
    return render(cluster(spec), FACTS)


def _bystanders() -> tuple[dict[str, Json], ...]:
    """Of nobody; of another cluster; of the original and no longer desired; a user's, with the label only; data of
    ours."""
    ours, original = {OWNER_ANNOTATION: "orchest/cluster-1"}, {PART_OF_LABEL: "orchest"}
    return (
        foreign.body("v1", "ConfigMap", "somebody"),
        foreign.body(
            "apps/v1", "Deployment", "another", annotations={OWNER_ANNOTATION: "orchest/cluster-2"}, labels=original
        ),
        foreign.body("apps/v1", "Deployment", "argo-of-the-original", labels=original),
        foreign.body("v1", "Service", "jupyter-of-a-user", labels={"app": "jupyter"}),
        foreign.body("v1", "PersistentVolumeClaim", "old-data", annotations=ours, labels=original),
        foreign.body("v1", "ConfigMap", "marked-by-hand", annotations=ours, labels=original),
    )


@cache
def empty() -> Snapshot:
    world = Snapshot(CLUSTER, FACTS, {}, NOW, crd_hash="crd")
    for content in _bystanders():
        world = server.stored(world, Manifest.of(content).key, content)
    return server.ready(world)


BYSTANDERS = frozenset(Manifest.of(content).key for content in _bystanders())


def installed(rendering: Rendering, world: Snapshot | None = None) -> Snapshot:
    """The world after an undisturbed apply; data of ours from before is in the inventory, as it would be."""
    world = world or empty()
    for step in carry_out(plan(rendering, world, masker=MASKER), rendering, world, world, MASKER):
        world = step.world
    return _with_old_data(server.ready(world))


def _with_old_data(world: Snapshot) -> Snapshot:
    claim = next(key for key in BYSTANDERS if key.kind == "PersistentVolumeClaim")
    return server.with_inventory(world, {**known_inventory(world), claim: world.objects[claim].uid})


def _change(before: Spec, after: Spec) -> Callable[[], tuple[Snapshot, Rendering]]:
    return lambda: (installed(_rendered(before)), _rendered(after))


def _fresh(spec: Spec) -> Callable[[], tuple[Snapshot, Rendering]]:
    return lambda: (empty(), _rendered(spec))


_CUSTOM: Spec = {
    "orchestApi": {"image": "example.com/team/orchest-api:mine"},
    "celeryWorker": {"image": "orchest/celery-worker@sha256:" + "a" * 64},
    "nodeAgent": {"image": "registry.example.com:5000/orchest/node-agent:v2026.09.1"},
}
_STATE = {"separateOrchestStateFromUserDir": True, "userDirVolume": _VOLUME, "orchestStateVolume": _VOLUME}
_HAND = "controller.orchest.io/component"


def _with_older_selectors() -> tuple[Snapshot, Rendering]:
    """An earlier release selected pods by other labels; a selector cannot change in place."""
    wanted = _rendered(_spec())
    names = {"orchest-api", "node-agent"}

    def older(content: Mapping[str, Json]) -> Mapping[str, Json]:
        if content["kind"] not in {"Deployment", "DaemonSet"}:
            return content
        labels = {"app": content["metadata"]["name"]}
        template = {**content["spec"]["template"]}
        template["metadata"] = {**template["metadata"], "labels": {**template["metadata"]["labels"], **labels}}
        return {**content, "spec": {**content["spec"], "selector": {"matchLabels": labels}, "template": template}}

    return installed(_edited(wanted, names, older)), wanted


def _with_other_references() -> tuple[Snapshot, Rendering]:
    """An earlier release bound other roles and used another type of Secret: replaced, the Secret with its content."""
    wanted = _rendered(_spec())

    def older(content: Mapping[str, Json]) -> Mapping[str, Json]:
        if content["kind"] in {"RoleBinding", "ClusterRoleBinding"}:
            return {**content, "roleRef": {**content["roleRef"], "name": "of-an-earlier-release"}}
        return {**content, "type": "orchest.io/earlier"} if content["kind"] == "Secret" else content

    return installed(_edited(wanted, {"celery-worker", "orchest-credentials"}, older)), wanted


def _edited(
    rendering: Rendering, names: set[str], edit: Callable[[Mapping[str, Json]], Mapping[str, Json]]
) -> Rendering:
    kinds = {"Deployment", "DaemonSet", "RoleBinding", "Secret"}
    objects = tuple(
        replace(item, manifest=Manifest(item.manifest.key, edit(item.manifest.content)))
        if item.manifest.key.name in names and item.manifest.key.kind in kinds
        else item
        for item in rendering.objects
    )
    return replace(rendering, objects=objects)


def _drifted() -> tuple[Snapshot, Rendering]:
    """One of each sort of foreign write, before the apply begins."""
    wanted = _rendered(_spec())
    world = installed(wanted)
    for write, name in (
        (foreign.SET_IMAGE, "Deployment.apps/orchest/orchest-api"),
        (foreign.DELETE, "Service/orchest/auth-server"),
        (foreign.STRIP_LABELS, "ConfigMap/orchest/orchest-release"),
        (foreign.STRIP_MARK, "ServiceAccount/orchest/node-agent"),
        (foreign.SET_ENV, "Deployment.apps/orchest/auth-server"),
        (foreign.ANNOTATE, "Deployment.apps/orchest/celery-worker"),
    ):
        world = write.change(world, ObjectKey.parse(name))
    return server.ready(world), wanted


def _of_the_original() -> tuple[Snapshot, Rendering]:
    """The original controller's objects (its labels, its POSTed fields, no mark), and the claims with the users'
    data."""
    wanted = _rendered(_spec())
    world = empty()
    for item in wanted.objects:
        key, content = item.manifest.key, item.manifest.content
        if key.kind not in {"Deployment", "DaemonSet", "Service", "PersistentVolumeClaim", "Ingress", "ServiceAccount"}:
            continue
        labels = {} if key.kind == "PersistentVolumeClaim" else {PART_OF_LABEL: "orchest", _HAND: key.name}
        metadata: dict[str, Json] = {
            "name": key.name,
            "namespace": key.namespace,
            "labels": labels,
            "managedFields": [],
        }
        if key.group == "apps":
            metadata["generation"] = 1
        made = {**content, "metadata": metadata}
        if key.name == "orchest-api" and key.kind == "Deployment":
            made["spec"] = {**content["spec"], "selector": {"matchLabels": {"app": "orchest-api"}}}
        made = foreign.resolved(made)
        if key.kind == "Service":
            made["spec"] = {**made["spec"], "clusterIP": f"10.97.0.{len(world.objects)}"}
        world = server.stored(world, key, made)
    return server.ready(world), wanted


def _shared_with_another_manager() -> tuple[Snapshot, Rendering]:
    """An autoscaler's Apply manager holds the replicas that Git now wants to set: refused until it lets go."""
    world = installed(_rendered(_spec()))
    key = ObjectKey.parse("Deployment.apps/orchest/orchest-webserver")
    return foreign.held_by_another(world, key, replicas=5), _rendered(_spec(orchestWebServer={"replicas": 2}))


def _grown() -> tuple[Snapshot, Rendering]:
    bigger = {**_VOLUME, "volumeSize": "40Gi"}
    return _change(_spec(resources={"userDirVolume": _VOLUME}), _spec(resources={"userDirVolume": bigger}))()


def _env(*pairs: tuple[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in pairs]


_BUILDERS: Mapping[str, Callable[[], tuple[Snapshot, Rendering]]] = {
    "fresh install, minimal": _fresh(MINIMAL),
    "fresh install, full": _fresh(FULL),
    "version bump": _change(_spec(), _spec(version="v2026.11.0")),
    "version bump, custom images": _change(_spec(**_CUSTOM), _spec(version="v2026.11.0", **_CUSTOM)),
    "registry change": _change(_spec(registry="one.example.com"), _spec(registry="two.example.com")),
    "registry application removed": _change(_spec(), {**_spec(), "applications": [{"name": "argo-workflow"}]}),
    "volume growth": _grown,
    # Paused, because a running database is never moved to an empty volume.
    "separate volumes": _change(
        _spec(pause=True, resources={"userDirVolume": _VOLUME}), _spec(pause=True, resources=_STATE)
    ),
    "replicas change": _change(
        _spec(orchestWebServer={"replicas": 3}, celeryWorker={"replicas": 2}), _spec(celeryWorker={"replicas": 4})
    ),
    "node selector change": _change(
        {**_spec(), "controlNodeSelector": {"a": "1"}}, {**_spec(), "controlNodeSelector": {"b": "2"}}
    ),
    "selector replaced": _with_older_selectors,
    "role and Secret type replaced": _with_other_references,
    "pause": _change(_spec(), _spec(pause=True)),
    "resume": _change(_spec(pause=True), _spec()),
    "drift repaired": _drifted,
    "adoption of the original's": _of_the_original,
    "env change": _change(
        _spec(orchestApi={"env": _env(("ONE", "1"), ("TWO", "2"), ("GONE", "x"))}, env=_env(("SHARED", "a"))),
        _spec(orchestApi={"env": _env(("TWO", "3"), ("ONE", "1"), ("NEW", "y"))}, env=_env(("SHARED", "b"))),
    ),
    "host change": _change(_spec(orchestHost="old.example.com"), _spec(orchestHost="new.example.com")),
    "field of another manager": _shared_with_another_manager,
    "full to minimal": _change(FULL, _spec(resources=_STATE)),
}
NAMES = tuple(_BUILDERS)


@cache
def workload(name: str) -> Workload:
    initial, rendering = _BUILDERS[name]()
    # Another version and one application less, on the same volumes: a database is not moved by a commit.
    resources = (rendering.cluster.content["spec"].get("orchest") or {}).get("resources")
    orchest = {"version": "v2026.10.1"} | ({"resources": resources} if resources else {})
    rival = _rendered({"singleNode": True, "applications": [{"name": "argo-workflow"}], "orchest": orchest})
    return Workload(name, initial, rendering, installed(rendering), rival, BYSTANDERS)
