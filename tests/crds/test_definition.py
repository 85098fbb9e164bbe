"""The committed files are the generator's, and the CRD and the models have the same fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from desired_state.cluster import OrchestClusterSpec
from dev.crd import core, definition, reference
from tests.crds import generator

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CRDS = ROOT / "crds"
KUBECTL_ANNOTATION_LIMIT = 262_144


def test_the_committed_crd_is_what_the_generator_makes() -> None:
    made = definition.as_yaml(definition.custom_resource_definition(core.committed()))

    assert (CRDS / "orchestcluster.yaml").read_text() == made, "run `python -m dev.crd`"


def test_the_committed_core_types_are_what_the_generator_makes() -> None:
    made = definition.core_types_as_json(core.committed())

    assert (CRDS / "core_types.json").read_text() == made, "run `python -m dev.crd`"


def test_the_committed_field_reference_is_what_the_generator_makes() -> None:
    page = ROOT / "docs" / "reference" / "orchestcluster.md"

    assert page.read_text() == reference.as_markdown(core.committed()), "run `python -m dev.crd`"


def test_the_crd_fits_into_the_annotation_of_a_client_side_apply() -> None:
    as_annotation = json.dumps(generator.definition(), separators=(",", ":"))

    assert len(as_annotation) < KUBECTL_ANNOTATION_LIMIT
    assert (CRDS / "orchestcluster.yaml").stat().st_size < KUBECTL_ANNOTATION_LIMIT


def test_the_schema_has_no_default_and_no_reference() -> None:
    keywords = {key for node in _schemas(_root()) for key in node}

    assert not keywords & {"default", "$ref", "allOf", "oneOf", "anyOf", "x-kubernetes-preserve-unknown-fields"}


def test_every_field_of_ours_is_described() -> None:
    described = {place.path for place in generator.places() if "description" in place.schema}
    own = set(_own_fields(generator.spec_schema(), ()))

    assert own == {tuple(step for step in path if step != "[]") for path in described}


def test_the_models_have_exactly_the_fields_of_the_crd() -> None:
    assert set(_model_fields(OrchestClusterSpec, ())) == set(_own_fields(generator.spec_schema(), ()))


def test_the_status_has_room_for_both_shapes_of_a_condition() -> None:
    condition = _root()["properties"]["status"]["properties"]["conditions"]["items"]["properties"]

    assert {"event", "lastHeartbeatTime", "lastTransitionTime"} <= set(condition)
    assert {"type", "status", "reason", "message", "observedGeneration", "lastTransitionTime"} <= set(condition)


def _root() -> dict[str, Any]:
    schema: dict[str, Any] = generator.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _schemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for inner in schema.get("properties", {}).values():
        yield from _schemas(inner)
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield from _schemas(schema[keyword])


def _model_fields(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        yield here
        inner = _model_in(field.annotation)
        if inner is not None:
            yield from _model_fields(inner, here)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((inner for part in get_args(annotation) if (inner := _model_in(part))), None)


def _own_fields(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths of the CRD down to where a core type begins, items of lists not counted as a step."""
    if "items" in schema:
        yield from _own_fields(schema["items"], path)
    for name, inner in schema.get("properties", {}).items():
        yield (*path, name)
        is_core = name in {"env", "affinity", "tolerations", "imagePullSecrets"} or "limits" in inner.get(
            "properties", {}
        )
        if not is_core:
            yield from _own_fields(inner, (*path, name))
