"""Apply on a real API server: it does what the plan says, records it, and stops cleanly whenever it cannot go on."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from desired_state.objects import ObjectKey
from diff.action import ReadinessRule, Verb
from reconciler.apply import Permissions
from reconciler.cluster_client import ClusterClient
from reconciler.errors import AdmissionRefused, Conflict, Invalid, LeaseHeld, Refused
from reconciler.holder import Holder
from reconciler.lease import lease_key
from reconciler.record import Result, Verdict
from tests.cluster.workbench import IMAGE, Listener, Workbench, quickly, workbench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from desired_state.objects import DesiredObject
    from dev.cluster.launcher import Cluster

CANARY = "canary-7f3a9c"


@pytest.fixture
def bench(cluster: Cluster, namespace: str) -> Workbench:
    return workbench(cluster, namespace)


def url(bench: Workbench, kind: str, name: str = "") -> str:
    group = {"deployments": "apis/apps/v1", "orchestclusters": "apis/orchest.io/v1alpha1"}.get(kind, "api/v1")
    return f"/{group}/namespaces/{bench.namespace}/{kind}" + (f"/{name}" if name else "")


def inventory(bench: Workbench) -> dict[str, str]:
    return {entry["key"].rpartition("/")[2]: entry["uid"] for entry in bench.status["inventory"]}


def lease(bench: Workbench) -> dict[str, Any]:
    found = bench.client.get(lease_key(bench.owner))
    assert found is not None
    return found


def container(image: str = IMAGE, **more: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image, **more}]}}}}


# What it does


def test_a_second_plan_after_an_apply_is_empty_and_the_inventory_has_every_uid(bench: Workbench) -> None:
    objects = (bench.config("a", k="v"), bench.secret("s", "password"), bench.deployment("d"))
    bench.install(*objects)
    bench.apply(quickly(bench.prepare(*objects), ReadinessRule.DEPLOYMENT))
    again = bench.prepare(*objects)
    assert again.plan.actions == ()
    uids = {
        key.name: found.uid
        for key, found in again.snapshot.objects.items()
        if key.kind not in {"Namespace", "OrchestCluster"}
    }
    assert inventory(bench) == uids
    assert bench.status["state"] == "Running"
    assert lease(bench)["spec"].get("holderIdentity") is None


def test_applying_an_empty_plan_writes_nothing(bench: Workbench) -> None:
    bench.install(bench.config("a", k="v"))
    before = bench.get("OrchestCluster", "c", "orchest.io"), lease(bench)
    assert bench.apply(bench.prepare(bench.config("a", k="v"))).outcomes == ()
    assert (bench.get("OrchestCluster", "c", "orchest.io"), lease(bench)) == before


def test_a_missing_namespace_is_created_first(cluster: Cluster) -> None:
    bench = workbench(cluster, f"test-{uuid4().hex[:12]}")
    try:
        applied = bench.install(bench.config("a", k="v"))
        assert [outcome.key.kind for outcome in applied.outcomes] == ["Namespace", "OrchestCluster", "ConfigMap"]
    finally:
        cluster.api.delete(f"/api/v1/namespaces/{bench.namespace}")


def test_when_the_rehearsal_fails_in_a_new_namespace_nothing_but_the_namespace_was_made(cluster: Cluster) -> None:
    bench = workbench(cluster, f"test-{uuid4().hex[:12]}")
    try:
        bad = bench.object("v1", "Service", "bad", spec={"ports": [{"port": 99999, "protocol": "TCP"}]})
        applied = bench.apply(quickly(bench.prepare(bench.config("a", k="v"), bad)))
        assert [outcome.result for outcome in applied.outcomes] == [Result.DONE, *[Result.NOT_STARTED] * 3]
        assert (applied.exit_code, "99999" in applied.message) == (1, True)
        assert bench.client.get(bench.owner) is None
    finally:
        cluster.api.delete(f"/api/v1/namespaces/{bench.namespace}")


def test_fields_changed_by_hand_are_taken_back(bench: Workbench) -> None:
    bench.install(bench.deployment("d"))
    bench.cluster.api.patch(
        url(bench, "deployments", "d"),
        container("registry.example.com/other:1"),
        media_type="application/strategic-merge-patch+json",
        fieldManager="kubectl-set",
    ).expect(200)
    prepared = quickly(bench.prepare(bench.deployment("d")))
    assert [change.manager for change in prepared.plan.actions[0].changes] == ["kubectl-set"]
    assert bench.apply(prepared).exit_code == 0
    left = bench.get("Deployment", "d", "apps")
    assert left["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE


def test_a_secrets_passwords_survive_every_later_write(bench: Workbench) -> None:
    bench.install(bench.secret("s", "one"))
    first = bench.get("Secret", "s")["data"]["one"]
    bench.install(bench.secret("s", "one", "two"))
    bench.cluster.api.patch(
        url(bench, "secrets", "s"), {"metadata": {"labels": {"controller.orchest.io/part-of": None}}}
    )
    prepared = quickly(bench.prepare(bench.secret("s", "one", "two")))
    assert [action.verb for action in prepared.plan.actions] == [Verb.UPDATE]
    assert bench.apply(prepared).exit_code == 0
    assert bench.get("Secret", "s")["data"]["one"] == first
    assert set(bench.get("Secret", "s")["data"]) == {"one", "two"}


def test_what_is_no_longer_desired_is_deleted_and_leaves_the_inventory(bench: Workbench) -> None:
    bench.install(bench.config("a", k="v"), bench.config("b", k="v"))
    bench.install(bench.config("a", k="v"))
    assert bench.client.get(bench.key("ConfigMap", "b")) is None
    assert set(inventory(bench)) == {"a"}


def test_a_replaced_object_is_a_new_one_and_the_inventory_knows_it(bench: Workbench) -> None:
    def typed(kind: str) -> Any:
        return bench.object("v1", "Secret", "s", type=kind, data={"k": "dg=="})

    bench.install(typed("Opaque"))
    old = bench.get("Secret", "s")["metadata"]["uid"]
    bench.install(typed("example.com/other"))
    new = bench.get("Secret", "s")
    assert new["type"] == "example.com/other"
    assert inventory(bench) == {"s": new["metadata"]["uid"]} != {"s": old}


def test_what_somebody_added_to_the_orchestcluster_is_removed(bench: Workbench) -> None:
    bench.install(spec={"singleNode": True})
    bench.cluster.api.patch(
        url(bench, "orchestclusters", "c"), {"spec": {"orchest": {"pause": False}}}, fieldManager="kubectl-edit"
    ).expect(200)
    prepared = bench.prepare(spec={"singleNode": True})
    assert prepared.plan.actions[0].removals
    assert bench.apply(prepared).exit_code == 0
    assert "pause" not in bench.get("OrchestCluster", "c", "orchest.io")["spec"].get("orchest", {})
    assert bench.prepare(spec={"singleNode": True}).plan.actions == ()


# Readiness


def test_the_next_wave_waits_until_this_one_is_ready_and_has_held(bench: Workbench) -> None:
    database = replace(bench.deployment("database"), component="orchest-database")
    prepared = bench.prepare(database, bench.deployment("later"))
    listener = Listener()
    applied = bench.apply(quickly(prepared, ReadinessRule.DEPLOYMENT, hold=1.0), listener=listener)
    assert applied.exit_code == 0
    assert [outcome.key.name for outcome in listener.finished_outcomes] == ["c", "database", "later"]
    assert all(outcome.seconds >= 1.0 for outcome in applied.outcomes[1:])
    assert bench.get("Deployment", "database", "apps")["status"]["availableReplicas"] == 1


def test_a_timeout_says_why_and_stops_later_waves(bench: Workbench) -> None:
    spec = {"containers": [{"name": "main", "image": IMAGE}], "nodeSelector": {"nowhere": "x"}}
    template = {"metadata": {"labels": {"app": "database"}}, "spec": spec}
    database = replace(bench.deployment("database", template=template), component="orchest-database")
    prepared = quickly(bench.prepare(database, bench.deployment("later")), ReadinessRule.DEPLOYMENT, timeout=2)
    applied = bench.apply(prepared)
    assert applied.verdict is Verdict.FAILED
    outcomes = {outcome.key.name: outcome for outcome in applied.outcomes}
    assert "not ready after 2 seconds; 0 of 1 replicas available" in outcomes["database"].message
    assert "Unschedulable" in outcomes["database"].message
    assert outcomes["later"].result is Result.NOT_STARTED
    assert set(inventory(bench)) == {"database"}
    assert bench.status["state"] == "Error"
    assert {c["type"]: c["status"] for c in bench.status["conditions"]}["Stalled"] == "True"
    assert "Unschedulable" in next(c["message"] for c in bench.status["conditions"] if c["type"] == "Stalled")


# Refusals: nothing is written


def test_a_field_that_another_apply_manager_holds_is_a_conflict_unless_forced(bench: Workbench) -> None:
    bench.install(bench.deployment("d", replicas=1))
    theirs = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 3}}
    bench.cluster.api.apply(url(bench, "deployments", "d"), theirs, "helm", force="true").expect(200)
    prepared = quickly(bench.prepare(bench.deployment("d", replicas=1)))
    with pytest.raises(Conflict, match="helm") as refusal:
        bench.apply(prepared)
    assert refusal.value.exit_code == 4
    assert bench.get("Deployment", "d", "apps")["spec"]["replicas"] == 3
    assert bench.apply(prepared, permissions=Permissions(force_conflicts=True)).exit_code == 0
    assert bench.get("Deployment", "d", "apps")["spec"]["replicas"] == 1


def test_a_conflict_that_the_plan_did_not_foresee_is_found_by_the_rehearsal(bench: Workbench) -> None:
    bench.install(bench.config("a", k="v"), bench.config("b", k="v"))
    prepared = quickly(bench.prepare(bench.config("a", k="new"), bench.config("b", k="new")))
    # The same value as ours: no drift, nothing stale, and yet a field that now has a second owner.
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "data": {"k": "v"}}
    bench.cluster.api.apply(url(bench, "configmaps", "b"), theirs, "helm").expect(200)
    with pytest.raises(Conflict, match="helm"):
        bench.apply(prepared)
    assert bench.get("ConfigMap", "a")["data"] == {"k": "v"}


def test_too_many_prunes_are_refused_unless_allowed(bench: Workbench) -> None:
    bench.install(*(bench.config(f"c{index}", k="v") for index in range(6)))
    prepared = quickly(bench.prepare(bench.config("c0", k="v")))
    with pytest.raises(Refused) as refusal:
        bench.apply(prepared)
    assert refusal.value.exit_code == 5
    assert len(inventory(bench)) == 6
    assert bench.apply(prepared, permissions=Permissions(prune=True)).exit_code == 0
    assert set(inventory(bench)) == {"c0"}


def test_one_invalid_object_stops_everything_before_the_first_write(bench: Workbench) -> None:
    bench.install()
    bad = bench.object("v1", "Service", "bad", spec={"ports": [{"port": 99999, "protocol": "TCP"}]})
    worse = bench.object("v1", "Service", "worse", spec={"ports": [{"port": -1, "protocol": "TCP"}]})
    with pytest.raises(Invalid) as refusal:
        bench.apply(quickly(bench.prepare(bench.config("a", k="v"), bad, worse)))
    assert "bad" in str(refusal.value)
    assert "worse" in str(refusal.value)
    assert bench.client.get(bench.key("ConfigMap", "a")) is None


@pytest.fixture
def policy(bench: Workbench) -> Iterator[None]:
    """The server refuses every ConfigMap in this namespace that has a key `forbidden`."""
    api, name = bench.cluster.api, bench.namespace
    root = "/apis/admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}
    match = {"matchLabels": {"kubernetes.io/metadata.name": name}}
    api.post(
        f"{root}/validatingadmissionpolicies",
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [rule], "namespaceSelector": match},
                "validations": [{"expression": "!('forbidden' in object.data)", "message": "not on a Sunday"}],
            },
        },
    ).expect(201)
    api.post(
        f"{root}/validatingadmissionpolicybindings",
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        },
    ).expect(201)
    probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}, "data": {"forbidden": "x"}}
    for _ in range(300):
        if api.post(url(bench, "configmaps"), probe, dryRun="All").status == 422:
            break
        time.sleep(0.05)
    yield
    api.delete(f"{root}/validatingadmissionpolicybindings/{name}")
    api.delete(f"{root}/validatingadmissionpolicies/{name}")


@pytest.mark.usefixtures("policy")
def test_an_admission_refusal_is_told_before_anything_is_written(bench: Workbench) -> None:
    bench.install()
    with pytest.raises(AdmissionRefused, match="not on a Sunday"):
        bench.apply(quickly(bench.prepare(bench.config("a", k="v"), bench.config("b", forbidden="x"))))
    assert bench.client.get(bench.key("ConfigMap", "a")) is None


def test_no_secret_of_ours_comes_back_in_a_servers_refusal(bench: Workbench) -> None:
    bench.install()
    env = {"name": "DB_PASSWORD", "value": CANARY, "valueFrom": {"fieldRef": {"fieldPath": CANARY}}}
    labels = {"app": "d"}
    spec = {"containers": [{"name": "main", "image": IMAGE, "env": [env], "ports": CANARY}]}
    bad = bench.deployment("d", template={"metadata": {"labels": labels}, "spec": spec})
    secret = bench.object(
        "v1", "Secret", "s", type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": CANARY}
    )
    for wrong in (bad, secret):
        with pytest.raises(Invalid) as refusal:
            bench.apply(quickly(bench.prepare(wrong)))
        assert CANARY not in str(refusal.value)


# One at a time


def hold(bench: Workbench, identity: str, renewed: datetime) -> None:
    patch = {"spec": {"holderIdentity": identity, "renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}}
    path = f"/apis/coordination.k8s.io/v1/namespaces/{bench.namespace}/leases/orchest-c"
    bench.cluster.api.patch(path, patch).expect(200)


def test_two_applies_of_one_cluster_do_not_interleave(bench: Workbench) -> None:
    bench.install()
    hold(bench, str(Holder("elsewhere", 7, "0000000000", "1")), datetime.now(UTC))
    with pytest.raises(LeaseHeld, match="process 7 on elsewhere"):
        bench.apply(bench.prepare(bench.config("a", k="v")))
    assert bench.client.get(bench.key("ConfigMap", "a")) is None


@pytest.mark.parametrize(
    ("holder", "seconds_ago"),
    [(Holder("elsewhere", 7, "0000000000", "1"), 16), (replace(Holder.this_process(), started="1"), 0)],
    ids=["expired", "dead"],
)
def test_the_lease_of_an_apply_that_ended_without_releasing_is_taken(
    bench: Workbench, holder: Holder, seconds_ago: int
) -> None:
    bench.install()
    hold(bench, str(holder), datetime.now(UTC) - timedelta(seconds=seconds_ago))
    assert bench.apply(quickly(bench.prepare(bench.config("a", k="v")))).exit_code == 0


def test_an_apply_that_loses_its_lease_stops(bench: Workbench) -> None:
    """As after a long pause of this machine: somebody else took over while we wait for a Deployment."""
    database = replace(bench.deployment("database", minReadySeconds=8), component="orchest-database")
    bench.install()
    prepared = quickly(bench.prepare(database, bench.deployment("later")), ReadinessRule.DEPLOYMENT)
    listener = Listener(lambda _action: hold(bench, str(Holder("elsewhere", 7, "0000000000", "1")), datetime.now(UTC)))
    applied = bench.apply(prepared, listener=listener)
    assert applied.verdict is Verdict.FAILED
    assert "took the Lease" in applied.message
    assert bench.client.get(bench.key("Deployment", "later", "apps")) is None
    assert lease(bench)["spec"]["holderIdentity"].startswith("elsewhere/7/")


# Interrupted and killed


class Interrupting(Listener):
    """Ctrl-C at the first sign of waiting."""

    def waiting(self, action: Any, message: str) -> None:
        super().waiting(action, message)
        if len(self.waits) == 1:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_an_apply_with_a_consistent_record(bench: Workbench) -> None:
    database = replace(bench.deployment("database"), component="orchest-database")
    objects = (database, bench.deployment("later"))
    before = signal.getsignal(signal.SIGINT)
    applied = bench.apply(quickly(bench.prepare(*objects), ReadinessRule.DEPLOYMENT, hold=60), listener=Interrupting())
    assert signal.getsignal(signal.SIGINT) is before
    assert (applied.verdict, applied.exit_code) == (Verdict.INTERRUPTED, 130)
    assert [outcome.result for outcome in applied.outcomes] == [Result.DONE, Result.DONE, Result.NOT_STARTED]
    assert "not awaited" in applied.outcomes[1].message
    assert inventory(bench)["database"] == bench.get("Deployment", "database", "apps")["metadata"]["uid"]
    assert lease(bench)["spec"].get("holderIdentity") is None
    bench.install(*objects)


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it is done, not even a release."""


def mortal(bench: Workbench, writes: int) -> ClusterClient:
    """A client that dies after its n-th request that wrote, and with it everything else of its process."""

    class Mortal(ClusterClient):
        left = writes

        def _send(self, method: str, path: str, query: Any, **rest: Any) -> Any:
            if self.left <= 0:
                raise Killed
            answer = super()._send(method, path, query, **rest)
            is_dry = "dryRun" in query or "dryRun" in (rest.get("body") or {})
            if method != "GET" and not is_dry and "leases" not in path:
                self.left -= 1
            return answer

    return Mortal(bench.client._session, bench.client._masker)


@pytest.mark.parametrize("writes", range(1, 7))
def test_no_kill_leaves_an_object_that_nobody_may_prune(bench: Workbench, writes: int) -> None:
    """Then Git asks for something else, and nothing of what was begun remains."""
    bench.install(bench.config("stays", k="v"))
    objects = (bench.config("stays", k="v"), bench.config("x", k="v"), bench.config("y", k="v"), bench.secret("z", "p"))
    with pytest.raises(Killed):
        bench.apply(quickly(bench.prepare(*objects)), client=mortal(bench, writes))
    hold(bench, "", datetime.now(UTC))
    bench.apply(quickly(bench.prepare(bench.config("stays", k="v"))), permissions=Permissions(prune=True))
    assert bench.prepare(bench.config("stays", k="v")).plan.actions == ()
    left = bench.cluster.api.get(url(bench, "configmaps"), labelSelector="controller.orchest.io/part-of=orchest")
    assert [item["metadata"]["name"] for item in left.expect(200)["items"]] == ["stays"]
    assert bench.client.get(bench.key("Secret", "z")) is None
    assert set(inventory(bench)) == {"stays"}


@pytest.mark.parametrize("writes", range(1, 6))
def test_no_kill_in_the_middle_of_a_replace_leaves_an_object_that_nobody_may_prune(
    bench: Workbench, writes: int
) -> None:
    def typed(kind: str) -> DesiredObject:
        return bench.object("v1", "Secret", "s", type=kind, data={"k": "dg=="})

    stays = bench.config("stays", k="v")
    bench.install(stays, typed("Opaque"))
    killed = False
    try:
        bench.apply(quickly(bench.prepare(stays, typed("example.com/other"))), client=mortal(bench, writes))
    except Killed:
        killed = True
    assert killed or writes == 5
    hold(bench, "", datetime.now(UTC))
    bench.apply(quickly(bench.prepare(stays)), permissions=Permissions(prune=True))
    assert bench.prepare(stays).plan.actions == ()
    assert bench.client.get(bench.key("Secret", "s")) is None


def test_a_deployment_whose_status_keeps_moving_is_written_all_the_same(bench: Workbench) -> None:
    """resourceVersion moves with every status; the write is tried again while what the plan saw is unchanged."""
    bench.install(bench.deployment("d", replicas=3))
    for replicas in (1, 3, 2):
        prepared = quickly(bench.prepare(bench.deployment("d", replicas=replicas)))
        assert bench.apply(prepared).exit_code == 0
    assert bench.get("Deployment", "d", "apps")["spec"]["replicas"] == 2


def test_cluster_scoped_objects_of_another_cluster_are_not_observed(bench: Workbench) -> None:
    prepared = bench.prepare()
    marks = {
        (found.content["metadata"].get("annotations") or {}).get("orchest.io/owner")
        for key, found in prepared.snapshot.objects.items()
        if not key.namespace and key != ObjectKey("", "Namespace", "", bench.namespace)
    }
    assert marks <= {f"{bench.namespace}/c"}
