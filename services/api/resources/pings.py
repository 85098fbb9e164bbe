"""Does a receiver hear us? One request to it now, of a webhook or of one that is only thought of.

In: the webhook. Out: 200 when it answered 2xx, else 424 with what came instead. Never: its answer's body, a transaction
that stays open while it makes us wait, or so many waits at once that the API stands still.
"""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPMethod, HTTPStatus
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

from pydantic import Field

from outbox.delivery.guard import Target
from outbox.delivery.outcome import Result
from outbox.delivery.ping import ping
from outbox.subscribers import administration
from services.api.http.operation import Acts, Nothing, Operation, Reply, Scope, Sent
from services.api.http.problems import ApiError
from services.api.resources.webhooks import TAG, SubscriberPath, WebhookCreation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from outbox.database import Database
    from outbox.key_ring import KeyRing
    from outbox.subscribers.destination import Destination
    from outbox.subscribers.webhook import Permission
    from services.api.http.operation import Call

_MOST_AT_ONCE = 2
"""In one process: each holds a thread for up to 15 s."""
_FAILED = "No ping arrived: "


class PingView(Sent):
    message: str = Field(description="`success`")
    status_code: int | None = Field(description="What the receiver answered")
    milliseconds: float = Field(description="Until its answer was complete")


class Pings:
    def __init__(self, database: Database, key_ring: KeyRing, permission: Permission) -> None:
        self._database = database
        self._key_ring = key_ring
        self._permission = permission
        self._places = BoundedSemaphore(_MOST_AT_ONCE)

    def operations(self) -> tuple[Operation, ...]:
        path = "/api/notifications/subscribers"
        description = "The ping is signed and guarded as every delivery. 424: the receiver did not answer 2xx."
        return (
            Operation(
                HTTPMethod.POST,
                f"{path}/webhooks/pre-creation-test-ping-delivery",
                "ping_before_creation",
                "Ping a receiver before its webhook is added",
                Scope.WRITE,
                Acts(self.before_creation),
                answer=PingView,
                body=WebhookCreation,
                problems=(HTTPStatus.FAILED_DEPENDENCY, HTTPStatus.TOO_MANY_REQUESTS),
                tag=TAG,
                description=f"Nothing is stored. {description}",
            ),
            Operation(
                HTTPMethod.GET,
                f"{path}/test-ping-delivery/{{uuid}}",
                "ping_subscriber",
                "Ping a receiver",
                Scope.WRITE,
                Acts(self.of_subscriber),
                answer=PingView,
                parameters=SubscriberPath,
                problems=(HTTPStatus.FAILED_DEPENDENCY, HTTPStatus.TOO_MANY_REQUESTS),
                tag=TAG,
                description=description,
            ),
        )

    def before_creation(self, call: Call[Nothing, Nothing, WebhookCreation]) -> Reply:
        secret = call.body.secret or administration.new_secret()
        return self._ping(administration.trial(call.body.spec(), secret, permission=self._permission), call.now)

    def of_subscriber(self, call: Call[SubscriberPath, Nothing, Nothing]) -> Reply:
        with self._database.reading() as session:
            destination = administration.destination_of(session, call.path.uuid, self._key_ring, call.now)
        return self._ping(destination, call.now)

    def _ping(self, destination: Destination, now: datetime) -> Reply:
        with self._place():
            came = ping(destination, self._permission.guard, now)
        if came.result is Result.DELIVERED:
            return Reply(PingView(message="success", status_code=came.status_code, milliseconds=came.milliseconds))
        raise ApiError(HTTPStatus.FAILED_DEPENDENCY, self._without_receiver(f"{_FAILED}{came.message}", destination))

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Raises ApiError 429."""
        if not self._places.acquire(blocking=False):
            detail = "Other pings are under way. Try again in a few seconds."
            raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, detail, headers={"Retry-After": "5"})
        try:
            yield
        finally:
            self._places.release()

    def _without_receiver(self, text: str, destination: Destination) -> str:
        """An answer repeats nothing that was sent, not even an origin."""
        target = self._permission.guard.check(destination.url)
        return text.replace(target.origin, "the receiver") if isinstance(target, Target) else text
