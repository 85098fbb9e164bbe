"""orchest-api: what everything else talks to. It starts sessions, runs and builds, so it may make pods in its own
namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.objects import GROUP
from desired_state.release import Component
from render import broker, database, environment, rbac, registry, security, storage
from render.ingress import guarded_stripped_ingress
from render.workload import ROLLING, Workload, deployment, http_get, probes, service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from desired_state.images import ImageDecision
    from desired_state.objects import DesiredObject, Json
    from render.site import Site

COMPONENT = Component.ORCHEST_API
_DEFAULTS = {"FLASK_ENV": "production", "ORCHEST_GPU_ENABLED_INSTANCE": "FALSE"}


def objects(site: Site, image: ImageDecision) -> Iterator[DesiredObject]:
    yield deployment(site, _workload(site, image), ROLLING)
    yield service(site, COMPONENT, 80, "http")
    yield from guarded_stripped_ingress(site, COMPONENT, "/orchest-api")
    yield rbac.service_account(site, COMPONENT)
    yield from rbac.namespace_rights(site, COMPONENT, _rules())
    yield from rbac.cluster_rights(site, COMPONENT, (*rbac.node_rules(), *_class_rules(), _review_rule()))


def topology(site: Site) -> Mapping[str, str]:
    """What decides how runs are spread over pods and nodes; the worker needs it too."""
    selector = (
        {"WORKER_PLANE_SELECTOR": environment.selector_json(site.worker_selector)} if site.worker_selector else {}
    )
    return {"SINGLE_NODE": "TRUE" if site.single_node else "FALSE", **selector}


def _rules() -> tuple[Json, ...]:
    """Restarts and updates asked for in the user interface are changes of the OrchestCluster."""
    return (*rbac.user_workload_rules(), rbac.rule(GROUP, ("orchestclusters",), ("get", "list", "patch", "watch")))


def _class_rules() -> tuple[Json, ...]:
    return (
        rbac.rule("networking.k8s.io", ("ingressclasses",), ("get", "list")),
        rbac.rule("storage.k8s.io", ("storageclasses",), ("get", "list")),
    )


def _review_rule() -> Json:
    """Callers show it the tokens of their service accounts; the API server says whose they are."""
    return rbac.rule("authentication.k8s.io", ("tokenreviews",), ("create",))


def _workload(site: Site, image: ImageDecision) -> Workload:
    return Workload(
        component=COMPONENT,
        image=image,
        env=_environment(site),
        security=security.user_files(),
        requests={"cpu": "200m"},
        ports={"http": 80},
        probes=probes(http_get("/api", "http"), period=5, timeout=20),
        attachments=(storage.userdir(), *registry.trust(site)),
        service_account=COMPONENT,
        checksum=registry.trust_checksum(site),
    )


def _environment(site: Site) -> tuple[Json, ...]:
    ingress_class = {"INGRESS_CLASS": site.ingress_class} if site.ingress_class else {}
    database_password, database_url = database.access(site, "orchest_api")
    broker_password, broker_url = broker.access()
    return environment.own_program(
        site,
        site.template(COMPONENT).env,
        fixed=environment.plain({**topology(site), **ingress_class}),
        defaults=(*environment.plain(_DEFAULTS), *database_password, *broker_password, *registry.address(site)),
        derived=(*database_url, *broker_url),
    )
