"""An operation of the API as a value: method, path, who may call it, what goes in, what comes out, and who does it.

In: nothing; these are the types that resources and the framework agree on. Out: values from which both the routes and
the OpenAPI document are made, so neither can say what the other does not. Never: a request, a response, a route.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from uuid import UUID

    import falcon.asgi
    from sqlalchemy.orm import Session

    from services.api.http.resource import Machinery

    App: TypeAlias = falcon.asgi.App[falcon.asgi.Request, falcon.asgi.Response]


class Scope(StrEnum):
    """What a token may do. `admin` may all that `write` may, `write` all that `read` may; `agent` is for nodes."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"
    AGENT = "agent"


_IMPLIED = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.WRITE: frozenset({Scope.READ, Scope.WRITE}),
    Scope.ADMIN: frozenset({Scope.READ, Scope.WRITE, Scope.ADMIN}),
    Scope.AGENT: frozenset({Scope.AGENT}),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, as far as that is known."""

    name: str
    """Of the token, or `system:serviceaccount:NAMESPACE:NAME`."""
    scopes: frozenset[Scope]
    token: UUID | None = None
    """Of our own tokens; None for a ServiceAccount."""

    @property
    def identity(self) -> str:
        """Never somebody else's, not even after a token was revoked and another got its name."""
        return str(self.token or self.name)

    def may(self, scope: Scope) -> bool:
        return any(scope in _IMPLIED[own] for own in self.scopes)


NOBODY = Caller("anonymous", frozenset())
"""Who calls an open operation."""


class Received(BaseModel):
    """What callers send: a body, a query, or the parameters of a path. What is not declared is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Sent(BaseModel):
    """What callers get."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Nothing(Received):
    """No body, no query, or a path without parameters."""


Path = TypeVar("Path", bound=Received)
Query = TypeVar("Query", bound=Received)
Body = TypeVar("Body", bound=Received)


@dataclass(frozen=True, slots=True)
class Call(Generic[Path, Query, Body]):
    """One request, checked: its caller may do this, and all of its parts are valid."""

    path: Path
    query: Query
    body: Body
    caller: Caller
    now: datetime
    """When it arrived, in UTC."""
    request_id: str
    forwarded: bool
    """Whether a proxy passed it on, such as an ingress: it may come from outside of the cluster."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes back when nothing went wrong. Whatever goes wrong is raised, and becomes a problem."""

    body: object = None
    """Of the operation's `answer`, or a value that it accepts, such as the dataclass behind it; bytes are sent as they
    are; None: no body.
    """
    status: HTTPStatus | None = None
    """None: the operation's."""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, serialised."""

    status: HTTPStatus
    headers: Mapping[str, str]
    body: bytes


AnyCall: TypeAlias = Call[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Reads:
    """In a read-only transaction."""

    function: Callable[[Session, AnyCall], Reply]


@dataclass(frozen=True, slots=True)
class Writes:
    """In one transaction, committed when a reply comes back, rolled back on any exception."""

    function: Callable[[Session, AnyCall], Reply]


@dataclass(frozen=True, slots=True)
class Acts:
    """In no transaction: it talks to somebody else, or makes several transactions of its own. It takes no idempotency
    key.
    """

    function: Callable[[AnyCall], Reply]


@dataclass(frozen=True, slots=True)
class Tells:
    """At once, in the event loop: no thread, no database, nothing that waits; only for open operations. For what must
    answer while all threads are busy.
    """

    function: Callable[[AnyCall], Reply]


@dataclass(frozen=True, slots=True)
class Streams:
    """Goes on until somebody ends it: a Falcon resource of its own answers, alone on its path."""

    resource: Callable[[Machinery], object]


Does: TypeAlias = Reads | Writes | Acts | Tells | Streams


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path."""

    method: HTTPMethod
    path: str
    """Below the root, as in OpenAPI: `/api/projects/{project_uuid}`. Parameters at the same place have the same name
    everywhere. With and without a slash at the end it is the same path; written is the original's form.
    """
    id: str
    """Unique, snake case: `create_project`. Clients are generated from it."""
    summary: str
    """One line for people, without a full stop."""
    scope: Scope | None
    """What a caller needs; None: open to all."""
    does: Does
    answer: Any = None
    """The type of a reply's body: a model, a dataclass, or what `pydantic.TypeAdapter` takes. None: no body."""
    status: HTTPStatus = HTTPStatus.OK
    parameters: type[Received] = Nothing
    """Of the path. One that is not valid names nothing that exists: 404."""
    query: type[Received] = Nothing
    """One value each, coerced from text."""
    body: type[Received] = Nothing
    """JSON, strictly typed."""
    most_body_bytes: int | None = None
    """Less than bodies may have elsewhere; None: as much."""
    problems: tuple[HTTPStatus, ...] = ()
    """Beyond those that follow from scope, parameters, query and body: mostly 409."""
    tag: str = ""
    """The section of the document it stands in: the noun, in the plural."""
    description: str = ""
    """More for people, if one line does not say it."""
    media_type: str = "application/json"
    """Of the answer."""
    open_inside: bool = False
    """Needs no token when none is sent and no proxy passed the request on, so that it comes from inside the cluster."""

    @property
    def is_open(self) -> bool:
        return self.scope is None
