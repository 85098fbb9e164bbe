"""A golden case is a folder: `desired.yaml`, `observed.yaml`, and the plan they give, as people and as programs see it.

`desired.yaml` is what rendering gives: the OrchestCluster first, then its objects. Two things that are no Kubernetes
stand in it: a leaf `{$unknown: owner-uid}` for a value that only apply knows, and `$generated` beside `metadata` for
content that is made in the cluster. `observed.yaml` is what the server told, in any order. `python -m tests.golden`
writes the plans anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from ruamel.yaml import YAML

from desired_state.images import ImageDecision, ImageSource
from desired_state.objects import (
    COMPONENT_LABEL,
    DesiredObject,
    Generated,
    Manifest,
    Recipe,
    Rendering,
    Unknown,
    UnknownValue,
)
from diff.explain import as_text, explain
from diff.plan import plan
from diff.plan_file import plan_document
from diff.snapshot import ObservedObject, Snapshot
from tests.diff import worlds

if TYPE_CHECKING:
    from diff.plan import Plan

FOLDER = Path(__file__).parent
CASES = sorted(path.parent for path in FOLDER.glob("*/desired.yaml"))


def plan_of(case: Path) -> Plan:
    return plan(_rendering(case), _snapshot(case), masker=worlds.MASKER)


def as_people_see_it(made: Plan) -> str:
    return as_text(explain(made))


def as_programs_see_it(made: Plan) -> str:
    return orjson.dumps(plan_document(made), option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2).decode() + "\n"


def _documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in YAML(typ="safe").load_all(path) if document]


def _rendering(case: Path) -> Rendering:
    cluster, *objects = _documents(case / "desired.yaml")
    desired = tuple(sorted((_desired(body) for body in objects), key=lambda item: item.manifest.key))
    return Rendering(Manifest.of(cluster), desired, tuple(item.image for item in desired if item.image))


def _desired(body: dict[str, Any]) -> DesiredObject:
    recipe = body.pop("$generated", None)
    image = body.pop("$image", None)
    component = body["metadata"].get("labels", {}).get(COMPONENT_LABEL, "")
    generated = (
        Generated(Recipe(recipe["recipe"]), tuple(recipe["keys"]), tuple(recipe.get("hosts", ()))) if recipe else None
    )
    decision = ImageDecision(component, **{**image, "source": ImageSource(image["source"])}) if image else None
    return DesiredObject(Manifest.of(_with_unknowns(body)), component, decision, generated)


def _with_unknowns(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_unknowns(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$unknown" in value:
        return Unknown(UnknownValue(value["$unknown"]), value.get("template", "{}"))
    return {name: _with_unknowns(item) for name, item in value.items()}


def _snapshot(case: Path) -> Snapshot:
    observed = [_observed(body) for body in _documents(case / "observed.yaml")]
    return Snapshot(worlds.CLUSTER, worlds.FACTS, {item.key: item for item in observed}, worlds.NOW)


def _observed(body: dict[str, Any]) -> ObservedObject:
    metadata = body["metadata"]
    return ObservedObject(Manifest.of(body).key, metadata["uid"], metadata.get("resourceVersion", "1"), body)
