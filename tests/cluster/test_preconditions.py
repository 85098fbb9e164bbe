"""Between a plan and its apply the world may move. Whatever moved, the apply says so, exits 3 and writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from diff.action import Verb
from reconciler.cluster_client import ClusterClient
from reconciler.errors import Stale
from tests.cluster.workbench import Listener, Prepared, Workbench, quickly, workbench

if TYPE_CHECKING:
    from desired_state.objects import DesiredObject, ObjectKey
    from dev.cluster.launcher import Cluster


@pytest.fixture
def bench(cluster: Cluster, namespace: str) -> Workbench:
    return workbench(cluster, namespace)


Plain = Callable[[Workbench], "DesiredObject"]


@dataclass(frozen=True)
class Case:
    """One action kind: what is there before, what is wanted then."""

    before: tuple[Plain, ...]
    after: tuple[Plain, ...]
    key: tuple[str, str, str]
    change: dict[str, Any]


def config(**data: str) -> Plain:
    return lambda bench: bench.config("thing", **data)


def service(**spec: Any) -> Plain:
    port = {"port": 80, "targetPort": 80, "protocol": "TCP"}
    return lambda bench: bench.object(
        "v1", "Service", "thing", spec={"selector": {"app": "x"}, "ports": [port], **spec}
    )


def secret(kind: str) -> Plain:
    return lambda bench: bench.object("v1", "Secret", "thing", type=kind, data={"k": "djE="})


def passwords(*keys: str) -> Plain:
    return lambda bench: bench.secret("thing", *keys)


def claim(size: str) -> Plain:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return lambda bench: bench.object("v1", "PersistentVolumeClaim", "thing", spec=spec)


CONFIG = ("", "ConfigMap", "v1/namespaces/{}/configmaps/thing")
SECRET = ("", "Secret", "v1/namespaces/{}/secrets/thing")
CLAIM = ("", "PersistentVolumeClaim", "v1/namespaces/{}/persistentvolumeclaims/thing")

OTHER = (lambda bench: bench.config("other", a="1"),)
CASES = {
    Verb.UPDATE: Case((config(a="1"),), (config(a="2"),), CONFIG, {"data": {"a": "9"}}),
    Verb.DELETE: Case((config(a="1"), *OTHER), OTHER, CONFIG, {"data": {"a": "9"}}),
    Verb.REPLACE: Case((secret("Opaque"),), (secret("example.com/other"),), SECRET, {"data": {"k": "djk="}}),
    Verb.GENERATE: Case((passwords("a"),), (passwords("a", "b"),), SECRET, {"data": {"a": "djk="}}),
    Verb.KEEP: Case(
        (claim("2Gi"),), (claim("1Gi"), *OTHER), CLAIM, {"metadata": {"annotations": {"orchest.io/owner": "x/y"}}}
    ),
}
"""Action kinds that begin with an object of ours. CREATE, ADOPT and WAIT have tests of their own below."""


def start(bench: Workbench, verb: Verb) -> tuple[Case, Prepared]:
    case = CASES[verb]
    bench.install(*(plain(bench) for plain in case.before))
    prepared = quickly(bench.prepare(*(plain(bench) for plain in case.after)))
    assert verb in {action.verb for action in prepared.plan.actions if action.key.name == "thing"}
    return case, prepared


def path(bench: Workbench, case: Case) -> str:
    return f"/api/{case.key[2].format(bench.namespace)}"


def world(bench: Workbench) -> dict[str, Any]:
    """All that an apply could have written, by its resourceVersion."""
    listed: dict[str, Any] = {}
    for plural in ("configmaps", "secrets", "services", "persistentvolumeclaims"):
        for item in bench.cluster.api.get(f"/api/v1/namespaces/{bench.namespace}/{plural}").expect(200)["items"]:
            listed[f"{plural}/{item['metadata']['name']}"] = item["metadata"]["resourceVersion"]
    for group in ("apis/orchest.io/v1alpha1", "apis/apps/v1"):
        plural = "orchestclusters" if "orchest" in group else "deployments"
        for item in bench.cluster.api.get(f"/{group}/namespaces/{bench.namespace}/{plural}").expect(200)["items"]:
            listed[f"{plural}/{item['metadata']['name']}"] = item["metadata"].get("generation")
    listed.pop("configmaps/kube-root-ca.crt", None)
    return listed


def refused_as_stale(bench: Workbench, prepared: Prepared) -> None:
    before = world(bench)
    with pytest.raises(Stale) as refusal:
        bench.apply(prepared)
    assert refusal.value.exit_code == 3
    assert world(bench) == before


def delete(bench: Workbench, url: str) -> None:
    bench.cluster.api.delete(url).expect(200, 202)
    for _ in range(100):
        if bench.cluster.api.get(url).status == 404:
            return
        # A claim is held by a finalizer, which its controller puts back as long as the claim is not being deleted.
        bench.cluster.api.patch(url, {"metadata": {"finalizers": None}})
        time.sleep(0.05)
    raise AssertionError(f"{url} does not go")


def recreate(bench: Workbench, url: str) -> None:
    content = bench.cluster.api.get(url).expect(200)
    delete(bench, url)
    kept = ("name", "namespace", "labels", "annotations")
    bare = {name: value for name, value in content["metadata"].items() if name in kept}
    content.pop("status", None)
    collection = url.rpartition("/")[0]
    bench.cluster.api.post(collection, content | {"metadata": bare}).expect(201)


@pytest.mark.parametrize("verb", CASES)
def test_an_object_changed_after_the_plan_is_not_written(bench: Workbench, verb: Verb) -> None:
    case, prepared = start(bench, verb)
    bench.cluster.api.patch(path(bench, case), case.change).expect(200)
    refused_as_stale(bench, prepared)


@pytest.mark.parametrize("verb", CASES)
def test_an_object_deleted_after_the_plan_is_not_created_again(bench: Workbench, verb: Verb) -> None:
    case, prepared = start(bench, verb)
    delete(bench, path(bench, case))
    refused_as_stale(bench, prepared)


@pytest.mark.parametrize("verb", CASES)
def test_an_object_recreated_after_the_plan_is_another_object(bench: Workbench, verb: Verb) -> None:
    case, prepared = start(bench, verb)
    recreate(bench, path(bench, case))
    refused_as_stale(bench, prepared)


@pytest.mark.parametrize("verb", CASES)
def test_noise_alone_never_makes_a_plan_stale(bench: Workbench, verb: Verb) -> None:
    case, prepared = start(bench, verb)
    noise = {"metadata": {"annotations": {"example.com/noise": "1"}, "labels": {"noise": "1"}}}
    bench.cluster.api.patch(path(bench, case), noise).expect(200)
    assert bench.apply(prepared).exit_code == 0


def test_an_object_created_after_the_plan_is_not_taken_over(bench: Workbench) -> None:
    bench.install()
    prepared = quickly(bench.prepare(bench.config("thing", a="1")))
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "thing"}, "data": {"a": "theirs"}}
    bench.cluster.api.post(f"/api/v1/namespaces/{bench.namespace}/configmaps", foreign).expect(201)
    refused_as_stale(bench, prepared)
    assert bench.get("ConfigMap", "thing")["data"] == {"a": "theirs"}


def adoption(bench: Workbench) -> tuple[Prepared, str]:
    bench.install()
    labels = {"controller.orchest.io/part-of": "orchest"}
    original = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "thing", "labels": labels},
        "data": {"a": "old"},
    }
    bench.cluster.api.post(f"/api/v1/namespaces/{bench.namespace}/configmaps", original).expect(201)
    prepared = quickly(bench.prepare(bench.config("thing", a="1")))
    assert [action.verb for action in prepared.plan.actions] == [Verb.ADOPT]
    return prepared, f"/api/v1/namespaces/{bench.namespace}/configmaps/thing"


@pytest.mark.parametrize("meanwhile", ["changed", "deleted", "recreated"])
def test_an_object_to_adopt_that_moved_is_not_adopted(bench: Workbench, meanwhile: str) -> None:
    prepared, url = adoption(bench)
    match meanwhile:
        case "changed":
            bench.cluster.api.patch(url, {"data": {"a": "newer"}}).expect(200)
        case "deleted":
            bench.cluster.api.delete(url).expect(200)
        case _:
            bench.cluster.api.delete(url).expect(200)
            labels = {"controller.orchest.io/part-of": "orchest"}
            again = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "thing", "labels": labels},
                "data": {"a": "old"},
            }
            bench.cluster.api.post(url.rpartition("/")[0], again).expect(201)
    refused_as_stale(bench, prepared)


def test_an_object_to_adopt_is_adopted_in_spite_of_noise(bench: Workbench) -> None:
    prepared, url = adoption(bench)
    bench.cluster.api.patch(url, {"metadata": {"labels": {"noise": "1"}}}).expect(200)
    assert bench.apply(prepared).exit_code == 0
    assert bench.get("ConfigMap", "thing")["data"] == {"a": "1"}
    assert bench.prepare(bench.config("thing", a="1")).plan.actions == ()


def waiting(bench: Workbench) -> tuple[Prepared, str]:
    wanted = bench.deployment("thing", minReadySeconds=3)
    bench.install(wanted)
    prepared = bench.prepare(wanted)
    assert [action.verb for action in prepared.plan.actions] == [Verb.WAIT]
    return prepared, f"/apis/apps/v1/namespaces/{bench.namespace}/deployments/thing"


@pytest.mark.parametrize("meanwhile", ["changed", "recreated", "deleted"])
def test_a_wait_for_an_object_that_moved_is_stale(bench: Workbench, meanwhile: str) -> None:
    prepared, url = waiting(bench)
    if meanwhile == "changed":
        bench.cluster.api.patch(url, {"spec": {"minReadySeconds": 4}}).expect(200)
    elif meanwhile == "recreated":
        recreate(bench, url)
    else:
        bench.cluster.api.delete(url).expect(200)
    refused_as_stale(bench, prepared)


def test_a_wait_goes_through_the_noise_of_a_deployments_status(bench: Workbench) -> None:
    prepared, _ = waiting(bench)
    assert bench.apply(prepared).exit_code == 0


def test_the_orchestcluster_edited_after_the_plan_is_not_overwritten(bench: Workbench) -> None:
    bench.install(spec={"singleNode": True})
    prepared = bench.prepare(spec={"singleNode": False})
    url = f"/apis/orchest.io/v1alpha1/namespaces/{bench.namespace}/orchestclusters/c"
    bench.cluster.api.patch(url, {"spec": {"orchest": {"pause": True}}}).expect(200)
    refused_as_stale(bench, prepared)
    assert bench.get("OrchestCluster", "c", "orchest.io")["spec"] == {"singleNode": True, "orchest": {"pause": True}}


def test_a_plan_is_used_once(bench: Workbench) -> None:
    bench.install()
    prepared = quickly(bench.prepare(bench.config("thing", a="1")))
    assert bench.apply(prepared).exit_code == 0
    bench.cluster.api.delete(f"/api/v1/namespaces/{bench.namespace}/configmaps/thing").expect(200)
    with pytest.raises(Stale, match="already applied"):
        bench.apply(prepared)
    assert bench.client.get(bench.key("ConfigMap", "thing")) is None


def intruder(act: Callable[[ObjectKey], None]) -> Listener:
    """Acts once, at the moment the apply begins with the object `thing`: after all its checks ahead."""

    def on_started(action: Any) -> None:
        if action.key.name == "thing":
            act(action.key)

    return Listener(on_started)


@pytest.mark.parametrize("meanwhile", ["changed", "deleted", "recreated"])
def test_an_object_that_moves_while_the_apply_runs_is_not_written_and_nothing_later_is(
    bench: Workbench, meanwhile: str
) -> None:
    bench.install(bench.config("thing", a="1"))
    later = bench.deployment("later")
    prepared = quickly(bench.prepare(bench.config("thing", a="2"), later))
    url = f"/api/v1/namespaces/{bench.namespace}/configmaps/thing"

    def act(_key: ObjectKey) -> None:
        match meanwhile:
            case "changed":
                bench.cluster.api.patch(url, {"data": {"a": "9"}}).expect(200)
            case "deleted":
                bench.cluster.api.delete(url).expect(200)
            case _:
                recreate(bench, url)

    applied = bench.apply(prepared, listener=intruder(act))
    assert applied.exit_code == 3
    assert {outcome.key.name: outcome.result for outcome in applied.outcomes} == {
        "thing": "stale",
        "later": "not-started",
    }
    left = bench.client.get(bench.key("ConfigMap", "thing"))
    assert (left["data"] if left else None) == {"changed": {"a": "9"}, "deleted": None, "recreated": {"a": "1"}}[
        meanwhile
    ]
    assert bench.client.get(bench.key("Deployment", "later", "apps")) is None
    assert bench.status["state"] == "Error"


def racing(bench: Workbench, act: Callable[[], Any]) -> ClusterClient:
    """Before the first real apply of `thing` somebody else acts: after our last read, before our write."""

    class Racing(ClusterClient):
        acted = False

        def apply(self, content: Any, **options: Any) -> Any:
            if content["metadata"]["name"] == "thing" and not options.get("dry_run") and not self.acted:
                self.acted = True
                act()
            return super().apply(content, **options)

    return Racing(bench.client._session, bench.client._masker)


@pytest.mark.parametrize(
    ("meanwhile", "exit_code", "data"),
    [
        ("changed", 3, {"a": "9"}),
        ("deleted", 3, None),
        ("recreated", 3, {"a": "1"}),
        ("noise", 0, {"a": "2"}),
    ],
)
def test_nothing_that_happens_between_our_read_and_our_write_is_overwritten(
    bench: Workbench, meanwhile: str, exit_code: int, data: dict[str, str] | None
) -> None:
    bench.install(bench.config("thing", a="1"))
    prepared = quickly(bench.prepare(bench.config("thing", a="2")))
    url = f"/api/v1/namespaces/{bench.namespace}/configmaps/thing"
    acts: dict[str, Callable[[], Any]] = {
        "changed": lambda: bench.cluster.api.patch(url, {"data": {"a": "9"}}).expect(200),
        "deleted": lambda: delete(bench, url),
        "recreated": lambda: recreate(bench, url),
        "noise": lambda: bench.cluster.api.patch(url, {"metadata": {"labels": {"noise": "1"}}}).expect(200),
    }
    assert bench.apply(prepared, client=racing(bench, acts[meanwhile])).exit_code == exit_code
    left = bench.client.get(bench.key("ConfigMap", "thing"))
    assert (left["data"] if left else None) == data


def test_fields_set_on_an_object_that_appeared_at_the_same_moment_are_given_back(bench: Workbench) -> None:
    """Between our last read and our create nothing can be locked: the answer 200 tells, what we set is taken back."""
    bench.install()
    prepared = quickly(bench.prepare(bench.config("thing", ours="1")))
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "thing"}, "data": {"theirs": "1"}}

    collection = f"/api/v1/namespaces/{bench.namespace}/configmaps"
    client = racing(bench, lambda: bench.cluster.api.post(collection, foreign))
    applied = bench.apply(prepared, client=client)
    assert applied.exit_code == 3
    left = bench.get("ConfigMap", "thing")
    assert left["data"] == {"theirs": "1"}
    assert "orchest.io/owner" not in (left["metadata"].get("annotations") or {})


@pytest.mark.parametrize("meanwhile", ["changed", "recreated", "deleted"])
def test_an_orchestcluster_that_moved_makes_every_plan_stale_also_one_that_does_not_touch_it(
    bench: Workbench, meanwhile: str
) -> None:
    bench.install()
    prepared = quickly(bench.prepare(bench.config("thing", a="1")))
    assert all(action.key.kind != "OrchestCluster" for action in prepared.plan.actions)
    url = f"/apis/orchest.io/v1alpha1/namespaces/{bench.namespace}/orchestclusters/c"
    match meanwhile:
        case "changed":
            bench.cluster.api.patch(url, {"spec": {"singleNode": False}}).expect(200)
        case "recreated":
            recreate(bench, url)
        case _:
            delete(bench, url)
    refused_as_stale(bench, prepared)


def test_a_rejected_plan_leaves_not_even_a_lease(bench: Workbench) -> None:
    prepared = quickly(bench.prepare(bench.config("thing", a="1")))
    bench.install(spec={"singleNode": True})
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{bench.namespace}/leases"
    before = bench.cluster.api.get(leases).expect(200)["items"]
    refused_as_stale(bench, prepared)
    assert bench.cluster.api.get(leases).expect(200)["items"] == before
