"""What must hold when the storm is over, judged from three accounts: the writer's log, the receiver's log, the rows.

In: the accounts. Out: figures, and one line for each broken promise. Pure.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from tests.torture.outbox.site import HOOKS, Claim
from tests.torture.outbox.writer import BEGUN, COMMITTED, ROLLED_BACK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Accounts:
    writer: Sequence[Mapping[str, Any]]
    receiver: Sequence[Mapping[str, Any]]
    events: set[UUID]
    deliveries: Mapping[UUID, tuple[UUID, str, int]]
    """Event, status and number of attempts."""
    attempts: Mapping[Claim, str]
    """Result."""


@dataclass(frozen=True, slots=True)
class Judgement:
    committed: int
    rolled_back: int
    unknown: int
    """Begun by a writer that was killed or lost its connection before it knew."""
    requests: int
    duplicates: int
    """Requests answered 204 beyond the first of each delivery."""
    broken: tuple[str, ...]


def judged(accounts: Accounts, most_duplicates: int) -> Judgement:
    written = {what: _events(accounts.writer, what) for what in (BEGUN, COMMITTED, ROLLED_BACK)}
    accepted = [entry for entry in accounts.receiver if entry["status"] == 204 and entry["verified"]]
    arrived = {(entry["hook"], UUID(entry["event"])) for entry in accepted}
    duplicates = len(accepted) - len({entry["delivery"] for entry in accepted})
    wanted = {(hook, event) for hook in HOOKS for event in written[COMMITTED]}
    rows = Counter(event for event, _, _ in accounts.deliveries.values())
    broken = [
        *_some("committed events did not arrive", wanted - arrived),
        *_some("events of rolled-back transactions arrived", {event for _, event in arrived} & written[ROLLED_BACK]),
        *_some("events of rolled-back transactions are stored", accounts.events & written[ROLLED_BACK]),
        *_some("events arrived that are not stored", {event for _, event in arrived} - accounts.events),
        *_some("events are stored that nobody wrote", accounts.events - written[BEGUN]),
        *_some("committed events are not stored", written[COMMITTED] - accounts.events),
        *_some("requests did not verify", [entry for entry in accounts.receiver if not entry["verified"]]),
        *_some("events have not one delivery per hook", [e for e in accounts.events if rows[e] != len(HOOKS)]),
        *_some("deliveries are stuck", [row for row in accounts.deliveries.values() if row[1] != "delivered"]),
        *_some("deliveries were finished by another attempt than their last", _usurped(accounts)),
    ]
    if duplicates > most_duplicates:
        broken.append(f"{duplicates} duplicates, at most {most_duplicates} can be explained")
    unknown = written[BEGUN] - written[COMMITTED] - written[ROLLED_BACK]
    figures = len(written[COMMITTED]), len(written[ROLLED_BACK]), len(unknown), len(accounts.receiver)
    return Judgement(*figures, duplicates, tuple(broken))


def _usurped(accounts: Accounts) -> list[UUID]:
    return [
        delivery
        for delivery, (_, status, attempts) in accounts.deliveries.items()
        if status == "delivered" and accounts.attempts.get(Claim(delivery, attempts)) != "delivered"
    ]


def _events(entries: Iterable[Mapping[str, Any]], what: str) -> set[UUID]:
    return {UUID(entry["event"]) for entry in entries if entry["what"] == what}


def _some(words: str, found: Iterable[object]) -> list[str]:
    items = list(found)
    return [f"{len(items)} {words}, such as {', '.join(map(str, items[:_SHOWN]))}"] if items else []
