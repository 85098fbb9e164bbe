"""What came of one attempt, as a value: the senders return it, the state machine judges it, the engine records it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta


class Result(StrEnum):
    DELIVERED = "delivered"
    """Answered 2xx."""
    REJECTED = "rejected"
    """Answered anything else, redirects included."""
    GONE = "gone"
    """Answered 410: the receiver wants nothing more, ever."""
    UNREACHABLE = "unreachable"
    """No name, no connection, no TLS, or closed before an answer."""
    TIMEOUT = "timeout"
    """No complete answer within the total deadline."""
    BLOCKED = "blocked"
    """Refused here, before a packet was sent: a forbidden address, scheme or port."""
    REFUSED = "refused"
    """Refused here because the message cannot be made or sent: a lost key, a backend that said no."""


@dataclass(frozen=True, slots=True)
class Outcome:
    result: Result
    message: str
    """One line for people; no secret, no more of the URL than its origin."""
    status_code: int | None = None
    retry_after: timedelta | None = None
    """As the receiver asked, unclamped."""
    response_headers: tuple[tuple[str, str], ...] = ()
    response_body: bytes = b""
    """The first bytes, capped by the transport."""
    milliseconds: float = 0.0
    """From the start of the attempt to its end."""
