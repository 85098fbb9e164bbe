"""`orchest webhook` and `orchest events`, as a user types them."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, update
from standardwebhooks import Webhook as Verifier

from outbox.database import Database
from outbox.delivery.models import AttemptRow, DeliveryRow
from outbox.events.facts import ProjectFacts
from outbox.events.register import register_project_created_event, register_project_deleted_event
from reconciler.cli.exit_codes import ExitCode
from tests.command_line import Result, orchest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = UUID("0f4a8f0e-1111-4222-8333-444455556666")
URL = "https://hooks.example.com/services/T0/hidden"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("ORCHEST_DATABASE_URL", "ORCHEST_SECRET_KEYS", "ORCHEST_ALLOWED_NETWORKS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "orchest"


@pytest.fixture
def database(state: Path) -> Iterator[Database]:
    """The same database by another door, migrated by the first command."""
    orchest("webhook", "list").succeeded()
    database = Database(f"sqlite:///{state / 'history.db'}")
    yield database
    database.close()


def add(name: str = "ci", *more: str, url: str = URL, event: str = "project:*") -> dict[str, Any]:
    done = orchest("webhook", "add", name, "--url", url, "--event", event, *more, "-o", "json")
    webhook: dict[str, Any] = json.loads(done.succeeded().out)
    return webhook


def shown(*arguments: str) -> Any:
    return json.loads(orchest(*arguments, "-o", "json").succeeded().out)


def happen(database: Database) -> UUID:
    with database.writing() as session:
        return register_project_created_event(session, ProjectFacts(project_uuid=PROJECT, project_name="[red]bees[/]"))


def give_up(database: Database) -> str:
    """Every delivery is dead after one attempt; returns the newest one's uuid."""
    now = datetime.now(UTC)
    (newest, *_) = shown("webhook", "attempts", "ci")
    with database.writing() as session:
        session.execute(update(DeliveryRow).values(status="dead", attempts=1, finished_at=now))
        attempt = {
            "delivery_uuid": UUID(newest["uuid"]),
            "number": 1,
            "started_at": now,
            "milliseconds": 41.7,
            "result": "rejected",
            "status_code": 503,
            "message": "Answered 503.",
            "response_headers": '[["Server", "evil\\u001b]0;title\\u0007"]]',
            "response_body": "\x1b[2Jcleared [red]?\nsecond line \xff".encode("latin-1"),
            "worker": "worker",
        }
        session.execute(insert(AttemptRow), [attempt])
    uuid: str = newest["uuid"]
    return uuid


@contextmanager
def receiver(status: int) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A server on loopback that gives this answer: its URL, and what it was sent."""
    heard: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on the test's screen."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_secret_is_shown_when_it_is_made_and_never_again(state: Path) -> None:
    secret = add()["secret"]
    assert secret.startswith("whsec_")
    everything = [
        orchest("webhook", *command).succeeded().out
        for command in (["list"], ["show", "ci"], ["show", "ci", "-o", "yaml"], ["pause", "ci"], ["list", "-o", "json"])
    ]
    for said in everything:
        assert secret not in said
        assert "hidden" not in said
        assert "https://hooks.example.com" in said or said.startswith("Paused")
    stored = b"".join(path.read_bytes() for path in state.glob("history.db*"))
    assert secret.encode() not in stored
    assert b"hidden" not in stored


def test_the_text_says_what_is_added_and_its_secret() -> None:
    said = orchest("webhook", "add", "ci", "--url", URL, "--event", "*").succeeded().out
    assert "Added webhook ci" in said
    assert "\nwhsec_" in said


def test_a_secret_that_was_brought_along_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("a secret of the receiver's own\n")
    done = orchest("webhook", "add", "ci", "--url", URL, "--event", "*", "--secret-file", file).succeeded()
    assert "receiver's own" not in done.out
    assert "secret" not in add("other", "--secret-file", str(file))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--url", "http://10.0.0.1/hidden", "--event", "*"), ("url: ", "ORCHEST_ALLOWED_NETWORKS")),
        (("--url", URL, "--event", "project:craeted"), ("Did you mean project:created",)),
        (("--url", URL, "--event", "*", "--insecure-tls"), ("ORCHEST_ALLOW_INSECURE_TLS=1",)),
        (("--url", URL, "--event", "*", "--header", "Host: hidden"), ("header Host", "Choose another name")),
        (("--url", URL, "--event", "*", "--secret-file", "short"), ("secret: ", "at least 24", "openssl")),
    ],
)
def test_what_cannot_be_is_refused_with_the_mend(
    arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short").write_text("hidden")
    refused = orchest("webhook", "add", "ci", *arguments).failed(ExitCode.ERROR, *words)
    assert "hidden" not in refused.err
    assert shown("webhook", "list") == []


def test_a_name_is_not_given_twice_by_accident() -> None:
    add()
    again = orchest("webhook", "add", "ci", "--url", URL, "--event", "*")
    again.failed(ExitCode.ERROR, "already", "orchest webhook remove ci")


def test_an_unknown_webhook_is_an_error_that_names_the_known_ones() -> None:
    orchest("webhook", "show", "ci").failed(ExitCode.ERROR, "No webhook ci", "orchest webhook add")
    add("deploy")
    orchest("webhook", "pause", "ci").failed(ExitCode.ERROR, "There is: deploy")


def test_networks_that_are_no_networks_are_an_error_that_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEST_ALLOWED_NETWORKS", "10.0.0.0/99")
    orchest("webhook", "add", "ci", "--url", URL, "--event", "*").failed(ExitCode.ERROR, "ORCHEST_ALLOWED_NETWORKS")


def test_keys_too_short_are_an_error_that_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEST_SECRET_KEYS", "hunter2")
    refused = orchest("webhook", "add", "ci", "--url", URL, "--event", "*").failed(ExitCode.ERROR, "32", "openssl")
    assert "hunter2" not in refused.err


def test_a_url_that_is_a_secret_itself_can_be_given_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO(f"{URL}\n"))
    assert add(url="-")["url_origin"] == "https://hooks.example.com"


def test_a_rotated_secret_overlaps_as_long_as_asked() -> None:
    first = add()["secret"]
    rotated = shown("webhook", "rotate", "ci", "--overlap", "2")
    assert rotated["secret"] not in {first, ""}
    current, former = rotated["secrets"]
    assert current["expires_at"] is None
    left = datetime.fromisoformat(former["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=1.9) < left <= timedelta(hours=2)
    assert len(shown("webhook", "rotate", "ci", "--overlap", "0")["secrets"]) == 1
    orchest("webhook", "rotate", "ci", "--overlap", "169").failed(ExitCode.USAGE, "--overlap")


def test_a_ping_is_signed_so_that_the_receiver_can_verify_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEST_ALLOWED_NETWORKS", "127.0.0.0/8")
    with receiver(204) as (url, heard):
        secret = add("ci", "--header", "X-Team: data", url=url)["secret"]
        assert "delivered (204)" in orchest("webhook", "ping", "ci").succeeded().out
    ((headers, body),) = heard
    assert Verifier(secret).verify(body.decode(), headers)["event"]["type"] == "ping"
    assert headers["X-Team"] == "data"


def test_a_receiver_can_be_tried_before_anything_is_stored(
    monkeypatch: pytest.MonkeyPatch, state: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORCHEST_ALLOWED_NETWORKS", "127.0.0.0/8")
    secret = tmp_path / "secret"
    secret.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    with receiver(200) as (url, heard):
        orchest("webhook", "ping", "--url", url, "--secret-file", secret).succeeded()
    ((headers, body),) = heard
    Verifier(secret.read_text()).verify(body.decode(), headers)
    assert not state.exists()


def test_a_ping_that_was_not_taken_returns_1_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEST_ALLOWED_NETWORKS", "127.0.0.0/8")
    with receiver(503) as (url, _):
        done = orchest("webhook", "ping", "--url", url, "-o", "json").succeeded(ExitCode.ERROR)
    told = json.loads(done.out)
    assert (told["result"], told["status_code"]) == ("rejected", 503)
    closed = orchest("webhook", "ping", "--url", url).succeeded(ExitCode.ERROR)
    assert closed.out.startswith("unreachable after")


def test_a_ping_goes_through_the_same_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEST_ALLOWED_NETWORKS", "127.0.0.0/8")
    with receiver(200) as (url, heard):
        add(url=url)
        monkeypatch.delenv("ORCHEST_ALLOWED_NETWORKS")
        refused = orchest("webhook", "ping", "--url", url)
        refused.failed(ExitCode.ERROR, "loopback", "ORCHEST_ALLOWED_NETWORKS")
        assert orchest("webhook", "ping", "ci").succeeded(ExitCode.ERROR).out.startswith("blocked")
    assert heard == []


@pytest.mark.parametrize("arguments", [(), ("ci", "--url", URL)])
def test_a_ping_is_of_one_receiver(arguments: tuple[str, ...]) -> None:
    orchest("webhook", "ping", *arguments).failed(ExitCode.USAGE, "either")


def test_an_event_and_who_was_told_of_it_are_shown(database: Database) -> None:
    add()
    uuid = str(happen(database))
    (listed,) = shown("events", "list", "--type", "project:*", "--project", str(PROJECT), "--since", "1h")
    assert (listed["uuid"], listed["type"], listed["payload"]["project"]["uuid"]) == (
        uuid,
        "project:created",
        str(PROJECT),
    )
    assert shown("events", "list", "--type", "cluster:*") == shown("events", "list", "--project", str(uuid4())) == []
    assert shown("events", "list", "--before", uuid) == []
    one = shown("events", "show", uuid)
    assert [(told["webhook_name"], told["status"]) for told in one["deliveries"]] == [("ci", "scheduled")]
    text = orchest("events", "show", uuid[:13]).succeeded().out
    assert "[red]bees[/]" in text
    assert uuid in orchest("events", "list").succeeded().out
    orchest("events", "show", "ffff").failed(ExitCode.ERROR, "No event ffff")


def test_attempts_show_what_was_answered_without_what_steers_a_terminal(database: Database) -> None:
    add()
    happen(database)
    uuid = give_up(database)
    table = orchest("webhook", "attempts", "ci", "--dead").succeeded().out
    for word in (uuid, "project:created", "dead", "rejected", "503", "42"):
        assert word in table
    text = orchest("webhook", "attempts", "--delivery", uuid).succeeded().out
    assert "503" in text
    assert "cleared [red]?" in text
    assert "second line" in text
    assert "\x1b" not in text
    assert "\x07" not in text
    (attempt,) = shown("webhook", "attempts", "--delivery", uuid)["attempt_list"]
    assert attempt["response_body"].startswith("\x1b[2Jcleared")
    orchest("webhook", "attempts").failed(ExitCode.USAGE, "either")


def test_a_dead_delivery_is_tried_again_by_hand(database: Database) -> None:
    add()
    happen(database)
    uuid = give_up(database)
    orchest("webhook", "pause", "ci").succeeded()
    orchest("webhook", "retry", uuid).failed(ExitCode.ERROR, "paused", "orchest webhook resume")
    orchest("webhook", "resume", "ci").succeeded()
    assert shown("webhook", "retry", uuid)["status"] == "scheduled"
    assert shown("webhook", "attempts", "ci", "--dead") == []
    orchest("webhook", "retry", str(uuid4())).failed(ExitCode.ERROR, "No delivery")


def test_a_replay_says_how_many_and_asks_before_it_does_anything(database: Database) -> None:
    add()
    happen(database)
    give_up(database)
    with database.writing() as session:
        register_project_deleted_event(session, ProjectFacts(project_uuid=PROJECT, project_name="bees"))
    asked = ("webhook", "replay", "ci", "--since", "1h")
    orchest(*asked).failed(ExitCode.USAGE, "1 events would be delivered to ci again", "--yes")
    assert len(shown("webhook", "attempts", "ci")) == 2
    assert shown(*asked, "--type", "cluster:*") == {"replayed": 0}
    assert shown(*asked, "--yes") == {"replayed": 1}
    lanes = [(one["event_type"], one["lane"]) for one in shown("webhook", "attempts", "ci")]
    assert sorted(lanes) == [("project:created", "first"), ("project:created", "replay"), ("project:deleted", "first")]


@pytest.mark.parametrize("since", ["yesterday", "3x", "2026-13-01", "9999999d"])
def test_a_time_that_is_none_is_a_usage_error(since: str) -> None:
    orchest("events", "list", "--since", since).failed(ExitCode.USAGE, "is no time", "2h")


def test_a_webhook_is_removed_only_when_somebody_agreed(database: Database) -> None:
    add()
    happen(database)
    refused: Result = orchest("webhook", "remove", "ci").failed(ExitCode.USAGE, "--yes")
    assert "hidden" not in refused.err
    orchest("webhook", "remove", "ci", "--yes").succeeded()
    assert shown("webhook", "list") == []
    assert len(shown("events", "list")) == 1


def test_the_types_that_can_be_heard_are_listed() -> None:
    assert "project:one-off-job:failed" in orchest("events", "types").succeeded().out.splitlines()
    assert len(shown("events", "types")) == 69
