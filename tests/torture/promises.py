"""What must hold whatever happens: judged at every request, and in every world where nothing is left to do.

In: worlds and the actions between them. Out: broken promises, as text; none is the goal. Written apart from the
planner's
own rules where that is possible: a promise that asks the planner whether it kept it proves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import orjson

from desired_state.objects import FIELD_MANAGER, GROUP, OWNER_ANNOTATION, PART_OF_LABEL
from diff.action import Verb
from diff.known import known_values
from diff.normalize import normalize
from diff.precondition import seen_digest
from tests.torture.applying import known_inventory
from tests.torture.server import CLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from desired_state.masking import Masker
    from desired_state.objects import Json, ObjectKey
    from diff.plan import Plan
    from diff.snapshot import ObservedObject, Snapshot
    from tests.torture.applying import Step
    from tests.torture.workloads import Workload

MARK = "orchest/cluster-1"

Form: TypeAlias = "frozenset[tuple[ObjectKey, int]]"
"""A world without what may differ between equal ways: uids, versions, times, others' field managers."""


# --- at every request
# -----------------------------------------------------------------------------------------------------


def trespasses(step: Step, masker: Masker) -> Iterator[str]:
    """Broken promises of the one request that `step` carried out."""
    if step.action is None or step.before is None:
        return
    action, before = step.action, step.before
    there = before.objects.get(action.key)
    deletes = there is not None and step.world.objects.get(action.key) is None
    if action.verb is Verb.CREATE or not action.precondition.uid:
        if there is not None:
            yield f"{action.key}: created over an existing object"
        return
    if there is None:
        yield f"{action.key}: {action.verb} of an object that is gone"
        return
    if there.uid != action.precondition.uid:
        yield f"{action.key}: {action.verb} of another incarnation than the one planned for"
    if seen_digest(masker, there.content, action.manifest) != action.precondition.seen:
        yield f"{action.key}: {action.verb} over a change that the plan had not seen"
    if deletes and action.key.kind == "PersistentVolumeClaim":
        yield f"{action.key}: a claim was deleted"
    if not (_deletable(there, before) if deletes else _writable(there)):
        yield f"{action.key}: {action.verb} of an object that is not ours"
    if not deletes and _applied_by_others(there) - _applied_by_others(step.world.objects[action.key]):
        yield f"{action.key}: fields of another Apply manager were taken"


def _mark(item: ObservedObject) -> str:
    return str((item.content["metadata"].get("annotations") or {}).get(OWNER_ANNOTATION, ""))


def _is_original(item: ObservedObject) -> bool:
    return not _mark(item) and (item.content["metadata"].get("labels") or {}).get(PART_OF_LABEL) == "orchest"


def _deletable(item: ObservedObject, world: Snapshot) -> bool:
    """Our mark, and an entry in the inventory as it stands, with this uid or as an intent. Or the original's."""
    recorded = known_inventory(world)
    return _is_original(item) or (_mark(item) == MARK and recorded.get(item.key) in {item.uid, ""})


def _writable(item: ObservedObject) -> bool:
    """Ours by mark or field manager, the original's, or a claim; never what carries another cluster's mark."""
    if item.key.group == GROUP or item.key.kind == "PersistentVolumeClaim":
        return _mark(item) in {"", MARK}
    was_ours = any(entry["manager"] == FIELD_MANAGER for entry in item.content["metadata"].get("managedFields") or [])
    return _mark(item) == MARK or (not _mark(item) and (was_ours or _is_original(item)))


def _applied_by_others(item: ObservedObject) -> set[bytes]:
    return {
        orjson.dumps(entry["fieldsV1"])
        for entry in item.content["metadata"].get("managedFields") or []
        if entry["operation"] == "Apply" and entry["manager"] != FIELD_MANAGER
    }


def plan_faults(plan: Plan) -> Iterator[str]:
    if any(not 0 <= action.wave <= 5 for action in plan.actions):
        yield "more than six waves"
    keys = [action.key for action in plan.actions]
    if len(keys) != len(set(keys)):
        yield "two actions for one object"


# --- when nothing is left to do
# -------------------------------------------------------------------------------------------


def loose_ends(world: Snapshot, workload: Workload, excused: frozenset[ObjectKey]) -> Iterator[str]:
    """Broken promises of a settled world. `excused` are objects left to a person (a note says so), or that somebody
    took."""
    recorded = known_inventory(world)
    wanted = {item.manifest.key for item in workload.rendering.objects}
    for key, item in world.objects.items():
        is_marked = _mark(item) == MARK and key not in workload.bystanders | excused
        if is_marked and key not in wanted | recorded.keys() | {world.cluster}:
            yield f"{key}: an orphan: our mark, not desired, not in the inventory"
        if is_marked and key not in wanted and key in recorded and recorded[key] not in {item.uid, ""}:
            yield f"{key}: an orphan: the inventory has another uid"
    for key in wanted:
        there = world.objects.get(key)
        if there is None or recorded.get(key) != there.uid:
            yield f"{key}: the inventory does not have its uid"
    for key in workload.bystanders:
        if world.objects.get(key) is not workload.initial.objects[key]:
            yield f"{key}: a bystander was touched"
    for key in workload.initial.objects.keys() - world.objects.keys() - excused:
        if key.kind == "PersistentVolumeClaim":
            yield f"{key}: user data is gone"


class Identity:
    """Names of worlds: one that tells all worlds apart, one that tells only what a person would tell apart.

    Objects are immutable and shared between worlds, so each is read once; `forget` frees them.
    """

    def __init__(self) -> None:
        self._exact: dict[int, tuple[ObservedObject, int]] = {}
        self._formed: dict[tuple[int, tuple[tuple[str, str], ...]], tuple[ObservedObject, int]] = {}

    def forget(self) -> None:
        self._exact.clear()
        self._formed.clear()

    def exact(self, world: Snapshot) -> int:
        """Everything but resourceVersions and who counts births."""
        return hash(frozenset((key, self._exact_one(item)) for key, item in world.objects.items() if key != CLOCK))

    def form(self, world: Snapshot, without: frozenset[ObjectKey]) -> Form:
        """`without` are objects that may be there or not."""
        known = tuple(sorted((str(name), value) for name, value in known_values(world).items()))
        return frozenset(
            (key, self._form_one(item, known))
            for key, item in world.objects.items()
            if key != CLOCK and key not in without
        )

    def _exact_one(self, item: ObservedObject) -> int:
        found = self._exact.get(id(item))
        if found is None:
            metadata = {name: value for name, value in item.content["metadata"].items() if name != "resourceVersion"}
            found = self._exact[id(item)] = (item, hash(_bytes({**item.content, "metadata": metadata})))
        return found[1]

    def _form_one(self, item: ObservedObject, known: tuple[tuple[str, str], ...]) -> int:
        name = (id(item), known)
        found = self._formed.get(name)
        if found is None:
            found = self._formed[name] = (item, hash(_formed(item.content, known)))
        return found[1]


def _bytes(value: Json) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


_DATED = {"orchest.io/generated-for", "orchest.io/expires", "example.com/foreign"}


def _formed(content: Mapping[str, Json], known: tuple[tuple[str, str], ...]) -> bytes:
    metadata = content["metadata"]
    kept = {name: metadata[name] for name in ("name", "namespace", "labels", "ownerReferences") if name in metadata}
    kept["annotations"] = {
        name: value for name, value in (metadata.get("annotations") or {}).items() if name not in _DATED
    }
    ours = [entry["fieldsV1"] for entry in metadata.get("managedFields") or [] if entry["manager"] == FIELD_MANAGER]
    kept["ours"] = ours
    rest = {name: value for name, value in content.items() if name not in {"metadata", "status"}}
    if content["kind"] == "Secret":
        rest["data"] = sorted(content.get("data") or {})
    if content["kind"] == "Service":
        rest["spec"] = {name: value for name, value in rest["spec"].items() if name != "clusterIP"}
    if content["kind"] == "OrchestCluster":
        rest["spec"] = normalize(rest["spec"])
    if content["kind"] in {"Deployment", "DaemonSet"}:
        rest["spec"] = _spec_without_foreign(rest["spec"], ours)
    text = _bytes({"metadata": kept, **rest})
    for name, value in known:
        text = text.replace(value.encode(), name.encode())
    return text


def _spec_without_foreign(spec: Mapping[str, Json], ours: list[Json]) -> Json:
    """Without what `foreign.py` adds in places that are not ours."""
    owns_replicas = any("f:replicas" in fields.get("f:spec", {}) for fields in ours)
    kept = {name: value for name, value in spec.items() if name != "replicas" or owns_replicas}
    pod = (spec.get("template") or {}).get("spec") or {}
    if not pod:
        return kept
    containers = [
        {**one, "env": [entry for entry in one.get("env") or [] if entry["name"] != "FOREIGN"]}
        for one in pod["containers"]
    ]
    return {**kept, "template": {**spec["template"], "spec": {**pod, "containers": containers}}}
