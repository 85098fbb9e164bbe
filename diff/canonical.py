"""Values as bytes that are equal when the values are: what digests are made of.

In: JSON, with `Unknown` and `ABSENT` leaves. Out: JSON text with sorted keys. Never: a digest itself; keyed ones come
from `Masker.digest`, so that nobody can test a guess against them.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import orjson

from desired_state.objects import Unknown
from diff.action import ABSENT

if TYPE_CHECKING:
    from desired_state.objects import Json


def canonical_bytes(value: Json) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS, default=_leaf)


def _leaf(value: Any) -> Json:
    if isinstance(value, Unknown):
        return {"$unknown": value.value.value, "$template": value.template}
    if value is ABSENT:
        return {"$absent": True}
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"no JSON form for {type(value).__name__}")
