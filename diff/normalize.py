"""One spelling for values that the API server holds to be equal.

It drops what is empty, rewrites some quantities and leaves the rest; we do the same to both sides before two whole
values are compared (atomic lists, the OrchestCluster's spec) or digested. In: JSON. Out: JSON that is equal when the
server sees no difference. Never: a default that only the server knows; those are others' fields and are not compared at
all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from desired_state.objects import Unknown
from desired_state.quantity import parse_quantity
from diff.merge_keys import MEANINGFUL_EMPTY, OPAQUE_MAPS, QUANTITY_FIELDS, QUANTITY_MAPS

if TYPE_CHECKING:
    from desired_state.objects import Json


def is_empty(value: Json, field: str) -> bool:
    """Whether the server keeps nothing for this value: null, `{}`, `[]`, and the empty text as an environment
    variable's value.
    """
    if value is None:
        return True
    if isinstance(value, dict | list):
        return not value and field not in MEANINGFUL_EMPTY
    return value == "" and field == "value"


def normalize(value: Json, field: str = "", parent: str = "") -> Json:
    """`value` of `field`, which lies in `parent`, in the one spelling. Empty maps inside maps vanish from the inside
    out.
    """
    if isinstance(value, dict):
        if field in OPAQUE_MAPS:
            return {name: item for name, item in value.items() if item is not None}
        below = ((name, normalize(item, name, field)) for name, item in value.items())
        return {name: item for name, item in below if not is_empty(item, name)}
    if isinstance(value, list):
        return [normalize(item) for item in value]
    if parent in QUANTITY_MAPS or field in QUANTITY_FIELDS:
        return canonical_quantity(value)
    return value


def same_quantity(one: Any, other: Any) -> bool:
    return bool(canonical_quantity(one) == canonical_quantity(other))


def canonical_quantity(value: Json) -> Json:
    """The exact value as text, `value` itself when it is no quantity (the server will refuse it, with a better
    message).
    """
    if value is None or isinstance(value, bool | Unknown | dict | list):
        return value
    try:
        return str(parse_quantity(str(value)))
    except ValueError:
        return value
