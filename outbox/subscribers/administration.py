"""Webhooks from the first wish to the last: added, shown, changed, rotated, paused, resumed, removed.

In: a session of the caller's transaction, and values. Out: `WebhookView`s. Analytics is a subscriber too, but nobody's
to see or change: to these functions it does not exist. Never: a commit, a request, or a secret that is stored already.
"""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from dataclasses import asdict, fields
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from outbox.database import announce
from outbox.delivery.endpoint import Breaker, Condition, Endpoint, enabled, paused
from outbox.delivery.guard import Target
from outbox.delivery.models import DeliveryRow
from outbox.delivery.request import JSON
from outbox.delivery.signing import secret_of
from outbox.delivery.state import Status
from outbox.events.types import EventType
from outbox.identity import new_uuid
from outbox.subscribers.destination import Destination
from outbox.subscribers.destinations import destination, live_secrets, place
from outbox.subscribers.errors import NotNow, Unacceptable, Unknown
from outbox.subscribers.models import EndpointRow, SigningSecret, Subscriber, Subscription, Webhook
from outbox.subscribers.patterns import Interest
from outbox.subscribers.webhook import SecretView, WebhookSpec, WebhookView, mistakes, normalized, secret_mistakes

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
_LEAST_PREFIX = 4


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
    known = webhooks(session, now)
    wanted = reference.lower()
    exact = [one for one in known if wanted == str(one.uuid) or reference == one.name]
    similar = [one for one in known if str(one.uuid).startswith(wanted) or one.name.startswith(reference)]
    found = exact or (similar if len(reference) >= _LEAST_PREFIX else [])
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{one.name} ({one.uuid})" for one in found)
        raise Unknown(f"Several webhooks could be meant by {reference}: {several}. Give a whole uuid.")
    there = f"There is: {', '.join(one.name for one in known)}." if known else "There is none yet: orchest webhook add"
    raise Unknown(f"No webhook {reference}. {there}")


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
    row = _locked(session, uuid)
    before = specification(session, uuid, key_ring)
    spec = _accepted(asked, permission, [])
    _write(row, spec, permission, key_ring)
    session.execute(delete(Subscription).where(Subscription.subscriber_uuid == uuid))
    session.add_all([_subscription(uuid, interest) for interest in spec.subscriptions])
    if spec.url != before.url:
        _change_health(session, uuid, _unknown_health)
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
        raise Unacceptable(f"The former secret can stay valid for 0 to {LONGEST_OVERLAP.days} days, not for {overlap}.")
    if found := secret_mistakes(secret):
        raise Unacceptable("\n".join(found))
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
    _change_health(session, uuid, lambda endpoint: paused(endpoint, "paused by hand"))
    _move(session, uuid, Status.SCHEDULED, status=Status.HELD)
    return show(session, uuid, now)


def resume(session: Session, uuid: UUID, now: datetime) -> WebhookView:
    """Whatever was held is due now, and the record of failures begins anew. Also ends a disablement. Raises Unknown."""
    _locked(session, uuid)
    _change_health(session, uuid, enabled)
    _move(session, uuid, Status.HELD, status=Status.SCHEDULED, due_at=now)
    announce(session)
    return show(session, uuid, now)


def remove(session: Session, uuid: UUID) -> None:
    """With its subscriptions, secrets, deliveries and their attempts. Raises Unknown."""
    _locked(session, uuid)
    session.execute(delete(Subscriber).where(Subscriber.uuid == uuid))


def _accepted(asked: WebhookSpec, permission: Permission, more: list[str]) -> WebhookSpec:
    spec = normalized(asked)
    if found := mistakes(spec, permission, EventType) + more:
        raise Unacceptable("\n".join(found))
    return spec


def _locked(session: Session, uuid: UUID) -> Webhook:
    """On PostgreSQL until the end of the transaction: two changes of one webhook follow each other."""
    session.execute(select(Subscriber.uuid).where(Subscriber.uuid == uuid).with_for_update(key_share=True))
    return _row(session, uuid)


def _row(session: Session, uuid: UUID) -> Webhook:
    row = session.get(Webhook, uuid)
    if row is None:
        raise Unknown(f"No webhook {uuid}. They are listed by: orchest webhook list")
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


def _change_health(session: Session, uuid: UUID, next_of: Callable[[Endpoint], Endpoint]) -> None:
    """Of its health, which workers write too: the row is locked before it is read."""
    row = session.get_one(EndpointRow, uuid, with_for_update=True, populate_existing=True)
    values = {column.name: getattr(row, column.name) for column in fields(Endpoint)}
    before = Endpoint(**{**values, "condition": Condition(row.condition), "breaker": Breaker(row.breaker)})
    for name, value in asdict(next_of(before)).items():
        setattr(row, name, value)
    session.flush()


def _unknown_health(endpoint: Endpoint) -> Endpoint:
    """Of another receiver under the same name: as good as new, but no more enabled than before."""
    return Endpoint(endpoint.subscriber_uuid, condition=endpoint.condition, reason=endpoint.reason)


def _move(session: Session, uuid: UUID, of: Status, **values: object) -> None:
    """All of its deliveries that have the status `of`."""
    its = (DeliveryRow.subscriber_uuid == uuid, DeliveryRow.status == of)
    session.execute(update(DeliveryRow).where(*its).values(**values).execution_options(synchronize_session=False))


def _views(session: Session, rows: Sequence[Webhook], now: datetime) -> list[WebhookView]:
    uuids = [row.uuid for row in rows]
    interests, live = _interests(session, uuids), live_secrets(session, uuids, now)
    endpoints = session.scalars(select(EndpointRow).where(EndpointRow.subscriber_uuid.in_(uuids)))
    health = {endpoint.subscriber_uuid: endpoint for endpoint in endpoints}
    return [_view(row, health[row.uuid], interests.get(row.uuid, []), live.get(row.uuid, [])) for row in rows]


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
