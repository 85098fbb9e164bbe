"""Plain content -> `Manifest` in one canonical form, so that equal input is equal output down to the last byte.

Keys are sorted, tuples become lists, and an entry whose value is None is an entry that is not there: components may
write `"replicas": template.replicas` and mean "only when set".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from desired_state.objects import DesiredObject, Manifest

if TYPE_CHECKING:
    from desired_state.images import ImageDecision
    from desired_state.objects import Generated, Json


def desired(
    content: Mapping[str, Json],
    component: str = "",
    *,
    image: ImageDecision | None = None,
    generated: Generated | None = None,
) -> DesiredObject:
    return DesiredObject(Manifest.of(canonical(content)), str(component), image, generated)


def canonical(value: Json) -> Any:
    """A fresh copy: the manifest shares no mutable part with what it was made from."""
    if isinstance(value, Mapping):
        return {key: canonical(value[key]) for key in sorted(value) if value[key] is not None}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return value.value if isinstance(value, Enum) else value
