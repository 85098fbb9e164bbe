"""What a person asked of subscribers and deliveries, and cannot have. Apart, so that catching it is cheap.

In: nothing. Out: exceptions whose text is the whole message. Never: a secret or more of a URL than its origin in it.
"""

from __future__ import annotations


class SubscriberError(Exception):
    """Base: what, where, and the mend."""


class Unknown(SubscriberError):
    """There is no such webhook, delivery or event, or several could be meant."""


class Unacceptable(SubscriberError):
    """A webhook cannot be as it was asked for: every mistake, each with its mend."""


class NotNow(SubscriberError):
    """What was asked for makes no sense in the present state."""
