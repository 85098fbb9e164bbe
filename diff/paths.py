"""Field paths: how every difference, owned field and ignore rule names a place inside an object.

A path is a tuple of steps. A step is a field name or, inside a keyed list, an `Element` that names one entry by its
merge key, never by its index: indexes move when somebody else adds an entry.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from desired_state.objects import Unknown
from diff.action import ABSENT
from diff.merge_keys import key_of, merge_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from desired_state.objects import Json

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Element(NamedTuple):
    """One entry of a keyed list: its merge key as (field, value) pairs, sorted by field."""

    keys: tuple[tuple[str, Any], ...]


Step: TypeAlias = "str | Element"
Path: TypeAlias = tuple[Step, ...]


def format_path(path: Path) -> str:
    """`spec.template.spec.containers[name=orchest-api].image`; a name that is no plain word is quoted:
    `labels["a.b/c"]`.
    """
    return "".join(_format_step(step) for step in path).removeprefix(".")


def _format_step(step: Step) -> str:
    if isinstance(step, Element):
        return f"[{','.join(f'{name}={_format_key(value)}' for name, value in step.keys)}]"
    return f".{step}" if _PLAIN_NAME.fullmatch(step) else f'["{step}"]'


def _format_key(value: Any) -> str:
    return f"({value.value})" if isinstance(value, Unknown) else str(value)


def element_of(item: Mapping[str, Json], names: tuple[str, ...]) -> Element:
    return Element(tuple(zip(names, key_of(item, names), strict=True)))


def child_at(value: Json, step: Step, field: str) -> Json:
    """What lies one step below `value`, which is the content of `field`; `ABSENT` when nothing does."""
    if isinstance(step, str):
        return value.get(step, ABSENT) if isinstance(value, dict) else ABSENT
    if not isinstance(value, list):
        return ABSENT
    names = merge_keys(field, value)
    found = (item for item in value if isinstance(item, dict) and names and element_of(item, names) == step)
    return next(found, ABSENT)


def value_at(content: Json, path: Path) -> Json:
    """The value at `path`, `ABSENT` when the path leads nowhere."""
    value, field = content, ""
    for step in path:
        value = child_at(value, step, field)
        if value is ABSENT:
            return ABSENT
        field = step if isinstance(step, str) else ""
    return value


def without(content: Json, paths: Iterable[Path]) -> Json:
    """A copy of `content` in which nothing stands at `paths`; what is untouched is shared, not copied."""
    for path in paths:
        content = _without_one(content, path, "")
    return content


def _without_one(value: Json, path: Path, field: str) -> Json:
    step, rest = path[0], path[1:]
    child = child_at(value, step, field)
    if child is ABSENT:
        return value
    if isinstance(step, str):
        if not rest:
            return {name: item for name, item in value.items() if name != step}
        return {**value, step: _without_one(child, rest, step)}
    if not rest:
        return [item for item in value if item is not child]
    return [_without_one(item, rest, "") if item is child else item for item in value]


def with_value(content: Json, path: tuple[str, ...], value: Json) -> Json:
    """A copy of `content` in which `value` stands at `path` (field names only); missing maps in between are made."""
    name, rest = path[0], path[1:]
    below = content.get(name) or {}
    return {**content, name: with_value(below, rest, value) if rest else value}


def json_pointer(path: Path) -> str:
    """RFC 6901, with the merge key where an entry of a keyed list is meant: `.../env/LEVEL`, `.../ports/80,TCP`."""
    return "".join(f"/{segment(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def segments_of(pointer: str) -> tuple[str, ...]:
    """What stands between the slashes of a JSON pointer."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("/").split("/"))


def path_at(content: Json, segments: Iterable[str]) -> Path:
    """The path in `content` that a pointer's segments spell; `()` when they lead nowhere."""
    path: list[Step] = []
    value, field = content, ""
    for name in segments:
        steps = _steps(value, field)
        if name not in steps:
            return ()
        step = steps[name]
        value, field = child_at(value, step, field), name
        path.append(step)
    return tuple(path)


def segment(step: Step) -> str:
    return ",".join(str(value) for _, value in step.keys) if isinstance(step, Element) else step


def _steps(value: Json, field: str) -> Mapping[str, Step]:
    if isinstance(value, dict):
        return {name: name for name in value}
    keys = merge_keys(field, value) if isinstance(value, list) else ()
    return {segment(step): step for step in (element_of(item, keys) for item in value)} if keys else {}
