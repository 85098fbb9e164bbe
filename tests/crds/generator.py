"""Specs generated from the CRD's own schema, seeded: valid ones of every shape, and ones broken in one place.

`valid_spec(rng)` gives a spec that an API server accepts and whose rendering it accepts too; the `breaking_...` ones
put something wrong at one place of a valid one; `coverage` counts which of the schema's properties specs have set.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ruamel.yaml import YAML

from desired_state import rules
from tests.crds import samples

if TYPE_CHECKING:
    from random import Random

Schema: TypeAlias = Mapping[str, Any]
Path: TypeAlias = tuple[str, ...]
"""Field names from `spec` down; `[]` is any item of a list, `{}` any value of a map."""

_RULE_BY_MESSAGE = {message: name for name, message in rules.MESSAGES.items()}


class Place(NamedTuple):
    """One node of the schema."""

    path: Path
    schema: Schema

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of its CEL rules that judge a single document."""
        named = (rule_name(rule) for rule in self.schema.get("x-kubernetes-validations", ()))
        return tuple(name for name in named if name != "shrinks")

    def __str__(self) -> str:
        return ".".join(self.path)


def rule_name(rule: Mapping[str, str]) -> str:
    """The name in `rules.MESSAGES` of a CEL rule; `quantity` and `shrinks` are the two that have none there."""
    return _RULE_BY_MESSAGE.get(rule["message"], "shrinks" if "oldSelf" in rule["rule"] else "quantity")


@cache
def definition() -> dict[str, Any]:
    """The committed CRD."""
    loaded: dict[str, Any] = YAML(typ="safe").load(resources.files("crds").joinpath("orchestcluster.yaml").read_text())
    return loaded


@cache
def spec_schema() -> Schema:
    """The schema of `spec` in the committed CRD."""
    root = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema: Schema = root["properties"]["spec"]
    return schema


@cache
def places() -> tuple[Place, ...]:
    """Every node of the spec's schema below its root."""
    return tuple(_places(spec_schema(), ()))


def _places(schema: Schema, path: Path) -> Iterator[Place]:
    for part, inner in _children(schema):
        yield Place((*path, part), inner)
        yield from _places(inner, (*path, part))


def _children(schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield from schema.get("properties", {}).items()
    if "items" in schema:
        yield "[]", schema["items"]
    if "additionalProperties" in schema:
        yield "{}", schema["additionalProperties"]


def valid_spec(rng: Random, *, storage_classes: tuple[str, ...] = ("standard",)) -> dict[str, Any]:
    """A spec that follows every rule. Every property of the CRD turns up within some hundred of them."""
    density = rng.choice([0.1, 0.3, 0.6, 0.9])
    return {
        name: _valid(inner, (name,), rng, density, storage_classes)
        for name, inner in _set_properties(spec_schema(), rng, density)
    }


def _set_properties(schema: Schema, rng: Random, density: float) -> list[tuple[str, Schema]]:
    required = schema.get("required", ())
    return [
        (name, inner)
        for name, inner in schema.get("properties", {}).items()
        if name in required or rng.random() < density
    ]


def _valid(schema: Schema, path: Path, rng: Random, density: float, storage_classes: tuple[str, ...]) -> Any:
    whole = _whole_maker(path[-1], schema)
    if whole is not None:
        return whole(rng)
    if "properties" in schema:
        chosen = _set_properties(schema, rng, density)
        if "replicas-node" in _rules_of(schema.get("properties", {}).get("replicas", {})):
            chosen = [(name, inner) for name, inner in chosen if name != "replicas"]
        return {name: _valid(inner, (*path, name), rng, density, storage_classes) for name, inner in chosen}
    if path[-1] == "storageClass":
        return rng.choice([*storage_classes, ""])
    return _valid_leaf(schema, path[-1], rng)


def _whole_maker(name: str, schema: Schema) -> Any:
    # spec.orchest.resources and a component's resources share a name.
    return None if name == "resources" and "limits" not in schema["properties"] else samples.WHOLE.get(name)


def _valid_leaf(schema: Schema, name: str, rng: Random) -> Any:
    if "enum" in schema:
        return rng.choice(schema["enum"])
    if schema["type"] == "boolean":
        return rng.random() < 0.5
    if schema["type"] == "integer":
        return rng.choice([0, 1] if "replicas-single" in _rules_of(schema) else [0, 1, 2, 3])
    known = [rule for rule in _rules_of(schema) if rule in samples.GOOD]
    if not known:
        return rng.choice(["", f"some-{name}"])
    return rng.choice([*samples.GOOD[known[0]], ""])


def _rules_of(schema: Schema) -> tuple[str, ...]:
    return Place((), schema).rules


class Broken(NamedTuple):
    """A spec with one odd value, and where it stands."""

    place: Place
    rule: str
    spec: dict[str, Any]


def breaking_each_rule(rng: Random) -> Iterator[Broken]:
    """For every rule at every place one spec that breaks it there and nowhere else."""
    for place in places():
        for rule in place.rules:
            yield _breaking(place, rule, rng)


def breaking_each_type(rng: Random) -> Iterator[Broken]:
    """For every place one spec with a value of any type there, mostly a wrong one, or an unknown field beside it."""
    for place in places():
        odd = rng.choice([*samples.WRONG_TYPES, None, None])
        spec = valid_spec(rng)
        if place.path[-1] not in {"[]", "{}"} and rng.random() < 0.1:
            yield Broken(place, "unknown-field", put(spec, (*place.path[:-1], "unknwon"), odd, rng))
        else:
            yield Broken(place, "type", put(spec, place.path, odd, rng))


def breaking_each_limit(rng: Random) -> Iterator[Broken]:
    """For every length limit and every required field at every place one spec that breaks it."""
    for place in places():
        for keyword, value in _beyond(place.schema, rng):
            yield Broken(place, keyword, put(valid_spec(rng), place.path, value, rng))


def _beyond(schema: Schema, rng: Random) -> Iterator[tuple[str, Any]]:
    if "maxLength" in schema:
        yield "maxLength", "1" * (schema["maxLength"] + 1)
    if "minLength" in schema:
        yield "minLength", ""
    if "maxItems" in schema:
        yield "maxItems", [_filled(schema["items"], str(number)) for number in range(schema["maxItems"] + 1)]
    if "maxProperties" in schema:
        yield "maxProperties", {f"k{number}": "1" for number in range(schema["maxProperties"] + 1)}
    for name in schema.get("required", ()):
        others = {key: inner for key, inner in schema["properties"].items() if key != name}
        yield "required", {key: _filled(inner, "x") for key, inner in others.items() if rng.random() < 0.5}
    if "enum" in schema:
        yield "enum", rng.choice(["", schema["enum"][0].lower() + "x", "Never "])


def _filled(schema: Schema, text: str) -> Any:
    """A value of the right type with all that is required."""
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("x-kubernetes-int-or-string"):
        return "1"
    match schema["type"]:
        case "object":
            return {name: _filled(schema["properties"][name], text) for name in schema.get("required", ())}
        case "array":
            return []
        case "boolean":
            return True
        case "integer":
            return 1
    return f"n{text}"


def odd_spec(rng: Random) -> Broken:
    """A valid spec with one to three leaves replaced by borderline values, good or bad."""
    ruled = [place for place in places() if place.rules]
    spec = valid_spec(rng)
    for _ in range(rng.randint(1, 3)):
        place = rng.choice(ruled)
        rule = place.rules[0]
        if rule in samples.GOOD and rule != "label-key":
            spec = put(
                spec, place.path, rng.choice([*samples.GOOD[rule], *samples.GOOD[rule], *samples.BAD[rule]]), rng
            )
    return Broken(place, rule, spec)


def _breaking(place: Place, rule: str, rng: Random) -> Broken:
    return Broken(place, rule, put(valid_spec(rng), place.path, _bad_value(rule, rng), rng))


def _bad_value(rule: str, rng: Random) -> Any:
    match rule:
        case "label-key":
            return {rng.choice(samples.BAD[rule]): "x"}
        case "env-value":
            return {"name": "BOTH", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
        case "env-source":
            field = {"fieldPath": "metadata.name"}
            return rng.choice([{}, {"fieldRef": field, "secretKeyRef": {"key": "k"}}, {"configMapKeyRef": None}])
        case "env-unique":
            return [{"name": "TWICE", "value": "1"}, {"name": "OTHER"}, {"name": "TWICE"}]
        case "secrets-unique":
            return [{"name": "twice"}, {"name": "twice"}]
        case "applications-unique":
            return [{"name": "docker-registry"}, {"name": "docker-registry"}]
    return rng.choice(samples.BAD[rule])


def put(spec: dict[str, Any], path: Path, value: Any, rng: Random) -> dict[str, Any]:
    """A copy of the spec with the value at the path; what is missing on the way is filled in with the least valid."""
    changed = copy.deepcopy(spec)
    _put(changed, spec_schema(), path, value, rng)
    return changed


def _put(container: Any, schema: Schema, path: Path, value: Any, rng: Random) -> None:
    key = _key(container, path[0], rng)
    inner = dict(_children(schema)).get(path[0], {})
    if len(path) == 1:
        container[key] = value
        return
    present = container[key]
    if not present or (isinstance(present, dict) and "value" in present and path[1] == "valueFrom"):
        container[key] = _filled(inner, str(rng.randint(0, 10**9)))
    if "fieldRef" in inner.get("properties", {}) and path[1] not in container[key]:
        container[key] = {}
    _put(container[key], inner, path[1:], value, rng)


def _key(container: Any, part: str, rng: Random) -> Any:
    if part == "[]":
        container.append(None)
        return len(container) - 1
    if part == "{}":
        return (
            rng.choice(list(container)) if container and rng.random() < 0.5 else _with(container, "example.com/added")
        )
    return _with(container, part)


def _with(container: dict[str, Any], key: str) -> str:
    container.setdefault(key, None)
    return key


def coverage(specs: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How many of the specs set each property of the schema, by path; properties that none set count 0."""
    counted = Counter({str(place): 0 for place in places()})
    for spec in specs:
        counted.update(set(_paths(spec, spec_schema(), ())))
    return counted


def _paths(value: Any, schema: Schema, path: Path) -> Iterator[str]:
    known = dict(_children(schema))
    parts: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        parts = ((name if name in known else "{}", inner) for name, inner in value.items())
    elif isinstance(value, list):
        parts = (("[]", inner) for inner in value)
    for part, inner in parts:
        if part in known:
            yield ".".join((*path, part))
            yield from _paths(inner, known[part], (*path, part))
