"""Stale means refused, and only what the plan rested on makes it stale."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from desired_state.masking import Masker
from desired_state.objects import OWNER_ANNOTATION
from diff.precondition import holds, seen_digest
from tests.diff import worlds
from tests.diff.worlds import action_for, applied, changed, key, planned, usual_rendering, with_object, without_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from diff.action import Action
    from diff.snapshot import Snapshot

API = "Deployment.apps/orchest-api"


def update() -> tuple[Snapshot, Action]:
    """A plan that changes the image of orchest-api, and the world it was made for."""
    snapshot = applied(usual_rendering())
    made = planned(usual_rendering(orchest_api=worlds.deployment("orchest-api", "new:v2")), snapshot)
    return snapshot, action_for(made, API)


def container(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["spec"]["template"]["spec"]["containers"][0]
    return found


NOISE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "status": lambda body: body["status"].update(availableReplicas=0, conditions=[{"type": "Available"}]),
    "generation": lambda body: body["metadata"].update(generation=99),
    "managed fields": lambda body: body["metadata"].pop("managedFields"),
    "a foreign annotation": lambda body: body["metadata"]["annotations"].update(
        {"deployment.kubernetes.io/revision": "2"}
    ),
    "a foreign field": lambda body: body["spec"].update(replicas=4),
    "a foreign container": lambda body: body["spec"]["template"]["spec"]["containers"].insert(0, {"name": "sidecar"}),
    "a foreign variable": lambda body: container(body)["env"].insert(0, {"name": "X", "value": "1"}),
    "a quantity spelled otherwise": lambda body: container(body)["resources"]["requests"].update(memory="512Mi"),
    "a default protocol": lambda body: container(body)["ports"][0].update(protocol="TCP"),
}
STALE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "the field that is to change": lambda body: container(body).update(image="hotfix:v3"),
    "another field that we set": lambda body: container(body)["env"][0].update(value="debug"),
    "a field that we set, removed": lambda body: container(body).pop("resources"),
    "our entries in another order": lambda body: container(body)["env"].reverse(),
    "the owner mark": lambda body: body["metadata"]["annotations"].update({OWNER_ANNOTATION: "a/b"}),
    "the owner mark, removed": lambda body: body["metadata"]["annotations"].pop(OWNER_ANNOTATION),
    "a deletion": lambda body: body["metadata"].update(deletionTimestamp=worlds.NOW),
}


@pytest.mark.parametrize("edit", NOISE.values(), ids=NOISE.keys())
def test_status_noise_and_fields_of_others_never_make_a_plan_stale(edit: Callable[[dict[str, Any]], Any]) -> None:
    snapshot, action = update()
    assert holds(action, changed(snapshot, API, edit), worlds.MASKER)


@pytest.mark.parametrize("edit", STALE.values(), ids=STALE.keys())
def test_what_the_plan_rested_on_makes_it_stale(edit: Callable[[dict[str, Any]], Any]) -> None:
    snapshot, action = update()
    assert not holds(action, changed(snapshot, API, edit), worlds.MASKER)


def test_a_deleted_and_a_recreated_object_make_a_plan_stale() -> None:
    snapshot, action = update()
    gone = without_object(snapshot, API)
    assert not holds(action, gone, worlds.MASKER)
    assert not holds(action, with_object(gone, dict(snapshot.objects[key(API)].content), uid="new"), worlds.MASKER)


@pytest.mark.parametrize("edit", ["the owner mark", "the owner mark, removed", "a deletion"])
def test_a_delete_rests_on_our_mark(edit: str) -> None:
    snapshot = applied(usual_rendering())
    made = planned(worlds.rendering(), snapshot)
    action = action_for(made, API)
    assert holds(action, snapshot, worlds.MASKER)
    assert not holds(action, changed(snapshot, API, STALE[edit]), worlds.MASKER)


def test_a_create_holds_only_while_the_object_is_absent() -> None:
    action = action_for(planned(usual_rendering(), worlds.empty_snapshot()), "ConfigMap/settings")
    assert holds(action, worlds.empty_snapshot(), worlds.MASKER)
    assert not holds(action, with_object(worlds.empty_snapshot(), worlds.config_map("settings")), worlds.MASKER)


def test_a_changed_field_beyond_git_makes_a_plan_for_the_cluster_stale() -> None:
    snapshot = applied(usual_rendering())
    wanted = replace(
        usual_rendering(), cluster=worlds.rendering(cluster=worlds.cluster_content({"singleNode": False})).cluster
    )
    action = action_for(planned(wanted, snapshot), "OrchestCluster.orchest.io/cluster-1")
    edited = changed(snapshot, "OrchestCluster.orchest.io/cluster-1", lambda body: body["spec"].update(postgres={}))
    assert holds(action, edited, worlds.MASKER), "an empty map says nothing"
    edited = changed(
        edited, "OrchestCluster.orchest.io/cluster-1", lambda body: body["spec"].update(orchest={"pause": True})
    )
    assert not holds(action, edited, worlds.MASKER)


def test_another_key_gives_another_digest() -> None:
    """Nobody without the key can test a guess of a password against a plan."""
    content = worlds.deployment("orchest-api")
    digests = {seen_digest(Masker(bytes([number]) * 32), content, None) for number in range(3)}
    assert len(digests) == 3
