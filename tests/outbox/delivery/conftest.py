from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from outbox.database import Database
from outbox.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Of either kind, with the current schema."""
    database = Database(database_url)
    migrate(database)
    yield database
    database.close()
