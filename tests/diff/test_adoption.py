from __future__ import annotations

from typing import Any

import pytest

from desired_state.objects import PART_OF_LABEL
from diff.action import WRITES, Reason, Verb
from diff.after import after
from tests.diff import worlds
from tests.diff.worlds import (
    action_for,
    applied,
    codes,
    paths,
    planned,
    rendering,
    usual_rendering,
    with_object,
)

API = "Deployment.apps/orchest-api"
CLAIM = "PersistentVolumeClaim/userdir-pvc"
SECRET = "Secret/registry-tls-secret"


def of_the_original(body: dict[str, Any]) -> dict[str, Any]:
    """As the original made it: its labels, no mark, written by update."""
    metadata = {name: value for name, value in body["metadata"].items() if name != "annotations"}
    fields = {"f:metadata": {"f:labels": {f"f:{PART_OF_LABEL}": {}}}, "f:spec": {"f:template": {}}}
    entry = {
        "manager": "orchest-controller",
        "operation": "Update",
        "apiVersion": body["apiVersion"],
        "fieldsV1": fields,
    }
    return {**body, "metadata": {**metadata, "managedFields": [entry]}}


def daemon_set(name: str) -> dict[str, Any]:
    body = worlds.deployment(name)
    return {**body, "kind": "DaemonSet"}


def test_a_workload_of_the_original_is_replaced_and_the_plan_says_what_that_costs() -> None:
    for body in (worlds.deployment("orchest-api"), daemon_set("orchest-api")):
        found = f"{body['kind']}.apps/orchest-api"
        made = planned(rendering(body), with_object(worlds.empty_snapshot(), of_the_original(body)))
        action = action_for(made, found)
        assert (action.verb, action.reason) == (Verb.REPLACE, Reason.ORIGINAL_OBJECT)
        assert action.precondition.uid == "foreign-uid"
        assert "pods are stopped and ours are started; volumes stay" in action.explanation
        assert codes(made) == []


def test_the_reason_stays_the_original_also_where_a_field_cannot_change_in_place() -> None:
    original = of_the_original(worlds.deployment("orchest-api"))
    original["spec"] = {**original["spec"], "selector": {"matchLabels": {"other": "labels"}}}
    action = action_for(planned(usual_rendering(), with_object(worlds.empty_snapshot(), original)), API)
    assert (action.verb, action.reason) == (Verb.REPLACE, Reason.ORIGINAL_OBJECT)
    assert any(change.immutable for change in action.changes)


def test_replacing_everything_of_the_original_is_no_prune() -> None:
    names = [f"component-{number}" for number in range(12)]
    wanted = rendering(*(worlds.deployment(name) for name in names))
    snapshot = worlds.empty_snapshot()
    for name in names:
        snapshot = with_object(snapshot, of_the_original(worlds.deployment(name)), uid=f"uid-{name}")
    made = planned(wanted, snapshot)
    assert [action.verb for action in made.actions if action.key.kind == "Deployment"] == [Verb.REPLACE] * 12
    assert codes(made) == []


def test_nothing_of_the_original_survives_in_a_replaced_workload() -> None:
    original = of_the_original(worlds.deployment("orchest-api"))
    pod = original["spec"]["template"]["spec"]
    pod["containers"].append({"name": "log-streamer", "image": "orchest/orchest-webserver:v2022.10.5"})
    snapshot = applied(usual_rendering(), with_object(worlds.empty_snapshot(), original))
    there = snapshot.objects[worlds.key(API)]
    assert there.uid != "foreign-uid"
    assert [container["name"] for container in there.content["spec"]["template"]["spec"]["containers"]] == [
        "orchest-api"
    ]
    assert planned(usual_rendering(), snapshot).is_empty


def test_a_service_of_the_original_keeps_its_address_and_loses_its_other_ports() -> None:
    """A port without a name is refused beside another one."""
    wanted = rendering(worlds.service("rabbitmq-server"))
    original = of_the_original(worlds.service("rabbitmq-server"))
    original["spec"] = {"clusterIP": "10.96.0.7", "selector": {"app": "old"}, "ports": [{"port": 5672}]}
    world = with_object(worlds.empty_snapshot(), original)
    made = planned(wanted, world)
    action = action_for(made, "Service/rabbitmq-server")
    assert (action.verb, action.removals) == (Verb.ADOPT, ("/spec/ports/5672,TCP",))
    assert "spec.ports[port=5672,protocol=TCP]" in paths(action)
    for each in made.actions:
        world = after(world, each)
    spec = world.objects[action.key].content["spec"]
    assert (spec["clusterIP"], [port["port"] for port in spec["ports"]]) == ("10.96.0.7", [80])
    assert planned(wanted, world).is_empty


def test_an_ingress_of_the_original_loses_what_it_did_beside_ours_and_keeps_what_does_nothing() -> None:
    original = of_the_original(worlds.ingress("webserver"))
    nginx = "nginx.ingress.kubernetes.io/rewrite-target"
    original["metadata"]["annotations"] = {nginx: "/$2", "controller.orchest.io/k8s": "minikube"}
    wanted = rendering(worlds.ingress("webserver"))
    snapshot = applied(wanted, with_object(worlds.empty_snapshot(), original))
    annotations = snapshot.objects[worlds.key("Ingress.networking.k8s.io/webserver")].content["metadata"]["annotations"]
    assert nginx not in annotations
    assert annotations["controller.orchest.io/k8s"] == "minikube"
    assert planned(wanted, snapshot).is_empty


def test_ports_and_annotations_that_somebody_adds_to_an_object_of_ours_are_theirs() -> None:
    snapshot = applied(usual_rendering())

    def add(body: dict[str, Any]) -> None:
        body["spec"]["ports"].append({"port": 9, "name": "theirs"})

    assert planned(usual_rendering(), worlds.changed(snapshot, "Service/docker-registry", add)).is_empty


def test_a_claim_of_the_original_no_longer_goes_with_the_orchestcluster() -> None:
    wanted = usual_rendering(userdir_pvc=unowned(worlds.claim("userdir-pvc")))
    existing = unowned(worlds.claim("userdir-pvc"))
    del existing["metadata"]["annotations"]
    world = with_object(worlds.empty_snapshot(), existing)
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": "b"}
    world = worlds.changed(
        world, CLAIM, lambda body: body["metadata"].update(ownerReferences=[dict(OWNER_BEFORE), dict(theirs)])
    )
    action = action_for(planned(wanted, world), CLAIM)
    assert (action.verb, action.removals) == (Verb.ADOPT, ("/metadata/ownerReferences/a",))
    assert "outlives the OrchestCluster" in action.explanation
    snapshot = applied(wanted, world)
    assert snapshot.objects[worlds.key(CLAIM)].content["metadata"]["ownerReferences"] == [theirs]
    assert planned(wanted, snapshot).is_empty


def unowned(body: dict[str, Any]) -> dict[str, Any]:
    """Claims are rendered without an owner."""
    metadata = {name: value for name, value in body["metadata"].items() if name != "ownerReferences"}
    return {**body, "metadata": metadata}


OWNER_BEFORE = {
    "apiVersion": "orchest.io/v1alpha1",
    "kind": "OrchestCluster",
    "name": "cluster-1",
    "uid": "a",
    "controller": True,
}


def certificate_of_the_original() -> dict[str, Any]:
    body = worlds.certificate_secret()
    data = {"ca.crt": "b2xk", "tls.crt": "b2xk", "tls.key": "b2xk"}
    return {
        **body,
        "metadata": {**worlds.metadata_without_marks(body), "labels": {"app": "docker-registry"}},
        "data": data,
    }


def test_the_registrys_certificate_of_the_original_is_made_anew_in_place() -> None:
    made = planned(usual_rendering(), with_object(worlds.empty_snapshot(), certificate_of_the_original()))
    action = action_for(made, SECRET)
    assert (action.verb, action.reason) == (Verb.GENERATE, Reason.CONTENT_OUTDATED)
    assert action.precondition.uid == "foreign-uid"
    assert codes(made) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body["metadata"].update(labels={"app": "theirs"}),
        lambda body: body["metadata"].update(labels={}),
        lambda body: body.update(type="Opaque"),
    ],
)
def test_a_secret_of_that_name_that_the_original_did_not_make_is_refused(change: Any) -> None:
    foreign = certificate_of_the_original()
    change(foreign)
    assert codes(planned(usual_rendering(), with_object(worlds.empty_snapshot(), foreign))) == ["not-ours"]


# Helm's objects


def of_helm(body: dict[str, Any]) -> dict[str, Any]:
    marks = {"meta.helm.sh/release-name": "orchest-docker-registry", "meta.helm.sh/release-namespace": "orchest"}
    labels = {"app": "docker-registry", "app.kubernetes.io/managed-by": "Helm"}
    return {**body, "metadata": {**worlds.metadata_without_marks(body), "labels": labels, "annotations": marks}}


def test_an_object_of_helm_is_refused_with_the_command_that_removes_its_release() -> None:
    made = planned(usual_rendering(), with_object(worlds.empty_snapshot(), of_helm(worlds.service("docker-registry"))))
    (refusal,) = [note for note in made.notes if note.code == "not-ours"]
    assert "helm uninstall orchest-docker-registry -n orchest;" in refusal.message
    assert "kubectl delete secret -n orchest -l owner=helm,name=orchest-docker-registry" in refusal.message


def test_an_object_that_only_says_it_is_helms_is_refused_with_the_way_to_find_its_release() -> None:
    foreign = of_helm(worlds.service("docker-registry"))
    del foreign["metadata"]["annotations"]
    made = planned(usual_rendering(), with_object(worlds.empty_snapshot(), foreign))
    (refusal,) = [note for note in made.notes if note.code == "not-ours"]
    assert "helm uninstall RELEASE -n orchest (helm list -n orchest names it)" in refusal.message


def test_a_claim_of_helm_is_adopted_with_a_warning_that_helm_would_delete_it() -> None:
    made = planned(usual_rendering(), with_object(worlds.empty_snapshot(), of_helm(worlds.claim("userdir-pvc"))))
    assert action_for(made, "PersistentVolumeClaim/userdir-pvc").verb is Verb.ADOPT
    (warning,) = made.notes
    assert (warning.code, warning.severity) == ("helm-claim", "warning")
    assert "-l owner=helm,name=orchest-docker-registry" in warning.message
    assert len([action for action in made.actions if action.verb in WRITES]) == len(made.actions)
