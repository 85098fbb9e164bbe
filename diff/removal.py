"""Fields that server-side apply cannot drop, because others hold them, taken out by one merge patch before the apply.

In: the live content, the content that is sent, JSON pointers. Out: the live content without these fields, and the merge
patch (RFC 7386) that makes it so. What we set beside a removed field comes along, for the server judges the whole
object: a Deployment without `rollingUpdate` is refused unless it is also told to recreate. A merge patch knows no merge
keys, so a list on the way is written whole, as it is live; the uid and resourceVersion beside the patch make that safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.objects import GROUP
from diff.action import ABSENT
from diff.merge_keys import key_of, merge_keys
from diff.paths import Element, child_at, path_at, segments_of, value_at, without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from desired_state.objects import Json
    from diff.paths import Path


def removed(live: Mapping[str, Json], sent: Mapping[str, Json], pointers: Iterable[str]) -> Mapping[str, Json]:
    """`live` without what the pointers name; a pointer that leads nowhere names nothing."""
    content: Json = live
    for pointer in pointers:
        path = path_at(live, segments_of(pointer))
        content = without(content, [path]) if path else content
        if path and not str(live["apiVersion"]).startswith(f"{GROUP}/"):
            content = _with_siblings(content, sent, path)
    stripped: Mapping[str, Json] = content
    return stripped


def removal_patch(live: Mapping[str, Json], sent: Mapping[str, Json], pointers: Iterable[str]) -> dict[str, Json]:
    """The merge patch that turns `live` into `removed(live, sent, pointers)`."""
    return _merge_patch(live, removed(live, sent, pointers))


def _with_siblings(content: Json, sent: Mapping[str, Json], path: Path) -> Json:
    """With what we set in the map, or the list, that the removed field was in; metadata is judged field by field."""
    parent = path[:-1]
    ours = value_at(sent, parent)
    if ours is ABSENT or path[0] == "metadata":
        return content
    last = parent[-1] if parent else ""
    field = last if isinstance(last, str) else ""
    return _edited(content, parent, "", lambda there: _joined(there, ours, field))


def _joined(there: Json, ours: Json, field: str) -> Json:
    if isinstance(there, dict) and isinstance(ours, dict):
        return {**there, **ours}
    keys = merge_keys(field, ours, there)
    named = {key_of(item, keys) for item in there}
    return [*there, *(item for item in ours if key_of(item, keys) not in named)]


def _edited(value: Json, path: Path, field: str, edit: Callable[[Json], Json]) -> Json:
    if not path:
        return edit(value)
    step, rest = path[0], path[1:]
    child = child_at(value, step, field)
    below = _edited(child, rest, "" if isinstance(step, Element) else step, edit)
    if isinstance(step, Element):
        return [below if item is child else item for item in value]
    return {**value, step: below}


def _merge_patch(before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, Json]:
    gone = dict.fromkeys(name for name in before if name not in after)
    changed = {name: value for name, value in after.items() if before.get(name, ABSENT) != value}
    return gone | {name: _patched(before.get(name), value) for name, value in changed.items()}


def _patched(before: Json, after: Json) -> Json:
    return _merge_patch(before, after) if isinstance(before, dict) and isinstance(after, dict) else after
