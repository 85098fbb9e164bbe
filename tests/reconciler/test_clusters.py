"""An OrchestCluster as the server told it, as if it were what Git says."""

from __future__ import annotations

from typing import Any

import pytest

from desired_state.errors import DesiredStateError
from reconciler.clusters import as_desired, is_paused, manifest_text, paused, resumed


def told(**orchest: Any) -> dict[str, Any]:
    return {
        "apiVersion": "orchest.io/v1alpha1",
        "kind": "OrchestCluster",
        "metadata": {
            "name": "c",
            "namespace": "team-a",
            "uid": "u",
            "resourceVersion": "7",
            "generation": 3,
            "labels": {"team": "a"},
            "annotations": {"orchest.io/owned-paths": "732285c24700d214", "orchest.io/drift": "warn"},
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": {"singleNode": True, "orchest": orchest},
        "status": {"state": "Running"},
    }


def test_only_what_a_person_would_write_is_desired() -> None:
    cluster = as_desired(told(version="v2023.03.0"))
    assert cluster.document == {
        "apiVersion": "orchest.io/v1alpha1",
        "kind": "OrchestCluster",
        "metadata": {
            "name": "c",
            "namespace": "team-a",
            "labels": {"team": "a"},
            "annotations": {"orchest.io/drift": "warn"},
        },
        "spec": {"singleNode": True, "orchest": {"version": "v2023.03.0"}},
    }


def test_the_text_is_the_same_whatever_the_cluster_reports_of_itself() -> None:
    busy = {**told(), "status": {"state": "Updating"}}
    assert manifest_text(busy) == manifest_text(told())


@pytest.mark.parametrize("orchest", [{}, {"pause": False}, {"pause": True, "version": "v2023.03.0"}])
def test_pausing_and_resuming_change_that_field_alone(orchest: dict[str, Any]) -> None:
    before = told(**orchest)
    assert paused(before) == told(**{**orchest, "pause": True})
    rest = {name: value for name, value in orchest.items() if name != "pause"}
    assert resumed(before) == resumed(paused(before)) == told(**rest)
    assert (is_paused(paused(before)), is_paused(resumed(before))) == (True, False)
    assert before == told(**orchest)


def test_a_cluster_without_a_spec_can_be_paused() -> None:
    bare = {name: value for name, value in told().items() if name != "spec"}
    assert paused(bare)["spec"] == {"orchest": {"pause": True}}
    assert not is_paused(bare)


def test_a_cluster_that_this_release_would_not_accept_is_an_error() -> None:
    with pytest.raises(DesiredStateError, match="unknown field"):
        as_desired(told(colour="red"))
