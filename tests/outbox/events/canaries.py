"""A canary in every string and every key of facts: whatever comes out afterwards sings its number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from itertools import count
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin
from uuid import UUID, uuid4

from pydantic import AwareDatetime, BaseModel, JsonValue

if TYPE_CHECKING:
    from collections.abc import Iterator

_CANARY = re.compile(r"c4n4ry\d+z", re.IGNORECASE)
_UUID = "92c17d8b-4cbf-490b-b77f-b6519bd6ffe9"
DISGUISES = (
    *("{}", "{}\n", "\n{}", "{0}.{0}", "orchest/{}", "orchest/base-kernel-{}", "orchest/base-kernel-py:{}"),
    *("orchest/base-kernel-py:v2026.11.0-{}", f"environment@{_UUID}{{}}", "environment@{}", "{}.py", "a.{}", "py\n{}"),
    *("step_1{}", "step_{}", "service_1{}", "service_{}", "{}_parameters_count", "pipeline_parameters_count{}"),
    *("v2026.11.0{}", "v2026.11.0\n{}", "1.2.3{}", f"{_UUID}{{}}", f"{{}}{_UUID}", f"{_UUID}\n{{}}", "python{}"),
    *("2026-11-22 18:30:05+00:00{}", f"/job?project_uuid={_UUID}&{{}}={_UUID}", f"/{{}}?job_uuid={_UUID}", "update{}"),
)
"""What could pass for something that is allowed."""

Model = TypeVar("Model", bound=BaseModel)


class Flock:
    """Hands out canaries; `planted` are those that were set."""

    def __init__(self, first_disguise: int = 0) -> None:
        self.planted: set[str] = set()
        self._numbers = count(first_disguise)

    def in_every_string_of(self, model: Model) -> Model:
        """A copy, not validated. Enumerations, uuids, times and numbers stay."""
        return model.model_copy(update={name: self._in(getattr(model, name)) for name in type(model).model_fields})

    def string(self) -> str:
        number = next(self._numbers)
        canary = f"c4n4ry{number}z"
        self.planted.add(canary)
        return DISGUISES[number % len(DISGUISES)].format(canary)

    def _in(self, value: Any) -> Any:
        match value:
            case Enum():
                return value
            case str():
                return self.string()
            case BaseModel():
                return self.in_every_string_of(value)
            case dict():
                return {self.string(): self._in(one) for one in value.values()}
            case tuple() | list():
                return type(value)(self._in(one) for one in value)
        return value


def heard(text: str) -> set[str]:
    return {one.lower() for one in _CANARY.findall(text)}


def with_something_in_every_object(value: Any, more: Mapping[str, Any]) -> Any:
    """A copy of a JSON value with more keys in each of its objects."""
    if isinstance(value, dict):
        return {**{key: with_something_in_every_object(one, more) for key, one in value.items()}, **more}
    if isinstance(value, list):
        return [with_something_in_every_object(one, more) for one in value]
    return value


def full(kind: type[Model], numbers: Iterator[int] | None = None) -> Model:
    """An instance with something in every field, whatever fields there are; each number another one."""
    numbers = numbers or count(11)
    return kind.model_construct(
        **{name: _something(field.annotation, numbers) for name, field in kind.model_fields.items()}
    )


def _something(kind: Any, numbers: Iterator[int]) -> Any:
    of = get_args(kind)
    match get_origin(kind):
        case origin if origin is Annotated:
            return _something(of[0], numbers)
        case origin if origin in (Union, UnionType):
            return _something(next(one for one in of if one is not type(None)), numbers)
        case origin if origin is Mapping:
            return {key: _something(of[1], numbers) for key in ("one", "two")}
        case origin if origin is tuple:
            return tuple(_something(of[0], numbers) for _ in range(2))
    if kind is JsonValue:
        return {"key": ["text", {"key": "text"}]}
    if issubclass(kind, BaseModel):
        return full(kind, numbers)
    if issubclass(kind, Enum):
        return next(iter(kind))
    return _SOMETHING[kind](numbers)


_SOMETHING: Mapping[Any, Any] = {
    str: lambda _: "text",
    bool: lambda _: True,
    int: next,
    float: lambda numbers: next(numbers) + 0.5,
    UUID: lambda _: uuid4(),
    datetime: lambda _: datetime.now(UTC),
    AwareDatetime: lambda _: datetime.now(UTC),
}
