from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import orjson
import pytest

from desired_state.images import ImageDecision, ImageSource
from desired_state.origin import Origin, OriginKind
from diff.action import Readiness, ReadinessRule, Reason, Verb
from diff.plan_file import PlanFile, PlanFileError, dump, load, same_action, seal
from tests.diff import worlds
from tests.diff.test_plan import set_image_by_hand
from tests.diff.worlds import applied, planned, usual_rendering, without_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from diff.plan import Plan

SCHEMA = Path(__file__).parents[2] / "docs" / "plan.schema.json"
ORIGIN = Origin(OriginKind.GIT, "digest", location="https://example.com/r.git", revision="main", commit="0123456789ab")


def sealed(plan: Plan) -> PlanFile:
    return seal(plan, plan_id="p-1", created_at=worlds.NOW, expires_at="2026-11-23T12:00:00Z", origin=ORIGIN)


def plans() -> list[Plan]:
    """Every verb and every shape that a plan file can have."""
    snapshot = applied(usual_rendering())
    mended = set_image_by_hand(without_object(snapshot, "ConfigMap/settings"))
    image = ImageDecision("orchest-api", "a/b:v1", ImageSource.CUSTOM, "a/b:v1", "set in Git")
    first = planned(usual_rendering(), worlds.empty_snapshot())
    return [
        replace(first, images=(image,), actions=tuple(replace(action, image=image) for action in first.actions)),
        planned(usual_rendering(), mended),
        planned(
            usual_rendering(userdir_pvc=worlds.claim("userdir-pvc", "1Gi")), set_image_by_hand(mended, "argo", "Apply")
        ),
        planned(usual_rendering(worker=worlds.role_binding("worker", "x")), snapshot),
        planned(worlds.rendering(), snapshot),
        planned(usual_rendering(), snapshot),
    ]


def without_manifests(plan: Plan) -> Plan:
    return replace(plan, actions=tuple(replace(action, manifest=None) for action in plan.actions))


@pytest.mark.parametrize("plan", plans())
def test_a_plan_comes_back_from_its_file_without_its_manifests(plan: Plan) -> None:
    plan_file = sealed(plan)
    loaded = load(dump(plan_file))
    assert loaded.header == plan_file.header
    assert loaded.plan == without_manifests(plan)


@pytest.mark.parametrize("plan", plans())
def test_a_plan_file_obeys_the_published_schema(plan: Plan) -> None:
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(json.loads(dump(sealed(plan))))


def test_the_published_schema_refuses_what_is_no_plan() -> None:
    document = json.loads(dump(sealed(plans()[0])))
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    spoilers: tuple[Callable[[Any], Any], ...] = (
        lambda one: one.pop("digest"),
        lambda one: one["actions"][0].update(verb="destroy"),
        lambda one: one["actions"][0].update(manifest={}),
        lambda one: one["actions"][0]["changes"][0].pop("path"),
        lambda one: one.update(secret="x"),
    )
    for spoil in spoilers:
        spoilt = json.loads(json.dumps(document))
        spoil(spoilt)
        assert not validator.is_valid(spoilt)


def test_every_action_of_a_saved_plan_is_the_same_as_planned_anew() -> None:
    for plan in plans():
        loaded = load(dump(sealed(plan))).plan
        assert all(same_action(saved, fresh) for saved, fresh in zip(loaded.actions, plan.actions, strict=True))


def test_words_and_patience_do_not_make_an_action_another_one() -> None:
    action = plans()[0].actions[0]
    patient = replace(action, explanation="other words", readiness=Readiness(ReadinessRule.NONE, timeout_seconds=1.0))
    assert same_action(action, patient)
    assert not same_action(action, replace(action, desired_digest="x"))
    assert not same_action(action, replace(action, wave=3))
    assert not same_action(action, replace(action, changes=()))


def test_a_cut_file_is_told_with_the_mend() -> None:
    with pytest.raises(PlanFileError, match=r"cut short.*orchest plan --out"):
        load(dump(sealed(plans()[0]))[:-100])


@pytest.mark.parametrize("place", ["plan_id", "cluster", "expires_at", "noop"])
def test_an_edited_file_is_told_with_the_mend(place: str) -> None:
    document = orjson.loads(dump(sealed(plans()[0])))
    document[place] = not document[place] if isinstance(document[place], bool) else document[place] + "x"
    with pytest.raises(PlanFileError, match=r"was changed after it was written.*orchest plan --out"):
        load(orjson.dumps(document))


def test_another_layout_of_the_same_content_is_no_edit() -> None:
    data = dump(sealed(plans()[0]))
    assert load(json.dumps(json.loads(data)).encode()) == load(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut short"),
        (b"[]", "is no plan"),
        (b'{"kind": "Deployment"}', "is no plan"),
        (b'{"format_version": "2.0"}', "format 2.0 and this release reads"),
        (b'{"format_version": "1.7"}', "was changed after"),
    ],
)
def test_what_is_no_plan_is_told_as_such(data: bytes, message: str) -> None:
    with pytest.raises(PlanFileError, match=message):
        load(data)


def test_no_secret_and_no_manifest_is_in_a_plan_file() -> None:
    for plan in plans():
        data = dump(sealed(plan))
        assert b"hunter2-canary" not in data
        assert b'"manifest"' not in data


def test_a_replace_says_delete_then_create() -> None:
    document: dict[str, Any] = orjson.loads(dump(sealed(plans()[3])))
    (action,) = document["actions"]
    assert action["actions"] == ["delete", "create"]
    assert action["replace_paths"] == ["roleRef.name"]


def test_an_empty_plan_says_noop() -> None:
    assert orjson.loads(dump(sealed(plans()[-1])))["noop"] is True
    assert orjson.loads(dump(sealed(plans()[0])))["noop"] is False


def test_the_published_schema_knows_every_verb_and_reason() -> None:
    action = json.loads(SCHEMA.read_text())["$defs"]["action"]["properties"]
    assert set(action["verb"]["enum"]) == set(Verb)
    assert set(action["reason"]["enum"]) == set(Reason)
