"""`/api/notifications/subscribers/webhooks`: receivers added, changed, rotated, paused, resumed.

In: what callers ask of a webhook. Out: webhooks as they may be seen: of a URL its origin, of a secret that there is
one. Never: a decision on what a webhook may be, which the outbox makes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from pydantic import Field

from outbox.subscribers import administration
from outbox.subscribers.administration import DEFAULT_OVERLAP, LONGEST_OVERLAP, new_secret
from outbox.subscribers.patterns import Interest
from outbox.subscribers.webhook import (
    DEFAULT_MAX_IN_FLIGHT,
    LEAST_RATE,
    MOST_IN_FLIGHT,
    MOST_RATE,
    SecretView,
    WebhookSpec,
    WebhookView,
)
from services.api.http.operation import Nothing, Operation, Reads, Received, Reply, Scope, Sent, Writes
from services.api.http.problems import bad_request
from services.api.resources.message import Message

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from outbox.key_ring import KeyRing
    from outbox.subscribers.webhook import Permission
    from services.api.http.operation import Call

TAG = "notifications"
_HOUR = timedelta(hours=1)
_MOST_SUBSCRIPTIONS = 1000
_MOST_HEADERS = 50

ContentType = Literal["application/json", "application/x-www-form-urlencoded"]


class SubscriberPath(Received):
    uuid: UUID = Field(description="Of the webhook")


class SubscriptionSpec(Received):
    """One thing a webhook wants to hear: everywhere, in one project, or of one job of a project."""

    event_type: str = Field(max_length=100, description="A type of event, `project:*` for all that begin so, or `*`")
    project_uuid: UUID | None = Field(
        default=None, description="Only of this project; it need not exist yet, and may be gone"
    )
    job_uuid: UUID | None = Field(default=None, description="Only of this job; needs its project")

    def interest(self) -> Interest:
        return Interest(self.event_type, self.project_uuid, self.job_uuid)


class HeaderSpec(Received):
    """Sent along with every request."""

    name: str = Field(max_length=200)
    value: str = Field(max_length=4096, description="Stored encrypted and never shown")


Subscriptions = tuple[SubscriptionSpec, ...]
Headers = tuple[HeaderSpec, ...]
_URL = "Of the receiver: http or https; only its origin is ever shown"
_SECRET = "The receiver's own signing secret, at least 24 bytes; left out, null or empty: one is made and shown once"  # noqa: S105


class WebhookCreation(Received):
    url: str = Field(description=_URL)
    name: str = Field(description="For people: 1 to 100 printable characters")
    verify_ssl: bool = Field(default=True, description="Whether its certificate must be trusted")
    content_type: ContentType = Field(default="application/json", description="Of the body of its requests")
    secret: str | None = Field(default=None, max_length=1000, description=_SECRET)
    subscriptions: Subscriptions = Field(
        max_length=_MOST_SUBSCRIPTIONS, description="What it hears; at least one, repetitions are ignored"
    )
    headers: Headers = Field(default=(), max_length=_MOST_HEADERS, description="Custom headers of its requests")
    max_in_flight: int = Field(
        default=DEFAULT_MAX_IN_FLIGHT, ge=1, le=MOST_IN_FLIGHT, description="Requests under way to it at once"
    )
    rate_per_second: float | None = Field(
        default=None,
        ge=LEAST_RATE,
        le=MOST_RATE,
        allow_inf_nan=False,
        description="Attempts that begin per second; null: any number",
    )

    def spec(self) -> WebhookSpec:
        return WebhookSpec(
            name=self.name,
            url=self.url,
            subscriptions=tuple(one.interest() for one in self.subscriptions),
            content_type=self.content_type,
            headers=tuple((one.name, one.value) for one in self.headers),
            verify_ssl=self.verify_ssl,
            max_in_flight=self.max_in_flight,
            rate_per_second=self.rate_per_second,
        )


class WebhookChange(Received):
    """Any part of a webhook; what is left out, or null, stays as it is."""

    url: str | None = Field(default=None, description=f"{_URL}; with another one its record of failures begins anew")
    name: str | None = Field(default=None, description="For people: 1 to 100 printable characters")
    verify_ssl: bool | None = Field(default=None, description="Whether its certificate must be trusted")
    content_type: ContentType | None = Field(default=None, description="Of the body of its requests")
    secret: str | None = Field(
        default=None, max_length=1000, description="Replaces every former secret at once; see `rotate` for an overlap"
    )
    subscriptions: Subscriptions | None = Field(
        default=None, max_length=_MOST_SUBSCRIPTIONS, description="All that it hears from now on"
    )
    headers: Headers | None = Field(
        default=None, max_length=_MOST_HEADERS, description="All custom headers from now on"
    )
    max_in_flight: int | None = Field(
        default=None, ge=1, le=MOST_IN_FLIGHT, description="Requests under way to it at once"
    )
    rate_per_second: float | None = Field(
        default=None,
        ge=LEAST_RATE,
        le=MOST_RATE,
        allow_inf_nan=False,
        description="Attempts that begin per second; an explicit null: any number",
    )

    def amended(self, spec: WebhookSpec) -> WebhookSpec:
        changed = {
            name: value
            for name in ("url", "name", "verify_ssl", "content_type", "max_in_flight")
            if (value := getattr(self, name)) is not None
        }
        if self.subscriptions is not None:
            changed["subscriptions"] = tuple(one.interest() for one in self.subscriptions)
        if self.headers is not None:
            changed["headers"] = tuple((one.name, one.value) for one in self.headers)
        if "rate_per_second" in self.model_fields_set:
            changed["rate_per_second"] = self.rate_per_second
        return replace(spec, **changed)


class Rotation(Received):
    secret: str | None = Field(default=None, max_length=1000, description=_SECRET)
    overlap_hours: float = Field(
        default=DEFAULT_OVERLAP / _HOUR,
        ge=0,
        le=LONGEST_OVERLAP / _HOUR,
        allow_inf_nan=False,
        description="So long requests are signed with the former secret too; 0 ends every former one at once",
    )


class SubscriptionView(Sent):
    event_type: str = Field(description="A type of event, `project:*` for all that begin so, or `*`")
    project_uuid: UUID | None = Field(description="null: of every project")
    job_uuid: UUID | None = Field(description="null: of every job")


class SigningSecretView(Sent):
    created_at: datetime
    expires_at: datetime | None = Field(description="null: the current one")


class SubscriberView(Sent):
    """All that is ever shown of a webhook."""

    uuid: UUID
    type: Literal["webhook"] = "webhook"
    name: str
    url: str = Field(description="Its origin only: the rest may be a secret")
    verify_ssl: bool
    content_type: str
    subscriptions: list[SubscriptionView] = Field(description="What it hears")
    created_at: datetime
    max_in_flight: int = Field(description="Requests under way to it at once")
    rate_per_second: float | None = Field(description="Attempts that begin per second; null: any number")
    condition: str = Field(description="`enabled`, `paused`, or `disabled` because it failed for days")
    reason: str = Field(description="Why it is not enabled")
    breaker: str = Field(description="`closed`, or `open` while it is given a rest")
    failing_since: datetime | None = Field(description="Its first failure after its last success")
    secrets: list[SigningSecretView] = Field(description="That there are such secrets, the current one first")

    def view(self) -> WebhookView:
        """The same as the outbox shows it, for whoever read this from an answer."""
        return WebhookView(
            uuid=self.uuid,
            name=self.name,
            url_origin=self.url,
            content_type=self.content_type,
            verify_ssl=self.verify_ssl,
            created_at=self.created_at,
            max_in_flight=self.max_in_flight,
            rate_per_second=self.rate_per_second,
            condition=self.condition,
            reason=self.reason,
            breaker=self.breaker,
            failing_since=self.failing_since,
            subscriptions=tuple(Interest(one.event_type, one.project_uuid, one.job_uuid) for one in self.subscriptions),
            secrets=tuple(SecretView(one.created_at, one.expires_at) for one in self.secrets),
        )


class WebhookWithSecret(SubscriberView):
    secret: str | None = Field(description="Shown this once, because it was made here; null: the caller brought it")


class WebhookList(Sent):
    webhooks: list[SubscriberView] = Field(description="In the order in which they were added")


class Webhooks:
    """What changes a webhook, and the list of all with what they hear."""

    def __init__(self, key_ring: KeyRing, permission: Permission) -> None:
        self._key_ring = key_ring
        self._permission = permission

    def operations(self) -> tuple[Operation, ...]:
        path = "/api/notifications/subscribers/webhooks"
        return (
            Operation(
                HTTPMethod.GET,
                path,
                "list_webhooks",
                "All webhooks, with what they hear",
                Scope.READ,
                Reads(self.list),
                answer=WebhookList,
                tag=TAG,
            ),
            Operation(
                HTTPMethod.POST,
                path,
                "create_webhook",
                "Add a webhook",
                Scope.WRITE,
                Writes(self.create),
                answer=WebhookWithSecret,
                status=HTTPStatus.CREATED,
                body=WebhookCreation,
                tag=TAG,
                description="A secret that is made here is in this answer and in no other.",
            ),
            Operation(
                HTTPMethod.PUT,
                f"{path}/{{uuid}}",
                "update_webhook",
                "Change a webhook",
                Scope.WRITE,
                Writes(self.update),
                answer=Message,
                parameters=SubscriberPath,
                body=WebhookChange,
                problems=(HTTPStatus.CONFLICT,),
                tag=TAG,
            ),
            Operation(
                HTTPMethod.POST,
                f"{path}/{{uuid}}/rotate",
                "rotate_webhook",
                "Sign with a new secret",
                Scope.WRITE,
                Writes(self.rotate),
                answer=WebhookWithSecret,
                parameters=SubscriberPath,
                body=Rotation,
                problems=(HTTPStatus.CONFLICT,),
                tag=TAG,
                description="409: too many former secrets would still be valid.",
            ),
            Operation(
                HTTPMethod.POST,
                f"{path}/{{uuid}}/pause",
                "pause_webhook",
                "Hold its deliveries",
                Scope.WRITE,
                Writes(self.pause),
                answer=SubscriberView,
                parameters=SubscriberPath,
                tag=TAG,
                description="Also those of events to come. What is under way ends.",
            ),
            Operation(
                HTTPMethod.POST,
                f"{path}/{{uuid}}/resume",
                "resume_webhook",
                "Deliver what was held",
                Scope.WRITE,
                Writes(self.resume),
                answer=SubscriberView,
                parameters=SubscriberPath,
                tag=TAG,
                description="Also enables a webhook that was disabled because it failed for days.",
            ),
        )

    def list(self, session: Session, call: Call[Nothing, Nothing, Nothing]) -> Reply:
        found = administration.webhooks(session, call.now)
        return Reply(WebhookList(webhooks=[subscriber_view(one) for one in found]))

    def create(self, session: Session, call: Call[Nothing, Nothing, WebhookCreation]) -> Reply:
        given, made = _secrets(call.body.secret)
        added = administration.add(
            session,
            call.body.spec(),
            given or made,
            permission=self._permission,
            key_ring=self._key_ring,
            now=call.now,
        )
        return Reply(_with_secret(added, made))

    def update(self, session: Session, call: Call[SubscriberPath, Nothing, WebhookChange]) -> Reply:
        if not call.body.model_fields_set:
            raise bad_request(f"Nothing to change. Give at least one of: {', '.join(WebhookChange.model_fields)}.")
        administration.amend(
            session,
            call.path.uuid,
            call.body.amended,
            permission=self._permission,
            key_ring=self._key_ring,
            now=call.now,
        )
        if call.body.secret is not None:
            self._rotate(session, call.path.uuid, call.body.secret, timedelta(), call.now)
        return Reply(Message(message="The webhook was changed."))

    def rotate(self, session: Session, call: Call[SubscriberPath, Nothing, Rotation]) -> Reply:
        given, made = _secrets(call.body.secret)
        overlap = call.body.overlap_hours * _HOUR
        return Reply(_with_secret(self._rotate(session, call.path.uuid, given or made, overlap, call.now), made))

    def pause(self, session: Session, call: Call[SubscriberPath, Nothing, Nothing]) -> Reply:
        return Reply(subscriber_view(administration.pause(session, call.path.uuid, call.now)))

    def resume(self, session: Session, call: Call[SubscriberPath, Nothing, Nothing]) -> Reply:
        return Reply(subscriber_view(administration.resume(session, call.path.uuid, call.now)))

    def _rotate(self, session: Session, uuid: UUID, secret: str, overlap: timedelta, now: datetime) -> WebhookView:
        return administration.rotate(session, uuid, secret, key_ring=self._key_ring, now=now, overlap=overlap)


def subscriber_view(one: WebhookView) -> SubscriberView:
    return SubscriberView(
        uuid=one.uuid,
        name=one.name,
        url=one.url_origin,
        verify_ssl=one.verify_ssl,
        content_type=one.content_type,
        subscriptions=[
            SubscriptionView(event_type=it.pattern, project_uuid=it.project_uuid, job_uuid=it.job_uuid)
            for it in one.subscriptions
        ],
        created_at=one.created_at,
        max_in_flight=one.max_in_flight,
        rate_per_second=one.rate_per_second,
        condition=one.condition,
        reason=one.reason,
        breaker=one.breaker,
        failing_since=one.failing_since,
        secrets=[SigningSecretView.model_validate(secret) for secret in one.secrets],
    )


def _with_secret(one: WebhookView, made: str) -> WebhookWithSecret:
    return WebhookWithSecret(**dict(subscriber_view(one)), secret=made or None)


def _secrets(given: str | None) -> tuple[str, str]:
    """What was given, else what was made: one of them is ""."""
    return (given, "") if given else ("", new_secret())
