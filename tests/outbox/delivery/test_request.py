from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from outbox.delivery.request import (
    DISCORD_CHARACTERS,
    FORM,
    JSON,
    HeaderError,
    check_header,
    is_ours,
    ping,
    webhook_message,
)
from outbox.delivery.sender import Parcel
from outbox.delivery.signing import SecretError
from outbox.subscribers.destination import Destination

NOW = datetime.now(UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEBHOOK = Destination(UUID(int=7), "webhook", "my hook", "https://example.com/hook?token=hidden", (SECRET,))
SHOWN = {
    "uuid": "00000000-0000-0000-0000-000000000007",
    "type": "webhook",
    "name": "my hook",
    "verify_ssl": True,
    "content_type": "application/json",
}
PAYLOAD = '{"type": "project:created", "uuid": "x",  "project": {"name": "caf\u00e9"}}'
PARCEL = Parcel(UUID(int=9), 1, "project:created", PAYLOAD, WEBHOOK)


def parcel_for(url: str, payload: str = PAYLOAD, content_type: str = JSON) -> Parcel:
    return replace(PARCEL, payload=payload, destination=replace(WEBHOOK, url=url, content_type=content_type))


def body_of(parcel: Parcel) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(webhook_message(parcel, NOW).body)
    return body


def test_the_body_is_what_receivers_of_the_original_know() -> None:
    assert body_of(PARCEL) == {"delivered_for": SHOWN, "event": json.loads(PAYLOAD)}


def test_the_payload_is_sent_as_it_was_frozen() -> None:
    assert PAYLOAD.encode() in webhook_message(PARCEL, NOW).body


def test_neither_url_nor_secret_is_in_what_is_sent_or_shown() -> None:
    message = webhook_message(PARCEL, NOW)
    for text in (message.body.decode(), str(dict(message.headers)), repr(message), repr(PARCEL)):
        assert "hidden" not in text
        assert SECRET.removeprefix("whsec_") not in text


def test_the_headers_of_both_worlds() -> None:
    message = webhook_message(PARCEL, NOW)
    delivery = str(PARCEL.delivery)
    assert message.headers["Content-Type"] == JSON
    assert message.headers["User-Agent"] == "Orchest"
    assert message.headers["X-Orchest-Event"] == "project:created"
    assert message.headers["X-Orchest-Delivery"] == message.headers["webhook-id"] == delivery
    expected = hmac.new(SECRET.encode(), message.body, hashlib.sha256).hexdigest()
    assert message.headers["X-Hub-Signature"] == expected


def test_during_a_rotation_old_receivers_see_the_current_secret_and_new_ones_any() -> None:
    old = "an older secret of more than 24 bytes"
    destination = replace(WEBHOOK, secrets=(SECRET, old))
    now = datetime.now(UTC)  # receivers refuse what is older than minutes
    message = webhook_message(replace(PARCEL, destination=destination), now)
    headers = dict(message.headers)
    assert headers["X-Hub-Signature"] == webhook_message(PARCEL, NOW).headers["X-Hub-Signature"]
    for verifier in (standardwebhooks.Webhook(SECRET), standardwebhooks.Webhook(old.encode())):
        assert verifier.verify(message.body.decode(), headers) == json.loads(message.body)


def test_a_form_has_two_fields_of_json() -> None:
    message = webhook_message(parcel_for(WEBHOOK.url, content_type=FORM), NOW)
    fields = parse_qs(message.body.decode(), strict_parsing=True)
    assert message.headers["Content-Type"] == FORM
    assert fields["event"] == [PAYLOAD]
    assert json.loads(fields["delivered_for"][0]) == {**SHOWN, "content_type": FORM}
    assert sorted(fields) == ["delivered_for", "event"]


@pytest.mark.parametrize(
    "url", ["https://hooks.slack.com/services/T0/B0/x", "https://acme.webhook.office.com/webhookb2/x"]
)
def test_slack_and_teams_get_the_same_as_text(url: str) -> None:
    body = body_of(parcel_for(url))
    text = body.pop("text")
    assert body == {"delivered_for": SHOWN, "event": json.loads(PAYLOAD)}
    assert json.loads(text) == body
    assert text.startswith('{\n "delivered_for": {\n  "content_type"')


DISCORD = "https://discord.com/api/webhooks/1/x"


def test_discord_gets_it_as_content() -> None:
    body = body_of(parcel_for(DISCORD))
    content = body.pop("content")
    assert json.loads(content) == body == {"delivered_for": SHOWN, "event": json.loads(PAYLOAD)}


def test_for_discord_what_is_too_long_is_cut_after_saying_less_of_the_webhook() -> None:
    body = body_of(parcel_for(DISCORD, json.dumps({"steps": ["x" * 100] * 30})))
    assert body["delivered_for"] == {"uuid": SHOWN["uuid"], "name": "my hook"}
    assert len(body["content"]) == DISCORD_CHARACTERS
    assert body["content"].endswith("x...")
    assert len(body["event"]["steps"]) == 30


def readable(content_characters: int) -> dict[str, Any]:
    """A Discord body whose text, before any cut, has exactly so many characters."""
    empty = body_of(parcel_for(DISCORD, '{"k": ""}'))["content"]
    return body_of(parcel_for(DISCORD, json.dumps({"k": "x" * (content_characters - len(empty))})))


def test_for_discord_nothing_is_cut_that_just_fits() -> None:
    fits, too_long = readable(DISCORD_CHARACTERS), readable(DISCORD_CHARACTERS + 1)
    assert (len(fits["content"]), fits["content"][-1], fits["delivered_for"]) == (DISCORD_CHARACTERS, "}", SHOWN)
    assert too_long["delivered_for"] == {"uuid": SHOWN["uuid"], "name": "my hook"}


@pytest.mark.parametrize("url", ["https://hooks.slack.com/services/x", DISCORD, "https://a.webhook.office.com/x"])
def test_a_form_has_no_chat_fields(url: str) -> None:
    message = webhook_message(parcel_for(url, content_type=FORM), NOW)
    assert sorted(parse_qs(message.body.decode())) == ["delivered_for", "event"]


@pytest.mark.parametrize("url", ["https://hooks.slack.com.evil.example/x", "http://discord.com/api/webhooks/1"])
def test_lookalikes_are_plain_webhooks(url: str) -> None:
    assert sorted(body_of(parcel_for(url))) == ["delivered_for", "event"]


def test_custom_headers_are_sent_and_never_override_ours() -> None:
    custom = (("Authorization", "Bearer x"), ("WEBHOOK-ID", "forged"), ("x-orchest-event", "forged"), ("HOST", "evil"))
    message = webhook_message(replace(PARCEL, destination=replace(WEBHOOK, headers=custom)), NOW)
    plain = webhook_message(PARCEL, NOW)
    assert dict(message.headers) == {"Authorization": "Bearer x", **plain.headers}


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("", "x", "not a header name"),
        ("a b", "x", "not a header name"),
        ("a:b", "x", "not a header name"),
        ("a\r\nb", "x", "not a header name"),
        ("na\u00efve", "x", "not a header name"),
        ("Webhook-Signature", "x", "set by every delivery"),
        ("X-ORCHEST-anything", "x", "set by every delivery"),
        ("X-Hub-Signature", "x", "set by every delivery"),
        ("content-length", "1", "set by every delivery"),
        ("Transfer-Encoding", "chunked", "set by every delivery"),
        ("Connection", "close", "set by every delivery"),
        ("X-Token", "s3cret\r\nX-Evil: 1", "not plain visible ASCII"),
        ("X-Token", "s3cret\x00", "not plain visible ASCII"),
        ("X-Token", "s3cret\u00e9", "not plain visible ASCII"),
        ("X-Token", " s3cret", "not plain visible ASCII"),
        ("X-Token", "s3cret\n", "not plain visible ASCII"),
    ],
)
def test_a_custom_header_that_cannot_be_sent_is_refused(name: str, value: str, why: str) -> None:
    with pytest.raises(HeaderError, match=why) as refusal:
        check_header(name, value)
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(("name", "value"), [("Authorization", "Bearer x.y/z+=="), ("X-Token", ""), ("Cookie", "a=b")])
def test_other_custom_headers_are_taken(name: str, value: str) -> None:
    check_header(name, value)


def test_every_header_we_set_is_ours() -> None:
    assert all(is_ours(name) for name in webhook_message(PARCEL, NOW).headers)


def test_a_ping_is_a_delivery_of_no_event() -> None:
    parcel = ping(WEBHOOK, UUID(int=5), NOW)
    message = webhook_message(parcel, NOW)
    assert json.loads(message.body)["event"] == {
        "type": "ping",
        "uuid": str(UUID(int=5)),
        "timestamp": NOW.isoformat(),
    }
    assert message.headers["X-Orchest-Event"] == "ping"
    assert message.headers["webhook-id"] == str(UUID(int=5))


@pytest.mark.parametrize("secrets", [(), ("whsec_not base64",), (SECRET, "whsec_not base64")])
def test_what_cannot_be_signed_is_not_made(secrets: tuple[str, ...]) -> None:
    with pytest.raises(SecretError) as refusal:
        webhook_message(replace(PARCEL, destination=replace(WEBHOOK, secrets=secrets)), NOW)
    assert "not base64" not in str(refusal.value)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(event=st.dictionaries(st.text(), values, max_size=4), name=st.text(max_size=100), ascii_only=st.booleans())
def test_any_payload_and_name_arrive_as_they_were(event: dict[str, Any], name: str, ascii_only: bool) -> None:
    payload = json.dumps(event, ensure_ascii=ascii_only)
    for url in (WEBHOOK.url, "https://hooks.slack.com/services/x", DISCORD):
        parcel = replace(PARCEL, payload=payload, destination=replace(WEBHOOK, name=name, url=url))
        body = json.loads(webhook_message(parcel, NOW).body)
        assert body["event"] == event
        assert body["delivered_for"]["name"] == name
    form = replace(parcel, destination=replace(parcel.destination, content_type=FORM))
    fields = parse_qs(webhook_message(form, NOW).body.decode(), strict_parsing=True)
    assert json.loads(fields["event"][0]) == event
