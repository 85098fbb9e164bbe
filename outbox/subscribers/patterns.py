"""What a subscription means: which events it hears, and whether it can hear any at all.

In: a pattern (a type, `prefix:*` or `*`) with its scope; the types there are. Out: yes or no, or what is wrong with it.
Never: IO; the database is asked by `matching.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING
from uuid import UUID  # noqa: TC003 - answers of the API are parsed into these dataclasses

if TYPE_CHECKING:
    from collections.abc import Iterable

EVERYTHING = "*"
_PROJECT = "project:"
_JOBS = ("project:one-off-job:", "project:cron-job:")


@dataclass(frozen=True, slots=True)
class Interest:
    """One subscription as a value: everywhere, in one project, or of one job of a project."""

    pattern: str
    project_uuid: UUID | None = None
    job_uuid: UUID | None = None


def patterns_hearing(event_type: str) -> list[str]:
    """Every pattern that hears the type: itself, then its prefixes with `*`, the longest first.

    `project:pipeline:created` is heard by itself, `project:pipeline:*`, `project:*` and `*`.
    """
    segments = event_type.split(":")[:-1]
    prefixes = [":".join(segments[:count]) for count in range(len(segments), 0, -1)]
    return [event_type, *(f"{prefix}:*" for prefix in prefixes), EVERYTHING]


def hears(interest: Interest, event_type: str, project_uuid: UUID | None, job_uuid: UUID | None) -> bool:
    """An event without project or job is heard by no subscription that is limited to one."""
    return (
        interest.pattern in patterns_hearing(event_type)
        and interest.project_uuid in {None, project_uuid}
        and interest.job_uuid in {None, job_uuid}
    )


def mistake(interest: Interest, known: Iterable[str]) -> str:
    """What is wrong with it and the mend, without repeating it; "" for one that can hear something. `known`: all event
    types.
    """
    types = sorted(known)
    matching = [name for name in types if interest.pattern in patterns_hearing(name)]
    if not matching:
        return _unknown(interest.pattern, types)
    if interest.job_uuid and not interest.project_uuid:
        return "a job is given without its project. Give the project too."
    if interest.job_uuid and not _some(matching, _JOBS):
        return (
            "no event of a job, so it cannot be limited to one. "
            "Types of jobs begin with project:one-off-job: or project:cron-job:."
        )
    if interest.project_uuid and not _some(matching, (_PROJECT,)):
        return "no event of a project, so it cannot be limited to one. Types of projects begin with project:."
    return ""


def _unknown(pattern: str, types: list[str]) -> str:
    offered = [*types, *sorted({name for one in types for name in patterns_hearing(one)[1:]})]
    close = get_close_matches(pattern, offered, n=3, cutoff=0.6)
    meant = f"Did you mean {' or '.join(close)}? " if close else ""
    wrong = "matches no event type" if "*" in pattern else "no such event type"
    return f"{wrong}. {meant}{_LISTED}"


_LISTED = "Types are listed by: orchest events types, and GET /api/notifications/subscribable-events"


def _some(types: list[str], prefixes: tuple[str, ...]) -> bool:
    return any(name.startswith(prefixes) for name in types)
