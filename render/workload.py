"""From what a component needs to the Deployment, DaemonSet and Service that give it.

A component describes itself as a `Workload`; a person's own settings (its `ComponentTemplate`) are laid over it here,
in one place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from render.labels import CHECKSUM_ANNOTATION, labels, owned_metadata, selector
from render.manifest import desired

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from desired_state.images import ImageDecision
    from desired_state.objects import DesiredObject, Json, Unknown
    from desired_state.release import Component
    from render.security import Security
    from render.site import Site
    from render.storage import Attachment

RECREATE = "Recreate"
ROLLING = "RollingUpdate"
_DNS = {"options": [{"name": "timeout", "value": "10"}, {"name": "attempts", "value": "5"}]}


@dataclass(frozen=True, slots=True)
class Workload:
    component: Component
    image: ImageDecision
    env: tuple[Json, ...]
    security: Security
    requests: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    """Name -> container port, all TCP."""
    probes: Mapping[str, Json] = field(default_factory=dict)
    """`readinessProbe`, `livenessProbe`, `startupProbe`."""
    attachments: tuple[Attachment, ...] = ()
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    lifecycle: Json = None
    service_account: str | None = None
    """None: no token of the API server is mounted."""
    checksum: str | Unknown | None = None
    """Changes when something mounted changes that the program reads only at its start."""


def deployment(site: Site, workload: Workload, strategy: str) -> DesiredObject:
    template = site.template(workload.component)
    content = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": owned_metadata(site, workload.component, workload.component),
        "spec": {
            "replicas": template.replicas,
            "selector": {"matchLabels": selector(workload.component)},
            "strategy": {"type": strategy},
            "template": _pod_template(site, workload, site.control_selector, {"dnsConfig": _DNS}),
        },
    }
    return desired(content, workload.component, image=workload.image)


def daemon_set(site: Site, workload: Workload) -> DesiredObject:
    """One pod on each worker node; `replicas` has no meaning for it."""
    content = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": owned_metadata(site, workload.component, workload.component),
        "spec": {
            "selector": {"matchLabels": selector(workload.component)},
            "template": _pod_template(site, workload, site.worker_selector, {}),
            "updateStrategy": {"type": ROLLING},
        },
    }
    return desired(content, workload.component, image=workload.image)


def service(site: Site, component: Component, port: int, target_port: str, cluster_ip: str = "") -> DesiredObject:
    content = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": owned_metadata(site, component, component),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": cluster_ip or None,
            "selector": selector(component),
            "ports": [{"name": target_port, "port": port, "protocol": "TCP", "targetPort": target_port}],
        },
    }
    return desired(content, component)


def http_get(path: str, port: str, scheme: str = "HTTP") -> Json:
    return {"httpGet": {"path": path, "port": port, "scheme": scheme}}


def connects(port: str) -> Json:
    return {"tcpSocket": {"port": port}}


def runs(*command: str) -> Json:
    """Healthy when the command exits with 0 inside the container."""
    return {"exec": {"command": list(command)}}


def probe(check: Json, *, period: int, timeout: int, failures: int) -> Json:
    """`period` and `timeout` in seconds."""
    return {
        **check,
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
        "successThreshold": 1,
    }


def probes(check: Json, *, period: int, timeout: int) -> Mapping[str, Json]:
    """Five minutes to start, then out of the Service after three failures and restarted after six."""
    return {
        "startupProbe": probe(check, period=5, timeout=timeout, failures=60),
        "readinessProbe": probe(check, period=period, timeout=timeout, failures=3),
        "livenessProbe": probe(check, period=2 * period, timeout=timeout, failures=6),
    }


def _pod_template(
    site: Site, workload: Workload, plane: Mapping[str, str], extra: Mapping[str, Json]
) -> Mapping[str, Json]:
    template = site.template(workload.component)
    return {
        "metadata": {
            "labels": labels(site, workload.component),
            "annotations": {CHECKSUM_ANNOTATION: workload.checksum} if workload.checksum else None,
        },
        "spec": {
            **extra,
            "affinity": template.affinity,
            "automountServiceAccountToken": workload.service_account is not None,
            "containers": [_container(site, workload)],
            # Otherwise every Service of the namespace shows up in the environment, some under names that programs read.
            "enableServiceLinks": False,
            "imagePullSecrets": template.image_pull_secrets or None,
            "nodeSelector": {**plane, **(template.node_selector or {})} or None,
            "securityContext": workload.security.pod or None,
            "serviceAccountName": workload.service_account,
            "tolerations": template.tolerations or None,
            "volumes": _volumes(workload.attachments) or None,
        },
    }


def _container(site: Site, workload: Workload) -> Json:
    template = site.template(workload.component)
    return {
        "name": workload.component,
        "image": workload.image.image,
        "imagePullPolicy": template.image_pull_policy or "IfNotPresent",
        "command": workload.command,
        "args": workload.args,
        "env": workload.env or None,
        "lifecycle": workload.lifecycle,
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in workload.ports.items()]
        or None,
        "resources": _resources(workload.requests, template.resources) or None,
        "securityContext": workload.security.container,
        "volumeMounts": [attachment.mount for attachment in workload.attachments] or None,
        **workload.probes,
    }


def _volumes(attachments: Sequence[Attachment]) -> list[Json]:
    return list({attachment.volume["name"]: attachment.volume for attachment in attachments}.values())


def _resources(requests: Mapping[str, str], written: Mapping[str, Json] | None) -> Mapping[str, Json]:
    """A person's values over ours. A limit alone also replaces our request, which might exceed it."""
    limits = (written or {}).get("limits") or {}
    kept = {name: amount for name, amount in requests.items() if name not in limits}
    merged_requests = {**kept, **((written or {}).get("requests") or {})}
    return {**(written or {}), "limits": limits or None, "requests": merged_requests or None}
