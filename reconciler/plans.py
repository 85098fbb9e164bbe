"""Plan files on disk. What a plan file says is the business of `diff/plan_file.py`; here are ids, clock and bytes.

In: a plan and where its manifest stood, or a path. Out: a `PlanFile`. Never: a decision whether the plan still holds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from diff.plan_file import PlanFileError, load, seal
from outbox.identity import new_uuid
from reconciler.errors import OrchestError

if TYPE_CHECKING:
    from pathlib import Path

    from desired_state.origin import Origin
    from diff.plan import Plan
    from diff.plan_file import PlanFile

DEFAULT_LIFETIME_HOURS = 24.0


def as_plan_file(plan: Plan, origin: Origin, *, lifetime_hours: float = DEFAULT_LIFETIME_HOURS) -> PlanFile:
    """The plan under a new id, made now."""
    created = datetime.now(UTC)
    return seal(
        plan,
        plan_id=str(new_uuid()),
        created_at=_rfc3339(created),
        expires_at=_rfc3339(created + timedelta(hours=lifetime_hours)),
        origin=origin,
    )


def read_plan_file(path: Path) -> PlanFile:
    """Raises OrchestError, naming the file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OrchestError(
            f"Cannot read the plan {path}: {error.strerror}. Make one with: orchest plan --out {path}"
        ) from error
    try:
        return load(data)
    except PlanFileError as error:
        raise OrchestError(f"{path}: {error}") from error


def expired(plan_file: PlanFile, now: datetime) -> tuple[str, ...]:
    """The reason why the plan is too old, or nothing."""
    if now < datetime.fromisoformat(plan_file.header.expires_at):
        return ()
    return (f"it expired at {plan_file.header.expires_at}",)


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
