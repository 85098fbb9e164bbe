"""Lists that are whole, as the original's clients expect them, unless a caller asks for a part.

In: a query. Out: where the part begins, how many rows to look for, and the cursor of the next one. The order is that of
the uuids: it does not change while rows come and go. Never: a count of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar
from uuid import UUID

from pydantic import Field

from services.api.http.operation import Received
from services.api.http.paging import MOST

if TYPE_CHECKING:
    from collections.abc import Sequence

_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_LIMIT = Field(default=None, ge=1, le=MOST, description="At most so many; left out: all of them")
_CURSOR = Field(default=None, description="`next_cursor` of the part before; left out: from the first")

Item = TypeVar("Item")


class Place(NamedTuple):
    """Where something that belongs to a project stands in a list of all projects."""

    project_uuid: UUID
    uuid: UUID

    def __str__(self) -> str:
        return f"{self.project_uuid}.{self.uuid}"


class Part(Received):
    """The query of a list of what has a uuid of its own."""

    cursor: UUID | None = _CURSOR
    limit: int | None = _LIMIT


class PartOfAll(Received):
    """The query of a list that goes over all projects."""

    cursor: str | None = Field(
        default=None,
        description="`next_cursor` of the part before; left out: from the first",
        pattern=f"^{_UUID}[.]{_UUID}$",
    )
    limit: int | None = _LIMIT

    @property
    def place(self) -> Place | None:
        return Place(*map(UUID, self.cursor.split("."))) if self.cursor else None


def wanted(limit: int | None) -> int | None:
    """How many rows to look for: one more than are asked for tells whether there is a next part. None: all."""
    return None if limit is None else limit + 1


def first(found: Sequence[Item], limit: int | None) -> tuple[list[Item], Item | None]:
    """The part that was asked for, and its last item if there are more behind it."""
    if limit is None or len(found) <= limit:
        return list(found), None
    return list(found[:limit]), found[limit - 1]
