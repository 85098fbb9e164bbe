"""Webhooks from the first wish to the last: added, shown, changed, rotated, paused, resumed, removed.

In: a session of the caller's transaction, and values. Out: `WebhookView`s. Analytics is a subscriber too, but nobody's
to see or change: to these functions it does not exist. Never: a commit, a request, or a secret that is stored already.
"""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from outbox.delivery.endpoint import Endpoint
from outbox.delivery.guard import Target
from outbox.delivery.request import JSON
from outbox.delivery.signing import secret_of
from outbox.events.types import EventType
from outbox.identity import new_uuid
from outbox.subscribers import health
from outbox.subscribers.destination import Destination
from outbox.subscribers.destinations import destination, live_secrets, place
from outbox.subscribers.errors import Mistake, NotNow, Unacceptable, Unknown
from outbox.subscribers.models import EndpointRow, SigningSecret, Subscriber, Subscription, Webhook
from outbox.subscribers.patterns import Interest
from outbox.subscribers.webhook import (
    SecretView,
    WebhookSpec,
    WebhookView,
    find_among,
    mistakes,
    normalized,
    secret_mistakes,
    trimmed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from outbox.key_ring import KeyRing
    from outbox.subscribers.webhook import Permission

DEFAULT_OVERLAP = timedelta(days=1)
LONGEST_OVERLAP = timedelta(days=7)
MOST_OLD_SECRETS = 10
_SECRET_BYTES = 32


def new_secret() -> str:
    """For a receiver that brings none."""
    return secret_of(secrets.token_bytes(_SECRET_BYTES))


def add(
    session: Session, asked: WebhookSpec, secret: str, *, permission: Permission, key_ring: KeyRing, now: datetime
) -> WebhookView:
    """Raises Unacceptable. `secret` is the receiver's, or a `new_secret()`: nothing shows it again."""
    spec = _accepted(asked, permission, secret_mistakes(secret))
    row = Webhook(uuid=new_uuid(), created_at=now)
    _write(row, spec, permission, key_ring)
    session.add(row)
    session.flush()
    session.add_all([_subscription(row.uuid, interest) for interest in spec.subscriptions])
    session.add(_signing_secret(row.uuid, secret, key_ring, now))
    session.add(EndpointRow(**asdict(Endpoint(row.uuid))))
    session.flush()
    return show(session, row.uuid, now)


def webhooks(session: Session, now: datetime) -> list[WebhookView]:
    """In the order in which they were added."""
    rows = session.scalars(select(Webhook).order_by(Webhook.created_at, Webhook.uuid)).all()
    return _views(session, rows, now)


def show(session: Session, uuid: UUID, now: datetime) -> WebhookView:
    """Raises Unknown."""
    return _views(session, [_row(session, uuid)], now)[0]


def find(session: Session, reference: str, now: datetime) -> WebhookView:
    """By uuid, by name, or by what only one uuid or name begins with. Raises Unknown."""
    return find_among(webhooks(session, now), reference)


def trial(asked: WebhookSpec, secret: str, *, permission: Permission) -> Destination:
    """Where a webhook would go that is not added yet, for a ping. Raises Unacceptable."""
    spec = _accepted(asked, permission, secret_mistakes(secret))
    return Destination(
        subscriber=new_uuid(),
        kind="webhook",
        name=spec.name,
        url=spec.url,
        secrets=(secret,),
        headers=spec.headers,
        content_type=spec.content_type,
        verify_ssl=spec.verify_ssl,
    )


def destination_of(session: Session, uuid: UUID, key_ring: KeyRing, now: datetime) -> Destination:
    """Where its requests go. Raises Unknown, KeyRingError."""
    return destination(_row(session, uuid), live_secrets(session, [uuid], now).get(uuid, []), key_ring)


def specification(session: Session, uuid: UUID, key_ring: KeyRing) -> WebhookSpec:
    """As it was asked for, decrypted, to be changed and given to `change`. Raises Unknown, KeyRingError."""
    row = _row(session, uuid)
    sent = destination(row, [], key_ring)
    return WebhookSpec(
        name=sent.name,
        url=sent.url,
        subscriptions=tuple(_interests(session, [uuid]).get(uuid, ())),
        content_type=sent.content_type,
        headers=sent.headers,
        verify_ssl=sent.verify_ssl,
        max_in_flight=row.max_in_flight,
        rate_per_second=row.rate_per_second,
    )


def change(
    session: Session, uuid: UUID, asked: WebhookSpec, *, permission: Permission, key_ring: KeyRing, now: datetime
) -> WebhookView:
    """The whole specification. With another URL the receiver is another one: its record of failures begins anew.

    Raises Unknown, Unacceptable.
    """
    return amend(session, uuid, lambda _: asked, permission=permission, key_ring=key_ring, now=now)


def amend(
    session: Session,
    uuid: UUID,
    amended: Callable[[WebhookSpec], WebhookSpec],
    *,
    permission: Permission,
    key_ring: KeyRing,
    now: datetime,
) -> WebhookView:
    """A part of the specification: `amended` gets it as it is at this moment, decrypted.

    Raises Unknown, Unacceptable.
    """
    row = _locked(session, uuid)
    before = specification(session, uuid, key_ring)
    spec = _accepted(amended(before), permission, [])
    _write(row, spec, permission, key_ring)
    session.execute(delete(Subscription).where(Subscription.subscriber_uuid == uuid))
    session.add_all([_subscription(uuid, interest) for interest in spec.subscriptions])
    if spec.url != before.url:
        health.change(session, uuid, _unknown_health)
    session.flush()
    return show(session, uuid, now)


def rotate(
    session: Session,
    uuid: UUID,
    secret: str,
    *,
    key_ring: KeyRing,
    now: datetime,
    overlap: timedelta = DEFAULT_OVERLAP,
) -> WebhookView:
    """From now on requests are signed with `secret` too; the ones before it stay valid for `overlap`, at most 7 days.

    Raises Unknown, Unacceptable, NotNow when too many old ones are still valid.
    """
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        what = f"the former secret can stay valid for 0 to {LONGEST_OVERLAP.days} days."
        raise Unacceptable([Mistake("overlap", what, str(overlap))])
    if found := secret_mistakes(secret):
        raise Unacceptable(found)
    _locked(session, uuid)
    until = now + overlap
    for old in live_secrets(session, [uuid], now).get(uuid, ()):
        old.expires_at = min(old.expires_at or until, until)
    session.flush()
    expired = SigningSecret.expires_at.isnot(None) & (SigningSecret.expires_at <= now)
    session.execute(delete(SigningSecret).where(SigningSecret.subscriber_uuid == uuid, expired))
    olds = live_secrets(session, [uuid], now).get(uuid, ())
    if len(olds) > MOST_OLD_SECRETS:
        first = min(old.expires_at for old in olds if old.expires_at)
        raise NotNow(
            f"{len(olds)} former secrets would still be valid, {MOST_OLD_SECRETS} may be. "
            f"Wait until {first:%Y-%m-%d %H:%M} UTC, or rotate with an overlap of 0."
        )
    session.add(_signing_secret(uuid, secret, key_ring, now))
    session.flush()
    return show(session, uuid, now)


def pause(session: Session, uuid: UUID, now: datetime) -> WebhookView:
    """Its deliveries are held, also those of events to come; what is under way ends. Raises Unknown."""
    _locked(session, uuid)
    health.pause(session, uuid, "paused by hand")
    return show(session, uuid, now)


def resume(session: Session, uuid: UUID, now: datetime) -> WebhookView:
    """Whatever was held is due now, and the record of failures begins anew. Also ends a disablement. Raises Unknown."""
    _locked(session, uuid)
    health.resume(session, uuid, now)
    return show(session, uuid, now)


def remove(session: Session, uuid: UUID) -> None:
    """With its subscriptions, secrets, deliveries and their attempts. Raises Unknown."""
    _locked(session, uuid)
    session.execute(delete(Subscriber).where(Subscriber.uuid == uuid))


def _accepted(asked: WebhookSpec, permission: Permission, more: list[Mistake]) -> WebhookSpec:
    if found := mistakes(trimmed(asked), permission, EventType) + more:
        raise Unacceptable(found)
    return normalized(asked)


def _locked(session: Session, uuid: UUID) -> Webhook:
    """On PostgreSQL until the end of the transaction: two changes of one webhook follow each other."""
    session.execute(select(Subscriber.uuid).where(Subscriber.uuid == uuid).with_for_update(key_share=True))
    return _row(session, uuid)


def _row(session: Session, uuid: UUID) -> Webhook:
    row = session.get(Webhook, uuid)
    if row is None:
        raise Unknown(f"No webhook {uuid}. They are listed by: orchest webhook list", "There is no such webhook.")
    return row


def _write(row: Webhook, spec: WebhookSpec, permission: Permission, key_ring: KeyRing) -> None:
    target = permission.guard.check(spec.url)
    assert isinstance(target, Target)
    row.name = spec.name
    row.url = key_ring.encrypt(spec.url, place(row.uuid, "url"))
    row.url_origin = target.origin
    row.headers = key_ring.encrypt(json.dumps(dict(spec.headers)), place(row.uuid, "headers"))
    row.content_type = spec.content_type
    row.verify_ssl = spec.verify_ssl
    row.max_in_flight = spec.max_in_flight
    row.rate_per_second = spec.rate_per_second


def _subscription(subscriber: UUID, interest: Interest) -> Subscription:
    return Subscription(
        uuid=new_uuid(),
        subscriber_uuid=subscriber,
        event_type=interest.pattern,
        project_uuid=interest.project_uuid,
        job_uuid=interest.job_uuid,
    )


def _signing_secret(subscriber: UUID, secret: str, key_ring: KeyRing, now: datetime) -> SigningSecret:
    uuid = new_uuid()
    ciphertext = key_ring.encrypt(secret, place(uuid, "secret"))
    return SigningSecret(uuid=uuid, subscriber_uuid=subscriber, ciphertext=ciphertext, created_at=now, expires_at=None)


def _unknown_health(endpoint: Endpoint) -> Endpoint:
    """Of another receiver under the same name: as good as new, but no more enabled than before."""
    return Endpoint(endpoint.subscriber_uuid, condition=endpoint.condition, reason=endpoint.reason)


def _views(session: Session, rows: Sequence[Webhook], now: datetime) -> list[WebhookView]:
    uuids = [row.uuid for row in rows]
    interests, live = _interests(session, uuids), live_secrets(session, uuids, now)
    endpoints = session.scalars(select(EndpointRow).where(EndpointRow.subscriber_uuid.in_(uuids)))
    endpoint_of = {endpoint.subscriber_uuid: endpoint for endpoint in endpoints}
    return [_view(row, endpoint_of[row.uuid], interests.get(row.uuid, []), live.get(row.uuid, [])) for row in rows]


def _view(
    row: Webhook, endpoint: EndpointRow, interests: Sequence[Interest], live: Sequence[SigningSecret]
) -> WebhookView:
    return WebhookView(
        uuid=row.uuid,
        name=row.name or "",
        url_origin=row.url_origin or "",
        content_type=row.content_type or JSON,
        verify_ssl=row.verify_ssl is not False,
        created_at=row.created_at,
        max_in_flight=row.max_in_flight,
        rate_per_second=row.rate_per_second,
        condition=endpoint.condition,
        reason=endpoint.reason,
        breaker=endpoint.breaker,
        failing_since=endpoint.failing_since,
        subscriptions=tuple(interests),
        secrets=tuple(SecretView(secret.created_at, secret.expires_at) for secret in live),
    )


def _interests(session: Session, subscribers: Collection[UUID]) -> Mapping[UUID, list[Interest]]:
    rows = session.scalars(
        select(Subscription)
        .where(Subscription.subscriber_uuid.in_(subscribers))
        .order_by(Subscription.event_type, Subscription.project_uuid, Subscription.job_uuid)
    )
    found: dict[UUID, list[Interest]] = defaultdict(list)
    for row in rows:
        found[row.subscriber_uuid].append(Interest(row.event_type, row.project_uuid, row.job_uuid))
    return found
