"""orchest-webserver: the user interface. It streams logs itself: the original's second container has no successor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.release import Component
from render import environment, security, storage
from render.ingress import guarded_ingress
from render.workload import ROLLING, Workload, connects, deployment, probes, service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from desired_state.images import ImageDecision
    from desired_state.objects import DesiredObject
    from render.site import Site

COMPONENT = Component.ORCHEST_WEBSERVER
_DEFAULTS = {
    "FLASK_ENV": "production",
    "HOST_CONFIG_DIR": "/var/lib/orchest/config",
    "HOST_OS": "linux",
    "HOST_REPO_DIR": "/var/lib/orchest/repo",
    "ORCHEST_GPU_ENABLED_INSTANCE": "FALSE",
    "ORCHEST_PORT": "8000",
    "USERDIR_PVC": storage.USERDIR_CLAIM,
}


def objects(site: Site, image: ImageDecision) -> Iterator[DesiredObject]:
    yield deployment(site, _workload(site, image), ROLLING)
    yield service(site, COMPONENT, 80, "http")
    yield from guarded_ingress(site, COMPONENT, "/")


def _workload(site: Site, image: ImageDecision) -> Workload:
    return Workload(
        component=COMPONENT,
        image=image,
        env=environment.own_program(site, site.template(COMPONENT).env, defaults=environment.plain(_DEFAULTS)),
        security=security.user_files(),
        requests={"cpu": "100m"},
        ports={"http": 80},
        probes=probes(connects("http"), period=5, timeout=5),
        attachments=(storage.userdir(),),
    )
