"""A version bump touches what follows the release, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from desired_state.release import THIRD_PARTY_IMAGES, Component
from render import render
from tests.render.cases import FACTS, cluster

if TYPE_CHECKING:
    from desired_state.objects import Json, ObjectKey

CUSTOM = "registry.example.com/team/custom:1"
POSITIONS: dict[Component, tuple[str, ...]] = {
    Component.ORCHEST_DATABASE: ("postgres",),
    Component.RABBITMQ_SERVER: ("rabbitMq",),
    Component.ORCHEST_API: ("orchest", "orchestApi"),
    Component.CELERY_WORKER: ("orchest", "celeryWorker"),
    Component.AUTH_SERVER: ("orchest", "authServer"),
    Component.ORCHEST_WEBSERVER: ("orchest", "orchestWebServer"),
    Component.NODE_AGENT: ("orchest", "nodeAgent"),
    Component.BUILDKIT_DAEMON: ("orchest", "buildkitDaemon"),
}
OWN = set(Component) - set(THIRD_PARTY_IMAGES)


def spec_with_custom_images(components: set[Component], version: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"orchest": {"version": version}}
    for component in components - {Component.DOCKER_REGISTRY}:
        at = spec
        for step in POSITIONS[component]:
            at = at.setdefault(step, {})
        at["image"] = CUSTOM
    if Component.DOCKER_REGISTRY in components:
        repository, _, tag = CUSTOM.partition(":")
        parameters = [{"name": "image.repository", "value": repository}, {"name": "image.tag", "value": tag}]
        spec["applications"] = [{"name": "docker-registry", "config": {"helm": {"parameters": parameters}}}]
    return spec


def rendered(components: set[Component], version: str) -> dict[ObjectKey, Json]:
    rendering = render(cluster(spec_with_custom_images(components, version)), FACTS)
    return {each.manifest.key: each.manifest.content for each in rendering.objects}


def changed(components: set[Component]) -> set[str]:
    """`Kind/name` of what differs between two versions."""
    before, after = rendered(components, "v2026.11.0"), rendered(components, "v2026.12.0")
    assert before.keys() == after.keys()
    return {f"{key.kind}/{key.name}" for key in before if before[key] != after[key]}


def workload(component: Component) -> str:
    kind = "DaemonSet" if component in {Component.NODE_AGENT, Component.BUILDKIT_DAEMON} else "Deployment"
    return f"{kind}/{component}"


@pytest.mark.parametrize("component", list(Component))
def test_a_custom_image_in_any_position_is_untouched_and_all_others_roll(component: Component) -> None:
    assert changed({component}) == {workload(each) for each in OWN - {component}} | {"ConfigMap/orchest-release"}


def test_with_custom_images_everywhere_nothing_rolls() -> None:
    assert changed(set(Component)) == {"ConfigMap/orchest-release"}


@pytest.mark.parametrize("component", list(Component))
def test_a_custom_image_is_deployed_exactly_as_written(component: Component) -> None:
    content = {f"{key.kind}/{key.name}": value for key, value in rendered({component}, "v2026.11.0").items()}

    assert content[workload(component)]["spec"]["template"]["spec"]["containers"][0]["image"] == CUSTOM


def test_only_the_image_of_a_component_changes_with_the_version() -> None:
    before, after = rendered(set(), "v2026.11.0"), rendered(set(), "v2026.12.0")
    for key, content in before.items():
        if key.kind in {"Deployment", "DaemonSet"}:
            container = content["spec"]["template"]["spec"]["containers"][0]
            container["image"] = after[key]["spec"]["template"]["spec"]["containers"][0]["image"]
        if key.name != "orchest-release":
            assert content == after[key]


def test_a_pinned_release_image_stays() -> None:
    spec = {"orchest": {"version": "v2026.12.0", "authServer": {"image": "orchest/auth-server:v2026.11.0"}}}
    pinned = render(cluster(spec, {"orchest.io/pin-images": "orchest-api, auth-server"}), FACTS)
    unpinned = render(cluster(spec), FACTS)

    assert {each.component: each.image for each in pinned.images}["auth-server"] == "orchest/auth-server:v2026.11.0"
    assert {each.component: each.image for each in unpinned.images}["auth-server"] == "orchest/auth-server:v2026.12.0"
