"""What is observed and not desired: deleted when it is ours beyond doubt, kept when it is data, named when it is in
doubt.

In: the observed objects whose keys are not desired. Out: a `Verdict` for each, and a refusal when there are too many. A
delete needs our mark, an inventory entry and the uid (`ownership.py`). A pause asks for its deletes by a field, so they
do not count against the limit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from desired_state.objects import Note, Severity
from diff.action import ABSENT, Action, FieldChange, Reason, Verb
from diff.decision import IN_SYNC, Verdict
from diff.order import GONE, LAST_WAVE, NOT_AWAITED, PAUSED_KINDS, pause_wave_of
from diff.ownership import Ownership, mark_of, may_delete, ownership
from diff.precondition import precondition_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from diff.decision import World
    from diff.snapshot import ObservedObject

PRUNE_FLOOR = 3
PRUNE_SHARE = 10
"""Per cent."""


def undesired(observed: ObservedObject, world: World, *, paused: bool) -> Verdict:
    """The verdict on one observed object that nothing desires."""
    if observed.key.kind == "Namespace" or mark_of(observed.content) not in {"", world.mark}:
        return IN_SYNC
    if ownership(observed, world.mark, world.recorded) is not Ownership.OURS:
        return Verdict(notes=_left_behind(observed, world))
    if observed.key.kind == "PersistentVolumeClaim":
        return Verdict(_keep(observed, world))
    if not may_delete(observed, world.mark, world.recorded):
        text = "it carries our mark but is not in the inventory: left alone; delete it yourself when nobody needs it"
        return Verdict(notes=(Note(Severity.WARNING, "not-in-inventory", str(observed.key), text),))
    if observed.content["metadata"].get("deletionTimestamp"):
        return Verdict(_await_end(observed, world))
    return Verdict(_delete(observed, world, paused=paused))


def limit_note(prunes: int, owned: int) -> Note | None:
    """A refusal when a plan would prune more than max(3, 10 %) of what the inventory lists, or all of it."""
    limit = max(PRUNE_FLOOR, owned * PRUNE_SHARE // 100)
    if prunes == 0 or (prunes <= limit and prunes < owned):
        return None
    text = (
        f"{prunes} of {owned} objects would be deleted because the manifest does not ask for them any more (at most "
        f"{limit} go without asking, and never all); look at the list, then allow it with --allow-prune"
    )
    return Note(Severity.REFUSAL, "too-many-prunes", "", text)


def count_prunes(actions: Iterable[Action]) -> int:
    return sum(action.verb is Verb.DELETE and action.reason is Reason.NOT_DESIRED for action in actions)


def _left_behind(observed: ObservedObject, world: World) -> tuple[Note, ...]:
    if ownership(observed, world.mark, world.recorded) is not Ownership.ORIGINAL:
        return ()
    text = "made by the original controller, not part of this release: left alone; delete it when nobody needs it"
    return (Note(Severity.INFO, "left-behind", str(observed.key), text),)


def _delete(observed: ObservedObject, world: World, *, paused: bool) -> Action:
    action = _action(observed, world, Verb.DELETE, Reason.NOT_DESIRED)
    if not paused or observed.key[:2] not in PAUSED_KINDS:
        return replace(action, explanation="the manifest does not ask for it any more")
    return replace(
        action,
        reason=Reason.PAUSED,
        wave=pause_wave_of(observed.key),
        explanation="the cluster is paused: it is created again on resume",
    )


def _keep(observed: ObservedObject, world: World) -> Action:
    action = _action(observed, world, Verb.KEEP, Reason.USER_DATA)
    return replace(
        action,
        explanation="not asked for any more, but a claim holds user data and is never deleted by an update",
    )


def _await_end(observed: ObservedObject, world: World) -> Action:
    action = _action(observed, world, Verb.WAIT, Reason.BEING_DELETED)
    return replace(action, explanation="it is being deleted")


def _action(observed: ObservedObject, world: World, verb: Verb, reason: Reason) -> Action:
    """In the last wave. What is deleted is told by one line, the object itself: its fields are of no use to anyone."""
    is_delete = verb is Verb.DELETE
    return Action(
        key=observed.key,
        verb=verb,
        reason=reason,
        wave=LAST_WAVE,
        changes=(FieldChange("metadata.name", observed.key.name, ABSENT),) if is_delete else (),
        precondition=precondition_of(world.masker, observed, None),
        readiness=NOT_AWAITED if verb is Verb.KEEP else GONE,
    )
