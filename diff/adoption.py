"""What of the original (or of Helm) has to be dealt with before an object can be ours.

The original wrote its objects by update, so its entries in the managed fields go on owning what it set, and an apply of
ours removes nothing of it. A workload is therefore replaced; of the rest, what would be wrong beside our fields is
named here and taken out. In: desired and observed content. Out: differences and sentences. Never: a decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from desired_state.objects import GROUP
from diff.action import ABSENT
from diff.compare import FieldDifference
from diff.merge_keys import MERGE_KEYS, SERVICE_PORT_KEYS, key_of
from diff.paths import element_of, value_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from desired_state.objects import Json, ObjectKey
    from diff.snapshot import ObservedObject

WORKLOAD_CONSEQUENCE = "the original's pods are stopped and ours are started; volumes stay"

_RELEASE = "meta.helm.sh/release-name"
_RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"
_MANAGED_BY = "app.kubernetes.io/managed-by"
_BEHAVIOUR = "nginx.ingress.kubernetes.io/"
"""Annotations that decide what an Ingress does."""


class HelmRelease(NamedTuple):
    name: str
    """"" when the object does not tell."""
    namespace: str


def leftovers(key: ObjectKey, desired: Mapping[str, Json], observed: Mapping[str, Json]) -> tuple[FieldDifference, ...]:
    """Of a Service its other ports (one without a name is refused beside ours), of an Ingress what it does beside
    ours, of everything the original's owner references: with its OrchestCluster it would have deleted the user's data.
    """
    owners = _owners(desired, observed)
    match key[:2]:
        case ("", "Service"):
            return (*owners, *_ports(desired, observed))
        case ("networking.k8s.io", "Ingress"):
            return (*owners, *_behaviour(desired, observed))
        case _:
            return tuple(owners)


def helm_release(observed: ObservedObject) -> HelmRelease | None:
    """The release that an object belongs to, None when it is not Helm's."""
    metadata = observed.content["metadata"]
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    if _RELEASE not in annotations and labels.get(_MANAGED_BY) != "Helm":
        return None
    return HelmRelease(annotations.get(_RELEASE, ""), annotations.get(_RELEASE_NAMESPACE, observed.key.namespace))


def uninstall_text(release: HelmRelease) -> str:
    """How to be rid of a release. Helm deletes a release's claims too, so the way that keeps them is told with it."""
    where = f" -n {release.namespace}" if release.namespace else ""
    finding = "" if release.name else f" (helm list{where} names it)"
    name = release.name or "RELEASE"
    return (
        f"it belongs to a release of Helm: to remove it with everything in it, claims included, run: helm uninstall "
        f"{name}{where}{finding}; to keep the claims, {forget_text(release)}, and delete this object"
    )


def forget_text(release: HelmRelease) -> str:
    """Helm keeps its releases in Secrets; without them it knows nothing of the objects, and nothing is deleted."""
    where = f" -n {release.namespace}" if release.namespace else ""
    return f"make Helm forget the release: kubectl delete secret{where} -l owner=helm,name={release.name or 'RELEASE'}"


def _owners(desired: Mapping[str, Json], observed: Mapping[str, Json]) -> Iterator[FieldDifference]:
    ours = {reference["uid"] for reference in desired["metadata"].get("ownerReferences") or []}
    for reference in observed["metadata"].get("ownerReferences") or []:
        if reference["apiVersion"].startswith(f"{GROUP}/") and reference["uid"] not in ours:
            step = element_of(reference, MERGE_KEYS["ownerReferences"])
            yield FieldDifference(("metadata", "ownerReferences", step), ABSENT, reference)


def _ports(desired: Mapping[str, Json], observed: Mapping[str, Json]) -> Iterator[FieldDifference]:
    path = ("spec", "ports")
    ours, theirs = value_at(desired, path), value_at(observed, path)
    if ours is ABSENT or theirs is ABSENT:
        return
    named = {key_of(port, SERVICE_PORT_KEYS) for port in ours}
    for port in theirs:
        if key_of(port, SERVICE_PORT_KEYS) not in named:
            yield FieldDifference((*path, element_of(port, SERVICE_PORT_KEYS)), ABSENT, port)


def _behaviour(desired: Mapping[str, Json], observed: Mapping[str, Json]) -> Iterator[FieldDifference]:
    ours = desired["metadata"].get("annotations") or {}
    for name, text in sorted((observed["metadata"].get("annotations") or {}).items()):
        if name.startswith(_BEHAVIOUR) and name not in ours:
            yield FieldDifference(("metadata", "annotations", name), ABSENT, text)
