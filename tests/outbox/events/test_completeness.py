"""A type of event is complete when everything that belongs to it is there; `docs/how-to/add-an-event-type.md`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pytest
from sqlalchemy import select

from outbox import analytics
from outbox.database import Database
from outbox.events import register
from outbox.events.facts import FACTS_OF_LAYER
from outbox.events.json_schema import WHEN
from outbox.events.models import Event, EventTypeRow, class_of, event_of, json_text
from outbox.events.types import EventType, Layer, layer_of
from outbox.schema import migrate
from tests.outbox.events.examples import EVENT, EXAMPLES, NOW, example_type

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "events.md").read_text()


@dataclass(frozen=True)
class Registries:
    """Where each type must be known, by the name under which it is known there."""

    facts: frozenset[str]
    classes: frozenset[str]
    functions: frozenset[str]
    rows: frozenset[str]
    schemas: frozenset[str]
    docs: frozenset[str]


def missing(event_type: EventType, there: Registries) -> list[str]:
    layer = layer_of(event_type)
    wanted = {
        "facts": (layer.value, there.facts),
        "class": (layer.value, there.classes),
        "register function": (f"register_{event_type.name.lower()}_event", there.functions),
        "migration": (event_type.value, there.rows),
        "schema": (event_type.value, there.schemas),
        "documentation": (f"{event_type.value} {layer.value} {WHEN[event_type]}", there.docs),
    }
    return [what for what, (name, names) in wanted.items() if name not in names]


def documented() -> frozenset[str]:
    return frozenset(" ".join(row) for row in re.findall(r"^\| `(\S+)` \| `(\S+)` \| (.+) \|$", PAGE, re.MULTILINE))


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Registries:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('state') / 'orchest.db'}")
    migrate(database)
    with database.reading() as session:
        rows = frozenset(session.scalars(select(EventTypeRow.name)))
    database.close()
    schema = orjson.loads((DOCS / "events" / "events.schema.json").read_bytes())
    return Registries(
        facts=frozenset(FACTS_OF_LAYER),
        classes=frozenset(layer for layer in Layer if class_of(layer) is not Event),
        functions=frozenset(vars(register)),
        rows=rows,
        schemas=frozenset(schema["$defs"]),
        docs=documented(),
    )


@pytest.mark.parametrize("event_type", EventType)
def test_nothing_of_a_type_is_missing(event_type: EventType, there: Registries) -> None:
    assert missing(event_type, there) == []


@pytest.mark.parametrize("event_type", [EventType.PROJECT_CREATED, EventType.CLUSTER_PLAN_APPLIED])
@pytest.mark.parametrize(
    ("registry", "what"),
    [
        ("facts", "facts"),
        ("classes", "class"),
        ("functions", "register function"),
        ("rows", "migration"),
        ("schemas", "schema"),
        ("docs", "documentation"),
    ],
)
def test_each_thing_that_is_missing_would_be_noticed(
    event_type: EventType, registry: str, what: str, there: Registries
) -> None:
    names = getattr(there, registry)
    layer = layer_of(event_type)
    belonging = {
        layer.value,
        event_type.value,
        f"register_{event_type.name.lower()}_event",
        f"{event_type.value} {layer.value} {WHEN[event_type]}",
    }
    assert missing(event_type, replace(there, **{registry: names - belonging})) == [what]


def test_nothing_is_known_that_is_no_type(there: Registries) -> None:
    assert there.rows == set(analytics.Event)
    assert there.schemas == {*EventType, *Layer}
    assert len(there.docs) == len(EventType)
    registering = {name for name in there.functions if re.fullmatch(r"register_\w+_event", name)}
    assert len(registering) == len(EventType)


@pytest.mark.parametrize("layer", Layer)
def test_the_example_of_a_layer_in_the_documentation_is_what_is_sent(layer: Layer) -> None:
    event = event_of(example_type(layer), EXAMPLES[layer], EVENT, NOW)
    block = re.search(rf"^### `{layer}`\n.*?^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert json_text(orjson.loads(block.group(1))) == event.payload
