"""Differences as people and plan files see them: masked values, who made them differ, and what that means for an apply.

In: raw differences of one object with both contents and its managers. Out: `FieldChange`s and conflicts. Everything
shown comes out of `Masker.mask_content`, the one choke point: a change is sensitive when masking altered it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from diff.action import ABSENT, Cause, Conflict, FieldChange
from diff.compare import is_masked
from diff.immutable import immutable_at
from diff.known import has_unknown
from diff.managed_fields import APPLY, UPDATE
from diff.paths import format_path, value_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from desired_state.masking import Masker
    from desired_state.objects import Json, ObjectKey
    from diff.compare import FieldDifference
    from diff.managed_fields import Holder
    from diff.paths import Path


@dataclass(frozen=True, slots=True)
class Sides:
    """Both contents of one object, as they are and masked; `observed` is empty for an object that is to be created."""

    desired: Mapping[str, Json]
    observed: Mapping[str, Json]
    masked_desired: Mapping[str, Json]
    masked_observed: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Origins:
    """What is known of an observed object's past: enough to tell drift from a change in Git."""

    managers: tuple[Holder, ...]
    owns_same_paths: bool
    """The last apply set exactly the fields that we set now."""
    instead_of: Mapping[Path, Path] = field(default_factory=dict)
    """For fields that must go: the one of ours that they stand in the way of, whose story is theirs too."""

    def cause(self, difference: FieldDifference) -> Cause:
        """Drift is a field that we set before and do not hold any more, because somebody else took or removed it."""
        ours = [holder for holder in self.managers if holder.is_ours]
        path = self.instead_of.get(difference.path, difference.path)
        if not ours or any(holder.holds(path) for holder in ours):
            return Cause.DESIRED
        return Cause.DRIFT if self.owns_same_paths or self.others(path, UPDATE) else Cause.DESIRED

    def others(self, path: Path, operation: str = "") -> tuple[str, ...]:
        """Names of the other managers that hold `path`."""
        holding = (holder for holder in self.managers if not holder.is_ours and holder.holds(path))
        return tuple(sorted({holder.manager for holder in holding if operation in {"", holder.operation}}))


@dataclass(frozen=True, slots=True)
class Change:
    """A difference together with how it is shown."""

    difference: FieldDifference
    shown: FieldChange

    @property
    def path(self) -> Path:
        return self.difference.path


def sides(masker: Masker, desired: Mapping[str, Json], observed: Mapping[str, Json]) -> Sides:
    """`desired` with what is known filled in already."""
    return Sides(desired, observed, masker.mask_content(desired), masker.mask_content(observed))


def changes_of(
    key: ObjectKey, differences: Iterable[FieldDifference], shown: Sides, origins: Origins
) -> tuple[Change, ...]:
    """Ordered by path as it is written."""
    changes = (Change(difference, _shown(key, difference, shown, origins)) for difference in differences)
    return tuple(sorted(changes, key=lambda change: change.shown.path))


def conflicts_of(changes: Iterable[Change], origins: Origins) -> tuple[Conflict, ...]:
    """Fields that another `Apply` manager holds with another value than ours."""
    return tuple(
        Conflict(change.shown.path, manager) for change in changes for manager in origins.others(change.path, APPLY)
    )


def _shown(key: ObjectKey, difference: FieldDifference, both: Sides, origins: Origins) -> FieldChange:
    path = difference.path
    unknown = has_unknown(difference.desired)
    before, before_sensitive = _side(difference.observed, both.observed, both.masked_observed, difference)
    after, after_sensitive = _side(difference.desired, both.desired, both.masked_desired, difference)
    return FieldChange(
        path=format_path(path),
        before=before,
        after=None if unknown else after,
        cause=origins.cause(difference),
        manager=", ".join(origins.others(path)),
        sensitive=before_sensitive or after_sensitive,
        unknown=unknown,
        immutable=bool(both.observed) and immutable_at(key.group, key.kind, path) is not None,
    )


def _side(
    value: Json, content: Mapping[str, Json], masked: Mapping[str, Json], difference: FieldDifference
) -> tuple[Json, bool]:
    """The value to show and whether it is sensitive. Names of a list's entries, and absence, hide nothing."""
    if value is ABSENT or difference.is_order:
        return value, False
    hidden = value_at(masked, difference.path)
    is_sensitive = is_masked(hidden) or hidden != value_at(content, difference.path)
    return hidden, is_sensitive
