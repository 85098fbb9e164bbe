"""Anonymous analytics: what they are called, how they leave, and whether anybody listens. Off unless an address is set.

In: telemetry payloads, of events by way of the outbox or given to `send_event`. Out: batches in the form that PostHog
takes. Never: a value that the allow-list does not name, an address of our own, a look at the host, or a person: one
random uuid stands for the whole installation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID, uuid4

import orjson
from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from outbox.delivery.endpoint import Condition, Endpoint
from outbox.delivery.guard import Refusal
from outbox.delivery.models import DeliveryRow
from outbox.delivery.outcome import Outcome, Result
from outbox.delivery.schedule import with_retry_after
from outbox.delivery.state import Status
from outbox.delivery.transport import Transport
from outbox.events.allow_list import (
    COUNT,
    EVENT,
    FLAG,
    LAYERS,
    PIPELINE_DEFINITION,
    PIPELINE_DEFINITION_COUNTED,
    RELEASE,
    allowed,
    words,
)
from outbox.events.allow_list import UUID as A_UUID
from outbox.events.types import EventType, Layer, layer_of
from outbox.identity import new_uuid
from outbox.subscribers import health
from outbox.subscribers.models import Analytics, EndpointRow, Subscriber, Subscription
from outbox.subscribers.patterns import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.orm import Session

    from outbox.delivery.guard import Guard
    from outbox.delivery.sender import Parcel
    from outbox.events.allow_list import Properties, Shape
    from outbox.events.models import TelemetryPayload

SUBSCRIBER = UUID("c9075806-be93-4b87-9d77-9a376d347b3a")
"""The same in every installation, as in the original."""
BATCH = 100
"""Events in one request."""
_IN_FLIGHT = 2
_REQUESTS_PER_SECOND = 5.0
"""So that under load the batches fill."""
_HALVES = frozenset({"event_properties", "derived_properties"})
_TAKEN = ("Ok", "ok", 1)
"""What PostHog's answers say, when it is PostHog that answers."""
_HEADERS = {"Content-Type": "application/json", "User-Agent": "Orchest"}
_NOBODY = {"$process_person_profile": False, "$geoip_disable": True}
"""To PostHog: make no profile of the sender, and do not look up where it is."""


class AnalyticsError(Exception):
    """A setting of analytics that cannot be used: which, why, and the mend. Never shows the key."""


class Event(StrEnum):
    """Every type of event, and what is only ever told to analytics."""

    _ignore_ = ["one"]  # noqa: RUF012 - read by the metaclass
    for one in EventType:
        vars()[one.name] = one.value

    ALERT_SHOWN = "alert:shown"
    CONFIRM_SHOWN = "confirm:shown"
    VIEW_LOADED = "view:loaded"
    HEARTBEAT_TRIGGER = "heartbeat-trigger"
    PROJECT_ONE_OFF_JOB_DUPLICATED = "project:one-off-job:duplicated"
    PROJECT_CRON_JOB_DUPLICATED = "project:cron-job:duplicated"
    PROJECT_PIPELINE_SAVED = "project:pipeline:saved"
    DEBUG_PING = "debug-ping"


_SAVED = LAYERS[Layer.PIPELINE].plus(
    {"project_uuid": A_UUID, "pipeline_uuid": A_UUID, "pipeline_definition": PIPELINE_DEFINITION},
    {"pipeline_definition": PIPELINE_DEFINITION_COUNTED},
)
ALLOWED: Mapping[Event, Properties] = {
    **{Event(one): LAYERS[layer_of(one)] for one in EventType},
    Event.ALERT_SHOWN: EVENT,
    Event.CONFIRM_SHOWN: EVENT,
    Event.VIEW_LOADED: EVENT,
    Event.HEARTBEAT_TRIGGER: EVENT.plus({"active": FLAG}),
    Event.PROJECT_ONE_OFF_JOB_DUPLICATED: LAYERS[Layer.ONE_OFF_JOB],
    Event.PROJECT_CRON_JOB_DUPLICATED: LAYERS[Layer.CRON_JOB],
    Event.PROJECT_PIPELINE_SAVED: _SAVED,
    Event.DEBUG_PING: EVENT,
}

_APP: Mapping[str, Shape] = {
    "orchest_version": RELEASE,
    "dev": FLAG,
    "cloud": FLAG,
    "max_interactive_runs_parallelism": COUNT,
    "max_job_runs_parallelism": COUNT,
    "max_builds_parallelism": COUNT,
}
_SYSTEM: Mapping[str, Shape] = {
    "host_os": words("operating system", "linux", "darwin", "windows"),
    "gpu_enabled_instance": FLAG,
    "k8s_distro": words("distribution", "minikube", "microk8s", "k3s", "eks", "gke", "docker-desktop"),
}


@dataclass(frozen=True, slots=True)
class AppProperties:
    """Of this installation, sent with every event. None: not known, and not told."""

    orchest_version: str | None = None
    dev: bool = False
    cloud: bool = False
    max_interactive_runs_parallelism: int | None = None
    max_job_runs_parallelism: int | None = None
    max_builds_parallelism: int | None = None


@dataclass(frozen=True, slots=True)
class SystemProperties:
    """Of what it runs on, as the caller was told; nothing is looked up. None: not known, and not told."""

    host_os: str | None = None
    gpu_enabled_instance: bool | None = None
    k8s_distro: str | None = None


@dataclass(frozen=True, slots=True)
class Backend:
    """Who is told, and what they are told with every event."""

    url: str = field(repr=False, default="")
    """Of a PostHog, without path; "": analytics are off."""
    key: str = field(repr=False, default="")
    """Of the project there."""
    app: AppProperties = AppProperties()
    system: SystemProperties = SystemProperties()

    @property
    def is_on(self) -> bool:
        return bool(self.url)

    @property
    def address(self) -> str:
        return f"{self.url.rstrip('/')}/batch/"


def check(backend: Backend, guard: Guard) -> None:
    """Before it is used. Raises AnalyticsError."""
    if not backend.is_on:
        return
    if "?" in backend.url or "#" in backend.url:
        raise AnalyticsError("ORCHEST_ANALYTICS_URL: it has a query or a fragment. Give only https://HOST.")
    if isinstance(refusal := guard.check(backend.address), Refusal):
        raise AnalyticsError(f"ORCHEST_ANALYTICS_URL: {refusal.reason}.")
    if not backend.key:
        raise AnalyticsError(
            "ORCHEST_ANALYTICS_KEY is not set. Set it to the project's API key, "
            "or unset ORCHEST_ANALYTICS_URL to turn analytics off."
        )


# Who listens.

_NOT_STARTED = "No process with ORCHEST_ANALYTICS_URL has started yet."


def follow(session: Session, backend: Backend, now: datetime) -> UUID | None:
    """At the start of a process that delivers, and whenever the setting changed: the subscriber is as the setting says.

    Returns the random uuid that stands for this installation; None while analytics are off. Then no delivery is made,
    and those still waiting are gone. What was declined stays so, but is ready to be accepted again.
    """
    if not backend.is_on:
        _turn_off(session)
        return None
    _subscribe(session, now)
    _turn_on(session, now)
    return installation(session)


def installation(session: Session) -> UUID | None:
    """What stands for this installation; None: it has never had anything to do with analytics."""
    return session.scalar(select(Subscription.uuid).where(Subscription.subscriber_uuid == SUBSCRIBER))


def identify(session: Session, uuid: UUID, now: datetime) -> None:
    """From now on this stands for the installation; senders that run already go on with what they know."""
    if installation(session) is None:
        _subscribe(session, now)
        health.disable(session, SUBSCRIBER, _NOT_STARTED)
    its = update(Subscription).where(Subscription.subscriber_uuid == SUBSCRIBER).values(uuid=uuid)
    session.execute(its.execution_options(synchronize_session=False))


def is_declined(session: Session) -> bool:
    condition = select(EndpointRow.condition).where(EndpointRow.subscriber_uuid == SUBSCRIBER)
    return session.scalar(condition) == Condition.PAUSED


def decline(session: Session, now: datetime) -> None:
    """Somebody wants none: nothing is told or kept any more, whatever processes with an address start, until
    `accept`.
    """
    _subscribe(session, now)
    health.pause(session, SUBSCRIBER, "TELEMETRY_DISABLED is set.")
    _forget_waiting(session)


def accept(session: Session, backend: Backend, now: datetime) -> None:
    """They may be told again. With a backend that is on they are, at once."""
    if is_declined(session):
        health.disable(session, SUBSCRIBER, _NOT_STARTED)
        _forget_waiting(session)
        follow(session, backend, now)


def _subscribe(session: Session, now: datetime) -> None:
    """To everything, once, however many processes start together. The subscription's uuid is the installation's."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    subscriber: dict[str, object] = {
        "uuid": SUBSCRIBER,
        "type": "analytics",
        "created_at": now,
        "max_in_flight": _IN_FLIGHT,
        "rate_per_second": _REQUESTS_PER_SECOND,
    }
    subscription: dict[str, object] = {"uuid": uuid4(), "subscriber_uuid": SUBSCRIBER, "event_type": EVERYTHING}
    for row, values in (
        (Subscriber, subscriber),
        (EndpointRow, asdict(Endpoint(SUBSCRIBER))),
        (Subscription, subscription),
    ):
        session.execute(insert(row).values(values).on_conflict_do_nothing())


def _turn_on(session: Session, now: datetime) -> None:
    """What was held since its backend was given up is due again."""
    if _condition(session) is Condition.DISABLED:
        health.resume(session, SUBSCRIBER, now)


def _turn_off(session: Session) -> None:
    if session.get(Analytics, SUBSCRIBER) is None or _condition(session) is Condition.PAUSED:
        return
    health.disable(session, SUBSCRIBER, "ORCHEST_ANALYTICS_URL is not set.")
    _forget_waiting(session)


def _condition(session: Session) -> Condition:
    return health.locked(session, SUBSCRIBER).condition


def _forget_waiting(session: Session) -> None:
    waiting = (DeliveryRow.subscriber_uuid == SUBSCRIBER, DeliveryRow.status == Status.HELD)
    session.execute(delete(DeliveryRow).where(*waiting).execution_options(synchronize_session=False))


# What is sent.


class _Told(NamedTuple):
    event: str
    uuid: str
    timestamp: str
    """ISO 8601, with a space or a T."""
    payload: Mapping[str, Any]


class AnalyticsSender:
    """Implements `Sender`: what the outbox recorded, anonymous since then."""

    batch_size = BATCH

    def __init__(self, backend: Backend, installation: UUID, transport: Transport) -> None:
        self._backend = backend
        self._installation = installation
        self._transport = transport

    async def send(self, parcels: Sequence[Parcel], now: datetime) -> Outcome:
        """Repeated, it is counted once: PostHog knows an event again by its uuid and time."""
        body = _batch(self._backend, self._installation, [_recorded(parcel) for parcel in parcels])
        return await _post(self._transport, self._backend, body, now)


class AnalyticsClient:
    """For what is no event of the outbox: sent at once, tried once."""

    def __init__(self, backend: Backend, installation: UUID | None, guard: Guard) -> None:
        """`installation`: as `follow` returned it."""
        self._backend = backend
        self._installation = installation
        self._guard = guard

    def send_event(self, event: Event, payload: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether the backend took it; False too when analytics are off. Blocks for at most the transport's deadline.

        `payload` has `event_properties` and `derived_properties` and nothing else; of them goes out what the allow-list
        names. Raises ValueError for another payload, or for an event that is none. Not from a running asyncio loop.
        """
        telemetry = anonymous(Event(event), payload)
        if not self._backend.is_on or self._installation is None:
            return False
        now = datetime.now(UTC)
        told = _Told(event, str(new_uuid()), str(now), telemetry)
        outcome = asyncio.run(self._send(_batch(self._backend, self._installation, [told]), now))
        return outcome.result is Result.DELIVERED

    async def _send(self, body: bytes, now: datetime) -> Outcome:
        transport = Transport(self._guard)
        try:
            return await _post(transport, self._backend, body, now)
        finally:
            await transport.close()


def anonymous(event: Event, payload: Mapping[str, Mapping[str, Any]]) -> TelemetryPayload:
    """What of it may be known. Raises ValueError for a payload of another shape."""
    if set(payload) != _HALVES or not all(isinstance(half, Mapping) for half in payload.values()):
        raise ValueError(f"{event}: a payload has exactly event_properties and derived_properties, both objects")
    shape = ALLOWED[event]
    return {
        "event_properties": {
            **allowed(payload["event_properties"], shape.event_properties),
            "type": event.value,
        },
        "derived_properties": allowed(payload["derived_properties"], shape.derived_properties),
    }


def _recorded(parcel: Parcel) -> _Told:
    payload = orjson.loads(parcel.payload)
    properties = payload["event_properties"]
    return _Told(parcel.event_type, properties["uuid"], properties["timestamp"], payload)


def _batch(backend: Backend, installation: UUID, told: Iterable[_Told]) -> bytes:
    """The body of a request, in PostHog's form."""
    with_each = {
        "app_properties": _known(allowed(asdict(backend.app), _APP)),
        "system_properties": _known(allowed(asdict(backend.system), _SYSTEM)),
        **_NOBODY,
    }
    batch = [
        {
            "event": one.event,
            "distinct_id": str(installation),
            "uuid": one.uuid,
            "timestamp": one.timestamp.replace(" ", "T"),
            "properties": {**one.payload, **with_each},
        }
        for one in told
    ]
    return orjson.dumps({"api_key": backend.key, "batch": batch})


def _known(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if value is not None}


async def _post(transport: Transport, backend: Backend, body: bytes, now: datetime) -> Outcome:
    outcome = await transport.post(backend.address, _HEADERS, body, verify_ssl=True)
    if outcome.result is Result.DELIVERED and not _is_taken(outcome.response_body):
        return replace(outcome, result=Result.REFUSED, message="The analytics backend answered that it took nothing.")
    return with_retry_after(outcome, now)


def _is_taken(answer: bytes) -> bool:
    """A 2xx means yes, unless PostHog's own status says no."""
    try:
        parsed = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return True
    return not isinstance(parsed, dict) or parsed.get("status", 1) in _TAKEN
