"""Environment variables: which layer wins, in which order they stand, and what follows the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render import render
from render.environment import merged, values, written
from tests.render.cases import FACTS, cluster

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.facts import ClusterFacts

Entries = list[dict[str, Any]]


def environment(spec: Mapping[str, Any], component: str, facts: ClusterFacts = FACTS) -> Entries:
    for each in render(cluster(spec), facts).objects:
        if each.component == component and each.manifest.key.kind in {"Deployment", "DaemonSet"}:
            entries: Entries = each.manifest.content["spec"]["template"]["spec"]["containers"][0].get("env", [])
            return entries
    raise AssertionError(component)


def value(spec: Mapping[str, Any], component: str, name: str) -> str | None:
    found = [entry.get("value", "") for entry in environment(spec, component) if entry["name"] == name]
    assert len(found) <= 1
    return found[0] if found else None


def everywhere(name: str, text: str) -> dict[str, Any]:
    return {"orchest": {"env": [{"name": name, "value": text}]}}


def in_api(name: str, text: str, spec: dict[str, Any] | None = None) -> dict[str, Any]:
    orchest = (spec or {}).get("orchest", {})
    return {"orchest": {**orchest, "orchestApi": {"env": [{"name": name, "value": text}]}}}


@pytest.mark.parametrize(
    ("spec", "component", "name", "expected"),
    [
        # release defaults < component defaults < spec.orchest.env < the component's own env
        ({}, "orchest-api", "ORCHEST_LOG_LEVEL", "INFO"),
        (everywhere("ORCHEST_LOG_LEVEL", "DEBUG"), "orchest-api", "ORCHEST_LOG_LEVEL", "DEBUG"),
        (in_api("ORCHEST_LOG_LEVEL", "ERROR"), "orchest-api", "ORCHEST_LOG_LEVEL", "ERROR"),
        (
            in_api("ORCHEST_LOG_LEVEL", "ERROR", everywhere("ORCHEST_LOG_LEVEL", "DEBUG")),
            "orchest-api",
            "ORCHEST_LOG_LEVEL",
            "ERROR",
        ),
        (in_api("ORCHEST_LOG_LEVEL", "ERROR"), "celery-worker", "ORCHEST_LOG_LEVEL", "INFO"),
        (everywhere("FLASK_ENV", "development"), "orchest-api", "FLASK_ENV", "development"),
        ({}, "orchest-webserver", "USERDIR_PVC", "userdir-pvc"),
        ({}, "auth-server", "USERDIR_PVC", None),
        # ours, whatever is written
        (in_api("SINGLE_NODE", "FALSE"), "orchest-api", "SINGLE_NODE", "TRUE"),
        ({"singleNode": False}, "celery-worker", "SINGLE_NODE", "FALSE"),
        (everywhere("ORCHEST_CLUSTER", "other"), "orchest-api", "ORCHEST_CLUSTER", "cluster-1"),
        (everywhere("CONTAINER_RUNTIME", "docker"), "node-agent", "CONTAINER_RUNTIME", "containerd"),
        ({"orchest": {"orchestHost": "a.example"}}, "auth-server", "ORCHEST_FQDN", "a.example"),
        (everywhere("ORCHEST_FQDN", "b.example"), "auth-server", "ORCHEST_FQDN", "b.example"),
        (
            {"orchest": {"orchestHost": "a.example", "env": [{"name": "ORCHEST_FQDN", "value": "b.example"}]}},
            "auth-server",
            "ORCHEST_FQDN",
            "a.example",
        ),
        ({"workerNodeSelector": {"b": "2", "a": "1"}}, "orchest-api", "WORKER_PLANE_SELECTOR", '{"a":"1","b":"2"}'),
        ({}, "orchest-api", "WORKER_PLANE_SELECTOR", None),
        # the image that the original wrote follows the release (the value comes from the ConfigMap), another is kept
        (
            everywhere("CONTAINER_RUNTIME_IMAGE", "orchest/image-puller:v2022.10.5"),
            "orchest-api",
            "CONTAINER_RUNTIME_IMAGE",
            "",
        ),
        (
            everywhere("CONTAINER_RUNTIME_IMAGE", "example.com/puller:1"),
            "orchest-api",
            "CONTAINER_RUNTIME_IMAGE",
            "example.com/puller:1",
        ),
        (
            everywhere("CONTAINER_RUNTIME_IMAGE", "Not An Image"),
            "orchest-api",
            "CONTAINER_RUNTIME_IMAGE",
            "Not An Image",
        ),
        # third-party programs hear what people say to everybody, and nothing that only ours understand
        (everywhere("HTTPS_PROXY", "http://p"), "orchest-database", "HTTPS_PROXY", "http://p"),
        (everywhere("HTTPS_PROXY", "http://p"), "buildkit-daemon", "HTTPS_PROXY", "http://p"),
        (everywhere("ORCHEST_LOG_LEVEL", "DEBUG"), "orchest-database", "ORCHEST_LOG_LEVEL", None),
        # addresses may be overruled
        (
            in_api("ORCHEST_DATABASE_URL", "postgresql://elsewhere"),
            "orchest-api",
            "ORCHEST_DATABASE_URL",
            "postgresql://elsewhere",
        ),
    ],
)
def test_the_right_layer_wins(spec: dict[str, Any], component: str, name: str, expected: str | None) -> None:
    assert value(spec, component, name) == expected


@pytest.mark.parametrize("component", ["orchest-api", "celery-worker", "auth-server", "node-agent", "orchest-database"])
def test_no_name_stands_twice(component: str) -> None:
    spec = {
        "orchest": {
            "env": [{"name": name, "value": "x"} for name in ("PGDATA", "SINGLE_NODE", "FLASK_ENV", "CLUSTER_NODE")]
        }
    }
    names = [entry["name"] for entry in environment(spec, component)]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("component", ["orchest-api", "celery-worker", "auth-server"])
def test_a_reference_stands_after_what_it_refers_to(component: str) -> None:
    """Kubernetes expands $(NAME) only from entries further up, also when a person sets the password themselves."""
    spec = everywhere("ORCHEST_DATABASE_PASSWORD", "x")
    for names in ([entry["name"] for entry in environment(each, component)] for each in ({}, spec)):
        assert names.index("ORCHEST_DATABASE_PASSWORD") < names.index("ORCHEST_DATABASE_URL")


def test_passwords_are_references_never_values() -> None:
    for component in ("orchest-database", "rabbitmq-server", "orchest-api", "celery-worker", "auth-server"):
        for entry in environment({}, component):
            if "PASSWORD" in entry["name"] or entry["name"] == "REDISCLI_AUTH":
                assert entry["valueFrom"]["secretKeyRef"]["name"] == "orchest-credentials"


@pytest.mark.parametrize(
    ("env", "has_password"),
    [
        (None, True),
        ([{"name": "POSTGRES_HOST_AUTH_METHOD", "value": "scram-sha-256"}], True),
        ([{"name": "POSTGRES_HOST_AUTH_METHOD", "value": "trust"}], False),
        ([{"name": "POSTGRES_PASSWORD_FILE", "value": "/run/password"}], False),
    ],
)
def test_the_database_has_a_password_unless_a_person_wants_trust(env: Entries | None, has_password: bool) -> None:
    names = [entry["name"] for entry in environment({"postgres": {"env": env}} if env else {}, "orchest-database")]

    assert ("POSTGRES_PASSWORD" in names) == has_password
    assert "PGDATA" in names


def test_a_password_of_a_persons_own_is_the_databases_password() -> None:
    entry = {"name": "POSTGRES_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "mine", "key": "p"}}}

    spec = {"postgres": {"env": [entry]}}
    assert entry in environment(spec, "orchest-database")
    for component in ("orchest-api", "celery-worker", "auth-server"):
        assert {**entry, "name": "ORCHEST_DATABASE_PASSWORD"} in environment(spec, component)


def test_entries_take_the_form_in_which_the_server_stores_them() -> None:
    assert written(
        [
            {"name": "A", "value": ""},
            {"name": "B", "value": "b", "valueFrom": {}},
            {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "D", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            {"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "x", "apiVersion": "v2"}}},
        ]
    ) == (
        {"name": "A", "value": None},
        {"name": "B", "value": "b"},
        {"name": "C", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}},
        {"name": "D", "valueFrom": {"resourceFieldRef": {"divisor": "0", "resource": "limits.cpu"}}},
        {"name": "E", "valueFrom": {"fieldRef": {"apiVersion": "v2", "fieldPath": "x"}}},
    )


layers = st.lists(st.lists(st.tuples(st.sampled_from("ABCDE"), st.text(max_size=2)), max_size=6), max_size=4)


@given(layers=layers)
def test_merging_keeps_the_last_entry_of_each_name_in_its_own_place(layers: list[list[tuple[str, str]]]) -> None:
    entries = [[{"name": name, "value": text} for name, text in layer] for layer in layers]
    flat = [entry for layer in entries for entry in layer]
    result = list(merged(*entries))

    assert values(result) == {entry["name"]: entry["value"] for entry in flat}
    last = [flat[max(i for i, other in enumerate(flat) if other["name"] == name)] for name in {e["name"] for e in flat}]
    assert result == sorted(last, key=lambda entry: max(i for i, other in enumerate(flat) if other is entry))


def test_a_written_value_that_cannot_hold_is_warned_about_by_name() -> None:
    rendering = render(cluster(everywhere("CONTAINER_RUNTIME", "docker")), FACTS)
    warnings = [note for note in rendering.notes if note.code == "environment-overruled"]

    assert [note.path for note in warnings] == ["spec.orchest.env[name=CONTAINER_RUNTIME]"]
    agreeing = render(cluster(everywhere("CONTAINER_RUNTIME", "containerd")), FACTS)
    assert "environment-overruled" not in [note.code for note in agreeing.notes]
