"""What holds of every operation, whatever it does: who may call it, what it refuses, what it registers, and that a
refused or broken request leaves nothing behind.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import pytest

from services.api.access.tokens import TokenSpec, create, revoke
from services.api.http.operation import NOBODY, Caller, Nothing, Scope, Writes
from services.api.http.resource import MOST_BODY_BYTES
from tests.postgresql import fresh_database
from tests.services.api.catalogue import (
    EVERY,
    ONCE,
    OPEN,
    STREAMS,
    WITH_BODY,
    answer_mistakes,
    body_schema,
    described,
    validator,
)
from tests.services.api.contents import commits_refused, contents
from tests.services.api.examples import EXAMPLES, Params, World
from tests.services.api.site import Site, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    import falcon.testing

    from outbox.database import Database

CANARY = "canary7f3a"
"""Sent wherever something can be sent; never to be seen again."""
UNLIMITED = 10**9

ANYBODYS = {name for name, operation in EVERY.items() if operation.is_open or operation.open_inside}
PROTECTED = sorted(EVERY.keys() - ANYBODYS)
TRANSACTIONS = sorted(name for name, operation in EVERY.items() if isinstance(operation.does, Writes))
NAMED = sorted(name for name, operation in EVERY.items() if "_uuid}" in operation.path or "{uuid}" in operation.path)
OF_THE_MOMENT = {"get_metrics", "list_queues"}
"""They tell of the very moment of the request: the next answer is another one."""
ANSWERING = sorted(EVERY.keys() - STREAMS)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests of this module: what each makes is new, and what it must not change is compared."""
    if request.param == "sqlite":
        with opened(f"sqlite:///{tmp_path_factory.mktemp('every') / 'api.db'}", requests_a_minute=UNLIMITED) as made:
            yield made
        return
    server = request.getfixturevalue("postgresql_server")
    with fresh_database(server, f"every_{uuid4().hex}") as url, opened(url, requests_a_minute=UNLIMITED) as made:
        yield made


_KEPT: WeakKeyDictionary[Database, dict[str, Params]] = WeakKeyDictionary()


def request_of(name: str, site: Site) -> dict[str, Any]:
    """A valid one, of things that are there for it: made once, since what is refused changes nothing."""
    kept = _KEPT.setdefault(site.database, {})
    if name not in kept:
        kept[name] = EXAMPLES[name].given(World(site))
    return EXAMPLES[name].request(EVERY[name], kept[name])


def new_request_of(name: str, site: Site) -> dict[str, Any]:
    """A valid one, of things that nobody else uses."""
    return EXAMPLES[name].request(EVERY[name], EXAMPLES[name].given(World(site)))


@contextmanager
def nothing_written(site: Site) -> Iterator[None]:
    before = contents(site.database)
    yield
    assert contents(site.database) == before


def assert_problem(answer: falcon.testing.Result, status: int) -> None:
    """One well-formed problem document, which repeats nothing that was sent."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem = answer.json
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    assert CANARY not in answer.text.replace("\\", "").lower()


def test_every_operation_has_an_example() -> None:
    assert EXAMPLES.keys() == EVERY.keys()


def test_only_these_are_open() -> None:
    assert ANYBODYS <= OPEN


# Who may call it


@pytest.mark.parametrize("name", PROTECTED)
def test_without_a_token_nothing_is_told_and_nothing_is_done(name: str, site: Site) -> None:
    request = request_of(name, site)
    with nothing_written(site):
        answer = site.ask(**request, scope=None)
    assert_problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


def is_too_weak(name: str, scope: Scope) -> bool:
    needed = EVERY[name].scope
    return needed is not None and not Caller("", frozenset({scope})).may(needed)


@pytest.mark.parametrize("name", [name for name in PROTECTED if any(is_too_weak(name, scope) for scope in Scope)])
def test_a_weak_token_is_refused(name: str, site: Site) -> None:
    request = request_of(name, site)
    with nothing_written(site):
        for scope in Scope:
            if is_too_weak(name, scope):
                assert_problem(site.ask(**request, scope=scope), 403)


@pytest.fixture(scope="module")
def useless_tokens(site: Site) -> dict[str, str]:
    """Headers of tokens that once were, or never were, those of an admin."""
    now = datetime.now(UTC)
    admin = frozenset({Scope.ADMIN})
    with site.database.writing() as session:
        expired = create(
            session, TokenSpec("expired", admin, now - timedelta(minutes=1)), "test", now - timedelta(days=1)
        )
        revoked = create(session, TokenSpec("revoked", admin), "test", now)
        revoke(session, revoked.view.uuid, now)
    return {
        "expired": f"Bearer {expired.text}",
        "revoked": f"Bearer {revoked.text}",
        "unknown": "Bearer orc_" + "A" * 50,
        "malformed": "Bearer é\x7f",
        "short": "Bearer x",
        "empty": "Bearer ",
        "basic": "Basic YWRtaW46YWRtaW4=",
        "bare": site.tokens[Scope.ADMIN],
        "cut": f"Bearer {site.tokens[Scope.ADMIN][:-1]}",
        "huge": "Bearer orc_" + "A" * 5000,
    }


KINDS = ("expired", "revoked", "unknown", "malformed", "short", "empty", "basic", "bare", "cut", "huge")


@pytest.mark.parametrize("kind", KINDS)
def test_a_useless_token_opens_nothing(kind: str, site: Site, useless_tokens: dict[str, str]) -> None:
    requests = [request_of(name, site) for name in PROTECTED]
    with nothing_written(site):
        for request in requests:
            answer = site.ask(**request, scope=None, headers={"Authorization": useless_tokens[kind]})
            assert_problem(answer, 401)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert useless_tokens[kind].removeprefix("Bearer ") not in answer.text or kind in {"empty", "short"}


# What it refuses


def refused(site: Site, request: dict[str, Any], status: int) -> falcon.testing.Result:
    answer = site.ask(**request)
    assert_problem(answer, status)
    return answer


@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_query_parameter_that_is_unknown_or_given_twice_or_of_a_wrong_type_is_refused(name: str, site: Site) -> None:
    request = request_of(name, site)
    known = [one for one in described(EVERY[name]).get("parameters", []) if one.get("in") == "query"]
    with nothing_written(site):
        answer = refused(site, request | {"params": {**request["params"], CANARY: CANARY}}, 400)
        assert [mistake["where"] for mistake in answer.json["errors"]] == ["query.*"]
        for parameter in known:
            field = parameter["name"]
            twice = {**request["params"], field: [CANARY, CANARY]}
            answer = refused(site, request | {"params": twice, "params_csv": False}, 400)
            assert f"query.{field}" in {mistake["where"] for mistake in answer.json["errors"]}
            if not validator(parameter["schema"]).is_valid(CANARY):
                answer = refused(site, request | {"params": {**request["params"], field: CANARY}}, 400)
                assert answer.json["errors"][0]["where"].startswith(f"query.{field}")


def with_body(request: dict[str, Any], body: bytes, content_type: str = "application/json") -> dict[str, Any]:
    rest = {key: value for key, value in request.items() if key != "json"}
    return {**rest, "body": body, "headers": {"Content-Type": content_type}}


def valid_body(request: dict[str, Any]) -> bytes:
    return json.dumps(request["json"]).encode()


NO_JSON_OBJECTS = {
    "empty": b"",
    "open": b"{",
    "cut": b'{"canary7f3a": ',
    "a list": b"[]",
    "null": b"null",
    "a text": b'"canary7f3a"',
    "not UTF-8": b'{"canary7f3a\xff": 1}',
    "UTF-16": b"\xff\xfe{\x00}\x00",
    "a deep list": b"[" * 2500,
    "a deep object": b'{"a":' * 2500,
}


@pytest.mark.parametrize("name", sorted(WITH_BODY))
def test_a_body_that_is_no_json_object_or_not_called_json_or_too_large_is_refused(name: str, site: Site) -> None:
    request = request_of(name, site)
    with nothing_written(site):
        for body in NO_JSON_OBJECTS.values():
            refused(site, with_body(request, body), 400)
        for content_type in ("", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", CANARY):
            refused(site, with_body(request, valid_body(request), content_type), 415)
        most = EVERY[name].most_body_bytes or MOST_BODY_BYTES
        refused(site, with_body(request, valid_body(request).ljust(most + 1)), 413)


@pytest.mark.parametrize("name", sorted(WITH_BODY))
def test_an_unknown_field_is_refused(name: str, site: Site) -> None:
    request = request_of(name, site)
    with nothing_written(site):
        answer = refused(site, request | {"json": {**request["json"], CANARY: CANARY}}, 400)
    assert [mistake["where"] for mistake in answer.json["errors"]] == ["body.*"]


WRONG: tuple[Any, ...] = (CANARY, [CANARY], {CANARY: [CANARY]}, [[CANARY]], 1.5, -1, True, None, "\x00", CANARY * 1400)


@pytest.mark.parametrize("name", sorted(WITH_BODY))
def test_a_field_of_a_wrong_type_is_refused_by_its_name(name: str, site: Site) -> None:
    request = request_of(name, site)
    with nothing_written(site):
        for field, schema in body_schema(EVERY[name]).get("properties", {}).items():
            accepts = validator(schema)
            wrong = [value for value in WRONG if not accepts.is_valid(value)]
            assert wrong, f"{field} takes anything"
            for value in wrong:
                answer = refused(site, request | {"json": {**request["json"], field: value}}, 400)
                places = [mistake["where"] for mistake in answer.json["errors"]]
                assert places
                assert all(place.split(".")[:2] == ["body", field] for place in places), places


@pytest.mark.parametrize("name", sorted(WITH_BODY))
def test_a_field_that_is_missing_is_named(name: str, site: Site) -> None:
    request = request_of(name, site)
    with nothing_written(site):
        for field in body_schema(EVERY[name]).get("required", []):
            rest = {key: value for key, value in request["json"].items() if key != field}
            answer = refused(site, request | {"json": rest}, 400)
            assert answer.json["errors"][0]["where"] == f"body.{field}"


@pytest.mark.parametrize("name", NAMED)
def test_what_an_unknown_or_malformed_uuid_names_does_not_exist(name: str, site: Site) -> None:
    example, operation = EXAMPLES[name], EVERY[name]
    request_of(name, site)
    params = _KEPT[site.database][name]
    uuids = [key for key in operation.parameters.model_fields if key == "uuid" or key.endswith("_uuid")]
    with nothing_written(site):
        for key in uuids:
            for other in (str(uuid4()), CANARY, "0", "%00", f"{params[key]}{CANARY}", "é"):
                request = example.request(operation, params) | {"path": operation.path.format(**{**params, key: other})}
                answer = refused(site, request, 404)
                assert other not in answer.text or other == "0"


# What it does


@pytest.mark.parametrize("name", ANSWERING)
def test_a_valid_request_is_answered_as_documented_and_registers_its_events(name: str, site: Site) -> None:
    operation, example = EVERY[name], EXAMPLES[name]
    request = new_request_of(name, site)
    before = {event.uuid for event in site.events()}
    answer = site.ask(**request)
    assert answer.status_code == (example.status or operation.status), answer.text
    is_json = answer.headers.get("content-type", "").endswith("json")
    assert answer_mistakes(operation, answer.status_code, answer.json if is_json else answer.text or None) == []
    assert tuple(event.type for event in site.events() if event.uuid not in before) == example.events


@pytest.mark.parametrize("name", sorted(name for name in TRANSACTIONS if EXAMPLES[name].events))
def test_an_event_is_absent_when_its_request_rolled_back(name: str, site: Site) -> None:
    request = new_request_of(name, site)
    with nothing_written(site):
        with commits_refused(site.database):
            answer = site.ask(**request)
        assert answer.status_code in {500, 503}
        assert_problem(answer, answer.status_code)
    repeated = site.ask(**request)
    assert repeated.status_code == EVERY[name].status, repeated.text


@pytest.mark.parametrize("name", sorted(name for name in ANSWERING if EVERY[name].method == "GET"))
def test_what_is_read_changes_nothing(name: str, site: Site) -> None:
    request = new_request_of(name, site)
    with nothing_written(site):
        site.ask(**request)


@pytest.mark.parametrize("name", sorted(name for name in ANSWERING if EVERY[name].method == "GET"))
def test_what_is_polled_has_a_tag_and_is_not_sent_twice(name: str, site: Site) -> None:
    if name in OF_THE_MOMENT or EXAMPLES[name].status is not None:
        return
    request = new_request_of(name, site)
    first = site.ask(**request)
    again = site.ask(**request, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


# Once


@pytest.mark.parametrize("name", sorted(ONCE))
def test_a_post_with_a_key_is_done_once(name: str, site: Site) -> None:
    request = new_request_of(name, site)
    headers = {"Idempotency-Key": uuid4().hex}
    first = site.ask(**request, headers=headers)
    with nothing_written(site):
        second = site.ask(**request, headers=headers)
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("name", sorted(ONCE))
def test_a_key_that_was_used_for_another_request_is_refused(name: str, site: Site) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    first = site.ask("POST", "/api/projects/", json={"name": "another request"}, headers=headers)
    assert first.status_code == 201
    request = request_of(name, site)
    with nothing_written(site):
        refused(site, request | {"headers": headers}, 422)


def test_a_key_does_not_take_another_body(site: Site) -> None:
    headers = {"Idempotency-Key": CANARY}
    assert site.ask("POST", "/api/projects/", json={"name": "one"}, headers=headers).status_code == 201
    request = {"method": "POST", "path": "/api/projects/", "json": {"name": "two"}, "headers": headers}
    with nothing_written(site):
        refused(site, request, 422)


def test_a_key_belongs_to_its_caller(site: Site) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    answers = [
        site.ask("POST", "/api/projects/", json={"name": "one"}, headers=headers, scope=scope)
        for scope in (Scope.ADMIN, Scope.WRITE)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json["uuid"] != answers[1].json["uuid"]


@pytest.mark.parametrize("name", sorted(ONCE))
def test_a_key_that_is_none_is_refused(name: str, site: Site) -> None:
    request = request_of(name, site)
    with nothing_written(site):
        for key in ("", "é", "x" * 256, "a\tb"):
            answer = refused(site, request | {"headers": {"Idempotency-Key": key}}, 400)
            assert answer.json["errors"][0]["where"] == "headers.Idempotency-Key"


@pytest.mark.parametrize("name", sorted(ONCE))
def test_ten_at_once_with_one_key_are_done_once(name: str, site: Site) -> None:
    request = new_request_of(name, site)
    before = len(site.events())
    rest = {key: value for key, value in request.items() if key not in {"method", "path"}}
    headers = {"Idempotency-Key": uuid4().hex}
    one = (request["method"], request["path"], {**rest, "headers": headers})
    answers = site.ask_at_once([one] * 10)
    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert len(site.events()) - before == len(EXAMPLES[name].events)


def test_nobody_may_nothing() -> None:
    assert not any(NOBODY.may(scope) for scope in Scope)
    assert all(operation.parameters is not Nothing or "{" not in operation.path for operation in EVERY.values())
