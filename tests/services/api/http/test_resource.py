"""From a request to a call, and from a reply to a response."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from services.api.http.operation import Call, Caller, Scope
from tests.services.api.http.bench import Bench, bench

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARY = "canary-7391"


@pytest.fixture
def made(database_url: str) -> Iterator[Bench]:
    with bench(database_url) as opened:
        yield opened


def problem(result: Any, status: int) -> dict[str, Any]:
    assert result.status_code == status, result.text
    assert result.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = json.loads(result.text)
    assert told["status"] == status
    assert told["request_id"] == result.headers["x-request-id"]
    assert CANARY not in result.text
    return told


def test_a_request_becomes_a_call_and_its_reply_a_response(made: Bench) -> None:
    answer = made.ask("POST", "/api/sheep/", json={"name": "Dolly", "mother": str(uuid4())})
    assert answer.status_code == 201
    assert answer.json == {"name": "Dolly", "secret": "shown once"}
    assert answer.headers["location"] == "/api/sheep/1"
    assert answer.headers["cache-control"] == "no-store"
    call: Call[Any, Any, Any] = made.calls[0]
    assert (call.body.name, call.caller) == ("Dolly", Caller("the admin one", frozenset({Scope.ADMIN})))
    assert made.ask("GET", "/api/sheep").json == {"sheep": ["Dolly"]}, "with and without a slash it is the same path"


def test_nobody_gets_in_without_a_token(made: Bench) -> None:
    told = problem(made.ask("POST", "/api/sheep/", who="", json={"name": "Dolly"}), 401)
    assert "Bearer" in told["detail"]
    refused = made.ask("POST", "/api/sheep/", who=CANARY, json={"name": "Dolly"})
    problem(refused, 401)
    assert refused.headers["www-authenticate"] == "Bearer"
    assert made.names() == []


@pytest.mark.parametrize(
    ("who", "method", "path", "status"),
    [
        ("read", "GET", "/api/sheep/", 200),
        ("read", "POST", "/api/sheep/", 403),
        ("agent", "GET", "/api/sheep/", 403),
        ("agent", "POST", "/api/sheep/", 403),
        ("write", "POST", "/api/sheep/", 201),
        ("write", "POST", "/api/sheep/shear", 403),
        ("admin", "POST", "/api/sheep/shear", 200),
    ],
)
def test_a_scope_implies_the_ones_below_it(made: Bench, who: str, method: str, path: str, status: int) -> None:
    assert made.ask(method, path, who, json={"name": "Dolly"} if method == "POST" else None).status_code == status
    assert made.names() == (["Dolly"] if status == 201 else [])


def test_an_open_operation_asks_nobody(made: Bench) -> None:
    assert made.ask("GET", "/api/grass", who="").status_code == 200
    assert made.door.asked == 0
    assert made.calls[0].caller.scopes == frozenset()


def test_what_is_open_inside_asks_for_a_token_where_a_proxy_passes_requests_on(made: Bench) -> None:
    assert made.ask("GET", "/api/hay", who="").status_code == 200
    outside = {"X-Forwarded-For": "192.0.2.1"}
    problem(made.ask("GET", "/api/hay", who="", headers=outside), 401)
    assert made.ask("GET", "/api/hay", who="read", headers=outside).status_code == 200
    problem(made.ask("GET", "/api/hay", who="guess"), 401)
    problem(made.ask("GET", "/api/hay", who="agent"), 403)


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP"])
def test_a_call_knows_whether_a_proxy_passed_it_on(made: Bench, header: str) -> None:
    made.ask("GET", "/api/grass", who="", headers={header: "for=192.0.2.1"})
    made.ask("GET", "/api/grass", who="")
    assert [call.forwarded for call in made.calls] == [True, False]


def test_all_mistakes_of_a_body_are_told_and_nothing_that_was_sent(made: Bench) -> None:
    body = {
        "name": CANARY * 3,
        "age": CANARY,
        "friends": {CANARY: CANARY, "b": -1},
        "mother": CANARY,
        CANARY: 1,
    }
    told = problem(made.ask("POST", "/api/sheep/", json=body), 400)
    assert {one["where"] for one in told["errors"]} == {
        "body.name",
        "body.age",
        "body.friends.*",
        "body.mother",
        "body.*",
    }
    unknown = next(one for one in told["errors"] if one["where"] == "body.*")
    assert "age, friends, mother, name" in unknown["what"]
    assert made.names() == []


def test_types_are_strict_in_bodies_and_read_from_text_in_queries(made: Bench) -> None:
    problem(made.ask("POST", "/api/sheep/", json={"name": "Dolly", "age": "3"}), 400)
    assert made.ask("GET", "/api/sheep/", params={"limit": "7", "since": "2026-11-22T10:00:00Z"}).status_code == 200
    assert made.calls[-1].query.limit == 7


@pytest.mark.parametrize(
    "query", [f"limit={CANARY}", "limit=0", f"{CANARY}=1", "limit=1&limit=2", "since=yesterday", "limit="]
)
def test_a_query_that_is_not_valid_is_refused(made: Bench, query: str) -> None:
    told = problem(made.ask("GET", "/api/sheep/", query_string=query), 400)
    assert told["errors"][0]["where"].startswith("query.")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b'{"name": "\xff\xfe"}', b"\x00", b"{}" * 3, b"[" * 900]
)
def test_what_is_no_json_object_is_refused(made: Bench, body: bytes) -> None:
    problem(made.ask("POST", "/api/sheep/", body=body, content_type="application/json"), 400)
    assert made.calls == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_only_json_is_taken(made: Bench, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    problem(made.ask("POST", "/api/sheep/", body=b'{"name": "Dolly"}', headers=headers), 415)


def test_a_charset_may_be_named(made: Bench) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert made.ask("POST", "/api/sheep/", body=b'{"name": "Dolly"}', headers=headers).status_code == 201


def test_a_body_that_is_too_large_is_not_read_to_its_end(made: Bench) -> None:
    large = json.dumps({"name": "x" * 2000}).encode()
    json_type = {"Content-Type": "application/json"}
    problem(made.ask("POST", "/api/sheep/", body=large, headers=json_type), 413)
    problem(made.ask("POST", "/api/sheep/", body=large, headers={**json_type, "Content-Length": "1"}), 413)


def test_an_operation_may_take_less(made: Bench) -> None:
    assert made.ask("POST", "/api/notes", json={"name": "Dolly"}).status_code == 200
    problem(made.ask("POST", "/api/notes", json={"name": "Dolly", "friends": {"x" * 100: 1}}), 413)


def test_a_body_that_does_not_arrive_is_not_awaited(made: Bench) -> None:
    async def ask() -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []
        headers = [
            (b"authorization", b"Bearer write"),
            (b"content-type", b"application/json"),
            (b"content-length", b"9"),
        ]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.1"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/api/sheep/",
            "query_string": b"",
            "headers": headers,
        }
        first = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if first.is_set():
                await asyncio.sleep(60)
            first.set()
            return {"type": "http.request", "body": b'{"na', "more_body": True}

        async def send(event: dict[str, Any]) -> None:
            sent.append(event)

        await made.client.app(scope, receive, send)  # type: ignore[arg-type, call-arg, misc]
        return sent

    sent = asyncio.run(ask())
    assert sent[0]["status"] == 408


@pytest.mark.parametrize("name", ["not-a-uuid", CANARY, "1", "%00"])
def test_a_path_that_names_nothing_possible_is_404(made: Bench, name: str) -> None:
    problem(made.ask("GET", f"/api/sheep/{name}"), 404)
    assert made.calls == []


def test_unknown_paths_and_methods_are_problems_too(made: Bench) -> None:
    problem(made.ask("GET", f"/api/{CANARY}"), 404)
    assert problem(made.ask("DELETE", "/api/sheep/"), 405)["title"] == "Method Not Allowed"
    assert made.ask("DELETE", "/api/sheep/").headers["allow"] == "GET, POST, OPTIONS"


def test_what_is_raised_undoes_what_was_written(made: Bench) -> None:
    assert problem(made.ask("POST", "/api/sheep/", json={"name": "Dolly", "age": 21}), 409)["detail"] == "Too old."
    assert made.names() == []


def test_a_defect_is_told_to_the_log_alone(made: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = made.ask("POST", "/api/sheep/", json={"name": "Dolly", "age": 13})
    told = problem(answer, 500)
    assert "CANARY" not in answer.text
    assert caplog.records[0].exc_info
    assert caplog.records[0].__dict__["request_id"] == told["request_id"]
    assert made.names() == []


def test_who_polls_is_sent_a_body_only_when_it_changed(made: Bench) -> None:
    first = made.ask("GET", "/api/sheep/")
    etag = first.headers["etag"]
    again = made.ask("GET", "/api/sheep/", headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    made.ask("POST", "/api/sheep/", json={"name": "Dolly"})
    changed = made.ask("GET", "/api/sheep/", headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


def test_a_request_keeps_the_name_its_caller_gave_it_if_it_is_usable(made: Bench) -> None:
    assert made.ask("GET", "/api/grass", headers={"X-Request-Id": "build-42"}).headers["x-request-id"] == "build-42"
    for unusable in ("a b", "x" * 200, "<script>"):
        given = made.ask("GET", "/api/grass", headers={"X-Request-Id": unusable}).headers["x-request-id"]
        assert len(given) == 36


def test_other_origins_are_told_nothing(made: Bench) -> None:
    answer = made.ask("GET", "/api/grass", headers={"Origin": "https://elsewhere.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_a_caller_who_asks_too_often_waits(database_url: str) -> None:
    with bench(database_url, requests_a_minute=5) as made:
        results = [made.ask("GET", "/api/sheep/", who="read") for _ in range(8)]
        assert [one.status_code for one in results].count(200) == 5
        assert problem(results[-1], 429)
        assert 1 <= int(results[-1].headers["retry-after"]) <= 60
        assert made.ask("GET", "/api/sheep/", who="write").status_code == 200, "somebody else is served"
        assert made.ask("GET", "/api/grass", who="").status_code == 200


def test_who_guesses_tokens_is_slowed_down_and_nobody_else(database_url: str) -> None:
    with bench(database_url, requests_a_minute=5) as made:
        guesses = [made.ask("GET", "/api/sheep/", who=f"guess-{number}").status_code for number in range(8)]
        assert guesses == [401] * 5 + [429] * 3
        assert made.ask("GET", "/api/sheep/", who="read").status_code == 200
