"""From rows to destinations: the one place where what a sender needs is decrypted.

In: the uuids of subscribers. Out: their `Destination`s. Never: one whose secrets cannot be read; its deliveries are
then finished as refused, each with a record, while the others go on.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

from sqlalchemy import or_, select
from sqlalchemy.orm import with_polymorphic

from outbox.key_ring import KeyRingError
from outbox.subscribers.destination import Destination
from outbox.subscribers.models import SigningSecret, Subscriber, Webhook

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from outbox.key_ring import KeyRing


def load_destinations(
    session: Session, key_ring: KeyRing, subscriber_uuids: Collection[UUID], now: datetime
) -> dict[UUID, Destination]:
    """Two queries, however many subscribers. One that is gone, or cannot be decrypted, is left out."""
    rows = session.scalars(select(_EVERY_KIND).where(_EVERY_KIND.uuid.in_(subscriber_uuids))).all()
    secrets = live_secrets(session, subscriber_uuids, now)
    found = {}
    for row in rows:
        try:
            found[row.uuid] = destination(row, secrets.get(row.uuid, ()), key_ring)
        except KeyRingError:
            continue
    return found


_EVERY_KIND = with_polymorphic(Subscriber, "*")
"""With the columns of webhooks; else each of them would be asked for by a query of its own."""


def destination(row: Subscriber, secrets: Collection[SigningSecret], key_ring: KeyRing) -> Destination:
    """Of one subscriber. Raises KeyRingError."""
    if not isinstance(row, Webhook):
        return Destination(subscriber=row.uuid, kind=row.type, name=row.type)
    assert row.url is not None
    headers = json.loads(key_ring.decrypt(row.headers, place(row.uuid, "headers"))) if row.headers else {}
    return Destination(
        subscriber=row.uuid,
        kind=row.type,
        name=row.name or "",
        url=key_ring.decrypt(row.url, place(row.uuid, "url")),
        secrets=tuple(key_ring.decrypt(secret.ciphertext, place(secret.uuid, "secret")) for secret in secrets),
        headers=tuple(headers.items()),
        content_type=row.content_type or "application/json",
        verify_ssl=row.verify_ssl is not False,
    )


def place(row: UUID, column: str) -> str:
    """What a ciphertext is bound to."""
    return f"{column} of {row}"


def live_secrets(
    session: Session, subscriber_uuids: Collection[UUID], now: datetime
) -> dict[UUID, list[SigningSecret]]:
    """The current one first, then those that are still valid, newest first."""
    statement = (
        select(SigningSecret)
        .where(
            SigningSecret.subscriber_uuid.in_(subscriber_uuids),
            or_(SigningSecret.expires_at.is_(None), SigningSecret.expires_at > now),
        )
        .order_by(SigningSecret.expires_at.isnot(None), SigningSecret.created_at.desc(), SigningSecret.uuid.desc())
    )
    found: dict[UUID, list[SigningSecret]] = defaultdict(list)
    for secret in session.scalars(statement):
        found[secret.subscriber_uuid].append(secret)
    return found
