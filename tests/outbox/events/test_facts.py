from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import from_json

from outbox.events.facts import (
    FACTS_OF_LAYER,
    FIELDS_AT_MOST,
    LISTED_AT_MOST,
    MESSAGE_AT_MOST,
    Change,
    ChangedObject,
    ChangeType,
    ClusterAction,
    ClusterEventFacts,
    DriftedObject,
    ImageBuild,
    PipelineDefinition,
    ProjectFacts,
)
from outbox.events.types import Layer
from tests.outbox.events.examples import EXAMPLES, JOB, NOW, PIPELINE_FILE, PROJECT
from tests.outbox.events.strategies import FACTS


@pytest.mark.parametrize("layer", Layer)
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_facts_come_back_from_their_json(layer: Layer, data: st.DataObject) -> None:
    facts = data.draw(FACTS[layer])
    text = facts.model_dump_json()
    again = FACTS_OF_LAYER[layer].model_validate(from_json(text))
    assert again.model_dump_json() == text


@pytest.mark.parametrize("layer", Layer)
def test_a_fact_of_a_newer_version_is_skipped_by_an_older_reader(layer: Layer) -> None:
    stored = {**from_json(EXAMPLES[layer].model_dump_json()), "galaxy": {"name": "M31"}}
    assert FACTS_OF_LAYER[layer].model_validate(stored, extra="ignore") == EXAMPLES[layer]


def test_a_misspelt_fact_is_refused() -> None:
    with pytest.raises(ValidationError, match="project_title"):
        ProjectFacts.model_validate({"project_uuid": PROJECT, "project_name": "a", "project_title": "b"})


def test_what_may_hold_a_secret_is_not_kept() -> None:
    text = PipelineDefinition.model_validate(PIPELINE_FILE).model_dump_json()
    for secret in ("hunter2", "API_TOKEN", "AWS_SECRET_ACCESS_KEY", "--logdir"):
        assert secret in str(PIPELINE_FILE)
        assert secret not in text


@pytest.mark.parametrize("changed", [ChangedObject.ENVIRONMENT_VARIABLE, ChangedObject.NAME, ChangedObject.PARAMETERS])
def test_a_change_that_is_nobodys_business_cannot_carry_a_value(changed: ChangedObject) -> None:
    with pytest.raises(ValidationError, match="without values"):
        Change(type=ChangeType.UPDATED, changed_object=changed, new_value="hunter2")


def test_the_lists_of_a_cluster_event_are_bounded_and_the_counts_are_not() -> None:
    action = ClusterAction(object_key="a", verb="update", reason="drifted", result="done")
    drifted = DriftedObject(object_key="a", fields=tuple(f"/spec/{number}" for number in range(100)))
    facts = ClusterEventFacts(
        namespace="a",
        name="b",
        counts={"update": 10_000},
        actions=(action,) * 10_000,
        drifted_count=10_000,
        drifted=(drifted,) * 10_000,
        message="x" * 10_000,
    )
    assert len(facts.actions) == len(facts.drifted) == LISTED_AT_MOST
    assert len(facts.drifted[0].fields) == FIELDS_AT_MOST
    assert len(facts.message) == MESSAGE_AT_MOST
    assert facts.counts["update"] == facts.drifted_count == 10_000


def test_times_are_instants_and_kept_in_utc() -> None:
    east = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert str(ImageBuild(image_tag=1, requested_time=east).requested_time) == "2026-11-22 18:30:05.250000+00:00"
    with pytest.raises(ValidationError, match="timezone"):
        ImageBuild(image_tag=1, requested_time=datetime(2026, 1, 1))  # noqa: DTZ001


def test_the_scope_is_that_of_the_outermost_parts() -> None:
    assert EXAMPLES[Layer.PROJECT].scope == (PROJECT, None)
    assert EXAMPLES[Layer.INTERACTIVE_PIPELINE_RUN].scope == (PROJECT, None)
    assert EXAMPLES[Layer.CRON_JOB_RUN_PIPELINE_RUN].scope == (PROJECT, JOB)
    assert EXAMPLES[Layer.JUPYTER_IMAGE_BUILD].scope == EXAMPLES[Layer.CLUSTER].scope == (None, None)
