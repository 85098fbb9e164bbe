"""Nothing that a person chose leaves by telemetry, and what is worth counting does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from outbox.events import models
from outbox.events.allow_list import LAYERS, allowed
from outbox.events.facts import (
    FACTS_OF_LAYER,
    ClusterAction,
    ClusterEventFacts,
    Facts,
    InteractivePipelineRunFacts,
    InteractiveSessionFacts,
    OneOffJobPipelineRunFacts,
    PipelineDefinition,
    ProjectFacts,
    RunStatus,
    RunStep,
    Service,
    Step,
)
from outbox.events.models import event_of, json_text
from outbox.events.types import EventType, Layer, layer_of
from tests.outbox.events.canaries import DISGUISES, Flock, full, heard, with_something_in_every_object
from tests.outbox.events.examples import EVENT, EXAMPLES, JOB, LOAD, NOW, PIPELINE, PROJECT, RUN, TRAIN, example_type
from tests.outbox.events.strategies import FACTS

if TYPE_CHECKING:
    from collections.abc import Iterator

TRUSTING = [Layer.INTERACTIVE_SESSION, Layer.INTERACTIVE_PIPELINE_RUN, Layer.ONE_OFF_JOB, Layer.CLUSTER]
"""Layers of which some parts are left to the gate alone."""
CHOSEN_NUMBERS = {"order", "ports", "max_steps_parallelism", "counts"}
"""Numbers that count nothing, but that people choose; and those whose keys are no verbs here."""
PARTS_OF_SOMETHING = {"pipeline_uuid"}
"""Of a job: told with its definition and its runs only."""


def telemetry(event_type: EventType, facts: Facts) -> Any:
    return orjson.loads(telemetry_text(event_type, facts))


def telemetry_text(event_type: EventType, facts: Facts) -> str:
    return json_text(event_of(event_type, facts, EVENT, NOW).to_telemetry_payload())


def facts_text(facts: Facts) -> str:
    """As kept in the row."""
    return facts.model_dump_json()


def example(layer: Layer, facts: Facts | None = None) -> Any:
    return telemetry(example_type(layer), facts or EXAMPLES[layer])


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from leaves(one)
    else:
        yield value


def fields(model: BaseModel) -> Iterator[tuple[str, Any]]:
    """Of the model and all in it."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        yield name, value
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
        for one in inner:
            if isinstance(one, BaseModel):
                yield from fields(one)


# Nothing leaks.


@pytest.mark.parametrize("event_type", EventType)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_no_string_and_no_key_of_the_facts_leaves(event_type: EventType, data: st.DataObject) -> None:
    flock = Flock()
    facts = flock.in_every_string_of(data.draw(FACTS[layer_of(event_type)]))
    assert heard(telemetry_text(event_type, facts)) == set()
    assert heard(facts_text(facts)) == flock.planted


@pytest.mark.parametrize("layer", Layer)
def test_no_string_of_any_field_there_is_leaves_in_any_disguise(layer: Layer) -> None:
    facts = full(FACTS_OF_LAYER[layer])
    for first_disguise in range(len(DISGUISES)):
        flock = Flock(first_disguise)
        planted = flock.in_every_string_of(facts)
        assert heard(telemetry_text(example_type(layer), planted)) == set()
        assert heard(facts_text(planted)) == flock.planted


@pytest.mark.parametrize("layer", TRUSTING)
def test_without_the_allow_list_the_canaries_are_heard(layer: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutation: the gate stands open."""
    facts = Flock().in_every_string_of(full(FACTS_OF_LAYER[layer]))
    assert heard(telemetry_text(example_type(layer), facts)) == set()
    monkeypatch.setattr(models, "allowed", lambda payload, _: payload)
    assert heard(telemetry_text(example_type(layer), facts)) != set()


@pytest.mark.parametrize("layer", Layer)
def test_whatever_is_put_into_a_payload_by_mistake_is_stopped_at_the_gate(layer: Layer) -> None:
    flock = Flock()
    facts = flock.in_every_string_of(full(FACTS_OF_LAYER[layer]))
    dumped = facts.model_dump(mode="json")
    more = dumped | {"facts": dumped, flock.string(): 1}
    shape = LAYERS[layer]
    payload = example(layer)
    for half, trees in (("event_properties", shape.event_properties), ("derived_properties", shape.derived_properties)):
        spoiled = with_something_in_every_object(payload[half], more)
        assert heard(json.dumps(spoiled)) == flock.planted
        assert heard(json.dumps(allowed(spoiled, trees))) == set()


def test_a_new_field_of_the_facts_is_not_told() -> None:
    class OwnedProjectFacts(ProjectFacts):
        owner: str = ""
        owner_number: int = 0

    facts = OwnedProjectFacts(project_uuid=PROJECT, project_name="Forecast", owner="ada@example.org", owner_number=7)
    without = ProjectFacts(project_uuid=PROJECT, project_name="Forecast")
    assert telemetry(EventType.PROJECT_CREATED, facts) == telemetry(EventType.PROJECT_CREATED, without)


def test_a_new_field_deep_in_the_facts_is_not_told_even_by_a_part_that_would_dump_it() -> None:
    payload = example(Layer.INTERACTIVE_PIPELINE_RUN)["event_properties"]
    run = payload["project"]["pipeline"]["session"]["pipeline_run"]
    run["pipeline_definition"]["settings"]["data_passing_memory_size"] = "1GB"
    told = allowed(payload, LAYERS[Layer.INTERACTIVE_PIPELINE_RUN].event_properties)
    settings_told = told["project"]["pipeline"]["session"]["pipeline_run"]["pipeline_definition"]["settings"]
    assert settings_told == {"auto_eviction": False, "max_steps_parallelism": 2}


def test_of_a_cluster_only_ids_releases_and_counts_are_told() -> None:
    facts = EXAMPLES[Layer.CLUSTER]
    assert isinstance(facts, ClusterEventFacts)
    secretive = facts.model_copy(
        update={
            "namespace": "acme-prod",
            "revision": "git@git.acme.example:platform/clusters.git#main",
            "message": "acme-db is not ready",
            "actions": (ClusterAction(object_key="v1/Secret/acme", verb="update", reason="acme", result="acme"),),
            "counts": {"update": 3, "acme": 4},
            "version_before": "v2026.10.2-acme",
        }
    )
    payload = example(Layer.CLUSTER, secretive)
    assert payload["event_properties"]["cluster"] == {
        "uid": facts.uid,
        "server_uid": facts.server_uid,
        "cycle_uuid": str(facts.cycle_uuid),
        "version_after": "v2026.11.0",
    }
    assert payload["derived_properties"]["cluster"] == {"counts": {"update": 3}, "drifted_count": 1}


def test_numbers_that_people_choose_are_not_told_unless_small() -> None:
    definition = PipelineDefinition.model_validate(
        {
            "uuid": str(PIPELINE),
            "settings": {"max_steps_parallelism": 4_915_112_345},
            "services": {"db": {"name": "db", "ports": [49151], "order": 123_456_789}},
        }
    )
    facts = EXAMPLES[Layer.INTERACTIVE_PIPELINE_RUN].model_copy(update={"pipeline_definition": definition})
    text = telemetry_text(example_type(Layer.INTERACTIVE_PIPELINE_RUN), facts)
    assert not any(number in text for number in ("4915112345", "49151", "123456789"))


# What is worth knowing is there.


@pytest.mark.parametrize("event_type", EventType)
@settings(max_examples=10, deadline=None)
@given(st.data())
def test_the_uuids_and_the_counts_of_the_facts_are_told(event_type: EventType, data: st.DataObject) -> None:
    facts = data.draw(FACTS[layer_of(event_type)])
    text = telemetry_text(event_type, Flock().in_every_string_of(facts))
    told = set(leaves(orjson.loads(text)))
    assert {str(EVENT), event_type.value} <= told
    for name, value in fields(facts):
        if isinstance(value, UUID) and name not in PARTS_OF_SOMETHING:
            assert str(value) in told
        if isinstance(value, int) and name not in CHOSEN_NUMBERS:
            assert value in told


@pytest.mark.parametrize("layer", Layer)
def test_every_count_of_every_field_there_is_is_told(layer: Layer) -> None:
    facts = full(FACTS_OF_LAYER[layer])
    told = set(leaves(telemetry(example_type(layer), facts)))
    numbers = {value for name, value in fields(facts) if type(value) is int and name not in CHOSEN_NUMBERS}
    assert numbers <= told


def test_what_a_definition_has_is_counted() -> None:
    derived = example(Layer.INTERACTIVE_PIPELINE_RUN)["derived_properties"]["pipeline_definition"]
    assert derived == {
        "pipeline_parameters_count": 1,
        "step_count": 2,
        "unique_environments_count": 1,
        "step_parameters_count": 1,
        "step_file_extension_count": {".py": 1, ".ipynb": 1},
        "services": {"service_1": {"binds_count": 1, "ports_count": 1}},
    }


def test_a_job_run_tells_how_many_steps_failed_and_how_many_parameters_each_was_given() -> None:
    payload = example(Layer.ONE_OFF_JOB_PIPELINE_RUN)
    assert payload["derived_properties"]["project"]["job"]["pipeline_run"] == {
        "failed_steps_count": 1,
        "parameters": {f"{LOAD}_parameters_count": 1, "pipeline_parameters_count": 1},
    }
    run = payload["event_properties"]["project"]["job"]["pipeline_run"]
    path = f"/job-run?project_uuid={PROJECT}&pipeline_uuid={PIPELINE}&job_uuid={JOB}&run_uuid={RUN}"
    assert run == {"uuid": str(RUN), "status": "FAILURE", "number": 29, "url_path": path}


# Names become ordinals.


def session_telemetry(*services: Service) -> Any:
    facts = EXAMPLES[Layer.INTERACTIVE_SESSION]
    assert isinstance(facts, InteractiveSessionFacts)
    given_services = {service.name: service for service in services}
    return example(Layer.INTERACTIVE_SESSION, facts.model_copy(update={"user_services": given_services}))


def test_services_are_numbered_in_the_order_in_which_they_start() -> None:
    payload = session_telemetry(
        Service(name="web", order=2, ports=(80, 443)),
        Service(name="unordered"),
        Service(name="acme-db", order=1, binds={"/data": "/d"}),
    )
    told = payload["event_properties"]["project"]["pipeline"]["session"]["user_services"]
    assert [service["name"] for service in told.values()] == list(told) == ["service_1", "service_2", "service_3"]
    assert payload["derived_properties"]["services"] == {
        "service_1": {"binds_count": 1, "ports_count": 0},
        "service_2": {"binds_count": 0, "ports_count": 2},
        "service_3": {"binds_count": 0, "ports_count": 0},
    }


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ("orchest/base-kernel-py", True),
        ("orchest/base-kernel-r:v2026.11.0", True),
        (f"environment@{PROJECT}", True),
        ("tensorflow/tensorflow", False),
        ("orchest/acme-model", False),
        ("registry.acme.example/orchest/base-kernel-py", False),
        ("orchest/base-kernel-py:acme", False),
        ("environment@acme", False),
    ],
)
def test_of_images_only_those_of_a_release_are_named(image: str, told: bool) -> None:
    payload = session_telemetry(Service(name="one", image=image))
    service = payload["event_properties"]["project"]["pipeline"]["session"]["user_services"]["service_1"]
    assert service.get("image") == (image if told else None)


def test_a_step_has_the_same_ordinal_wherever_it_is_named() -> None:
    definition = PipelineDefinition(
        uuid=str(PIPELINE),
        steps={
            TRAIN: Step(uuid=TRAIN, incoming_connections=("load", "gone")),
            "load": Step(uuid="load", parameters={"rows": 1}),
        },
    )
    steps = tuple(RunStep(uuid=uuid, title=None, status=RunStatus.SUCCESS) for uuid in ("load", TRAIN, "other"))
    facts = EXAMPLES[Layer.INTERACTIVE_PIPELINE_RUN]
    assert isinstance(facts, InteractivePipelineRunFacts)
    payload = example(
        Layer.INTERACTIVE_PIPELINE_RUN, facts.model_copy(update={"pipeline_definition": definition, "steps": steps})
    )
    run = payload["event_properties"]["project"]["pipeline"]["session"]["pipeline_run"]
    counts = payload["derived_properties"]["project"]["pipeline"]["session"]["pipeline_run"]["parameters"]
    assert run["pipeline_definition"]["steps"] == {
        TRAIN: {"uuid": TRAIN, "incoming_connections": ["step_1", "step_2"]},
        "step_1": {"uuid": "step_1", "incoming_connections": []},
    }
    assert payload["event_properties"]["step_uuids_to_execute"] == ["step_1", TRAIN, "step_3"]
    assert counts == {f"{TRAIN}_parameters_count": 0, "step_1_parameters_count": 1, "pipeline_parameters_count": 0}


def test_parameters_of_a_step_without_uuid_are_counted_under_its_ordinal() -> None:
    facts = EXAMPLES[Layer.ONE_OFF_JOB_PIPELINE_RUN]
    assert isinstance(facts, OneOffJobPipelineRunFacts)
    run = facts.pipeline_run.model_copy(update={"parameters": {"acme": {"a": 1, "b": 2}, LOAD: {}}})
    payload = example(Layer.ONE_OFF_JOB_PIPELINE_RUN, facts.model_copy(update={"pipeline_run": run}))
    counts = payload["derived_properties"]["project"]["job"]["pipeline_run"]["parameters"]
    assert counts == {"step_1_parameters_count": 2, f"{LOAD}_parameters_count": 0}


def test_an_unknown_language_or_extension_is_other() -> None:
    facts = EXAMPLES[Layer.ENVIRONMENT_IMAGE_BUILD]
    odd = facts.model_copy(update={"language": "acme-lang", "base_image": "orchest/acme"})
    payload = example(Layer.ENVIRONMENT_IMAGE_BUILD, odd)
    build = payload["event_properties"]["project"]["environment"]["image_build"]
    assert (build["language"], build.get("base_image")) == ("other", None)
    assert payload["derived_properties"]["uses_orchest_base_image"] is True
    assert "base_image" not in payload["event_properties"]["deprecated"]
