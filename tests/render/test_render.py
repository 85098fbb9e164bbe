"""Promises about the whole of a rendering, held against every golden case."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desired_state.cluster import OrchestClusterSpec
from desired_state.objects import KINDS, OWNER_ANNOTATION, Severity, Unknown, UnknownValue
from render import render
from render.manifest import canonical
from tests.render.cases import CASES, FACTS, GOLDEN, WITH_DOCKER, cluster, golden, rendering_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from desired_state.objects import DesiredObject

WORKLOADS = {"Deployment", "DaemonSet"}
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")

every_case = pytest.mark.parametrize("case", CASES)


def objects(case: str) -> tuple[DesiredObject, ...]:
    return render(*golden(case)).objects


def workloads(case: str) -> list[DesiredObject]:
    return [each for each in objects(case) if each.manifest.key.kind in WORKLOADS]


def unknowns(value: Any) -> Iterator[Unknown]:
    if isinstance(value, Unknown):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from unknowns(item)


@every_case
def test_a_rendering_is_its_golden_file(case: str) -> None:
    assert rendering_text(render(*golden(case))) == (GOLDEN / f"{case}.json").read_text()


@every_case
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_the_order_of_keys_in_the_manifest_is_of_no_consequence(case: str, data: st.DataObject) -> None:
    original, facts = golden(case)

    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shuffled(value[key]) for key in data.draw(st.permutations(list(value)))}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    spec = OrchestClusterSpec.model_validate(shuffled(original.document["spec"]))
    annotations = shuffled(dict(original.annotations))
    again = original.model_copy(update={"spec": spec, "annotations": annotations})

    assert rendering_text(render(again, facts)) == rendering_text(render(original, facts))


def test_former_registries_are_a_set() -> None:
    written = cluster({"orchest": {"orchestApi": {"image": "b.example.com/orchest/orchest-api:v2022.10.5"}}})

    one = render(written, FACTS, former_registries=["a.example.com", "b.example.com"])
    other = render(written, FACTS, former_registries=["b.example.com", "a.example.com", "a.example.com"])

    assert rendering_text(one) == rendering_text(other)
    assert {each.image for each in one.images if each.component == "orchest-api"} == {"orchest/orchest-api:v2026.11.0"}


@every_case
def test_objects_are_ordered_by_key_and_none_is_rendered_twice(case: str) -> None:
    keys = [each.manifest.key for each in objects(case)]

    assert keys == sorted(set(keys))


@every_case
def test_manifests_are_plain_json_in_canonical_form(case: str) -> None:
    for each in objects(case):
        assert canonical(each.manifest.content) == each.manifest.content
        assert type(each.manifest.key.name) is str
        assert type(each.component) is str


@every_case
def test_every_object_carries_our_mark_and_lives_in_the_namespace_of_its_cluster(case: str) -> None:
    owner, facts = golden(case)
    for each in render(owner, facts).objects:
        metadata = each.manifest.content["metadata"]
        assert metadata["annotations"][OWNER_ANNOTATION] == f"{owner.namespace}/{owner.name}"
        assert metadata["labels"]["controller.orchest.io/part-of"] == "orchest"
        assert each.manifest.key.namespace in {owner.namespace, ""}


@every_case
def test_what_must_outlive_the_cluster_or_has_no_namespace_has_no_owner_reference(case: str) -> None:
    for each in objects(case):
        key = each.manifest.key
        outlives = key.kind == "PersistentVolumeClaim" or key.name == "orchest-credentials"
        references = each.manifest.content["metadata"].get("ownerReferences", [])
        assert (references == []) == (outlives or not KINDS[key.group, key.kind].namespaced), key
        assert all(reference["uid"] == Unknown(UnknownValue.OWNER_UID) for reference in references)


@every_case
def test_cluster_scoped_names_carry_the_namespace(case: str) -> None:
    owner, facts = golden(case)
    for each in render(owner, facts).objects:
        if not each.manifest.key.namespace:
            assert each.manifest.key.name.startswith(f"orchest-{owner.namespace}-")


def test_two_clusters_on_one_kubernetes_share_no_object() -> None:
    one = render(cluster({}, namespace="one"), FACTS)
    two = render(cluster({}, namespace="two"), FACTS)

    assert not {each.manifest.key for each in one.objects} & {each.manifest.key for each in two.objects}


@every_case
def test_a_selector_is_minimal_and_matches_its_template(case: str) -> None:
    for each in workloads(case):
        spec = each.manifest.content["spec"]
        selector = spec["selector"]["matchLabels"]
        assert set(selector) == {"controller.orchest.io/component", "controller.orchest.io/part-of"}
        assert selector.items() <= spec["template"]["metadata"]["labels"].items()


@every_case
def test_a_service_selects_the_pods_of_one_workload_and_names_a_port_of_theirs(case: str) -> None:
    found = {each.component: each.manifest.content["spec"]["template"] for each in workloads(case)}
    for each in objects(case):
        if each.manifest.key.kind != "Service" or each.component not in found:
            continue
        service = each.manifest.content["spec"]
        template = found[each.component]
        ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
        assert service["selector"].items() <= template["metadata"]["labels"].items()
        assert {port["targetPort"] for port in service["ports"]} <= ports


@every_case
def test_every_volume_is_mounted_and_every_mount_has_its_volume(case: str) -> None:
    for each in workloads(case):
        pod = each.manifest.content["spec"]["template"]["spec"]
        volumes = [volume["name"] for volume in pod.get("volumes", [])]
        mounts = {mount["name"] for mount in pod["containers"][0].get("volumeMounts", [])}
        assert sorted(volumes) == sorted(mounts)


@every_case
def test_whatever_a_pod_refers_to_is_rendered_or_named_by_a_person(case: str) -> None:
    rendered = {(each.manifest.key.kind, each.manifest.key.name) for each in objects(case)}
    for each in workloads(case):
        pod = each.manifest.content["spec"]["template"]["spec"]
        for volume in pod.get("volumes", []):
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in rendered
            if "secret" in volume:
                assert ("Secret", volume["secret"]["secretName"]) in rendered
        if "serviceAccountName" in pod:
            assert ("ServiceAccount", pod["serviceAccountName"]) in rendered
        for entry in pod["containers"][0].get("env", []):
            source = entry.get("valueFrom", {})
            if "configMapKeyRef" in source:
                assert ("ConfigMap", source["configMapKeyRef"]["name"]) in rendered
            if "secretKeyRef" in source and source["secretKeyRef"]["name"] != "team-secrets":
                assert ("Secret", source["secretKeyRef"]["name"]) in rendered


@every_case
def test_names_and_labels_are_valid(case: str) -> None:
    for each in objects(case):
        metadata = each.manifest.content["metadata"]
        assert DNS_LABEL.fullmatch(metadata["name"])
        assert len(metadata["name"]) <= 253
        assert all(LABEL_VALUE.fullmatch(value) and len(value) <= 63 for value in metadata["labels"].values())


def test_annotations_of_the_cluster_are_not_copied_to_its_objects() -> None:
    annotated = cluster({}, {"orchest.io/restart": "true", "example.com/note": "x"})
    for each in render(annotated, FACTS).objects:
        annotations = each.manifest.content["metadata"]["annotations"]
        assert not {"orchest.io/restart", "example.com/note"} & set(annotations)


@every_case
def test_only_three_values_are_unknown_before_the_first_apply(case: str) -> None:
    found = {leaf.value for each in objects(case) for leaf in unknowns(each.manifest.content)}

    assert found <= set(UnknownValue)
    assert UnknownValue.OWNER_UID in found


def test_a_fixed_registry_address_is_known_before_the_first_apply() -> None:
    found = {leaf.value for each in objects("without_argo") for leaf in unknowns(each.manifest.content)}

    assert UnknownValue.REGISTRY_ADDRESS not in found


def test_without_a_registry_nothing_waits_for_its_values() -> None:
    found = {leaf.value for each in objects("without_registry") for leaf in unknowns(each.manifest.content)}

    assert found == {UnknownValue.OWNER_UID}


def test_a_paused_cluster_keeps_everything_but_what_runs_and_lets_people_in() -> None:
    running = {each.manifest.key for each in render(cluster({}), FACTS).objects}
    paused = {each.manifest.key for each in render(cluster({"orchest": {"pause": True}}), FACTS).objects}

    assert paused < running
    assert {key.kind for key in running - paused} == {"Deployment", "DaemonSet", "Ingress"}
    assert not {key.kind for key in paused} & {"Deployment", "DaemonSet", "Ingress"}


def test_replicas_are_rendered_only_when_set() -> None:
    spec = {"orchest": {"orchestApi": {"replicas": 0}}}
    found = {
        each.component: each.manifest.content["spec"].get("replicas")
        for each in render(cluster(spec), FACTS).objects
        if each.manifest.key.kind == "Deployment"
    }

    assert found.pop("orchest-api") == 0
    assert set(found.values()) == {None}


def test_a_program_that_owns_its_volume_never_overlaps_with_itself() -> None:
    strategies = {
        each.component: each.manifest.content["spec"]["strategy"]["type"]
        for each in render(cluster({}), FACTS).objects
        if each.manifest.key.kind == "Deployment"
    }

    assert {name for name, strategy in strategies.items() if strategy == "Recreate"} == {
        "orchest-database",
        "docker-registry",
    }


def test_buildkit_is_there_only_for_containerd() -> None:
    def components(rendering_objects: tuple[DesiredObject, ...]) -> set[str]:
        return {each.component for each in rendering_objects}

    assert "buildkit-daemon" in components(render(cluster({}), FACTS).objects)
    assert "buildkit-daemon" not in components(render(cluster({}), WITH_DOCKER).objects)


def test_selectors_of_planes_reach_their_components_and_a_component_adds_its_own() -> None:
    spec = {
        "controlNodeSelector": {"plane": "control", "disk": "any"},
        "workerNodeSelector": {"plane": "worker"},
        "postgres": {"nodeSelector": {"disk": "ssd"}},
        "orchest": {"nodeAgent": {"nodeSelector": {"gpu": "no"}}},
    }
    found = {
        each.component: each.manifest.content["spec"]["template"]["spec"].get("nodeSelector")
        for each in render(cluster(spec), FACTS).objects
        if each.manifest.key.kind in WORKLOADS
    }

    assert found["orchest-database"] == {"plane": "control", "disk": "ssd"}
    assert found["orchest-api"] == {"plane": "control", "disk": "any"}
    assert found["docker-registry"] == {"plane": "control", "disk": "any"}
    assert found["node-agent"] == {"plane": "worker", "gpu": "no"}
    assert found["buildkit-daemon"] == {"plane": "worker"}


@pytest.mark.parametrize(
    ("written", "requests", "limits"),
    [
        (None, {"cpu": "200m"}, None),
        ({"requests": {"memory": "1Gi"}}, {"cpu": "200m", "memory": "1Gi"}, None),
        ({"requests": {"cpu": "1"}}, {"cpu": "1"}, None),
        ({"limits": {"cpu": "100m"}}, None, {"cpu": "100m"}),
        ({"limits": {"memory": "1Gi"}}, {"cpu": "200m"}, {"memory": "1Gi"}),
    ],
)
def test_resources_of_a_person_are_laid_over_ours(
    written: dict[str, Any] | None, requests: dict[str, str] | None, limits: dict[str, str] | None
) -> None:
    spec = {"orchest": {"orchestApi": {"resources": written}}} if written else {}
    api = next(
        each
        for each in render(cluster(spec), FACTS).objects
        if str(each.manifest.key).endswith("/orchest-api") and each.manifest.key.kind == "Deployment"
    )
    resources = api.manifest.content["spec"]["template"]["spec"]["containers"][0]["resources"]

    assert (resources.get("requests"), resources.get("limits")) == (requests, limits)


@pytest.mark.parametrize(
    ("version", "codes"),
    [
        (None, []),
        ("", []),
        ("v2026.11.0", []),
        ("v2027.01.12", []),
        ("v2023.06.0", ["version-of-the-original"]),
        ("latest", ["version-not-a-release"]),
        ("v2026.1.0", ["version-not-a-release"]),
    ],
)
def test_a_version_that_is_no_release_of_ours_is_warned_about(version: str | None, codes: list[str]) -> None:
    notes = render(cluster({"orchest": {"version": version}} if version is not None else {}), FACTS).notes

    assert [note.code for note in notes if note.code.startswith("version-")] == codes
    assert all(note.severity is Severity.WARNING for note in notes if note.code.startswith("version-"))


def test_names_of_the_original_are_explained_once_each_and_only_when_used() -> None:
    def codes(spec: dict[str, Any]) -> list[str]:
        return [note.code for note in render(cluster(spec), FACTS).notes if "configures" in note.code]

    assert codes({}) == []
    assert codes({"rabbitMq": {"replicas": 1}, "orchest": {"celeryWorker": {"replicas": 1}}}) == [
        "rabbitmq-configures-redis",
        "celery-worker-configures-rq",
    ]


def test_a_broker_of_somebodys_own_is_kept_with_a_warning() -> None:
    rendering = render(cluster({"rabbitMq": {"image": "rabbitmq:3.12-management"}}), FACTS)

    assert {each.image for each in rendering.images if each.component == "rabbitmq-server"} == {
        "rabbitmq:3.12-management"
    }
    assert "broker-must-speak-redis" in [note.code for note in rendering.notes]


def test_rendering_needs_the_facts_only() -> None:
    """A newer server, another uid: the same objects, for a plan must not change with what it does not depend on."""
    other = replace(FACTS, cluster_uid="other", server_version="v1.30.0")

    assert rendering_text(render(cluster({}), FACTS)) == rendering_text(render(cluster({}), other))
