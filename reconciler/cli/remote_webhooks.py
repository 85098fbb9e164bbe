"""Webhooks of an API: the same questions as those to a database, asked over HTTP.

In: what the commands of `orchest webhook` ask for. Out: the outbox's own views, made from answers. Never: a secret
that was not made for this caller, or a request that the API could carry out twice.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, TypeAdapter

from outbox.delivery.listing import Answer, AttemptView, DeliveryDetail, DeliveryView
from outbox.delivery.outcome import Outcome, Result
from outbox.reference import span_of
from outbox.subscribers.errors import Unknown
from outbox.subscribers.webhook import WebhookView, find_among

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from outbox.reference import Span
    from outbox.subscribers.webhook import WebhookSpec
    from reconciler.api_client import ApiClient
    from reconciler.cli.webhook import Made, Replay

_SUBSCRIBERS = "/api/notifications/subscribers"
_WEBHOOKS = f"{_SUBSCRIBERS}/webhooks"
_DELIVERIES = "/api/notifications/deliveries"
_PAGE = 500
_HOUR = timedelta(hours=1)


def _in_our_words(told: Any) -> Any:
    """The API keeps the original's names for two of a webhook's fields."""
    if not isinstance(told, dict):
        return told
    subscriptions = told.get("subscriptions")
    if isinstance(subscriptions, list):
        subscriptions = [{**one, "pattern": one.get("event_type")} for one in subscriptions if isinstance(one, dict)]
    return {**told, "url_origin": told.get("url"), "subscriptions": subscriptions}


_Webhook = Annotated[WebhookView, BeforeValidator(_in_our_words)]


@dataclass(frozen=True, slots=True)
class _Webhooks:
    webhooks: list[_Webhook]


@dataclass(frozen=True, slots=True)
class _Secret:
    secret: str | None


@dataclass(frozen=True, slots=True)
class Deliveries:
    deliveries: list[DeliveryView]


@dataclass(frozen=True, slots=True)
class _Answer:
    headers: tuple[tuple[str, str], ...]
    body: str
    encoding: str


@dataclass(frozen=True, slots=True)
class _Attempt:
    attempt: AttemptView
    answer: _Answer


@dataclass(frozen=True, slots=True)
class _Delivery:
    delivery: DeliveryView
    attempts: list[_Attempt]


@dataclass(frozen=True, slots=True)
class _Ping:
    status_code: int | None
    milliseconds: float


@dataclass(frozen=True, slots=True)
class _Preview:
    events: int
    until: datetime


@dataclass(frozen=True, slots=True)
class _Batch:
    replayed: int
    until: datetime
    next_cursor: str | None


_WEBHOOK: TypeAdapter[WebhookView] = TypeAdapter(_Webhook)
_WEBHOOKS_TOLD: TypeAdapter[_Webhooks] = TypeAdapter(_Webhooks)
_WITH_SECRET: TypeAdapter[tuple[WebhookView, _Secret]] = TypeAdapter(
    Annotated[tuple[_Webhook, _Secret], BeforeValidator(lambda told: (told, told))]
)
DELIVERIES: TypeAdapter[Deliveries] = TypeAdapter(Deliveries)
_ONE_DELIVERY: TypeAdapter[DeliveryView] = TypeAdapter(DeliveryView)
_DELIVERY: TypeAdapter[_Delivery] = TypeAdapter(_Delivery)
_PING: TypeAdapter[_Ping] = TypeAdapter(_Ping)
_PREVIEW: TypeAdapter[_Preview] = TypeAdapter(_Preview)
_BATCH: TypeAdapter[_Batch] = TypeAdapter(_Batch)
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


class RemoteWebhooks:
    """A `reconciler.cli.webhook.Webhooks`."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def list(self) -> Sequence[WebhookView]:
        return self._client.get(_WEBHOOKS, _WEBHOOKS_TOLD).webhooks

    def find(self, reference: str) -> WebhookView:
        return find_among(self.list(), reference)

    def add(self, asked: WebhookSpec, secret: str | None) -> Made:
        added, made = self._client.post(_WEBHOOKS, _WITH_SECRET, _wish(asked, secret))
        return added, made.secret or ""

    def rotate(self, webhook: UUID, secret: str | None, overlap: timedelta) -> Made:
        body = {"secret": secret, "overlap_hours": overlap / _HOUR}
        rotated, made = self._client.post(f"{_WEBHOOKS}/{webhook}/rotate", _WITH_SECRET, body)
        return rotated, made.secret or ""

    def pause(self, webhook: UUID) -> WebhookView:
        return self._client.post(f"{_WEBHOOKS}/{webhook}/pause", _WEBHOOK)

    def resume(self, webhook: UUID) -> WebhookView:
        return self._client.post(f"{_WEBHOOKS}/{webhook}/resume", _WEBHOOK)

    def remove(self, webhook: UUID) -> None:
        self._client.delete(f"{_SUBSCRIBERS}/{webhook}", _ANYTHING)

    def ping(self, webhook: UUID) -> Outcome:
        """One that does not arrive is an error of the API, 424."""
        return _arrived(self._client.get(f"{_SUBSCRIBERS}/test-ping-delivery/{webhook}", _PING))

    def try_out(self, asked: WebhookSpec, secret: str | None) -> Outcome:
        path = f"{_WEBHOOKS}/pre-creation-test-ping-delivery"
        return _arrived(self._client.act(path, _PING, _wish(asked, secret)))

    def deliveries(self, webhook: UUID, *, limit: int, only_dead: bool, before: UUID | None) -> Sequence[DeliveryView]:
        query = {"limit": min(limit, _PAGE), "status": "dead" if only_dead else None, "cursor": before}
        pages = self._client.pages(f"{_WEBHOOKS}/{webhook}/deliveries", DELIVERIES, query)
        return list(islice(chain.from_iterable(page.deliveries for page in pages), limit))

    def delivery(self, reference: str) -> DeliveryDetail:
        found = self._client.get(f"{_DELIVERIES}/{self._find(reference)}", _DELIVERY)
        return DeliveryDetail(found.delivery, tuple((one.attempt, _answer(one.answer)) for one in found.attempts))

    def retry(self, reference: str) -> DeliveryView:
        return self._client.post(f"{_DELIVERIES}/{self._find(reference)}/retry", _ONE_DELIVERY)

    def preview(self, webhook: WebhookView, wanted: Replay) -> tuple[int, datetime]:
        found = self._client.get(f"{_WEBHOOKS}/{webhook.uuid}/replay/preview", _PREVIEW, _span(wanted, wanted.until))
        return found.events, found.until

    def replay(self, webhook: WebhookView, wanted: Replay, until: datetime) -> int:
        """Batch by batch: each is done once, whatever becomes of the connection."""
        done, cursor = 0, None
        while True:
            body = {**_span(wanted, until), "cursor": cursor}
            batch = self._client.post(f"{_WEBHOOKS}/{webhook.uuid}/replay", _BATCH, body)
            done, cursor, until = done + batch.replayed, batch.next_cursor, batch.until
            if cursor is None:
                return done

    def _find(self, reference: str) -> UUID:
        """Of all deliveries the only one whose uuid is that, or begins so. Raises Unknown."""
        span = span_of(reference)
        if span and span.first == span.last:
            return span.first
        found = list(self._beginning(span)) if span else []
        if len(found) == 1:
            return found[0]
        if found:
            raise Unknown(f"Several deliveries begin with {reference}. Give more of the uuid.")
        raise Unknown(f"No delivery {reference}. They are listed by: orchest webhook attempts NAME")

    def _beginning(self, span: Span) -> Iterator[UUID]:
        """At most two of each webhook: deliveries are told in the order of their uuids, so a page can begin there."""
        for webhook in self.list():
            page = self.deliveries(webhook.uuid, limit=2, only_dead=False, before=span.last)
            yield from (one.uuid for one in page if one.uuid >= span.first)


def _wish(asked: WebhookSpec, secret: str | None) -> dict[str, Any]:
    return {
        "url": asked.url,
        "name": asked.name,
        "verify_ssl": asked.verify_ssl,
        "content_type": asked.content_type,
        "secret": secret,
        "subscriptions": [
            {
                "event_type": one.pattern,
                "project_uuid": one.project_uuid and str(one.project_uuid),
                "job_uuid": one.job_uuid and str(one.job_uuid),
            }
            for one in asked.subscriptions
        ],
        "headers": [{"name": name, "value": value} for name, value in asked.headers],
        "max_in_flight": asked.max_in_flight,
        "rate_per_second": asked.rate_per_second,
    }


def _span(wanted: Replay, until: datetime | None) -> dict[str, Any]:
    return {
        "since": wanted.since.isoformat(),
        "until": until and until.isoformat(),
        "event_type": wanted.pattern,
    }


def _arrived(told: _Ping) -> Outcome:
    code = told.status_code
    return Outcome(Result.DELIVERED, f"Answered {code}.", status_code=code, milliseconds=told.milliseconds)


def _answer(told: _Answer) -> Answer:
    body = b64decode(told.body) if told.encoding == "base64" else told.body.encode()
    return Answer(told.headers, body)
