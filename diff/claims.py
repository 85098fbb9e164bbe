"""PersistentVolumeClaims hold user data: they are grown where that is possible and otherwise kept as they are, never
replaced.

In: the differences of one claim, the live claim and the storage classes. Out: which differences stand, which are given
up and why. A field given up is sent with its live value, because server-side apply would refuse ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from desired_state.quantity import parse_quantity
from diff.action import ABSENT, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from desired_state.facts import ClusterFacts
    from desired_state.objects import Json
    from diff.compare import FieldDifference
    from diff.paths import Path

SIZE = ("spec", "resources", "requests", "storage")
_FIXED = {
    ("spec", "accessModes"): "its access modes",
    ("spec", "storageClassName"): "its storage class",
    ("spec", "volumeName"): "its volume",
    ("spec", "volumeMode"): "its volume mode",
}


@dataclass(frozen=True, slots=True)
class GivenUp:
    """One difference that a live claim cannot follow."""

    difference: FieldDifference
    reason: Reason
    explanation: str


def given_up(
    differences: Iterable[FieldDifference], live: Mapping[str, Json], facts: ClusterFacts
) -> tuple[GivenUp, ...]:
    return tuple(found for difference in differences if (found := _judge(difference, live, facts)) is not None)


def with_live_values(
    content: Mapping[str, Json], live: Mapping[str, Json], kept: Iterable[GivenUp]
) -> Mapping[str, Json]:
    """`content` with the live value in place of each field given up; a field that the live claim lacks is left out."""
    for found in kept:
        content = _with_live(content, live, found.difference.path)
    return content


def _with_live(content: Mapping[str, Json], live: Json, path: Path) -> Mapping[str, Json]:
    name, rest = str(path[0]), path[1:]
    if name not in live:
        return {key: value for key, value in content.items() if key != name}
    return {**content, name: _with_live(content[name], live[name], rest) if rest else live[name]}


def _judge(difference: FieldDifference, live: Mapping[str, Json], facts: ClusterFacts) -> GivenUp | None:
    if difference.path == SIZE:
        return _judge_size(difference, live, facts)
    what = next((what for path, what in _FIXED.items() if difference.path[:2] == path), None)
    if what is None:
        return None
    return GivenUp(
        difference,
        Reason.IMMUTABLE_FIELD,
        f"a claim cannot change {what}, and replacing it would lose its data: kept as it is",
    )


def _judge_size(difference: FieldDifference, live: Mapping[str, Json], facts: ClusterFacts) -> GivenUp | None:
    wanted, there = str(difference.desired), "0" if difference.observed is ABSENT else str(difference.observed)
    if parse_quantity(wanted) < parse_quantity(there):
        return GivenUp(
            difference, Reason.SMALLER_VOLUME, f"a volume cannot shrink: {there} is kept although Git says {wanted}"
        )
    if (live.get("status") or {}).get("phase") != "Bound":
        return GivenUp(
            difference,
            Reason.NOT_EXPANDABLE,
            f"an unbound claim cannot grow: {there} is kept until a pod uses it, then {wanted} applies",
        )
    name = (live.get("spec") or {}).get("storageClassName") or ""
    if any(storage.name == name and storage.allows_expansion for storage in facts.storage_classes):
        return None
    return GivenUp(
        difference,
        Reason.NOT_EXPANDABLE,
        f'storage class "{name}" does not allow expansion: {there} is kept; set allowVolumeExpansion on the class to '
        f"grow to {wanted}",
    )
