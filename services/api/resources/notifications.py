"""`/api/notifications`: what can be heard, and who hears it.

In: a subscriber, or an event that could happen. Out: webhooks as they may be seen. Never: the analytics subscriber,
which to callers does not exist.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import Field

from outbox.events.types import EventType
from outbox.subscribers import administration
from outbox.subscribers.matching import hearing
from outbox.subscribers.patterns import Interest, mistake
from services.api.http.operation import Nothing, Operation, Reads, Received, Reply, Scope, Sent, Writes
from services.api.http.problems import Mistake, bad_request
from services.api.resources.message import Message
from services.api.resources.webhooks import TAG, SubscriberPath, SubscriberView, subscriber_view

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

    from outbox.subscribers.webhook import WebhookView
    from services.api.http.operation import Call

_ANY = UUID(int=0)


class SubscribableEvent(Sent):
    name: str = Field(description="The type")
    optional_filters: list[list[str]] = Field(
        description="Each a set of fields by which a subscription to it may be limited"
    )


class SubscribableEvents(Sent):
    events: list[SubscribableEvent]


class SubscriberList(Sent):
    subscribers: list[SubscriberView] = Field(
        description="As the original lists them: `subscriptions` is empty here, ask for one of them to see its own"
    )


class EventTypePath(Received):
    event_type: EventType = Field(description="One of the subscribable events")


class EventScope(Received):
    project_uuid: UUID | None = Field(default=None, description="Of the project that it would happen in")
    job_uuid: UUID | None = Field(default=None, description="Of the job that it would happen to; needs its project")


class Notifications:
    """What reads subscribers, and removes them."""

    def operations(self) -> tuple[Operation, ...]:
        path = "/api/notifications/subscribers"
        return (
            Operation(
                HTTPMethod.GET,
                "/api/notifications/subscribable-events",
                "list_subscribable_events",
                "All types of events",
                Scope.READ,
                Reads(self.subscribable),
                answer=SubscribableEvents,
                tag=TAG,
            ),
            Operation(
                HTTPMethod.GET,
                path,
                "list_subscribers",
                "All subscribers, without what they hear",
                Scope.READ,
                Reads(self.list),
                answer=SubscriberList,
                tag=TAG,
            ),
            Operation(
                HTTPMethod.GET,
                f"{path}/{{uuid}}",
                "get_subscriber",
                "A subscriber, with what it hears",
                Scope.READ,
                Reads(self.get),
                answer=SubscriberView,
                parameters=SubscriberPath,
                tag=TAG,
            ),
            Operation(
                HTTPMethod.DELETE,
                f"{path}/{{uuid}}",
                "delete_subscriber",
                "Remove a subscriber with its deliveries and attempts",
                Scope.WRITE,
                Writes(self.delete),
                answer=Message,
                status=HTTPStatus.CREATED,
                parameters=SubscriberPath,
                tag=TAG,
                description="201 is the original's status for a removal.",
            ),
            Operation(
                HTTPMethod.GET,
                f"{path}/subscribed-to/{{event_type}}",
                "list_subscribers_of_event",
                "Who would be told of such an event",
                Scope.READ,
                Reads(self.subscribed),
                answer=SubscriberList,
                parameters=EventTypePath,
                query=EventScope,
                tag=TAG,
                description="Without a project: only who hears it of every project. Without a job likewise.",
            ),
        )

    def subscribable(self, session: Session, call: Call[Nothing, Nothing, Nothing]) -> Reply:
        del session, call
        events = [SubscribableEvent(name=name, optional_filters=_filters(name)) for name in EventType]
        return Reply(SubscribableEvents(events=events))

    def list(self, session: Session, call: Call[Nothing, Nothing, Nothing]) -> Reply:
        return Reply(_listed(administration.webhooks(session, call.now)))

    def get(self, session: Session, call: Call[SubscriberPath, Nothing, Nothing]) -> Reply:
        return Reply(subscriber_view(administration.show(session, call.path.uuid, call.now)))

    def delete(self, session: Session, call: Call[SubscriberPath, Nothing, Nothing]) -> Reply:
        administration.remove(session, call.path.uuid)
        return Reply(Message(message=""))

    def subscribed(self, session: Session, call: Call[EventTypePath, EventScope, Nothing]) -> Reply:
        scope = call.query
        if scope.job_uuid and not scope.project_uuid:
            what = "The job is given without its project. Give the project too."
            raise bad_request("The query is not valid.", [Mistake(where="query.project_uuid", what=what)])
        told = hearing(session, call.path.event_type, scope.project_uuid, scope.job_uuid)
        uuids = {one.subscriber for one in told}
        return Reply(_listed(one for one in administration.webhooks(session, call.now) if one.uuid in uuids))


def _listed(found: Iterable[WebhookView]) -> SubscriberList:
    return SubscriberList(subscribers=[subscriber_view(replace(one, subscriptions=())) for one in found])


def _filters(name: EventType) -> list[list[str]]:
    possible = {
        ("project_uuid",): Interest(name, project_uuid=_ANY),
        ("project_uuid", "job_uuid"): Interest(name, project_uuid=_ANY, job_uuid=_ANY),
    }
    return [list(fields) for fields, interest in possible.items() if not mistake(interest, EventType)]
