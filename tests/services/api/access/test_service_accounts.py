"""ServiceAccounts as callers: what is asked of Kubernetes, how long its word counts, and what while it is silent."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.settings import SettingsError
from services.api.access import service_accounts as module
from services.api.access.service_accounts import ServiceAccounts, looks_like_jwt, parse_accounts
from services.api.http.operation import Scope
from services.api.http.problems import ApiError
from tests.services.api.access.kubernetes import Reviews, account, reviewing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TOKEN = "eyJhbGciOiJSUzI1NiJ9.canary.c2ln"
SCOPES = parse_accounts("orchest/orchest-webserver=admin, ci/robot=write+agent", "ignored")
WEBSERVER = account("orchest", "orchest-webserver", "orchest-api")


@pytest.fixture
def reviews() -> Iterator[Reviews]:
    with reviewing(lambda _token: WEBSERVER) as opened:
        yield opened


def accounts(reviews: Reviews, folder: Path) -> ServiceAccounts:
    return ServiceAccounts(reviews.client(folder), SCOPES)


def refused(accounts: ServiceAccounts, status: int, now: datetime = NOW, token: str = TOKEN) -> ApiError:
    with pytest.raises(ApiError) as error:
        accounts.admit(token, now)
    assert error.value.status == status
    assert token not in error.value.detail
    return error.value


# The setting


def test_unless_told_otherwise_the_components_may_do_their_work() -> None:
    assert parse_accounts(" ", "blue") == {
        "system:serviceaccount:blue:orchest-webserver": {Scope.ADMIN},
        "system:serviceaccount:blue:celery-worker": {Scope.WRITE},
        "system:serviceaccount:blue:node-agent": {Scope.AGENT},
    }


def test_the_setting_names_accounts_and_their_scopes() -> None:
    assert parse_accounts("a/b=read,c/d.e=write+agent\n f/g=admin", "blue") == {
        "system:serviceaccount:a:b": {Scope.READ},
        "system:serviceaccount:c:d.e": {Scope.WRITE, Scope.AGENT},
        "system:serviceaccount:f:g": {Scope.ADMIN},
    }


@pytest.mark.parametrize(
    "entry", ["a", "a/b", "a/b=", "a/b=root", "a/b=read+", "b=read", "a/b/c=read", "A/b=read", "a:/b=read"]
)
def test_an_entry_that_gives_nobody_a_scope_is_named(entry: str) -> None:
    with pytest.raises(SettingsError, match="ORCHEST_API_SERVICE_ACCOUNTS") as error:
        parse_accounts(f"ci/robot=read,{entry}", "blue")
    assert repr(entry) in str(error.value)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("a.b.c", True),
        (TOKEN, True),
        ("a.b", False),
        ("a.b.c.d", False),
        ("", False),
        ("a.b.c\n", False),
        ("ä.b.c", False),
        ("a" * 20_000 + ".b.c", False),
    ],
    ids=range(8),
)
def test_what_is_no_jwt_is_not_shown_to_kubernetes(text: str, is_one: bool) -> None:
    assert looks_like_jwt(text) is is_one


# One review


def test_a_known_account_may_do_what_the_setting_says(reviews: Reviews, tmp_path: Path) -> None:
    caller = accounts(reviews, tmp_path).admit(TOKEN, NOW)
    assert caller.name == "system:serviceaccount:orchest:orchest-webserver"
    assert caller.scopes == {Scope.ADMIN}
    assert caller.token is None
    assert reviews.asked == [{"token": TOKEN, "audiences": ["orchest-api"]}]


def test_an_account_that_nobody_named_is_known_and_may_do_nothing(reviews: Reviews, tmp_path: Path) -> None:
    reviews.answer = lambda _token: account("elsewhere", "orchest-webserver", "orchest-api")
    assert accounts(reviews, tmp_path).admit(TOKEN, NOW).scopes == frozenset()


@pytest.mark.parametrize(
    "status",
    [
        {"authenticated": False, "error": "invalid bearer token"},
        {},
        account("orchest", "orchest-webserver"),
        account("orchest", "orchest-webserver", "https://kubernetes.default.svc"),
        {**WEBSERVER, "audiences": None},
        {**WEBSERVER, "authenticated": False},
    ],
    ids=["no", "nothing", "no audience", "another audience", "null", "not authenticated"],
)
def test_a_token_that_is_not_meant_for_us_opens_nothing(
    reviews: Reviews, tmp_path: Path, status: dict[str, Any]
) -> None:
    reviews.answer = lambda _token: status
    error = refused(accounts(reviews, tmp_path), 401)
    assert error.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


# How long it counts


def test_a_review_counts_for_a_minute(reviews: Reviews, tmp_path: Path) -> None:
    known = accounts(reviews, tmp_path)
    for seconds in (0, 30, 59):
        known.admit(TOKEN, NOW + SECOND * seconds)
    assert len(reviews.asked) == 1
    reviews.answer = lambda _token: {"authenticated": False}
    refused(known, 401, NOW + SECOND * 60)


def test_a_refusal_counts_for_five_seconds(reviews: Reviews, tmp_path: Path) -> None:
    known = accounts(reviews, tmp_path)
    reviews.answer = lambda _token: {"authenticated": False}
    for seconds in (0, 4):
        refused(known, 401, NOW + SECOND * seconds)
    assert len(reviews.asked) == 1
    reviews.answer = lambda _token: WEBSERVER
    assert known.admit(TOKEN, NOW + SECOND * 5)


def test_what_is_remembered_is_bounded(reviews: Reviews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KNOWN", 2)
    known = accounts(reviews, tmp_path)
    for token in ("a.a.a", "b.b.b", "c.c.c", "c.c.c", "a.a.a"):
        known.admit(token, NOW)
    assert reviews.tokens == ["a.a.a", "b.b.b", "c.c.c", "a.a.a"]


# While nobody can tell


def test_an_api_server_that_is_away_is_no_refusal(reviews: Reviews, tmp_path: Path) -> None:
    known = accounts(reviews, tmp_path)
    reviews.server.server_close()
    assert refused(known, 503).headers["Retry-After"] == "5"


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_an_api_server_that_will_not_tell_is_asked_again_after_five_seconds(
    reviews: Reviews, tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    known = accounts(reviews, tmp_path)
    reviews.answer = lambda _token: status
    with caplog.at_level(logging.WARNING):
        refused(known, 503)
        refused(known, 503, NOW + SECOND * 4, "other.other.other")
    assert len(reviews.asked) == 1
    assert "review a bearer token" in caplog.text
    assert TOKEN not in caplog.text
    reviews.answer = lambda _token: WEBSERVER
    assert known.admit(TOKEN, NOW + SECOND * 5)


def test_who_was_reviewed_before_comes_in_while_the_api_server_is_away(reviews: Reviews, tmp_path: Path) -> None:
    known = accounts(reviews, tmp_path)
    known.admit(TOKEN, NOW)
    reviews.answer = lambda _token: 500
    refused(known, 503, token="other.other.other")
    assert known.admit(TOKEN, NOW + SECOND)


def test_only_a_few_threads_wait_for_a_slow_api_server(
    reviews: Reviews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.1)
    known = accounts(reviews, tmp_path)
    goes_on = threading.Event()

    def slowly(_token: str) -> dict[str, Any]:
        goes_on.wait(20)
        return WEBSERVER

    reviews.answer = slowly
    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(known.admit, f"{number}.b.c", NOW) for number in range(4)]
        while len(reviews.asked) < 4:
            pass
        refused(known, 503, token="5.b.c")
        goes_on.set()
        assert all(each.result().scopes for each in waiting)
    assert len(reviews.asked) == 4
