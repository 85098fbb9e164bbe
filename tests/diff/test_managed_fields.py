from __future__ import annotations

from typing import Any

import pytest

from diff.managed_fields import holders, read_fields, write_fields
from diff.owned_paths import dropped_fields, owned_paths_digest
from diff.paths import Element, Path, format_path, value_at, without

FIELDS: dict[str, Any] = {
    "f:metadata": {"f:annotations": {".": {}, "f:a.b/c": {}}, "f:finalizers": {'v:"x"': {}}},
    "f:spec": {
        "f:args": {},
        "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
        "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
    },
}
ENTRY = {"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": FIELDS}
PORT = Element((("containerPort", 80), ("protocol", "TCP")))
A = Element((("name", "A"),))


def test_fields_come_back_as_they_were_but_for_the_markers() -> None:
    assert read_fields(write_fields(read_fields(FIELDS))) == read_fields(FIELDS)
    assert write_fields(read_fields(FIELDS))["f:metadata"]["f:finalizers"] == {'v:"x"': {}}


@pytest.mark.parametrize(
    ("path", "held"),
    [
        (("spec", "env", A, "value"), True),
        (("spec", "env", A), True),
        (("spec", "env", Element((("name", "B"),)), "value"), False),
        (("spec", "ports", PORT), True),
        (("spec", "args"), True),
        (("spec", "args", "inside"), True),
        (("metadata", "annotations", "a.b/c"), True),
        (("metadata", "annotations", "other"), False),
        (("spec", "replicas"), False),
    ],
)
def test_a_manager_holds_its_fields_and_what_lies_in_them(path: Path, held: bool) -> None:
    (holder,) = holders({"metadata": {"managedFields": [ENTRY]}})
    assert holder.holds(path) is held


def test_what_a_controller_writes_into_the_status_is_no_claim() -> None:
    assert holders({"metadata": {"managedFields": [{**ENTRY, "subresource": "status"}]}}) == ()


def test_an_object_without_managed_fields_has_no_holders() -> None:
    assert holders({"metadata": {}}) == ()


CONTAINER = {"name": "a", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}


def digest(container: dict[str, Any]) -> str:
    return owned_paths_digest({"kind": "X", "spec": {"containers": [container]}})


def test_the_digest_of_owned_paths_does_not_know_values() -> None:
    """It stands in an annotation that anybody may read: it must not let a guess at a secret be tested."""
    other = {"name": "a", "env": [{"name": "B", "value": "secret"}, {"name": "A", "value": "x"}]}
    assert digest(CONTAINER) == digest(other)


@pytest.mark.parametrize(
    "other",
    [
        {"name": "b", "env": CONTAINER["env"]},
        {"name": "a", "env": [{"name": "A", "value": "1"}]},
        {
            "name": "a",
            "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}],
        },
        {**CONTAINER, "args": ["x"]},
    ],
)
def test_the_digest_of_owned_paths_knows_every_path(other: dict[str, Any]) -> None:
    assert digest(CONTAINER) != digest(other)


def test_what_the_server_does_not_keep_is_no_owned_path() -> None:
    assert digest(CONTAINER) == digest({**CONTAINER, "args": [], "resources": {}, "lifecycle": None})


def test_a_dropped_entry_is_told_by_its_fields_or_by_its_key_alone() -> None:
    fields = {
        "f:spec": {
            "f:imagePullSecrets": {'k:{"name":"s"}': {"f:name": {}}},
            "f:env": {'k:{"name":"A"}': {"f:name": {}, "f:valueFrom": {"f:secretKeyRef": {}}}},
        }
    }
    observed = {
        "metadata": {
            "managedFields": [{**ENTRY, "manager": "orchest-controller", "operation": "Apply", "fieldsV1": fields}]
        },
        "spec": {
            "imagePullSecrets": [{"name": "s"}],
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "n", "key": "k"}}}],
        },
    }
    dropped = dropped_fields({"spec": {}}, observed, holders(observed))
    assert [format_path(item.path) for item in dropped] == [
        "spec.env[name=A].valueFrom.secretKeyRef",
        "spec.imagePullSecrets[name=s]",
    ]


def test_a_path_leads_to_its_value_and_away_from_it() -> None:
    content = {"spec": {"containers": [{"name": "a", "x": 1}, {"name": "b", "x": 2}]}}
    path: Path = ("spec", "containers", Element((("name", "b"),)), "x")
    assert value_at(content, path) == 2
    assert without(content, [path]) == {"spec": {"containers": [{"name": "a", "x": 1}, {"name": "b"}]}}
    assert without(content, [path[:-1]]) == {"spec": {"containers": [{"name": "a", "x": 1}]}}
    assert content["spec"]["containers"][1] == {"name": "b", "x": 2}
