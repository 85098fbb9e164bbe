"""What a person types for an id: all of it, or how it begins.

In: the text. Out: the ids it may mean, as a span an index can be asked for. Never: a look into the database.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from uuid import UUID

LEAST_CHARACTERS = 4
_HEX_DIGITS = 32
_HEX = re.compile(r"[0-9a-f]{4,32}")


class Span(NamedTuple):
    first: UUID
    last: UUID


def span_of(text: str) -> Span | None:
    """None for what no id begins with, or for less than 4 digits. Dashes and capitals do not matter."""
    digits = text.lower().replace("-", "")
    if not _HEX.fullmatch(digits):
        return None
    return Span(UUID(digits.ljust(_HEX_DIGITS, "0")), UUID(digits.ljust(_HEX_DIGITS, "f")))
