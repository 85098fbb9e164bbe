"""How SQLAlchemy keeps ids and instants in SQLite, for the statements of which thousands run in a second.

In: a value. Out: the text in the column. Never: a format of its own; a test holds it to what the models write.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


def stored_uuid(uuid: UUID) -> str:
    return uuid.hex


def stored_instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
