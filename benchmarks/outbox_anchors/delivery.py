"""What both anchors send: the same body, signed as Standard Webhooks says. Imports only the standard library."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import uuid

_KEY = b"a key of thirty-two bytes or so."
BODY = '{"delivered_for": {}, "event": {"type": "project:created", "name": "%s"}}' % ("x" * 950)


def signed_headers(body: str) -> dict[str, str]:
    """For this body, at this moment."""
    identity, moment = uuid.uuid4().hex, str(int(time.time()))
    digest = hmac.new(_KEY, f"{identity}.{moment}.{body}".encode(), hashlib.sha256).digest()
    return {
        "webhook-id": identity,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        "content-type": "application/json",
    }
