"""A whole API in this process, on a fresh database of either kind, without a server in front of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.services.api.site import Site, opened

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def site(database_url: str) -> Iterator[Site]:
    with opened(database_url) as made:
        yield made
