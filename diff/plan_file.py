"""A plan as a file: JSON that people may read, programs may rely on (`docs/plan.schema.json`), and an apply takes back.

It holds no manifest and no secret: apply renders and plans anew and requires the same actions (`same_action`). Absence
is spelled by leaving the key out, so that null stays a value. The digest covers everything but itself: it finds
accidents and edits; it is not a signature.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from desired_state.images import ImageDecision, ImageSource
from desired_state.objects import Generated, Note, ObjectKey, Recipe, Severity
from desired_state.origin import Origin, OriginKind
from diff.action import (
    ABSENT,
    Action,
    Cause,
    Conflict,
    FieldChange,
    Precondition,
    Readiness,
    ReadinessRule,
    Reason,
    Verb,
)
from diff.decision import Drift
from diff.plan import Basis, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.objects import Json

FORMAT_VERSION = "1.0"
"""A reader refuses another major; a minor only adds keys."""

STEPS: Mapping[Verb, tuple[str, ...]] = {
    Verb.CREATE: ("create",),
    Verb.UPDATE: ("update",),
    Verb.REPLACE: ("delete", "create"),
    Verb.DELETE: ("delete",),
    Verb.ADOPT: ("update",),
    Verb.GENERATE: ("generate",),
    Verb.WAIT: ("no-op",),
    Verb.KEEP: ("no-op",),
}
"""What a verb does to the object, in order: whatever destroys something contains `delete`."""


class PlanFileError(ValueError):
    """A file that is no plan, or not the plan that was written; the message says which, and the mend."""


@dataclass(frozen=True, slots=True)
class Header:
    plan_id: str
    digest: str
    """`sha256:<hex>` of everything else in the file."""
    created_at: str
    """RFC 3339 in UTC, as is `expires_at`."""
    expires_at: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class PlanFile:
    header: Header
    plan: Plan


def seal(plan: Plan, *, plan_id: str, created_at: str, expires_at: str, origin: Origin) -> PlanFile:
    """The plan under an id, with the digest of what a file of it says."""
    unsealed = PlanFile(Header(plan_id, "", created_at, expires_at, origin), plan)
    return replace(unsealed, header=replace(unsealed.header, digest=_digest(document(unsealed))))


def dump(plan_file: PlanFile) -> bytes:
    """JSON, indented, keys sorted, one line feed at the end."""
    return orjson.dumps(
        document(plan_file), option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )


def load(data: bytes) -> PlanFile:
    """The inverse of `dump`, without manifests. Raises PlanFileError for what was cut, edited or written by a newer
    release.
    """
    again = "make a new one with: orchest plan --out FILE"
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise PlanFileError(f"The plan file is no JSON; it was probably cut short ({error}); {again}") from error
    if not isinstance(content, dict) or "format_version" not in content:
        raise PlanFileError(f"This file is no plan: it has no format_version; {again}")
    found = str(content["format_version"])
    if found.partition(".")[0] != FORMAT_VERSION.partition(".")[0]:
        raise PlanFileError(
            f"The plan file has format {found} and this release reads {FORMAT_VERSION}; apply it with the release that "
            f"wrote it, or {again}"
        )
    if content.get("digest") != _digest(content):
        raise PlanFileError(f"The plan file was changed after it was written (its digest does not match); {again}")
    try:
        return _plan_file(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PlanFileError(f"The plan file is not complete ({error!r}); {again}") from error


def same_action(one: Action, other: Action) -> bool:
    """Whether two plans mean the same step: all that a plan file says but the words, the patience, and who else holds
    a field.
    """
    return _essence(one) == _essence(other)


def _essence(action: Action) -> Action:
    changes = tuple(replace(change, manager="") for change in action.changes)
    readiness = Readiness(action.readiness.rule)
    return replace(action, explanation="", readiness=readiness, changes=changes, manifest=None)


def document(plan_file: PlanFile) -> dict[str, Json]:
    """The file's content as JSON."""
    header, plan = plan_file.header, plan_file.plan
    return {
        "format_version": FORMAT_VERSION,
        "plan_id": header.plan_id,
        "digest": header.digest,
        "created_at": header.created_at,
        "expires_at": header.expires_at,
        "origin": {**asdict(header.origin), "paths": list(header.origin.paths)},
        **plan_document(plan),
    }


def plan_document(plan: Plan) -> dict[str, Json]:
    """A plan as JSON, without the header that only a saved one has."""
    return {
        "cluster": str(plan.cluster),
        "noop": plan.is_empty,
        "basis": asdict(plan.basis),
        "actions": [_action_document(action) for action in plan.actions],
        "drift": [
            {
                "key": str(drift.key),
                "repaired": drift.repaired,
                "changes": [_change_document(change) for change in drift.changes],
            }
            for drift in plan.drift
        ],
        "images": [asdict(decision) for decision in plan.images],
        "notes": [asdict(note) for note in plan.notes],
    }


def _action_document(action: Action) -> dict[str, Json]:
    return {
        "key": str(action.key),
        "verb": action.verb,
        "actions": list(STEPS[action.verb]),
        "reason": action.reason,
        "explanation": action.explanation,
        "wave": action.wave,
        "changes": [_change_document(change) for change in action.changes],
        "replace_paths": [change.path for change in action.changes if change.immutable],
        "precondition": asdict(action.precondition),
        "readiness": asdict(action.readiness),
        "image": asdict(action.image) if action.image else None,
        "conflicts": [asdict(conflict) for conflict in action.conflicts],
        "generated": _generated_document(action.generated),
        "removals": list(action.removals),
        "desired_digest": action.desired_digest,
    }


def _generated_document(generated: Generated | None) -> Json:
    if generated is None:
        return None
    return {**asdict(generated), "keys": list(generated.keys), "hosts": list(generated.hosts)}


def _change_document(change: FieldChange) -> dict[str, Json]:
    """An absent side has no key; the shadows say of which side the value is masked or not known yet."""
    sides = {name: value for name, value in (("before", change.before), ("after", change.after)) if value is not ABSENT}
    if change.unknown:
        sides.pop("after", None)
    return {
        "path": change.path,
        **sides,
        "before_sensitive": change.sensitive and "before" in sides,
        "after_sensitive": change.sensitive and "after" in sides,
        "after_unknown": change.unknown,
        "sensitive": change.sensitive,
        "cause": change.cause,
        "manager": change.manager,
        "immutable": change.immutable,
    }


def _digest(content: Mapping[str, Json]) -> str:
    rest = {name: value for name, value in content.items() if name != "digest"}
    return f"sha256:{sha256(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)).hexdigest()}"


# --- reading


def _plan_file(content: Mapping[str, Any]) -> PlanFile:
    origin = content["origin"]
    known = {field.name for field in fields(Origin)}
    told = {name: value for name, value in origin.items() if name in known}
    header = Header(
        plan_id=content["plan_id"],
        digest=content["digest"],
        created_at=content["created_at"],
        expires_at=content["expires_at"],
        origin=Origin(**{**told, "kind": OriginKind(told["kind"]), "paths": tuple(told["paths"])}),
    )
    return PlanFile(header, _plan(content))


def _plan(content: Mapping[str, Any]) -> Plan:
    return Plan(
        cluster=ObjectKey.parse(content["cluster"]),
        basis=Basis(**content["basis"]),
        actions=tuple(_action(item) for item in content["actions"]),
        drift=tuple(
            Drift(
                ObjectKey.parse(item["key"]),
                tuple(_change(change) for change in item["changes"]),
                repaired=item["repaired"],
            )
            for item in content["drift"]
        ),
        images=tuple(_image(item) for item in content["images"]),
        notes=tuple(Note(**{**item, "severity": Severity(item["severity"])}) for item in content["notes"]),
    )


def _action(item: Mapping[str, Any]) -> Action:
    readiness = item["readiness"]
    return Action(
        key=ObjectKey.parse(item["key"]),
        verb=Verb(item["verb"]),
        reason=Reason(item["reason"]),
        wave=item["wave"],
        changes=tuple(_change(change) for change in item["changes"]),
        precondition=Precondition(**item["precondition"]),
        readiness=Readiness(**{**readiness, "rule": ReadinessRule(readiness["rule"])}),
        explanation=item["explanation"],
        image=_image(item["image"]) if item["image"] else None,
        conflicts=tuple(Conflict(**conflict) for conflict in item["conflicts"]),
        generated=_generated(item["generated"]),
        removals=tuple(item["removals"]),
        desired_digest=item["desired_digest"],
    )


def _change(item: Mapping[str, Any]) -> FieldChange:
    return FieldChange(
        path=item["path"],
        before=item.get("before", ABSENT),
        after=None if item["after_unknown"] else item.get("after", ABSENT),
        cause=Cause(item["cause"]),
        manager=item["manager"],
        sensitive=item["sensitive"],
        unknown=item["after_unknown"],
        immutable=item["immutable"],
    )


def _image(item: Mapping[str, Any]) -> ImageDecision:
    return ImageDecision(**{**item, "source": ImageSource(item["source"])})


def _generated(item: Mapping[str, Any] | None) -> Generated | None:
    if item is None:
        return None
    return Generated(
        **{**item, "recipe": Recipe(item["recipe"]), "keys": tuple(item["keys"]), "hosts": tuple(item["hosts"])}
    )
