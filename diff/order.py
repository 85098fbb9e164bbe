"""In which wave an object is written: one table. What a later wave needs, an earlier one has made and seen ready.

0  the namespace, then the OrchestCluster that owns the rest (one at a time)
1  accounts, rights, configuration, claims, services, passwords
2  the registry's certificate (it names the Service's address), database, broker
3  the registry (its pods carry the certificate's fingerprint), orchest-api
4  worker, auth-server, webserver, node-agent, buildkit
5  ingresses; then what is no longer desired goes

A pause deletes in the reverse of this order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.objects import GROUP, Recipe
from desired_state.release import Component
from diff.action import Readiness, ReadinessRule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.objects import DesiredObject, ObjectKey

LAST_WAVE = 5
WORKLOADS = frozenset({("apps", "Deployment"), ("apps", "DaemonSet")})
PAUSED_KINDS = WORKLOADS | {("networking.k8s.io", "Ingress")}
"""What a paused cluster does not run; everything else of it stays."""

_KIND_WAVES: Mapping[tuple[str, str], int] = {
    ("", "Namespace"): 0,
    (GROUP, "OrchestCluster"): 0,
    ("networking.k8s.io", "Ingress"): 5,
}
_COMPONENT_WAVES: Mapping[str, int] = {
    Component.ORCHEST_DATABASE: 2,
    Component.RABBITMQ_SERVER: 2,
    Component.DOCKER_REGISTRY: 3,
    Component.ORCHEST_API: 3,
}
_READINESS: Mapping[tuple[str, str], Readiness] = {
    ("apps", "Deployment"): Readiness(ReadinessRule.DEPLOYMENT),
    ("apps", "DaemonSet"): Readiness(ReadinessRule.DAEMON_SET),
    ("", "PersistentVolumeClaim"): Readiness(ReadinessRule.CLAIM, hold_seconds=0.0),  # A bound claim stays bound.
}
NOT_AWAITED = Readiness(ReadinessRule.NONE)
GONE = Readiness(ReadinessRule.GONE)


def wave_of(desired: DesiredObject) -> int:
    key = desired.manifest.key
    if desired.generated is not None and desired.generated.recipe is Recipe.REGISTRY_CERTIFICATE:
        return 2
    return _wave(key, desired.component)


def pause_wave_of(key: ObjectKey) -> int:
    """Reverse order of start: ingresses first, database and broker last. A workload is named after its component."""
    return LAST_WAVE + 1 - _wave(key, key.name)


def readiness_of(key: ObjectKey) -> Readiness:
    return _READINESS.get(key[:2], NOT_AWAITED)


def _wave(key: ObjectKey, component: str) -> int:
    if key[:2] in WORKLOADS:
        return _COMPONENT_WAVES.get(component, 4)
    return _KIND_WAVES.get(key[:2], 1)
