"""Specs and annotations as users of the original have them, down to the defaults its controller wrote into them."""

from __future__ import annotations

from typing import Any, NamedTuple


class Shape(NamedTuple):
    """What a manifest of the original holds beside its name."""

    spec: dict[str, Any]
    annotations: dict[str, str]


_REGISTRY = {
    "name": "docker-registry",
    "config": {"helm": {"parameters": [{"name": "persistence.size", "value": "25Gi"}]}},
}
_ARGO = {
    "name": "argo-workflow",
    "config": {"helm": {"parameters": [{"name": "singleNamespace", "value": "true"}]}},
}
_FLASK = [
    {"name": "ORCHEST_GPU_ENABLED_INSTANCE", "value": "FALSE"},
    {"name": "FLASK_ENV", "value": "production"},
]


def _component(name: str, *env: dict[str, str], volume: str = "userdir-pvc") -> dict[str, Any]:
    return {
        "image": f"orchest/{name}:v2022.10.5",
        "env": [*env],
        "nodeSelector": {"node-role": "control"},
        "stateVolumeName": volume,
    }


_WRITTEN_DEFAULTS: dict[str, Any] = {
    "singleNode": True,
    "controlNodeSelector": {"node-role": "control"},
    "postgres": {
        "image": "postgres:13.1",
        "env": [
            {"name": "PGDATA", "value": "/userdir/.orchest/database/data"},
            {"name": "POSTGRES_HOST_AUTH_METHOD", "value": "trust"},
        ],
        "stateVolumeName": "userdir-pvc",
    },
    "rabbitMq": {"image": "rabbitmq:3", "stateVolumeName": "userdir-pvc"},
    "applications": [_ARGO, _REGISTRY, {"name": "ingress-nginx"}],
    "orchest": {
        "version": "v2022.10.5",
        "registry": "",
        "pause": False,
        "orchestHost": "",
        "env": [
            {"name": "PYTHONUNBUFFERED", "value": "TRUE"},
            {"name": "ORCHEST_LOG_LEVEL", "value": "INFO"},
            {"name": "ORCHEST_HOST_GID", "value": "1"},
            {"name": "CONTAINER_RUNTIME", "value": "containerd"},
            {"name": "CONTAINER_RUNTIME_SOCKET", "value": "/var/run/containerd/containerd.sock"},
            {"name": "CONTAINER_RUNTIME_IMAGE", "value": "docker.io/orchest/image-puller:v2022.10.5"},
            {"name": "K8S_DISTRO", "value": ""},
            {"name": "ORCHEST_CLUSTER", "value": "cluster-1"},
            {"name": "ORCHEST_NAMESPACE", "value": "orchest"},
        ],
        "resources": {
            "userDirVolumeSize": "50Gi",
            "orchestStateVolumeSize": "5Gi",
            "separateOrchestStateFromUserDir": False,
            "configDirVolumeSize": "",
        },
        "orchestApi": _component("orchest-api", *_FLASK, {"name": "SINGLE_NODE", "value": "TRUE"}),
        "orchestWebServer": _component(
            "orchest-webserver",
            *_FLASK,
            {"name": "ORCHEST_PORT", "value": "8000"},
            {"name": "HOST_OS", "value": "linux"},
        ),
        "celeryWorker": _component(
            "celery-worker", *_FLASK, {"name": "CELERY_STATE_DIR", "value": "/userdir/.orchest"}
        ),
        "authServer": _component("auth-server", {"name": "FLASK_ENV", "value": "production"}, volume=""),
        "nodeAgent": {"image": "orchest/node-agent:v2022.10.5"},
        "buildkitDaemon": {"image": "orchest/buildkit-daemon:v2022.10.5"},
    },
}

_TWO_VOLUMES: dict[str, Any] = {
    "singleNode": False,
    "workerNodeSelector": {"node-role": "worker"},
    "orchest": {
        "orchestHost": "orchest.example.com",
        "registry": "registry.example.com:5000",
        "resources": {
            "separateOrchestStateFromUserDir": True,
            "userDirVolume": {"volumeSize": "50Gi", "mountPath": "/userdir", "storageClass": "efs-sc"},
            "orchestStateVolume": {"volumeSize": "5Gi", "mountPath": "/orchest/state", "storageClass": "standard"},
        },
    },
}

SHAPES: dict[str, Shape] = {
    "minimal": Shape({"singleNode": True}, {}),
    "microk8s": Shape(
        {"singleNode": True, "orchest": {"version": "v2022.10.5"}},
        {"orchest.io/container-runtime-socket": "/var/snap/microk8s/common/run/containerd.sock"},
    ),
    "without-argo": Shape(
        {"singleNode": True, "applications": [_REGISTRY]}, {"controller.orchest.io/deploy-ingress": "false"}
    ),
    "without-registry": Shape({"singleNode": True, "applications": [_ARGO]}, {}),
    "two-volumes": Shape(_TWO_VOLUMES, {}),
    "written-defaults": Shape(_WRITTEN_DEFAULTS, {"controller.orchest.io/k8s": "minikube"}),
}
