"""`/api/events` and `/api/event-types`: what happened, and what there is to hear.

In: filters. Out: pages of events as users were told them, the newest first. Never: the facts behind a payload, which
hold more than users were told, or what was relayed for analytics.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPMethod
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import AwareDatetime, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError, from_json

from outbox.events.json_schema import WHEN, schema_of
from outbox.events.records import EventFilter, list_events, show_event
from outbox.events.types import EventType, layer_of
from outbox.subscribers.patterns import EVERYTHING
from services.api.http.operation import Nothing, Operation, Reads, Received, Reply, Scope, Sent
from services.api.http.paging import Page, cut
from services.api.http.problems import not_found

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from outbox.events.records import EventRecord
    from services.api.http.operation import Call

_TAG = "events"
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_PATTERN = r"^(\*|[a-z0-9-]+(:[a-z0-9-]+)*(:\*)?)$"


def _instant(value: object) -> object:
    """In UTC. What is no text is left to the type."""
    if not isinstance(value, str):
        return value
    if _RFC3339.fullmatch(value):
        with suppress(ValueError, OverflowError):
            return datetime.fromisoformat(value).astimezone(UTC)
    what = "Write an instant of the years 1 to 9999 with its zone (RFC 3339), like 2026-11-22T14:00:00Z"
    raise PydanticCustomError("instant", what)


Instant: TypeAlias = Annotated[
    AwareDatetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]


class EventPath(Received):
    uuid: UUID


class EventWish(Received):
    """Which events."""

    type: str = Field(
        default=EVERYTHING,
        max_length=100,
        pattern=_PATTERN,
        description="Only these, as in subscriptions: a type, a prefix like `project:*`, or `*`",
    )
    project_uuid: UUID | None = Field(default=None, description="Only events of this project")
    job_uuid: UUID | None = Field(default=None, description="Only events of this job")
    since: Instant | None = Field(default=None, description="None that is older")

    @property
    def filter(self) -> EventFilter:
        return EventFilter(self.type, self.project_uuid, self.job_uuid, self.since)


class EventQuery(Page, EventWish):
    until: Instant | None = Field(default=None, description="Only older ones")

    @property
    def filter(self) -> EventFilter:
        return EventFilter(self.type, self.project_uuid, self.job_uuid, self.since, self.until)


class EventView(Sent):
    """Something that happened."""

    uuid: UUID
    type: str
    layer: str = Field(description="The innermost part of the world that the payload tells of")
    timestamp: datetime
    project_uuid: UUID | None
    job_uuid: UUID | None
    payload: dict[str, Any] = Field(description="What users were told; its schema: `/api/event-types/{name}`")


class EventList(Sent):
    events: list[EventView]
    next_cursor: UUID | None = Field(description="Of the next page; null on the last one")


class EventTypePath(Received):
    name: str


class EventTypeView(Sent):
    name: str
    layer: str = Field(description="The innermost part of the world that its payload tells of")
    when: str = Field(description="When it happens")


class EventTypeList(Sent):
    event_types: list[EventTypeView]


class Events:
    def operations(self) -> tuple[Operation, ...]:
        return (
            Operation(
                HTTPMethod.GET,
                "/api/events",
                "list_events",
                "Events, the newest first",
                Scope.READ,
                Reads(self.list),
                answer=EventList,
                query=EventQuery,
                tag=_TAG,
            ),
            Operation(
                HTTPMethod.GET,
                "/api/events/{uuid}",
                "show_event",
                "One event",
                Scope.READ,
                Reads(self.show),
                answer=EventView,
                parameters=EventPath,
                tag=_TAG,
            ),
            Operation(
                HTTPMethod.GET,
                "/api/event-types",
                "list_event_types",
                "What there is to hear",
                Scope.READ,
                Reads(self.list_types),
                answer=EventTypeList,
                tag=_TAG,
            ),
            Operation(
                HTTPMethod.GET,
                "/api/event-types/{name}",
                "show_event_type",
                "The JSON Schema of the payloads of one type",
                Scope.READ,
                Reads(self.show_type),
                answer=dict[str, Any],
                parameters=EventTypePath,
                tag=_TAG,
            ),
        )

    def list(self, session: Session, call: Call[Nothing, EventQuery, Nothing]) -> Reply:
        query = call.query
        found = list_events(session, query.filter, query.cursor, query.limit + 1)
        page, next_cursor = cut(found, query.limit, lambda event: event.uuid)
        return Reply(EventList(events=[view_of(event) for event in page], next_cursor=next_cursor))

    def show(self, session: Session, call: Call[EventPath, Nothing, Nothing]) -> Reply:
        found = show_event(session, call.path.uuid)
        if found is None:
            raise not_found("event")
        return Reply(view_of(found))

    def list_types(self, _session: Session, _call: Call[Nothing, Nothing, Nothing]) -> Reply:
        types = [EventTypeView(name=one, layer=layer_of(one), when=WHEN[one]) for one in EventType]
        return Reply(EventTypeList(event_types=types))

    def show_type(self, _session: Session, call: Call[EventTypePath, Nothing, Nothing]) -> Reply:
        if call.path.name not in set(EventType):
            raise not_found("event type")
        return Reply(schema_of(EventType(call.path.name)))


def view_of(event: EventRecord) -> EventView:
    return EventView(
        uuid=event.uuid,
        type=event.type,
        layer=event.layer,
        timestamp=event.timestamp,
        project_uuid=event.project_uuid,
        job_uuid=event.job_uuid,
        payload=from_json(event.payload),
    )
