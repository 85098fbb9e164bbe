"""Fields that the API server refuses beside each other: what is there has to go before ours may come.

Server-side apply adds our field and keeps the other one, somebody else's or a default of the server's, and the request
fails with 422. In: the desired and the observed content of one object. Out: each observed field that stands in the way
of one that we set. Never: a field that may stay beside ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from diff.action import ABSENT
from diff.compare import FieldDifference
from diff.merge_keys import OPAQUE_MAPS, merge_keys
from diff.normalize import is_empty
from diff.paths import child_at, element_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from desired_state.objects import Json
    from diff.paths import Path

_HANDLERS = frozenset({"exec", "grpc", "httpGet", "sleep", "tcpSocket"})
_ONE_OF: Mapping[str, frozenset[str]] = {
    "readinessProbe": _HANDLERS,
    "livenessProbe": _HANDLERS,
    "startupProbe": _HANDLERS,
    "postStart": _HANDLERS,
    "preStop": _HANDLERS,
    "valueFrom": frozenset({"configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef"}),
    "env": frozenset({"value", "valueFrom"}),
}
"""By field, or by list for its entries: members of which only one may be set."""

_RECREATE = "Recreate"


class Exclusive(NamedTuple):
    difference: FieldDifference
    """What must go; `desired` is `ABSENT`."""
    instead_of: Path
    """The field of ours that it is in the way of: whoever leaves that alone leaves this alone too."""


def exclusive_fields(desired: Mapping[str, Json], observed: Mapping[str, Json]) -> tuple[Exclusive, ...]:
    """What must be removed so that what we set is accepted."""
    return tuple(_below(desired, observed, "", ()))


def _below(wanted: Json, there: Json, field: str, path: Path) -> Iterator[Exclusive]:
    if isinstance(wanted, dict) and isinstance(there, dict) and field not in OPAQUE_MAPS:
        yield from _beside(wanted, there, field, path)
        for name, below in wanted.items():
            if isinstance(below, dict | list):
                yield from _below(below, there.get(name), name, (*path, name))
    elif isinstance(wanted, list) and isinstance(there, list):
        yield from _in_entries(wanted, there, field, path)


def _in_entries(wanted: list[Json], there: list[Json], field: str, path: Path) -> Iterator[Exclusive]:
    """An entry of a keyed list bears the name of its list; atomic lists are sent whole."""
    keys = merge_keys(field, wanted, there)
    for item in wanted if keys else ():
        step = element_of(item, keys)
        yield from _below(item, child_at(there, step, field), field, (*path, step))


def _beside(wanted: Mapping[str, Json], there: Mapping[str, Json], field: str, path: Path) -> Iterator[Exclusive]:
    chosen, others = _choice(wanted, there, field)
    for name in sorted(others) if chosen else ():
        yield Exclusive(FieldDifference((*path, name), ABSENT, there[name]), (*path, min(chosen)))


def _choice(wanted: Mapping[str, Json], there: Mapping[str, Json], field: str) -> tuple[set[str], set[str]]:
    """(the member that we set, the members that are there beside it); of a volume all but its name is one."""
    if field == "strategy":
        is_recreate = wanted.get("type") == _RECREATE
        return ({"type"} if is_recreate else set()), _set_in(there, {"rollingUpdate"})
    members = {*wanted, *there} - {"name"} if field == "volumes" else _ONE_OF.get(field, frozenset())
    chosen = _set_in(wanted, members)
    return chosen, _set_in(there, members) - chosen


def _set_in(content: Mapping[str, Json], names: AbstractSet[str]) -> set[str]:
    return {name for name in names if not is_empty(content.get(name), name)}
