"""The border between requests and `access`: who is let in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from services.api.http.operation import Caller


class Gatekeeper(Protocol):
    """Implemented in `services.api.access`."""

    def admit(self, authorization: str, now: datetime) -> Caller:
        """`authorization`: the header, "" when there is none. Called in a thread of the pool, outside any transaction.

        Raises ApiError 401 with a `WWW-Authenticate: Bearer` header for a token that is missing, malformed, unknown,
        expired or revoked, and 503 when nobody can tell.
        """
        ...

    def forget(self, token: UUID) -> None:
        """It was revoked, and that is committed: from now on it opens nothing here."""
        ...
