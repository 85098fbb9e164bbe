"""`render(cluster, facts)`: survey the site, decide the images, let each component say what it needs. Start reading
`render/` here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.images import decide_image
from desired_state.metadata import pinned_components
from desired_state.objects import Manifest, Rendering
from desired_state.release import Component
from render import (
    api,
    auth_server,
    broker,
    buildkit,
    database,
    environment,
    node_agent,
    registry,
    webserver,
    worker,
)
from render.applications import application_notes
from render.credentials import credentials
from render.ingress import ingress_notes
from render.labels import owned_metadata
from render.manifest import desired
from render.runtime import runtime_notes
from render.site import survey
from render.storage import claim_object, storage_notes
from render.version import version_notes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from desired_state.cluster import OrchestCluster
    from desired_state.facts import ClusterFacts
    from desired_state.images import ImageDecision
    from desired_state.objects import DesiredObject, Note
    from render.site import Site

_STOPPED_BY_PAUSE = frozenset({"DaemonSet", "Deployment", "Ingress"})
_OBJECTS: Mapping[Component, Callable[[Site, ImageDecision], Iterator[DesiredObject]]] = {
    Component.ORCHEST_DATABASE: database.objects,
    Component.RABBITMQ_SERVER: broker.objects,
    Component.DOCKER_REGISTRY: registry.objects,
    Component.ORCHEST_API: api.objects,
    Component.CELERY_WORKER: worker.objects,
    Component.AUTH_SERVER: auth_server.objects,
    Component.ORCHEST_WEBSERVER: webserver.objects,
    Component.NODE_AGENT: node_agent.objects,
    Component.BUILDKIT_DAEMON: buildkit.objects,
}


def render(cluster: OrchestCluster, facts: ClusterFacts, *, former_registries: Collection[str] = ()) -> Rendering:
    """Everything that should exist for `cluster` where `facts` hold, ordered by key; equal arguments give equal
    renderings.

    `former_registries` are registries that release images came from earlier (the OrchestCluster's status knows them).
    What cannot work is not left out but said: a refusal among the notes. Raises ImageSyntaxError for an image that is
    none.
    """
    site = survey(cluster, facts, former_registries)
    images = _decide_images(cluster, site)
    objects = (
        each for each in _all_objects(site, images) if not (site.paused and each.manifest.key.kind in _STOPPED_BY_PAUSE)
    )
    return Rendering(
        cluster=Manifest.of(cluster.document),
        objects=tuple(sorted(objects, key=lambda each: each.manifest.key)),
        images=tuple(images.values()),
        notes=tuple(_notes(cluster, facts, site, images)),
    )


def _decide_images(cluster: OrchestCluster, site: Site) -> Mapping[Component, ImageDecision]:
    return {
        component: decide_image(
            component,
            template.image,
            version=site.version,
            registry=site.image_registry,
            former_registries=site.image_registries,
            pinned=pinned_components(cluster.annotations),
        )
        for component, template in site.templates.items()
    }


def _all_objects(site: Site, images: Mapping[Component, ImageDecision]) -> Iterator[DesiredObject]:
    yield credentials(site)
    yield _release_config(site)
    yield from (claim_object(site, claim) for claim in site.claims)
    for component, image in images.items():
        yield from _OBJECTS[component](site, image)


def _release_config(site: Site) -> DesiredObject:
    content = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": owned_metadata(site, environment.RELEASE_CONFIG),
        "data": environment.release_data(site),
    }
    return desired(content)


def _notes(
    cluster: OrchestCluster, facts: ClusterFacts, site: Site, images: Mapping[Component, ImageDecision]
) -> Iterator[Note]:
    yield from runtime_notes(facts)
    yield from storage_notes(site, facts)
    yield from version_notes(site.version)
    yield from environment.environment_notes(site)
    yield from ingress_notes(cluster, facts)
    yield from application_notes(cluster.spec)
    yield from database.database_notes(site)
    yield from broker.broker_notes(cluster.spec, images[Component.RABBITMQ_SERVER])
    yield from worker.worker_notes(cluster.spec)
