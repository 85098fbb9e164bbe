"""JSON of the callers' own making: pipeline definitions, parameters, strategies. Kept as it came, within bounds.

In: values parsed from a body. Out: the same values. Never: a number that JSON cannot say, or a nesting that nobody who
reads it back could follow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, JsonValue
from pydantic_core import PydanticCustomError

MOST_DEPTH = 32
_LEAST, _MOST = -(2**63), 2**63 - 1


def bounded(value: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Raises PydanticCustomError, quoting nothing."""
    _check(value, MOST_DEPTH)
    return value


def _check(value: object, depth: int) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("json_number", "NaN and Infinity are no numbers of JSON")
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        raise PydanticCustomError("json_number", "Integers of more than 64 bits are not kept")
    if not isinstance(value, dict | list):
        return
    if depth == 0:
        raise PydanticCustomError("json_depth", "It is nested more than 32 levels deep")
    for part in value.values() if isinstance(value, dict) else value:
        _check(part, depth - 1)


JsonObject: TypeAlias = Annotated[Mapping[str, JsonValue], AfterValidator(bounded)]
"""Of a body."""
