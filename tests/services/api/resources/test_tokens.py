"""`/api/tokens` over HTTP, and that a token is nowhere but in the answer that made it."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import MetaData, select

from services.api.access.token_text import is_token_text
from services.api.access.tokens import DEFAULT_LIFETIME, tokens
from services.api.http.operation import Scope

if TYPE_CHECKING:
    from outbox.database import Database
    from tests.services.api.site import Site


def create(site: Site, **body: Any) -> dict[str, Any]:
    answer = site.ask("POST", "/api/tokens", json={"name": "ci", "scopes": ["read"], **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json
    return made


def with_token(site: Site, text: str, path: str = "/api/tokens") -> int:
    return site.ask("GET", path, scope=None, headers={"Authorization": f"Bearer {text}"}).status_code


def everything(database: Database) -> str:
    """Every value of every row."""
    metadata = MetaData()
    with database.reading() as session:
        metadata.reflect(session.connection())
        return repr([session.execute(select(table)).all() for table in metadata.sorted_tables])


def test_a_token_is_told_once_and_opens_what_it_says(site: Site) -> None:
    answer = site.ask("POST", "/api/tokens", json={"name": "ci", "scopes": ["admin"]})
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    made = answer.json
    assert is_token_text(made["token"])
    assert answer.headers["Location"] == f"/api/tokens/{made['uuid']}"
    assert made["created_by"] == "the admin one"
    assert with_token(site, made["token"]) == 200
    shown = site.ask("GET", f"/api/tokens/{made['uuid']}").json
    assert shown.keys() == made.keys() - {"token"}


def test_without_an_expiry_it_is_a_year_and_null_is_never(site: Site) -> None:
    begun = datetime.now(UTC)
    year = datetime.fromisoformat(create(site)["expires_at"])
    assert begun + DEFAULT_LIFETIME <= year <= datetime.now(UTC) + DEFAULT_LIFETIME
    assert create(site, name="always", expires_at=None)["expires_at"] is None
    assert create(site, name="dated", expires_at="2030-01-01T00:00:00+01:00")["expires_at"] == "2029-12-31T23:00:00Z"


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": "system:canary"},
        {"name": 7},
        {"scopes": []},
        {"scopes": ["canary"]},
        {"scopes": "read"},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2030-01-01T00:00:00"},
        {"expires_at": "2130-01-01T00:00:00Z"},
        {"expires_at": "9999-12-31T23:59:59-23:59"},
        {"expires_at": "0001-01-01T00:00:00+23:59"},
        {"expires_at": 9e99},
        {"canary": 1},
    ],
    ids=str,
)
def test_a_bad_request_makes_none_and_is_not_repeated(site: Site, wrong: dict[str, Any]) -> None:
    answer = site.ask("POST", "/api/tokens", json={"name": "ci", "scopes": ["read"], **wrong})
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    if "canary" not in wrong:
        assert "canary" not in answer.text
    with site.database.reading() as session:
        assert len(tokens(session)) == len(Scope)


def test_a_name_that_is_taken_is_a_conflict(site: Site) -> None:
    create(site)
    assert site.ask("POST", "/api/tokens", json={"name": "ci", "scopes": ["read"]}).status_code == 409


def test_only_an_admin_makes_tokens_and_for_whomever_he_likes(site: Site) -> None:
    for scope in (Scope.READ, Scope.WRITE, Scope.AGENT):
        body = {"name": "ci", "scopes": [scope]}
        assert site.ask("POST", "/api/tokens", scope=scope, json=body).status_code == 403
    with site.database.reading() as session:
        assert len(tokens(session)) == len(Scope)
    assert create(site, scopes=["agent"])["scopes"] == ["agent"]


def test_a_revoked_token_opens_nothing_from_then_on(site: Site) -> None:
    made = create(site, scopes=["admin"])
    assert with_token(site, made["token"]) == 200
    answer = site.ask("DELETE", f"/api/tokens/{made['uuid']}")
    assert answer.status_code == 200
    assert answer.json["revoked_at"] is not None
    assert with_token(site, made["token"]) == 401
    assert site.ask("DELETE", f"/api/tokens/{made['uuid']}").json == answer.json


def test_a_token_may_revoke_itself(site: Site) -> None:
    made = create(site, scopes=["admin"])
    header = {"Authorization": f"Bearer {made['token']}"}
    assert site.ask("DELETE", f"/api/tokens/{made['uuid']}", scope=None, headers=header).status_code == 200
    assert with_token(site, made["token"]) == 401


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("uuid", ["01a20000-0000-7000-8000-000000000001", "canary"])
def test_an_unknown_token_is_not_found(site: Site, method: str, uuid: str) -> None:
    answer = site.ask(method, f"/api/tokens/{uuid}")
    assert answer.status_code == 404
    assert uuid not in answer.text


def test_the_list_has_pages_and_begins_with_the_newest(site: Site) -> None:
    create(site)
    first = site.ask("GET", "/api/tokens", params={"limit": 3}).json
    assert [one["name"] for one in first["tokens"]] == ["ci", "the agent one", "the admin one"]
    rest = site.ask("GET", "/api/tokens", params={"limit": 3, "cursor": first["next_cursor"]}).json
    assert [one["name"] for one in rest["tokens"]] == ["the write one", "the read one"]
    assert rest["next_cursor"] is None


def test_who_may_call_is_nobodys_news(site: Site) -> None:
    site.ask("DELETE", f"/api/tokens/{create(site)['uuid']}")
    assert site.events() == ()


def test_the_same_request_twice_makes_one_token_and_tells_it_twice(site: Site) -> None:
    key = {"Idempotency-Key": "once"}
    body = {"name": "ci", "scopes": ["read"]}
    first, second = (site.ask("POST", "/api/tokens", json=body, headers=key) for _ in range(2))
    assert first.json == second.json
    assert is_token_text(first.json["token"])


def test_a_token_is_nowhere_but_in_the_answer_that_made_it(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        made = create(site, scopes=["read", "admin"], expires_at=None)
        kept = site.ask(
            "POST", "/api/tokens", json={"name": "kept", "scopes": ["admin"]}, headers={"Idempotency-Key": "k"}
        ).json
        said = []
        for text in (made["token"], kept["token"]):
            for path in ("/api/tokens", f"/api/tokens/{made['uuid']}", "/api/tokens/none", "/api/nowhere"):
                answer = site.ask("GET", path, scope=None, headers={"Authorization": f"Bearer {text}"})
                said.append(answer.text + json.dumps(dict(answer.headers)))
            said.append(site.ask("DELETE", "/api/tokens/" + text).text)
            said.append(site.ask("POST", "/api/tokens", json={"name": text, "scopes": [text]}).text)
            said.append(site.ask("GET", "/api/tokens", params={"cursor": text}).text)
            said.append(site.ask("GET", "/api/tokens", scope=None, headers={"Authorization": f"Bearer {text}x"}).text)
    site.parts.gatekeeper.forget(uuid4())
    written = everything(site.database) + caplog.text + "".join(said)
    if site.database.is_sqlite:
        folder = site.database.file.parent
        written += "".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())
    assert "the admin one" in written
    for text in (made["token"], kept["token"], *site.tokens.values()):
        assert text not in written
        assert text[4:47] not in written
