"""`diff.after` and a real API server do the same: what is refused, what an object becomes, and who holds which field.

Each case prepares objects on the server, plans one action from what is there, lets somebody interfere, and carries the
action out twice: on the server with the reconciler's own writer, and on the snapshot with `after`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from desired_state.facts import ClusterFacts
from desired_state.masking import Masker
from desired_state.objects import FIELD_MANAGER, OWNER_ANNOTATION, PART_OF_LABEL, Manifest, ObjectKey
from diff.action import Action, Reason, Verb
from diff.after import after
from diff.compare import compare
from diff.managed_fields import holders
from diff.normalize import normalize
from diff.order import NOT_AWAITED
from diff.owned_paths import owned_paths_digest, with_owned_paths
from diff.precondition import ABSENCE, holds, precondition_of
from diff.snapshot import Snapshot
from reconciler.cluster_client import ClusterClient, connect
from reconciler.crd import install_crd
from reconciler.errors import Stale
from reconciler.observe import observed
from reconciler.write import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from dev.cluster.launcher import Cluster

MASKER = Masker(b"a key of the contract, 16+ bytes")
_FACTS = ClusterFacts("uid", "v1.34.4", ("containerd",), "", "", (), ())
_IMAGE = "registry.example.com/app:1"


@dataclass(frozen=True)
class Bench:
    cluster: Cluster
    client: ClusterClient
    namespace: str
    paths: dict[str, str] = field(
        default_factory=lambda: {"ConfigMap": "/api/v1", "Secret": "/api/v1", "Deployment": "/apis/apps/v1"}
    )

    def url(self, content: dict[str, Any]) -> str:
        root = "/apis/orchest.io/v1alpha1" if content["kind"] == "OrchestCluster" else self.paths[content["kind"]]
        return f"{root}/namespaces/{self.namespace}/{content['kind'].lower()}s"

    def ours(self, content: dict[str, Any]) -> None:
        """Applied under our field manager, as an earlier release would have."""
        body = _sent(content)
        self.cluster.api.apply(f"{self.url(body)}/{_NAME}", body, FIELD_MANAGER, force="true").expect(200, 201)

    def post(self, content: dict[str, Any]) -> None:
        self.cluster.api.post(self.url(content), content, fieldManager="kubectl-create").expect(201)

    def patch(self, content: dict[str, Any], patch: dict[str, Any], manager: str) -> None:
        media = (
            "application/strategic-merge-patch+json"
            if content["kind"] == "Deployment"
            else "application/merge-patch+json"
        )
        self.cluster.api.patch(f"{self.url(content)}/{_NAME}", patch, media, fieldManager=manager).expect(200)

    def delete(self, content: dict[str, Any]) -> None:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        self.cluster.api.delete(f"{self.url(content)}/{_NAME}", body).expect(200)

    def snapshot(self, key: ObjectKey) -> Snapshot:
        there = self.client.get(key)
        owner = ObjectKey("orchest.io", "OrchestCluster", self.namespace, "owner")
        return Snapshot(owner, _FACTS, {key: observed(there)} if there else {}, "2026-11-22T12:00:00Z", crd_hash="crd")


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> ClusterClient:
    made = ClusterClient(connect(str(cluster.kubeconfig)), MASKER)
    install_crd(made)
    return made


@pytest.fixture
def bench(cluster: Cluster, client: ClusterClient, namespace: str) -> Bench:
    return Bench(cluster, client, namespace)


_NAME = "subject"


def _metadata(bench: Bench, **more: Any) -> dict[str, Any]:
    return {
        "name": _NAME,
        "namespace": bench.namespace,
        "labels": {PART_OF_LABEL: "orchest"},
        "annotations": {OWNER_ANNOTATION: f"{bench.namespace}/owner"},
        **more,
    }


def config(bench: Bench, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(bench), "data": data}


def secret(bench: Bench, kind: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": _metadata(bench), "type": kind, "data": {"a": "YQ=="}}


def deployment(bench: Bench, *env: tuple[str, str], selector: str = "app", **spec: Any) -> dict[str, Any]:
    labels = {selector: "subject"}
    container: dict[str, Any] = {"name": "app", "image": _IMAGE, "ports": [{"containerPort": 80}]}
    if env:
        container["env"] = [{"name": name, "value": value} for name, value in env]
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    body = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _metadata(bench), "spec": body}


def cluster_resource(bench: Bench, **orchest: Any) -> dict[str, Any]:
    metadata = {"name": _NAME, "namespace": bench.namespace}
    return {
        "apiVersion": "orchest.io/v1alpha1",
        "kind": "OrchestCluster",
        "metadata": metadata,
        "spec": {"orchest": orchest},
    }


def _container(**fields: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "app", **fields}]}}}}


class Case(NamedTuple):
    name: str
    verb: Verb
    wanted: Callable[[Bench], dict[str, Any]]
    before: Callable[[Bench], None] = lambda _: None
    meanwhile: Callable[[Bench], None] = lambda _: None
    is_refused: bool = False
    removals: tuple[str, ...] = ()


def _then(*steps: Callable[[Bench], None]) -> Callable[[Bench], None]:
    def all_of_them(bench: Bench) -> None:
        for step in steps:
            step(bench)

    return all_of_them


_ONE: Callable[[Bench], dict[str, Any]] = lambda bench: config(bench, one="1")  # noqa: E731
_APP: Callable[[Bench], dict[str, Any]] = lambda bench: deployment(bench, ("A", "1"), ("B", "2"))  # noqa: E731
_OURS: Callable[[Bench], None] = lambda bench: bench.ours(config(bench, one="0", two="2"))  # noqa: E731
_OUR_APP: Callable[[Bench], None] = lambda bench: bench.ours(deployment(bench, ("A", "1"), ("B", "2"), ("C", "3")))  # noqa: E731
_CR: Callable[[Bench], None] = lambda bench: bench.ours(  # noqa: E731
    cluster_resource(bench, version="v2026.10.1", env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])
)


def _recreate(bench: Bench) -> None:
    bench.delete(config(bench))
    bench.ours(config(bench, one="0", two="2"))


CASES = (
    Case("create", Verb.CREATE, _ONE),
    Case("create a Deployment", Verb.CREATE, _APP),
    Case(
        "create over existing",
        Verb.CREATE,
        _ONE,
        meanwhile=lambda bench: bench.post(config(bench, x="1")),
        is_refused=True,
    ),
    Case("update", Verb.UPDATE, lambda bench: config(bench, one="1", two="2"), _OURS),
    Case("dropped field", Verb.UPDATE, _ONE, _OURS),
    Case(
        "dropped entry, changed order", Verb.UPDATE, lambda bench: deployment(bench, ("B", "2"), ("A", "1")), _OUR_APP
    ),
    Case("all entries dropped", Verb.UPDATE, deployment, _OUR_APP),
    Case(
        "dropped scalar",
        Verb.UPDATE,
        _APP,
        lambda bench: bench.ours(deployment(bench, ("A", "1"), ("B", "2"), minReadySeconds=3)),
    ),
    Case(
        "over another's image",
        Verb.UPDATE,
        _APP,
        _then(_OUR_APP, lambda bench: bench.patch(_APP(bench), _container(image="hand:1"), "kubectl-set")),
    ),
    Case(
        "beside another's entry",
        Verb.UPDATE,
        _APP,
        _then(
            _OUR_APP,
            lambda bench: bench.patch(_APP(bench), _container(env=[{"name": "X", "value": "1"}]), "kubectl-set"),
        ),
    ),
    Case(
        "dropped, but another holds a part",
        Verb.UPDATE,
        _APP,
        _then(
            _OUR_APP,
            lambda bench: bench.patch(_APP(bench), _container(env=[{"name": "C", "value": "hand"}]), "kubectl-set"),
        ),
    ),
    Case(
        "beside another's label and annotation",
        Verb.UPDATE,
        _ONE,
        _then(
            _OURS,
            lambda bench: bench.patch(
                config(bench), {"metadata": {"annotations": {"x/y": "1"}, "labels": {"z": "1"}}}, "kubectl"
            ),
        ),
    ),
    Case(
        "deleted field of ours",
        Verb.UPDATE,
        lambda bench: config(bench, one="0", two="2"),
        _then(_OURS, lambda bench: bench.patch(config(bench), {"data": {"two": None}}, "kubectl")),
    ),
    Case("delete", Verb.DELETE, _ONE, _OURS),
    Case("delete of a wrong uid", Verb.DELETE, _ONE, _OURS, _recreate, is_refused=True),
    Case("update of a wrong uid", Verb.UPDATE, _ONE, _OURS, _recreate, is_refused=True),
    Case(
        "update of what is gone", Verb.UPDATE, _ONE, _OURS, lambda bench: bench.delete(config(bench)), is_refused=True
    ),
    Case(
        "delete of what is gone", Verb.DELETE, _ONE, _OURS, lambda bench: bench.delete(config(bench)), is_refused=True
    ),
    Case(
        "update over an unseen change",
        Verb.UPDATE,
        _ONE,
        _OURS,
        lambda bench: bench.patch(config(bench), {"data": {"one": "hand"}}, "kubectl"),
        is_refused=True,
    ),
    Case(
        "update beside unseen noise",
        Verb.UPDATE,
        _ONE,
        _OURS,
        lambda bench: bench.patch(config(bench), {"data": {"x": "1"}}, "kubectl"),
    ),
    Case("replace a selector", Verb.REPLACE, lambda bench: deployment(bench, ("A", "1"), selector="other"), _OUR_APP),
    Case(
        "replace a type",
        Verb.REPLACE,
        lambda bench: secret(bench, "orchest.io/new"),
        lambda bench: bench.ours(secret(bench, "orchest.io/old")),
    ),
    Case("replace of a wrong uid", Verb.REPLACE, _ONE, _OURS, _recreate, is_refused=True),
    Case(
        "adopt",
        Verb.ADOPT,
        _APP,
        lambda bench: bench.post(
            {**deployment(bench, ("A", "0"), ("OLD", "1")), "metadata": {"name": _NAME, "namespace": bench.namespace}}
        ),
    ),
    Case(
        "the cluster's list is one field",
        Verb.UPDATE,
        lambda bench: cluster_resource(bench, version="v2026.10.1", env=[{"name": "B", "value": "3"}]),
        _CR,
    ),
    Case(
        "the cluster's field is dropped",
        Verb.UPDATE,
        lambda bench: cluster_resource(bench, env=[{"name": "A", "value": "1"}]),
        _CR,
    ),
    Case(
        "removal from the cluster",
        Verb.UPDATE,
        lambda bench: cluster_resource(bench, version="v2026.11.0"),
        _then(_CR, lambda bench: bench.patch(cluster_resource(bench), {"spec": {"singleNode": True}}, "kubectl-edit")),
        removals=("/spec/singleNode",),
    ),
)


def _sent(content: dict[str, Any]) -> dict[str, Any]:
    return with_owned_paths(content, owned_paths_digest(content))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_after_does_what_the_server_does(case: Case, bench: Bench) -> None:
    case.before(bench)
    manifest = Manifest.of(_sent(case.wanted(bench)))
    view = bench.snapshot(manifest.key)
    action = _action(case, manifest, view)
    case.meanwhile(bench)
    now = bench.snapshot(manifest.key)

    is_done = _carried_out(bench, action, view)

    assert holds(action, now, MASKER) == is_done == (not case.is_refused)
    if not is_done:
        assert _portrait(bench.snapshot(manifest.key), manifest.key) == _portrait(now, manifest.key)
        return
    modelled, real = after(now, action), _settled(bench, manifest.key, is_gone=case.verb is Verb.DELETE)
    assert _owners(modelled, manifest.key) == _owners(real, manifest.key)
    if manifest.key in now.objects and case.verb is not Verb.REPLACE:
        assert _portrait(modelled, manifest.key) == _portrait(real, manifest.key)
    elif case.verb is not Verb.DELETE:  # A new object has defaults that are not modelled.
        made = {**modelled.objects[manifest.key].content, "metadata": manifest.content["metadata"]}
        assert compare(made, real.objects[manifest.key].content, {}) == ()


def _settled(bench: Bench, key: ObjectKey, *, is_gone: bool) -> Snapshot:
    """The server's answer; a delete in the foreground takes the garbage collector a moment."""
    for _ in range(100):
        snapshot = bench.snapshot(key)
        if not is_gone or key not in snapshot.objects:
            break
        time.sleep(0.1)
    return snapshot


def _action(case: Case, manifest: Manifest, view: Snapshot) -> Action:
    there = view.objects.get(manifest.key)
    sent = None if case.verb is Verb.DELETE else manifest
    return Action(
        key=manifest.key,
        verb=case.verb,
        reason=Reason.DESIRED_CHANGED,
        wave=1,
        changes=(),
        precondition=precondition_of(MASKER, there, sent) if there else ABSENCE,
        readiness=NOT_AWAITED,
        manifest=sent,
        removals=case.removals,
    )


def _carried_out(bench: Bench, action: Action, view: Snapshot) -> bool:
    writer = Writer(bench.client, view, {}, masker=MASKER, force_conflicts=False, now=lambda: datetime.now(UTC))
    try:
        writer.perform(action, goes_on=lambda: True, about_to_create=lambda _: None)
    except Stale:
        return False
    return True


_SERVERS = {"managedFields", "resourceVersion", "creationTimestamp", "generation", "uid"}
_CONTROLLERS = {"kube-controller-manager"}


def _portrait(snapshot: Snapshot, key: ObjectKey) -> Any:
    """The whole object without what the server counts, and without the notes of controllers."""
    if key not in snapshot.objects:
        return None
    content = snapshot.objects[key].content
    metadata = {name: value for name, value in content["metadata"].items() if name not in _SERVERS}
    annotations = {
        name: value for name, value in (metadata.get("annotations") or {}).items() if not name.startswith("deployment.")
    }
    return normalize({**content, "metadata": {**metadata, "annotations": annotations}, "status": None})


def _owners(snapshot: Snapshot, key: ObjectKey) -> Any:
    if key not in snapshot.objects:
        return None
    return {
        (holder.manager, holder.operation): frozenset(holder.leaves())
        for holder in holders(snapshot.objects[key].content)
        if holder.manager not in _CONTROLLERS
    }


def test_the_contract_is_not_empty() -> None:
    """Every verb that writes an object is there, refused and done."""
    assert {case.verb for case in CASES} >= {Verb.CREATE, Verb.UPDATE, Verb.DELETE, Verb.REPLACE, Verb.ADOPT}
    assert {case.verb for case in CASES if case.is_refused} >= {Verb.CREATE, Verb.UPDATE, Verb.DELETE, Verb.REPLACE}
