"""What others do to our objects: kubectl, people and other controllers, as changes of a world.

In: a world and an object key. Out: the world after the write, with field managers as a real server keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desired_state.objects import COMPONENT_LABEL, FIELD_MANAGER, OWNER_ANNOTATION, PART_OF_LABEL, Unknown
from diff.managed_fields import read_fields, write_fields
from tests.torture import server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from desired_state.objects import Json, ObjectKey
    from diff.snapshot import ObservedObject, Snapshot


@dataclass(frozen=True, slots=True)
class ForeignWrite:
    name: str
    applies_to: Callable[[ObservedObject], bool]
    change: Callable[[Snapshot, ObjectKey], Snapshot]


def body(
    api_version: str,
    kind: str,
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Json]:
    metadata: dict[str, Json] = {
        "name": name,
        "namespace": "orchest",
        "labels": labels or {},
        "annotations": annotations or {},
    }
    if kind == "Deployment":
        metadata["generation"] = 1
    return {"apiVersion": api_version, "kind": kind, "metadata": {**metadata, "managedFields": []}, "spec": {}}


def resolved(value: Json) -> Any:
    """As a person would have written it: something stands where we have values that are unknown at first."""
    if isinstance(value, Unknown):
        return value.resolved("of-the-original")
    if isinstance(value, dict):
        return {name: resolved(item) for name, item in value.items()}
    return [resolved(item) for item in value] if isinstance(value, list) else value


def _is_workload(item: ObservedObject) -> bool:
    return item.key.group == "apps"


def _is_any(item: ObservedObject) -> bool:
    return item.key.kind not in {"Namespace", "OrchestCluster"}


def _is_deployment(item: ObservedObject) -> bool:
    return item.key.kind == "Deployment"


def _has_mark(item: ObservedObject) -> bool:
    return _is_any(item) and OWNER_ANNOTATION in (item.content["metadata"].get("annotations") or {})


def _set_image(world: Snapshot, key: ObjectKey) -> Snapshot:
    content = world.objects[key].content
    first, *rest = content["spec"]["template"]["spec"]["containers"]
    edited = _at(content, ("spec", "template", "spec", "containers"), [{**first, "image": "example.com/hand:1"}, *rest])
    element = f'k:{{"name":"{first["name"]}"}}'
    path = ("f:spec", "f:template", "f:spec", "f:containers", element, "f:image")
    return server.stored(world, key, _next_generation(_taken(edited, path, "kubectl-set")))


def _set_env(world: Snapshot, key: ObjectKey) -> Snapshot:
    """`kubectl set env FOREIGN=1`: an entry of somebody else's in our list, in front as the server puts it."""
    content = world.objects[key].content
    first, *rest = content["spec"]["template"]["spec"]["containers"]
    env = [{"name": "FOREIGN", "value": "1"}, *(one for one in first.get("env") or [] if one["name"] != "FOREIGN")]
    edited = _at(content, ("spec", "template", "spec", "containers"), [{**first, "env": env}, *rest])
    path = (
        "f:spec",
        "f:template",
        "f:spec",
        "f:containers",
        f'k:{{"name":"{first["name"]}"}}',
        "f:env",
        'k:{"name":"FOREIGN"}',
        "f:value",
    )
    return server.stored(world, key, _next_generation(_taken(edited, path, "kubectl-set")))


def _scale(world: Snapshot, key: ObjectKey) -> Snapshot:
    content = world.objects[key].content
    edited = _at(content, ("spec", "replicas"), 7)
    return server.stored(world, key, _next_generation(_taken(edited, ("f:spec", "f:replicas"), "kubectl")))


def _annotate(world: Snapshot, key: ObjectKey) -> Snapshot:
    content = world.objects[key].content
    edited = _at(content, ("metadata", "annotations", "example.com/foreign"), "1")
    return server.stored(
        world, key, _taken(edited, ("f:metadata", "f:annotations", "f:example.com/foreign"), "kubectl-annotate")
    )


def _strip(field: str, names: tuple[str, ...]) -> Callable[[Snapshot, ObjectKey], Snapshot]:
    def strip(world: Snapshot, key: ObjectKey) -> Snapshot:
        content = world.objects[key].content
        there = content["metadata"].get(field) or {}
        edited = _at(content, ("metadata", field), {name: value for name, value in there.items() if name not in names})
        for name in names:
            edited = _taken(edited, ("f:metadata", f"f:{field}", f"f:{name}"), "")
        return server.stored(world, key, edited)

    return strip


def _recreate(*, keeps_metadata: bool) -> Callable[[Snapshot, ObjectKey], Snapshot]:
    """`kubectl replace --force` with the object's own content, or somebody's own thing of the same name."""

    def recreate(world: Snapshot, key: ObjectKey) -> Snapshot:
        content = world.objects[key].content
        kept = {
            "name",
            "namespace",
            "generation",
            *(("labels", "annotations", "ownerReferences") if keeps_metadata else ()),
        }
        metadata = {name: value for name, value in content["metadata"].items() if name in kept}
        made = {**content, "metadata": {**metadata, "managedFields": []}}
        return server.stored(
            server.removed(world, key), key, {name: value for name, value in made.items() if name != "status"}
        )

    return recreate


def _lose_inventory(world: Snapshot, _key: ObjectKey) -> Snapshot:
    return server.with_inventory(world, {})


def _make_noise(world: Snapshot, key: ObjectKey) -> Snapshot:
    """A controller writes status: only the resourceVersion and the status move."""
    content = world.objects[key].content
    status = {**(content.get("status") or {}), "conditions": [{"type": "Noise", "status": "True"}]}
    return server.stored(world, key, {**content, "status": status})


SET_IMAGE = ForeignWrite("set image", _is_workload, _set_image)
SET_ENV = ForeignWrite("set env", _is_workload, _set_env)
SCALE = ForeignWrite("scale", _is_deployment, _scale)
DELETE = ForeignWrite("delete", _is_any, server.removed)
RECREATE_OURS = ForeignWrite("delete and recreate", _has_mark, _recreate(keeps_metadata=True))
RECREATE_THEIRS = ForeignWrite("replace by their own", _is_any, _recreate(keeps_metadata=False))
STRIP_LABELS = ForeignWrite("strip labels", _is_any, _strip("labels", (PART_OF_LABEL, COMPONENT_LABEL)))
STRIP_MARK = ForeignWrite("strip the mark", _has_mark, _strip("annotations", (OWNER_ANNOTATION,)))
ANNOTATE = ForeignWrite("annotate", _is_any, _annotate)
NOISE = ForeignWrite("status noise", _is_workload, _make_noise)
LOSE_INVENTORY = ForeignWrite("lose the inventory", lambda item: item.key.kind == "OrchestCluster", _lose_inventory)
WRITES = (
    SET_IMAGE,
    SET_ENV,
    SCALE,
    DELETE,
    RECREATE_OURS,
    RECREATE_THEIRS,
    STRIP_LABELS,
    STRIP_MARK,
    ANNOTATE,
    NOISE,
    LOSE_INVENTORY,
)
HARMLESS = frozenset({SET_ENV.name, ANNOTATE.name, NOISE.name})
"""They touch nothing of ours, so no plan may become stale by them."""


def held_by_another(world: Snapshot, key: ObjectKey, *, replicas: int) -> Snapshot:
    content = _at(world.objects[key].content, ("spec", "replicas"), replicas)
    entry = {
        "manager": "autoscaler",
        "operation": "Apply",
        "apiVersion": "apps/v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }
    managed = [*content["metadata"]["managedFields"], entry]
    return server.ready(
        server.stored(world, key, _next_generation(_at(content, ("metadata", "managedFields"), managed)))
    )


def released(world: Snapshot, key: ObjectKey) -> Snapshot:
    """The other Apply managers give the object up: their fields stay, nobody's."""
    content = world.objects[key].content
    kept = [
        entry
        for entry in content["metadata"].get("managedFields") or []
        if entry["operation"] != "Apply" or entry["manager"] == FIELD_MANAGER
    ]
    return server.stored(world, key, _at(content, ("metadata", "managedFields"), kept))


def _at(content: Mapping[str, Json], path: tuple[str, ...], value: Json) -> dict[str, Json]:
    name, rest = path[0], path[1:]
    below = content.get(name) or {}
    return {**content, name: _at(below, rest, value) if rest else value}


def _taken(content: Mapping[str, Json], path: tuple[str, ...], manager: str) -> dict[str, Json]:
    """Nobody but `manager` ("" for nobody at all) holds the field at `path` (in fieldsV1 names) any more."""
    entries = [
        {**entry, "fieldsV1": _cut(entry.get("fieldsV1") or {}, path)}
        for entry in content["metadata"].get("managedFields") or []
    ]
    if manager:
        fields: dict[str, Json] = {}
        for name in reversed(path):
            fields = {name: fields}
        entries.append(
            {
                "manager": manager,
                "operation": "Update",
                "apiVersion": content["apiVersion"],
                "fieldsType": "FieldsV1",
                "fieldsV1": fields,
            }
        )
    return _at(content, ("metadata", "managedFields"), entries)


def _cut(tree: Mapping[str, Json], path: tuple[str, ...]) -> dict[str, Json]:
    name, rest = path[0], path[1:]
    name = next(
        (there for there in tree if write_fields(read_fields({there: {}})) == write_fields(read_fields({name: {}}))),
        name,
    )
    kept = {other: below for other, below in tree.items() if other != name}
    if name not in tree or not rest:
        return kept
    below = _cut(tree[name], rest)
    return {**kept, name: below} if below else kept


def _next_generation(content: Mapping[str, Json]) -> dict[str, Json]:
    return _at(content, ("metadata", "generation"), content["metadata"].get("generation", 0) + 1)


def mended(world: Snapshot, key: ObjectKey, code: str) -> Snapshot:
    """What a person does after reading a refusal's mend."""
    if code in {"not-ours", "owned-by-another", "not-in-inventory"}:
        return server.removed(world, key)
    if code == "conflict":
        return released(world, key)
    return world
