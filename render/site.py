"""The place a cluster is rendered for: every answer that more than one component needs, worked out once.

In: the OrchestCluster and the facts. Out: a `Site`. The nouns it is made of (runtime, registry, storage) have modules
of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from desired_state.cluster import ComponentTemplate, Orchest
from desired_state.release import RELEASE, Component
from render import applications, environment, ingress, runtime, storage

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from desired_state.cluster import OrchestCluster
    from desired_state.facts import ClusterFacts
    from desired_state.objects import Json
    from render.applications import RegistrySettings
    from render.runtime import Runtime
    from render.storage import Claim

SPEC_PATHS: Mapping[Component, str] = {
    Component.ORCHEST_DATABASE: "spec.postgres",
    Component.RABBITMQ_SERVER: "spec.rabbitMq",
    Component.DOCKER_REGISTRY: applications.REGISTRY_PATH,
    Component.ORCHEST_API: "spec.orchest.orchestApi",
    Component.CELERY_WORKER: "spec.orchest.celeryWorker",
    Component.AUTH_SERVER: "spec.orchest.authServer",
    Component.ORCHEST_WEBSERVER: "spec.orchest.orchestWebServer",
    Component.NODE_AGENT: "spec.orchest.nodeAgent",
    Component.BUILDKIT_DAEMON: "spec.orchest.buildkitDaemon",
}
"""Where a person finds the settings of each component."""


@dataclass(frozen=True, slots=True)
class Site:
    namespace: str
    name: str
    version: str
    image_registry: str
    """Prefix of our own images, "" for Docker Hub."""
    image_registries: tuple[str, ...]
    """Wherever release images came from, now and earlier."""
    single_node: bool
    paused: bool
    host: str
    """The host name of all ingress rules, "" for any."""
    ingress_class: str
    """"" when no IngressClass can carry our rules."""
    distribution: str
    runtime: Runtime
    registry: RegistrySettings | None
    """None: this cluster has no image registry of its own."""
    claims: tuple[Claim, ...]
    control_selector: Mapping[str, str]
    worker_selector: Mapping[str, str]
    env: tuple[Mapping[str, Json], ...]
    """`spec.orchest.env` as written."""
    templates: Mapping[Component, ComponentTemplate]
    """Every component that is part of this cluster, in the order of `Component`, with its own settings."""

    def template(self, component: Component) -> ComponentTemplate:
        return self.templates[component]


def survey(cluster: OrchestCluster, facts: ClusterFacts, former_registries: Collection[str]) -> Site:
    """Total: contradictions in the input get the nearest sensible answer here, and their `Note` from each noun's
    module.
    """
    spec, orchest = cluster.spec, cluster.spec.orchest or Orchest()
    container_runtime = runtime.container_runtime(cluster, facts)
    registry = applications.registry_settings(spec)
    return Site(
        namespace=cluster.namespace,
        name=cluster.name,
        version=orchest.version or RELEASE,
        image_registry=orchest.registry or "",
        image_registries=("", orchest.registry or "", *sorted(former_registries)),
        single_node=spec.single_node is not False,
        paused=orchest.pause is True,
        host=orchest.orchest_host or "",
        ingress_class=ingress.ingress_class(facts),
        distribution=facts.distribution,
        runtime=container_runtime,
        registry=registry,
        claims=storage.claims(spec, registry),
        control_selector=spec.control_node_selector or {},
        worker_selector=spec.worker_node_selector or {},
        env=environment.written(orchest.env),
        templates=_templates(cluster, container_runtime, registry),
    )


def _templates(
    cluster: OrchestCluster, container_runtime: Runtime, registry: RegistrySettings | None
) -> Mapping[Component, ComponentTemplate]:
    spec, orchest = cluster.spec, cluster.spec.orchest or Orchest()
    written = {
        Component.ORCHEST_DATABASE: spec.postgres,
        Component.RABBITMQ_SERVER: spec.rabbit_mq,
        Component.DOCKER_REGISTRY: registry and registry.template,
        Component.ORCHEST_API: orchest.orchest_api,
        Component.CELERY_WORKER: orchest.celery_worker,
        Component.AUTH_SERVER: orchest.auth_server,
        Component.ORCHEST_WEBSERVER: orchest.orchest_web_server,
        Component.NODE_AGENT: orchest.node_agent,
        Component.BUILDKIT_DAEMON: orchest.buildkit_daemon,
    }
    absent = set()
    if registry is None:
        absent.add(Component.DOCKER_REGISTRY)
    if not container_runtime.is_containerd:
        absent.add(Component.BUILDKIT_DAEMON)
    return {component: written[component] or ComponentTemplate() for component in Component if component not in absent}
