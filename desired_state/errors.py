"""What is wrong with what was asked, told to the person who must mend it: where, what, the mend, all together.

In: findings of the parser and the models. Out: one error with one line for each problem. Never: a secret value.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

FieldPath: TypeAlias = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def path_text(path: FieldPath) -> str:
    """`spec.orchest.env[0].name`, keys that hold dots or slashes quoted: `metadata.annotations["orchest.io/drift"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _BARE_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text


def closest(word: str, known: Iterable[str]) -> str:
    """The known word that somebody probably meant, "" if none is close. Case does not matter."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else ""


class Finding(NamedTuple):
    """One problem before it has a place in a file. Either `message` or `found` and `expected` say what is wrong."""

    path: FieldPath
    message: str = ""
    found: str = ""
    expected: str = ""
    suggestion: str = ""
    """The word that was probably meant."""
    mend: str = ""
    """What to do, in the imperative."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem at its place. `line` and `column` count from 1; 0 when it is not in a line (an empty folder)."""

    file: str
    line: int
    column: int
    path: str
    message: str = ""
    found: str = ""
    expected: str = ""
    suggestion: str = ""
    mend: str = ""

    def __str__(self) -> str:
        """`orchestcluster.yaml:14: spec.orchest.versoin: unknown field, did you mean "version"?`"""
        place = f"{self.file}:{self.line}" if self.line else self.file
        what = self.message or f"found {self.found}, expected {self.expected}"
        if self.suggestion:
            what += f', did you mean "{self.suggestion}"?'
        if self.mend:
            what += f"; {self.mend}"
        return ": ".join(part for part in (place, self.path, what) if part)


class DesiredStateError(Exception):
    """What Git holds cannot be understood; `problems` has every reason, in the order of files and lines."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
