"""A workbench for the framework: operations of a noun that exists nowhere else, in a table of its own."""

from __future__ import annotations

import asyncio
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import UUID

import falcon.asgi
import falcon.testing
from pydantic import Field
from sqlalchemy import text

from outbox.database import Database
from outbox.key_ring import KeyRing
from outbox.schema import migrate
from services.api.http.errors import install_errors
from services.api.http.idempotency import Idempotency
from services.api.http.limits import RateLimit
from services.api.http.operation import (
    Acts,
    Call,
    Caller,
    Nothing,
    Operation,
    Reads,
    Received,
    Reply,
    Scope,
    Sent,
    Writes,
)
from services.api.http.problems import ApiError, conflict, not_found
from services.api.http.request_id import RequestIds
from services.api.http.resource import Machinery, Resource
from services.api.http.work import SPARE_CONNECTIONS, Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

KEY = "a-key-for-the-secrets-of-this-test-0123456789"


class Sheep(Received):
    name: str = Field(min_length=1, max_length=10)
    age: int = Field(default=1, ge=0)
    friends: dict[str, int] = Field(default_factory=dict)
    mother: UUID | None = None


class SheepView(Sent):
    name: str
    secret: str = ""


class Flock(Sent):
    sheep: list[str]


class OfSheep(Received):
    sheep_uuid: UUID


class Wanted(Received):
    limit: int = Field(default=10, ge=1, le=100)
    since: datetime | None = None


@dataclass
class Door:
    """Lets in who says the name of a scope, and counts."""

    asked: int = 0

    def admit(self, authorization: str, now: datetime) -> Caller:
        del now
        self.asked += 1
        said = authorization.removeprefix("Bearer ")
        if said not in set(Scope):
            raise ApiError(HTTPStatus.UNAUTHORIZED, "Not you.", headers={"WWW-Authenticate": "Bearer"})
        return Caller(f"the {said} one", frozenset({Scope(said)}))

    def forget(self, token: UUID) -> None:
        """It keeps nothing."""


@dataclass
class Bench:
    database: Database
    door: Door
    client: falcon.testing.TestClient
    machinery: Machinery
    calls: list[Call[Any, Any, Any]] = field(default_factory=list)

    def ask(self, method: str, path: str, who: str = "admin", **rest: Any) -> falcon.testing.Result:
        headers = {**({"Authorization": f"Bearer {who}"} if who else {}), **rest.pop("headers", {})}
        return self.client.simulate_request(method, path, headers=headers, **rest)

    def ask_at_once(self, times: int, method: str, path: str, who: str, **rest: Any) -> list[falcon.testing.Result]:
        async def ask() -> list[falcon.testing.Result]:
            answers: list[falcon.testing.Result] = []
            headers = {"Authorization": f"Bearer {who}", **rest.pop("headers", {})}
            async with falcon.testing.ASGIConductor(self.client.app) as conductor:
                answers += await asyncio.gather(
                    *(conductor.simulate_request(method, path, headers=headers, **rest) for _ in range(times))
                )
            return answers

        return asyncio.run(ask())

    def names(self) -> list[str]:
        with self.database.reading() as session:
            return list(session.scalars(text("SELECT name FROM sheep ORDER BY name")))

    def operations(self) -> list[Operation]:
        get, post = HTTPMethod.GET, HTTPMethod.POST
        sheep, one = "/api/sheep/", "/api/sheep/{sheep_uuid}"
        return [
            Operation(get, sheep, "list_sheep", "All", Scope.READ, Reads(self.list), answer=Flock, query=Wanted),
            Operation(
                post,
                sheep,
                "add_sheep",
                "Add",
                Scope.WRITE,
                Writes(self.add),
                SheepView,
                HTTPStatus.CREATED,
                body=Sheep,
            ),
            Operation(get, one, "show_sheep", "One", Scope.READ, Reads(self.show), SheepView, parameters=OfSheep),
            Operation(post, "/api/sheep/shear", "shear", "Shear", Scope.ADMIN, Acts(self.shear)),
            Operation(
                *(post, "/api/notes", "note", "Small bodies", Scope.WRITE, Writes(self.add), SheepView),
                body=Sheep,
                most_body_bytes=100,
            ),
            Operation(
                *(get, "/api/hay", "hay", "Open inside", Scope.READ, Reads(self.grass), Flock),
                open_inside=True,
            ),
            Operation(get, "/api/grass", "grass", "Open to all", None, Reads(self.grass), answer=Flock),
        ]

    def list(self, session: Session, call: Call[Nothing, Wanted, Nothing]) -> Reply:
        self.calls.append(call)
        return Reply(Flock(sheep=list(session.scalars(text("SELECT name FROM sheep ORDER BY name")))))

    def add(self, session: Session, call: Call[Nothing, Nothing, Sheep]) -> Reply:
        self.calls.append(call)
        session.execute(text("INSERT INTO sheep (name) VALUES (:name)"), {"name": call.body.name})
        if call.body.age > 20:
            raise conflict("Too old.")
        if call.body.age == 13:
            raise RuntimeError("CANARY of a defect")
        return Reply(SheepView(name=call.body.name, secret="shown once"), headers={"Location": "/api/sheep/1"})

    def show(self, session: Session, call: Call[OfSheep, Nothing, Nothing]) -> Reply:
        del session
        self.calls.append(call)
        raise not_found("sheep")

    def shear(self, call: Call[Nothing, Nothing, Nothing]) -> Reply:
        self.calls.append(call)
        return Reply()

    def grass(self, session: Session, call: Call[Nothing, Nothing, Nothing]) -> Reply:
        del session
        self.calls.append(call)
        return Reply(Flock(sheep=[]))


@contextmanager
def bench(url: str, requests_a_minute: int = 10_000) -> Iterator[Bench]:
    with closing(Database(url, connections=4 + SPARE_CONNECTIONS)) as database:
        migrate(database)
        with database.altering() as connection:
            connection.execute(text("CREATE TABLE sheep (name VARCHAR(100) NOT NULL)"))
        door = Door()
        machinery = Machinery(
            work=Work(database, 4),
            gatekeeper=door,
            idempotency=Idempotency(KeyRing([KEY])),
            rate_limit=RateLimit(requests_a_minute),
            most_body_bytes=1000,
            body_seconds=0.3,
        )
        app = falcon.asgi.App(middleware=[RequestIds()])
        app.req_options.strip_url_path_trailing_slash = True
        install_errors(app)
        made = Bench(database, door, falcon.testing.TestClient(app), machinery)
        paths: dict[str, list[Operation]] = {}
        for operation in made.operations():
            paths.setdefault(operation.path.rstrip("/"), []).append(operation)
        for path, operations in paths.items():
            app.add_route(path, Resource(operations, machinery))
        yield made
        machinery.work.close()


def long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(days=2)
