"""`orchest --api` as a person types it, against a real `orchest api`: it says what the same command says here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, update

from outbox.database import Database
from outbox.delivery.models import AttemptRow, DeliveryRow
from outbox.events.facts import ProjectFacts
from outbox.events.register import register_project_created_event, register_project_deleted_event
from reconciler.cli.exit_codes import ExitCode
from reconciler.history import ClusterIdentity, History
from tests.command_line import orchest
from tests.outbox.programs import eventually
from tests.reconciler.cycles import NOON, finish, outcome, start
from tests.services.api.live import KEY, serving
from tests.services.api.resources.hooks import receiving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.services.api.live import LiveApi

URL = "https://hooks.example.com/services/T0/hidden"
PROJECT = UUID("0f4a8f0e-1111-4222-8333-444455556666")


class Place:
    """One database, asked both ways."""

    def __init__(self, api: LiveApi, database: Database) -> None:
        self.api = api
        self.database = database

    def here(self, *arguments: str) -> Any:
        return json.loads(orchest(*arguments, "-o", "json").succeeded().out)

    def there(self, *arguments: str) -> Any:
        return json.loads(orchest("--api", self.api.address, *arguments, "-o", "json").succeeded().out)

    def same(self, *arguments: str) -> Any:
        """What both say, as programs and as people read it."""
        told = self.there(*arguments)
        assert told == self.here(*arguments)
        texts = [orchest(*way, *arguments).succeeded().out for way in ((), ("--api", self.api.address))]
        assert texts[0] == texts[1]
        return told

    def refused(self, *arguments: str) -> str:
        """The one message, the same both ways; nothing of it names the way."""
        told = orchest("--api", self.api.address, *arguments).failed(ExitCode.ERROR).err
        assert told == orchest(*arguments).failed(ExitCode.ERROR).err
        return told

    def happen(self, count: int = 1) -> list[UUID]:
        """The uuids of new events, the newest first."""
        facts = ProjectFacts(project_uuid=PROJECT, project_name="[red]bees[/]")
        with self.database.writing() as session:
            return [register_project_created_event(session, facts) for _ in range(count)][::-1]

    def add(self, name: str = "ci", *more: str, url: str = URL) -> dict[str, Any]:
        added: dict[str, Any] = self.there("webhook", "add", name, "--url", url, "--event", "project:*", *more)
        return added


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORCHEST_SECRET_KEYS", KEY)
    monkeypatch.setenv("ORCHEST_ALLOWED_NETWORKS", "127.0.0.0/8")
    monkeypatch.delenv("ORCHEST_API_URL", raising=False)


def placed(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("ORCHEST_DATABASE_URL", url)
    with serving(url, folder / "api") as api, closing(Database(url)) as database:
        monkeypatch.setenv("ORCHEST_API_TOKEN", api.token)
        yield Place(api, database)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    yield from placed(f"sqlite:///{tmp_path / 'shared.db'}", tmp_path, monkeypatch)


@pytest.fixture
def any_place(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """On a database of either kind."""
    yield from placed(database_url, tmp_path, monkeypatch)


# --- webhooks


def test_a_webhook_from_its_first_to_its_last_command(any_place: Place) -> None:
    place = any_place
    assert place.same("webhook", "list") == []
    added = place.add("ci", "--project", str(PROJECT), "--header", "X-Key: canary", "--rate", "2.5")
    secret = added.pop("secret")
    assert secret.startswith("whsec_")
    assert added.items() <= place.same("webhook", "show", "ci").items()
    assert place.same("webhook", "list") == [place.same("webhook", "show", added["uuid"][:18])]
    (event,) = place.happen()
    (delivery,) = place.same("webhook", "attempts", "ci")
    assert delivery["event"] == str(event)
    assert place.same("webhook", "attempts", "--delivery", delivery["uuid"])["attempt_list"] == []
    assert place.there("webhook", "pause", "ci")["condition"] == "paused"
    assert place.same("webhook", "show", "ci")["reason"] == "paused by hand"
    assert place.there("webhook", "resume", "ci")["condition"] == "enabled"
    rotated = place.there("webhook", "rotate", "ci", "--overlap", "1")
    assert len(rotated["secrets"]) == 2
    assert rotated["secret"] != secret
    assert place.there("webhook", "remove", "ci", "--yes")["uuid"] == added["uuid"]
    assert place.same("webhook", "list") == []


def test_a_secret_that_was_brought_along_is_used_and_not_repeated(place: Place, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a secret of the receiver's own\n")
    (tmp_path / "empty").write_text("\n")
    assert "secret" not in place.add("ci", "--secret-file", str(tmp_path / "secret"))
    empty = ("--secret-file", str(tmp_path / "empty"))
    for command in (("add", "other", "--url", URL, "--event", "*"), ("rotate", "ci")):
        orchest("--api", place.api.address, "webhook", *command, *empty).failed(ExitCode.USAGE, "no secret in it")
    assert "secret" not in place.there("webhook", "rotate", "ci", "--secret-file", str(tmp_path / "secret"))


def test_a_ping_says_whether_it_arrived(place: Place) -> None:
    with receiving(204) as receiver:
        place.add(url=receiver.url)
        for arguments in (("ci",), ("--url", receiver.url)):
            came = place.there("webhook", "ping", *arguments)
            assert (came["result"], came["status_code"]) == ("delivered", 204)
        assert len(receiver.heard) == 2
    orchest("--api", place.api.address, "webhook", "ping", "ci").failed(ExitCode.ERROR, "No ping arrived")


def give_up(place: Place) -> list[str]:
    """Every delivery is dead after one attempt; their uuids, the newest first."""
    deliveries = [one["uuid"] for one in place.here("webhook", "attempts", "ci", "--limit", "1000")]
    attempt = {
        "delivery_uuid": UUID(deliveries[0]),
        "number": 1,
        "started_at": datetime.now(UTC),
        "milliseconds": 41.7,
        "result": "rejected",
        "status_code": 503,
        "message": "Answered 503.",
        "response_headers": '[["Server", "nginx"]]',
        "response_body": b"overloaded \xff",
        "worker": "worker",
    }
    with place.database.writing() as session:
        session.execute(update(DeliveryRow).values(status="dead", attempts=1, finished_at=datetime.now(UTC)))
        session.execute(insert(AttemptRow), [attempt])
    return deliveries


def test_deliveries_are_listed_looked_at_and_tried_again(place: Place) -> None:
    place.add()
    place.add("other")
    place.happen(3)
    newest, second, oldest = give_up(place)
    dead = place.same("webhook", "attempts", "ci", "--dead")
    assert [one["uuid"] for one in dead] == [newest, second, oldest]
    assert [one["uuid"] for one in place.same("webhook", "attempts", "ci", "--limit", "1", "--before", newest)] == [
        second
    ]
    (tried,) = place.same("webhook", "attempts", "--delivery", newest)["attempt_list"]
    assert tried["response_body"] == "overloaded \N{REPLACEMENT CHARACTER}"
    assert place.there("webhook", "retry", newest)["status"] == "scheduled"
    assert place.same("webhook", "attempts", "--delivery", newest)["status"] == "scheduled"


def test_a_delivery_is_found_by_what_only_it_begins_with(place: Place) -> None:
    place.add()
    place.add("other")
    place.happen(2)
    known = [one["uuid"] for name in ("ci", "other") for one in place.here("webhook", "attempts", name)]
    for uuid in known:
        assert place.same("webhook", "attempts", "--delivery", uuid[:-1])["uuid"] == uuid
    assert "Several deliveries begin" in place.refused("webhook", "attempts", "--delivery", known[0][:4])
    for reference in ("ffff", "nothing", "", str(uuid4())[:-1]):
        assert f"No delivery {reference}" in place.refused("webhook", "retry", reference)


def test_past_events_are_replayed_over_several_batches(place: Place) -> None:
    place.happen(1005)
    place.add()
    long_ago = ("--since", "1d", "--type", "project:created")
    text = orchest("--api", place.api.address, "webhook", "replay", "ci", *long_ago).failed(ExitCode.USAGE).err
    assert "1005 events would be delivered to ci again" in text
    assert place.there("webhook", "replay", "ci", *long_ago, "--yes") == {"replayed": 1005}
    assert place.there("webhook", "replay", "ci", *long_ago, "--yes") == {"replayed": 0}
    listed = place.same("webhook", "attempts", "ci", "--limit", "1000")
    assert len({one["event"] for one in listed}) == 1000
    until = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert place.there("webhook", "replay", "ci", "--since", "1d", "--until", until, "--yes") == {"replayed": 0}


def test_a_name_that_is_nobodys_or_several_ones_is_told_as_here(place: Place) -> None:
    assert "There is none yet" in place.refused("webhook", "show", "ci")
    place.add("build-a")
    place.add("build-b")
    for command in ("show", "pause", "rotate", "ping"):
        assert "Several webhooks could be meant by buil" in place.refused("webhook", command, "buil")
    place.refused("webhook", "attempts", "other")
    text = orchest("--api", place.api.address, "webhook", "add", "build-a", "--url", URL, "--event", "*")
    text.failed(ExitCode.ERROR, "There is a webhook build-a already")


def test_every_mistake_of_a_webhook_is_told_and_none_of_its_values(place: Place) -> None:
    arguments = ("--url", "http://10.0.0.1/canary", "--event", "project:craeted", "--header", "Host: canary")
    result = orchest("--api", place.api.address, "webhook", "add", "ci", *arguments)
    result.failed(ExitCode.ERROR, "body.url", "body.subscriptions.0", "project:created", "body.headers.0", "(request ")
    assert "canary" not in result.err
    assert place.same("webhook", "list") == []


# --- events


def test_events_are_listed_filtered_and_paged_as_here(any_place: Place) -> None:
    place = any_place
    uuids = [str(uuid) for uuid in place.happen(5)]
    with place.database.writing() as session:
        facts = ProjectFacts(project_uuid=uuid4(), project_name="wasps")
        other = str(register_project_deleted_event(session, facts))

    def listed(*arguments: str) -> list[str]:
        return [one["uuid"] for one in place.same("events", "list", *arguments)]

    assert listed() == [other, *uuids]
    assert listed("--type", "project:created") == listed("--project", str(PROJECT)) == uuids
    assert listed("--limit", "2", "--before", uuids[1]) == uuids[2:4]
    assert listed("--since", "2100-01-01") == []
    assert listed("--type", "nothing:*") == []
    assert "hexadecimal" not in place.refused("events", "show", "nothing")


def test_more_events_than_a_page_holds_are_asked_for_page_by_page(place: Place) -> None:
    uuids = place.happen(1001)
    listed = place.same("events", "list", "--limit", "1000")
    assert [one["uuid"] for one in listed] == [str(uuid) for uuid in uuids[:1000]]


def test_an_event_is_shown_with_who_was_told(place: Place) -> None:
    place.add()
    first, second = (str(uuid) for uuid in place.happen(2))
    shown = place.same("events", "show", first)
    assert [one["webhook_name"] for one in shown["deliveries"]] == ["ci"]
    assert place.same("events", "show", first[:-1])["uuid"] == first
    assert place.same("events", "show", second.replace("-", "").upper())["uuid"] == second
    assert "Several events begin with" in place.refused("events", "show", first[:4])
    for unknown in (str(uuid4()), "ffff", "no"):
        assert f"No event {unknown}" in place.refused("events", "show", unknown)


def test_events_are_followed_as_they_happen_by_either_way(place: Place, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("orchest")
    files = {way: tmp_path / way for way in ("here", "there")}
    followers = []
    for way, file in files.items():
        options = ["--api", place.api.address] if way == "there" else []
        with file.open("wb") as output:
            command = [str(program), *options, "events", "follow", "--type", "project:*", "-o", "json"]
            followers.append(subprocess.Popen(command, stdout=output, env={**os.environ}))
    try:
        # The first event that is seen by both shows that both listen.
        eventually(lambda: place.happen() and all(file.stat().st_size for file in files.values()), 20)
        marker = place.happen(3)[0]
        eventually(lambda: all(str(marker) in file.read_text() for file in files.values()), 20)
    finally:
        for follower in followers:
            follower.terminate()
            follower.wait(10)
    here, there = ([json.loads(line) for line in file.read_text().splitlines()] for file in files.values())
    both = min(len(here), len(there))
    assert here[-both:] == there[-both:]
    assert len({one["uuid"] for one in there}) == len(there)


# --- history


def test_a_history_is_listed_and_shown_as_here(any_place: Place) -> None:
    place = any_place
    assert place.same("history") == []
    history, cycles = History(place.database), []
    for number, name in enumerate(("cluster-1", "cluster-2", "cluster-1")):
        begun = start(started_at=NOON + timedelta(hours=number), cluster=ClusterIdentity("orchest", name, "", ""))
        history.record_start(begun)
        history.record_outcomes(begun.id, [outcome()])
        history.record_finish(begun.id, finish(snapshot=None))
        cycles.append(str(begun.id))
    assert [one["id"] for one in place.same("history")] == cycles[::-1]
    assert [one["id"] for one in place.same("history", "--limit", "2")] == cycles[:0:-1]
    assert place.same("history", cycles[0])["outcomes"][0]["verb"] == "create"
    assert place.same("history", cycles[1][:8])["cluster"] == "orchest/cluster-2"
    unknown = str(uuid4())
    for reference in (unknown, unknown[:8]):
        assert f"no cycle {reference}" in place.refused("history", reference)
    orchest("--api", place.api.address, "history", "latest").failed(ExitCode.ERROR, "not the id of a cycle")


# --- tokens


def test_a_token_is_made_listed_and_revoked_over_the_api(any_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place = any_place
    made = place.there("token", "create", "ci", "--scope", "read", "--expires", "90d")
    assert made["created_by"] == "first-admin"
    assert [one["name"] for one in place.there("token", "list")] == ["first-admin", "ci"]
    assert [one["uuid"] for one in place.there("token", "list")] == [one["uuid"] for one in place.here("token", "list")]
    assert made.keys() == place.here("token", "create", "other", "--scope", "read").keys()
    assert place.there("token", "create", "ever", "--scope", "read", "--expires", "never")["expires_at"] is None

    with monkeypatch.context() as as_reader:
        as_reader.setenv("ORCHEST_API_TOKEN", made["token"])
        place.there("events", "list")
        for command in (["token", "list"], ["webhook", "add", "x", "--url", URL, "--event", "*"]):
            denied = orchest("--api", place.api.address, *command).failed(ExitCode.ERROR, "orchest token create")
            assert made["token"] not in denied.err
    assert place.there("token", "revoke", "ci")["uuid"] == made["uuid"]
    assert "no live token" in place.refused("token", "revoke", "ci")
    with monkeypatch.context() as as_nobody:
        as_nobody.setenv("ORCHEST_API_TOKEN", made["token"])
        orchest("--api", place.api.address, "events", "list").failed(ExitCode.ERROR, "ORCHEST_API_TOKEN")


def test_a_token_that_cannot_be_made_is_one_message(place: Place) -> None:
    address = place.api.address
    orchest("--api", address, "token", "create", "first-admin", "--scope", "read").failed(ExitCode.ERROR, "already")
    orchest("--api", address, "token", "create", " no", "--scope", "read").failed(ExitCode.ERROR, "body.name")


# --- all of them


def test_nothing_that_is_asked_of_an_api_touches_this_machine(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "untouched"
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    monkeypatch.delenv("ORCHEST_DATABASE_URL")
    monkeypatch.delenv("ORCHEST_SECRET_KEYS")
    place.add()
    for command in ("webhook list", "webhook attempts ci", "events list", "history", "token list"):
        place.there(*command.split())
    assert not home.exists()


def test_no_cluster_is_managed_by_an_api_without_kubernetes(place: Place, tmp_path: Path) -> None:
    orchest("--api", place.api.address, "status").failed(ExitCode.ERROR, "manages no clusters", "orchest/cluster-1")
    orchest("--api", place.api.address, "apply", str(uuid4())).failed(ExitCode.ERROR, "no such plan")
    orchest("--api", place.api.address, "apply", tmp_path / "absent").failed(ExitCode.ERROR, "Cannot read the plan")
    orchest("--api", place.api.address, "apply").failed(ExitCode.USAGE, "orchest plan")
