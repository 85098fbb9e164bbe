"""node-agent: one on each worker node. It pulls, pushes and deletes images through the node's runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.release import Component
from render import environment, rbac, registry, security, storage
from render.workload import Workload, daemon_set

if TYPE_CHECKING:
    from collections.abc import Iterator

    from desired_state.images import ImageDecision
    from desired_state.objects import DesiredObject, Json
    from render.site import Site
    from render.storage import Attachment

COMPONENT = Component.NODE_AGENT
_ARGS = (
    "--image-puller-log-level=INFO",
    "--image-puller-interval=60",
    "--image-puller-policy=IfNotPresent",
    "--image-puller-retries=3",
)
_DOCKER_CERTIFICATES = "/etc/docker/certs.d"


def objects(site: Site, image: ImageDecision) -> Iterator[DesiredObject]:
    yield daemon_set(site, _workload(site, image))
    yield rbac.service_account(site, COMPONENT)
    yield from rbac.cluster_rights(site, COMPONENT, (rbac.rule("", ("nodes",), ("get",)),))


def _workload(site: Site, image: ImageDecision) -> Workload:
    node = environment.from_field("CLUSTER_NODE", "spec.nodeName")
    socket = storage.host_directory("container-runtime-socket", site.runtime.socket, site.runtime.socket, "Socket")
    return Workload(
        component=COMPONENT,
        image=image,
        env=environment.own_program(site, site.template(COMPONENT).env, fixed=(node,), defaults=registry.address(site)),
        security=security.node_socket(),
        requests={"cpu": "10m"},
        attachments=(socket, *registry.trust(site), *_docker_certificates(site)),
        args=_ARGS,
        lifecycle=_docker_trust(site),
        service_account=COMPONENT,
        checksum=registry.trust_checksum(site),
    )


def _needs_docker_trust(site: Site) -> bool:
    return site.registry is not None and not site.runtime.is_containerd


def _docker_certificates(site: Site) -> tuple[Attachment, ...]:
    if not _needs_docker_trust(site):
        return ()
    return (
        storage.host_directory("docker-certificates", _DOCKER_CERTIFICATES, _DOCKER_CERTIFICATES, "DirectoryOrCreate"),
    )


def _docker_trust(site: Site) -> Json:
    """Docker trusts a registry by a directory of its address; the agent puts the authority there and takes it away
    again.
    """
    if not _needs_docker_trust(site):
        return None
    directory = f'"{_DOCKER_CERTIFICATES}/$ORCHEST_REGISTRY_ADDRESS"'
    start = f"mkdir -p {directory} && cp {registry.CA_BUNDLE} {directory}/ca.crt"
    return {
        "postStart": {"exec": {"command": ["/bin/sh", "-c", start]}},
        "preStop": {"exec": {"command": ["/bin/sh", "-c", f"rm -rf {directory}"]}},
    }
