"""What the API server's schema says about fields, as far as comparing and merging need it: one table for each fact.

The rows were read from the server's OpenAPI document (`x-kubernetes-list-map-keys`, `x-kubernetes-map-type`). A field
is known by its name alone: in the kinds that we render no name means two things, except `ports`, which its entries tell
apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MERGE_KEYS: Mapping[str, tuple[str, ...]] = {
    "claims": ("name",),
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "resourceClaims": ("name",),
    "secrets": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""Keyed lists. Every other list is atomic: it belongs to one manager as a whole. Key names are sorted, as the server
writes them.
"""

CONTAINER_PORT_KEYS = ("containerPort", "protocol")
SERVICE_PORT_KEYS = ("port", "protocol")

KEY_DEFAULTS: Mapping[str, str] = {"protocol": "TCP"}
"""A merge key that is unset means this. Without the row every container with a port would differ from itself."""

QUANTITY_MAPS = frozenset({"requests", "limits", "capacity", "overhead"})
"""Maps whose values are quantities."""
QUANTITY_FIELDS = frozenset({"sizeLimit", "divisor"})

OPAQUE_MAPS = frozenset({"labels", "annotations", "matchLabels", "data", "binaryData", "stringData"})
"""Maps from any name to text: a key that happens to be called `limits` or `env` means nothing there."""

ATOMIC_MAPS = frozenset({"matchLabels", "nodeSelector", "selector"})
"""Maps that belong to one manager as a whole, so that a foreign key in them is a difference."""

MEANINGFUL_EMPTY = frozenset({"emptyDir"})
"""Fields whose `{}` says something: the volume is an empty directory."""


def merge_keys(field: str, *lists: Sequence[Any]) -> tuple[str, ...]:
    """The merge key of the keyed list in `field`, `()` when the list is atomic; `lists` are its contents, where they
    matter.
    """
    if field != "ports":
        return MERGE_KEYS.get(field, ())
    first = next((items[0] for items in lists if items), None)
    if not isinstance(first, dict):
        return ()
    return CONTAINER_PORT_KEYS if "containerPort" in first else SERVICE_PORT_KEYS


def key_of(item: Mapping[str, Any], names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(item.get(name, KEY_DEFAULTS.get(name)) for name in names)


def entry_key(item: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The same for looking entries up: a single key stands without its tuple, which halves the cost of nearly every
    list.
    """
    return item.get(names[0]) if len(names) == 1 else key_of(item, names)
