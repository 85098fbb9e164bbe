"""`/api/tokens`: who may call this API. The tokens of Kubernetes' own accounts are not among them.

In: calls by those of scope admin. Out: what is known of tokens, and once the text of a new one. Never: that text again,
or an event: who may call is nobody's news.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import AwareDatetime, Field
from sqlalchemy import event

from services.api.access.errors import NameTakenError, UnacceptableTokenError, UnknownTokenError
from services.api.access.tokens import (
    DEFAULT_LIFETIME,
    NAME_PATTERN,
    TokenSpec,
    create,
    newest,
    revoke,
    show,
)
from services.api.http.operation import Nothing, Operation, Reads, Received, Reply, Scope, Sent, Writes
from services.api.http.paging import Page, cut
from services.api.http.problems import bad_request, conflict, not_found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from services.api.http.admission import Gatekeeper
    from services.api.http.operation import Call


class TokenPath(Received):
    uuid: UUID


class TokenCreation(Received):
    name: str = Field(
        min_length=1, max_length=100, pattern=NAME_PATTERN, description="Unique among the tokens that are valid"
    )
    scopes: tuple[Scope, ...] = Field(min_length=1, max_length=len(Scope), description="What it may do")
    expires_at: AwareDatetime | None = Field(
        default=None, description="At most ten years ahead; null: never; left out: a year from now"
    )


class TokenSent(Sent):
    uuid: UUID
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    created_by: str = Field(description="The caller who asked for it")
    expires_at: datetime | None = Field(description="null: never")
    last_used_at: datetime | None = Field(description="Behind by up to a minute; null: never")
    revoked_at: datetime | None = Field(description="null: not revoked")


class NewTokenSent(TokenSent):
    token: str = Field(description="What to send as Authorization: Bearer; nothing shows it again")


class TokenPage(Sent):
    tokens: tuple[TokenSent, ...]
    next_cursor: UUID | None = Field(description="The `cursor` of the next page; null on the last")


class Tokens:
    def __init__(self, gatekeeper: Gatekeeper) -> None:
        self._gatekeeper = gatekeeper

    def operations(self) -> tuple[Operation, ...]:
        return (
            Operation(
                method=HTTPMethod.GET,
                path="/api/tokens",
                id="list_tokens",
                summary="All tokens, the newest first",
                scope=Scope.ADMIN,
                does=Reads(self.list),
                answer=TokenPage,
                query=Page,
                tag="tokens",
                description="The revoked and expired ones too.",
            ),
            Operation(
                method=HTTPMethod.POST,
                path="/api/tokens",
                id="create_token",
                summary="Make a token",
                scope=Scope.ADMIN,
                does=Writes(self.create),
                answer=NewTokenSent,
                status=HTTPStatus.CREATED,
                body=TokenCreation,
                problems=(HTTPStatus.CONFLICT,),
                tag="tokens",
                description="The answer holds its text, this once.",
            ),
            Operation(
                method=HTTPMethod.GET,
                path="/api/tokens/{uuid}",
                id="get_token",
                summary="One token",
                scope=Scope.ADMIN,
                does=Reads(self.show),
                answer=TokenSent,
                parameters=TokenPath,
                tag="tokens",
            ),
            Operation(
                method=HTTPMethod.DELETE,
                path="/api/tokens/{uuid}",
                id="revoke_token",
                summary="Revoke a token",
                scope=Scope.ADMIN,
                does=Writes(self.revoke),
                answer=TokenSent,
                parameters=TokenPath,
                tag="tokens",
                description="From now on it opens nothing; in other processes of this API within a second. "
                "To revoke it once more changes nothing.",
            ),
        )

    def list(self, session: Session, call: Call[Nothing, Page, Nothing]) -> Reply:
        found = newest(session, call.query.limit + 1, call.query.cursor)
        page, next_cursor = cut(found, call.query.limit, lambda token: token.uuid)
        return Reply(TokenPage(tokens=tuple(map(TokenSent.model_validate, page)), next_cursor=next_cursor))

    def create(self, session: Session, call: Call[Nothing, Nothing, TokenCreation]) -> Reply:
        asked = call.body
        default = call.now + DEFAULT_LIFETIME
        expires_at = asked.expires_at if "expires_at" in asked.model_fields_set else default
        with _translated():
            made = create(
                session, TokenSpec(asked.name, frozenset(asked.scopes), expires_at), call.caller.name, call.now
            )
        known = TokenSent.model_validate(made.view).model_dump()
        return Reply(NewTokenSent(**known, token=made.text), headers={"Location": f"/api/tokens/{made.view.uuid}"})

    def show(self, session: Session, call: Call[TokenPath, Nothing, Nothing]) -> Reply:
        with _translated():
            return Reply(TokenSent.model_validate(show(session, call.path.uuid)))

    def revoke(self, session: Session, call: Call[TokenPath, Nothing, Nothing]) -> Reply:
        with _translated():
            revoked = revoke(session, call.path.uuid, call.now)
        # Not before: a look-up in between would find it live and remember that.
        event.listen(session, "after_commit", lambda _session: self._gatekeeper.forget(revoked.uuid), once=True)
        return Reply(TokenSent.model_validate(revoked))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except UnacceptableTokenError as error:
        raise bad_request(str(error)) from None
    except NameTakenError as error:
        raise conflict(str(error)) from None
    except UnknownTokenError:
        raise not_found("token") from None
