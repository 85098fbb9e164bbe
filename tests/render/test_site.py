"""How a cluster fits where it is rendered for: runtime, storage, ingress, applications; and what is said when it does
not fit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from desired_state.facts import IngressClass, StorageClass
from desired_state.objects import Generated, Recipe, Severity
from render import render
from tests.render.cases import FACTS, STANDARD, WITH_DOCKER, cluster

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.facts import ClusterFacts
    from desired_state.objects import Rendering

K3S = replace(FACTS, distribution="k3s")
MICROK8S = replace(FACTS, distribution="microk8s")
MICROK8S_SOCKET = "/var/snap/microk8s/common/run/containerd.sock"
SOCKET = "orchest.io/container-runtime-socket"
FAST = replace(STANDARD, name="fast", is_default=False)


def refusals(rendering: Rendering) -> list[tuple[str, str]]:
    return [(note.code, note.path) for note in rendering.notes if note.severity is Severity.REFUSAL]


def warnings(rendering: Rendering) -> list[str]:
    return [note.code for note in rendering.notes if note.severity is Severity.WARNING]


def content(rendering: Rendering, kind: str, name: str) -> Any:
    return next(each.manifest.content for each in rendering.objects if each.manifest.key[1::2] == (kind, name))


def host_paths(rendering: Rendering, component: str) -> dict[str, str]:
    """Volume name -> path on the node."""
    volumes = content(rendering, "DaemonSet", component)["spec"]["template"]["spec"]["volumes"]
    return {volume["name"]: volume["hostPath"]["path"] for volume in volumes if "hostPath" in volume}


def env_entries(**values: str) -> dict[str, Any]:
    return {"orchest": {"env": [{"name": name, "value": value} for name, value in values.items()]}}


@pytest.mark.parametrize(
    ("spec", "annotations", "facts", "socket"),
    [
        ({}, {}, FACTS, "/var/run/containerd/containerd.sock"),
        ({}, {}, WITH_DOCKER, "/var/run/docker.sock"),
        ({}, {}, K3S, "/run/k3s/containerd/containerd.sock"),
        ({}, {}, MICROK8S, MICROK8S_SOCKET),
        ({}, {}, replace(K3S, node_socket="/run/node.sock"), "/run/node.sock"),
        ({}, {}, replace(WITH_DOCKER, node_socket="/run/containerd/containerd.sock"), "/var/run/docker.sock"),
        ({}, {SOCKET: "unix:///run/mine.sock"}, replace(FACTS, node_socket="/run/node.sock"), "/run/mine.sock"),
        # what the original wrote into the manifest of its day
        (
            env_entries(CONTAINER_RUNTIME_SOCKET="/var/run/docker.sock"),
            {},
            FACTS,
            "/var/run/containerd/containerd.sock",
        ),
        (
            env_entries(CONTAINER_RUNTIME="docker", CONTAINER_RUNTIME_SOCKET="/run/d.sock"),
            {},
            K3S,
            "/run/k3s/containerd/containerd.sock",
        ),
        (
            env_entries(CONTAINER_RUNTIME="containerd", CONTAINER_RUNTIME_SOCKET=MICROK8S_SOCKET),
            {},
            FACTS,
            MICROK8S_SOCKET,
        ),
        (env_entries(CONTAINER_RUNTIME_SOCKET="/run/a.sock"), {SOCKET: "/run/b.sock"}, FACTS, "/run/b.sock"),
    ],
)
def test_the_socket_is_the_one_that_knows_best(
    spec: dict[str, Any], annotations: Mapping[str, str], facts: ClusterFacts, socket: str
) -> None:
    rendering = render(cluster(spec, annotations), facts)
    agent = content(rendering, "DaemonSet", "node-agent")["spec"]["template"]["spec"]["containers"][0]

    assert host_paths(rendering, "node-agent")["container-runtime-socket"] == socket
    assert {"name": "CONTAINER_RUNTIME_SOCKET", "value": socket} in agent["env"]


@pytest.mark.parametrize(
    ("facts", "run", "library"),
    [
        (FACTS, "/run/containerd", "/var/lib/containerd"),
        (K3S, "/run/k3s/containerd", "/var/lib/rancher/k3s/agent/containerd"),
        (
            MICROK8S,
            "/var/snap/microk8s/common/run/containerd",
            "/var/snap/microk8s/common/var/lib/containerd",
        ),
    ],
)
def test_the_build_daemon_sees_the_directories_of_this_containerd(facts: ClusterFacts, run: str, library: str) -> None:
    paths = host_paths(render(cluster({}), facts), "buildkit-daemon")

    assert (paths["containerd-run"], paths["containerd-lib"]) == (run, library)


@pytest.mark.parametrize(
    ("runtimes", "refused", "warned"),
    [
        (("containerd",), [], []),
        (("docker",), [], []),
        ((), [], ["no-nodes"]),
        (("containerd", "docker"), [("mixed-container-runtimes", "spec")], []),
        (("cri-o",), [("unsupported-container-runtime", "spec")], []),
        (("containerd", "cri-o"), [("mixed-container-runtimes", "spec")], []),
    ],
)
def test_runtimes_that_cannot_work_are_refused(
    runtimes: tuple[str, ...], refused: list[tuple[str, str]], warned: list[str]
) -> None:
    rendering = render(cluster({}), replace(FACTS, container_runtimes=runtimes))

    assert refusals(rendering) == refused
    assert warnings(rendering) == warned


def claims(rendering: Rendering) -> dict[str, tuple[str, str, str | None]]:
    found = [each.manifest.content for each in rendering.objects if each.manifest.key.kind == "PersistentVolumeClaim"]
    return {
        claim["metadata"]["name"]: (
            claim["spec"]["resources"]["requests"]["storage"],
            *claim["spec"]["accessModes"],
            claim["spec"].get("storageClassName"),
        )
        for claim in found
    }


def resources(**values: Any) -> dict[str, Any]:
    return {"applications": [], "orchest": {"resources": values}}


SEPARATE: dict[str, Any] = {"separateOrchestStateFromUserDir": True}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"userdir-pvc": ("50Gi", "ReadWriteOnce", None), "docker-registry": ("25Gi", "ReadWriteOnce", None)}),
        ({"applications": []}, {"userdir-pvc": ("50Gi", "ReadWriteOnce", None)}),
        ({"applications": [], "singleNode": False}, {"userdir-pvc": ("50Gi", "ReadWriteMany", None)}),
        (resources(userDirVolumeSize="7Gi"), {"userdir-pvc": ("7Gi", "ReadWriteOnce", None)}),
        (
            resources(userDirVolumeSize="7Gi", userDirVolume={"volumeSize": "8Gi", "storageClass": "fast"}),
            {"userdir-pvc": ("8Gi", "ReadWriteOnce", "fast")},
        ),
        (
            resources(**SEPARATE),
            {"userdir-pvc": ("50Gi", "ReadWriteMany", None), "orchest-state": ("5Gi", "ReadWriteOnce", None)},
        ),
        (
            resources(**SEPARATE, orchestStateVolumeSize="6Gi", orchestStateVolume={"storageClass": "fast"}),
            {"userdir-pvc": ("50Gi", "ReadWriteMany", None), "orchest-state": ("6Gi", "ReadWriteOnce", "fast")},
        ),
    ],
)
def test_claims_are_as_asked_for(spec: dict[str, Any], expected: dict[str, tuple[str, str, str | None]]) -> None:
    facts = replace(FACTS, storage_classes=(FAST, STANDARD))
    rendering = render(cluster(spec), facts)

    assert claims(rendering) == expected
    assert refusals(rendering) == []


@pytest.mark.parametrize(
    ("postgres", "separate", "claim"),
    [
        ({}, False, "userdir-pvc"),
        ({}, True, "orchest-state"),
        ({"stateVolumeName": "userdir-pvc"}, True, "userdir-pvc"),
        ({"stateVolumeName": "mine"}, False, "mine"),
    ],
)
def test_the_database_is_where_its_data_is(postgres: dict[str, Any], separate: bool, claim: str) -> None:
    spec = {"postgres": postgres, "orchest": {"resources": {"separateOrchestStateFromUserDir": separate}}}
    rendering = render(cluster(spec), FACTS)
    (volume,) = content(rendering, "Deployment", "orchest-database")["spec"]["template"]["spec"]["volumes"]

    assert volume["persistentVolumeClaim"]["claimName"] == claim
    assert ("foreign-state-volume" in warnings(rendering)) == (claim == "mine")


@pytest.mark.parametrize(
    ("classes", "spec", "paths"),
    [
        ((STANDARD,), {"applications": []}, []),
        ((FAST,), {"applications": []}, ["spec.orchest.resources.userDirVolume.storageClass"]),
        ((), {"applications": []}, ["spec.orchest.resources.userDirVolume.storageClass"]),
        ((FAST,), resources(userDirVolume={"storageClass": "fast"}), []),
        (
            (STANDARD,),
            resources(userDirVolume={"storageClass": "gone"}),
            ["spec.orchest.resources.userDirVolume.storageClass"],
        ),
        (
            (STANDARD,),
            resources(**SEPARATE, orchestStateVolume={"storageClass": "gone"}),
            ["spec.orchest.resources.orchestStateVolume.storageClass"],
        ),
    ],
)
def test_a_claim_that_no_class_would_serve_is_refused(
    classes: tuple[StorageClass, ...], spec: dict[str, Any], paths: list[str]
) -> None:
    rendering = render(cluster(spec), replace(FACTS, storage_classes=classes))

    assert refusals(rendering) == [("no-usable-storage-class", path) for path in paths]


def parameters(**values: str) -> dict[str, Any]:
    listed = [{"name": name.replace("__", "."), "value": value} for name, value in values.items()]
    return {"applications": [{"name": "docker-registry", "config": {"helm": {"parameters": listed}}}]}


def test_parameters_of_the_registrys_chart_keep_their_meaning() -> None:
    spec = parameters(
        persistence__size="30Gi",
        persistence__storageClass="fast",
        service__clusterIP="10.96.0.9",
        image__repository="example.com/registry",
        image__tag="3",
        image__pullPolicy="Always",
    )
    spec["applications"][0]["config"]["helm"]["parameters"].append(
        {"name": r"nodeSelector.example\.com/a", "value": "b"}
    )
    rendering = render(cluster(spec), replace(FACTS, storage_classes=(FAST, STANDARD)))
    pod = content(rendering, "Deployment", "docker-registry")["spec"]["template"]["spec"]

    assert claims(rendering)["docker-registry"] == ("30Gi", "ReadWriteOnce", "fast")
    assert content(rendering, "Service", "docker-registry")["spec"]["clusterIP"] == "10.96.0.9"
    assert pod["containers"][0]["image"] == "example.com/registry:3"
    assert pod["containers"][0]["imagePullPolicy"] == "Always"
    assert pod["nodeSelector"] == {"example.com/a": "b"}
    assert (refusals(rendering), warnings(rendering)) == ([], [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("persistence__size", "much"),
        ("persistence__size", "-1Gi"),
        ("persistence__storageClass", "No Class"),
        ("service__clusterIP", "10.0.0"),
        ("image__repository", "Upper/Case"),
        ("image__tag", "a b"),
        ("image__pullPolicy", "Sometimes"),
        ("nodeSelector__a b", "c"),
    ],
)
def test_a_parameter_that_cannot_be_right_is_refused_at_its_place(name: str, value: str) -> None:
    rendering = render(cluster(parameters(**{name: value})), FACTS)
    path = f"spec.applications[name=docker-registry].config.helm.parameters[name={name.replace('__', '.')}]"

    assert refusals(rendering) == [("invalid-helm-parameter", path)]


def test_a_parameter_without_a_counterpart_is_warned_about() -> None:
    assert warnings(render(cluster(parameters(replicaCount="2")), FACTS)) == ["unused-helm-parameter"]


@pytest.mark.parametrize("name", ["argo-workflow", "ingress-nginx", "efs-csi-driver"])
def test_other_applications_are_accepted_reported_and_not_rendered(name: str) -> None:
    rendering = render(cluster({"applications": [{"name": name}]}), FACTS)

    assert [note.path for note in rendering.notes if note.code == "application-by-its-own-chart"] == [
        f"spec.applications[name={name}]"
    ]
    assert "docker-registry" not in {each.component for each in rendering.objects}


NGINX = IngressClass("nginx", "k8s.io/ingress-nginx")
PUBLIC = IngressClass("public", "nginx.org/ingress-controller")
TRAEFIK = IngressClass("a-traefik", "traefik.io/ingress-controller")


@pytest.mark.parametrize(
    ("classes", "annotations", "expected", "warned"),
    [
        ((NGINX,), {}, "nginx", []),
        ((TRAEFIK, NGINX, PUBLIC), {}, "nginx", []),
        ((PUBLIC, TRAEFIK), {}, "public", []),
        # the annotation forbids installing a controller, not using one
        ((NGINX,), {"controller.orchest.io/deploy-ingress": "false"}, "nginx", []),
        ((), {}, None, ["no-ingress-class"]),
        ((TRAEFIK,), {"controller.orchest.io/deploy-ingress": "false"}, None, ["no-ingress-class"]),
    ],
)
def test_ingresses_use_the_first_class_that_understands_them(
    classes: tuple[IngressClass, ...], annotations: Mapping[str, str], expected: str | None, warned: list[str]
) -> None:
    rendering = render(cluster({}, annotations), replace(FACTS, ingress_classes=classes))
    found = [
        each.manifest.content["spec"]["ingressClassName"]
        for each in rendering.objects
        if each.manifest.key.kind == "Ingress"
    ]

    assert found == ([expected] * 3 if expected else [])
    assert warnings(rendering) == warned


def test_everything_but_the_login_page_asks_the_auth_server() -> None:
    rendering = render(cluster({"orchest": {"orchestHost": "a.example"}}), FACTS)
    ingresses = {
        each.component: each.manifest.content for each in rendering.objects if each.manifest.key.kind == "Ingress"
    }
    guarded = {
        name
        for name, each in ingresses.items()
        if "nginx.ingress.kubernetes.io/auth-url" in each["metadata"]["annotations"]
    }

    assert guarded == {"orchest-api", "orchest-webserver"}
    assert {each["spec"]["rules"][0]["host"] for each in ingresses.values()} == {"a.example"}


def test_an_address_is_reached_by_rules_without_a_host() -> None:
    """The server refuses a rule for an address; the programs still learn it."""
    rendering = render(cluster({"orchest": {"orchestHost": "192.0.2.1"}}), FACTS)
    rules = [
        each.manifest.content["spec"]["rules"] for each in rendering.objects if each.manifest.key.kind == "Ingress"
    ]
    auth = content(rendering, "Deployment", "auth-server")["spec"]["template"]["spec"]["containers"][0]

    assert [set(rule) for (rule,) in rules] == [{"http"}] * 3
    assert {"name": "ORCHEST_FQDN", "value": "192.0.2.1"} in auth["env"]


def test_secrets_are_generated_in_the_cluster_and_carry_no_data() -> None:
    rendering = render(cluster({}), FACTS)
    secrets = {each.manifest.key.name: each for each in rendering.objects if each.manifest.key.kind == "Secret"}

    assert {name: each.generated for name, each in secrets.items()} == {
        "orchest-credentials": Generated(Recipe.PASSWORDS, ("broker-password", "database-password")),
        "registry-tls-secret": Generated(
            Recipe.REGISTRY_CERTIFICATE,
            ("ca.crt", "tls.crt", "tls.key"),
            (
                "docker-registry",
                "docker-registry.orchest",
                "docker-registry.orchest.svc",
                "docker-registry.orchest.svc.cluster.local",
            ),
        ),
    }
    assert not any({"data", "stringData"} & set(each.manifest.content) for each in secrets.values())


def test_a_new_authority_of_the_registry_rolls_whoever_mounts_it() -> None:
    rendering = render(cluster({}), FACTS)
    for each in rendering.objects:
        if each.manifest.key.kind not in {"Deployment", "DaemonSet"}:
            continue
        template = each.manifest.content["spec"]["template"]
        mounts_it = any(
            volume.get("secret", {}).get("secretName") == "registry-tls-secret"
            for volume in template["spec"].get("volumes", [])
        )
        assert mounts_it == ("checksum/config" in template["metadata"].get("annotations", {})), each.component


def test_docker_is_made_to_trust_the_registry_by_its_address() -> None:
    agent = content(render(cluster({}), WITH_DOCKER), "DaemonSet", "node-agent")["spec"]["template"]["spec"][
        "containers"
    ][0]
    without = content(render(cluster({"applications": []}), WITH_DOCKER), "DaemonSet", "node-agent")["spec"][
        "template"
    ]["spec"]

    assert "$ORCHEST_REGISTRY_ADDRESS" in agent["lifecycle"]["postStart"]["exec"]["command"][-1]
    assert "lifecycle" not in without["containers"][0]
