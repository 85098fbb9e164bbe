"""Environment variables of a component: four layers of entries, merged by name, so that each name stands once.

Release defaults < the component's defaults < `spec.orchest.env` < the component's own env. A later entry replaces the
earlier one and takes the later place, so that `$(NAME)` in what a person wrote finds what was written before it.
Around them stand two groups of ours: identity (first, cannot be overruled) and addresses made of other variables
(last, only where nobody set them).

Values that change with every release are read from one ConfigMap: were they in the pod template, a version bump would
roll components that keep a custom image.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from desired_state.objects import Note, Severity
from render.version import is_release_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from desired_state.objects import Json
    from render.site import Site

    Entry = Mapping[str, Json]

RELEASE_CONFIG = "orchest-release"
"""The ConfigMap with what every release changes."""
RUNTIME_IMAGE = "CONTAINER_RUNTIME_IMAGE"
VERSION = "ORCHEST_VERSION"
PULLER_REPOSITORY = "orchest/image-puller"

_PLATFORM_DEFAULTS = {"ORCHEST_HOST_GID": "1", "ORCHEST_LOG_LEVEL": "INFO", "PYTHONUNBUFFERED": "TRUE"}
_PLATFORM_NAMES = frozenset(
    {*_PLATFORM_DEFAULTS, "CONTAINER_RUNTIME", "CONTAINER_RUNTIME_SOCKET", RUNTIME_IMAGE, VERSION, "K8S_DISTRO"}
    | {"ORCHEST_CLUSTER", "ORCHEST_NAMESPACE", "ORCHEST_FQDN"}
)
"""What only our own programs read: third-party images are spared it, so that a new log level does not restart the
database.
"""


def plain(values: Mapping[str, str]) -> tuple[Entry, ...]:
    return tuple({"name": name, "value": value} for name, value in values.items())


def from_secret(name: str, secret: str, key: str) -> Entry:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def from_config(name: str, config_map: str) -> Entry:
    return {"name": name, "valueFrom": {"configMapKeyRef": {"name": config_map, "key": name}}}


def from_field(name: str, path: str) -> Entry:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def written(entries: Iterable[Entry] | None) -> tuple[Entry, ...]:
    """What a person wrote, in the form the server stores: no "" values, references with their defaults."""
    return tuple(_stored(entry) for entry in entries or ())


def values(entries: Iterable[Entry] | None) -> Mapping[str, str]:
    """Name -> literal value, "" for a reference."""
    return {entry["name"]: entry.get("value") or "" for entry in entries or ()}


def merged(*layers: Iterable[Entry]) -> tuple[Entry, ...]:
    by_name: dict[str, Entry] = {}
    for entry in (entry for layer in layers for entry in layer):
        by_name.pop(entry["name"], None)
        by_name[entry["name"]] = entry
    return tuple(by_name.values())


def own_program(
    site: Site,
    own: Iterable[Entry] | None,
    *,
    fixed: Iterable[Entry] = (),
    defaults: Iterable[Entry] = (),
    derived: Iterable[Entry] = (),
) -> tuple[Entry, ...]:
    """Environment of a program of ours. `fixed` belongs to the identity, `derived` refers to other variables by
    `$(NAME)`.
    """
    first = (*_identity(site), *fixed)
    layers = (*_platform_defaults(site), *defaults), _followed(site, site.env), _followed(site, written(own))
    chosen = _without(merged(*layers), {entry["name"] for entry in first})
    last = _without(derived, {entry["name"] for entry in chosen})
    return (*first, *chosen, *last)


def third_party_program(site: Site, own: Iterable[Entry] | None, defaults: Iterable[Entry] = ()) -> tuple[Entry, ...]:
    return merged(defaults, _without(site.env, _PLATFORM_NAMES), written(own))


def release_data(site: Site) -> Mapping[str, str]:
    prefix = f"{site.image_registry}/" if site.image_registry else ""
    return {VERSION: site.version, RUNTIME_IMAGE: f"{prefix}{PULLER_REPOSITORY}:{site.version}"}


def selector_json(labels: Mapping[str, str]) -> str:
    return json.dumps(dict(labels), sort_keys=True, separators=(",", ":"))


def environment_notes(site: Site) -> tuple[Note, ...]:
    """A warning for each value of `spec.orchest.env` that cannot hold here."""
    ours = values(_identity(site))
    theirs = values(site.env)
    return tuple(
        Note(
            Severity.WARNING,
            "environment-overruled",
            f"spec.orchest.env[name={name}]",
            f"{name} follows the cluster, where it is {ours[name]!r}: what is written here is not used. Remove it.",
        )
        for name in sorted(ours.keys() & theirs.keys())
        if theirs[name] != ours[name]
    )


def _identity(site: Site) -> tuple[Entry, ...]:
    host = {"ORCHEST_FQDN": site.host} if site.host else {}
    return plain(
        {
            "ORCHEST_CLUSTER": site.name,
            "ORCHEST_NAMESPACE": site.namespace,
            "CONTAINER_RUNTIME": site.runtime.name,
            "CONTAINER_RUNTIME_SOCKET": site.runtime.socket,
            **host,
        }
    )


def _platform_defaults(site: Site) -> tuple[Entry, ...]:
    distribution = {"K8S_DISTRO": site.distribution} if site.distribution else {}
    release = (from_config(RUNTIME_IMAGE, RELEASE_CONFIG), from_config(VERSION, RELEASE_CONFIG))
    return (*plain({**_PLATFORM_DEFAULTS, **distribution}), *release)


def _followed(site: Site, entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Without the image that the original wrote as its default: like every release image, that one follows the
    release.
    """
    return tuple(entry for entry in entries if not _is_original_puller(entry, site))


def _is_original_puller(entry: Entry, site: Site) -> bool:
    if entry["name"] != RUNTIME_IMAGE or not entry.get("value"):
        return False
    return is_release_of(entry["value"], PULLER_REPOSITORY, site.image_registries)


def _without(entries: Iterable[Entry], names: Collection[str]) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if entry["name"] not in names)


def _stored(entry: Entry) -> Entry:
    if not entry.get("valueFrom"):
        return {"name": entry["name"], "value": entry.get("value") or None}
    source = {
        kind: {**_REFERENCE_DEFAULTS.get(kind, {}), **reference} for kind, reference in entry["valueFrom"].items()
    }
    return {"name": entry["name"], "valueFrom": source}


_REFERENCE_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "fieldRef": {"apiVersion": "v1"},
    "resourceFieldRef": {"divisor": "0"},
}
"""References are atomic on the server: it fills these in, so we say them first."""
