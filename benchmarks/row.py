"""One figure beside its goal and its anchor, as the design asks of every benchmark, and the table of them."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Anchor(NamedTuple):
    """What somebody else, or we in another way, need for the same."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    value: float
    """The median of the runs."""
    unit: str
    anchor: str
    anchor_value: float
    ratio: float
    """How many times better than the anchor."""
    goal: float
    met: bool
    minimum: float
    """Of the runs."""


def at_most(name: str, runs: Sequence[float], unit: str, goal: float, anchor: Anchor) -> Row:
    """Of a cost or a duration."""
    value = statistics.median(runs)
    ratio = anchor.value / value if value else 0.0
    return Row(name, value, unit, *anchor, ratio, goal, value <= goal, min(runs))


def at_least(name: str, runs: Sequence[float], unit: str, goal: float, anchor: Anchor) -> Row:
    """Of a rate."""
    value = statistics.median(runs)
    ratio = value / anchor.value if anchor.value else 0.0
    return Row(name, value, unit, *anchor, ratio, goal, value >= goal, min(runs))


def shown(rows: Sequence[Row], *, as_json: bool) -> str:
    if as_json:
        return json.dumps([_published(row) for row in rows], indent=2)
    head = f"{'what':<56} {'value':>14} {'minimum':>10} {'goal':>10}         times better than"
    return "\n".join([head, *(_line(row) for row in rows)])


def _published(row: Row) -> dict[str, Any]:
    """The columns that every benchmark of the project has."""
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(row).items()}
    return {name: value for name, value in rounded.items() if name != "minimum"}


def _line(row: Row) -> str:
    verdict = "met" if row.met else "MISSED"
    return (
        f"{row.name:<56} {row.value:>10,.4g} {row.unit:<3} {row.minimum:>10,.4g} {row.goal:>10,.4g} {verdict:<6}  "
        f"{row.ratio:>6.2f} {row.anchor} ({row.anchor_value:,.4g})"
    )
