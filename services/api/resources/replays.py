"""Past events for a webhook once more: first how many there are, then batch by batch.

In: a webhook and a span of time. Out: the count, or new deliveries that are due, and the cursor of what remains. Never:
a million of them in one request: each request is one transaction of bounded size, and whoever wants all repeats it with
the cursor until there is none.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPMethod
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from outbox.delivery import replay
from outbox.delivery.replay import BATCH, Position, Selection
from outbox.events.types import EventType
from outbox.subscribers import administration
from outbox.subscribers.patterns import EVERYTHING, Interest, mistake
from services.api.http.operation import Nothing, Operation, Reads, Received, Reply, Scope, Sent, Writes
from services.api.http.problems import Mistake, bad_request
from services.api.resources.events import Instant
from services.api.resources.webhooks import TAG, SubscriberPath

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from services.api.http.operation import Call

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CURSOR = "^[0-9]{1,16}[.][0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
"""Microseconds since 1970 and the uuid of an event."""


def _known(pattern: str) -> str:
    if what := mistake(Interest(pattern), EventType):
        raise PydanticCustomError("event_type", "{what}", {"what": what})
    return pattern


Pattern = Annotated[str, Field(max_length=100), AfterValidator(_known)]


class ReplayQuery(Received):
    since: Instant = Field(description="The first events, with a time zone: 2026-11-22T14:00:00Z")
    until: Instant | None = Field(default=None, description="Events before this; left out or in the future: now")
    event_type: Pattern = Field(default=EVERYTHING, description="Only these: a type, or `project:*`")


class ReplayRequest(ReplayQuery):
    cursor: str | None = Field(
        default=None,
        pattern=_CURSOR,
        description="`next_cursor` of the batch before; together with its `until`",
    )


class ReplayPreview(Sent):
    events: int = Field(description="So many deliveries a replay would make at this moment")
    until: datetime = Field(description="To be given to the replay, so that it makes no more")


class ReplayBatch(Sent):
    replayed: int = Field(description="Deliveries that were made by this request")
    remaining: int = Field(description="Events that are still to be replayed")
    until: datetime = Field(description="To be sent with `next_cursor`")
    next_cursor: str | None = Field(description="`cursor` of the next request; null: all is done")


class Replays:
    def operations(self) -> tuple[Operation, ...]:
        path = "/api/notifications/subscribers/webhooks/{uuid}/replay"
        return (
            Operation(
                HTTPMethod.GET,
                f"{path}/preview",
                "preview_replay",
                "How many events a replay would deliver again",
                Scope.READ,
                Reads(self.preview),
                answer=ReplayPreview,
                parameters=SubscriberPath,
                query=ReplayQuery,
                tag=TAG,
                description="Nothing is changed. Events that still wait for the webhook are not counted.",
            ),
            Operation(
                HTTPMethod.POST,
                path,
                "replay_events",
                f"Deliver past events again, {BATCH} at a time",
                Scope.WRITE,
                Writes(self.replay),
                answer=ReplayBatch,
                parameters=SubscriberPath,
                body=ReplayRequest,
                tag=TAG,
                description=(
                    "All events of the span that the webhook hears by its subscriptions of today, told to it at the "
                    "time or not, as new deliveries under new ids; those that still wait come by themselves. Repeat "
                    "it with `next_cursor` and `until` of each answer until `next_cursor` is null."
                ),
            ),
        )

    def preview(self, session: Session, call: Call[SubscriberPath, ReplayQuery, Nothing]) -> Reply:
        chosen = _selection(session, call.path.uuid, call.query, call.now)
        return Reply(ReplayPreview(events=replay.count(session, chosen), until=chosen.until))

    def replay(self, session: Session, call: Call[SubscriberPath, Nothing, ReplayRequest]) -> Reply:
        body = call.body
        if body.cursor and not body.until:
            what = "A cursor is given without it. Send `until` of the answer that had the cursor."
            raise bad_request("The body is not valid.", [Mistake(where="body.until", what=what)])
        chosen = replace(_selection(session, call.path.uuid, body, call.now), after=_position(body.cursor))
        batch = replay.replay_batch(session, chosen, call.now)
        remaining = 0 if batch.last is None else replay.count_ahead(session, replace(chosen, after=batch.last))
        cursor = _cursor(batch.last) if batch.last and remaining else None
        return Reply(ReplayBatch(replayed=batch.made, remaining=remaining, until=chosen.until, next_cursor=cursor))


def _selection(session: Session, webhook: UUID, asked: ReplayQuery, now: datetime) -> Selection:
    """Raises Unknown."""
    found = administration.show(session, webhook, now)
    return Selection(found.uuid, found.subscriptions, asked.since, min(asked.until or now, now), asked.event_type)


def _cursor(position: Position) -> str:
    return f"{(position.timestamp - _EPOCH) // _MICROSECOND}.{position.event}"


def _position(cursor: str | None) -> Position | None:
    if cursor is None:
        return None
    microseconds, event = cursor.split(".")
    return Position(_EPOCH + int(microseconds) * _MICROSECOND, UUID(event))
