"""What a PUT changes in a project or in a pipeline.

In: a row, locked, and the wish. Out: the row as it is next, and what changed, for the event. Never: a change where the
wish is what is there already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from outbox.events.facts import Change, ChangedObject, ChangeType
from services.api.domain.env_variables import changes, opened, sealed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from outbox.key_ring import KeyRing
    from services.api.domain.models import PipelineRow, ProjectRow


@dataclass(frozen=True, slots=True)
class Alteration:
    """None: as it is."""

    name: str | None = None
    env_variables: Mapping[str, str] | None = None
    """All of them: those that are missing here are taken away."""


def alter(row: ProjectRow | PipelineRow, asked: Alteration, key_ring: KeyRing, place: str) -> tuple[Change, ...]:
    """`place`: of the row's variables. Raises KeyRingError."""
    found: tuple[Change, ...] = ()
    if asked.env_variables is not None:
        found = changes(opened(key_ring, row.env_variables, place), asked.env_variables)
        if found:
            row.env_variables = sealed(key_ring, asked.env_variables, place)
    if asked.name is not None and asked.name != row.name:
        row.name = asked.name
        found = (*found, Change(type=ChangeType.UPDATED, changed_object=ChangedObject.NAME))
    return found
