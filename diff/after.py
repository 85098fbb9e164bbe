"""The API server as a pure function: what a snapshot looks like after an action was carried out.

`after(snapshot, action) -> Snapshot` models server-side apply (merge by merge key, field managers, dropped fields),
create and delete as far as the planner can see them, and the inventory that an apply keeps in the OrchestCluster's
status. It checks no precondition: `diff.precondition.holds` does. It stands beside the planner because the promise "a
plan after its own apply is empty" is stated with it, and is held to the real server by a contract test.

Not modelled: defaulting, controllers (nothing ever becomes ready), garbage collection, admission.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING

from desired_state.objects import FIELD_MANAGER, GROUP, ObjectKey, Recipe, UnknownValue
from diff.action import ABSENT, WRITES, Verb
from diff.generated import EXPIRES_ANNOTATION, GENERATED_FOR_ANNOTATION, generated_for
from diff.known import has_unknown, known_values, resolve
from diff.managed_fields import APPLY, holders, write_fields
from diff.merge_keys import ATOMIC_MAPS, key_of, merge_keys
from diff.normalize import is_empty
from diff.paths import Element, element_of, value_at, without
from diff.removal import removed
from diff.snapshot import ObservedObject, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.objects import Generated, Json
    from diff.action import Action
    from diff.managed_fields import FieldTree
    from diff.paths import Path, Step

_VALID_DAYS = 365


def after(snapshot: Snapshot, action: Action) -> Snapshot:
    """The snapshot once `action` is done. Raises ValueError when a value is still unknown: an earlier action makes
    it.
    """
    if action.verb not in WRITES:
        return snapshot
    if action.verb is Verb.DELETE:
        return _recorded(_deleted(snapshot, action.key), action.key)
    before = snapshot.objects.get(action.key)
    if action.verb is Verb.REPLACE:
        snapshot = _deleted(snapshot, action.key)
    return _recorded(_applied(snapshot, action, before), action.key)


def _applied(snapshot: Snapshot, action: Action, before: ObservedObject | None) -> Snapshot:
    """`before` is the object that a replace has just deleted, or the one that is there."""
    assert action.manifest is not None
    sent = resolve(action.manifest.content, known_values(snapshot))
    if has_unknown(sent):
        raise ValueError(f"{action.key}: a value is still unknown")
    live = snapshot.objects.get(action.key)
    if action.generated is not None and (before is None or action.verb is Verb.GENERATE):
        sent = _with_generated(sent, live, action.generated, snapshot)
    elif action.generated is not None and before is not None:
        sent = _with_live_content(sent, before.content)
    if live is None:
        return _stored(snapshot, action.key, _created(snapshot, action.key, sent))
    return _stored(snapshot, action.key, _merged_object(live.content, sent, action.removals))


# --- server-side apply


def _created(snapshot: Snapshot, key: ObjectKey, sent: Mapping[str, Json]) -> Mapping[str, Json]:
    uid = blake2b(f"{key}#{_clock(snapshot)}".encode(), digest_size=8).hexdigest()
    content = _kept({**sent, "metadata": {**sent["metadata"], "uid": uid, "managedFields": [_entry(sent)]}})
    if key.group in {GROUP, "apps"}:
        content["metadata"]["generation"] = 1
    if key.kind == "Service" and not (content.get("spec") or {}).get("clusterIP"):
        number = int(uid[:4], 16)
        content["spec"] = {**(content.get("spec") or {}), "clusterIP": f"10.96.{number // 256}.{number % 256}"}
    return content


def _merged_object(live: Mapping[str, Json], sent: Mapping[str, Json], removals: tuple[str, ...]) -> Mapping[str, Json]:
    """Our fields take our values, fields that we let go of vanish unless somebody else holds them, the rest stays."""
    there = removed(_let_go(live, sent), sent, removals)
    merged = _merged(there, sent, is_free=sent["apiVersion"].startswith(f"{GROUP}/"))
    entries = [
        left
        for entry in live["metadata"].get("managedFields") or []
        if not _is_ours(entry) and (left := _yielded(entry, live, merged))["fieldsV1"]
    ]
    content = _kept({**merged, "metadata": {**merged["metadata"], "managedFields": [*entries, _entry(sent)]}})
    if content.get("spec") != live.get("spec") and "generation" in live["metadata"]:
        content["metadata"]["generation"] = live["metadata"]["generation"] + 1
    return content


def _let_go(live: Mapping[str, Json], sent: Mapping[str, Json]) -> Mapping[str, Json]:
    managers = holders(live)
    others = [holder for holder in managers if not holder.is_ours]
    dropped = {
        _going(path)
        for holder in managers
        if holder.is_ours
        for path in holder.leaves()
        if value_at(sent, path) is ABSENT and not any(other.holds(path) for other in others)
    }
    kept: Mapping[str, Json] = without(live, sorted(dropped, key=lambda path: (-len(path), str(path))))
    return kept


def _going(path: Path) -> Path:
    """What goes with a leaf that we let go of: with a merge key its whole entry, also what others hold in it."""
    entry = path[-2] if len(path) > 1 else ""
    return path[:-1] if isinstance(entry, Element) and path[-1] in dict(entry.keys) else path


def _merged(live: Json, sent: Json, field: str = "", *, is_free: bool) -> Json:
    """In a custom resource (`is_free`) every list is atomic."""
    if isinstance(sent, dict) and isinstance(live, dict) and field not in ATOMIC_MAPS:
        return {**live, **{name: _merged(live.get(name), value, name, is_free=is_free) for name, value in sent.items()}}
    if isinstance(sent, list) and isinstance(live, list) and (field == "ownerReferences" or not is_free):
        keys = merge_keys(field, sent, live)
        return _merged_entries(live, sent, keys) if keys else sent
    return sent


def _merged_entries(live: list[Json], sent: list[Json], keys: tuple[str, ...]) -> list[Json]:
    """Ours in our order; a foreign entry stays before the entry of ours that it stood before, as the server does it."""
    names = [key_of(item, keys) for item in live]
    there, ours = dict(zip(names, live, strict=True)), {key_of(item, keys) for item in sent}
    merged: list[Json] = []
    place = 0
    for item in sent:
        name = key_of(item, keys)
        while place < len(live) and names[place] != name and (name in there or names[place] not in ours):
            merged += [] if names[place] in ours else [live[place]]
            place += 1
        place += place < len(live) and names[place] == name
        merged.append(_merged(there.get(name), item, is_free=False))
    return [*merged, *(item for other, item in zip(names[place:], live[place:], strict=True) if other not in ours)]


def _kept(content: Mapping[str, Json]) -> dict[str, Json]:
    """What the server stores: nothing empty."""
    return {name: _kept_value(value, name) for name, value in content.items() if not is_empty(value, name)}


def _kept_value(value: Json, field: str) -> Json:
    if field == "managedFields":
        return value
    if isinstance(value, dict):
        return _kept(value)
    return [_kept_value(item, "") for item in value] if isinstance(value, list) else value


# --- field managers


def _entry(sent: Mapping[str, Json]) -> dict[str, Json]:
    body = {name: value for name, value in sent.items() if name not in {"apiVersion", "kind", "metadata"}}
    metadata = {name: value for name, value in sent["metadata"].items() if name not in {"name", "namespace", "uid"}}
    fields = write_fields(_tree({"metadata": metadata, **body}, "", is_free=sent["apiVersion"].startswith(f"{GROUP}/")))
    return {
        "manager": FIELD_MANAGER,
        "operation": APPLY,
        "apiVersion": sent["apiVersion"],
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


def _tree(value: Json, field: str, *, is_free: bool) -> FieldTree:
    """The fields that an apply of `value` owns. In a custom resource (`is_free`) every list is atomic."""
    if isinstance(value, dict) and field not in ATOMIC_MAPS:
        return {name: _tree(below, name, is_free=is_free) for name, below in value.items()}
    if isinstance(value, list) and not (is_free and field != "ownerReferences"):
        keys = merge_keys(field, value)
        tree: dict[Step, FieldTree] = (
            {element_of(item, keys): _tree(item, "", is_free=is_free) for item in value} if keys else {}
        )
        return tree
    return {}


def _is_ours(entry: Mapping[str, Json]) -> bool:
    return bool(entry["manager"] == FIELD_MANAGER and entry["operation"] == APPLY)


def _yielded(entry: Mapping[str, Json], live: Mapping[str, Json], merged: Mapping[str, Json]) -> Mapping[str, Json]:
    """Another manager's entry without the fields that have another value now (force takes them over), or are gone."""
    if entry.get("subresource"):
        return entry
    (holder,) = holders({"metadata": {"managedFields": [entry]}})
    lost = [path for path in holder.leaves() if value_at(merged, path) != value_at(live, path)]
    fields = holder.fields
    for path in lost:
        fields = _without_leaf(fields, path)
    return {**entry, "fieldsV1": write_fields(fields)}


def _without_leaf(tree: FieldTree, path: tuple[Step, ...]) -> FieldTree:
    step, rest = path[0], path[1:]
    below = _without_leaf(tree[step], rest) if rest else {}
    kept = {name: value for name, value in tree.items() if name != step}
    return {**kept, step: below} if below else kept


# --- deletes, generated content, inventory


def _deleted(snapshot: Snapshot, key: ObjectKey) -> Snapshot:
    return replace(snapshot, objects={other: value for other, value in snapshot.objects.items() if other != key})


def _with_generated(
    sent: Mapping[str, Json], live: ObservedObject | None, generated: Generated, snapshot: Snapshot
) -> Mapping[str, Json]:
    """Stand-ins for content that apply makes: new for each moment, except passwords that exist."""
    there: Mapping[str, str] = (live.content.get("data") or {}) if live else {}
    made = {
        key: base64.b64encode(f"{generated.recipe}/{key}/{_clock(snapshot)}".encode()).decode()
        for key in generated.keys
    }
    if generated.recipe is Recipe.PASSWORDS:
        return {**sent, "data": {**made, **there}}
    address = known_values(snapshot)[UnknownValue.REGISTRY_ADDRESS]
    end = datetime.fromisoformat(snapshot.taken_at) + timedelta(days=_VALID_DAYS)
    stamps = {
        GENERATED_FOR_ANNOTATION: generated_for(generated.hosts, address),
        EXPIRES_ANNOTATION: end.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    metadata = sent["metadata"]
    annotations = {**(metadata.get("annotations") or {}), **stamps}
    return {**sent, "metadata": {**metadata, "annotations": annotations}, "data": made}


def _with_live_content(sent: Mapping[str, Json], content: Mapping[str, Json]) -> Mapping[str, Json]:
    """An apply that left generated content out would drop it: what is there is sent again."""
    annotations = content["metadata"].get("annotations") or {}
    stamps = {name: annotations[name] for name in (GENERATED_FOR_ANNOTATION, EXPIRES_ANNOTATION) if name in annotations}
    metadata = sent["metadata"]
    metadata = {**metadata, "annotations": {**(metadata.get("annotations") or {}), **stamps}}
    return {**sent, "metadata": metadata, "data": content.get("data") or {}}


def _clock(snapshot: Snapshot) -> int:
    """The next resourceVersion."""
    return 1 + max((int(observed.resource_version) for observed in snapshot.objects.values()), default=0)


def _stored(snapshot: Snapshot, key: ObjectKey, content: Mapping[str, Json]) -> Snapshot:
    version = str(_clock(snapshot))
    stored = {**content, "metadata": {**content["metadata"], "resourceVersion": version}}
    observed = ObservedObject(key, stored["metadata"]["uid"], version, stored)
    return replace(snapshot, objects={**snapshot.objects, key: observed})


def _recorded(snapshot: Snapshot, key: ObjectKey) -> Snapshot:
    """The inventory in the OrchestCluster's status, which an apply keeps: this also moves the clock after a delete."""
    owner = snapshot.objects.get(snapshot.cluster)
    if owner is None or key == snapshot.cluster or key.kind == "Namespace":
        return snapshot
    status = owner.content.get("status") or {}
    others = [entry for entry in status.get("inventory") or [] if entry["key"] != str(key)]
    observed = snapshot.objects.get(key)
    entries = [*others, {"key": str(key), "uid": observed.uid}] if observed else others
    listed = sorted(entries, key=lambda entry: str(entry["key"]))
    return _stored(snapshot, snapshot.cluster, {**owner.content, "status": {**status, "inventory": listed}})
