"""`orchest token` as a person types it."""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from outbox.database import Database
from outbox.schema import migrate
from reconciler.cli.exit_codes import ExitCode
from services.api.access.gatekeeper import TokenGatekeeper
from services.api.http.operation import Scope
from services.api.http.problems import ApiError
from tests.command_line import files_below, orchest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def database(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORCHEST_DATABASE_URL", database_url)
    with closing(Database(database_url)) as opened:
        migrate(opened)
        yield opened


def made(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(orchest("token", "create", *arguments, "-o", "json").succeeded().out)
    return found


def listed() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(orchest("token", "list", "-o", "json").succeeded().out)
    return found


def admitted(database: Database, text: str) -> frozenset[Scope]:
    with closing(TokenGatekeeper(database)) as gatekeeper:
        return gatekeeper.admit(f"Bearer {text}", datetime.now(UTC)).scopes


def test_a_new_token_is_shown_once_and_opens_what_it_says(database: Database) -> None:
    out = orchest("token", "create", "ci", "--scope", "write", "--scope", "agent", "--expires", "90d").succeeded().out
    assert "Created token ci (" in out
    (text,) = re.findall(r"^orc_\S+$", out, re.MULTILINE)
    assert admitted(database, text) == {Scope.WRITE, Scope.AGENT}
    for arguments in (("list",), ("list", "-o", "json"), ("list", "-o", "yaml")):
        again = orchest("token", *arguments).succeeded().out
        assert "ci" in again
        assert text not in again


def test_programs_read_the_same_in_json_and_yaml() -> None:
    in_json = made("one", "--scope", "read")
    in_yaml = YAML(typ="safe").load(orchest("token", "create", "two", "--scope", "read", "-o", "yaml").succeeded().out)
    assert in_yaml.keys() == in_json.keys()
    assert YAML(typ="safe").load(orchest("token", "list", "-o", "yaml").succeeded().out) == listed()
    assert listed()[0].keys() == in_json.keys() - {"token"}


@pytest.mark.parametrize(
    ("written", "lifetime"),
    [
        ((), timedelta(days=365)),
        (("--expires", "12h"), timedelta(hours=12)),
        (("--expires", "90d"), timedelta(days=90)),
    ],
)
def test_a_token_expires_after_a_year_or_as_asked(written: tuple[str, ...], lifetime: timedelta) -> None:
    begun = datetime.now(UTC)
    expires_at = datetime.fromisoformat(made("ci", "--scope", "read", *written)["expires_at"])
    assert begun + lifetime <= expires_at <= datetime.now(UTC) + lifetime


def test_a_token_expires_on_a_day_or_never() -> None:
    day = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    assert made("day", "--scope", "read", "--expires", day)["expires_at"] == f"{day}T00:00:00+00:00"
    assert made("never", "--scope", "read", "--expires", "never")["expires_at"] is None
    assert "never" in orchest("token", "list").succeeded().out


@pytest.mark.parametrize("expires", ["canary", "90", "-1d", "2026-02-30", "999999d", ""])
def test_an_expiry_that_is_none_is_a_matter_of_usage(expires: str) -> None:
    result = orchest("token", "create", "ci", "--scope", "read", f"--expires={expires}")
    result.failed(ExitCode.USAGE if expires != "999999d" else ExitCode.ERROR, "never")
    assert "canary" not in result.err
    assert listed() == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("ci",), ExitCode.USAGE),
        (("ci", "--scope", "root"), ExitCode.USAGE),
        (("--scope", "read"), ExitCode.USAGE),
        ((" ci", "--scope", "read"), ExitCode.ERROR),
        (("ci", "--scope", "read", "--expires", "3661d"), ExitCode.ERROR),
        (("ci", "--scope", "read", "--expires", "2020-01-01"), ExitCode.ERROR),
    ],
    ids=str,
)
def test_what_cannot_be_made_is_one_message(arguments: tuple[str, ...], code: int) -> None:
    orchest("token", "create", *arguments).failed(code)
    assert listed() == []


def test_a_name_that_is_taken_is_refused_until_it_is_revoked(database: Database) -> None:
    first = made("ci", "--scope", "admin")
    orchest("token", "create", "ci", "--scope", "read").failed(ExitCode.ERROR, "revoke")
    assert "Revoked ci (" in orchest("token", "revoke", "ci").succeeded().out
    with pytest.raises(ApiError):
        admitted(database, first["token"])
    made("ci", "--scope", "read")
    assert [bool(one["revoked_at"]) for one in listed()] == [True, False]
    conditions = re.findall(r"^ci .*(revoked|valid)", orchest("token", "list").succeeded().out, re.MULTILINE)
    assert conditions == ["revoked", "valid"]


def test_the_last_admin_may_be_revoked_for_the_next_is_made_here() -> None:
    made("only", "--scope", "admin")
    orchest("token", "revoke", "only").succeeded()
    made("next", "--scope", "admin")


def test_what_is_not_there_is_not_revoked_and_a_pasted_token_not_repeated() -> None:
    token = made("ci", "--scope", "read")["token"]
    result = orchest("token", "revoke", token).failed(ExitCode.ERROR, "There is: ci.")
    assert token not in result.err
    assert listed()[0]["revoked_at"] is None


def test_where_there_is_none_the_list_says_how_one_is_made() -> None:
    assert "orchest token create" in orchest("token", "list").succeeded().out


def test_nothing_on_disk_holds_a_token(tmp_path: Path) -> None:
    text = made("ci", "--scope", "read")["token"]
    content = b"".join(files_below(tmp_path).values())
    assert text.encode() not in content
    assert text[4:47].encode() not in content
