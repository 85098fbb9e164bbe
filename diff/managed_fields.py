"""Who holds which field: the server's `metadata.managedFields` (format fieldsV1), read only where something differs.

In: the content of one observed object. Out: one `Holder` for each manager and operation. Entries of the
subresource `status` are left out: what a controller writes there is no claim on what we set. Those of `scale` count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import orjson

from desired_state.objects import FIELD_MANAGER
from diff.paths import Element

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from desired_state.objects import Json
    from diff.paths import Path, Step

FieldTree: TypeAlias = "Mapping[Step, FieldTree]"
"""Held fields as a tree of steps; an empty one is a leaf, or a list or map that is held as a whole."""

UNKEYED = frozenset({"v", "i"})
"""In an `Element`: a member of a set by its value, an entry of an atomic list by its index."""

STATUS = "status"
APPLY = "Apply"
UPDATE = "Update"


@dataclass(frozen=True, slots=True)
class Holder:
    manager: str
    operation: str
    fields: FieldTree

    @property
    def is_ours(self) -> bool:
        return self.manager == FIELD_MANAGER and self.operation == APPLY

    def holds(self, path: Path) -> bool:
        """Whether the field at `path`, something below it, or the whole that it is part of, is held."""
        tree = self.fields
        for step in path:
            if step not in tree:
                return not tree
            tree = tree[step]
        return True

    def leaves(self) -> Iterator[Path]:
        return _leaves(self.fields, ())


def holders(content: Mapping[str, Json]) -> tuple[Holder, ...]:
    """Every manager of the object itself; empty when the content was stored without managedFields."""
    return tuple(
        Holder(entry["manager"], entry["operation"], read_fields(entry.get("fieldsV1") or {}))
        for entry in content["metadata"].get("managedFields") or []
        if entry.get("subresource") != STATUS
    )


def read_fields(fields: Mapping[str, Json]) -> FieldTree:
    """fieldsV1 as a tree: `f:name` is a field, `k:{...}` an entry by merge key, `v:...` a member of a set, `i:n` an
    index.
    """
    return {_step(name): read_fields(below) for name, below in fields.items() if name != "."}


def write_fields(tree: FieldTree) -> dict[str, Json]:
    """The inverse of `read_fields`, without the `.` markers."""
    return {_name(step): write_fields(below) for step, below in tree.items()}


def _step(name: str) -> Step:
    kind, _, text = name.partition(":")
    if kind == "f":
        return text
    if kind == "k":
        return Element(tuple(sorted(orjson.loads(text).items())))
    return Element(((kind, text),))


def _name(step: Step) -> str:
    if isinstance(step, str):
        return f"f:{step}"
    kind, text = step.keys[0]
    return f"{kind}:{text}" if kind in UNKEYED else f"k:{orjson.dumps(dict(step.keys)).decode()}"


def _leaves(tree: FieldTree, path: Path) -> Iterator[Path]:
    for step, below in tree.items():
        if below:
            yield from _leaves(below, (*path, step))
        else:
            yield (*path, step)
