"""The document by itself: a few operations of each kind in, OpenAPI out."""

from __future__ import annotations

from datetime import datetime
from http import HTTPMethod, HTTPStatus
from typing import Any, Literal
from uuid import UUID

import orjson
import pytest
from pydantic import Field

from services.api.http.openapi import Json, document, document_bytes, problems_of
from services.api.http.operation import (
    Acts,
    AnyCall,
    Operation,
    Reads,
    Received,
    Reply,
    Scope,
    Sent,
    Writes,
)
from tests.services.api.http.standard import mistakes_of


class ShelfPath(Received):
    uuid: UUID


class ShelfQuery(Received):
    cursor: UUID | None = Field(default=None, description="Where the page begins")
    kind: Literal["wood", "steel"] = "wood"


class ShelfCreation(Received):
    name: str = Field(min_length=1, max_length=20)


class Board(Sent):
    length: float


class Shelf(Sent):
    uuid: UUID
    boards: tuple[Board, ...]
    built: datetime | None


def nothing(*_: Any) -> Reply:
    return Reply()


def acts(call: AnyCall) -> Reply:
    del call
    return Reply()


READ = Operation(
    HTTPMethod.GET,
    "/api/shelves/",
    "list_shelves",
    "All shelves",
    Scope.READ,
    Reads(nothing),
    answer=list[Shelf],
    query=ShelfQuery,
    tag="shelves",
)
WRITE = Operation(
    HTTPMethod.POST,
    "/api/shelves/",
    "create_shelf",
    "Build a shelf",
    Scope.WRITE,
    Writes(nothing),
    answer=Shelf,
    status=HTTPStatus.CREATED,
    body=ShelfCreation,
    problems=(HTTPStatus.CONFLICT,),
    tag="shelves",
)
ACT = Operation(
    HTTPMethod.POST,
    "/api/shelves/{uuid}/move",
    "move_shelf",
    "Move a shelf",
    Scope.ADMIN,
    Acts(acts),
    status=HTTPStatus.ACCEPTED,
    parameters=ShelfPath,
    tag="shelves",
)
OPEN = Operation(
    HTTPMethod.GET,
    "/shelves.txt",
    "print_shelves",
    "Shelves as text",
    None,
    Acts(acts),
    tag="printing",
    media_type="text/plain; charset=utf-8",
)
ALL = (READ, WRITE, ACT, OPEN)
TAGS = {"unused": "Nothing.", "printing": "On paper.", "shelves": "What stands there."}


@pytest.fixture(scope="module")
def described() -> Json:
    return orjson.loads(document_bytes(document(ALL, "2026.11.0", TAGS)))  # type: ignore[no-any-return]


def test_it_keeps_to_openapi(described: Json) -> None:
    assert mistakes_of(described) == []


def test_a_document_that_does_not_keep_to_openapi_is_found_out(described: Json) -> None:
    broken = orjson.loads(orjson.dumps(described))
    del broken["paths"]["/api/shelves/"]["get"]["parameters"][0]["schema"]
    assert mistakes_of(broken) != []


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (READ, (400, 401, 403, 429, 503)),
        (WRITE, (400, 401, 403, 408, 409, 413, 415, 422, 429, 503)),
        (ACT, (400, 401, 403, 404, 429, 503)),
        (OPEN, (400, 429, 503)),
    ],
    ids=lambda value: value.id if isinstance(value, Operation) else "",
)
def test_the_problems_follow_from_what_goes_in(operation: Operation, expected: tuple[int, ...]) -> None:
    assert problems_of(operation) == expected


def test_every_operation_lists_its_own_status_and_its_problems(described: Json) -> None:
    assert list(described["paths"]["/api/shelves/"]["post"]["responses"]) == [
        "201", "400", "401", "403", "408", "409", "413", "415", "422", "429", "503",
    ]  # fmt: skip


def test_what_is_read_may_be_unchanged(described: Json) -> None:
    responses = described["paths"]["/api/shelves/"]["get"]["responses"]
    assert "304" in responses
    assert "ETag" in responses["200"]["headers"]
    assert "304" not in described["paths"]["/api/shelves/"]["post"]["responses"]


def test_long_work_says_where_to_look(described: Json) -> None:
    assert "Location" in described["paths"]["/api/shelves/{uuid}/move"]["post"]["responses"]["202"]["headers"]


def test_a_problem_is_a_problem_document(described: Json) -> None:
    conflict = described["components"]["responses"]["Conflict"]
    assert conflict["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert "errors" in described["components"]["schemas"]["Problem"]["properties"]


def test_only_a_post_in_a_transaction_takes_an_idempotency_key(described: Json) -> None:
    key = {"$ref": "#/components/parameters/IdempotencyKey"}
    assert key in described["paths"]["/api/shelves/"]["post"]["parameters"]
    assert key not in described["paths"]["/api/shelves/{uuid}/move"]["post"]["parameters"]
    assert key not in described["paths"]["/api/shelves/"]["get"]["parameters"]


def test_parameters_come_from_the_models_and_are_never_null(described: Json) -> None:
    assert described["paths"]["/api/shelves/"]["get"]["parameters"] == [
        {
            "name": "cursor",
            "in": "query",
            "required": False,
            "description": "Where the page begins",
            "schema": {"type": "string", "format": "uuid"},
        },
        {
            "name": "kind",
            "in": "query",
            "required": False,
            "schema": {"default": "wood", "enum": ["wood", "steel"], "type": "string"},
        },
    ]
    (uuid,) = described["paths"]["/api/shelves/{uuid}/move"]["post"]["parameters"]
    assert (uuid["in"], uuid["required"], uuid["schema"]["format"]) == ("path", True, "uuid")


def test_who_may_call_it_is_said_in_three_ways(described: Json) -> None:
    move = described["paths"]["/api/shelves/{uuid}/move"]["post"]
    assert move["security"] == [{"token": ["admin"]}]
    assert move["x-orchest-scope"] == "admin"
    assert "`admin`" in move["description"]
    opened = described["paths"]["/shelves.txt"]["get"]
    assert (opened["security"], opened["x-orchest-scope"]) == ([], None)


def test_what_is_not_json_is_text(described: Json) -> None:
    content = described["paths"]["/shelves.txt"]["get"]["responses"]["200"]["content"]
    assert content == {"text/plain; charset=utf-8": {"schema": {"type": "string"}}}


def test_only_types_that_somebody_needs_are_in_it(described: Json) -> None:
    assert sorted(described["components"]["schemas"]) == ["Board", "Mistake", "Problem", "Shelf", "ShelfCreation"]


def test_sections_come_in_the_order_of_the_tags_and_only_if_used(described: Json) -> None:
    assert [tag["name"] for tag in described["tags"]] == ["printing", "shelves"]


def test_the_same_operations_make_the_same_bytes() -> None:
    first, second = (document_bytes(document(ALL, "2026.11.0", TAGS)) for _ in range(2))
    assert first == second


def test_the_server_is_wherever_the_document_was_read(described: Json) -> None:
    (server,) = described["servers"]
    assert server["url"] == ".."
