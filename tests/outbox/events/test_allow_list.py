from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from outbox.analytics import ALLOWED, Event
from outbox.events import allow_list
from outbox.events.allow_list import (
    BASE_IMAGE,
    COUNT,
    FLAG,
    JOB_DEFINITION,
    JOB_DEFINITION_COUNTED,
    LAYERS,
    MEASURE,
    PATH,
    PIPELINE_DEFINITION,
    PIPELINE_DEFINITION_COUNTED,
    RELEASE,
    SERVICE,
    SERVICE_IMAGE,
    SETTING,
    STEP,
    TIME,
    TYPE,
    UUID,
    Keyed,
    Kind,
    Listed,
    Properties,
    allowed,
)
from outbox.events.types import Layer
from tests.outbox.events.examples import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from outbox.events.allow_list import Shape

PAGE = (Path(__file__).parents[3] / "docs" / "analytics.md").read_text()
AROUND = {
    Layer.PROJECT: None,
    Layer.PROJECT_UPDATE: Layer.PROJECT,
    Layer.PIPELINE: Layer.PROJECT,
    Layer.PIPELINE_UPDATE: Layer.PIPELINE,
    Layer.INTERACTIVE_SESSION: Layer.PIPELINE,
    Layer.INTERACTIVE_PIPELINE_RUN: Layer.INTERACTIVE_SESSION,
    Layer.ENVIRONMENT: Layer.PROJECT,
    Layer.ENVIRONMENT_IMAGE_BUILD: Layer.ENVIRONMENT,
    Layer.ONE_OFF_JOB: Layer.PROJECT,
    Layer.ONE_OFF_JOB_UPDATE: Layer.ONE_OFF_JOB,
    Layer.ONE_OFF_JOB_PIPELINE_RUN: Layer.ONE_OFF_JOB,
    Layer.CRON_JOB: Layer.ONE_OFF_JOB,
    Layer.CRON_JOB_UPDATE: Layer.CRON_JOB,
    Layer.CRON_JOB_RUN: Layer.CRON_JOB,
    Layer.CRON_JOB_RUN_PIPELINE_RUN: Layer.CRON_JOB_RUN,
    Layer.JUPYTER_IMAGE_BUILD: None,
    Layer.CLUSTER: None,
}
"""The layer whose rows come before, in the page. A job's own part stands with the jobs that run once."""
PARTS: Mapping[str, Any] = {
    "pipeline definition": PIPELINE_DEFINITION,
    "counts of a pipeline definition": PIPELINE_DEFINITION_COUNTED,
    "job definition": JOB_DEFINITION,
    "counts of a job definition": JOB_DEFINITION_COUNTED,
}


def rows(shape: Shape, path: str = "") -> Iterator[tuple[str, str]]:
    """Each path, and what is allowed there."""
    for name, part in PARTS.items():
        if path and shape is part:
            yield path, f"*{name}*"
            return
    match shape:
        case Kind(name):
            yield path, name
        case Listed(of):
            yield from rows(of, f"{path}[]")
        case Keyed(keys, of):
            yield from rows(of, f"{path}.<{keys.name.replace('`', '')}>")
        case _:
            for key, inner in shape.items():
                yield from rows(inner, f"{path}.{key}" if path else key)


def rows_of(properties: Properties) -> list[tuple[str, str]]:
    halves = properties._asdict().items()
    return [(f"{half}.{path}", kind) for half, shape in halves for path, kind in rows(shape)]


def table(what: str) -> str:
    """Of a layer, a part, or one of the other events, as the page shows it."""
    if what in PARTS:
        found = list(rows(PARTS[what]))
    elif what in AROUND:
        around = AROUND[Layer(what)]
        before = rows_of(LAYERS[around]) if around else []
        found = [row for row in rows_of(LAYERS[Layer(what)]) if row not in before]
    else:
        found = rows_of(ALLOWED[Event(what)])
    lines = ["| path | what it can be |", "|---|---|", *(f"| `{path}` | {kind} |" for path, kind in found)]
    return "\n".join(lines)


TABLES = [*PARTS, *Layer, Event.HEARTBEAT_TRIGGER.value, Event.PROJECT_PIPELINE_SAVED.value]


@pytest.mark.parametrize("what", TABLES)
def test_the_page_lists_every_path_there_is(what: str) -> None:
    section = re.search(rf"^### `?{re.escape(what)}`?\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None
    assert table(what) in section.group(1)
    assert section.group(1).count("\n| `") == table(what).count("\n| `")


def test_every_layer_and_every_event_has_its_list() -> None:
    assert set(LAYERS) == set(Layer)
    assert set(ALLOWED) == set(Event)


def kinds(shape: Any) -> Iterator[Kind]:
    match shape:
        case Kind():
            yield shape
        case Listed(of):
            yield from kinds(of)
        case Keyed(keys, of):
            yield keys
            yield from kinds(of)
        case _:
            for inner in shape.values():
                yield from kinds(inner)


ALL_KINDS = {kind.name: kind for properties in ALLOWED.values() for half in properties for kind in kinds(half)}.values()


@pytest.mark.parametrize("kind", ALL_KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    "chosen",
    [
        *("acme", "", " ", "\n", "a" * 36, "ada@example.org", "0123456789", "10.0.0.1", "/acme", "v1", ".acme"),
        *(f"{PROJECT}\n", f" {PROJECT}", f"{PROJECT}acme", -1, 10**10, 1e300, math.nan, math.inf),
        *([], {}, ["acme"], {"acme": 1}, b"acme"),
    ],
    ids=repr,
)
def test_no_kind_lets_through_what_a_person_could_mean_something_by(kind: Kind, chosen: object) -> None:
    assert not kind.holds(chosen)


@pytest.mark.parametrize(
    ("kind", "there"),
    [
        (UUID, [str(PROJECT), str(PROJECT).upper()]),
        (COUNT, [0, 1, 10**9]),
        (MEASURE, [0, 1.5, 10**9]),
        (SETTING, [0, 1000]),
        (FLAG, [True, False]),
        (TIME, ["2026-11-22 18:30:05.250000+00:00", "2026-11-22T18:30:05+00:00"]),
        (RELEASE, ["v2026.11.0", "v2023.05.12"]),
        (STEP, [str(PROJECT), "step_1", "step_12"]),
        (SERVICE, ["service_1"]),
        (PATH, [f"/environment?project_uuid={PROJECT}&environment_uuid={PROJECT}"]),
        (BASE_IMAGE, ["orchest/base-kernel-py", "orchest/base-kernel-py-gpu:v2026.11.0"]),
        (SERVICE_IMAGE, [f"environment@{PROJECT}", "orchest/base-kernel-julia"]),
        (TYPE, ["project:created"]),
    ],
)
def test_a_kind_lets_its_own_through(kind: Kind, there: list[object]) -> None:
    assert all(kind.holds(one) for one in there)


@pytest.mark.parametrize(
    ("kind", "similar"),
    [
        (COUNT, [True, 1.0, "1"]),
        (FLAG, [0, 1, "true"]),
        (UUID, [PROJECT, str(PROJECT).replace("-", "")]),
        (RELEASE, ["2026.11.0", "v2026.13.0", "v2026.11.0-acme", "v2026.11.٣"]),
        (STEP, ["step_0", "step_", "step_1234567890", "service_1"]),
        (TIME, ["2026-11-22 18:30:05+01:00", "2026-11-22"]),
        (PATH, ["/job", "/job?job_uuid=acme", f"/acme?job_uuid={PROJECT}", f"/job?acme={PROJECT}"]),
        (BASE_IMAGE, ["orchest/acme", "orchest/base-kernel-py:latest", "x/orchest/base-kernel-py"]),
        (TYPE, ["project", "Project:created"]),
    ],
)
def test_a_kind_stops_what_only_looks_like_its_own(kind: Kind, similar: list[object]) -> None:
    assert not any(kind.holds(one) for one in similar)


def test_a_value_of_another_shape_is_left_out_with_all_in_it() -> None:
    shape: Shape = {"list": Listed(COUNT), "object": {"a": COUNT}, "keyed": Keyed(STEP, COUNT), "leaf": COUNT}
    assert isinstance(shape, dict)
    assert allowed({"list": {"a": 1}, "object": [1], "keyed": [1], "leaf": {"a": 1}, "other": 1}, shape) == {}
    assert allowed({"list": [1, "x", [2]], "object": {"a": 1, "b": 1}, "keyed": {"step_1": 1, "x": 1}}, shape) == {
        "list": [1],
        "object": {"a": 1},
        "keyed": {"step_1": 1},
    }


def test_null_tells_nothing_and_may_stand_anywhere() -> None:
    assert allowed({"a": None, "b": None, "c": None}, {"a": COUNT, "b": {"x": COUNT}}) == {"a": None, "b": None}


def test_what_is_given_stays_as_it_was() -> None:
    given = {"list": [1, "x"], "object": {"a": 1, "b": "x"}}
    told = allowed(given, {"list": Listed(COUNT), "object": {"a": COUNT}})
    assert given == {"list": [1, "x"], "object": {"a": 1, "b": "x"}}
    assert told["object"] is not given["object"]


def test_the_verbs_are_those_of_plans() -> None:
    from diff.action import Verb

    assert all(allow_list.VERB.holds(verb) for verb in Verb)
