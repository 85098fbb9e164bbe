"""A new version rolls what follows the release and touches nothing else: from a manifest to a running cluster's plan.

The running cluster is the manifest's own plan carried out by the planner's model of the server. The server itself is
asked in `tests/cluster`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desired_state.images import ImageSource, parse_image
from desired_state.release import THIRD_PARTY_IMAGES, Component
from diff.action import WRITES, Verb
from render import render
from tests.desired_state.test_images import HUB_SPELLINGS, images
from tests.diff.worlds import FACTS, applied, planned
from tests.render.cases import cluster

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.objects import Rendering
    from diff.plan import Plan
    from diff.snapshot import Snapshot

OLD, NEW = "v2026.11.0", "v2026.12.0"
CUSTOM = "registry.example.com:5000/team/custom:1"
OWN = frozenset(Component) - THIRD_PARTY_IMAGES.keys()
POSITIONS: Mapping[Component, tuple[str, ...]] = {
    Component.ORCHEST_DATABASE: ("postgres",),
    Component.RABBITMQ_SERVER: ("rabbitMq",),
    Component.ORCHEST_API: ("orchest", "orchestApi"),
    Component.CELERY_WORKER: ("orchest", "celeryWorker"),
    Component.AUTH_SERVER: ("orchest", "authServer"),
    Component.ORCHEST_WEBSERVER: ("orchest", "orchestWebServer"),
    Component.NODE_AGENT: ("orchest", "nodeAgent"),
    Component.BUILDKIT_DAEMON: ("orchest", "buildkitDaemon"),
}
WRITTEN_THIRD_PARTY = {Component.ORCHEST_DATABASE: "postgres:13.1", Component.RABBITMQ_SERVER: "rabbitmq:3"}
"""What the original wrote for what it did not build."""

Images = dict[Component, str]


def rendered(written: Images, version: str) -> Rendering:
    """The rendering of a manifest with these images in their components' places."""
    spec: dict[str, Any] = {"orchest": {"version": version}}
    for component, image in written.items():
        at = spec
        for step in POSITIONS.get(component, ()):
            at = at.setdefault(step, {})
        if component in POSITIONS:
            at["image"] = image
        else:
            repository, _, tag = image.rpartition(":")
            parameters = [{"name": "image.repository", "value": repository}, {"name": "image.tag", "value": tag}]
            spec["applications"] = [{"name": component, "config": {"helm": {"parameters": parameters}}}]
    return render(cluster(spec), FACTS)


def bumped(written: Images) -> tuple[Snapshot, Plan]:
    """The cluster in sync with the old version, and the plan for the new one."""
    running = applied(rendered(written, OLD))
    assert planned(rendered(written, OLD), running).is_empty
    return running, planned(rendered(written, NEW), running)


def rolled(plan: Plan) -> set[str]:
    """Components whose workloads the plan writes; it must update them and nothing else."""
    workloads = [action for action in plan.actions if action.key.group == "apps" and action.verb in WRITES]
    assert {action.verb for action in workloads} <= {Verb.UPDATE}
    for action in workloads:
        component = action.key.name
        assert [change.path for change in action.changes] == [f"spec.template.spec.containers[name={component}].image"]
    return {action.key.name for action in workloads}


def deployed(snapshot: Snapshot) -> dict[str, str]:
    """The image of every component as it runs."""
    return {
        key.name: item.content["spec"]["template"]["spec"]["containers"][0]["image"]
        for key, item in snapshot.objects.items()
        if key.group == "apps"
    }


def after_bump(written: Images, running: Snapshot) -> dict[str, str]:
    return deployed(applied(rendered(written, NEW), running))


@pytest.mark.parametrize("component", list(Component))
def test_a_custom_image_in_any_place_is_not_touched_and_all_that_follow_the_release_roll(component: Component) -> None:
    running, plan = bumped({component: CUSTOM})

    assert rolled(plan) == OWN - {component}
    assert deployed(running)[component] == after_bump({component: CUSTOM}, running)[component] == CUSTOM
    assert {decision.component: decision.source for decision in plan.images}[component] is ImageSource.CUSTOM


@pytest.mark.parametrize("component", list(Component))
def test_with_custom_images_in_every_other_place_one_component_alone_rolls(component: Component) -> None:
    _, plan = bumped(dict.fromkeys(set(Component) - {component}, CUSTOM))

    assert rolled(plan) == {component} & OWN


def test_with_custom_images_everywhere_only_the_manifest_and_the_release_note_change() -> None:
    _, plan = bumped(dict.fromkeys(Component, CUSTOM))

    written = {f"{action.key.kind}/{action.key.name}" for action in plan.actions if action.verb in WRITES}
    assert written == {"OrchestCluster/cluster-1", "ConfigMap/orchest-release"}


def is_release_image(component: Component, image: str) -> bool:
    """By rule 4 of the design, said a second time: the original's default in any spelling of Docker Hub."""
    canonical = parse_image(image).canonical
    if component in WRITTEN_THIRD_PARTY:
        return canonical == parse_image(WRITTEN_THIRD_PARTY[component]).canonical
    return canonical.startswith(f"docker.io/orchest/{component}:v2") and "@" not in canonical


written_images = st.dictionaries(st.sampled_from(sorted(POSITIONS)), images, min_size=1).filter(
    lambda written: not any(is_release_image(component, image) for component, image in written.items())
)


@settings(max_examples=40, deadline=None)
@given(written_images)
def test_whatever_image_somebody_writes_is_deployed_as_written_and_kept(written: Images) -> None:
    running, plan = bumped(written)

    assert rolled(plan) == OWN - written.keys()
    assert written.items() <= deployed(running).items()
    assert written.items() <= after_bump(written, running).items()


releases = st.from_regex(r"v20[0-9]{2}\.(0[1-9]|1[0-2])\.[0-9]{1,2}", fullmatch=True)
spellings = st.sampled_from(HUB_SPELLINGS)


@st.composite
def originals_defaults(draw: st.DrawFn) -> Images:
    """What the original's controller wrote into a spec, some of it or all, under any spelling of Docker Hub."""
    release, prefix = draw(releases), draw(spellings)
    components = draw(st.sets(st.sampled_from(sorted(POSITIONS)), min_size=1))
    return {
        component: f"{prefix}{WRITTEN_THIRD_PARTY.get(component, f'orchest/{component}:{release}')}"
        for component in components
    }


@settings(max_examples=40, deadline=None)
@given(originals_defaults())
def test_what_the_original_wrote_as_its_defaults_follows_the_release_and_the_plan_says_so(written: Images) -> None:
    running, plan = bumped(written)

    assert rolled(plan) == OWN
    assert after_bump(written, running) == after_bump({}, running)
    sources = {decision.component: decision.source for decision in plan.images}
    assert all(sources[component] is ImageSource.ORIGINAL_DEFAULT for component in written)
    assert {decision.written for decision in plan.images} >= set(written.values())


@settings(max_examples=15, deadline=None)
@given(originals_defaults())
def test_taking_the_originals_defaults_out_of_the_manifest_touches_no_workload(written: Images) -> None:
    running = applied(rendered(written, OLD))

    plan = planned(rendered({}, OLD), running)

    assert rolled(plan) == set()
    assert [action.key.kind for action in plan.actions if action.verb in WRITES] == ["OrchestCluster"]
