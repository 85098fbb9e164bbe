"""What became of deliveries: those of a webhook or an event, one with all attempts, one tried again, and the queues.

In: a webhook, an event or a delivery. Out: the outbox's own views. Never: a payload, or a delivery of analytics.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from pydantic import Field

from outbox.delivery import listing, metrics, replay
from outbox.delivery.listing import Answer, AttemptView, DeliveryDetail, DeliveryView
from outbox.delivery.state import Status  # noqa: TC001 - pydantic evaluates the annotations
from outbox.events.records import show_event
from outbox.subscribers import administration
from services.api.http.operation import Nothing, Operation, Reads, Received, Reply, Scope, Sent, Writes
from services.api.http.paging import Page, cut
from services.api.http.problems import not_found
from services.api.resources.events import EventPath
from services.api.resources.webhooks import TAG, SubscriberPath

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from services.api.http.operation import Call


class DeliveryPath(Received):
    uuid: UUID = Field(description="Of the delivery: the receiver's `webhook-id`")


class DeliveryQuery(Page):
    status: Status | None = Field(default=None, description="Only these; `dead` are given up unless somebody retries")


class DeliveryPage(Sent):
    deliveries: list[DeliveryView] = Field(description="Newest first")
    next_cursor: UUID | None = Field(description="`cursor` of the next page; null on the last")


class ReceiverAnswer(Sent):
    """What the receiver said to one attempt, capped when it was recorded."""

    headers: list[tuple[str, str]] = Field(description="Name and value")
    body: str
    encoding: Literal["utf-8", "base64"] = Field(description="Of `body`: text as it came, or its bytes")


class AttemptReport(Sent):
    attempt: AttemptView
    answer: ReceiverAnswer


class DeliveryReport(Sent):
    delivery: DeliveryView
    attempts: list[AttemptReport] = Field(description="In the order in which they were made")

    def detail(self) -> DeliveryDetail:
        """The same as the outbox shows it, for whoever read this from an answer."""
        return DeliveryDetail(self.delivery, tuple((one.attempt, _received(one.answer)) for one in self.attempts))


class EventDeliveries(Sent):
    deliveries: list[DeliveryView] = Field(description="In the order in which they came to be")


class QueueView(Sent):
    """The deliveries of one lane that wait for the same reason."""

    lane: str = Field(description="`first`, `retry`, `replay` or `analytics`")
    state: str = Field(
        description="`due`, `later` (not due yet), `open` (its receiver is given a rest), `held` or `claimed`"
    )
    deliveries: int = Field(description="How many")
    oldest_seconds: float = Field(description="Since the oldest of them was due; 0 for what is not due yet")


class QueueList(Sent):
    queues: list[QueueView] = Field(description="Every delivery that is not over is in exactly one")


class Deliveries:
    def operations(self) -> tuple[Operation, ...]:
        return (
            Operation(
                HTTPMethod.GET,
                "/api/notifications/subscribers/webhooks/{uuid}/deliveries",
                "list_deliveries",
                "The deliveries of a webhook",
                Scope.READ,
                Reads(self.list),
                answer=DeliveryPage,
                parameters=SubscriberPath,
                query=DeliveryQuery,
                tag=TAG,
            ),
            Operation(
                HTTPMethod.GET,
                "/api/events/{uuid}/deliveries",
                "list_deliveries_of_event",
                "Who was told of an event",
                Scope.READ,
                Reads(self.of_event),
                answer=EventDeliveries,
                parameters=EventPath,
                tag=TAG,
            ),
            Operation(
                HTTPMethod.GET,
                "/api/notifications/deliveries/{uuid}",
                "get_delivery",
                "A delivery with every attempt",
                Scope.READ,
                Reads(self.get),
                answer=DeliveryReport,
                parameters=DeliveryPath,
                tag=TAG,
            ),
            Operation(
                HTTPMethod.POST,
                "/api/notifications/deliveries/{uuid}/retry",
                "retry_delivery",
                "Try a dead or waiting delivery now",
                Scope.WRITE,
                Writes(self.retry),
                answer=DeliveryView,
                parameters=DeliveryPath,
                problems=(HTTPStatus.CONFLICT,),
                tag=TAG,
                description="Under its own id. 409: it was delivered, is under way, or its webhook is not enabled.",
            ),
            Operation(
                HTTPMethod.GET,
                "/api/notifications/queues",
                "list_queues",
                "How many deliveries wait, for what, and for how long",
                Scope.READ,
                Reads(self.queues),
                answer=QueueList,
                tag=TAG,
            ),
        )

    def list(self, session: Session, call: Call[SubscriberPath, DeliveryQuery, Nothing]) -> Reply:
        query = call.query
        webhook = administration.show(session, call.path.uuid, call.now)
        found = listing.deliveries(
            session, webhook.uuid, limit=query.limit + 1, status=query.status, before=query.cursor
        )
        page, cursor = cut(found, query.limit, lambda one: one.uuid)
        return Reply(DeliveryPage(deliveries=page, next_cursor=cursor))

    def of_event(self, session: Session, call: Call[EventPath, Nothing, Nothing]) -> Reply:
        if show_event(session, call.path.uuid) is None:
            raise not_found("event")
        return Reply(EventDeliveries(deliveries=listing.deliveries_of_event(session, call.path.uuid)))

    def get(self, session: Session, call: Call[DeliveryPath, Nothing, Nothing]) -> Reply:
        found = listing.detail(session, str(call.path.uuid))
        attempts = [AttemptReport(attempt=tried, answer=_sent(answer)) for tried, answer in found.attempts]
        return Reply(DeliveryReport(delivery=found.delivery, attempts=attempts))

    def retry(self, session: Session, call: Call[DeliveryPath, Nothing, Nothing]) -> Reply:
        replay.retry(session, call.path.uuid, call.now)
        return Reply(listing.find_delivery(session, str(call.path.uuid)))

    def queues(self, session: Session, call: Call[Nothing, Nothing, Nothing]) -> Reply:
        del call
        return Reply(QueueList(queues=[QueueView(**queue._asdict()) for queue in metrics.queues(session)]))


def _sent(answer: Answer) -> ReceiverAnswer:
    try:
        return ReceiverAnswer(headers=list(answer.headers), body=answer.body.decode(), encoding="utf-8")
    except UnicodeDecodeError:
        body = b64encode(answer.body).decode()
        return ReceiverAnswer(headers=list(answer.headers), body=body, encoding="base64")


def _received(answer: ReceiverAnswer) -> Answer:
    body = b64decode(answer.body) if answer.encoding == "base64" else answer.body.encode()
    return Answer(tuple(answer.headers), body)
