"""Tokens as a person at the database administers them: whoever reaches it may make any.

In: an open database. Out: each change in a transaction of its own. Never: an option, a line of output.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from services.api.access import tokens

if TYPE_CHECKING:
    from outbox.database import Database
    from services.api.access.tokens import NewToken, TokenSpec, TokenView


class LocalTokens:
    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, spec: TokenSpec) -> NewToken:
        """Raises UnacceptableTokenError, NameTakenError."""
        with self._database.writing() as session:
            return tokens.create(session, spec, f"local user {os.getuid()}", datetime.now(UTC))

    def list(self) -> list[TokenView]:
        """All, in the order in which they were made."""
        with self._database.reading() as session:
            return tokens.tokens(session)

    def revoke(self, reference: str) -> TokenView:
        """By uuid, name, or what only one of them begins with. Raises UnknownTokenError."""
        now = datetime.now(UTC)
        with self._database.writing() as session:
            return tokens.revoke(session, tokens.find(session, reference, now).uuid, now)
