"""A saved plan against the world of this moment."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from diff.stale import restricted, stale_reasons
from tests.diff import worlds
from tests.diff.test_plan import set_image_by_hand
from tests.diff.worlds import applied, changed, planned, usual_rendering, without_object, writes

if TYPE_CHECKING:
    from desired_state.objects import Rendering

API = "Deployment.apps/orchest-api"
SETTINGS = "ConfigMap/settings"


def bumped() -> Rendering:
    return usual_rendering(orchest_api=worlds.deployment("orchest-api", "new:v2"))


def test_a_plan_holds_in_the_world_that_it_was_made_for() -> None:
    snapshot = applied(usual_rendering())
    assert stale_reasons(planned(bumped(), snapshot), planned(bumped(), snapshot)) == ()


def test_a_plan_that_was_carried_out_already_does_not_hold() -> None:
    snapshot = applied(usual_rendering())
    (reason,) = stale_reasons(planned(bumped(), snapshot), planned(bumped(), applied(bumped(), snapshot)))
    assert "applied already" in reason


def test_a_plan_does_not_hold_when_its_object_was_changed_or_deleted_meanwhile() -> None:
    snapshot = applied(usual_rendering())
    saved = planned(bumped(), snapshot)
    for world in (set_image_by_hand(snapshot), without_object(snapshot, API)):
        (reason,) = stale_reasons(saved, planned(bumped(), world))
        assert "orchest-api" in reason


def test_status_noise_and_changes_elsewhere_do_not_make_a_plan_stale() -> None:
    snapshot = applied(usual_rendering())
    noisy = changed(snapshot, API, lambda body: body["status"].update(availableReplicas=0))
    for world in (noisy, without_object(noisy, SETTINGS)):
        assert stale_reasons(planned(bumped(), snapshot), planned(bumped(), world)) == ()


@pytest.mark.parametrize("field", ["cluster_uid", "owner_uid", "crd_hash", "facts_digest", "key_id"])
def test_another_world_is_named_as_such(field: str) -> None:
    made = planned(bumped(), applied(usual_rendering()))
    changes: dict[str, Any] = {field: "other"}
    other = replace(made, basis=replace(made.basis, **changes))
    assert len(stale_reasons(made, other)) == 1


def test_what_the_saved_plan_did_not_write_is_not_written() -> None:
    """Kept at the time, drifted further since: nobody agreed to a write."""
    smaller = usual_rendering(
        userdir_pvc=worlds.claim("userdir-pvc", "1Gi"), orchest_api=worlds.deployment("orchest-api", "new:v2")
    )
    snapshot = applied(usual_rendering())
    saved = planned(smaller, snapshot)
    relabelled = changed(
        without_object(snapshot, SETTINGS),
        "PersistentVolumeClaim/userdir-pvc",
        lambda body: body["metadata"]["labels"].clear(),
    )
    fresh = planned(smaller, relabelled)
    assert len(writes(fresh)) == 3
    assert writes(restricted(fresh, saved)) == [("update", "Deployment.apps/orchest/orchest-api")]
