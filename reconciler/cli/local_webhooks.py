"""Webhooks of the database that is at hand.

In: what the commands of `orchest webhook` ask for. Out: the outbox's views; each change is a transaction of its own.
Never: a question to a person, a line of output.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from outbox.delivery import listing, replay
from outbox.delivery.ping import ping
from outbox.delivery.replay import Selection
from outbox.delivery.state import Status
from outbox.subscribers import administration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from uuid import UUID

    from outbox.database import Database
    from outbox.delivery.listing import DeliveryDetail, DeliveryView
    from outbox.delivery.outcome import Outcome
    from outbox.key_ring import KeyRing
    from outbox.subscribers.destination import Destination
    from outbox.subscribers.webhook import Permission, WebhookSpec, WebhookView
    from reconciler.cli.webhook import Made, Replay


class LocalWebhooks:
    """A `reconciler.cli.webhook.Webhooks`."""

    def __init__(
        self,
        opened: Callable[[], Database],
        key_ring: Callable[[Database], KeyRing],
        permission: Callable[[], Permission],
    ) -> None:
        """Each is asked for when it is needed: a ping of what is not stored needs no database."""
        self._opened = opened
        self._key_ring_of = key_ring
        self._permission_now = permission

    @cached_property
    def _database(self) -> Database:
        return self._opened()

    @cached_property
    def _key_ring(self) -> KeyRing:
        return self._key_ring_of(self._database)

    @cached_property
    def _permission(self) -> Permission:
        return self._permission_now()

    def list(self) -> Sequence[WebhookView]:
        with self._database.reading() as session:
            return administration.webhooks(session, _now())

    def find(self, reference: str) -> WebhookView:
        with self._database.reading() as session:
            return administration.find(session, reference, _now())

    def add(self, asked: WebhookSpec, secret: str | None) -> Made:
        made = administration.new_secret() if secret is None else ""
        ring, permission = self._key_ring, self._permission
        with self._database.writing() as session:
            added = administration.add(session, asked, secret or made, permission=permission, key_ring=ring, now=_now())
        return added, made

    def rotate(self, webhook: UUID, secret: str | None, overlap: timedelta) -> Made:
        made = administration.new_secret() if secret is None else ""
        ring = self._key_ring
        with self._database.writing() as session:
            rotated = administration.rotate(
                session, webhook, secret or made, key_ring=ring, now=_now(), overlap=overlap
            )
        return rotated, made

    def pause(self, webhook: UUID) -> WebhookView:
        with self._database.writing() as session:
            return administration.pause(session, webhook, _now())

    def resume(self, webhook: UUID) -> WebhookView:
        with self._database.writing() as session:
            return administration.resume(session, webhook, _now())

    def remove(self, webhook: UUID) -> None:
        with self._database.writing() as session:
            administration.remove(session, webhook)

    def ping(self, webhook: UUID) -> Outcome:
        ring = self._key_ring
        with self._database.reading() as session:
            destination = administration.destination_of(session, webhook, ring, _now())
        return self._ping(destination)

    def try_out(self, asked: WebhookSpec, secret: str | None) -> Outcome:
        used = administration.new_secret() if secret is None else secret
        return self._ping(administration.trial(asked, used, permission=self._permission))

    def deliveries(self, webhook: UUID, *, limit: int, only_dead: bool, before: UUID | None) -> Sequence[DeliveryView]:
        status = Status.DEAD if only_dead else None
        with self._database.reading() as session:
            return listing.deliveries(session, webhook, limit=limit, status=status, before=before)

    def delivery(self, reference: str) -> DeliveryDetail:
        with self._database.reading() as session:
            return listing.detail(session, reference)

    def retry(self, reference: str) -> DeliveryView:
        with self._database.writing() as session:
            found = listing.find_delivery(session, reference)
            replay.retry(session, found.uuid, _now())
            return listing.find_delivery(session, str(found.uuid))

    def preview(self, webhook: WebhookView, wanted: Replay) -> tuple[int, datetime]:
        until = min(wanted.until or _now(), _now())
        with self._database.reading() as session:
            return replay.count(session, _selection(webhook, wanted, until)), until

    def replay(self, webhook: WebhookView, wanted: Replay, until: datetime) -> int:
        return replay.replay(self._database, _selection(webhook, wanted, until), _now())

    def _ping(self, destination: Destination) -> Outcome:
        return ping(destination, self._permission.guard, _now())


def _selection(webhook: WebhookView, wanted: Replay, until: datetime) -> Selection:
    return Selection(webhook.uuid, webhook.subscriptions, wanted.since, until, wanted.pattern)


def _now() -> datetime:
    return datetime.now(UTC)
