"""celery-worker: the name is the original's, what runs is an RQ worker. It makes the pods of runs and builds.

It keeps nothing on disk of its own (the original's state directory has no successor) and serves no port, hence no
probe: a worker that stops claiming work loses its leases, and one that ends is restarted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.objects import Note, Severity
from desired_state.release import Component
from render import api, broker, database, environment, rbac, registry, security, storage
from render.workload import ROLLING, Workload, deployment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from desired_state.cluster import OrchestClusterSpec
    from desired_state.images import ImageDecision
    from desired_state.objects import DesiredObject, Json
    from render.site import Site

COMPONENT = Component.CELERY_WORKER
_DEFAULTS = {"FLASK_ENV": "production", "ORCHEST_GPU_ENABLED_INSTANCE": "FALSE"}


def objects(site: Site, image: ImageDecision) -> Iterator[DesiredObject]:
    yield deployment(site, _workload(site, image), ROLLING)
    yield rbac.service_account(site, COMPONENT)
    yield from rbac.namespace_rights(site, COMPONENT, _rules())
    yield from rbac.cluster_rights(site, COMPONENT, rbac.node_rules())


def worker_notes(spec: OrchestClusterSpec) -> Iterator[Note]:
    if spec.orchest and spec.orchest.celery_worker is not None:
        message = "celeryWorker configures this release's worker, which is an RQ worker; Celery is not used any more."
        yield Note(Severity.INFO, "celery-worker-configures-rq", "spec.orchest.celeryWorker", message)


def _rules() -> tuple[Json, ...]:
    """The registry's garbage is collected by a command in its pod."""
    return (*rbac.user_workload_rules(), rbac.rule("", ("pods/exec",), ("create", "get")))


def _workload(site: Site, image: ImageDecision) -> Workload:
    return Workload(
        component=COMPONENT,
        image=image,
        env=_environment(site),
        security=security.user_files(),
        requests={"cpu": "250m"},
        attachments=(storage.userdir(), *registry.trust(site)),
        service_account=COMPONENT,
        checksum=registry.trust_checksum(site),
    )


def _environment(site: Site) -> tuple[Json, ...]:
    database_password, database_url = database.access(site, "orchest_api")
    broker_password, broker_url = broker.access()
    return environment.own_program(
        site,
        site.template(COMPONENT).env,
        fixed=environment.plain(api.topology(site)),
        defaults=(*environment.plain(_DEFAULTS), *database_password, *broker_password, *registry.address(site)),
        derived=(*database_url, *broker_url),
    )
