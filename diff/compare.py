"""Which of the fields that we set differ on the server? Nothing else is looked at: other fields belong to others.

In: desired content and observed content. Out: differences, each with its path and both values. Equality is asked of C
first and the walk goes down only where it says no, because a plan compares every object and finds nearly all of them
equal. Python's `True == 1` does no harm here: a field has one type in the server's schema.

`compare_snapshots` shows people what happened between two snapshots; it alone uses deepdiff, which is too slow to
decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from desired_state.masking import MASK_PREFIX
from desired_state.objects import Unknown
from diff.action import ABSENT
from diff.known import resolve
from diff.merge_keys import ATOMIC_MAPS, OPAQUE_MAPS, QUANTITY_FIELDS, QUANTITY_MAPS, entry_key, key_of, merge_keys
from diff.normalize import is_empty, normalize, same_quantity
from diff.paths import Element, element_of, format_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.objects import Json, ObjectKey, UnknownValue
    from diff.paths import Path, Step
    from diff.snapshot import Snapshot

_Trail: TypeAlias = "tuple[_Trail, Step] | None"
"""A path as a linked list, newest step first: going down costs one small tuple, and a path is spelled out only on a
difference.
"""


class FieldDifference(NamedTuple):
    """One field that is not as desired. `desired` is `ABSENT` for what must go, `observed` is `ABSENT` for what is
    missing.
    """

    path: Path
    desired: Json
    observed: Json
    is_order: bool = False
    """The entries of a keyed list are all there, in another order; both values are the names of ours."""


def compare(
    desired: Mapping[str, Json], observed: Mapping[str, Json], known: Mapping[UnknownValue, str]
) -> tuple[FieldDifference, ...]:
    """The fields of `desired` that `observed` does not have, or has otherwise; a missing map or entry is told by its
    leaves.

    Unknown leaves count as what `known` says, and as different while it says nothing.
    """
    found: list[FieldDifference] = []
    _Comparison(known, found).of_maps(desired, observed, None)
    return tuple(found)


def compare_whole(desired: Json, observed: Json, path: Path = ()) -> tuple[FieldDifference, ...]:
    """Differences in both directions: what `observed` has beyond `desired` is a difference too. Lists are atomic."""
    return tuple(_differences(normalize(desired), normalize(observed), path))


def _differences(desired: Json, observed: Json, path: Path) -> list[FieldDifference]:
    if desired == observed:
        return []
    ours, theirs = ({} if side is ABSENT else side for side in (desired, observed))
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return [FieldDifference(path, desired, observed)]
    return [
        difference
        for name in sorted({*ours, *theirs})
        for difference in _differences(ours.get(name, ABSENT), theirs.get(name, ABSENT), (*path, name))
    ]


class _Comparison:
    """One walk. `found` collects; the methods differ only in what they stand on: a map, a list, a leaf."""

    __slots__ = ("found", "known")

    def __init__(self, known: Mapping[UnknownValue, str], found: list[FieldDifference]) -> None:
        self.known = known
        self.found = found

    def of_maps(self, desired: Mapping[str, Json], observed: Mapping[str, Json], trail: _Trail) -> None:
        for name, wanted in desired.items():
            seen = observed.get(name)
            if wanted == seen:
                if seen is None and not is_empty(wanted, name):
                    self.report((trail, name), wanted, ABSENT)
                continue
            if isinstance(wanted, dict):
                self.of_map(name, wanted, seen, (trail, name))
            elif isinstance(wanted, list):
                self.of_list(name, wanted, seen, (trail, name))
            else:
                self.of_leaf(name, wanted, seen, (trail, name))

    def of_map(self, name: str, wanted: dict[str, Json], seen: Json, trail: _Trail) -> None:
        if not wanted:
            if seen is None and not is_empty(wanted, name):
                self.report(trail, wanted, ABSENT)
        elif seen is not None and not isinstance(seen, dict):
            self.report(trail, wanted, seen)
        elif name in QUANTITY_MAPS:
            self.of_quantities(wanted, seen or {}, trail)
        else:
            walk = self.of_texts if name in OPAQUE_MAPS else self.of_maps
            walk(wanted, seen or {}, trail)
            if seen and name in ATOMIC_MAPS:
                self.of_extras(wanted, seen, trail)

    def of_texts(self, wanted: dict[str, Json], seen: Mapping[str, Json], trail: _Trail) -> None:
        for name, text in wanted.items():
            there = seen.get(name)
            if text != there and self.is_different(text, there):
                self.report((trail, name), text, ABSENT if there is None else there)

    def of_quantities(self, wanted: dict[str, Json], seen: Mapping[str, Json], trail: _Trail) -> None:
        for name, quantity in wanted.items():
            there = seen.get(name)
            if quantity != there and not same_quantity(quantity, there):
                self.report((trail, name), quantity, ABSENT if there is None else there)

    def of_extras(self, wanted: dict[str, Json], seen: Mapping[str, Json], trail: _Trail) -> None:
        for name, there in seen.items():
            if name not in wanted:
                self.report((trail, name), ABSENT, there)

    def of_leaf(self, name: str, wanted: Json, seen: Json, trail: _Trail) -> None:
        if seen is None and is_empty(wanted, name):
            return
        if name in QUANTITY_FIELDS and same_quantity(wanted, seen):
            return
        if self.is_different(wanted, seen):
            self.report(trail, wanted, ABSENT if seen is None else seen)

    def is_different(self, wanted: Json, seen: Json) -> bool:
        return not isinstance(wanted, Unknown) or resolve(wanted, self.known) != seen

    def of_list(self, name: str, wanted: list[Json], seen: Json, trail: _Trail) -> None:
        there = seen if isinstance(seen, list) else []
        keys = merge_keys(name, wanted, there)
        if keys:
            self.of_entries(keys, wanted, there, trail)
        elif normalize(resolve(wanted, self.known)) != normalize(there):
            self.report(trail, wanted, ABSENT if seen is None else seen)

    def of_entries(self, keys: tuple[str, ...], wanted: list[Json], there: list[Json], trail: _Trail) -> None:
        places = {entry_key(item, keys): place for place, item in enumerate(there)}
        latest, in_order = -1, True
        for item in wanted:
            place = places.get(self.key_of(item, keys))
            if place is None:
                self.of_missing_entry(keys, resolve(item, self.known), trail)
                continue
            in_order = in_order and place > latest
            latest = place
            if item != there[place]:
                self.of_maps(item, there[place], (trail, element_of(there[place], keys)))
        if not in_order:
            self.of_order(keys, wanted, there, trail)

    def key_of(self, item: Mapping[str, Json], keys: tuple[str, ...]) -> Json:
        key = entry_key(item, keys)
        return resolve(key, self.known) if isinstance(key, Unknown) else key

    def of_missing_entry(self, keys: tuple[str, ...], entry: Mapping[str, Json], trail: _Trail) -> None:
        """Its fields beside the merge key, which the path shows already; the entry itself when it has no others."""
        before = len(self.found)
        below = (trail, element_of(entry, keys))
        self.of_maps(entry, {name: entry[name] for name in keys if name in entry}, below)
        if len(self.found) == before:
            self.report(below, entry, ABSENT)

    def of_order(self, keys: tuple[str, ...], wanted: list[Json], there: list[Json], trail: _Trail) -> None:
        ours = [_name_of(item, keys) for item in wanted]
        known = set(ours)
        theirs = [name for item in there if (name := _name_of(item, keys)) in known]
        self.found.append(FieldDifference(_spelled(trail), ours, theirs, is_order=True))

    def report(self, trail: _Trail, wanted: Json, seen: Json) -> None:
        self.found.append(FieldDifference(_spelled(trail), wanted, seen))


def _name_of(item: Mapping[str, Json], keys: tuple[str, ...]) -> str:
    return ",".join(str(part) for part in key_of(item, keys))


def _spelled(trail: _Trail) -> Path:
    steps: list[Step] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    return tuple(reversed(steps))


def is_masked(value: Json) -> bool:
    """Whether a mask hides a part of this value, so that it can only be compared with an equally masked one."""
    if isinstance(value, dict):
        return any(is_masked(item) for item in value.values())
    if isinstance(value, list):
        return any(is_masked(item) for item in value)
    return isinstance(value, str) and MASK_PREFIX in value


@dataclass(frozen=True, slots=True)
class ObjectHistory:
    """What became of one object between two snapshots."""

    key: ObjectKey
    verb: str
    """`appeared`, `vanished`, `recreated` or `changed`."""
    changes: tuple[tuple[str, Json, Json], ...] = ()
    """(path, before, after), `ABSENT` where there is nothing."""


_SERVER_NOISE = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid")
_COUNTERS = ("deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation")
_CLOCKS = ("observedGeneration", "lastTransitionTime", "lastHeartbeatTime", "lastUpdateTime")
"""Fields of a status that only say when, or how often."""


def compare_snapshots(before: Snapshot, after: Snapshot) -> tuple[ObjectHistory, ...]:
    """Everything that changed, ours and others', status included, ordered by key; without the server's bookkeeping."""
    return tuple(
        history
        for key in sorted({*before.objects, *after.objects})
        if (history := _history(key, before, after)) is not None
    )


def _history(key: ObjectKey, before: Snapshot, after: Snapshot) -> ObjectHistory | None:
    old, new = before.objects.get(key), after.objects.get(key)
    if old is None:
        return ObjectHistory(key, "appeared")
    if new is None:
        return ObjectHistory(key, "vanished")
    changes = _explained(_told(old.content), _told(new.content))
    if old.uid != new.uid:
        return ObjectHistory(key, "recreated", changes)
    return ObjectHistory(key, "changed", changes) if changes else None


def _told(content: Mapping[str, Json]) -> Json:
    """Without the server's bookkeeping, and with keyed lists as maps, so that a moved entry is no change."""
    metadata = {name: value for name, value in content["metadata"].items() if name not in _SERVER_NOISE}
    metadata["annotations"] = _without_names(metadata.get("annotations") or {}, _COUNTERS)
    told = {**content, "metadata": metadata}
    if told.get("status"):
        told["status"] = _without_names(told["status"], _CLOCKS)
    return _keyed(told, "")


def _without_names(value: Json, names: tuple[str, ...]) -> Json:
    if isinstance(value, dict):
        return {name: _without_names(item, names) for name, item in value.items() if name not in names}
    if isinstance(value, list):
        return [_without_names(item, names) for item in value]
    return value


def _keyed(value: Json, field: str) -> Json:
    if isinstance(value, dict):
        return {name: _keyed(item, name) for name, item in value.items()}
    if not isinstance(value, list):
        return value
    keys = merge_keys(field, value)
    return {element_of(item, keys): _keyed(item, "") for item in value} if keys else value


def _explained(old: Json, new: Json) -> tuple[tuple[str, Json, Json], ...]:
    if old == new:
        return ()
    from deepdiff import DeepDiff  # noqa: PLC0415, 149 ms that only this command pays

    # The threshold makes it descend also where most of a map changed.
    tree: Mapping[str, Any] = DeepDiff(old, new, view="tree", threshold_to_diff_deeper=0)
    levels = [level for kind in tree.values() for level in kind]
    changes = [(_readable(level.path(output_format="list")), _side(level.t1), _side(level.t2)) for level in levels]
    return tuple(sorted(changes, key=lambda change: change[0]))


def _readable(steps: list[str | int | Element]) -> str:
    """As every path; an index of an atomic list in brackets."""
    path: Path = tuple(Element((("", step),)) if isinstance(step, int) else step for step in steps)
    return format_path(path).replace("[=", "[")


def _side(value: Any) -> Json:
    """Deepdiff's own mark for absence becomes ours."""
    return ABSENT if type(value).__name__ == "NotPresent" else value
