from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired_state.objects import Unknown, UnknownValue
from diff.action import ABSENT
from diff.compare import compare, compare_whole
from diff.paths import format_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.objects import Json


def found(
    desired: Mapping[str, Json], observed: Mapping[str, Json], known: Mapping[UnknownValue, str] | None = None
) -> list[tuple[str, Json, Json]]:
    return [(format_path(item.path), item.desired, item.observed) for item in compare(desired, observed, known or {})]


def pod(**container: Json) -> dict[str, Json]:
    return {"spec": {"containers": [{"name": "a", **container}]}}


EQUAL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "null is absent": ({"spec": {"a": None}}, {"spec": {}}),
    "an empty map is absent": ({"metadata": {"annotations": {}}}, {"metadata": {}}),
    "an empty list is absent": (pod(args=[]), pod()),
    "a map of empties is absent": ({"spec": {"a": {"b": {}, "c": []}}}, {}),
    "absent is null": ({"spec": {"a": {}}}, {"spec": {"a": None}}),
    "an empty text is absent as a variable's value": (
        pod(env=[{"name": "A", "value": ""}]),
        pod(env=[{"name": "A"}]),
    ),
    "a kept empty map equals itself": ({"spec": {"securityContext": {}}}, {"spec": {"securityContext": {}}}),
    "foreign fields are not looked at": ({"spec": {"a": 1}}, {"spec": {"a": 1, "b": 2}, "status": {}}),
    "the server's defaults inside a container": (
        pod(image="x"),
        pod(image="x", terminationMessagePath="/dev/termination-log", imagePullPolicy="IfNotPresent"),
    ),
    "0.1 and 100m": (pod(resources={"requests": {"cpu": "0.1"}}), pod(resources={"requests": {"cpu": "100m"}})),
    "a number as quantity": (pod(resources={"limits": {"cpu": 1}}), pod(resources={"limits": {"cpu": "1"}})),
    "1024Mi and 1Gi": (pod(resources={"limits": {"memory": "1024Mi"}}), pod(resources={"limits": {"memory": "1Gi"}})),
    "1.5Gi and 1536Mi": (
        pod(resources={"limits": {"memory": "1.5Gi"}}),
        pod(resources={"limits": {"memory": "1536Mi"}}),
    ),
    "1000m and 1": (pod(resources={"limits": {"cpu": "1000m"}}), pod(resources={"limits": {"cpu": "1"}})),
    "1e3 stays as written": (
        pod(resources={"limits": {"memory": "1e3"}}),
        pod(resources={"limits": {"memory": "1e3"}}),
    ),
    "storage": (
        {"spec": {"resources": {"requests": {"storage": "1024Gi"}}}},
        {"spec": {"resources": {"requests": {"storage": "1Ti"}}}},
    ),
    "sizeLimit": (
        {"spec": {"volumes": [{"name": "a", "emptyDir": {"sizeLimit": "0.5Gi"}}]}},
        {"spec": {"volumes": [{"name": "a", "emptyDir": {"sizeLimit": "512Mi"}}]}},
    ),
    "divisor": (
        pod(env=[{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1000m"}}}]),
        pod(env=[{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}}}]),
    ),
    "an unset container protocol is TCP": (
        pod(ports=[{"containerPort": 80}]),
        pod(ports=[{"containerPort": 80, "protocol": "TCP"}]),
    ),
    "an unset service protocol is TCP": (
        {"spec": {"ports": [{"port": 80}]}},
        {"spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]}},
    ),
    "a foreign variable before ours": (
        pod(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
        pod(env=[{"name": "X"}, {"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
    ),
    "a foreign container": (pod(image="x"), {"spec": {"containers": [{"name": "z"}, {"name": "a", "image": "x"}]}}),
    "foreign mounts": (
        pod(volumeMounts=[{"mountPath": "/a", "name": "v"}]),
        pod(volumeMounts=[{"mountPath": "/token", "name": "t"}, {"mountPath": "/a", "name": "v"}]),
    ),
    "foreign owner references": (
        {"metadata": {"ownerReferences": [{"uid": "1", "name": "a"}]}},
        {"metadata": {"ownerReferences": [{"uid": "2"}, {"uid": "1", "name": "a"}]}},
    ),
    "host aliases by ip": (
        {"spec": {"hostAliases": [{"ip": "1", "hostnames": ["a"]}]}},
        {"spec": {"hostAliases": [{"ip": "0", "hostnames": []}, {"ip": "1", "hostnames": ["a"]}]}},
    ),
    "spread constraints by two keys": (
        {"spec": {"topologySpreadConstraints": [{"topologyKey": "z", "whenUnsatisfiable": "X", "maxSkew": 1}]}},
        {
            "spec": {
                "topologySpreadConstraints": [
                    {"topologyKey": "z", "whenUnsatisfiable": "Y", "maxSkew": 9},
                    {"topologyKey": "z", "whenUnsatisfiable": "X", "maxSkew": 1},
                ]
            }
        },
    ),
    "an atomic list with empties inside": (
        {"spec": {"tolerations": [{"key": "a", "value": ""}]}},
        {"spec": {"tolerations": [{"key": "a"}]}},
    ),
}

DIFFERENT: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, Any, Any]]]] = {
    "a changed leaf": (pod(image="x"), pod(image="y"), [("spec.containers[name=a].image", "x", "y")]),
    "a missing leaf": (pod(image="x"), pod(), [("spec.containers[name=a].image", "x", ABSENT)]),
    "a missing map is told by its leaves": (
        {"spec": {"a": {"b": 1, "c": {"d": 2}}}},
        {},
        [("spec.a.b", 1, ABSENT), ("spec.a.c.d", 2, ABSENT)],
    ),
    "a missing entry is told by its fields beside the key": (
        pod(env=[{"name": "A", "value": "1"}]),
        pod(),
        [("spec.containers[name=a].env[name=A].value", "1", ABSENT)],
    ),
    "a missing entry of nothing but its key": (
        {"spec": {"imagePullSecrets": [{"name": "s"}]}},
        {"spec": {}},
        [("spec.imagePullSecrets[name=s]", {"name": "s"}, ABSENT)],
    ),
    "a label with a dot": (
        {"metadata": {"labels": {"a.b/c": "1"}}},
        {"metadata": {"labels": {}}},
        [('metadata.labels["a.b/c"]', "1", ABSENT)],
    ),
    "a label is no quantity": (
        {"metadata": {"labels": {"requests": "1000m"}}},
        {"metadata": {"labels": {"requests": "1"}}},
        [("metadata.labels.requests", "1000m", "1")],
    ),
    "configuration is no quantity, whatever its key": (
        {"data": {"sizeLimit": "1024Mi"}},
        {"data": {"sizeLimit": "1Gi"}},
        [("data.sizeLimit", "1024Mi", "1Gi")],
    ),
    "an empty configuration value is a value": ({"data": {"value": ""}}, {}, [("data.value", "", ABSENT)]),
    "another quantity": (
        pod(resources={"limits": {"cpu": "1"}}),
        pod(resources={"limits": {"cpu": "2"}}),
        [("spec.containers[name=a].resources.limits.cpu", "1", "2")],
    ),
    "no quantity at all": (
        pod(resources={"limits": {"cpu": "abc"}}),
        pod(resources={"limits": {"cpu": "1"}}),
        [("spec.containers[name=a].resources.limits.cpu", "abc", "1")],
    ),
    "an UDP port is another one": (
        pod(ports=[{"containerPort": 80, "protocol": "UDP"}]),
        pod(ports=[{"containerPort": 80, "protocol": "TCP"}]),
        [
            (
                "spec.containers[name=a].ports[containerPort=80,protocol=UDP]",
                {"containerPort": 80, "protocol": "UDP"},
                ABSENT,
            )
        ],
    ),
    "our entries in another order": (
        pod(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
        pod(env=[{"name": "B", "value": "2"}, {"name": "X"}, {"name": "A", "value": "1"}]),
        [("spec.containers[name=a].env", ["A", "B"], ["B", "A"])],
    ),
    "an atomic list with an entry more": (
        {"spec": {"tolerations": [{"key": "a"}]}},
        {"spec": {"tolerations": [{"key": "a"}, {"key": "b"}]}},
        [("spec.tolerations", [{"key": "a"}], [{"key": "a"}, {"key": "b"}])],
    ),
    "an atomic list in another order": (
        pod(args=["a", "b"]),
        pod(args=["b", "a"]),
        [("spec.containers[name=a].args", ["a", "b"], ["b", "a"])],
    ),
    "an atomic list that we set to nothing": (
        pod(args=[]),
        pod(args=["x"]),
        [("spec.containers[name=a].args", [], ["x"])],
    ),
    "a foreign key in an atomic map": (
        {"spec": {"nodeSelector": {"a": "1"}}},
        {"spec": {"nodeSelector": {"a": "1", "b": "2"}}},
        [("spec.nodeSelector.b", ABSENT, "2")],
    ),
    "an empty directory that is gone": (
        {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}},
        {"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}},
        [("spec.volumes[name=v].emptyDir", {}, ABSENT)],
    ),
    "a value that became empty": (
        pod(env=[{"name": "A", "value": "1"}]),
        pod(env=[{"name": "A", "value": ""}]),
        [("spec.containers[name=a].env[name=A].value", "1", "")],
    ),
    "another type": ({"spec": {"a": {"b": 1}}}, {"spec": {"a": "text"}}, [("spec.a", {"b": 1}, "text")]),
    "false is a value": ({"spec": {"a": False}}, {"spec": {}}, [("spec.a", False, ABSENT)]),
    "zero is a value": ({"spec": {"replicas": 0}}, {"spec": {"replicas": 1}}, [("spec.replicas", 0, 1)]),
}


@pytest.mark.parametrize(("desired", "observed"), EQUAL.values(), ids=EQUAL.keys())
def test_what_the_server_holds_equal_is_equal(desired: dict[str, Any], observed: dict[str, Any]) -> None:
    assert found(desired, observed) == []


@pytest.mark.parametrize(("desired", "observed", "differences"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_what_differs_is_told_with_its_path_and_both_values(
    desired: dict[str, Any], observed: dict[str, Any], differences: list[tuple[str, Any, Any]]
) -> None:
    assert found(desired, observed) == differences


def test_an_unknown_leaf_equals_what_the_cluster_tells() -> None:
    desired = {"spec": {"image": Unknown(UnknownValue.REGISTRY_ADDRESS, "{}/orchest")}}
    known = {UnknownValue.REGISTRY_ADDRESS: "10.0.0.1"}
    assert found(desired, {"spec": {"image": "10.0.0.1/orchest"}}, known) == []
    assert found(desired, {"spec": {"image": "10.0.0.2/orchest"}}, known) != []


def test_an_unknown_leaf_differs_while_nobody_can_tell_it() -> None:
    desired = {"spec": {"image": Unknown(UnknownValue.REGISTRY_ADDRESS)}}
    assert found(desired, {"spec": {"image": "10.0.0.1"}}) == [
        ("spec.image", Unknown(UnknownValue.REGISTRY_ADDRESS), "10.0.0.1")
    ]


def test_an_owner_reference_is_found_by_the_uid_that_the_cluster_tells() -> None:
    desired = {"metadata": {"ownerReferences": [{"name": "c", "uid": Unknown(UnknownValue.OWNER_UID)}]}}
    observed = {"metadata": {"ownerReferences": [{"name": "other", "uid": "1"}, {"name": "c", "uid": "2"}]}}
    assert found(desired, observed, {UnknownValue.OWNER_UID: "2"}) == []
    assert found(desired, observed, {UnknownValue.OWNER_UID: "3"}) != []


def test_a_whole_comparison_tells_what_the_server_has_beyond_git() -> None:
    differences = compare_whole({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 2, "d": 3}, "e": {"f": 4}}, ("spec",))
    assert [(format_path(item.path), item.desired, item.observed) for item in differences] == [
        ("spec.b.d", ABSENT, 3),
        ("spec.e.f", ABSENT, 4),
    ]


def test_a_whole_comparison_holds_empty_and_absent_equal() -> None:
    assert compare_whole({"a": {}, "b": None, "c": []}, {"d": {"e": {}}}) == ()


leaves = st.one_of(st.booleans(), st.integers(0, 5), st.sampled_from(["", "a", "1", "100m"]), st.none())
field_names = st.sampled_from(
    ["a", "b", "value", "args", "requests", "nodeSelector", "labels", "emptyDir", "sizeLimit"]
)
contents: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(field_names, below, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(field_names, contents, max_size=4))
def test_everything_equals_itself(content: dict[str, Any]) -> None:
    assert compare(content, content, {}) == ()
    assert compare_whole(content, content) == ()
