"""Kubernetes' own types inside an `OrchestCluster` (env, resources, affinity ...), judged by the CRD's own sub-schemas.

In: a value as JSON and a sub-schema. Out: the value as the server would store it (nulls dropped), or every problem with
its path inside the value. The schemas are generated into `crds/core_types.json` together with the CRD: no copy by hand.
Never: rules that look at more than one leaf; those are CEL in the CRD and functions in `rules.py`.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple, TypeAlias

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from desired_state.quantity import parse_quantity

Schema: TypeAlias = Mapping[str, Any]
Path: TypeAlias = tuple[str | int, ...]


class Problem(NamedTuple):
    """Where inside the value, what stands there, a code for programs and a sentence for people."""

    path: Path
    found: Any
    code: str
    message: str


def core_type(name: str) -> Schema:
    """The sub-schema of that name: `env`, `resources`, `tolerations`, `affinity` or `imagePullSecrets`."""
    return _core_types()[name]


@cache
def _core_types() -> dict[str, Schema]:
    schemas: dict[str, Schema] = json.loads(resources.files("crds").joinpath("core_types.json").read_bytes())
    return schemas


def stored(value: Any, schema: Schema) -> Any:
    """The value as the server would store it. Raises pydantic's ValidationError with every problem at its own path."""
    refuse(problems(value, schema))
    return _as_stored(value)


def refuse(found: Iterable[Problem]) -> None:
    """Raise them all as one pydantic ValidationError, which a model merges into its own; nothing if there are none."""
    details = [
        # Braces are template syntax to pydantic, and a message may quote what the user wrote.
        InitErrorDetails(
            type=PydanticCustomError(problem.code, "{text}", {"text": problem.message}),
            loc=problem.path,
            input=problem.found,
        )
        for problem in found
    ]
    if details:
        raise ValidationError.from_exception_data("core type", details)


def without_nulls(value: Any) -> Any:
    """A mapping without the entries that are null, as the server drops them; anything else as it is."""
    return {key: inner for key, inner in value.items() if inner is not None} if isinstance(value, Mapping) else value


def _as_stored(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_stored(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_as_stored(inner) for inner in value]
    # A float that passed the check is a whole number, and a Deployment wants it without the ".0".
    return int(value) if isinstance(value, float) else value


def problems(value: Any, schema: Schema, path: Path = ()) -> Iterator[Problem]:
    """Everything the schema has against the value, depth first. `schema` is structural: no $ref, no allOf."""
    if schema.get("x-kubernetes-int-or-string"):
        yield from _quantity_problems(value, path)
    elif not _is_a(schema, value):
        yield Problem(path, value, "type", f"found {_kind(value)}, expected {_expected(schema)}")
    elif schema["type"] == "object":
        yield from _object_problems(value, schema, path)
    elif schema["type"] == "array":
        yield from _array_problems(value, schema, path)
    elif schema["type"] == "string":
        yield from _string_problems(value, schema, path)
    elif schema["type"] == "integer":
        yield from _integer_problems(value, schema, path)


def _object_problems(value: Mapping[str, Any], schema: Schema, path: Path) -> Iterator[Problem]:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    for name in schema.get("required", ()):
        if value.get(name) is None:
            yield Problem((*path, name), value, "missing", "is required; add it")
    if sum(inner is not None for inner in value.values()) > schema.get("maxProperties", len(value)):
        yield _too_many(path, value, schema["maxProperties"])
    for name, inner in value.items():
        known = properties.get(name, schema.get("additionalProperties"))
        if known is None:
            yield Problem((*path, name), inner, "extra_forbidden", _unknown(name, properties))
        elif inner is not None:
            # A null property is the same as none; a null in a list is not, and the type check refuses it.
            yield from problems(inner, known, (*path, name))


def _array_problems(value: list[Any], schema: Schema, path: Path) -> Iterator[Problem]:
    if len(value) > schema.get("maxItems", len(value)):
        yield _too_many(path, value, schema["maxItems"])
    for index, inner in enumerate(value):
        yield from problems(inner, schema["items"], (*path, index))


def _too_many(path: Path, value: Any, limit: int) -> Problem:
    return Problem(path, value, "too_long", f"has {len(value)} entries, at most {limit} are allowed")


def _string_problems(value: str, schema: Schema, path: Path) -> Iterator[Problem]:
    if len(value) < schema.get("minLength", 0):
        yield Problem(path, value, "too_short", "is empty; give it a value or remove it")
    if len(value) > schema.get("maxLength", len(value)):
        yield Problem(
            path, value, "too_long", f"has {len(value)} characters, at most {schema['maxLength']} are allowed"
        )
    if "enum" in schema and value not in schema["enum"]:
        yield Problem(path, value, "enum", f"found {shown(value)}, expected one of {', '.join(schema['enum'])}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield Problem(path, value, "pattern", f"found {shown(value)}, expected a match of {schema['pattern']}")


def _integer_problems(value: float, schema: Schema, path: Path) -> Iterator[Problem]:
    if value < schema.get("minimum", value):
        yield Problem(path, value, "too_small", f"found {value}, expected at least {schema['minimum']}")
    if value > schema.get("maximum", value):
        yield Problem(path, value, "too_large", f"found {value}, expected at most {schema['maximum']}")


# Every int-or-string among these types is a quantity, and none of them may be negative.
def _quantity_problems(value: Any, path: Path) -> Iterator[Problem]:
    if not isinstance(value, str) and (isinstance(value, float) or not _is_whole(value)):
        yield Problem(
            path,
            value,
            "quantity",
            f'found {_kind(value)}, expected a quantity; write it in quotes, such as "0.5" or "1Gi"',
        )
        return
    message = quantity_problem(str(value), zero_allowed=True)
    if message:
        yield Problem(path, value, "quantity", message)


MAX_QUANTITY_LENGTH = 64


def quantity_problem(text: str, *, zero_allowed: bool) -> str | None:
    """What is wrong with the text as a quantity of something one can have, or None."""
    least = "zero or more" if zero_allowed else "more than zero"
    try:
        value = parse_quantity(text) if len(text) <= MAX_QUANTITY_LENGTH else None
    except ValueError:
        value = None
    if value is None:
        return f"found {shown(text)}, expected a quantity such as 500m, 2 or 50Gi"
    if value < 0 or (value == 0 and not zero_allowed):
        return f"found {shown(text)}, expected a quantity of {least}"
    return None


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": Mapping,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": (int, float),
}
_TYPE_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "boolean": "true or false",
    "integer": "a whole number",
}


def _is_a(schema: Schema, value: Any) -> bool:
    return isinstance(value, _TYPES[schema["type"]]) and (schema["type"] != "integer" or _is_whole(value))


# The server takes 1.0 for an integer: JSON has one kind of number, and a double holds whole ones exactly up to 2^53.
def _is_whole(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer() and abs(value) < 2**53
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _expected(schema: Schema) -> str:
    return _TYPE_NAMES[schema["type"]] + ("; write it in quotes" if schema["type"] == "string" else "")


# The value of a wrong type is not quoted: it may be a password that looks like a number.
def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "a number" if isinstance(value, float) else "a whole number"
    return next((_TYPE_NAMES[name] for name, kind in _TYPES.items() if isinstance(value, kind)), "something else")


def _unknown(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return (
        f'unknown field, did you mean "{close[0]}"?'
        if close
        else f"unknown field, known are {', '.join(sorted(known))}"
    )


def shown(value: Any) -> str:
    """A value in an error message: short, and without the content of mappings and lists."""
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return json.dumps(value)
