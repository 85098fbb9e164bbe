"""Who is let in, and who is not, with real tokens in a real database."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text

from outbox.database import Database
from outbox.errors import DatabaseError
from outbox.schema import migrate
from services.api.access import gatekeeper as module
from services.api.access.gatekeeper import KNOWN_FOR, TokenGatekeeper
from services.api.access.token_text import token_text
from services.api.access.tokens import NewToken, TokenSpec, create, revoke, show
from services.api.http.operation import Scope
from services.api.http.problems import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
STRANGER = token_text(b"x" * 32)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as opened:
        migrate(opened)
        yield opened


@pytest.fixture
def gatekeeper(database: Database) -> Iterator[TokenGatekeeper]:
    with closing(TokenGatekeeper(database)) as made:
        yield made


def new_token(database: Database, name: str = "ci", expires_at: datetime | None = None) -> NewToken:
    with database.writing() as session:
        return create(session, TokenSpec(name, frozenset({Scope.WRITE}), expires_at), "the test", NOW)


def revoke_token(database: Database, uuid: UUID) -> None:
    with database.writing() as session:
        revoke(session, uuid, NOW)


def bearer(token: NewToken) -> str:
    return f"Bearer {token.text}"


def refused(gatekeeper: TokenGatekeeper, authorization: str, now: datetime = NOW) -> ApiError:
    with pytest.raises(ApiError) as error:
        gatekeeper.admit(authorization, now)
    assert error.value.status == 401
    return error.value


class Queries:
    """How often the tokens were looked up."""

    def __init__(self, database: Database) -> None:
        self.count = 0
        event.listen(database.engine, "before_cursor_execute", self._seen)

    def _seen(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self.count += statement.startswith("SELECT access_tokens")


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
def test_a_token_opens_what_its_scopes_say(database: Database, gatekeeper: TokenGatekeeper, scheme: str) -> None:
    token = new_token(database)
    caller = gatekeeper.admit(scheme + token.text, NOW)
    assert caller.name == "ci"
    assert caller.scopes == {Scope.WRITE}
    assert caller.token == token.view.uuid


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic b3JjOg==", STRANGER, f"Token {STRANGER}"])
def test_who_shows_no_token_is_told_how(gatekeeper: TokenGatekeeper, header: str) -> None:
    error = refused(gatekeeper, header)
    assert error.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "sent",
    ["secret", "orc_x", STRANGER[:-1], STRANGER + "A", "orc_" + "A" * 49, "ä", "x" * 100_000, "eyJh.eyJi.c2ln", "a b"],
    ids=lambda sent: sent[:20],
)
def test_what_is_no_token_is_refused_without_a_look_up(
    database: Database, gatekeeper: TokenGatekeeper, sent: str
) -> None:
    queries = Queries(database)
    error = refused(gatekeeper, f"Bearer {sent}")
    assert error.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert sent not in error.detail
    assert queries.count == 0


def test_nobody_learns_whether_a_token_is_unknown_expired_or_revoked(
    database: Database, gatekeeper: TokenGatekeeper
) -> None:
    expired, revoked = new_token(database, "expired", NOW + SECOND), new_token(database, "revoked")
    revoke_token(database, revoked.view.uuid)
    told = [
        refused(gatekeeper, header, NOW + SECOND) for header in (f"Bearer {STRANGER}", bearer(expired), bearer(revoked))
    ]
    assert len({(error.detail, tuple(error.headers.items())) for error in told}) == 1
    assert told[0].headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_a_token_ends_at_the_moment_it_expires_also_while_it_is_remembered(
    database: Database, gatekeeper: TokenGatekeeper
) -> None:
    token = new_token(database, expires_at=NOW + SECOND)
    assert gatekeeper.admit(bearer(token), NOW + SECOND * 0.9)
    refused(gatekeeper, bearer(token), NOW + SECOND)


def test_a_busy_caller_is_looked_up_once_a_second(database: Database, gatekeeper: TokenGatekeeper) -> None:
    token = new_token(database)
    queries = Queries(database)
    for tenth in range(30):
        gatekeeper.admit(bearer(token), NOW + SECOND * tenth / 10)
    assert queries.count == 3


def test_a_clock_that_is_set_back_does_not_make_a_token_immortal(
    database: Database, gatekeeper: TokenGatekeeper
) -> None:
    token = new_token(database)
    gatekeeper.admit(bearer(token), NOW + timedelta(days=1))
    revoke_token(database, token.view.uuid)
    refused(gatekeeper, bearer(token), NOW)


def test_what_is_revoked_elsewhere_opens_nothing_after_a_second(
    database: Database, gatekeeper: TokenGatekeeper
) -> None:
    token = new_token(database)
    gatekeeper.admit(bearer(token), NOW)
    revoke_token(database, token.view.uuid)
    refused(gatekeeper, bearer(token), NOW + KNOWN_FOR)


def test_what_is_revoked_here_opens_nothing_at_once(database: Database, gatekeeper: TokenGatekeeper) -> None:
    token, other = new_token(database), new_token(database, "other")
    for each in (token, other):
        gatekeeper.admit(bearer(each), NOW)
    revoke_token(database, token.view.uuid)
    gatekeeper.forget(token.view.uuid)
    refused(gatekeeper, bearer(token), NOW)
    assert gatekeeper.admit(bearer(other), NOW).name == "other"


def test_a_look_up_that_began_before_the_revocation_is_not_remembered(
    database: Database, gatekeeper: TokenGatekeeper
) -> None:
    token = new_token(database)
    revocations = iter([token.view.uuid])

    def revoke_meanwhile(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT access_tokens") and (uuid := next(revocations, None)):
            with ThreadPoolExecutor(1) as other:
                other.submit(revoke_token, database, uuid).result()
            gatekeeper.forget(uuid)

    event.listen(database.engine, "after_cursor_execute", revoke_meanwhile)
    gatekeeper.admit(bearer(token), NOW)
    refused(gatekeeper, bearer(token), NOW)


def test_what_is_remembered_is_bounded(
    database: Database, gatekeeper: TokenGatekeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KNOWN", 2)
    made = [new_token(database, str(number)) for number in range(3)]
    for each in made:
        gatekeeper.admit(bearer(each), NOW)
    queries = Queries(database)
    gatekeeper.admit(bearer(made[2]), NOW)
    assert queries.count == 0
    gatekeeper.admit(bearer(made[0]), NOW)
    assert queries.count == 1


def test_a_database_that_is_away_is_no_refusal(database_url: str) -> None:
    absent = database_url.rsplit("/", 1)[0] + "/absent/x"
    with closing(Database(absent)) as database, closing(TokenGatekeeper(database)) as gatekeeper:
        if database.is_sqlite:
            database.file.parent.parent.mkdir(exist_ok=True)
            database.file.parent.write_text("in the way")
        with pytest.raises(DatabaseError):
            gatekeeper.admit(f"Bearer {STRANGER}", NOW)


# When it was last used


def last_used_at(database: Database, token: NewToken) -> datetime | None:
    with database.reading() as session:
        return show(session, token.view.uuid).last_used_at


def test_the_last_use_is_recorded_once_a_minute(database: Database) -> None:
    token = new_token(database)
    expected = {0: 0, 30: 0, 59: 0, 60: 60, 119: 60, 120: 120}
    for seconds, recorded in expected.items():
        with closing(TokenGatekeeper(database)) as gatekeeper:
            gatekeeper.admit(bearer(token), NOW + SECOND * seconds)
        assert last_used_at(database, token) == NOW + SECOND * recorded, seconds


def test_who_is_refused_did_not_use_it(database: Database) -> None:
    token = new_token(database, expires_at=NOW + SECOND)
    with closing(TokenGatekeeper(database)) as gatekeeper:
        refused(gatekeeper, bearer(token), NOW + SECOND)
    assert last_used_at(database, token) is None


def test_a_use_that_cannot_be_recorded_is_no_trouble_for_the_caller(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    token = new_token(database)
    deny(database)
    with caplog.at_level(logging.WARNING), closing(TokenGatekeeper(database)) as gatekeeper:
        assert gatekeeper.admit(bearer(token), NOW).name == "ci"
    assert last_used_at(database, token) is None
    assert "last used" in caplog.text
    assert token.text not in caplog.text


def deny(database: Database) -> None:
    """Nobody may change a token any more."""
    with database.writing() as session:
        if database.is_sqlite:
            session.execute(
                text("CREATE TRIGGER no BEFORE UPDATE ON access_tokens BEGIN SELECT RAISE(ABORT, 'no'); END")
            )
        else:
            session.execute(
                text(
                    "CREATE FUNCTION no() RETURNS trigger AS 'BEGIN RAISE insufficient_privilege; END' LANGUAGE plpgsql"
                )
            )
            session.execute(text("CREATE TRIGGER no BEFORE UPDATE ON access_tokens EXECUTE FUNCTION no()"))


def test_a_use_does_not_wait_for_a_writer(database: Database) -> None:
    token = new_token(database)
    with closing(TokenGatekeeper(database)) as gatekeeper, database.writing() as session:
        session.execute(text("UPDATE access_tokens SET name = name"))
        assert gatekeeper.admit(bearer(token), NOW).name == "ci"
        assert last_used_at(database, token) is None
    assert last_used_at(database, token) == NOW
