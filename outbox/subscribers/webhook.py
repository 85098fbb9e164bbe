"""A webhook as it is asked for and as it is shown, and what may be wrong with the former.

In: the wish, and what the operator permits. Out: the list of its mistakes, each with the mend. Never: IO.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from outbox.delivery.guard import Guard, Refusal
from outbox.delivery.request import CONTENT_TYPES, JSON, HeaderError, check_header
from outbox.delivery.signing import SecretError, check_secret
from outbox.subscribers.patterns import mistake

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from uuid import UUID

    from outbox.subscribers.patterns import Interest

DEFAULT_MAX_IN_FLIGHT = 16
MOST_IN_FLIGHT = 100
_NAME_CHARACTERS = 100
_HEADERS_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Permission:
    """What the operator lets webhooks do."""

    guard: Guard
    allow_insecure_tls: bool = False


@dataclass(frozen=True, slots=True)
class WebhookSpec:
    """Asked for."""

    name: str
    url: str = field(repr=False)
    subscriptions: tuple[Interest, ...]
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = field(repr=False, default=())
    verify_ssl: bool = True
    max_in_flight: int = DEFAULT_MAX_IN_FLIGHT
    rate_per_second: float | None = None
    """None: as many as there are."""


@dataclass(frozen=True, slots=True)
class SecretView:
    created_at: datetime
    expires_at: datetime | None
    """None: the current one."""


@dataclass(frozen=True, slots=True)
class WebhookView:
    """All that is ever shown of a webhook."""

    uuid: UUID
    name: str
    url_origin: str
    content_type: str
    verify_ssl: bool
    created_at: datetime
    max_in_flight: int
    rate_per_second: float | None
    condition: str
    """`enabled`, `paused` or `disabled`."""
    reason: str
    """Why it is paused or disabled; "" while enabled."""
    breaker: str
    failing_since: datetime | None
    subscriptions: tuple[Interest, ...]
    secrets: tuple[SecretView, ...]
    """The live ones, the current one first."""


def normalized(asked: WebhookSpec) -> WebhookSpec:
    """The same without what a person types by accident: blanks around, a subscription or a header given twice."""
    headers = {name.strip().lower(): (name.strip(), value.strip()) for name, value in asked.headers}
    return replace(
        asked,
        name=asked.name.strip(),
        url=asked.url.strip(),
        subscriptions=tuple(dict.fromkeys(asked.subscriptions)),
        headers=tuple(headers.values()),
    )


def mistakes(asked: WebhookSpec, permission: Permission, known_types: Iterable[str]) -> list[str]:
    """Each with its mend. A name that resolves to a forbidden address is not seen here, but when a request is sent."""
    types = tuple(known_types)
    found = [*_of_limits(asked), *_of_headers(asked.headers)]
    if isinstance(refusal := permission.guard.check(asked.url), Refusal):
        found.append(f"url: {refusal.reason}.")
    if not 1 <= len(asked.name) <= _NAME_CHARACTERS or not asked.name.isprintable():
        found.append(f"name: 1 to {_NAME_CHARACTERS} printable characters are needed.")
    if asked.content_type not in CONTENT_TYPES:
        found.append(f"content type: {asked.content_type} is not known. Choose {' or '.join(CONTENT_TYPES)}.")
    if not asked.verify_ssl and not permission.allow_insecure_tls:
        found.append(
            "verify_ssl: the operator does not allow webhooks whose certificate is not verified. "
            "Give the receiver a certificate that is trusted here, or set ORCHEST_ALLOW_INSECURE_TLS=1."
        )
    if not asked.subscriptions:
        found.append("subscriptions: none, so it would never hear anything. Give at least one event type, or *.")
    return found + [text for interest in asked.subscriptions if (text := mistake(interest, types))]


def secret_mistakes(secret: str) -> list[str]:
    """Of a signing secret that somebody brought along."""
    try:
        check_secret(secret)
    except SecretError as error:
        return [f"secret: {error}"]
    return []


def _of_limits(asked: WebhookSpec) -> Iterator[str]:
    if not 1 <= asked.max_in_flight <= MOST_IN_FLIGHT:
        yield f"max_in_flight: {asked.max_in_flight} is not between 1 and {MOST_IN_FLIGHT}."
    if asked.rate_per_second is not None and not 0.001 <= asked.rate_per_second <= 10_000:
        yield "rate_per_second: not between 0.001 and 10000. Leave it out for no limit."


def _of_headers(headers: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for name, value in headers:
        try:
            check_header(name, value)
        except HeaderError as error:
            yield str(error)
    if sum(len(name) + len(value) for name, value in headers) > _HEADERS_BYTES:
        yield f"headers: more than {_HEADERS_BYTES} bytes together. Send fewer or shorter ones."
