"""Values for a spec's leaves, good and bad ones for every rule, and whole core types that a Deployment accepts.

In comes a seeded `random.Random`, out comes JSON. The rules' names are those of `desired_state.rules.MESSAGES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_HEX = "0123456789abcdef" * 8
_PART = "abcdefgh"

GOOD: dict[str, tuple[Any, ...]] = {
    "version": ("v2022.10.1", "v2026.11.0", "latest", "_x", "7", "sha-0a1b2c3", "v1.2.3-rc.1_dev", "v" * 128),
    "registry": (
        "registry.example.com",
        "registry.example.com:5000",
        "localhost:5000",
        "registry.example.com/team/platform",
        "docker.io",
        "Index.Docker.IO",
        "my_org",
        "10.0.0.1:5000/a-b__c",
        "[::1]:5000",
        f"registry.example.com/{'r' * 200}",
    ),
    "image": (
        "postgres:13.1",
        "rabbitmq:3",
        "orchest/orchest-api:v2022.10.1",
        "docker.io/orchest/orchest-api:v2022.10.1",
        "index.docker.io/library/busybox",
        "registry-1.docker.io/orchest/node-agent:latest",
        "registry.hub.docker.com/orchest/auth-server:v2022.10.1",
        "localhost/team/api",
        "localhost:5000/api:dev",
        "registry.example.com:5000/team/sub/api:1.2.3",
        "REGISTRY.example.com/team/api:Tag_1",
        f"team/api@sha256:{_HEX[:64]}",
        f"registry.example.com/team/api:1.2@sha256:{_HEX[:64]}",
        f"team/api@sha512:{_HEX}",
        "a__b/c--d/e.f_g:v",
        "[2001:db8::1]:443/team/api",
        f"{'n' * 255}:t",
        f"docker.io/{'n' * 245}",
        f"registry.example.com:5000/{'n' * 229}:{'t' * 128}@sha256:{_HEX[:64]}",
        f"{_HEX[:64]}/api",
        f"registry.example.com/{_HEX[:64]}",
    ),
    "host": ("orchest.example.com", "localhost", "a", "1.2.3.4", "a-b.c--d.example", f"{'a' * 63}.example.com"),
    "storage-class": ("standard",),
    "claim": ("userdir-pvc", "orchest-state"),
    "size": ("50Gi", "5Gi", "100G", "0.5Ti", "+20Gi", "1e10", "1E10", "21474836480", "10.5Gi", ".5Ti", "5.Gi", "64E"),
    "label-key": ("disk", "kubernetes.io/arch", "orchest.io/plane", "node.example.com/Role_1.x", "n" * 63),
    "label-value": ("ssd", "", "amd64", "A-b_c.d", "x" * 63, "1"),
    "env-name": ("LOG_LEVEL", "a.b-c", "_X", "HTTP_PROXY", "with space", "1ST", "~!@#$%"),
    "quantity": ("100m", "2", "0.5", "1Gi", "512Mi", 1, 4, "1.5Gi", "1e3", "100e6", "1000Ki", "0", 0),
}

BAD: dict[str, tuple[Any, ...]] = {
    "version": ("v1\n", ".1", "-1", "v 1", "v1:2", "v" * 129, "vé", "a/b", "@", " "),
    "registry": (
        "https://registry.example.com",
        "MyHost/x",
        "registry.example.com/",
        "registry.example.com/team:tag",
        "registry.example.com/Team",
        "reg_istry.example.com",
        "a..b",
        "-x.example.com",
        f"a@sha256:{_HEX[:64]}",
        "host:port",
        f"registry.example.com/{'r' * 214}",
        "x\n",
        "/",
        "a//b",
    ),
    "image": (
        "Postgres:13",
        "HOST/api",
        "Localhost/api",
        "a_b.c/api",
        "postgres:",
        "postgres@",
        "postgres:13:1",
        "https://docker.io/x",
        "team//api",
        "/api",
        "team/api/",
        " postgres",
        "postgres\n",
        "team/api:.x",
        f"team/api:{'t' * 129}",
        "team/api@sha256:abc",
        f"team/api@md5:{_HEX[:32]}",
        f"team/api@sha256:{_HEX[:64].upper()}",
        "reg_istry.example.com/api",
        "registry.example.com/Team/api",
        "host:/api",
        "a___b/c",
        "a..b/c",
        "api-",
        f"{'n' * 256}:t",
        f"docker.io/{'n' * 246}",
        f"registry.example.com:5000/{'n' * 230}:t",
        _HEX[:64],
        f"docker.io/{_HEX[:64]}",
        f"DOCKER.io:443/{_HEX[:64]}:x",
        "é",
        ":x",
        "a" * 1025,
    ),
    "host": (
        "https://orchest.example.com",
        "Orchest.example.com",
        "orchest.example.com:80",
        "orchest.example.com/x",
        ".example.com",
        "a..b",
        "-a",
        "a-",
        "a_b",
        "*.example.com",
        f"{'a' * 254}",
        "a\n",
    ),
    "storage-class": ("Fast", "fast_ssd", "fast/ssd", "-", "s" * 254, "a\n"),
    "claim": ("User", "user_dir", "a/b", "-", "c" * 254),
    "size": (
        "50GB",
        "fifty",
        "0",
        "-5Gi",
        "0Gi",
        "5 Gi",
        "5gi",
        "1e",
        "Gi",
        "-0",
        ".",
        "+",
        "1e99999",
        "9" * 65,
        "1Gi\n",
        "1_0",
    ),
    "label-key": ("", "-a", "a/b/c", "/a", "a/", "Prefix.io/a", "n" * 64, "a b", f"{'p' * 254}/a", "pre_fix/a"),
    "label-value": ("-a", "a b", "a/b", "x" * 64, "a-", "é", "a\n"),
    "env-name": ("a=b", "é", "tab\t", "=", "new\nline", "\x7f"),
    "quantity": ("half", "1 Gi", "", "1GB", "-1", -1, "1e99999", "9" * 65, 0.5, 1.0, True, {}, [], "0x10"),
    "replicas": (-1, 1.0, 2**31, "1", True, 0.5, -(2**40)),
    "replicas-single": (-1, 2, 3, 1.0, "1", True),
    "replicas-node": (0, 1, 2, "1"),
}

WRONG_TYPES: tuple[Any, ...] = (
    "text",
    "",
    "true",
    "1",
    1,
    0,
    -7,
    1.0,
    0.5,
    2**31,
    2**53,
    2**63,
    1e20,
    True,
    False,
    {},
    [],
    {"a": "b"},
    ["a"],
    [None],
    [{}],
)


def amounts(rng: Random) -> dict[str, Any]:
    """Requests and limits of a container that a Deployment accepts: no request above its limit."""
    requests = {
        "cpu": rng.choice(["100m", "0.25", "50m", 1, "1"]),
        "memory": rng.choice(["64Mi", "128Mi", "1e8", "100M", "67108864"]),
    }
    limits = {
        "cpu": rng.choice(["2", 4, "2500m", "3.5"]),
        "memory": rng.choice(["1Gi", "1.5Gi", "2e9", "1024Mi"]),
        "ephemeral-storage": "1Gi",
    }
    chosen = {"requests": _some(rng, requests), "limits": _some(rng, limits)}
    return _some(rng, chosen)


def _some(rng: Random, mapping: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if rng.random() < 0.7}


def env(rng: Random) -> list[dict[str, Any]]:
    """An env list with every kind of source and no name twice."""
    names = rng.sample([*GOOD["env-name"], *(f"EXTRA_{number}" for number in range(20))], rng.randint(0, 6))
    return [_env_entry(rng, name) for name in names]


def _env_entry(rng: Random, name: str) -> dict[str, Any]:
    source = rng.choice(
        [
            None,
            None,
            {
                "fieldRef": _some_of(
                    rng,
                    {"fieldPath": rng.choice(["metadata.name", "status.podIP", "spec.nodeName"])},
                    {"apiVersion": "v1"},
                )
            },
            {
                "resourceFieldRef": _some_of(
                    rng,
                    {"resource": "limits.memory"},
                    {"divisor": rng.choice(["1", 1, "1Mi", "1k"]), "containerName": "main"},
                )
            },
            {"configMapKeyRef": _some_of(rng, {"key": "k", "name": "settings"}, {"optional": rng.random() < 0.5})},
            {"secretKeyRef": _some_of(rng, {"key": "k", "name": "credentials"}, {"optional": True})},
        ]
    )
    if source is not None:
        return {"name": name, "valueFrom": source, **({"value": ""} if rng.random() < 0.2 else {})}
    return {"name": name, **_some(rng, {"value": rng.choice(["", "x", "TRUE", "a=b c", "$(OTHER)", "1", "ü"])})}


def _some_of(rng: Random, always: dict[str, Any], sometimes: dict[str, Any]) -> dict[str, Any]:
    return always | _some(rng, sometimes)


def tolerations(rng: Random) -> list[dict[str, Any]]:
    """Tolerations as a pod may have them."""
    known: list[dict[str, Any]] = [
        {"operator": "Exists"},
        {"key": "dedicated", "operator": "Equal", "value": "orchest", "effect": "NoSchedule"},
        {"key": "dedicated", "value": "orchest", "effect": "PreferNoSchedule"},
        {"key": "gone", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": rng.choice([0, 300, -1])},
    ]
    return rng.sample(known, rng.randint(0, len(known)))


def pull_secrets(rng: Random) -> list[dict[str, Any]]:
    """Pull secrets, no name twice."""
    return [{"name": name} for name in rng.sample(["registry-credentials", "mirror", "hub"], rng.randint(0, 3))]


def affinity(rng: Random) -> dict[str, Any]:
    """All three kinds of affinity, required and preferred, as a pod may have them."""
    return _some(
        rng,
        {
            "nodeAffinity": _some(
                rng,
                {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [_node_term(rng) for _ in range(rng.randint(1, 2))]
                    },
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {"weight": rng.randint(1, 100), "preference": _node_term(rng)}
                    ],
                },
            ),
            "podAffinity": _pod_affinity(rng),
            "podAntiAffinity": _pod_affinity(rng),
        },
    )


def _node_term(rng: Random) -> dict[str, Any]:
    expressions = [
        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"]},
        {"key": "disk", "operator": "NotIn", "values": ["hdd"]},
        {"key": "gpu", "operator": rng.choice(["Exists", "DoesNotExist"])},
        {"key": "cores", "operator": rng.choice(["Gt", "Lt"]), "values": ["4"]},
    ]
    fields = [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]
    return {"matchExpressions": rng.sample(expressions, rng.randint(1, 4)), **_some(rng, {"matchFields": fields})}


def _pod_affinity(rng: Random) -> dict[str, Any]:
    return _some(
        rng,
        {
            "requiredDuringSchedulingIgnoredDuringExecution": [_pod_term(rng)],
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": rng.randint(1, 100), "podAffinityTerm": _pod_term(rng)}
            ],
        },
    )


def _pod_term(rng: Random) -> dict[str, Any]:
    keys = {"matchLabelKeys": ["pod-template-hash"], "mismatchLabelKeys": ["tenant"]}
    return {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": _label_selector(rng),
        **_some(rng, {"namespaces": ["orchest"], "namespaceSelector": _label_selector(rng)}),
        **_some(rng, keys),
    }


def _label_selector(rng: Random) -> dict[str, Any]:
    expressions = [{"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "old", "operator": "DoesNotExist"}]
    return _some(
        rng, {"matchLabels": {"app": "orchest"}, "matchExpressions": rng.sample(expressions, rng.randint(1, 2))}
    )


def node_selector(rng: Random) -> dict[str, str]:
    """Labels of nodes."""
    keys = rng.sample(GOOD["label-key"], rng.randint(0, 3))
    return {key: rng.choice(GOOD["label-value"]) for key in keys}


def applications(rng: Random) -> list[dict[str, Any]]:
    """Some of the known applications in any order, with their charts' settings."""
    parameters: dict[str, list[dict[str, Any]]] = {
        "docker-registry": [{"name": "persistence.size", "value": "30Gi"}],
        "argo-workflow": [{"name": "singleNamespace", "value": "true", "forceString": False}],
        "ingress-nginx": [{"name": "controller.replicaCount", "value": "1"}],
        "efs-csi-driver": [],
    }
    names = rng.sample(list(parameters), rng.randint(0, 4))
    return [_application(rng, name, parameters[name]) for name in names]


def _application(rng: Random, name: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    helm = _some(rng, {"parameters": parameters, "values": ["values.yaml"], "releaseName": f"orchest-{name}"})
    return {"name": name, **_some(rng, {"needs": ["docker-registry"], "config": _some(rng, {"helm": helm})})}


WHOLE: dict[str, Callable[[Random], Any]] = {
    "affinity": affinity,
    "applications": applications,
    "controlNodeSelector": node_selector,
    "env": env,
    "imagePullSecrets": pull_secrets,
    "nodeSelector": node_selector,
    "resources": amounts,
    "tolerations": tolerations,
    "workerNodeSelector": node_selector,
}
"""Fields whose parts depend on each other, by field name."""
