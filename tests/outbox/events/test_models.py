from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect

from outbox.events.facts import CronJobRunFacts, Facts, InteractivePipelineRunFacts, OneOffJobFacts
from outbox.events.models import Event, class_of, event_of, json_text
from outbox.events.types import EventType, Layer, layer_of
from tests.outbox.events.examples import (
    EVENT,
    EXAMPLES,
    JOB,
    LOAD,
    NOW,
    PIPELINE,
    PROJECT,
    RUN,
    TRAIN,
    example_type,
)
from tests.outbox.events.strategies import FACTS, instants, uuids

PARENTS = {
    Layer.PROJECT: "Event",
    Layer.PROJECT_UPDATE: "ProjectEvent",
    Layer.PIPELINE: "ProjectEvent",
    Layer.PIPELINE_UPDATE: "PipelineEvent",
    Layer.INTERACTIVE_SESSION: "PipelineEvent",
    Layer.INTERACTIVE_PIPELINE_RUN: "InteractiveSessionEvent",
    Layer.ENVIRONMENT: "ProjectEvent",
    Layer.ENVIRONMENT_IMAGE_BUILD: "EnvironmentEvent",
    Layer.ONE_OFF_JOB: "JobEvent",
    Layer.ONE_OFF_JOB_UPDATE: "OneOffJobEvent",
    Layer.ONE_OFF_JOB_PIPELINE_RUN: "OneOffJobEvent",
    Layer.CRON_JOB: "JobEvent",
    Layer.CRON_JOB_UPDATE: "CronJobEvent",
    Layer.CRON_JOB_RUN: "CronJobEvent",
    Layer.CRON_JOB_RUN_PIPELINE_RUN: "CronJobRunEvent",
    Layer.JUPYTER_IMAGE_BUILD: "Event",
    Layer.CLUSTER: "Event",
}


def event(layer: Layer, facts: Facts | None = None) -> Event:
    return event_of(example_type(layer), facts or EXAMPLES[layer], EVENT, NOW)


def told(layer: Layer, facts: Facts | None = None) -> Any:
    return orjson.loads(event(layer, facts).payload)


def telemetry(layer: Layer) -> Any:
    return event(layer).to_telemetry_payload()


def test_one_class_per_layer_below_the_class_of_the_layer_around_it() -> None:
    assert {layer: class_of(layer).__bases__[0].__name__ for layer in Layer} == PARENTS


def test_one_table_and_its_only_foreign_key_is_the_type() -> None:
    tables = {class_of(layer).__table__ for layer in Layer}
    assert tables == {Event.__table__}
    assert [key.target_fullname for key in Event.__table__.foreign_keys] == ["event_types.name"]


@pytest.mark.parametrize("layer", Layer)
def test_a_layer_adds_to_what_its_parent_tells_and_changes_nothing_of_it(layer: Layer) -> None:
    made = event(layer)
    parent: type[Event] = class_of(layer).__bases__[0]
    assert is_part(parent.to_notification_payload(made), made.to_notification_payload())
    within: Any = made.to_telemetry_payload()
    around: Any = parent.to_telemetry_payload(made)
    for properties in around.values():
        properties.pop("deprecated", None)
    assert is_part(around, within)


def is_part(smaller: Any, larger: Any) -> bool:
    if isinstance(smaller, dict):
        return all(key in larger and is_part(value, larger[key]) for key, value in smaller.items())
    return bool(smaller == larger)


@pytest.mark.parametrize("event_type", EventType)
@settings(max_examples=5, deadline=None)
@given(st.data())
def test_a_stored_event_tells_the_same_as_a_new_one(event_type: EventType, data: st.DataObject) -> None:
    facts = data.draw(FACTS[layer_of(event_type)])
    new = event_of(event_type, facts, data.draw(uuids), data.draw(instants))
    columns = {column.key: getattr(new, column.key) for column in inspect(Event).columns}
    stored = class_of(layer_of(event_type))(**columns)
    assert "given" not in vars(stored)
    assert json_text(stored.to_notification_payload()) == new.payload
    assert json_text(stored.to_telemetry_payload()) == json_text(new.to_telemetry_payload())


def test_the_keys_stand_in_the_documented_order() -> None:
    assert list(told(Layer.CRON_JOB_RUN)) == ["uuid", "type", "timestamp", "project"]
    job = told(Layer.CRON_JOB_RUN)["project"]["job"]
    documented = "uuid name status pipeline_name url_path total_runs schedule next_scheduled_time run"
    assert list(job) == documented.split()


# The bugs of the original, each mended. `docs/events.md` lists them.


@pytest.mark.parametrize("layer", [Layer.PIPELINE, Layer.INTERACTIVE_SESSION])
def test_the_uuid_of_a_pipeline_is_the_pipelines_not_the_events(layer: Layer) -> None:
    assert told(layer)["project"]["pipeline"]["uuid"] == str(PIPELINE)
    assert telemetry(layer)["event_properties"]["project"]["pipeline"]["uuid"] == str(PIPELINE)


@pytest.mark.parametrize("layer", [Layer.CRON_JOB, Layer.CRON_JOB_RUN, Layer.CRON_JOB_RUN_PIPELINE_RUN])
def test_a_cron_job_tells_its_schedule_and_its_next_time(layer: Layer) -> None:
    job = told(layer)["project"]["job"]
    assert job["schedule"] == "0 6 * * *"
    assert job["next_scheduled_time"] == "2026-11-23 06:00:00+00:00"
    assert job["total_runs"] == 2


@pytest.mark.parametrize("layer", [Layer.ONE_OFF_JOB_UPDATE, Layer.CRON_JOB_UPDATE])
def test_the_changes_of_a_job_are_nested_once(layer: Layer) -> None:
    assert list(told(layer)["project"]["job"]["update"]) == ["changes"]
    assert list(telemetry(layer)["event_properties"]["project"]["job"]["update"]) == ["changes"]


def test_a_time_that_has_not_come_is_null_and_no_text() -> None:
    build = telemetry(Layer.JUPYTER_IMAGE_BUILD)["event_properties"]["jupyter"]["image_build"]
    assert build["started_time"] == "2026-11-22 18:30:05.250000+00:00"
    assert build["finished_time"] is None


def test_parameters_that_json_cannot_say_are_told_as_null() -> None:
    given_facts = EXAMPLES[Layer.INTERACTIVE_PIPELINE_RUN]
    assert isinstance(given_facts, InteractivePipelineRunFacts)
    definition = given_facts.pipeline_definition.model_copy(
        update={"parameters": {"rate": math.nan, "huge": 10**40, "zero": "\x00"}}
    )
    facts = given_facts.model_copy(update={"pipeline_definition": definition})
    text = event(Layer.INTERACTIVE_PIPELINE_RUN, facts).payload
    assert '"parameters":{"rate":null,"huge":1' + "0" * 40 + r',"zero":"\u0000"}' in text


# The shapes that old receivers parse.


def test_the_run_of_a_session() -> None:
    run = told(Layer.INTERACTIVE_PIPELINE_RUN)["project"]["pipeline"]["session"]["pipeline_run"]
    assert run == {
        "uuid": str(RUN),
        "url_path": f"/pipeline?project_uuid={PROJECT}&pipeline_uuid={PIPELINE}",
        "steps": [{"uuid": LOAD, "title": "Load"}, {"uuid": TRAIN, "title": "Train"}],
        "parameters": {
            LOAD: {"step": {"uuid": LOAD, "title": "Load"}, "parameters": {"rows": 1000}},
            TRAIN: {"step": {"uuid": TRAIN, "title": "Train"}, "parameters": {}},
            "pipeline_parameters": {"parameters": {"year": 2026}},
        },
        "failed_steps": [{"uuid": TRAIN, "title": "Train"}],
    }


def test_the_run_of_a_cron_job() -> None:
    run = told(Layer.CRON_JOB_RUN_PIPELINE_RUN)["project"]["job"]["run"]
    pipeline_run = run.pop("pipeline_run")
    assert run == {"status": "FAILURE", "number": 14, "total_pipeline_runs": 2}
    path = f"/job-run?project_uuid={PROJECT}&pipeline_uuid={PIPELINE}&job_uuid={JOB}&run_uuid={RUN}"
    assert pipeline_run == {
        "uuid": str(RUN),
        "parameters": {
            LOAD: {"step": {"uuid": LOAD, "title": "Load"}, "parameters": {"rows": 500}},
            "pipeline_parameters": {"parameters": {"year": 2025}},
        },
        "status": "FAILURE",
        "number": 29,
        "number_in_run": 1,
        "url_path": path,
        "failed_steps": [{"uuid": TRAIN, "title": "Train"}],
    }


def test_the_run_of_a_one_off_job_has_no_number_in_a_run() -> None:
    run = told(Layer.ONE_OFF_JOB_PIPELINE_RUN)["project"]["job"]["pipeline_run"]
    assert "number_in_run" not in run
    assert run["number"] == 29


def test_a_cron_run_of_which_nothing_is_known_has_a_null_status() -> None:
    given_facts = EXAMPLES[Layer.CRON_JOB_RUN]
    assert isinstance(given_facts, CronJobRunFacts)
    facts = given_facts.model_copy(update={"run_status": None})
    assert told(Layer.CRON_JOB_RUN, facts)["project"]["job"]["run"]["status"] is None


def test_telemetry_repeats_the_oldest_keys_at_the_root_and_names_them() -> None:
    payload = telemetry(Layer.INTERACTIVE_PIPELINE_RUN)
    event_properties, derived = payload["event_properties"], payload["derived_properties"]
    names = "project_uuid pipeline_uuid active_runs run_uuid run_type step_uuids_to_execute"
    facts = EXAMPLES[Layer.INTERACTIVE_PIPELINE_RUN]
    assert isinstance(facts, InteractivePipelineRunFacts)
    assert facts.active_runs is None
    assert event_properties["deprecated"] == [name for name in names.split() if name != "active_runs"]
    assert event_properties["run_type"] == "interactive"
    assert event_properties["step_uuids_to_execute"] == [LOAD, TRAIN]
    assert derived["deprecated"] == ["services", "pipeline_definition"]
    assert telemetry(Layer.INTERACTIVE_SESSION)["event_properties"]["active_runs"] is True


def test_the_telemetry_of_a_job_counts_its_definition() -> None:
    payload = telemetry(Layer.ONE_OFF_JOB)
    assert payload["derived_properties"]["project"]["job"] == {
        "definition": {
            "parameterized_runs_count": 2,
            "env_variables_count": 3,
            "pipeline_definition": {
                "pipeline_parameters_count": 1,
                "step_count": 2,
                "unique_environments_count": 1,
                "step_parameters_count": 1,
                "step_file_extension_count": {".py": 1, ".ipynb": 1},
                "services": {"service_1": {"binds_count": 1, "ports_count": 1}},
            },
        },
        "snapshot_size": 1.5,
    }
    root = payload["event_properties"]
    assert root["deprecated"] == ["job_uuid", "job_definition", "snapshot_size"]
    assert root["job_definition"]["draft"] is True


def test_counts_of_projects_are_told_where_they_are_given() -> None:
    assert telemetry(Layer.PROJECT)["derived_properties"]["project"] == {"projects_count": 4}
    assert telemetry(Layer.PIPELINE)["derived_properties"]["project"]["pipeline"] == {"project_pipelines_count": 7}
    assert telemetry(Layer.PROJECT_UPDATE)["derived_properties"]["project"] == {"update": {}}


def test_an_image_build_tells_telemetry_which_of_our_base_images_it_uses() -> None:
    payload = telemetry(Layer.ENVIRONMENT_IMAGE_BUILD)
    build = payload["event_properties"]["project"]["environment"]["image_build"]
    assert build["base_image"] == "orchest/base-kernel-py"
    assert (build["language"], build["gpu_support"]) == ("python", False)
    assert payload["derived_properties"]["uses_orchest_base_image"] is True


def test_a_job_without_definition_is_told_without_one() -> None:
    given_facts = EXAMPLES[Layer.ONE_OFF_JOB]
    assert isinstance(given_facts, OneOffJobFacts)
    facts = given_facts.model_copy(update={"definition": None})
    payload = event(Layer.ONE_OFF_JOB, facts).to_telemetry_payload()
    assert payload["derived_properties"]["project"]["job"] == {}
