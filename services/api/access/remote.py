"""Tokens of an API: the same questions as those to a database, asked over HTTP by somebody of scope admin.

In: what the commands of `orchest token` ask for. Out: views, and once the text of a new token. Never: that text again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, TypeAdapter

from services.api.access.tokens import NewToken, TokenView, find_among

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.api_client import ApiClient
    from services.api.access.tokens import TokenSpec

_TOKENS = "/api/tokens"
_PAGE = 500


@dataclass(frozen=True, slots=True)
class _Tokens:
    tokens: list[TokenView]


@dataclass(frozen=True, slots=True)
class _Text:
    token: str


_TOKEN: TypeAdapter[TokenView] = TypeAdapter(TokenView)
_TOLD: TypeAdapter[_Tokens] = TypeAdapter(_Tokens)
_NEW: TypeAdapter[tuple[TokenView, _Text]] = TypeAdapter(
    Annotated[tuple[TokenView, _Text], BeforeValidator(lambda told: (told, told))]
)


class RemoteTokens:
    """The same as `LocalTokens`."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def create(self, spec: TokenSpec) -> NewToken:
        expires_at = spec.expires_at and spec.expires_at.isoformat()
        body = {"name": spec.name, "scopes": sorted(spec.scopes), "expires_at": expires_at}
        view, made = self._client.post(_TOKENS, _NEW, body)
        return NewToken(view, made.token)

    def list(self) -> Sequence[TokenView]:
        """All, in the order in which they were made."""
        pages = self._client.pages(_TOKENS, _TOLD, {"limit": _PAGE})
        return tuple(chain.from_iterable(page.tokens for page in pages))[::-1]

    def revoke(self, reference: str) -> TokenView:
        """By uuid, name, or what only one of them begins with. Raises UnknownTokenError."""
        found = find_among(self.list(), reference, datetime.now(UTC))
        return self._client.delete(f"{_TOKENS}/{found.uuid}", _TOKEN)
