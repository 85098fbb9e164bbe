from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from services.api.domain.json_values import MOST_DEPTH, JsonObject

OBJECT = TypeAdapter(JsonObject)


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"in": [value]} if levels % 2 else {"in": value}
    return value


def test_what_json_can_say_is_kept_as_it_came() -> None:
    text = b'{"a": [1, -2.5, null, true, "\\u0000", {"": {}}], "b": 9223372036854775807}'
    assert OBJECT.validate_json(text) == {"a": [1, -2.5, None, True, "\0", {"": {}}], "b": 2**63 - 1}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", str(2**63), str(-(2**63) - 1), "9" * 5000])
def test_a_number_that_could_not_be_read_back_is_refused(number: str) -> None:
    with pytest.raises(ValidationError):
        OBJECT.validate_json(f'{{"a": [{{"b": {number}}}]}}')


def test_nesting_is_bounded() -> None:
    OBJECT.validate_python(nested(MOST_DEPTH))
    with pytest.raises(ValidationError, match="32 levels"):
        OBJECT.validate_python(nested(MOST_DEPTH + 2))


@pytest.mark.parametrize("text", ["[]", "null", '"a"', "1", "{", '{"a": "\ud800"}'])
def test_only_an_object_is_one(text: str) -> None:
    with pytest.raises(ValidationError):
        OBJECT.validate_json(text.encode("utf-8", "surrogatepass"))
