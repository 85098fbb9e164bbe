"""One desired object against what is observed of it: at most one action, with its reason.

In: a candidate (the manifest as it would be sent), the observed object or None, and the `World` that is the same for
all objects of a plan. Out: a `Verdict`. Read `decide` first; each branch below it is one row of the reconciler's rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from desired_state.objects import GROUP, OWNER_ANNOTATION, Manifest, Note, Severity, UnknownValue
from desired_state.release import Component
from diff.action import ABSENT, Action, Cause, FieldChange, Reason, Verb
from diff.adoption import WORKLOAD_CONSEQUENCE, forget_text, helm_release, leftovers, uninstall_text
from diff.canonical import canonical_bytes
from diff.change import Origins, changes_of, conflicts_of, sides
from diff.claims import given_up, with_live_values
from diff.compare import FieldDifference, compare, compare_whole, is_masked
from diff.database import database_refusals
from diff.drift import DriftMode, ignored_paths
from diff.exclusive import exclusive_fields
from diff.generated import (
    EXPIRES_ANNOTATION,
    EXPLANATIONS,
    GENERATED_FOR_ANNOTATION,
    reason_to_generate,
)
from diff.immutable import immutable_at
from diff.known import has_unknown, resolve
from diff.managed_fields import holders
from diff.merge_keys import ATOMIC_MAPS
from diff.order import NOT_AWAITED, WORKLOADS, readiness_of, wave_of
from diff.owned_paths import OWNED_PATHS, dropped_fields, owned_paths_digest, with_owned_paths
from diff.ownership import Ownership, may_delete, ownership
from diff.paths import format_path, json_pointer, value_at, without
from diff.precondition import ABSENCE, precondition_of
from diff.readiness import ReadinessState, assess

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.facts import ClusterFacts
    from desired_state.masking import Masker
    from desired_state.objects import DesiredObject, Json, ObjectKey
    from diff.change import Change
    from diff.claims import GivenUp
    from diff.drift import DriftPolicy
    from diff.paths import Path
    from diff.snapshot import ObservedObject


@dataclass(frozen=True, slots=True)
class Drift:
    """What somebody else changed in one object: shown apart from the changes that Git asks for."""

    key: ObjectKey
    changes: tuple[FieldChange, ...]
    """Empty when the whole object is missing."""
    repaired: bool
    """Whether an action of this plan repairs it (drift mode, ignore rules)."""


@dataclass(frozen=True, slots=True)
class World:
    """What all decisions of one plan share."""

    masker: Masker
    mark: str
    """Our owner mark."""
    recorded: Mapping[str, str]
    """The inventory: uid by object key (as text)."""
    known: Mapping[UnknownValue, str]
    policy: DriftPolicy
    facts: ClusterFacts
    now: str
    masked_by: str
    """key id when the snapshot hides sensitive values."""


@dataclass(frozen=True, slots=True)
class Candidate:
    desired: DesiredObject
    sent: Manifest
    """The manifest with its owned-paths annotation."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done about one object, what somebody else did to it, and what a person must know."""

    action: Action | None = None
    drift: tuple[Drift, ...] = ()
    notes: tuple[Note, ...] = ()


IN_SYNC = Verdict()
_ADOPTED = frozenset({Ownership.ORIGINAL, Ownership.CLAIM})


def candidate(desired: DesiredObject, policy: DriftPolicy) -> Candidate:
    """Ignored fields are not counted among the owned ones: whether they are sent depends on who holds them at the
    moment.
    """
    content = desired.manifest.content
    ignored = ignored_paths(policy, desired.manifest.key, content)
    digest = owned_paths_digest(without(content, ignored) if ignored else content)
    return Candidate(desired, Manifest(desired.manifest.key, with_owned_paths(content, digest)))


def decide(item: Candidate, observed: ObservedObject | None, world: World) -> Verdict:
    """The verdict on one object. The most common one, in sync and ready, is found first and costs one comparison."""
    if observed is None:
        return _absent(item, world)
    refusal = _refusal(observed, world)
    if refusal is not None:
        return Verdict(notes=(refusal,))
    if observed.content["metadata"].get("deletionTimestamp"):
        return _being_deleted(item, observed, world)
    differences = differences_of(item, observed.content, world)
    reason = _reason_to_generate(item, observed, world)
    if not differences and reason is None:
        return _settled(item, observed, world)
    return _Difference(item, observed, world, differences, reason).verdict()


# --- what differs


def differences_of(item: Candidate, observed: Mapping[str, Json], world: World) -> tuple[FieldDifference, ...]:
    """Fields we set that differ, and fields that we set no longer; in the OrchestCluster's spec also what others
    added.
    """
    desired = item.sent.content
    if world.masked_by:
        return _differences_behind_masks(item, observed, world)
    if item.sent.key.group == GROUP:
        return _differences_of_cluster(desired, observed, world)
    found = compare(desired, observed, world.known)
    return found if not found else (*found, *_dropped(item, observed, world, found))


def _differences_of_cluster(
    desired: Mapping[str, Json], observed: Mapping[str, Json], world: World
) -> tuple[FieldDifference, ...]:
    around = {name: value for name, value in desired.items() if name != "spec"}
    spec = compare_whole(desired.get("spec") or {}, observed.get("spec") or {}, ("spec",))
    found = compare(around, observed, world.known)
    metadata = dropped_fields(desired, observed, holders(observed)) if _owns_other_paths(found) else ()
    return (*found, *spec, *(difference for difference in metadata if difference.path[0] == "metadata"))


def _differences_behind_masks(
    item: Candidate, observed: Mapping[str, Json], world: World
) -> tuple[FieldDifference, ...]:
    """Against a masked snapshot: masked alike, or, with another key, without the values that cannot be compared."""
    is_same_key = world.masked_by == world.masker.key_id
    desired = world.masker.mask_content(item.sent.content)
    plain = replace(world, masked_by="")
    masked = Candidate(item.desired, Manifest(item.sent.key, desired))
    return tuple(
        difference
        for difference in differences_of(masked, observed, plain)
        if difference.observed is ABSENT
        or not (has_unknown(difference.desired) or (not is_same_key and _hides(difference)))
    )


def _hides(difference: FieldDifference) -> bool:
    return is_masked(difference.observed) or is_masked(difference.desired)


def _dropped(
    item: Candidate, observed: Mapping[str, Json], world: World, found: tuple[FieldDifference, ...]
) -> tuple[FieldDifference, ...]:
    if not _owns_other_paths(found):
        return ()
    dropped = dropped_fields(resolve(item.sent.content, world.known), observed, holders(observed))
    if item.desired.generated is None:
        return dropped
    return tuple(difference for difference in dropped if not _is_generated(difference.path))


def _owns_other_paths(found: tuple[FieldDifference, ...]) -> bool:
    return any(difference.path == OWNED_PATHS for difference in found)


def _is_generated(path: Path) -> bool:
    """Fields that apply writes into a generated Secret beside the manifest."""
    return path[0] == "data" or path[-1] in {GENERATED_FOR_ANNOTATION, EXPIRES_ANNOTATION}


# --- verdicts


def _absent(item: Candidate, world: World) -> Verdict:
    """Create it. When the inventory knows it, somebody deleted it: drift."""
    key = item.sent.key
    is_missing = bool(world.recorded.get(str(key)))
    if is_missing and world.policy.mode is not DriftMode.CORRECT:
        return _left_missing(item, world)
    reason = Reason.MISSING if is_missing else Reason.NOT_FOUND
    if item.desired.generated is not None:
        reason = Reason.CONTENT_ABSENT
    action = _action(
        item, world, Verb.GENERATE if item.desired.generated else Verb.CREATE, reason, created_fields(item, world)
    )
    return Verdict(action, (Drift(key, (), repaired=True),) if is_missing else ())


def _left_missing(item: Candidate, world: World) -> Verdict:
    key = item.sent.key
    explanation = f"somebody deleted it; drift mode {world.policy.mode} leaves it so"
    action = replace(
        _action(item, world, Verb.KEEP, Reason.DRIFT_IGNORED, ()),
        explanation=explanation,
        readiness=NOT_AWAITED,
        manifest=None,
    )
    return Verdict(action, (Drift(key, (), repaired=False),), _drift_warning(world, key, explanation))


def created_fields(item: Candidate, world: World) -> tuple[FieldChange, ...]:
    """Every leaf of an object that is to be created; of generated content only the names."""
    content = resolve(item.sent.content, world.known)
    identity = {name: content["metadata"][name] for name in ("name", "namespace") if name in content["metadata"]}
    nothing = {"apiVersion": content["apiVersion"], "kind": content["kind"], "metadata": identity}
    differences = compare(content, nothing, world.known)
    both = sides(world.masker, content, {})
    origins = Origins((), owns_same_paths=False)
    shown = [change.shown for change in changes_of(item.sent.key, differences, both, origins)]
    return tuple(sorted([*shown, *_generated_fields(item)], key=lambda change: change.path))


def _generated_fields(item: Candidate) -> tuple[FieldChange, ...]:
    """Content that apply makes: its names, never a value."""
    keys = item.desired.generated.keys if item.desired.generated else ()
    return tuple(FieldChange(format_path(("data", key)), ABSENT, None, sensitive=True, unknown=True) for key in keys)


def _refusal(observed: ObservedObject, world: World) -> Note | None:
    key = observed.key
    whose = ownership(observed, world.mark, world.recorded)
    if key.group == GROUP or whose not in {Ownership.ANOTHER, Ownership.FOREIGN}:
        return None
    if whose is Ownership.ANOTHER:
        return _note(
            Severity.REFUSAL,
            "owned-by-another",
            key,
            "it belongs to another OrchestCluster; give this one another name or namespace",
        )
    release = helm_release(observed)
    mend = (
        uninstall_text(release)
        if release
        else f"delete or rename it, or annotate it with {OWNER_ANNOTATION}={world.mark} to hand it over"
    )
    text = f"an object of this name exists and is not ours, it will not be touched; {mend}"
    return _note(Severity.REFUSAL, "not-ours", key, text)


def _being_deleted(item: Candidate, observed: ObservedObject, world: World) -> Verdict:
    """Somebody asked for its deletion and a finalizer holds it. It is created again when gone; a claim is left
    alone.
    """
    key = observed.key
    if key.group == GROUP:
        text = "the OrchestCluster is being deleted; wait until it is gone, then apply again to install anew"
        return Verdict(notes=(_note(Severity.REFUSAL, "being-deleted", key, text),))
    if key.kind == "PersistentVolumeClaim":
        text = (
            "somebody deleted this claim: its data goes when the last pod that uses it stops; save it before you "
            "restart anything"
        )
        action = _action(item, world, Verb.KEEP, Reason.BEING_DELETED, (), observed=observed)
        kept = replace(
            action,
            explanation=text,
            readiness=NOT_AWAITED,
            manifest=None,
            precondition=precondition_of(world.masker, observed, None),
        )
        return Verdict(kept, (Drift(key, (), repaired=False),), (_note(Severity.WARNING, "being-deleted", key, text),))
    if world.policy.mode is not DriftMode.CORRECT:
        return _left_missing(item, world)
    action = _action(item, world, Verb.REPLACE, Reason.BEING_DELETED, created_fields(item, world), observed=observed)
    text = "somebody is deleting it: it is created again when it is gone"
    return Verdict(replace(action, explanation=text), (Drift(key, (), repaired=True),))


def _settled(item: Candidate, observed: ObservedObject, world: World) -> Verdict:
    """Nothing to write: in sync, or in sync and not ready yet."""
    readiness = readiness_of(observed.key)
    if readiness is NOT_AWAITED:
        return IN_SYNC
    assessment = assess(readiness.rule, observed.content)
    if assessment.state is ReadinessState.READY:
        return IN_SYNC
    wait = Action(
        key=observed.key,
        verb=Verb.WAIT,
        reason=Reason.NOT_READY,
        wave=wave_of(item.desired),
        changes=(),
        precondition=precondition_of(world.masker, observed, None),
        readiness=readiness,
        explanation=assessment.message,
        image=item.desired.image,
    )
    return Verdict(wait)


class _Difference:
    """An object of ours (or one to adopt) that is not as desired: which changes stand, which are left, and under which
    verb.
    """

    def __init__(
        self,
        item: Candidate,
        observed: ObservedObject,
        world: World,
        differences: tuple[FieldDifference, ...],
        to_generate: Reason | None,
    ) -> None:
        self.item, self.observed, self.world = item, observed, world
        self.key = observed.key
        self.to_generate = to_generate
        self.whose = ownership(observed, world.mark, world.recorded)
        desired = resolve(item.sent.content, world.known)
        exclusive = exclusive_fields(desired, observed.content) if self.key[:2] in WORKLOADS else ()
        left_over = leftovers(self.key, desired, observed.content) if self.whose in _ADOPTED else ()
        in_the_way = (*(found.difference for found in exclusive), *left_over)
        self.in_the_way = frozenset(difference.path for difference in in_the_way)
        self.origins = Origins(
            holders(observed.content),
            owns_same_paths=not _owns_other_paths(differences),
            instead_of={found.difference.path: found.instead_of for found in exclusive},
        )
        self.kept = (
            given_up(differences, observed.content, world.facts) if self.key.kind == "PersistentVolumeClaim" else ()
        )
        both = sides(world.masker, desired, observed.content)
        changes = changes_of(self.key, (*differences, *in_the_way), both, self.origins)
        kept = {found.difference.path for found in self.kept}
        self.given_up = tuple(change.shown for change in changes if change.path in kept)
        open_changes = tuple(change for change in changes if change.path not in kept)
        self.left = tuple(change for change in open_changes if self._is_left(change))
        self.changes = tuple(change for change in open_changes if not self._is_left(change))

    def verdict(self) -> Verdict:
        is_written = bool(self.changes) or self.to_generate is not None
        action = self._write() if is_written else self._keep()
        return Verdict(action, self._drift(), (*self._notes(is_written=is_written), *self._database_notes()))

    def _is_left(self, change: Change) -> bool:
        deciding = self.origins.instead_of.get(change.path, change.path)
        return change.shown.cause is Cause.DRIFT and self.world.policy.leaves_alone(self.key, deciding)

    def _write(self) -> Action:
        verb, reason, explanation = self._why()
        shown = tuple(change.shown for change in self.changes)
        if self.to_generate is not None:
            shown = tuple(sorted([*shown, *self._regenerated()], key=lambda change: change.path))
        action = _action(
            replace(self.item, sent=self._manifest()), self.world, verb, reason, shown, observed=self.observed
        )
        return replace(
            action,
            explanation=explanation,
            conflicts=conflicts_of(self.changes, self.origins),
            removals=self._removals(),
        )

    def _why(self) -> tuple[Verb, Reason, str]:
        whose = self.whose
        if whose is Ownership.ORIGINAL and self.key[:2] in WORKLOADS:
            return Verb.REPLACE, Reason.ORIGINAL_OBJECT, f"made by the original controller: {WORKLOAD_CONSEQUENCE}"
        immutable = next((row for change in self.changes if (row := immutable_at(*self.key[:2], change.path))), None)
        if immutable is not None:
            return (
                Verb.REPLACE,
                Reason.IMMUTABLE_FIELD,
                f"{'.'.join(immutable.path)} cannot change in place: {immutable.consequence}",
            )
        if self.to_generate is not None:
            return Verb.GENERATE, self.to_generate, EXPLANATIONS[self.to_generate]
        if self.key.group != GROUP and whose is Ownership.CLAIM:
            unbound = "; it outlives the OrchestCluster from now on" if self.in_the_way else ""
            return Verb.ADOPT, Reason.EXISTING_CLAIM, f"the claim and its data are taken over as they are{unbound}"
        if self.key.group != GROUP and whose is Ownership.ORIGINAL:
            return Verb.ADOPT, Reason.ORIGINAL_OBJECT, "made by the original controller, taken over"
        causes = {change.shown.cause for change in self.changes}
        return Verb.UPDATE, Reason.DRIFTED if causes == {Cause.DRIFT} else Reason.DESIRED_CHANGED, ""

    def _manifest(self) -> Manifest:
        """As sent: live values where a claim cannot follow, nothing where others' changes are left alone."""
        content = without(self.item.sent.content, [_sendable(change.path) for change in self.left])
        return Manifest(self.key, with_live_values(content, self.observed.content, self.kept))

    def _removals(self) -> tuple[str, ...]:
        """What stays when we let go of it because others hold it: in the OrchestCluster's spec all that Git lacks, in
        other objects what may not stand beside our fields.
        """
        if self.key.group != GROUP:
            return tuple(json_pointer(change.path) for change in self.changes if change.path in self.in_the_way)
        return tuple(
            json_pointer(change.path)
            for change in self.changes
            if change.difference.desired is ABSENT and change.path[0] == "spec" and not self._is_ours_alone(change.path)
        )

    def _is_ours_alone(self, path: Path) -> bool:
        return not self.origins.others(path) and any(holder.holds(path) for holder in self.origins.managers)

    def _regenerated(self) -> tuple[FieldChange, ...]:
        masked = self.world.masker.mask_content(self.observed.content)
        return tuple(
            replace(field, before=value_at(masked, ("data", key)))
            for field, key in zip(_generated_fields(self.item), self.item.desired.generated.keys, strict=True)  # type: ignore[union-attr]
        )

    def _keep(self) -> Action:
        reason, explanation = self._why_kept()
        shown = (*self.given_up, *(change.shown for change in self.left))
        action = _action(self.item, self.world, Verb.KEEP, reason, shown, observed=self.observed)
        return replace(
            action,
            explanation=explanation,
            readiness=NOT_AWAITED,
            manifest=None,
            desired_digest="",
            precondition=precondition_of(self.world.masker, self.observed, None),
        )

    def _why_kept(self) -> tuple[Reason, str]:
        if self.kept:
            return self.kept[0].reason, "; ".join(found.explanation for found in self.kept)
        return Reason.DRIFT_IGNORED, f"changed by {_managers(self.left)} and left so"

    def _drift(self) -> tuple[Drift, ...]:
        repaired = tuple(change.shown for change in self.changes if change.shown.cause is Cause.DRIFT)
        left = tuple(change.shown for change in self.left)
        return tuple(
            Drift(self.key, changes, repaired=is_repaired)
            for changes, is_repaired in ((repaired, True), (left, False))
            if changes
        )

    def _notes(self, *, is_written: bool) -> tuple[Note, ...]:
        given_up_notes = tuple(_given_up_note(self.key, found) for found in self.kept) if is_written else ()
        return (*given_up_notes, *self._replace_notes(), *self._left_notes(), *self._helm_notes())

    def _helm_notes(self) -> tuple[Note, ...]:
        """A claim is taken over from Helm, which would still delete it with its release."""
        release = helm_release(self.observed) if self.whose is Ownership.CLAIM else None
        if release is None:
            return ()
        text = f"helm uninstall would delete this claim with its data; {forget_text(release)}"
        return (_note(Severity.WARNING, "helm-claim", self.key, text),)

    def _replace_notes(self) -> tuple[Note, ...]:
        """A replace deletes, so it takes what a delete takes; what the original made is recognised by its labels
        instead.
        """
        if self._is_replaceable() or not any(immutable_at(*self.key[:2], change.path) for change in self.changes):
            return ()
        text = (
            "must be replaced, but the cluster's inventory does not list it; delete it yourself if it is not needed, "
            "then apply again"
        )
        return (_note(Severity.REFUSAL, "not-in-inventory", self.key, text),)

    def _is_replaceable(self) -> bool:
        return self.whose is Ownership.ORIGINAL or may_delete(self.observed, self.world.mark, self.world.recorded)

    def _left_notes(self) -> tuple[Note, ...]:
        if not self.left:
            return ()
        fields = ", ".join(change.shown.path for change in self.left)
        return _drift_warning(self.world, self.key, f"changed by {_managers(self.left)} and left so: {fields}")

    def _database_notes(self) -> tuple[Note, ...]:
        if self.item.desired.component != Component.ORCHEST_DATABASE or self.key[:2] not in WORKLOADS:
            return ()
        return tuple(database_refusals(self.key, self.observed.content, self.item.sent.content))


# --- small pieces


def _action(
    item: Candidate,
    world: World,
    verb: Verb,
    reason: Reason,
    changes: tuple[FieldChange, ...],
    *,
    observed: ObservedObject | None = None,
) -> Action:
    sent = item.sent
    return Action(
        key=sent.key,
        verb=verb,
        reason=reason,
        wave=wave_of(item.desired),
        changes=changes,
        precondition=precondition_of(world.masker, observed, sent) if observed else ABSENCE,
        readiness=readiness_of(sent.key),
        image=item.desired.image,
        manifest=sent,
        generated=item.desired.generated,
        desired_digest=world.masker.digest(canonical_bytes(sent.content)),
    )


def _reason_to_generate(item: Candidate, observed: ObservedObject, world: World) -> Reason | None:
    if item.desired.generated is None:
        return None
    address = world.known.get(UnknownValue.REGISTRY_ADDRESS, "")
    return reason_to_generate(item.desired.generated, observed.content, address=address, now=world.now)


def _sendable(path: Path) -> Path:
    """What to leave out so that `path` is not sent: the whole map around it when that belongs to one manager."""
    atomic = next((place for place, step in enumerate(path) if step in ATOMIC_MAPS), None)
    return path if atomic is None else path[: atomic + 1]


def _managers(changes: tuple[Change, ...]) -> str:
    return ", ".join(sorted({change.shown.manager for change in changes if change.shown.manager})) or "somebody"


def _given_up_note(key: ObjectKey, found: GivenUp) -> Note:
    return _note(Severity.WARNING, found.reason.value, key, found.explanation)


def _drift_warning(world: World, key: ObjectKey, text: str) -> tuple[Note, ...]:
    return (_note(Severity.WARNING, "drift", key, text),) if world.policy.mode is DriftMode.WARN else ()


def _note(severity: Severity, code: str, key: ObjectKey, message: str) -> Note:
    return Note(severity, code, str(key), message)
