"""The API server and its controllers for the torture: `diff.after`, but equal histories make equal worlds.

In: a world (a `Snapshot`) and an action. Out: the next world. Two things are put right on the way: the inventory is not
`after`'s business here (an apply writes it, see `applying.py`), and uids, addresses and generated content are counted
per object instead of drawn from one clock, so that worlds reached by different ways can be recognised as the same.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zlib import crc32

from desired_state.objects import ObjectKey
from diff.after import after
from diff.known import REGISTRY_SERVICE
from diff.snapshot import ObservedObject, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.objects import Json
    from diff.action import Action

CLOCK = ObjectKey("", "ConfigMap", "orchest", "kube-root-ca.crt")
"""An object of nobody's that carries the newest resourceVersion and how often each object was born."""

_STATUSES: Mapping[str, Mapping[str, Json]] = {
    "Deployment": {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
    "DaemonSet": {"desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberAvailable": 1},
    "PersistentVolumeClaim": {"phase": "Bound"},
}


_REGISTRY = ObjectKey("", "Service", "orchest", REGISTRY_SERVICE)


def written(world: Snapshot, action: Action, view: Snapshot) -> Snapshot:
    """`world` after the one request that `action` stands for; the OrchestCluster's status stays as it is.

    A certificate is made for the registry's address as `view`, what the apply knows, has it.
    """
    there, owner, service = (world.objects.get(key) for key in (action.key, world.cluster, _REGISTRY))
    told = {_REGISTRY: view.objects[_REGISTRY]} if action.generated and _REGISTRY in view.objects else {}
    objects = dict(after(replace(world, objects={**world.objects, **told}), action).objects)
    if told:
        objects = {key: item for key, item in objects.items() if key != _REGISTRY} | (
            {_REGISTRY: service} if service else {}
        )
    if owner is not None and action.key != world.cluster:
        objects[world.cluster] = owner
    made = objects.get(action.key)
    counts = dict(_counts(world))
    if made is not None:
        objects[action.key] = _counted(made, there, action, counts)
    return _ticked(replace(world, objects=objects), counts)


def stored(world: Snapshot, key: ObjectKey, content: Mapping[str, Json]) -> Snapshot:
    """Somebody else writes `content`; a new object gets the next uid of its name."""
    counts = dict(_counts(world))
    there = world.objects.get(key)
    uid = there.uid if there else _born(counts, key)
    version = str(_version(world) + 1)
    metadata = {**content["metadata"], "uid": uid, "resourceVersion": version}
    item = ObservedObject(key, uid, version, {**content, "metadata": metadata})
    return _ticked(replace(world, objects={**world.objects, key: item}), counts)


def removed(world: Snapshot, key: ObjectKey) -> Snapshot:
    objects = {other: item for other, item in world.objects.items() if other != key}
    return _ticked(replace(world, objects=objects), dict(_counts(world)))


def with_inventory(world: Snapshot, inventory: Mapping[ObjectKey, str]) -> Snapshot:
    """The status patch of an apply. Raises KeyError when there is no OrchestCluster to patch."""
    owner = world.objects[world.cluster].content
    listed = [{"key": str(key), "uid": uid} for key, uid in sorted(inventory.items())]
    status = owner.get("status") or {}
    if (status.get("inventory") or []) == listed:
        return world
    return stored(world, world.cluster, {**owner, "status": {**status, "inventory": listed}})


def ready(world: Snapshot) -> Snapshot:
    """The controllers have done their work: every workload is available, every claim bound. Their writes move
    versions."""
    changed = {key: item for key, item in world.objects.items() if key.kind in _STATUSES and not _is_ready(item)}
    for key, item in changed.items():
        world = stored(world, key, {**item.content, "status": _status(item)})
    return world


def _is_ready(item: ObservedObject) -> bool:
    return bool((item.content.get("status") or {}) == _status(item))


def _status(item: ObservedObject) -> dict[str, Any]:
    generation = item.content["metadata"].get("generation", 1)
    count = (item.content.get("spec") or {}).get("replicas", 1)
    status = {name: count if isinstance(value, int) else value for name, value in _STATUSES[item.key.kind].items()}
    return {**status, "observedGeneration": generation}


def _counted(
    made: ObservedObject, there: ObservedObject | None, action: Action, counts: dict[str, str]
) -> ObservedObject:
    content = dict(made.content)
    uid = made.uid
    if there is None or made.uid != there.uid:
        uid = _born(counts, made.key)
        content["metadata"] = {**content["metadata"], "uid": uid}
        if made.key.kind == "Service" and not _fixes_address(action):
            content["spec"] = {
                **content["spec"],
                "clusterIP": f"10.96.{counts[str(made.key)]}.{crc32(str(made.key).encode()) % 254 + 1}",
            }
    if action.generated is not None:
        content["data"] = _made_data(made, there, counts)
    return ObservedObject(made.key, uid, made.resource_version, content)


def _made_data(made: ObservedObject, there: ObservedObject | None, counts: dict[str, str]) -> dict[str, str]:
    before: Mapping[str, str] = (there.content.get("data") or {}) if there else {}
    data: Mapping[str, str] = made.content.get("data") or {}
    fresh = {name for name, value in data.items() if before.get(name) != value}
    number = _counted_up(counts, f"{made.key}#content") if fresh else ""
    text = {name: base64.b64encode(f"{made.key.name}/{name}/{number}".encode()).decode() for name in fresh}
    return {**data, **text}


def _fixes_address(action: Action) -> bool:
    return bool(action.manifest and (action.manifest.content.get("spec") or {}).get("clusterIP"))


def _born(counts: dict[str, str], key: ObjectKey) -> str:
    return f"{key.kind}-{key.name}-{_counted_up(counts, str(key))}"


def _counted_up(counts: dict[str, str], name: str) -> str:
    counts[name] = str(int(counts.get(name, "0")) + 1)
    return counts[name]


def _counts(world: Snapshot) -> Mapping[str, str]:
    clock = world.objects.get(CLOCK)
    counts: Mapping[str, str] = clock.content["data"] if clock else {}
    return counts


def _version(world: Snapshot) -> int:
    return max((int(item.resource_version) for item in world.objects.values()), default=0)


def _ticked(world: Snapshot, counts: Mapping[str, str]) -> Snapshot:
    version = str(_version(world) + 1)
    metadata = {"name": CLOCK.name, "namespace": CLOCK.namespace, "uid": "clock", "resourceVersion": version}
    content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": counts}
    return replace(world, objects={**world.objects, CLOCK: ObservedObject(CLOCK, "clock", version, content)})
