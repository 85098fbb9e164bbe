"""Access tokens from the first to the last: created, listed, revoked.

In: a session of the caller's transaction, and values. Out: `TokenView`s, and once the text of a new token. Never: a
commit, or a token that exists already.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID  # noqa: TC003 - answers of the API are parsed into these dataclasses

from sqlalchemy import func, select

from outbox.identity import new_uuid
from outbox.reference import meant
from services.api.access.errors import NameTakenError, UnacceptableTokenError, UnknownTokenError
from services.api.access.models import AccessToken
from services.api.access.token_text import RANDOM_BYTES, digest_of, token_text
from services.api.http.operation import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

    from outbox.database import Database

DEFAULT_LIFETIME = timedelta(days=365)
LONGEST_LIFETIME = timedelta(days=3660)
FIRST_ADMIN = "first-admin"
NAME_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9 ._@+/-]{0,98}[A-Za-z0-9])?$"
"""Without a colon, as in `system:serviceaccount:...`: no token may pass for an account of Kubernetes."""
_CREATING_LOCK = 0x6F72635F746F6B
"""PostgreSQL's advisory lock: the bytes of `orc_tok`."""


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """A token as it is asked for."""

    name: str
    """Unique among those that are live."""
    scopes: frozenset[Scope]
    expires_at: datetime | None = None
    """None: never."""


@dataclass(frozen=True, slots=True)
class TokenView:
    """All that is ever shown of a token again."""

    uuid: UUID
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    """Behind by up to a minute; None: never used."""
    revoked_at: datetime | None

    def is_live(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class NewToken:
    view: TokenView
    text: str = field(repr=False)
    """Shown once: nothing knows it afterwards."""


def create(session: Session, spec: TokenSpec, created_by: str, now: datetime) -> NewToken:
    """`created_by`: the name of a caller. Raises UnacceptableTokenError, NameTakenError."""
    if found := mistakes(spec, now):
        raise UnacceptableTokenError("\n".join(found))
    _create_alone(session)
    if any(view.name == spec.name and view.is_live(now) for view in tokens(session)):
        raise NameTakenError("There is a token of this name already. Choose another name, or revoke that one first.")
    text = token_text(os.urandom(RANDOM_BYTES))
    row = AccessToken(
        uuid=new_uuid(),
        name=spec.name,
        digest=digest_of(text),
        scopes=sorted(spec.scopes),
        created_at=now,
        created_by=created_by,
        expires_at=spec.expires_at and spec.expires_at.astimezone(UTC),
    )
    session.add(row)
    session.flush()
    return NewToken(_view(row), text)


def mistakes(spec: TokenSpec, now: datetime) -> list[str]:
    """Everything that is wrong with it, as whole sentences that repeat none of it."""
    found = []
    if not re.fullmatch(NAME_PATTERN, spec.name):
        found.append(
            "A token's name has 1 to 100 characters, letters and digits of ASCII; between them also blanks and ._@+/-"
        )
    if not spec.scopes:
        found.append("A token needs at least one scope: read, write, admin or agent.")
    if spec.expires_at and not now < spec.expires_at <= now + LONGEST_LIFETIME:
        found.append("A token expires in the future, within ten years; or never, if that is asked for.")
    return found


def tokens(session: Session) -> list[TokenView]:
    """All, the revoked and expired too, in the order in which they were made."""
    return [_view(row) for row in session.scalars(select(AccessToken).order_by(AccessToken.uuid))]


def newest(session: Session, limit: int, before: UUID | None = None) -> list[TokenView]:
    """At most `limit` of all, the newest first: those older than `before`."""
    found = select(AccessToken).order_by(AccessToken.uuid.desc()).limit(limit)
    if before is not None:
        found = found.where(AccessToken.uuid < before)
    return [_view(row) for row in session.scalars(found)]


def show(session: Session, uuid: UUID) -> TokenView:
    """Raises UnknownTokenError."""
    return _view(_row(session, uuid))


def find(session: Session, reference: str, now: datetime) -> TokenView:
    """See `find_among`."""
    return find_among(tokens(session), reference, now)


def find_among(known: Iterable[TokenView], reference: str, now: datetime) -> TokenView:
    """Of the live ones, by uuid, by name, or by what only one uuid or name begins with. Raises UnknownTokenError,
    which does not repeat `reference`: people paste the token itself.
    """
    live = [one for one in known if one.is_live(now)]
    found = meant(reference, live)
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{one.name} ({one.uuid})" for one in found)
        raise UnknownTokenError(f"Several tokens could be meant: {several}. Give a whole uuid.")
    there = f"There is: {', '.join(one.name for one in live)}." if live else "There is none: orchest token create"
    raise UnknownTokenError(f"There is no live token of this name or uuid. {there}")


def revoke(session: Session, uuid: UUID, now: datetime) -> TokenView:
    """It opens nothing any more; to revoke it once more changes nothing. Also the last one of scope admin: whoever
    reaches the database makes another. Raises UnknownTokenError.
    """
    row = _row(session, uuid)
    row.revoked_at = row.revoked_at or now
    session.flush()
    return _view(row)


def ensure_first_admin(database: Database, now: datetime) -> str | None:
    """The text of a token of scope admin for a database in which there never was a token; else None.

    Several processes that ask at once make one together: one of them gets its text.
    """
    with database.writing() as session:
        _create_alone(session)
        if session.scalar(select(func.count()).select_from(AccessToken)):
            return None
        spec = TokenSpec(FIRST_ADMIN, frozenset({Scope.ADMIN}), now + DEFAULT_LIFETIME)
        return create(session, spec, "orchest api", now).text


def _create_alone(session: Session) -> None:
    """Until the end of the transaction nobody else makes a token; on SQLite writers are alone anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_CREATING_LOCK)))


def _row(session: Session, uuid: UUID) -> AccessToken:
    row = session.get(AccessToken, uuid)
    if row is None:
        raise UnknownTokenError("There is no such token. They are listed by: orchest token list")
    return row


def _view(row: AccessToken) -> TokenView:
    return TokenView(
        uuid=row.uuid,
        name=row.name,
        scopes=tuple(row.scopes),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
