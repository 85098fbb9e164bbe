"""What a person asked of subscribers and deliveries, and cannot have. Apart, so that catching it is cheap.

In: nothing. Out: exceptions whose text is the whole message; `plain` is the same without anything that was given, for
where answers must not repeat what was sent. Never: a secret or more of a URL than its origin in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class SubscriberError(Exception):
    """Base: what, where, and the mend."""

    def __init__(self, text: str, plain: str = "") -> None:
        """`plain`: only where `text` repeats something that was given."""
        super().__init__(text)
        self.plain = plain or text


class Unknown(SubscriberError):
    """There is no such webhook, delivery or event, or several could be meant."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong with a webhook that is asked for."""

    where: str
    """`url`, `subscriptions.0`: counted as they were given."""
    what: str
    """What is wrong and the mend; nothing that was given is in it."""
    given: str = ""
    """What it is about, for the person who gave it; "" when that may be secret, or there is only one such thing."""

    def __str__(self) -> str:
        if not self.given:
            return f"{self.where}: {self.what}"
        return f"{self.where.partition('.')[0].removesuffix('s')} {self.given}: {self.what}"


class Unacceptable(SubscriberError):
    """A webhook cannot be as it was asked for: every mistake, each with its mend."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        plain = "\n".join(f"{one.where}: {one.what}" for one in mistakes)
        super().__init__("\n".join(map(str, mistakes)), plain)
        self.mistakes = tuple(mistakes)


class NotNow(SubscriberError):
    """What was asked for makes no sense in the present state."""
