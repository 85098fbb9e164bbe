"""A webhook as it is asked for and as it is shown, and what may be wrong with the former.

In: the wish, and what the operator permits. Out: the list of its mistakes, each with the mend. Never: IO.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime  # noqa: TC003 - answers of the API are parsed into these dataclasses
from itertools import islice
from typing import TYPE_CHECKING
from uuid import UUID  # noqa: TC003

from outbox.delivery.guard import Guard, Refusal
from outbox.delivery.request import CONTENT_TYPES, JSON, HeaderError, check_header
from outbox.delivery.signing import SecretError, check_secret
from outbox.reference import meant
from outbox.subscribers.errors import Mistake, Unknown
from outbox.subscribers.patterns import Interest, mistake

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DEFAULT_MAX_IN_FLIGHT = 16
MOST_IN_FLIGHT = 100
LEAST_RATE = 0.001
MOST_RATE = 10_000
_NAME_CHARACTERS = 100
_HEADERS_BYTES = 4096
_MOST_SUBSCRIPTIONS_TOLD = 20
"""Of those that are wrong: looking for what was meant takes milliseconds for each."""


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


def find_among(known: Sequence[WebhookView], reference: str) -> WebhookView:
    """By uuid, by name, or by what only one uuid or name begins with. Raises Unknown."""
    found = meant(reference, known)
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{one.name} ({one.uuid})" for one in found)
        raise Unknown(f"Several webhooks could be meant by {reference}: {several}. Give a whole uuid.")
    there = f"There is: {', '.join(one.name for one in known)}." if known else "There is none yet: orchest webhook add"
    raise Unknown(f"No webhook {reference}. {there}")


def trimmed(asked: WebhookSpec) -> WebhookSpec:
    """The same without blanks around."""
    headers = tuple((name.strip(), value.strip()) for name, value in asked.headers)
    return replace(asked, name=asked.name.strip(), url=asked.url.strip(), headers=headers)


def normalized(asked: WebhookSpec) -> WebhookSpec:
    """The same without what a person types by accident: blanks around, a subscription or a header given twice."""
    spec = trimmed(asked)
    headers = {name.lower(): (name, value) for name, value in spec.headers}
    return replace(spec, subscriptions=tuple(dict.fromkeys(spec.subscriptions)), headers=tuple(headers.values()))


def mistakes(asked: WebhookSpec, permission: Permission, known_types: Iterable[str]) -> list[Mistake]:
    """Each with its mend, of a trimmed wish. A name that resolves to a forbidden address is not seen here, but when a
    request is sent.
    """
    found = [*_of_limits(asked), *_of_headers(asked.headers)]
    if isinstance(refusal := permission.guard.check(asked.url), Refusal):
        found.append(Mistake("url", f"{refusal.reason}."))
    if not 1 <= len(asked.name) <= _NAME_CHARACTERS or not asked.name.isprintable():
        found.append(Mistake("name", f"1 to {_NAME_CHARACTERS} printable characters are needed."))
    if asked.content_type not in CONTENT_TYPES:
        found.append(Mistake("content_type", f"not known. Choose {' or '.join(CONTENT_TYPES)}.", asked.content_type))
    if not asked.verify_ssl and not permission.allow_insecure_tls:
        found.append(
            Mistake(
                "verify_ssl",
                "the operator does not allow webhooks whose certificate is not verified. "
                "Give the receiver a certificate that is trusted here, or set ORCHEST_ALLOW_INSECURE_TLS=1.",
            )
        )
    return [*found, *islice(_of_subscriptions(asked.subscriptions, tuple(known_types)), _MOST_SUBSCRIPTIONS_TOLD)]


def secret_mistakes(secret: str) -> list[Mistake]:
    """Of a signing secret that somebody brought along."""
    try:
        check_secret(secret)
    except SecretError as error:
        return [Mistake("secret", str(error))]
    return []


def _of_limits(asked: WebhookSpec) -> Iterator[Mistake]:
    if not 1 <= asked.max_in_flight <= MOST_IN_FLIGHT:
        yield Mistake("max_in_flight", f"not between 1 and {MOST_IN_FLIGHT}.", str(asked.max_in_flight))
    if asked.rate_per_second is not None and not LEAST_RATE <= asked.rate_per_second <= MOST_RATE:
        yield Mistake("rate_per_second", f"not between {LEAST_RATE} and {MOST_RATE}. Leave it out for no limit.")


def _of_headers(headers: tuple[tuple[str, str], ...]) -> Iterator[Mistake]:
    for position, (name, value) in enumerate(headers):
        try:
            check_header(name, value)
        except HeaderError as error:
            yield Mistake(f"headers.{position}", str(error), name)
    if sum(len(name) + len(value) for name, value in headers) > _HEADERS_BYTES:
        yield Mistake("headers", f"more than {_HEADERS_BYTES} bytes together. Send fewer or shorter ones.")


def _of_subscriptions(interests: tuple[Interest, ...], known_types: tuple[str, ...]) -> Iterator[Mistake]:
    if not interests:
        yield Mistake("subscriptions", "none, so it would never hear anything. Give at least one event type, or *.")
    for position, interest in enumerate(interests):
        if what := mistake(interest, known_types):
            yield Mistake(f"subscriptions.{position}", what, interest.pattern)
