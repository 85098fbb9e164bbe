"""The components of a release and the images they follow when nobody says otherwise."""

from __future__ import annotations

from enum import StrEnum

RELEASE = "v2026.11.0"
"""The release of this package; an unset `spec.orchest.version` means this one."""


class Component(StrEnum):
    """The names are the original's, also where what runs behind them is ours (broker, worker)."""

    ORCHEST_DATABASE = "orchest-database"
    RABBITMQ_SERVER = "rabbitmq-server"
    DOCKER_REGISTRY = "docker-registry"
    ORCHEST_API = "orchest-api"
    CELERY_WORKER = "celery-worker"
    AUTH_SERVER = "auth-server"
    ORCHEST_WEBSERVER = "orchest-webserver"
    NODE_AGENT = "node-agent"
    BUILDKIT_DAEMON = "buildkit-daemon"


THIRD_PARTY_IMAGES = {
    Component.ORCHEST_DATABASE: "postgres:13.1",
    Component.RABBITMQ_SERVER: "redis:7.2",
    Component.DOCKER_REGISTRY: "registry:2.8",
}
"""Components whose release image is not built by us. The database keeps the original's major: its volumes are in it."""


def release_image(component: Component, *, registry: str, version: str) -> str:
    """The image that `component` has in release `version`; `registry` prefixes our own only ("" is Docker Hub)."""
    if component in THIRD_PARTY_IMAGES:
        return THIRD_PARTY_IMAGES[component]
    prefix = f"{registry}/" if registry else ""
    return f"{prefix}orchest/{component}:{version}"
