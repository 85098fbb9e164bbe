"""What pods and accounts may do: the restricted profile wherever a component can live with it, the least beyond it
elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from render import render
from tests.render.cases import FACTS, WITH_DOCKER, cluster

if TYPE_CHECKING:
    from desired_state.facts import ClusterFacts

RESTRICTED = {"rabbitmq-server", "docker-registry", "auth-server"}
ADDED_CAPABILITIES = {
    "orchest-database": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"},
    "orchest-api": {"CHOWN", "DAC_OVERRIDE", "FOWNER"},
    "celery-worker": {"CHOWN", "DAC_OVERRIDE", "FOWNER"},
    "orchest-webserver": {"CHOWN", "DAC_OVERRIDE", "FOWNER"},
    "node-agent": set[str](),
}
HOST_PATHS = {
    "node-agent": {"/var/run/containerd/containerd.sock"},
    "buildkit-daemon": {
        "/var/run/containerd/containerd.sock",
        "/run/containerd",
        "/var/lib/containerd",
        "/run/orchest_buildkit",
        "/var/lib/orchest_buildkit",
    },
}
USES_THE_API_SERVER = {"orchest-api", "celery-worker", "node-agent"}


def pods(facts: ClusterFacts = FACTS) -> dict[str, Any]:
    return {
        each.component: each.manifest.content["spec"]["template"]["spec"]
        for each in render(cluster({}), facts).objects
        if each.manifest.key.kind in {"Deployment", "DaemonSet"}
    }


@pytest.mark.parametrize("component", sorted(RESTRICTED))
def test_a_restricted_component_meets_every_rule_of_the_profile(component: str) -> None:
    pod = pods()[component]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert not any("hostPath" in volume for volume in pod.get("volumes", []))
    for container in pod["containers"]:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_only_the_build_daemon_is_privileged() -> None:
    found = {
        name
        for name, pod in pods().items()
        for container in pod["containers"]
        if container["securityContext"].get("privileged")
    }

    assert found == {"buildkit-daemon"}


@pytest.mark.parametrize("component", sorted(ADDED_CAPABILITIES))
def test_root_has_no_more_than_it_needs(component: str) -> None:
    pod = pods()[component]
    context = pod["containers"][0]["securityContext"]

    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"]["drop"] == ["ALL"]
    assert set(context["capabilities"].get("add", [])) == ADDED_CAPABILITIES[component]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_every_component_is_judged_here() -> None:
    assert pods().keys() == RESTRICTED | ADDED_CAPABILITIES.keys() | {"buildkit-daemon"}


def test_nobody_changes_the_group_of_the_user_directory() -> None:
    """PostgreSQL refuses a data directory that its group may write."""
    for pod in pods().values():
        claims = {volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod.get("volumes", [])}
        assert "userdir-pvc" not in claims or "fsGroup" not in pod["securityContext"]


def test_only_what_works_on_the_node_sees_the_node() -> None:
    found = {
        name: {volume["hostPath"]["path"] for volume in pod.get("volumes", []) if "hostPath" in volume}
        for name, pod in pods().items()
    }

    assert {name: paths for name, paths in found.items() if paths} == HOST_PATHS


def test_a_token_is_mounted_only_where_the_api_server_is_used() -> None:
    for name, pod in pods(WITH_DOCKER).items():
        assert pod["automountServiceAccountToken"] is (name in USES_THE_API_SERVER)
        assert ("serviceAccountName" in pod) is (name in USES_THE_API_SERVER)


def test_rights_are_named_one_by_one_and_secrets_are_not_among_them() -> None:
    for each in render(cluster({}), FACTS).objects:
        for rule in each.manifest.content.get("rules", ()):
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert "secrets" not in rule["resources"]
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])


def test_across_namespaces_things_are_only_read_and_tokens_reviewed() -> None:
    """A review is made, but nothing is stored by it."""
    review = {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}
    for each in render(cluster({}), FACTS).objects:
        if each.manifest.key.kind == "ClusterRole":
            rules = [rule for rule in each.manifest.content["rules"] if rule != review]
            assert {resource for rule in rules for resource in rule["resources"]} <= {
                "nodes",
                "storageclasses",
                "ingressclasses",
            }
            assert {verb for rule in rules for verb in rule["verbs"]} <= {"get", "list", "watch"}


def test_every_binding_binds_a_rendered_role_to_a_rendered_account() -> None:
    keys = {each.manifest.key for each in render(cluster({}), FACTS).objects}
    names = {(key.kind, key.namespace, key.name) for key in keys}
    for each in render(cluster({}), FACTS).objects:
        if each.manifest.key.kind.endswith("Binding"):
            content = each.manifest.content
            assert (content["roleRef"]["kind"], each.manifest.key.namespace, content["roleRef"]["name"]) in names
            assert [("ServiceAccount", s["namespace"], s["name"]) in names for s in content["subjects"]] == [True]
