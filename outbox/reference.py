"""What a person types for an id: all of it, or how it begins.

In: the text. Out: the ids it may mean, as a span an index can be asked for, or those of the known ones that it means.
Never: a look into the database.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_CHARACTERS = 4
_HEX_DIGITS = 32
_HEX = re.compile(r"[0-9a-f]{4,32}")


class Named(Protocol):
    """What people know by a name as well as by its uuid."""

    @property
    def uuid(self) -> UUID: ...
    @property
    def name(self) -> str: ...


Known = TypeVar("Known", bound=Named)


class Span(NamedTuple):
    first: UUID
    last: UUID


def span_of(text: str) -> Span | None:
    """None for what no id begins with, or for less than 4 digits. Dashes and capitals do not matter."""
    digits = text.lower().replace("-", "")
    if not _HEX.fullmatch(digits):
        return None
    return Span(UUID(digits.ljust(_HEX_DIGITS, "0")), UUID(digits.ljust(_HEX_DIGITS, "f")))


def meant(text: str, known: Sequence[Known]) -> list[Known]:
    """Those of this uuid or name; else those whose uuid or name begins so."""
    wanted = text.lower()
    exact = [one for one in known if wanted == str(one.uuid) or text == one.name]
    similar = [one for one in known if str(one.uuid).startswith(wanted) or one.name.startswith(text)]
    return exact or (similar if len(text) >= LEAST_CHARACTERS else [])
