"""Signatures of a request after Standard Webhooks, and the original's beside them for old receivers.

In: secrets, an id, the moment, the exact bytes that are sent. Out: headers. Never: a clock, randomness, or a secret in
what it says.

A secret `whsec_...` is the base64 of its key; any other secret is its own UTF-8 bytes, and a receiver that uses a
library of Standard Webhooks must hand those bytes to it.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

PREFIX = "whsec_"
LEAST_KEY_BYTES = 24
_MEND = "Leave the secret out and one is made, or make one by: openssl rand -base64 32 | sed 's/^/whsec_/'"


class SecretError(ValueError):
    """A secret that cannot be used: why, and the mend."""


def key_of(secret: str) -> bytes:
    """The HMAC key. Raises SecretError for a `whsec_` secret that is no base64."""
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return b64decode(secret[len(PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        raise SecretError(f"The secret begins with {PREFIX} but goes on with what is no base64. {_MEND}") from None


def check_secret(secret: str) -> None:
    """What a person brings along must be long enough. Raises SecretError.

    No upper limit: the original made secrets of 128 characters.
    """
    length = len(key_of(secret))
    if length < LEAST_KEY_BYTES:
        raise SecretError(f"The secret has {length} bytes, at least {LEAST_KEY_BYTES} are needed. {_MEND}")


def secret_of(key: bytes) -> str:
    """A new secret from random bytes (24 to 64 of them)."""
    return PREFIX + b64encode(key).decode()


def standard_headers(secrets: Iterable[str], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """`webhook-id`, `webhook-timestamp` (whole seconds) and one `v1` signature for each live secret, in their order.

    `at` must know its zone; `message_id` must have no dot in it.
    """
    seconds = str(int(at.timestamp()))
    signed = f"{message_id}.{seconds}.".encode() + body
    signatures = [_v1(key_of(secret), signed) for secret in secrets]
    return {"webhook-id": message_id, "webhook-timestamp": seconds, "webhook-signature": " ".join(signatures)}


def original_signature(secret: str, body: bytes) -> str:
    """`X-Hub-Signature` as the original sent it: the bare hex of the body's HMAC, whatever the form of the secret."""
    return hmac.digest(secret.encode(), body, "sha256").hex()


def _v1(key: bytes, signed: bytes) -> str:
    return "v1," + b64encode(hmac.digest(key, signed, "sha256")).decode()
