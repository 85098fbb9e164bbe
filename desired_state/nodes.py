"""JSON that remembers its lines: what a YAML document becomes before anybody judges it.

In: built by the composer in `document.py`. Out: plain JSON, or the place of a field path. Never: YAML itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.errors import FieldPath
    from desired_state.objects import Json


class ScalarNode(NamedTuple):
    line: int
    column: int
    value: str | int | float | bool | None
    text: str
    size: int = 1
    depth: int = 0


class SequenceNode(NamedTuple):
    line: int
    column: int
    items: tuple[Node, ...]
    size: int
    depth: int


class Entry(NamedTuple):
    """A key at its place, with what belongs to it."""

    line: int
    column: int
    node: Node


class MappingNode(NamedTuple):
    line: int
    column: int
    entries: Mapping[str, Entry]
    size: int
    """Nodes in it, those behind aliases counted each time: what its JSON would have."""
    depth: int


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


def json_of(node: Node) -> Json:
    if isinstance(node, MappingNode):
        return {key: json_of(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, SequenceNode):
        return [json_of(item) for item in node.items]
    return node.value


def node_at(root: Node, path: FieldPath) -> Node | None:
    """What stands at `path`, None for nothing."""
    node: Node | None = root
    for step in path:
        if isinstance(node, MappingNode) and step in node.entries:
            node = node.entries[str(step)].node
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            return None
    return node


def position_of(root: Node, path: FieldPath) -> tuple[int, int]:
    """Line and column of the field at `path` (of its key, if it has one), or of the last one on the way that exists."""
    node: Node = root
    position = (root.line, root.column)
    for step in path:
        if isinstance(node, MappingNode) and step in node.entries:
            entry = node.entries[str(step)]
            position, node = (entry.line, entry.column), entry.node
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            position = (node.line, node.column)
        else:
            break
    return position
