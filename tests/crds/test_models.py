"""The models on their own: what they accept, what they refuse, where and with which words."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from desired_state import rules
from desired_state.cluster import OrchestClusterSpec
from desired_state.core_types import core_type, problems
from tests.crds import generator, samples, shapes

_PLACES = {
    "version": ("orchest", "version"),
    "registry": ("orchest", "registry"),
    "host": ("orchest", "orchestHost"),
    "image": ("orchest", "orchestApi", "image"),
    "size": ("orchest", "resources", "userDirVolumeSize"),
    "storage-class": ("orchest", "resources", "userDirVolume", "storageClass"),
    "claim": ("postgres", "stateVolumeName"),
    "replicas": ("orchest", "authServer", "replicas"),
    "replicas-single": ("postgres", "replicas"),
    "replicas-node": ("orchest", "nodeAgent", "replicas"),
    "quantity": ("rabbitMq", "resources", "limits", "cpu"),
}


def _spec(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    return {path[0]: _spec(path[1:], value)} if path else value


def _refused(spec: dict[str, Any]) -> dict[tuple[int | str, ...], str]:
    with pytest.raises(ValidationError) as caught:
        OrchestClusterSpec.model_validate(spec)
    return {detail["loc"]: detail["msg"] for detail in caught.value.errors()}


@pytest.mark.parametrize(("rule", "value"), [(r, v) for r in _PLACES for v in samples.GOOD.get(r, ())])
def test_a_good_value_is_accepted(rule: str, value: Any) -> None:
    OrchestClusterSpec.model_validate(_spec(_PLACES[rule], value))


@pytest.mark.parametrize(("rule", "value"), [(r, v) for r in _PLACES for v in samples.BAD[r]])
def test_a_bad_value_is_refused_at_its_place(rule: str, value: Any) -> None:
    assert list(_refused(_spec(_PLACES[rule], value))) == [_PLACES[rule]]


@pytest.mark.parametrize("name", shapes.SHAPES)
def test_an_original_manifest_is_accepted(name: str) -> None:
    OrchestClusterSpec.model_validate(shapes.SHAPES[name].spec)


def test_every_valid_spec_of_the_generator_is_accepted_and_together_they_set_every_field() -> None:
    rng = Random(11)
    specs = [generator.valid_spec(rng) for _ in range(300)]
    for spec in specs:
        OrchestClusterSpec.model_validate(spec)

    never = {path for path, count in generator.coverage(specs).items() if count == 0}
    assert never == {"orchest.nodeAgent.replicas", "orchest.buildkitDaemon.replicas"}


def test_the_generator_is_deterministic() -> None:
    assert json.dumps(generator.valid_spec(Random(5))) == json.dumps(generator.valid_spec(Random(5)))


def test_each_rule_broken_anywhere_is_refused_there() -> None:
    for broken in generator.breaking_each_rule(Random(3)):
        steps = tuple(step for step in broken.place.path if step not in {"[]", "{}"})
        locations = [tuple(s for s in loc if isinstance(s, str)) for loc in _refused(broken.spec)]
        assert any(loc[: len(steps)] == steps for loc in locations), (str(broken.place), broken.rule)


def test_an_empty_string_is_unset() -> None:
    spec = OrchestClusterSpec.model_validate(
        {"postgres": {"image": ""}, "orchest": {"registry": "", "version": "", "resources": {"userDirVolumeSize": ""}}}
    )

    assert spec.postgres is not None
    assert spec.orchest is not None
    assert spec.orchest.resources is not None
    assert (spec.postgres.image, spec.orchest.registry, spec.orchest.version) == (None, None, None)
    assert spec.orchest.resources.user_dir_volume_size is None


def test_nulls_are_dropped_as_the_server_drops_them() -> None:
    written = {
        "controlNodeSelector": {"a": None, "b": "c"},
        "orchest": {"env": [{"name": "A", "value": None}], "orchestApi": {"resources": {"limits": {"cpu": None}}}},
    }
    spec = OrchestClusterSpec.model_validate(written)

    assert spec.control_node_selector == {"b": "c"}
    assert spec.orchest is not None
    assert spec.orchest.env == ({"name": "A"},)
    assert spec.orchest.orchest_api is not None
    assert spec.orchest.orchest_api.resources == {"limits": {}}


def test_a_whole_float_becomes_the_integer_that_a_deployment_needs() -> None:
    spec = OrchestClusterSpec.model_validate({"postgres": {"tolerations": [{"key": "x", "tolerationSeconds": 300.0}]}})

    assert spec.postgres is not None
    assert json.dumps(spec.postgres.tolerations) == '[{"key": "x", "tolerationSeconds": 300}]'


@pytest.mark.parametrize("value", ["true", "yes", 1, 0])
def test_only_true_and_false_are_booleans(value: Any) -> None:
    assert list(_refused({"singleNode": value})) == [("singleNode",)]


def test_fields_go_by_the_names_of_the_manifest_only() -> None:
    assert list(_refused({"single_node": True})) == [("single_node",)]


def test_all_problems_of_a_core_type_come_together_with_their_inner_paths() -> None:
    found = _refused(
        {"orchest": {"orchestApi": {"env": [{"name": "A", "vlaue": "x"}, {"value": 5}, {"name": "A", "value": True}]}}}
    )

    env = ("orchest", "orchestApi", "env")
    assert found == {
        (*env, 0, "vlaue"): 'unknown field, did you mean "value"?',
        (*env, 1, "name"): "is required; add it",
        (*env, 1, "value"): "found a whole number, expected a string; write it in quotes",
        (*env, 2, "value"): "found true or false, expected a string; write it in quotes",
    }


def test_env_rules_name_the_mend_and_never_the_value() -> None:
    both = {"name": "B", "value": "hunter2", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    found = _refused({"orchest": {"env": [{"name": "A"}, both, {"name": "A"}, {"name": "C", "valueFrom": {}}]}})

    assert found == {
        ("orchest", "env", 1): rules.MESSAGES["env-value"],
        ("orchest", "env", 2, "name"): f'found "A", {rules.MESSAGES["env-unique"]}',
        ("orchest", "env", 3, "valueFrom"): f"found 0 sources, {rules.MESSAGES['env-source']}",
    }
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("path", [("orchest", "nodeAgent"), ("orchest", "buildkitDaemon")])
def test_a_component_of_every_node_has_no_replicas(path: tuple[str, ...]) -> None:
    found = _refused(_spec((*path, "replicas"), 2))

    assert found == {(*path, "replicas"): f"found 2, {rules.MESSAGES['replicas-node']}"}


@pytest.mark.parametrize("component", ["postgres", "rabbitMq"])
def test_a_component_with_a_volume_of_its_own_may_be_stopped_but_not_doubled(component: str) -> None:
    OrchestClusterSpec.model_validate({component: {"replicas": 0}})

    assert _refused({component: {"replicas": 2}}) == {
        (component, "replicas"): f"found 2, {rules.MESSAGES['replicas-single']}"
    }


def test_the_known_applications_are_listed_when_an_unknown_one_is_refused() -> None:
    (message,) = _refused({"applications": [{"name": "cert-manager"}]}).values()

    assert all(name in message for name in rules.APPLICATIONS)


def test_messages_with_braces_are_shown_as_written() -> None:
    (message,) = _refused({"orchest": {"version": "{text}"}}).values()

    assert message.startswith('found "{text}", expected an image tag')


_MAP = {"type": "object", "additionalProperties": {"type": "string"}}
_QUANTITY = {"x-kubernetes-int-or-string": True}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string", "enum": ["A", "B"]}, "C", 'found "C", expected one of A, B'),
        ({"type": "string", "pattern": "^a+$"}, "b", 'found "b", expected a match of ^a+$'),
        ({"type": "string", "minLength": 1}, "", "is empty; give it a value or remove it"),
        ({"type": "string", "maxLength": 2}, "abc", "has 3 characters, at most 2 are allowed"),
        ({"type": "integer", "minimum": 3}, 2, "found 2, expected at least 3"),
        ({"type": "integer", "maximum": 3}, 4, "found 4, expected at most 3"),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 0}, ["a"], "has 1 entries, at most 0 are allowed"),
        ({"type": "array", "items": {"type": "string"}}, [None], "found null, expected a string; write it in quotes"),
        ({"type": "object", "properties": {}}, [], "found a list, expected a mapping"),
        ({**_MAP, "maxProperties": 0}, {"a": "b"}, "has 1 entries, at most 0 are allowed"),
        (_QUANTITY, 0.5, 'found a number, expected a quantity; write it in quotes, such as "0.5" or "1Gi"'),
        (_QUANTITY, "-1", 'found "-1", expected a quantity of zero or more'),
    ],
)  # fmt: skip
def test_the_checker_knows_every_keyword_of_a_structural_schema(
    schema: dict[str, Any], value: Any, expected: str
) -> None:
    assert [problem.message for problem in problems(value, schema)] == [expected]


def test_the_checker_knows_every_keyword_that_the_core_types_use() -> None:
    known = {
        "type",
        "properties",
        "required",
        "items",
        "additionalProperties",
        "enum",
        "pattern",
        "minLength",
        "maxLength",
    }
    known |= {"minimum", "maximum", "maxItems", "maxProperties", "x-kubernetes-int-or-string"}
    without_effect = {"format", "x-kubernetes-map-type", "x-kubernetes-list-type"}
    used: set[str] = set()
    for name in ("env", "resources", "tolerations", "affinity", "imagePullSecrets"):
        _keywords(core_type(name), used)

    assert used <= known | without_effect


def _keywords(schema: Any, used: set[str]) -> None:
    used |= set(schema)
    for inner in (
        *schema.get("properties", {}).values(),
        *(schema[k] for k in ("items", "additionalProperties") if k in schema),
    ):
        _keywords(inner, used)
