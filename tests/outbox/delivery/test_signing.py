from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone

import pytest
import standardwebhooks
import svix
from hypothesis import given
from hypothesis import strategies as st

from outbox.delivery.signing import (
    LEAST_KEY_BYTES,
    SecretError,
    check_secret,
    key_of,
    original_signature,
    secret_of,
    standard_headers,
)

PUBLISHED_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLISHED_TIME = datetime.fromtimestamp(1614265330, UTC)
PUBLISHED_BODY = b'{"test": 2432232314}'
PUBLISHED = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def test_the_published_vector_byte_by_byte() -> None:
    headers = standard_headers([PUBLISHED_SECRET], "msg_p5jXN8AQM9LWM0D4loKWxJek", PUBLISHED_TIME, PUBLISHED_BODY)
    assert headers == PUBLISHED


def test_a_moment_is_the_same_in_every_zone() -> None:
    elsewhere = PUBLISHED_TIME.astimezone(timezone(timedelta(hours=5, minutes=45)))
    headers = standard_headers([PUBLISHED_SECRET], "msg_p5jXN8AQM9LWM0D4loKWxJek", elsewhere, PUBLISHED_BODY)
    assert headers == PUBLISHED


def test_all_live_secrets_sign_in_their_order() -> None:
    old = secret_of(b"o" * 32)
    both = standard_headers([PUBLISHED_SECRET, old], "msg_p5jXN8AQM9LWM0D4loKWxJek", PUBLISHED_TIME, PUBLISHED_BODY)
    alone = standard_headers([old], "msg_p5jXN8AQM9LWM0D4loKWxJek", PUBLISHED_TIME, PUBLISHED_BODY)
    assert both["webhook-signature"].split(" ") == [PUBLISHED["webhook-signature"], alone["webhook-signature"]]


secrets_of_ours = st.binary(min_size=24, max_size=64).map(secret_of)
ids = st.uuids().map(str)


@given(st.lists(secrets_of_ours, min_size=1, max_size=4), ids, st.text())
def test_both_public_verifiers_accept_it_with_any_live_secret(secrets: list[str], message: str, text: str) -> None:
    body = text.encode()
    headers = standard_headers(secrets, message, datetime.now(UTC), body)
    as_svix = {f"svix-{name.removeprefix('webhook-')}": value for name, value in headers.items()}
    for secret in secrets:
        standard, svixs = standardwebhooks.Webhook(secret), svix.Webhook(secret)
        assert standard.sign(message, _whole_second(headers), text) in headers["webhook-signature"].split(" ")
        assert svixs.sign(message, _whole_second(headers), text) in as_svix["svix-signature"].split(" ")


@given(st.lists(secrets_of_ours, min_size=1, max_size=3), ids, st.dictionaries(st.text(), st.integers()))
def test_both_public_verifiers_verify_json_bodies(secrets: list[str], message: str, value: dict[str, int]) -> None:
    body = json.dumps(value)
    headers = standard_headers(secrets, message, datetime.now(UTC), body.encode())
    for secret in secrets:
        assert standardwebhooks.Webhook(secret).verify(body, headers) == value
        svix.Webhook(secret).verify(body, headers)


@given(secrets_of_ours, secrets_of_ours, st.text())
def test_neither_verifier_accepts_another_secret_or_body(secret: str, other: str, text: str) -> None:
    headers = standard_headers([secret], "id", datetime.now(UTC), b"{}")
    if other != secret:
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(other).verify("{}", headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify("{} " + text, headers)
    with pytest.raises(svix.WebhookVerificationError):
        svix.Webhook(secret).verify("{} " + text, headers)


@given(st.text(min_size=24, max_size=200).filter(lambda text: not text.startswith("whsec_")))
def test_any_other_secret_is_verified_by_its_bytes(secret: str) -> None:
    headers = standard_headers([secret], "id", datetime.now(UTC), b"{}")
    assert standardwebhooks.Webhook(secret.encode()).verify("{}", headers) == {}


def test_the_signature_of_the_original_uses_the_text_of_the_secret() -> None:
    expected = hmac.new(PUBLISHED_SECRET.encode(), PUBLISHED_BODY, hashlib.sha256).hexdigest()
    assert original_signature(PUBLISHED_SECRET, PUBLISHED_BODY) == expected


def test_keys() -> None:
    assert key_of(secret_of(bytes(range(32)))) == bytes(range(32))
    assert key_of("plain \u00e9") == "plain \u00e9".encode()


@pytest.mark.parametrize(
    "secret",
    [
        "a" * LEAST_KEY_BYTES,
        "a" * 128,
        "whsec_" + b64encode(b"k" * LEAST_KEY_BYTES).decode(),
        "whsec_" + b64encode(b"k" * 64).decode(),
        "\u00e9" * 12,
    ],
)
def test_long_secrets_are_taken(secret: str) -> None:
    check_secret(secret)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "0 bytes"),
        ("a" * 23, "23 bytes"),
        ("whsec_" + b64encode(b"k" * 23).decode(), "23 bytes"),
        ("whsec_", "0 bytes"),
        ("whsec_no base64!", "no base64"),
        ("whsec_" + "A" * 33, "no base64"),
        ("whsec_" + "\u00e9" * 40, "no base64"),
    ],
)
def test_a_secret_that_is_too_short_or_broken_is_refused_with_the_mend(secret: str, why: str) -> None:
    with pytest.raises(SecretError) as refusal:
        check_secret(secret)
    message = str(refusal.value)
    assert why in message
    assert "openssl rand" in message
    assert len(secret) < 8 or secret not in message


def _whole_second(headers: dict[str, str]) -> datetime:
    return datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
