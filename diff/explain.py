"""A plan in words, for people: what is done to which object, in which wave, and why.

In: a plan. Out: lines of styled segments; the CLI knows colours, this module only says what a segment is. Never: a
value that did not come masked out of the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

import orjson

from desired_state.images import ImageSource
from desired_state.objects import Severity
from diff.action import ABSENT, WRITES, Action, Cause, Reason, Verb
from diff.owned_paths import OWNED_PATHS
from diff.paths import format_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from desired_state.images import ImageDecision
    from desired_state.objects import Json, Note
    from diff.action import FieldChange
    from diff.compare import ObjectHistory
    from diff.plan import Drift, Plan


class Style(StrEnum):
    """What a segment says. The first eight are the verbs."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    ADOPT = "adopt"
    GENERATE = "generate"
    WAIT = "wait"
    KEEP = "keep"
    PLAIN = "plain"
    HEADING = "heading"
    OBJECT = "object"
    REASON = "reason"
    PATH = "path"
    BEFORE = "before"
    AFTER = "after"
    MANAGER = "manager"
    MUTED = "muted"
    INFO = "info"
    WARNING = "warning"
    REFUSAL = "refusal"


Segment: TypeAlias = tuple[Style, str]
Line: TypeAlias = tuple[Segment, ...]

SYMBOLS: Mapping[Verb, str] = {
    Verb.CREATE: "+",
    Verb.UPDATE: "~",
    Verb.REPLACE: "-/+",
    Verb.DELETE: "-",
    Verb.ADOPT: "=",
    Verb.GENERATE: "*",
    Verb.WAIT: "…",
    Verb.KEEP: "!",
}
REASONS: Mapping[Reason, str] = {
    Reason.NOT_FOUND: "does not exist yet",
    Reason.MISSING: "somebody deleted it",
    Reason.DESIRED_CHANGED: "the manifest changed",
    Reason.DRIFTED: "somebody else changed it",
    Reason.IMMUTABLE_FIELD: "a field cannot change in place",
    Reason.CONTENT_ABSENT: "its content is not there yet",
    Reason.CONTENT_OUTDATED: "its content is for other names or another address",
    Reason.CONTENT_EXPIRING: "its certificate is about to expire",
    Reason.ORIGINAL_OBJECT: "made by the original controller",
    Reason.EXISTING_CLAIM: "an existing claim",
    Reason.NOT_DESIRED: "the manifest does not ask for it any more",
    Reason.PAUSED: "the cluster is paused",
    Reason.NOT_READY: "not ready yet",
    Reason.USER_DATA: "holds user data",
    Reason.SMALLER_VOLUME: "a volume cannot shrink",
    Reason.NOT_EXPANDABLE: "the volume cannot grow",
    Reason.BEING_DELETED: "somebody is deleting it",
    Reason.DRIFT_IGNORED: "drift is not corrected here",
}
_COUNTED: Mapping[Verb, str] = {
    Verb.CREATE: "to create",
    Verb.UPDATE: "to update",
    Verb.REPLACE: "to replace",
    Verb.DELETE: "to delete",
    Verb.ADOPT: "to adopt",
    Verb.GENERATE: "to generate",
    Verb.WAIT: "not ready",
    Verb.KEEP: "kept",
}
_WIDEST_VALUE = 100
_OWNED_PATHS = format_path(OWNED_PATHS)


@dataclass(frozen=True, slots=True)
class Detail:
    """How much to say. `creations`: list every field of an object that is new, instead of counting them."""

    creations: bool = False


def explain(plan: Plan, detail: Detail = Detail()) -> tuple[Line, ...]:
    """The whole plan: waves with their actions, drift, images kept, notes, and the summary as the last line."""
    return tuple(_lines(plan, detail))


def as_text(lines: Iterable[Line]) -> str:
    """The same without styles, one line feed after each line."""
    return "".join("".join(text for _, text in line).rstrip() + "\n" for line in lines)


def explain_histories(histories: Iterable[ObjectHistory]) -> tuple[Line, ...]:
    """What became of each object between two snapshots."""
    return tuple(line for history in histories for line in _history_lines(history))


def _history_lines(history: ObjectHistory) -> Iterator[Line]:
    style = _HISTORY_STYLES[history.verb]
    yield ((style, f"{history.verb:<9} "), (Style.OBJECT, str(history.key)))
    for path, before, after in history.changes:
        yield (
            (Style.PATH, f"    {path}: "),
            (Style.BEFORE, _value(before)),
            (Style.PLAIN, " -> "),
            (Style.AFTER, _value(after)),
        )


_HISTORY_STYLES: Mapping[str, Style] = {
    "appeared": Style.CREATE,
    "changed": Style.UPDATE,
    "recreated": Style.REPLACE,
    "vanished": Style.DELETE,
}


def summary(plan: Plan) -> str:
    """`Plan: 3 to create, 1 to update, 2 not ready.` or `No changes: ...`."""
    counts = [(sum(action.verb is verb for action in plan.actions), words) for verb, words in _COUNTED.items()]
    told = ", ".join(f"{count} {words}" for count, words in counts if count)
    if plan.is_empty:
        return f"No changes: the cluster is as the manifest asks{f' ({told})' if told else ''}."
    return f"Plan: {told}."


def _lines(plan: Plan, detail: Detail) -> Iterator[Line]:
    for wave, actions in groupby(plan.actions, key=lambda action: action.wave):
        yield ((Style.HEADING, f"Wave {wave}"),)
        for action in actions:
            yield from _action_lines(action, detail)
        yield ()
    yield from _drift_lines(plan.drift)
    yield from _image_lines(plan.images)
    yield from _note_lines(plan.notes)
    yield ((Style.HEADING, summary(plan)),)


def _action_lines(action: Action, detail: Detail) -> Iterator[Line]:
    style = Style(action.verb.value)
    why = action.explanation or REASONS[action.reason]
    counted = _is_counted(action, detail)
    yield (
        (style, f"  {SYMBOLS[action.verb]:>3} {action.verb} "),
        (Style.OBJECT, str(action.key)),
        (Style.REASON, f"  ({why}{_count(action) if counted else ''})"),
    )
    for change in () if counted else _telling(action):
        yield _change_line(change)
    for conflict in action.conflicts:
        yield ((Style.REFUSAL, f"        conflict: {conflict.manager} applies {conflict.path}"),)


def _is_counted(action: Action, detail: Detail) -> bool:
    is_new = not action.precondition.uid or action.reason is Reason.BEING_DELETED
    return is_new and action.verb in WRITES and not detail.creations


def _count(action: Action) -> str:
    count = len(action.changes)
    image = f", image {action.image.image}" if action.image else ""
    return f"; {count} field{'s' if count != 1 else ''}{image}"


def _telling(action: Action) -> tuple[FieldChange, ...]:
    """Our own bookkeeping is told only when there is nothing else to tell; of an owner reference its name is enough."""
    if action.verb is Verb.DELETE:
        return ()
    told = tuple(change for change in action.changes if not _is_bookkeeping(change.path))
    return told or action.changes


def _is_bookkeeping(path: str) -> bool:
    return path == _OWNED_PATHS or (path.startswith("metadata.ownerReferences[") and not path.endswith((".name", "]")))


def _change_line(change: FieldChange) -> Line:
    line: list[Segment] = [
        (Style.PATH, f"        {change.path}: "),
        (Style.BEFORE, _value(change.before)),
        (Style.PLAIN, " -> "),
        (Style.AFTER, "(known after apply)" if change.unknown else _value(change.after)),
    ]
    if change.immutable:
        line.append((Style.REPLACE, "  # forces a replace"))
    if change.cause is Cause.DRIFT:
        line.append((Style.MANAGER, f"  # changed by {change.manager or 'somebody'}"))
    return tuple(line)


def _value(value: Json) -> str:
    if value is ABSENT:
        return "(absent)"
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    text = orjson.dumps(text).decode()[1:-1] if "\n" in text else text
    return f"{text[:_WIDEST_VALUE]}…" if len(text) > _WIDEST_VALUE else text or '""'


def _drift_lines(drift: tuple[Drift, ...]) -> Iterator[Line]:
    if not drift:
        return
    yield ((Style.HEADING, "Drift: changed by somebody else since the last apply"),)
    for found in drift:
        fate = "is repaired" if found.repaired else "is left so"
        yield ((Style.OBJECT, f"  {found.key}"), (Style.REASON, f"  ({fate})"))
        if not found.changes:
            yield ((Style.MUTED, "        the whole object was deleted"),)
        for change in found.changes:
            yield _change_line(change)
    yield ()


def _image_lines(images: tuple[ImageDecision, ...]) -> Iterator[Line]:
    """Only what is not plainly the release's: that is what people want to be sure of."""
    told = [decision for decision in images if decision.source is not ImageSource.RELEASE]
    if not told:
        return
    yield ((Style.HEADING, "Images"),)
    for decision in told:
        yield (
            (Style.OBJECT, f"  {decision.component}: "),
            (Style.AFTER, decision.image),
            (Style.REASON, f"  ({decision.reason})"),
        )
    yield ()


def _note_lines(notes: tuple[Note, ...]) -> Iterator[Line]:
    order = (Severity.INFO, Severity.WARNING, Severity.REFUSAL)
    for severity in order:
        for note in notes:
            if note.severity is severity:
                place = f"{note.path}: " if note.path else ""
                yield (
                    (Style(severity.value), f"{severity}: "),
                    (Style.PLAIN, f"{place}{note.message}"),
                    (Style.MUTED, f"  [{note.code}]"),
                )
    if notes:
        yield ()
