"""The set of fields that we set in an object, as one short hash in an annotation of that object.

When Git stops setting a field, nothing that we still set differs, so comparing cannot see it. The annotation can: it
hashes which fields the last apply set. Values stay out of it, it must not become an oracle for secrets. Only when it
differs are the managed fields read, to find what is to be dropped.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from desired_state.objects import Unknown
from diff.action import ABSENT
from diff.compare import FieldDifference
from diff.managed_fields import UNKEYED
from diff.merge_keys import ATOMIC_MAPS, MEANINGFUL_EMPTY, OPAQUE_MAPS, key_of, merge_keys
from diff.paths import Element, value_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from desired_state.objects import Json
    from diff.managed_fields import Holder
    from diff.paths import Path

OWNED_PATHS_ANNOTATION = "orchest.io/owned-paths"
OWNED_PATHS = ("metadata", "annotations", OWNED_PATHS_ANNOTATION)


def owned_paths_digest(content: Mapping[str, Json]) -> str:
    """Equal for manifests that set the same fields, whatever their values; 16 hex digits."""
    return blake2b(_outline(dict(content), "").encode(), digest_size=8).hexdigest()


def with_owned_paths(content: Mapping[str, Json], digest: str) -> dict[str, Json]:
    """A copy of `content` that carries the annotation."""
    metadata = content["metadata"]
    annotations = {**(metadata.get("annotations") or {}), OWNED_PATHS_ANNOTATION: digest}
    return {**content, "metadata": {**metadata, "annotations": annotations}}


def dropped_fields(
    desired: Mapping[str, Json], observed: Mapping[str, Json], managers: Iterable[Holder]
) -> tuple[FieldDifference, ...]:
    """Fields that our manager holds, that `desired` no longer sets, and that vanish when it is applied.

    A field that another manager holds as well stays where it is when we let go of it: no change.
    """
    ours = [holder for holder in managers if holder.is_ours]
    others = [holder for holder in managers if not holder.is_ours]
    shown = {path for holder in ours for leaf in holder.leaves() if (path := _shown(leaf, desired)) is not None}
    parents = {path[:length] for path in shown for length in range(1, len(path))}
    return tuple(
        FieldDifference(path, ABSENT, value)
        for path in sorted(shown - parents, key=str)
        if (value := value_at(observed, path)) is not ABSENT
        if not any(holder.holds(path) for holder in others)
    )


def _shown(path: Path, desired: Mapping[str, Json]) -> Path | None:
    """The path under which a dropped leaf is told, None when it is not dropped; a merge key stands for its whole
    entry.
    """
    if _is_set(desired, path):
        return None
    parent, last = path[:-1], path[-1]
    if parent and isinstance(parent[-1], Element) and any(name == last for name, _ in parent[-1].keys):
        return None if _is_set(desired, parent) else parent
    return path


def _is_set(desired: Mapping[str, Json], path: Path) -> bool:
    if value_at(desired, path) is not ABSENT:
        return True
    last = path[-1]
    is_member = isinstance(last, Element) and last.keys[0][0] in UNKEYED
    return is_member and isinstance(value_at(desired, path[:-1]), list)


def _outline(value: dict[str, Json] | list[Json], field: str) -> str:
    """The shape of `value` as text: names and merge keys, sorted; what the server would not keep is left out."""
    if isinstance(value, dict):
        if field in OPAQUE_MAPS:
            return f"{{{','.join(sorted(name for name in value if name != OWNED_PATHS_ANNOTATION))}}}"
        return "" if field in ATOMIC_MAPS else _outline_of_fields(value)
    keys = merge_keys(field, value)
    return f"[{','.join(sorted([_key(item, keys) + _outline(item, '') for item in value]))}]" if keys else ""


def _outline_of_fields(fields: dict[str, Json]) -> str:
    """Scalars first asked: nearly all fields are."""
    parts = []
    for name, value in fields.items():
        if isinstance(value, dict | list):
            if value:
                parts.append(name + _outline(value, name))
            elif name in MEANINGFUL_EMPTY:
                parts.append(name)
        elif value is not None:
            parts.append(name)
    parts.sort()
    return f"{{{','.join(parts)}}}"


def _key(item: Mapping[str, Json], keys: tuple[str, ...]) -> str:
    if len(keys) == 1:
        part = item.get(keys[0])
        return part.value.value if isinstance(part, Unknown) else str(part)
    return str(key_of(item, keys))
