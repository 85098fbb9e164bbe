"""Generated specs on a real API server: after an apply the plan is empty, whatever the server defaulted and rewrote.

The control keeps the promise honest: of one owned field changed by hand and one foreign field added, the plan that
follows shows exactly the first. Which fields are ours is not asked of our code, but of the server's own bookkeeping.
"""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import pytest

from desired_state.objects import FIELD_MANAGER, GROUP, KINDS, OWNER_ANNOTATION, ObjectKey
from dev.cluster.api import MERGE_PATCH
from diff.action import ABSENT, WRITES, Cause, Verb
from diff.owned_paths import OWNED_PATHS_ANNOTATION
from diff.paths import Element, Path, format_path, value_at
from reconciler.cluster_client import ClusterClient, connect
from reconciler.prepare import Prepared, prepare
from render import render
from tests.cluster.workbench import MASKER, facts_of, quickly, workbench
from tests.cluster.workbench import Prepared as Unhurried
from tests.crds.generator import coverage, valid_spec
from tests.render.cases import cluster as cluster_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from desired_state.cluster import OrchestCluster
    from dev.cluster.launcher import Cluster

SEED = 20261122
IN_FLIGHT = 3
"""Specs at the same time: the server and this process share the cores, and each waits for the other."""
EDITOR = "kubectl-edit"
NEVER_VALID = {"orchest.nodeAgent.replicas", "orchest.buildkitDaemon.replicas"}
"""Properties of every component that these two refuse whatever their value: they run on every node."""
JSON_PATCH = "application/json-patch+json"


@pytest.mark.parametrize("specs", [150, pytest.param(500, marks=pytest.mark.torture)])
def test_a_generated_spec_is_in_sync_after_its_apply_and_one_change_by_hand_is_all_that_shows(
    specs: int, api_only_cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    facts_of(api_only_cluster.kubeconfig)
    trials = [Trial(api_only_cluster, f"{SEED}-{number}") for number in range(specs)]
    counted = coverage(trial.spec for trial in trials)

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        lanes = pool.map(_run_all, [trials[lane::IN_FLIGHT] for lane in range(IN_FLIGHT)])
        found = [each for lane in lanes for each in lane]

    with capsys.disabled():
        print(_summary(found, counted))  # noqa: T201
    assert [each for each in found if each.trouble] == []
    assert {name for name, count in counted.items() if not count} == NEVER_VALID


def _run_all(trials: list[Trial]) -> list[Found]:
    """One lane with connections of its own."""
    client = ClusterClient(connect(str(trials[0].server.kubeconfig)), MASKER)
    return [trial.run(client) for trial in trials]


class Found(NamedTuple):
    """What one trial saw. `trouble` is empty when all promises held."""

    seed: str
    trouble: str
    objects: int = 0
    changed: tuple[str, str] = ("", "")
    """Kind and path of the field that was changed by hand."""
    foreign: str = ""


class Leaf(NamedTuple):
    """One field that the server says is ours."""

    path: Path
    pointer: tuple[str | int, ...]
    """Where it stands in the live object."""
    value: Any


class Edit(NamedTuple):
    """One change by hand that the server accepted and stored."""

    key: ObjectKey
    leaf: Leaf
    is_removal: bool


class Disproved(Exception):
    """A promise did not hold."""


@dataclass(frozen=True)
class Trial:
    """One spec in a namespace of its own, from nothing to the change by hand. Everything follows from `seed`."""

    server: Cluster
    seed: str

    @property
    def spec(self) -> dict[str, Any]:
        return valid_spec(Random(self.seed))

    def run(self, client: ClusterClient) -> Found:
        given = cluster_of(self.spec, namespace=f"drift-{uuid4().hex[:12]}")
        try:
            return self._run(given, client, Random(f"{self.seed} edits"))
        except Disproved as error:
            return Found(self.seed, str(error))
        finally:
            self._clear(given)

    def _run(self, given: OrchestCluster, client: ClusterClient, rng: Random) -> Found:
        before = prepare(given, client, MASKER)
        # Without waiting: nobody here makes anything ready.
        hasty = quickly(Unhurried(before.plan, before.rendering, before.snapshot))
        applied = workbench(self.server, given.namespace).apply(hasty, client=client)
        if applied.exit_code:
            raise Disproved(f"the apply failed: {applied.message}")
        synced = prepare(given, client, MASKER)
        if _writes(synced) or synced.plan.drift:
            raise Disproved(f"false drift: {_told(synced)}")
        edit = self._edit(synced, rng)
        foreign = self._add_foreign_field(synced, rng)
        _check(prepare(given, client, MASKER), edit, foreign)
        return Found(
            self.seed, "", len(synced.rendering.objects) + 1, (edit.key.kind, format_path(edit.leaf.path)), foreign
        )

    # The hand

    def _edit(self, synced: Prepared, rng: Random) -> Edit:
        """Change or remove one of our fields: the kind first, so that workloads with their many fields do not win."""
        by_kind: dict[str, list[ObjectKey]] = {}
        for key in _keys(synced):
            by_kind.setdefault(key.kind, []).append(key)
        while by_kind:
            kind = rng.choice(sorted(by_kind))
            key = rng.choice(sorted(by_kind[kind]))
            for leaf in _shuffled(_editable(synced, key), rng)[:8]:
                for patch in _patches(leaf, rng):
                    stored = self._stored(key, leaf, patch)
                    if stored != leaf.value:
                        return Edit(key, leaf, is_removal=stored is ABSENT)
            by_kind[kind].remove(key)
            by_kind = {kind: keys for kind, keys in by_kind.items() if keys}
        raise Disproved("not one of our fields can be changed")

    def _stored(self, key: ObjectKey, leaf: Leaf, patch: Mapping[str, Any]) -> Any:
        """What is there after the patch: the same when the server refused it, or undid it by a default."""
        answer = self.server.api.patch(_url(key), [patch], JSON_PATCH, fieldManager=EDITOR)
        return _at(answer.body, leaf.pointer) if answer.status == 200 else leaf.value

    def _add_foreign_field(self, synced: Prepared, rng: Random) -> str:
        key = rng.choice(sorted(_keys(synced)))
        patch = rng.choice(_foreign_patches(key, synced.snapshot.objects[key].content))
        # A merge by key, which the API server does for its own kinds only.
        media_type = MERGE_PATCH if key.group == GROUP else "application/strategic-merge-patch+json"
        self.server.api.patch(_url(key), patch, media_type, fieldManager=EDITOR).expect(200)
        return f"{key.kind} {json.dumps(patch)}"

    def _clear(self, given: OrchestCluster) -> None:
        """Without controllers nobody empties a namespace that is deleted."""
        facts = facts_of(self.server.kubeconfig)
        keys = [desired.manifest.key for desired in render(given, facts).objects]
        for namespaced in {key[:2] for key in keys if key.namespace} | {(GROUP, "OrchestCluster")}:
            self.server.api.delete(_collection(*namespaced, given.namespace)).expect(200)
        for key in keys:
            if not key.namespace:
                self.server.api.delete(_url(key)).expect(200, 404)
        self.server.api.delete(f"/api/v1/namespaces/{given.namespace}").expect(200, 404)


def _writes(prepared: Prepared) -> list[Any]:
    return [action for action in prepared.plan.actions if action.verb in WRITES]


def _told(prepared: Prepared) -> str:
    return "; ".join(
        f"{action.verb} {action.key} ({action.reason}): "
        + ", ".join(f"{change.path} {change.before!r} -> {change.after!r}" for change in action.changes)
        for action in _writes(prepared)
    )


def _check(edited: Prepared, edit: Edit, foreign: str) -> None:
    told = f"edited {edit.key} {format_path(edit.leaf.path)}, added {foreign}; planned: {_told(edited) or 'nothing'}"
    writes = _writes(edited)
    if [(action.key, action.verb) for action in writes] != [(edit.key, Verb.UPDATE)]:
        raise Disproved(told)
    is_map = isinstance(edit.leaf.value, dict)
    for change in writes[0].changes:
        # A map that belongs to one manager as a whole is one field to the server, and is shown key by key.
        if change.path != format_path(edit.leaf.path) and not (
            is_map and change.path.startswith(format_path(edit.leaf.path))
        ):
            raise Disproved(f"another field: {told}")
        if change.cause is not Cause.DRIFT or change.manager not in ({EDITOR, ""} if edit.is_removal else {EDITOR}):
            raise Disproved(f"{change.cause} by {change.manager!r}: {told}")
    if [drift.key for drift in edited.plan.drift] != [edit.key]:
        raise Disproved(f"drift of {[drift.key for drift in edited.plan.drift]}: {told}")


# What is ours, in the server's own words


def _keys(prepared: Prepared) -> list[ObjectKey]:
    return [prepared.plan.cluster, *(desired.manifest.key for desired in prepared.rendering.objects)]


def _editable(prepared: Prepared, key: ObjectKey) -> Iterator[Leaf]:
    content = prepared.snapshot.objects[key].content
    fields = [
        entry["fieldsV1"]
        for entry in content["metadata"]["managedFields"]
        if entry["manager"] == FIELD_MANAGER and entry["operation"] == "Apply"
    ]
    generated = {
        desired.manifest.key: desired.manifest.content for desired in prepared.rendering.objects if desired.generated
    }
    for leaf in _leaves(fields[0], content, (), (), frozenset()):
        # Another cluster's mark is no drift, such an object is refused; the other is the planner's own bookkeeping.
        is_mark = leaf.path[-1] in {OWNER_ANNOTATION, OWNED_PATHS_ANNOTATION}
        # Passwords may be changed by hand.
        is_made = key in generated and value_at(generated[key], leaf.path) is ABSENT
        if not is_mark and not is_made:
            yield leaf


def _shuffled(leaves: Iterator[Leaf], rng: Random) -> list[Leaf]:
    """Mostly with labels and annotations last: every object has the same ones."""
    shuffled = list(leaves)
    rng.shuffle(shuffled)
    return sorted(shuffled, key=lambda leaf: leaf.path[0] == "metadata") if rng.random() < 0.8 else shuffled


def _leaves(
    fields: Mapping[str, Any], content: Any, path: Path, pointer: tuple[str | int, ...], keys: frozenset[str]
) -> Iterator[Leaf]:
    for name, below in fields.items():
        sort, _, text = name.partition(":")
        if sort == "f" and text not in keys:
            child = content.get(text, ABSENT)
            yield from _below(below, child, (*path, text), (*pointer, text), frozenset())
        elif sort == "k":
            wanted = json.loads(text)
            places = [
                place for place, item in enumerate(content) if all(item.get(key) == wanted[key] for key in wanted)
            ]
            step = Element(tuple(sorted(wanted.items())))
            yield from _below(below, content[places[0]], (*path, step), (*pointer, places[0]), frozenset(wanted))


def _below(
    fields: Mapping[str, Any], child: Any, path: Path, pointer: tuple[str | int, ...], keys: frozenset[str]
) -> Iterator[Leaf]:
    if fields.keys() - {"."}:
        yield from _leaves(fields, child, path, pointer, keys)
    elif not keys:
        yield Leaf(path, pointer, child)


def _patches(leaf: Leaf, rng: Random) -> list[dict[str, Any]]:
    """Ways to change this field, the removal first in one of four."""
    path = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in leaf.pointer)
    others = [{"op": "add", "path": path, "value": value} for value in _other_values(leaf.value)]
    if leaf.value in (ABSENT, "", {}, []):
        return others
    removal = {"op": "remove", "path": path}
    return [removal, *others] if rng.random() < 0.25 else [*others, removal]


def _other_values(value: Any) -> Iterator[Any]:
    match value:
        case bool():
            yield not value
        case int():
            yield value + 1
        case str():
            yield value + "x"
            yield "1" + value  # A quantity stays one.
        case list() if value:
            if len(value) > 1:
                yield value[:-1]
            yield from ([*value[:-1], other] for other in _other_values(value[-1]))
        case dict():
            for name, inner in sorted(value.items()):
                yield from ({**value, name: other} for other in _other_values(inner))
        case _ if value is ABSENT:
            yield "x"


def _at(content: Any, pointer: tuple[str | int, ...]) -> Any:
    """`ABSENT` when nothing stands there."""
    for step in pointer:
        if isinstance(step, int):
            content = content[step] if isinstance(content, list) and step < len(content) else ABSENT
        else:
            content = content.get(step, ABSENT) if isinstance(content, dict) else ABSENT
    return content


def _foreign_patches(key: ObjectKey, content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Additions by somebody else to fields that are nobody's or are shared."""
    patches: list[dict[str, Any]] = [
        {"metadata": {"annotations": {"example.com/foreign": "theirs"}}},
        {"metadata": {"labels": {"example.com/foreign": "theirs"}}},
    ]
    match key.kind:
        case "Deployment" | "DaemonSet":
            name = content["spec"]["template"]["spec"]["containers"][0]["name"]
            pods: list[dict[str, Any]] = [
                {"containers": [{"name": name, "env": [{"name": "THEIRS", "value": "1"}]}]},
                {"containers": [{"name": "their-sidecar", "image": "registry.example.com/sidecar:1"}]},
                {"volumes": [{"name": "theirs", "emptyDir": {}}]},
                {"priorityClassName": "theirs"},
            ]
            patches += [{"spec": {"template": {"spec": pod}}} for pod in pods]
            patches.append(
                {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}
            )
        case "ConfigMap":
            patches.append({"data": {"theirs": "1"}})
        case "Service":
            patches.append({"spec": {"sessionAffinity": "ClientIP"}})
        case "ServiceAccount":
            patches.append({"automountServiceAccountToken": False, "secrets": [{"name": "theirs"}]})
    return patches


def _url(key: ObjectKey) -> str:
    return f"{_collection(*key[:3])}/{key.name}"


def _collection(group: str, name: str, namespace: str) -> str:
    kind = KINDS[group, name]
    root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
    return f"{root}/namespaces/{namespace}/{kind.plural}" if namespace else f"{root}/{kind.plural}"


# What the run prints


def _summary(found: list[Found], counted: Mapping[str, int]) -> str:
    troubled = sum(bool(each.trouble) for each in found)
    kinds = Counter(each.changed[0] for each in found)
    lines = [
        f"\n{len(found)} specs (seed {SEED}), {sum(each.objects for each in found)} objects, {troubled} in trouble",
        f"fields changed by hand: {len({each.changed for each in found})} different ones in "
        + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()),
        f"the CRD's {len(counted)} properties, by how many specs set them:",
    ]
    lines[1:1] = [f"  {each.seed}: {each.trouble}" for each in found if each.trouble]
    lines += [f"  {count:4} {name}" for name, count in sorted(counted.items(), key=lambda item: (item[1], item[0]))]
    return "\n".join(lines)
