"""auth-server: the login page, and the question "may this request pass?" that every other Ingress asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.release import Component
from render import database, environment, security
from render.ingress import open_ingress
from render.workload import ROLLING, Workload, connects, deployment, probes, service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from desired_state.images import ImageDecision
    from desired_state.objects import DesiredObject, Json
    from render.site import Site

COMPONENT = Component.AUTH_SERVER
_USER = 1000


def objects(site: Site, image: ImageDecision) -> Iterator[DesiredObject]:
    yield deployment(site, _workload(site, image), ROLLING)
    yield service(site, COMPONENT, 80, "http")
    yield from open_ingress(site, COMPONENT, "/login")


def _workload(site: Site, image: ImageDecision) -> Workload:
    return Workload(
        component=COMPONENT,
        image=image,
        env=_environment(site),
        security=security.restricted_web(_USER),
        requests={"cpu": "50m"},
        ports={"http": 80},
        probes=probes(connects("http"), period=5, timeout=5),
    )


def _environment(site: Site) -> tuple[Json, ...]:
    password, url = database.access(site, "auth_server")
    defaults = (*environment.plain({"FLASK_ENV": "production"}), *password)
    return environment.own_program(site, site.template(COMPONENT).env, defaults=defaults, derived=url)
