"""What the original's own clients ask of the API, and what it answered: facts for a replay, and the tables of the page
`docs/compatibility.md`, which `python -m tests.services.api.original_calls` writes anew.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).parents[3] / "docs" / "compatibility.md"


@dataclass(frozen=True, slots=True)
class OriginalCall:
    callers: tuple[str, ...]
    method: str
    path: str
    """With its query; names in braces stand for uuids."""
    status: int
    answer: Any
    """What the original answered; where it is a class of values, its name in <>. Ours may have more keys."""
    body: Any = None
    keep: dict[str, str] | None = None
    """Uuids of the answer that later calls need: by name, the key of each."""
    without_token: bool = False
    differs: str = ""

    @property
    def name(self) -> str:
        return f"{self.method} {self.path} {self.status}"


@dataclass(frozen=True, slots=True)
class LaterCalls:
    comes_with: str
    calls: tuple[str, ...]


def load() -> tuple[tuple[OriginalCall, ...], tuple[LaterCalls, ...]]:
    told = json.loads(FILE.read_text())
    answered = tuple(OriginalCall(**{**call, "callers": tuple(call["callers"])}) for call in told["answered"])
    return answered, tuple(LaterCalls(group["with"], tuple(group["calls"])) for group in told["later"])


def filled(value: Any, names: dict[str, str]) -> Any:
    """`value` with each name in braces replaced, in texts and keys; other braces stay."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [filled(part, names) for part in value]
    if isinstance(value, dict):
        return {filled(key, names): filled(part, names) for key, part in value.items()}
    return value


def tables() -> dict[str, str]:
    """The generated parts of the page, by name."""
    answered, later = load()
    rows = [_row(call) for call in answered]
    return {
        "answered": "\n".join(["| call | who | answer | what differs |", "|---|---|---|---|", *rows]),
        "later": "\n".join(
            ["| comes with | calls |", "|---|---|"]
            + [f"| {group.comes_with} | {', '.join(f'`{call}`' for call in group.calls)} |" for group in later]
        ),
    }


def _row(call: OriginalCall) -> str:
    return f"| `{call.method} {call.path}` | {', '.join(call.callers)} | {call.status} | {call.differs or 'nothing'} |"


def written(page: str) -> str:
    """The page with its tables made anew."""
    for name, table in tables().items():
        mark = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        page = mark.sub(lambda found, table=table: f"{found[1]}\n{table}\n\n{found[2]}", page)  # type: ignore[misc]
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
