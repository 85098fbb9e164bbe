"""The settings of the platform, those of the original.

In: a session of the caller's transaction, what somebody wants. Out: all settings as they are then. What nobody has set
has its default. Whether there are analytics, and as whom, is the outbox's own truth: it is asked and told here, not
kept twice. Never: an event; there is none of this kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from sqlalchemy import select

from outbox import analytics
from services.api.domain.models import SettingRow, inserted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pydantic import JsonValue
    from sqlalchemy.orm import Session

    from outbox.analytics import Backend

PAUSED = "PAUSED"
TELEMETRY_DISABLED = "TELEMETRY_DISABLED"
TELEMETRY_UUID = "TELEMETRY_UUID"
_DEFAULTS: Mapping[str, JsonValue] = {
    "AUTH_ENABLED": False,
    "INTERCOM_USER_EMAIL": "johndoe@example.org",
    "MAX_BUILDS_PARALLELISM": 1,
    "MAX_INTERACTIVE_RUNS_PARALLELISM": 1,
    "MAX_JOB_RUNS_PARALLELISM": 1,
    PAUSED: False,
}
_OF_THE_CLOUD = frozenset({"AUTH_ENABLED", "INTERCOM_USER_EMAIL", TELEMETRY_DISABLED, TELEMETRY_UUID})
"""There they are set for the user, who cannot change them."""
_READ_AT_START = frozenset({"AUTH_ENABLED", "INTERCOM_USER_EMAIL", TELEMETRY_UUID})
"""By those who use them: they need a restart."""


@dataclass(frozen=True, slots=True)
class Site:
    """Of this process: what settings depend on."""

    backend: Backend
    """Of analytics."""
    is_cloud: bool = False


class Saved(NamedTuple):
    requires_restart: tuple[str, ...]
    """Of what changed: the names of those that take effect after a restart only."""
    user_config: Mapping[str, JsonValue]


def settings(session: Session, site: Site) -> dict[str, JsonValue]:
    """By name, all but the hidden `PAUSED`."""
    return {name: value for name, value in _all(session, site).items() if name != PAUSED}


def is_paused(session: Session) -> bool:
    """Whether nothing new may start."""
    row = session.get(SettingRow, PAUSED)
    return bool(row is not None and row.value)


def update(session: Session, wanted: Mapping[str, JsonValue], site: Site, now: datetime) -> Saved:
    """What is not named stays as it is."""
    before = _locked(session, site)
    return _saved(session, before, wanted, site, now)


def replace(session: Session, wanted: Mapping[str, JsonValue], site: Site, now: datetime) -> Saved:
    """What is not named gets its default; but nobody is paused, counted or given a new name by leaving that out."""
    before = _locked(session, site)
    kept = {
        PAUSED: before[PAUSED],
        TELEMETRY_UUID: before[TELEMETRY_UUID],
        TELEMETRY_DISABLED: before[TELEMETRY_DISABLED],
    }
    return _saved(session, before, {**_defaults(site), **kept, **wanted}, site, now)


def _all(session: Session, site: Site) -> dict[str, JsonValue]:
    rows = session.execute(select(SettingRow.name, SettingRow.value))
    installation = analytics.installation(session)
    found = {
        **_defaults(site),
        **{row.name: row.value for row in rows},
        TELEMETRY_DISABLED: analytics.is_declined(session),
        TELEMETRY_UUID: "" if installation is None else str(installation),
    }
    return dict(sorted(found.items()))


def _defaults(site: Site) -> dict[str, JsonValue]:
    return {**_DEFAULTS, "AUTH_ENABLED": site.is_cloud}


def _locked(session: Session, site: Site) -> dict[str, JsonValue]:
    """On PostgreSQL changes follow each other: all wait at one row."""
    inserted(session, SettingRow, name=PAUSED, value=_DEFAULTS[PAUSED])
    session.execute(select(SettingRow.name).where(SettingRow.name == PAUSED).with_for_update())
    return _all(session, site)


def _saved(
    session: Session, before: Mapping[str, JsonValue], wanted: Mapping[str, JsonValue], site: Site, now: datetime
) -> Saved:
    fixed = _OF_THE_CLOUD if site.is_cloud else frozenset()
    changed = {name: value for name, value in wanted.items() if name not in fixed and value != before[name]}
    _tell_analytics(session, changed, site, now)
    for name in sorted(changed.keys() & _DEFAULTS.keys()):
        session.merge(SettingRow(name=name, value=changed[name]))
    session.flush()
    return Saved(_restarts(changed, site), settings(session, site))


def _tell_analytics(session: Session, changed: Mapping[str, Any], site: Site, now: datetime) -> None:
    if TELEMETRY_UUID in changed:
        analytics.identify(session, UUID(changed[TELEMETRY_UUID]), now)
    if TELEMETRY_DISABLED not in changed:
        return
    if changed[TELEMETRY_DISABLED]:
        analytics.decline(session, now)
    else:
        analytics.accept(session, site.backend, now)


def _restarts(changed: Mapping[str, JsonValue], site: Site) -> tuple[str, ...]:
    """Analytics that are accepted begin at once where this process has their address, else when a worker starts."""
    needed = set(changed) & _READ_AT_START
    if changed.get(TELEMETRY_DISABLED) is False and not site.backend.is_on:
        needed.add(TELEMETRY_DISABLED)
    return tuple(sorted(needed))
