"""Who is let in: a bearer token of our own, or of a Kubernetes ServiceAccount.

In: the Authorization header. Out: a `Caller`, or 401. A token that was looked up is not looked up again for a second:
revoked in this process it opens nothing from then on, revoked in another one it opens for that second at most.
Never: a token kept, logged or repeated; its digest stands for it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from services.api.access.last_use import LastUse
from services.api.access.models import AccessToken
from services.api.access.refusals import invalid_token, malformed_token
from services.api.access.service_accounts import looks_like_jwt
from services.api.access.token_text import digest_of, is_token_text
from services.api.http.operation import Caller, Scope
from services.api.http.resource import missing_token

if TYPE_CHECKING:
    from uuid import UUID

    from outbox.database import Database
    from services.api.access.service_accounts import ServiceAccounts

KNOWN_FOR = timedelta(seconds=1)
MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    expires_at: datetime | None
    read_at: datetime

    def holds(self, now: datetime) -> bool:
        is_fresh = abs(now - self.read_at) < KNOWN_FOR
        return is_fresh and (self.expires_at is None or now < self.expires_at)


class TokenGatekeeper:
    """`services.api.http.admission.Gatekeeper`. Safe to share between threads; whoever made it closes it."""

    def __init__(self, database: Database, accounts: ServiceAccounts | None = None) -> None:
        """`accounts`: None where there is no Kubernetes."""
        self._database = database
        self._accounts = accounts
        self._last_use = LastUse(database)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._revocations = 0
        self._lock = threading.Lock()

    def admit(self, authorization: str, now: datetime) -> Caller:
        """Raises ApiError 401, 503, DatabaseError."""
        text = _bearer(authorization)
        if self._accounts and looks_like_jwt(text):
            return self._accounts.admit(text, now)
        if not is_token_text(text):
            raise malformed_token()
        return self._admit_our_own(text, now)

    def forget(self, token: UUID) -> None:
        """It was revoked, and that is committed. A look-up that began before is not remembered either."""
        with self._lock:
            self._revocations += 1
            for digest in [digest for digest, known in self._known.items() if known.caller.token == token]:
                del self._known[digest]

    def close(self) -> None:
        self._last_use.close()

    def _admit_our_own(self, text: str, now: datetime) -> Caller:
        digest = digest_of(text)
        with self._lock:
            known = self._known.get(digest)
            revocations = self._revocations
        if known is not None and known.holds(now):
            return known.caller
        known = self._look_up(digest, now)
        self._remember(digest, known, revocations)
        return known.caller

    def _look_up(self, digest: bytes, now: datetime) -> _Known:
        with self._database.reading() as session:
            row = session.scalar(select(AccessToken).where(AccessToken.digest == digest))
        if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
            raise invalid_token()
        self._last_use.note(row.uuid, row.last_used_at, now)
        caller = Caller(row.name, frozenset(map(Scope, row.scopes)), row.uuid)
        return _Known(caller, row.expires_at, now)

    def _remember(self, digest: bytes, known: _Known, revocations: int) -> None:
        with self._lock:
            if revocations != self._revocations:
                return
            self._known[digest] = known
            self._known.move_to_end(digest)
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)


def _bearer(authorization: str) -> str:
    """The token in the header. Raises ApiError 401."""
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise missing_token()
    return text.strip()
