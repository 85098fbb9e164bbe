"""rabbitmq-server: the name is the original's, what answers is Redis. It carries hints that may vanish, so nothing is
kept on disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.images import ImageSource
from desired_state.objects import Note, Severity
from desired_state.release import Component
from render import environment, security, storage
from render.credentials import BROKER_PASSWORD, CREDENTIALS
from render.workload import ROLLING, Workload, connects, deployment, probe, runs, service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from desired_state.cluster import OrchestClusterSpec
    from desired_state.images import ImageDecision
    from desired_state.objects import DesiredObject, Json
    from render.site import Site

COMPONENT = Component.RABBITMQ_SERVER
_REDIS_USER = 999


def objects(site: Site, image: ImageDecision) -> Iterator[DesiredObject]:
    # No volume forbids rolling; and no apply turns a rolling Deployment, as the original had, into another kind.
    yield deployment(site, _workload(site, image), ROLLING)
    yield service(site, COMPONENT, 6379, "redis")


def broker_notes(spec: OrchestClusterSpec, image: ImageDecision) -> Iterator[Note]:
    if spec.rabbit_mq is not None:
        message = "rabbitMq configures this release's broker, which is Redis; RabbitMQ is not used any more."
        yield Note(Severity.INFO, "rabbitmq-configures-redis", "spec.rabbitMq", message)
    if image.source is ImageSource.CUSTOM:
        message = (
            f'"{image.written}" is kept as written and must speak the Redis protocol. '
            "Remove spec.rabbitMq.image to follow the release."
        )
        yield Note(Severity.WARNING, "broker-must-speak-redis", "spec.rabbitMq.image", message)


def access() -> tuple[tuple[Json, ...], tuple[Json, ...]]:
    """(the password's entry, the URL's, which refers to it) for a program that uses the broker."""
    password = environment.from_secret("ORCHEST_REDIS_PASSWORD", CREDENTIALS, BROKER_PASSWORD)
    url = f"redis://:$(ORCHEST_REDIS_PASSWORD)@{COMPONENT}:6379/0"
    return (password,), environment.plain({"ORCHEST_REDIS_URL": url})


def _workload(site: Site, image: ImageDecision) -> Workload:
    # redis-cli reads its password from this variable, so the server takes it from there too.
    password = environment.from_secret("REDISCLI_AUTH", CREDENTIALS, BROKER_PASSWORD)
    answers = runs("sh", "-c", "redis-cli ping | grep -q PONG")
    return Workload(
        component=COMPONENT,
        image=image,
        env=environment.third_party_program(site, site.template(COMPONENT).env, (password,)),
        security=security.restricted(_REDIS_USER),
        requests={"cpu": "50m"},
        ports={"redis": 6379},
        probes={
            "readinessProbe": probe(answers, period=5, timeout=5, failures=3),
            "livenessProbe": probe(connects("redis"), period=10, timeout=5, failures=6),
        },
        attachments=(storage.scratch("data", "/data"),),
        command=("redis-server",),
        args=("--requirepass", "$(REDISCLI_AUTH)"),
    )
