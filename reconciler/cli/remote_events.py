"""Events of an API: the same questions as those to a database, asked over HTTP.

In: what the commands of `orchest events` ask for. Out: the outbox's own records, as users were told them: the facts
behind a payload stay with the API. Never: an event twice, or one left out, when a stream breaks and begins anew.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from pydantic import BeforeValidator, TypeAdapter

from outbox.events.errors import UnknownEventError
from outbox.events.records import EventRecord
from outbox.reference import span_of
from outbox.subscribers.patterns import EVERYTHING
from reconciler.api_client import NoApi, NotThere
from reconciler.cli.remote_webhooks import DELIVERIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from outbox.delivery.listing import DeliveryView
    from outbox.events.records import EventFilter
    from reconciler.api_client import ApiClient

_EVENTS = "/api/events"
_PAGE = 500
_AGAIN_SECONDS = 2.0
_MOST_FAILURES = 5


def _as_recorded(told: Any) -> Any:
    """The payload as the text it is in the table; no facts, which the API tells nobody."""
    if not isinstance(told, dict) or "payload" not in told:
        return told
    return {**told, "payload": orjson.dumps(told["payload"]).decode(), "facts": {}}


_Event = Annotated[EventRecord, BeforeValidator(_as_recorded)]


@dataclass(frozen=True, slots=True)
class _Events:
    events: list[_Event]


_EVENT: TypeAdapter[EventRecord] = TypeAdapter(_Event)
_EVENTS_TOLD: TypeAdapter[_Events] = TypeAdapter(_Events)


class RemoteEvents:
    """A `reconciler.cli.events.Events`."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def list(self, wanted: EventFilter, before: UUID | None, limit: int) -> Sequence[EventRecord]:
        query = {**_query(wanted), "cursor": before, "limit": min(limit, _PAGE)}
        pages = self._client.pages(_EVENTS, _EVENTS_TOLD, query)
        return tuple(islice(chain.from_iterable(page.events for page in pages), limit))

    def show(self, reference: str) -> tuple[EventRecord, Sequence[DeliveryView]]:
        uuid = self._find(reference)
        try:
            found = self._client.get(f"{_EVENTS}/{uuid}", _EVENT)
        except NotThere:
            raise _unknown(reference) from None
        return found, self._client.get(f"{_EVENTS}/{uuid}/deliveries", DELIVERIES).deliveries

    def follow(self, wanted: EventFilter) -> Iterator[EventRecord]:
        """Begins again where a stream ended. Raises ApiError when it cannot, several times in a row."""
        last, failures = "", 0
        while True:
            try:
                for message in self._client.stream(f"{_EVENTS}/stream", _query(wanted), last):
                    last, failures = message.id or last, 0
                    if message.type:
                        yield self._client.get(f"{_EVENTS}/{message.id}", _EVENT)
            except NoApi:
                failures += 1
                if failures >= _MOST_FAILURES or not last:
                    raise
            time.sleep(_AGAIN_SECONDS)

    def _find(self, reference: str) -> UUID:
        """The list is in the order of uuids, so a page can begin where those that begin so would be."""
        span = span_of(reference)
        if span is None:
            raise _unknown(reference)
        if span.first == span.last:
            return span.first
        query = {"type": EVERYTHING, "cursor": span.last, "limit": 2}
        page = self._client.get(_EVENTS, _EVENTS_TOLD, query)
        found = [event.uuid for event in page.events if event.uuid >= span.first]
        if not found:
            raise _unknown(reference)
        if len(found) > 1:
            raise UnknownEventError(f"Several events begin with {reference}. Give more of the uuid.")
        return found[0]


def _unknown(reference: str) -> UnknownEventError:
    return UnknownEventError(f"No event {reference}. They are listed by: orchest events list")


def _query(wanted: EventFilter) -> dict[str, object]:
    return {
        "type": wanted.pattern,
        "project_uuid": wanted.project_uuid,
        "job_uuid": wanted.job_uuid,
        "since": wanted.since and wanted.since.isoformat(),
        "until": wanted.until and wanted.until.isoformat(),
    }
