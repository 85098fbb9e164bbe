"""`plan(rendering, snapshot) -> Plan`: what must be done, and why, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diff.action import WRITES

if TYPE_CHECKING:
    from desired_state.images import ImageDecision
    from desired_state.objects import Note, ObjectKey
    from diff.action import Action, FieldChange


@dataclass(frozen=True, slots=True)
class Drift:
    """What somebody else changed in one object: shown apart from the changes that Git asks for."""

    key: ObjectKey
    changes: tuple[FieldChange, ...]
    """Empty when the whole object is missing."""
    repaired: bool
    """Whether an action of this plan repairs it (drift mode, ignore rules)."""


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
