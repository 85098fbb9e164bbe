"""Pages of long lists: newest first, and a cursor that says where the next one begins.

In: a page's items. Out: the same with the cursor of the next page. Never: counts or offsets, which lie while rows come
and go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from pydantic import Field

from services.api.http.operation import Received

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEFAULT_LIMIT = 50
MOST = 500

Item = TypeVar("Item")


class Page(Received):
    """The query of a paged list."""

    cursor: UUID | None = Field(default=None, description="`next_cursor` of the page before; left out: the first page")
    limit: int = Field(default=DEFAULT_LIMIT, ge=1, le=MOST, description="At most so many items")


def cut(found: Sequence[Item], limit: int, uuid_of: Callable[[Item], UUID]) -> tuple[list[Item], UUID | None]:
    """Of `limit + 1` items that were asked for: the page, and the cursor of the next one, None on the last."""
    page = list(found[:limit])
    return page, (uuid_of(page[-1]) if len(found) > limit else None)
