"""The facts of a cluster, derived from its nodes and classes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired_state.facts import ClusterFacts, IngressClass, StorageClass
from reconciler.observe import crd_hash, derive_facts

SOCKET = "kubeadm.alpha.kubernetes.io/cri-socket"


def node(name: str, runtime: str = "containerd://1.7.0", **metadata: Any) -> dict[str, Any]:
    info = {"containerRuntimeVersion": runtime, "kubeletVersion": "v1.34.4"}
    return {"metadata": {"name": name} | metadata, "status": {"nodeInfo": info}}


def facts(nodes: list[dict[str, Any]], **classes: list[dict[str, Any]]) -> ClusterFacts:
    return derive_facts(
        nodes=nodes,
        ingress_classes=classes.get("ingress_classes", []),
        storage_classes=classes.get("storage_classes", []),
        server_version="v1.34.4",
        cluster_uid="u",
    )


@pytest.mark.parametrize(
    ("runtimes", "expected"),
    [
        (["containerd://1.7.0", "containerd://1.6.2"], ("containerd",)),
        (["docker://20.10", "containerd://1.7.0"], ("containerd", "docker")),
        ([], ()),
        ([""], ()),
    ],
)
def test_runtimes_are_named_once(runtimes: list[str], expected: tuple[str, ...]) -> None:
    nodes = [node(f"n{index}", runtime) for index, runtime in enumerate(runtimes)]
    assert facts(nodes).container_runtimes == expected


def test_the_socket_is_that_of_the_first_node_by_name() -> None:
    first = node("a", annotations={SOCKET: "unix:///run/a.sock"})
    second = node("b", annotations={SOCKET: "unix:///run/b.sock"})
    assert facts([second, first]).node_socket == "/run/a.sock"
    assert facts([]).node_socket == ""


@pytest.mark.parametrize(
    ("found", "distribution"),
    [
        (node("n"), ""),
        (node("n", labels={"minikube.k8s.io/name": "m"}), "minikube"),
        (node("n", labels={"microk8s.io/cluster": "true"}), "microk8s"),
        (node("n", annotations={SOCKET: "unix:///var/snap/microk8s/common/run/containerd.sock"}), "microk8s"),
        (node("n", labels={"eks.amazonaws.com/nodegroup": "g"}), "eks"),
        (node("n", labels={"cloud.google.com/gke-nodepool": "p"}), "gke"),
        (node("n", labels={"node.kubernetes.io/instance-type": "k3s"}), "k3s"),
        (node("n") | {"spec": {"providerID": "k3s://n"}}, "k3s"),
        (node("docker-desktop"), "docker-desktop"),
    ],
)
def test_a_distribution_gives_itself_away(found: dict[str, Any], distribution: str) -> None:
    assert facts([node("z"), found]).distribution == distribution


def test_classes_are_read_with_their_defaults() -> None:
    storage = {"metadata": {"name": "slow"}, "provisioner": "p"}
    default = {
        "metadata": {"name": "fast", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "p",
        "allowVolumeExpansion": True,
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    ingress = {"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}
    derived = facts([], storage_classes=[storage, default], ingress_classes=[ingress])
    assert derived.storage_classes == (
        StorageClass("fast", "p", is_default=True, allows_expansion=True, binding_mode="WaitForFirstConsumer"),
        StorageClass("slow", "p", is_default=False, allows_expansion=False, binding_mode="Immediate"),
    )
    assert derived.ingress_classes == (IngressClass("nginx", "k8s.io/ingress-nginx"),)


@given(
    st.permutations([node("a"), node("b", "docker://1"), node("docker-desktop", labels={"microk8s.io/cluster": "1"})])
)
def test_facts_do_not_depend_on_the_order_of_the_answer(nodes: list[dict[str, Any]]) -> None:
    assert facts(nodes) == facts(nodes[::-1])


def test_the_crd_hash_names_the_spec_alone() -> None:
    crd = {"metadata": {"resourceVersion": "1"}, "spec": {"group": "orchest.io", "scope": "Namespaced"}}
    again = {"metadata": {"resourceVersion": "2"}, "spec": {"scope": "Namespaced", "group": "orchest.io"}}
    assert crd_hash(crd) == crd_hash(again) != crd_hash({"spec": {}})
    assert crd_hash(None) == ""
