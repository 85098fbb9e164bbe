"""The API as tests use it: real application, real database, real tokens; requests come by ASGI instead of a socket."""

from __future__ import annotations

import asyncio
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import falcon.testing

from outbox.database import Database
from outbox.delivery.guard import Guard, parse_networks
from outbox.events.records import EventFilter, list_events
from outbox.key_ring import KeyRing
from outbox.schema import migrate
from outbox.subscribers.webhook import Permission
from services.api.access.gatekeeper import TokenGatekeeper
from services.api.access.tokens import TokenSpec, create
from services.api.app import Parts, create_app
from services.api.http.operation import Scope
from services.api.http.work import SPARE_CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from outbox.events.records import EventRecord
    from services.api.http.operation import App

KEY = "a-key-for-the-secrets-of-this-test-0123456789"
THREADS = 4


@dataclass(frozen=True, slots=True)
class Site:
    app: App
    parts: Parts
    tokens: Mapping[Scope, str]
    """One of each scope."""

    @property
    def database(self) -> Database:
        return self.parts.database

    def ask(
        self, method: str, path: str, *, scope: Scope | None = Scope.ADMIN, headers: Mapping[str, str] = {}, **rest: Any
    ) -> falcon.testing.Result:
        """`json=` a body, `params=` a query; `scope` None: without a token."""
        authorization = {} if scope is None else {"Authorization": f"Bearer {self.tokens[scope]}"}
        client = falcon.testing.TestClient(self.app)
        return client.simulate_request(method, path, headers={**authorization, **headers}, **rest)

    def ask_at_once(self, requests: Sequence[tuple[str, str, Mapping[str, Any]]]) -> list[falcon.testing.Result]:
        """All together, as admin; each is method, path, and the rest of `ask`: `json=`, `headers=`."""

        async def ask() -> list[falcon.testing.Result]:
            answers: list[falcon.testing.Result] = []
            authorization = {"Authorization": f"Bearer {self.tokens[Scope.ADMIN]}"}
            async with falcon.testing.ASGIConductor(self.app) as conductor:
                answers += await asyncio.gather(
                    *(
                        conductor.simulate_request(
                            method, path, **{**rest, "headers": {**authorization, **rest.get("headers", {})}}
                        )
                        for method, path, rest in requests
                    )
                )
            return answers

        return asyncio.run(ask())

    def events(self, pattern: str = "*") -> tuple[EventRecord, ...]:
        """What was registered, the oldest first."""
        with self.database.reading() as session:
            return list_events(session, EventFilter(pattern), None, 1000)[::-1]


@contextmanager
def opened(url: str, **changed: Any) -> Iterator[Site]:
    """`changed`: parts that the test makes itself."""
    with (
        closing(Database(url, connections=THREADS + SPARE_CONNECTIONS)) as database,
        closing(TokenGatekeeper(database)) as gatekeeper,
    ):
        migrate(database)
        with database.writing() as session:
            tokens = {
                scope: create(
                    session, TokenSpec(f"the {scope} one", frozenset({scope})), "test", datetime.now(UTC)
                ).text
                for scope in Scope
            }
        parts = Parts(
            **{
                "database": database,
                "threads": THREADS,
                "gatekeeper": gatekeeper,
                "key_ring": KeyRing([KEY]),
                "permission": Permission(Guard(parse_networks(["127.0.0.0/8"]))),
                **changed,
            }
        )
        yield Site(create_app(parts), parts, tokens)
