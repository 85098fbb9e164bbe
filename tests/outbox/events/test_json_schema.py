from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from outbox.events.json_schema import published, schema_of
from outbox.events.models import event_of
from outbox.events.types import EventType, Layer, layer_of
from tests.outbox.events.examples import EVENT, EXAMPLES, NOW, example_type
from tests.outbox.events.strategies import FACTS, instants, uuids

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from outbox.events.facts import Facts

FILE = Path(__file__).parents[3] / "docs" / "events" / "events.schema.json"


def closed(schema: Any) -> Any:
    """The same, but a property that it does not name is an error: nothing may be told that is not documented."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {key: closed(value) for key, value in schema.items()}
    if "required" in schema:
        shut.setdefault("additionalProperties", False)
    return shut


@cache
def validator(event_type: EventType) -> Draft202012Validator:
    return Draft202012Validator(closed(schema_of(event_type)), format_checker=FormatChecker())


@cache
def published_validator() -> Draft202012Validator:
    return Draft202012Validator(published(), format_checker=FormatChecker())


def payload(event_type: EventType, facts: Facts, uuid: UUID, timestamp: datetime) -> Any:
    return orjson.loads(event_of(event_type, facts, uuid, timestamp).payload)


def example(layer: Layer) -> Any:
    return payload(example_type(layer), EXAMPLES[layer], EVENT, NOW)


@pytest.mark.parametrize("event_type", EventType)
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_every_payload_keeps_to_the_schema_of_its_type(event_type: EventType, data: st.DataObject) -> None:
    facts = data.draw(FACTS[layer_of(event_type)])
    told = payload(event_type, facts, data.draw(uuids), data.draw(instants))
    validator(event_type).validate(told)


@pytest.mark.parametrize("layer", Layer)
def test_the_example_keeps_to_the_published_schema(layer: Layer) -> None:
    published_validator().validate(example(layer))


@pytest.mark.parametrize("layer", Layer)
def test_a_payload_of_one_type_is_none_of_another(layer: Layer) -> None:
    told = example(layer)
    others = [one for one in EventType if one is not example_type(layer)]
    assert not [one for one in others if validator(one).is_valid(told)]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    copy = deepcopy(value)
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return copy


FREE = ("parameters", "pipeline_parameters")
"""What stands below is the user's own JSON."""


@pytest.mark.parametrize("layer", Layer)
def test_a_value_of_the_wrong_kind_anywhere_is_noticed(layer: Layer) -> None:
    told = example(layer)
    own = [path for path in places(told) if not any(key in FREE for key in path[:-1])]
    assert len(own) >= 4
    for path in own:
        assert not validator(example_type(layer)).is_valid(replaced(told, path, 1.5)), path


def test_the_published_file_is_what_the_code_says() -> None:
    assert orjson.loads(FILE.read_bytes()) == published(), "make schemas"


def test_the_schemas_are_schemas() -> None:
    for schema in (published(), *map(schema_of, EventType)):
        Draft202012Validator.check_schema(schema)
