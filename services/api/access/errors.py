"""What a person asked of tokens, and cannot have. Apart, so that catching it is cheap.

In: nothing. Out: exceptions whose text is the whole message. Never: a token, or anything that might be one.
"""

from __future__ import annotations

from reconciler.errors import OrchestError


class TokenError(OrchestError):
    """Base: what, and the mend."""


class UnknownTokenError(TokenError):
    """There is no such token, or several could be meant."""


class NameTakenError(TokenError):
    """A live token has this name."""


class UnacceptableTokenError(TokenError):
    """A token cannot be as it was asked for."""
