from __future__ import annotations

import pytest

from diff.drift import DriftMode, IgnoreRule, drift_policy, parse_rule
from diff.paths import Element
from tests.diff import worlds

API = worlds.key("Deployment.apps/orchest-api")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("/spec/replicas", IgnoreRule("", "", ("spec", "replicas"))),
        ("Deployment/orchest-api:/spec/replicas", IgnoreRule("Deployment", "orchest-api", ("spec", "replicas"))),
        ("/metadata/annotations/a.b~1c", IgnoreRule("", "", ("metadata", "annotations", "a.b/c"))),
        ("/data/a~0b", IgnoreRule("", "", ("data", "a~b"))),
    ],
)
def test_a_rule_is_a_json_pointer_with_or_without_an_object(text: str, rule: IgnoreRule) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize("text", ["spec.replicas", "Deployment:/spec", "/", "Deployment/a:", "x/y/z"])
def test_what_is_no_rule_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is no ignore rule: write"):
        parse_rule(text)


def test_a_rule_covers_what_lies_below_its_field_and_entries_by_their_merge_key() -> None:
    rule = parse_rule("/spec/env/LEVEL")
    assert rule.covers(API, ("spec", "env", Element((("name", "LEVEL"),)), "value"))
    assert not rule.covers(API, ("spec", "env", Element((("name", "OTHER"),)), "value"))
    assert not rule.covers(API, ("spec",))


def test_the_mode_is_correct_unless_the_cluster_says_otherwise() -> None:
    assert drift_policy(worlds.cluster_content()).mode is DriftMode.CORRECT
    assert drift_policy(worlds.cluster_content(None, drift="observe")).mode is DriftMode.OBSERVE


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="sometimes"):
        drift_policy(worlds.cluster_content(None, drift="sometimes"))
