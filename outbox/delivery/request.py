"""What is POSTed to a webhook: body, headers and signatures, in the shape its receiver understands.

In: a parcel and the moment. Out: a message. Never: a custom header in the place of one of ours, or, but for chats, a
parse of the payload: it was frozen as text with its event.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import orjson

from outbox.delivery.sender import Parcel
from outbox.delivery.signing import SecretError, original_signature, standard_headers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from outbox.subscribers.destination import Destination

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
CONTENT_TYPES = (JSON, FORM)
PING = "ping"
DISCORD_CHARACTERS = 2000
_CUT = "..."
_SLACK = "https://hooks.slack.com/"
_DISCORD = "https://discord.com/api/webhooks/"
_TEAMS = "webhook.office.com"
_OURS = frozenset(
    {
        *("content-type", "content-length", "host", "user-agent", "expect", "accept-encoding"),
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
        "x-hub-signature",
    }
)
_OUR_PREFIXES = ("webhook-", "x-orchest-")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VISIBLE = re.compile(r"[\t\x20-\x7e]*")


class HeaderError(ValueError):
    """A custom header that cannot be sent: why, and the mend. Never shows its name or value."""


@dataclass(frozen=True, slots=True)
class Message:
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes


def webhook_message(parcel: Parcel, now: datetime) -> Message:
    """The signed request for this attempt. Raises SecretError when it cannot be signed."""
    destination = parcel.destination
    if not destination.secrets:
        raise SecretError("The webhook has no live secret: rotate it.")
    body = _form(parcel) if destination.content_type == FORM else _json(parcel)
    delivery = str(parcel.delivery)
    headers = {name: value for name, value in destination.headers if not is_ours(name)}
    headers["Content-Type"] = destination.content_type
    headers["User-Agent"] = "Orchest"
    headers["X-Orchest-Event"] = parcel.event_type
    headers["X-Orchest-Delivery"] = delivery
    headers["X-Hub-Signature"] = original_signature(destination.secrets[0], body)
    headers.update(standard_headers(destination.secrets, delivery, now, body))
    return Message(destination.url, headers, body)


def ping(destination: Destination, uuid: UUID, now: datetime) -> Parcel:
    """A parcel of no event, to see whether the receiver hears us."""
    payload = orjson.dumps({"type": PING, "uuid": str(uuid), "timestamp": now.isoformat()}).decode()
    return Parcel(uuid, 1, PING, payload, destination)


def is_ours(name: str) -> bool:
    """Whether a header of this name is set by us or belongs to one hop of the connection."""
    name = name.lower()
    return name in _OURS or name.startswith(_OUR_PREFIXES)


def check_header(name: str, value: str) -> None:
    """A custom header, before it is stored. Raises HeaderError."""
    if not _TOKEN.fullmatch(name):
        raise HeaderError("not a header name. Use letters, digits and hyphens.")
    if is_ours(name):
        raise HeaderError("set by every delivery itself. Choose another name.")
    if not _VISIBLE.fullmatch(value) or value != value.strip():
        raise HeaderError("its value is not plain visible ASCII. Encode it, for example as base64.")


def _json(parcel: Parcel) -> bytes:
    url = parcel.destination.url
    if url.startswith(_SLACK) or _TEAMS in url:
        return _with_text(parcel)
    if url.startswith(_DISCORD):
        return _discord(parcel)
    return f'{{"delivered_for": {_delivered_for(parcel.destination)}, "event": {parcel.payload}}}'.encode()


def _with_text(parcel: Parcel) -> bytes:
    """The same, and once more as the text that Slack and Teams show. Chats are few: here the payload is parsed."""
    body = _parsed(parcel)
    return json.dumps({**body, "text": _readable(body)}).encode()


def _discord(parcel: Parcel) -> bytes:
    """Discord refuses longer texts. The original then said less of the webhook before it cut the rest."""
    body = _parsed(parcel)
    content = _readable(body)
    if len(content) > DISCORD_CHARACTERS:
        body["delivered_for"] = {name: body["delivered_for"][name] for name in ("uuid", "name")}
        content = _readable(body)[: DISCORD_CHARACTERS - len(_CUT)] + _CUT
    return json.dumps({**body, "content": content}).encode()


def _parsed(parcel: Parcel) -> dict[str, Any]:
    return {"delivered_for": json.loads(_delivered_for(parcel.destination)), "event": json.loads(parcel.payload)}


def _readable(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, indent=1)


def _form(parcel: Parcel) -> bytes:
    delivered_for = quote_plus(_delivered_for(parcel.destination))
    return f"delivered_for={delivered_for}&event={quote_plus(parcel.payload)}".encode()


def _delivered_for(destination: Destination) -> str:
    """As the original showed the webhook to its receiver: without URL, secret and subscriptions."""
    return orjson.dumps(
        {
            "uuid": str(destination.subscriber),
            "type": destination.kind,
            "name": destination.name,
            "verify_ssl": destination.verify_ssl,
            "content_type": destination.content_type,
        }
    ).decode()
