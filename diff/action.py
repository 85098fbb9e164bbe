"""What a plan consists of: one action for one object, with its reason, its field changes and its precondition."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from desired_state.images import ImageDecision
    from desired_state.objects import Generated, Json, Manifest, ObjectKey


class Verb(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    """Delete and create: a field that differs cannot be changed in place."""
    DELETE = "delete"
    ADOPT = "adopt"
    """Take over an object of the original (or a claim) under our mark and field manager."""
    GENERATE = "generate"
    """Create or renew an object whose content is made in the cluster (certificate, passwords)."""
    WAIT = "wait"
    """Nothing to write, but not ready yet."""
    KEEP = "keep"
    """Differs or is no longer desired, and is deliberately left as it is."""


WRITES = frozenset({Verb.CREATE, Verb.UPDATE, Verb.REPLACE, Verb.DELETE, Verb.ADOPT, Verb.GENERATE})


class Reason(StrEnum):
    NOT_FOUND = "not-found"
    """Desired, never recorded by us, absent."""
    MISSING = "missing"
    """Drift: in the inventory, but somebody deleted it."""
    DESIRED_CHANGED = "desired-changed"
    DRIFTED = "drifted"
    """Only fields changed by somebody else differ."""
    IMMUTABLE_FIELD = "immutable-field"
    CONTENT_ABSENT = "content-absent"
    """Generated content is not there, or not complete."""
    CONTENT_OUTDATED = "content-outdated"
    """Generated for other names or another address."""
    CONTENT_EXPIRING = "content-expiring"
    ORIGINAL_OBJECT = "original-object"
    """Carries the original controller's labels."""
    EXISTING_CLAIM = "existing-claim"
    NOT_DESIRED = "not-desired"
    """Prune: ours, in the inventory, and no longer rendered."""
    PAUSED = "paused"
    NOT_READY = "not-ready"
    USER_DATA = "user-data"
    """A claim is never deleted by an update."""
    SMALLER_VOLUME = "smaller-volume"
    NOT_EXPANDABLE = "not-expandable"
    BEING_DELETED = "being-deleted"
    """Somebody asked for its deletion: it is created again when it is gone, or awaited when it is not desired."""
    DRIFT_IGNORED = "drift-ignored"
    """By `orchest.io/ignore-drift`, or the drift mode is not `correct`."""


class Cause(StrEnum):
    """Who made a field differ."""

    DESIRED = "desired"
    DRIFT = "drift"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field path with both values, already masked. Absent is `ABSENT`, so that null stays sayable."""

    path: str
    """`spec.template.spec.containers[name=orchest-api].image`, keys with dots quoted: `metadata.labels["a.b/c"]`."""
    before: Json
    after: Json
    cause: Cause = Cause.DESIRED
    manager: str = ""
    """Field manager that holds the observed value, when it is not ours."""
    sensitive: bool = False
    unknown: bool = False
    """`after` is filled in by apply."""
    immutable: bool = False
    """This path forces a replace."""


class _Absent:
    """Singleton for a field that is not there; it has no value and prints as nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class Precondition:
    """What must still hold when the action is carried out. uid "" means: must not exist."""

    uid: str
    seen: str
    """Keyed digest of the normalised observed values of the compared fields, owner mark and deletionTimestamp; "" for
    absence.
    """


class ReadinessRule(StrEnum):
    NONE = "none"
    DEPLOYMENT = "deployment"
    DAEMON_SET = "daemon-set"
    CLAIM = "claim"
    """Bound, or waiting for its first consumer."""
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Readiness:
    rule: ReadinessRule
    timeout_seconds: float = 300.0
    hold_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that another Apply manager holds: apply refuses (exit code 4) unless conflicts are forced."""

    path: str
    manager: str


@dataclass(frozen=True, slots=True)
class Action:
    """One object's planned step. `changes` is never empty for a write."""

    key: ObjectKey
    verb: Verb
    reason: Reason
    wave: int
    changes: tuple[FieldChange, ...]
    precondition: Precondition
    readiness: Readiness
    explanation: str = ""
    """One sentence: the consequence of a replace, why something is kept, what is waited for."""
    image: ImageDecision | None = None
    conflicts: tuple[Conflict, ...] = ()
    manifest: Manifest | None = None
    """What is sent; never written into a plan file."""
    generated: Generated | None = None
    removals: tuple[str, ...] = ()
    """JSON pointers of what server-side apply cannot drop because others own it (`removal.py` takes it out first)."""
    desired_digest: str = ""
    """Keyed digest of `manifest`, so that a plan file can be checked against a new rendering."""
