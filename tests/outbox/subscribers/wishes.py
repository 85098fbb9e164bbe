"""Webhooks to begin a test with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from outbox.delivery.guard import Guard
from outbox.key_ring import KeyRing
from outbox.subscribers import administration
from outbox.subscribers.patterns import Interest
from outbox.subscribers.webhook import Permission, WebhookSpec

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from outbox.subscribers.webhook import WebhookView

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
KEYS = KeyRing(["0123456789abcdef0123456789abcdef"])
PERMISSION = Permission(Guard())
URL = "https://hooks.example.com/services/T0/B0/hidden"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def wish(**changes: Any) -> WebhookSpec:
    return WebhookSpec(**{"name": "ci", "url": URL, "subscriptions": (Interest("*"),)} | changes)


def added(session: Session, secret: str = SECRET, **changes: Any) -> WebhookView:
    return administration.add(session, wish(**changes), secret, permission=PERMISSION, key_ring=KEYS, now=NOW)
