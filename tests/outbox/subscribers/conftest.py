"""What the tests of subscribers share: a migrated database of either kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import outbox.events.models  # noqa: F401 - the column types of foreign keys come from what they refer to
from outbox.database import Database
from outbox.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    migrate(database)
    yield database
    database.close()
