"""`POST /analytics`: what a front end wants counted, anonymised and passed on by way of the outbox.

In: the name of an event of `outbox.analytics` and its telemetry payload. Out: nothing but yes, also while analytics are
off: whoever tells need not know. Never: an event that users hear, even if it has the name of one.
"""

from __future__ import annotations

from http import HTTPMethod
from typing import TYPE_CHECKING

from pydantic import Field

from outbox.analytics import Event
from outbox.analytics_relay import relay
from services.api.domain.json_values import JsonObject
from services.api.http.limits import RateLimit
from services.api.http.operation import Nothing, Operation, Received, Reply, Scope, Writes

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from services.api.http.operation import Call

MOST_BYTES = 16 * 1024
A_MINUTE = 600
_DESCRIPTION = (
    "Told to analytics alone: no webhook hears it and no list shows it. What the allow-list of docs/analytics.md does "
    "not name is left out before anything is stored. While analytics are off nothing is stored, and the answer is the "
    "same."
)


class AnalyticsProperties(Received):
    event_properties: JsonObject
    derived_properties: JsonObject


class AnalyticsEvent(Received):
    event: Event = Field(description="One of the types that analytics know")
    properties: AnalyticsProperties


class AnalyticsRelay:
    """The original's address, and the same below `/api`."""

    def __init__(self) -> None:
        self._rate_limit = RateLimit(A_MINUTE)

    def operations(self) -> tuple[Operation, ...]:
        return (
            self._operation("/analytics", "relay_analytics_event"),
            self._operation("/api/analytics", "relay_analytics_event_below_api"),
        )

    def tell(self, session: Session, call: Call[Nothing, Nothing, AnalyticsEvent]) -> Reply:
        self._rate_limit.check(call.caller.name)
        relay(session, call.body.event, call.body.properties.model_dump(), call.now)
        return Reply()

    def _operation(self, path: str, name: str) -> Operation:
        return Operation(
            HTTPMethod.POST,
            path,
            name,
            "Pass an event on to analytics",
            Scope.WRITE,
            Writes(self.tell),
            body=AnalyticsEvent,
            tag="analytics",
            description=_DESCRIPTION,
            most_body_bytes=MOST_BYTES,
        )
