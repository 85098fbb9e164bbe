"""`plan(rendering, snapshot) -> Plan`: what must be done, and why, as a value.

The story of a plan: the namespace and the OrchestCluster first, then the registry's Service and certificate, since
others depend on values that these may change, then every other desired object, then what is observed and not desired.
Each object is judged alone (`decision.py`, `pruning.py`); here the verdicts are put in order.

`replan` does the same and remembers: a controller plans again and again, and nearly nothing changes in between.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING

from desired_state.objects import DesiredObject, Manifest, Note, ObjectKey, Recipe, Severity, UnknownValue
from diff.action import ABSENT, WRITES, Action, Cause, FieldChange, Reason, Verb
from diff.canonical import canonical_bytes
from diff.decision import IN_SYNC, Candidate, Drift, Verdict, World, candidate, decide
from diff.drift import drift_policy
from diff.generated import renewal_due
from diff.known import REGISTRY_SERVICE, known_values
from diff.order import NOT_AWAITED
from diff.ownership import inventory, owner_mark
from diff.precondition import ABSENCE
from diff.pruning import count_prunes, limit_note, undesired

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from desired_state.images import ImageDecision
    from desired_state.masking import Masker
    from desired_state.objects import Json, Rendering
    from diff.snapshot import ObservedObject, Snapshot

__all__ = ["Basis", "Drift", "Memory", "Plan", "plan", "replan"]


@dataclass(frozen=True, slots=True)
class Basis:
    """The world that the plan was made for; compared again before an apply."""

    cluster_uid: str
    owner_uid: str
    """uid of the OrchestCluster, "" before its first apply."""
    owner_generation: int
    crd_hash: str
    facts_digest: str
    key_id: str
    """Which masking key the digests in this plan were made with."""


@dataclass(frozen=True, slots=True)
class Plan:
    cluster: ObjectKey
    basis: Basis
    actions: tuple[Action, ...]
    """Ordered by wave, then key."""
    drift: tuple[Drift, ...]
    images: tuple[ImageDecision, ...]
    notes: tuple[Note, ...]
    """Warnings and refusals; an apply of a plan with a refusal stops with exit code 5."""

    @property
    def is_empty(self) -> bool:
        """In sync: nothing would be written (waits and keeps may remain)."""
        return not any(action.verb in WRITES for action in self.actions)


@dataclass(frozen=True, slots=True)
class Memory:
    """What `replan` found out last time. Start with `Memory()` and pass on what it returns; one memory serves one
    OrchestCluster.
    """

    plan: Plan | None = None
    rendering: Rendering | None = None
    shared: tuple[object, ...] = ()
    """What all verdicts rest on beside the two objects themselves: known values, drift policy, facts, masking."""
    versions: tuple[list[tuple[str, str]], ...] = ()
    """uid and resourceVersion of every observed object, in the snapshot's order."""
    holds_until: str = ""
    """When a certificate falls due; "" for never."""
    candidates: Mapping[ObjectKey, Candidate] = field(default_factory=dict)
    settled: Mapping[ObjectKey, tuple[str, str]] = field(default_factory=dict)
    """uid and resourceVersion of objects that were in sync and ready."""


_VERSION = attrgetter("uid", "resource_version")


def plan(rendering: Rendering, snapshot: Snapshot, *, masker: Masker) -> Plan:
    """Deterministic, and independent of the order in which objects are given."""
    return replan(rendering, snapshot, Memory(), masker=masker)[0]


def replan(rendering: Rendering, snapshot: Snapshot, memory: Memory, *, masker: Masker) -> tuple[Plan, Memory]:
    """The same plan as `plan`, without judging again what has not changed since `memory`; and the memory for the next
    time.
    """
    versions = (list(map(_VERSION, snapshot.objects.values())),)
    if _is_unchanged(rendering, snapshot, memory, versions, masker):
        assert memory.plan is not None
        return memory.plan, memory
    return _Planning(rendering, snapshot, memory, masker).result(versions)


def _is_unchanged(
    rendering: Rendering,
    snapshot: Snapshot,
    memory: Memory,
    versions: tuple[list[tuple[str, str]], ...],
    masker: Masker,
) -> bool:
    return (
        memory.rendering is rendering
        and memory.versions == versions
        and memory.shared[2:] == _surroundings(snapshot, masker)
        and (not memory.holds_until or snapshot.taken_at < memory.holds_until)
    )


def _surroundings(snapshot: Snapshot, masker: Masker) -> tuple[object, ...]:
    return (snapshot.cluster, snapshot.facts, snapshot.crd_hash, snapshot.masked_by, masker)


class _Planning:
    """One run of the planner; it lives as long as one call of `replan`."""

    def __init__(self, rendering: Rendering, snapshot: Snapshot, memory: Memory, masker: Masker) -> None:
        self.rendering, self.snapshot, self.memory = rendering, snapshot, memory
        self.world = World(
            masker=masker,
            mark=owner_mark(snapshot.cluster),
            recorded=inventory(snapshot),
            known=known_values(snapshot),
            policy=drift_policy(rendering.cluster.content),
            facts=snapshot.facts,
            now=snapshot.taken_at,
            masked_by=snapshot.masked_by,
        )
        self.candidates: dict[ObjectKey, Candidate] = {}
        self.settled: dict[ObjectKey, tuple[str, str]] = {}
        self.verdicts: list[Verdict] = []

    def result(self, versions: tuple[list[tuple[str, str]], ...]) -> tuple[Plan, Memory]:
        cluster = DesiredObject(self.rendering.cluster)
        self.verdicts.append(_namespace(self.snapshot))
        self._judge([cluster])
        self._judge_sources()
        sources = self.candidates.keys()
        shared = (self.world.known, self.world.policy, *_surroundings(self.snapshot, self.world.masker))
        self._judge_rest([desired for desired in self.rendering.objects if desired.manifest.key not in sources], shared)
        self._judge_undesired()
        made = self._plan()
        return made, Memory(made, self.rendering, shared, versions, self._due(), self.candidates, self.settled)

    def _judge_sources(self) -> None:
        """The objects that values come from. One that is written now makes its value unknown for all that follow."""
        services = [desired for desired in self.rendering.objects if _is_registry_service(desired)]
        self._judge(services, forget=UnknownValue.REGISTRY_ADDRESS)
        certificates = [desired for desired in self.rendering.objects if _is_certificate(desired)]
        self._judge(certificates, forget=UnknownValue.REGISTRY_CA_FINGERPRINT)

    def _judge(self, objects: Iterable[DesiredObject], forget: UnknownValue | None = None) -> None:
        for desired in objects:
            key = desired.manifest.key
            item = self.candidates[key] = candidate(desired, self.world.policy)
            verdict = decide(item, self.snapshot.objects.get(key), self.world)
            self.verdicts.append(verdict)
            if forget and verdict.action and verdict.action.verb in {Verb.CREATE, Verb.REPLACE, Verb.GENERATE}:
                known = {name: value for name, value in self.world.known.items() if name is not forget}
                self.world = replace(self.world, known=known)

    def _judge_rest(self, objects: Iterable[DesiredObject], shared: tuple[object, ...]) -> None:
        """Everything whose verdict rests on nothing but its own two sides and `shared`, so that it may be
        remembered.
        """
        observed_objects, world, candidates, settled = self.snapshot.objects, self.world, self.candidates, self.settled
        is_familiar = self.memory.shared == (world.known, world.policy, *shared[2:])
        old_candidates = self.memory.candidates if is_familiar else {}
        old_settled = self.memory.settled if is_familiar else {}
        for desired in objects:
            key = desired.manifest.key
            item = old_candidates.get(key)
            if item is None or (item.desired is not desired and item.desired != desired):
                item = candidate(desired, world.policy)
                is_known = False
            else:
                is_known = key in old_settled
            candidates[key] = item
            observed = observed_objects.get(key)
            if observed is not None and is_known and old_settled[key] == (observed.uid, observed.resource_version):
                settled[key] = old_settled[key]
                continue
            verdict = decide(item, observed, world)
            if verdict is not IN_SYNC:
                self.verdicts.append(verdict)
            elif observed is not None and desired.generated is None:
                settled[key] = (observed.uid, observed.resource_version)

    def _judge_undesired(self) -> None:
        paused = _is_paused(self.rendering)
        for key in self.snapshot.objects.keys() - self.candidates.keys():
            self.verdicts.append(undesired(self.snapshot.objects[key], self.world, paused=paused))

    def _plan(self) -> Plan:
        actions = [verdict.action for verdict in self.verdicts if verdict.action is not None]
        limit = limit_note(count_prunes(actions), len(self.world.recorded))
        notes = [note for verdict in self.verdicts for note in verdict.notes]
        return Plan(
            cluster=self.snapshot.cluster,
            basis=_basis(self.snapshot, self.world.masker),
            actions=tuple(sorted(actions, key=lambda action: (action.wave, action.key))),
            drift=tuple(sorted((drift for verdict in self.verdicts for drift in verdict.drift), key=_drift_order)),
            images=self.rendering.images,
            notes=(
                *self.rendering.notes,
                *sorted([*notes, *([limit] if limit else []), *_mask_notes(self.world)], key=_note_order),
            ),
        )

    def _due(self) -> str:
        """The first moment at which the same input would give another plan."""
        moments = [
            renewal_due(desired.generated, observed.content)
            for desired in self.rendering.objects
            if desired.generated is not None
            and (observed := self.snapshot.objects.get(desired.manifest.key)) is not None
        ]
        return min((moment for moment in moments if moment > self.snapshot.taken_at), default="")


def _namespace(snapshot: Snapshot) -> Verdict:
    """Created when it is absent, otherwise none of our business: no mark, no comparison, no delete."""
    key = ObjectKey("", "Namespace", "", snapshot.cluster.namespace)
    observed = snapshot.objects.get(key)
    if observed is None:
        return Verdict(_create_namespace(key))
    if not observed.content["metadata"].get("deletionTimestamp"):
        return IN_SYNC
    text = "the namespace is being deleted with everything in it; wait until it is gone, then apply again"
    return Verdict(notes=(Note(Severity.REFUSAL, "being-deleted", str(key), text),))


def _create_namespace(key: ObjectKey) -> Action:
    return Action(
        key=key,
        verb=Verb.CREATE,
        reason=Reason.NOT_FOUND,
        wave=0,
        changes=(FieldChange("metadata.name", ABSENT, key.name, Cause.DESIRED),),
        precondition=ABSENCE,
        readiness=NOT_AWAITED,
        manifest=Manifest(key, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": key.name}}),
    )


def _basis(snapshot: Snapshot, masker: Masker) -> Basis:
    owner: ObservedObject | None = snapshot.objects.get(snapshot.cluster)
    return Basis(
        cluster_uid=snapshot.facts.cluster_uid,
        owner_uid=owner.uid if owner else "",
        owner_generation=owner.content["metadata"].get("generation", 0) if owner else 0,
        crd_hash=snapshot.crd_hash,
        facts_digest=masker.digest(canonical_bytes(snapshot.facts)),
        key_id=masker.key_id,
    )


def _is_registry_service(desired: DesiredObject) -> bool:
    key = desired.manifest.key
    return key.kind == "Service" and key.group == "" and key.name == REGISTRY_SERVICE


def _is_certificate(desired: DesiredObject) -> bool:
    return desired.generated is not None and desired.generated.recipe is Recipe.REGISTRY_CERTIFICATE


def _is_paused(rendering: Rendering) -> bool:
    spec: Json = rendering.cluster.content.get("spec") or {}
    return bool((spec.get("orchest") or {}).get("pause"))


def _mask_notes(world: World) -> tuple[Note, ...]:
    if not world.masked_by or world.masked_by == world.masker.key_id:
        return ()
    text = (
        "the snapshot was masked with another key, so sensitive values are taken as equal; plan against the server to "
        "compare them"
    )
    return (Note(Severity.WARNING, "masked-snapshot", "", text),)


def _drift_order(drift: Drift) -> tuple[ObjectKey, bool]:
    return drift.key, drift.repaired


def _note_order(note: Note) -> tuple[str, str, str]:
    return note.severity, note.code, note.path
