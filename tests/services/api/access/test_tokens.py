"""Tokens from the first to the last, on both databases."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from outbox.database import Database
from outbox.schema import migrate
from services.api.access.errors import NameTakenError, TokenError, UnacceptableTokenError, UnknownTokenError
from services.api.access.token_text import is_token_text
from services.api.access.tokens import (
    FIRST_ADMIN,
    LONGEST_LIFETIME,
    TokenSpec,
    TokenView,
    create,
    ensure_first_admin,
    find,
    newest,
    revoke,
    show,
    tokens,
)
from services.api.http.operation import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
READ = frozenset({Scope.READ})


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as opened:
        migrate(opened)
        yield opened


def spec(name: str = "ci", **changed: Any) -> TokenSpec:
    return TokenSpec(**{"name": name, "scopes": READ, **changed})


def made(database: Database, asked: TokenSpec, now: datetime = NOW) -> TokenView:
    with database.writing() as session:
        return create(session, asked, "the test", now).view


def known(database: Database) -> list[TokenView]:
    with database.reading() as session:
        return tokens(session)


def test_a_token_is_shown_once_and_the_rest_is_kept(database: Database) -> None:
    expires_at = NOW + timedelta(days=90)
    with database.writing() as session:
        new = create(session, spec(scopes=frozenset({Scope.WRITE, Scope.AGENT}), expires_at=expires_at), "ann", NOW)
    assert is_token_text(new.text)
    assert new.text not in repr(new)
    assert known(database) == [new.view]
    assert new.view.name == "ci"
    assert new.view.scopes == ("agent", "write")
    assert new.view.created_at == NOW
    assert new.view.created_by == "ann"
    assert new.view.expires_at == expires_at
    assert new.view.last_used_at is None
    assert new.view.revoked_at is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": " ci"},
        {"name": "ci\n"},
        {"name": "c\x1bi"},
        {"name": "c\0i"},
        {"name": "ci "},
        {"name": "-ci"},
        {"name": "cï"},
        {"name": "٣"},
        {"name": "system:serviceaccount:orchest:node-agent"},
        {"scopes": frozenset()},
        {"expires_at": NOW},
        {"expires_at": NOW - timedelta(days=1)},
        {"expires_at": NOW + LONGEST_LIFETIME + timedelta(seconds=1)},
    ],
    ids=str,
)
def test_a_token_that_makes_no_sense_is_refused(database: Database, wrong: dict[str, Any]) -> None:
    with pytest.raises(UnacceptableTokenError) as error:
        made(database, spec(**wrong))
    assert str(wrong.get("name") or "no name") not in str(error.value)
    assert known(database) == []


def test_all_that_is_wrong_is_said_at_once(database: Database) -> None:
    with pytest.raises(UnacceptableTokenError) as error:
        made(database, TokenSpec("", frozenset(), NOW))
    assert len(str(error.value).splitlines()) == 3


def test_two_live_tokens_have_two_names(database: Database) -> None:
    made(database, spec())
    with pytest.raises(NameTakenError):
        made(database, spec())
    assert len(known(database)) == 1


def test_the_name_of_a_revoked_token_is_free(database: Database) -> None:
    first = made(database, spec())
    with database.writing() as session:
        revoke(session, first.uuid, NOW)
    assert made(database, spec()).uuid != first.uuid


def test_the_name_of_an_expired_token_is_free(database: Database) -> None:
    made(database, spec(expires_at=NOW + timedelta(hours=1)))
    made(database, spec(), NOW + timedelta(hours=1))
    assert [one.is_live(NOW + timedelta(hours=1)) for one in known(database)] == [False, True]


def test_of_several_who_make_one_name_at_once_one_succeeds(database: Database) -> None:
    def attempt(_number: int) -> bool:
        try:
            made(database, spec())
        except NameTakenError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1
    assert len(known(database)) == 1


def test_a_transaction_that_fails_leaves_no_token(database: Database) -> None:
    def twice() -> None:
        with database.writing() as session:
            for _ in range(2):
                create(session, spec(), "the test", NOW)

    with pytest.raises(NameTakenError):
        twice()
    assert known(database) == []


def test_a_token_is_found_by_what_only_it_begins_with(database: Database) -> None:
    ci, deploy = made(database, spec("ci-main")), made(database, spec("deploy"))
    with database.reading() as session:
        for reference in ("ci-main", "ci-m", str(ci.uuid), str(ci.uuid).upper()):
            assert find(session, reference, NOW) == ci
        assert find(session, "depl", NOW) == deploy


def test_a_whole_name_is_meant_although_another_begins_with_it(database: Database) -> None:
    made(database, spec("deploy-2"))
    deploy = made(database, spec("deploy"))
    with database.reading() as session:
        assert find(session, "deploy", NOW) == deploy
        with pytest.raises(UnknownTokenError, match="Several"):
            find(session, "depl", NOW)


def test_who_pastes_a_token_instead_of_its_name_does_not_see_it_again(database: Database) -> None:
    with database.writing() as session:
        new = create(session, spec(), "the test", NOW)
    with database.reading() as session, pytest.raises(UnknownTokenError) as error:
        find(session, new.text, NOW)
    assert new.text not in str(error.value)
    assert "There is: ci." in str(error.value)


def test_a_revoked_token_is_found_by_nobody_and_still_listed(database: Database) -> None:
    one = made(database, spec())
    later = NOW + timedelta(hours=1)
    with database.writing() as session:
        revoked = revoke(session, one.uuid, later)
    assert revoked.revoked_at == later
    assert known(database) == [revoked]
    with database.reading() as session, pytest.raises(UnknownTokenError):
        find(session, "ci", later)


def test_to_revoke_once_more_changes_nothing(database: Database) -> None:
    one = made(database, spec())
    for hours in (1, 2):
        with database.writing() as session:
            assert revoke(session, one.uuid, NOW + timedelta(hours=hours)).revoked_at == NOW + timedelta(hours=1)


def test_what_does_not_exist_is_neither_shown_nor_revoked(database: Database) -> None:
    with database.writing() as session:
        with pytest.raises(UnknownTokenError):
            show(session, uuid4())
        with pytest.raises(TokenError):
            revoke(session, uuid4(), NOW)


def test_pages_begin_with_the_newest(database: Database) -> None:
    one, two, three = (made(database, spec(name)) for name in ("one", "two", "three"))
    with database.reading() as session:
        assert newest(session, 2) == [three, two]
        assert newest(session, 2, before=two.uuid) == [one]
        assert newest(session, 2, before=one.uuid) == []


# The first one


def test_the_first_admin_is_made_once(database: Database) -> None:
    text = ensure_first_admin(database, NOW)
    assert text is not None
    assert is_token_text(text)
    assert [(one.name, one.scopes) for one in known(database)] == [(FIRST_ADMIN, ("admin",))]
    assert ensure_first_admin(database, NOW) is None
    assert len(known(database)) == 1


def test_where_there_ever_was_a_token_no_admin_is_made(database: Database) -> None:
    one = made(database, spec())
    with database.writing() as session:
        revoke(session, one.uuid, NOW)
    assert ensure_first_admin(database, NOW + timedelta(days=1000)) is None


def test_several_processes_make_one_first_admin(database: Database, database_url: str) -> None:
    code = (
        "import sys; from datetime import UTC, datetime; from outbox.database import Database\n"
        "from services.api.access.tokens import ensure_first_admin\n"
        "database = Database(sys.argv[1]); sys.stdin.read()\n"
        "print(ensure_first_admin(database, datetime.now(UTC)) or '')"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdin
        process.stdin.close()
        process.stdin = None
    said = [process.communicate(timeout=60)[0].strip() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert sum(map(bool, said)) == 1
    assert len(known(database)) == 1
