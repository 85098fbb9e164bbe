"""A hundred thousand generated cases of what the outbox signs, sends and decides.

Receivers are the public verifiers of PyPI. A smaller number of the same cases is in `tests/outbox/delivery`.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from uuid import UUID

import pytest
import standardwebhooks
import svix
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from outbox.delivery.endpoint import HEALTH_POLICY, Condition, Endpoint, after, room
from outbox.delivery.outcome import Outcome, Result
from outbox.delivery.request import CONTENT_TYPES, DISCORD_CHARACTERS, FORM, Message, webhook_message
from outbox.delivery.schedule import ANALYTICS_POLICY, WEBHOOK_POLICY
from outbox.delivery.sender import Parcel
from outbox.delivery.signing import key_of, original_signature, secret_of
from outbox.delivery.state import Delivery, Lane, Status, claimed, expired, finished, holds_fence, is_due, is_lost
from outbox.subscribers.destination import Destination
from tests.outbox.delivery.model import Rules
from tests.outbox.delivery.test_state_machine import explore

if TYPE_CHECKING:
    from collections.abc import Callable

LEASE = timedelta(seconds=60)
CASES = {"signing": 25_000, "shapes": 20_000, "states": 55_000}
MACHINES = 2_000
"""Of up to 50 steps each, besides."""
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
URLS = [
    "https://example.com/hook",
    "https://hooks.slack.com/services/T/B/x",
    "https://acme.webhook.office.com/webhookb2/x",
    "https://discord.com/api/webhooks/1/x",
]

plain_secrets = st.text(min_size=24, max_size=140).filter(lambda text: not text.startswith("whsec_"))
secrets = st.binary(min_size=24, max_size=64).map(secret_of) | plain_secrets
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
parcels = st.builds(
    Parcel,
    st.uuids(),
    st.integers(1, 12),
    st.sampled_from(["project:created", "cluster:plan-applied"]),
    st.builds(json.dumps, st.dictionaries(st.text(), values, max_size=3), ensure_ascii=st.booleans()),
    st.builds(
        Destination,
        st.uuids(),
        st.just("webhook"),
        st.text(max_size=100),
        st.sampled_from(URLS),
        st.lists(secrets, min_size=1, max_size=3).map(tuple),
        content_type=st.sampled_from(CONTENT_TYPES),
        verify_ssl=st.booleans(),
    ),
)
jitters = st.floats(0, 1, exclude_max=True)
instants = st.timedeltas(-timedelta(days=800), timedelta(days=800)).map(lambda delta: NOW + delta)
outcomes = st.builds(
    Outcome,
    st.sampled_from(list(Result)),
    st.just(""),
    st.none() | st.integers(100, 599),
    st.none() | st.timedeltas(timedelta(0), timedelta(days=400)),
)


@pytest.mark.torture
def test_a_hundred_thousand_cases_of_signing_shapes_and_states() -> None:
    """ORCHEST_TORTURE_SEED repeats a run; without it each run has a seed of its own."""
    number = int(os.environ.get("ORCHEST_TORTURE_SEED") or time.time_ns() // 1_000_000_000)
    print(f"\noutbox cases: seed {number}", flush=True)  # noqa: T201, the run is repeated with it
    assert _run(CASES, number).total() >= 100_000


@pytest.mark.torture
def test_thousands_of_orders_of_things_lose_nothing() -> None:
    number = int(os.environ.get("ORCHEST_TORTURE_SEED") or time.time_ns() // 1_000_000_000)
    print(f"\noutbox state machine: seed {number}", flush=True)  # noqa: T201
    start = time.monotonic()
    how = settings(
        max_examples=MACHINES,
        stateful_step_count=50,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    explore(Rules(), number, how)
    print(f"  {MACHINES} orders of up to 50 steps in {time.monotonic() - start:.0f} s", flush=True)  # noqa: T201


def test_each_kind_of_case_runs() -> None:
    counted = _run(dict.fromkeys(CASES, 50), 1)
    assert min(counted.values()) >= 50


def _run(cases: dict[str, int], number: int) -> Counter[str]:
    """How many cases of each kind were tried; raises at the first that fails, shrunk by Hypothesis."""
    counted: Counter[str] = Counter()

    @given(parcels, st.timedeltas(-timedelta(minutes=4), timedelta(minutes=4)), st.text(min_size=1, max_size=4))
    def signing(parcel: Parcel, skew: timedelta, noise: str) -> None:
        counted["signing"] += 1
        check_signatures(parcel, datetime.now(UTC) + skew, noise.encode())

    @given(parcels)
    def shapes(parcel: Parcel) -> None:
        counted["shapes"] += 1
        check_shape(parcel, webhook_message(parcel, NOW))

    @given(
        st.sampled_from(list(Lane)), st.integers(0, 12), st.lists(st.tuples(instants, outcomes, jitters), max_size=6)
    )
    def states(lane: Lane, attempts: int, story: list[tuple[datetime, Outcome, float]]) -> None:
        counted["states"] += 1
        check_story(Delivery(Status.SCHEDULED, lane, attempts, NOW, NOW), story)

    kinds: dict[str, Callable[[], None]] = {"signing": signing, "shapes": shapes, "states": states}
    for kind, examples in cases.items():
        how = settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        start = time.monotonic()
        seed(number)(how(kinds[kind]))()
        print(f"  {kind}: {counted[kind]} cases in {time.monotonic() - start:.0f} s", flush=True)  # noqa: T201
    return counted


def check_signatures(parcel: Parcel, at: datetime, noise: bytes) -> None:
    """Each live secret verifies it, and nothing else: not another body, id, moment or secret."""
    message = webhook_message(parcel, at)
    headers, body = dict(message.headers), message.body
    assert headers["X-Hub-Signature"] == original_signature(parcel.destination.secrets[0], body)
    for secret in parcel.destination.secrets:
        keys: list[str | bytes] = [key_of(secret)]
        if secret.startswith("whsec_"):
            keys.append(secret)
        for key in keys:
            standardwebhooks.Webhook(key).verify(body, headers, json_parse=False)
            svix.Webhook(key).verify(body.decode(), headers)
        verifier = standardwebhooks.Webhook(key_of(secret))
        later = str(int(headers["webhook-timestamp"]) + 1)
        for forged, changed in (
            (body + noise, headers),
            (body, {**headers, "webhook-id": headers["webhook-id"] + "0"}),
            (body, {**headers, "webhook-timestamp": later}),
        ):
            with pytest.raises(standardwebhooks.WebhookVerificationError):
                verifier.verify(forged, changed, json_parse=False)
    stranger = standardwebhooks.Webhook(b"a key that nobody here has at all")
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        stranger.verify(body, headers, json_parse=False)


def check_shape(parcel: Parcel, message: Message) -> None:
    """Everything arrives as it was, in the shape of the receiver, and nothing of what is secret."""
    event, destination = json.loads(parcel.payload), parcel.destination
    body = _read(message.body, destination.content_type)
    chat = destination.content_type != FORM
    assert body.pop("event") == event
    shown = body.pop("delivered_for")
    assert (shown["uuid"], shown["name"]) == (str(destination.subscriber), destination.name)
    assert set(shown) <= {"uuid", "name", "type", "verify_ssl", "content_type"}
    if chat and ("slack" in destination.url or "office" in destination.url):
        assert json.loads(body.pop("text")) == {"delivered_for": shown, "event": event}
    if chat and "discord" in destination.url:
        content = body.pop("content")
        assert len(content) <= DISCORD_CHARACTERS
        assert content.endswith("...") or json.loads(content) == {"delivered_for": shown, "event": event}
    assert body == {}
    for name, value in message.headers.items():
        assert f"{name}: {value}".isascii()
        assert f"{name}: {value}".isprintable()


def _read(body: bytes, content_type: str) -> dict[str, Any]:
    if content_type != FORM:
        read: dict[str, Any] = json.loads(body)
        return read
    fields = parse_qs(body.decode("ascii"), strict_parsing=True)
    assert all(len(field) == 1 for field in fields.values())
    return {name: json.loads(field[0]) for name, field in fields.items()}


def check_story(delivery: Delivery, story: list[tuple[datetime, Outcome, float]]) -> None:
    """One row and its endpoint through some attempts at any moments, the clock going where it likes."""
    policy = ANALYTICS_POLICY if delivery.lane is Lane.ANALYTICS else WEBHOOK_POLICY
    endpoint = Endpoint(UUID(int=1))
    for now, outcome, jitter in story:
        if delivery.status is not Status.SCHEDULED:
            break
        under_way = claimed(delivery, "me", now, LEASE)
        assert holds_fence(under_way, "me", delivery.attempts + 1)
        assert not is_lost(under_way, now, LEASE)
        assert is_lost(under_way, now + LEASE, LEASE)
        lost = expired(under_way, now + LEASE, policy)
        assert lost.status is Status.DEAD or is_due(lost, now + LEASE, policy)
        delivery = finished(under_way, outcome, now, policy, jitter)
        assert (delivery.attempts, delivery.claimed_by) == (under_way.attempts, None)
        assert (delivery.status is Status.DELIVERED) == (outcome.result is Result.DELIVERED)
        if delivery.status is Status.SCHEDULED:
            assert now < delivery.due_at <= now + policy.longest_delay
            assert is_due(delivery, delivery.due_at, policy)
        endpoint = after(endpoint, outcome, now, HEALTH_POLICY, jitter)
        assert 0 <= room(endpoint, 4, now) <= 4
        if endpoint.condition is Condition.ENABLED:
            assert any(room(endpoint, 4, now + timedelta(hours=hours)) for hours in (0, 25, 50))
