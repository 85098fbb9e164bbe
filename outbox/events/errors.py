"""What can go wrong with events for a reason a person can mend.

In: nothing. Out: exceptions whose text is the whole message. Never: a secret in that text.
"""

from __future__ import annotations


class EventError(Exception):
    """Base: what, where, and the mend."""


class UnknownEventError(EventError):
    """There is no such event, or several could be meant."""


class UnknownEventTypeError(EventError):
    """An event of a type that this database does not have: it comes from a newer version, or from none."""

    def __init__(self, event_type: str) -> None:
        super().__init__(
            f"{event_type!r}: no such event type in this database. If a newer version wrote it, upgrade this one: "
            "its migration adds the type."
        )
