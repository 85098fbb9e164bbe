"""Streams over real sockets, by both ways, on both databases."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy import delete, event, update
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from outbox.events.facts import ProjectFacts
from outbox.events.models import Event
from outbox.events.register import register_project_created_event, register_project_deleted_event
from outbox.identity import new_uuid
from services.api.access.models import AccessToken
from services.api.http.operation import Scope
from services.api.resources import event_feed, event_stream
from tests.outbox.events.examples import PROJECT
from tests.services.api.resources.streaming import Served, Told, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox.database import Database
    from tests.services.api.site import Site

FACTS = ProjectFacts(project_uuid=PROJECT, project_name="acme")
OTHER = ProjectFacts(project_uuid=UUID(int=7), project_name="other")
NIL = UUID(int=0)


@pytest.fixture
def served(site: Site) -> Iterator[Served]:
    with Served(site) as running:
        yield running


def register(database: Database, count: int = 1, facts: ProjectFacts = FACTS) -> list[str]:
    with database.writing() as session:
        return [str(register_project_created_event(session, facts)) for _ in range(count)]


def ids(told: list[Told]) -> list[str]:
    return [one.id for one in told]


# Server-sent events.


def test_an_event_is_told_as_it_happens(site: Site, served: Served) -> None:
    before = register(site.database)
    with reading(served.port, site.tokens[Scope.READ]) as stream:
        assert stream.status == 200
        assert "content-type: text/event-stream" in stream.head.lower()
        assert stream.next() == Told(id=before[0], retry="2000")
        (uuid,) = register(site.database)
        began = time.monotonic()
        (told,) = stream.events(1)
        assert time.monotonic() - began < 2
    assert (told.id, told.type) == (uuid, "project:created")
    assert told.data == site.events()[-1].payload


def test_a_stream_of_an_empty_database_begins_at_the_beginning(site: Site, served: Served) -> None:
    with reading(served.port, site.tokens[Scope.READ]) as stream:
        assert stream.next() == Told(id=str(NIL), retry="2000")
    made = register(site.database, 3)
    with reading(served.port, site.tokens[Scope.READ], headers={"Last-Event-ID": str(NIL)}) as stream:
        assert ids(stream.events(3)) == made


def test_who_reconnects_misses_nothing_and_gets_nothing_twice(site: Site, served: Served) -> None:
    """By the query, or by the header, which is newer and goes first."""
    made = register(site.database, 7)
    for after, headers in ((made[2], {}), (made[0], {"Last-Event-ID": made[2]})):
        with reading(served.port, site.tokens[Scope.READ], f"/api/events/stream?after={after}", headers) as stream:
            assert ids(stream.events(len(made) - 3)) == made[3:]
            made += register(site.database, 2)
            assert ids(stream.events(2)) == made[-2:]


def test_a_slow_reader_delays_nobody_and_misses_nothing(site: Site, served: Served) -> None:
    token = site.tokens[Scope.READ]
    long = ProjectFacts(project_uuid=PROJECT, project_name="x" * 2000)
    with reading(served.port, token) as slow, reading(served.port, token) as other:
        assert slow.next() == other.next()
        made = []
        for _ in range(10):
            made += register(site.database, 200, long)
            assert ids(other.events(200)) == made[-200:]
        assert ids(slow.events(2000)) == made


def test_filters_hold_for_what_was_and_for_what_comes(site: Site, served: Served) -> None:
    path = f"/api/events/stream?after={NIL}&type=project:*&project_uuid={OTHER.project_uuid}"
    register(site.database)
    wanted = register(site.database, facts=OTHER)
    with reading(served.port, site.tokens[Scope.READ], path) as stream:
        assert ids(stream.events(1)) == wanted
        register(site.database, 3)
        wanted = register(site.database, facts=OTHER)
        assert ids(stream.events(1)) == wanted
    with reading(served.port, site.tokens[Scope.READ], f"{path[:-36]}{UUID(int=8)}&type=*") as stream:
        assert stream.status == 400
    with reading(
        served.port, site.tokens[Scope.READ], f"/api/events/stream?after={NIL}&type=project:deleted"
    ) as stream:
        with site.database.writing() as session:
            deleted = str(register_project_deleted_event(session, FACTS))
        assert ids(stream.events(1)) == [deleted]


def test_a_stream_may_begin_at_an_instant(site: Site, served: Served) -> None:
    made = register(site.database, 3)
    since = site.events()[1].timestamp.isoformat().replace("+", "%2B")
    with reading(served.port, site.tokens[Scope.READ], f"/api/events/stream?since={since}") as stream:
        assert ids(stream.events(2)) == made[1:]


def test_more_events_than_one_page_come_in_order(site: Site, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "MOST_REMEMBERED", 10)
    made = register(site.database, 450)
    with reading(served.port, site.tokens[Scope.READ], f"/api/events/stream?after={NIL}") as stream:
        assert ids(stream.events(450)) == made
        more = register(site.database, 350)
        assert ids(stream.events(350)) == more


def test_many_streams_cost_one_question(site: Site, served: Served) -> None:
    """And none while nobody listens."""
    register(site.database)
    token = site.tokens[Scope.READ]
    with asked(site.database) as statements:
        time.sleep(0.6)
        assert statements == []
        with (
            reading(served.port, token) as one,
            reading(served.port, token) as two,
            reading(served.port, token) as three,
        ):
            began = time.monotonic()
            (uuid,) = register(site.database)
            for stream in (one, two, three):
                assert ids(stream.events(1)) == [uuid]
            time.sleep(1)
            assert 3 <= len(statements) <= 10 + (time.monotonic() - began) * 4


@contextmanager
def asked(database: Database) -> Iterator[list[str]]:
    """Statements about the order of events."""
    found: list[str] = []

    def note(*given: Any) -> None:
        if "events.position" in given[2]:
            found.append(given[2])

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def test_a_quiet_stream_says_how_far_it_is(site: Site, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "BEAT_SECONDS", 0.5)
    path = f"/api/events/stream?project_uuid={OTHER.project_uuid}"
    with reading(served.port, site.tokens[Scope.READ], path) as stream:
        stream.next()
        (passed,) = register(site.database)
        deadline = time.monotonic() + 5
        while (told := stream.next()) != Told(id=passed):
            assert told == Told(id=str(NIL))
            assert time.monotonic() < deadline


def test_a_token_that_is_revoked_ends_the_stream(site: Site, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(event_stream, "CHECK_SECONDS", 0.2)
    with reading(served.port, site.tokens[Scope.READ]) as stream:
        assert stream.next() is not None
        with site.database.writing() as session:
            session.execute(update(AccessToken).values(revoked_at=datetime.now(UTC)))
        told = [one for one in iter(stream.next, None) if one.comment]
    assert "opens nothing" in told[-1].comment
    with reading(served.port, site.tokens[Scope.READ]) as stream:
        assert stream.status == 401


def test_the_wait_for_a_check_and_a_beat_is_less_than_a_minute() -> None:
    assert event_stream.CHECK_SECONDS + event_stream.BEAT_SECONDS < 60


def test_at_the_end_of_the_process_a_stream_ends_whole(site: Site, served: Served) -> None:
    with reading(served.port, site.tokens[Scope.READ]) as stream:
        stream.next()
        began = time.monotonic()
        served.shut_down()
        told = list(iter(stream.next, None))
        assert time.monotonic() - began < 1
    assert told[-1].comment == "This process ends. Connect again."


def test_a_reader_who_goes_leaves_nothing_behind(site: Site, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(event_feed, "MOST_LISTENERS", 2)
    token = site.tokens[Scope.READ]
    with reading(served.port, token) as one, reading(served.port, token) as two:
        assert one.next() == two.next()
        with reading(served.port, token) as three:
            assert three.status == 503
            assert "retry-after: 10" in three.head.lower()
    deadline = time.monotonic() + 10
    while True:
        with reading(served.port, token) as stream:
            if stream.status == 200:
                return
        assert time.monotonic() < deadline
        time.sleep(0.1)


BAD: list[tuple[str, dict[str, str], str]] = [
    ("?after=canary-7", {}, "query.after"),
    ("?type=Canary-7", {}, "query.type"),
    ("?project_uuid=canary-7", {}, "query.project_uuid"),
    ("?since=canary-7", {}, "query.since"),
    ("?since=0001-01-01T00:00:00%2B23:00", {}, "query.since"),
    ("?canary-7=1", {}, "query"),
    ("", {"Last-Event-ID": "canary-7"}, "headers.Last-Event-ID"),
]


def test_a_bad_request_is_answered_before_the_stream_begins(site: Site, served: Served) -> None:
    for query, headers, where in BAD:
        with reading(served.port, site.tokens[Scope.READ], f"/api/events/stream{query}", headers) as stream:
            assert stream.status == 400, query
            problem = json.loads(stream.body())
        assert "application/problem+json" in stream.head
        assert problem["errors"][0]["where"].startswith(where)
        assert "canary" not in json.dumps(problem).lower()


def test_an_event_that_is_forgotten_is_gone(site: Site, served: Served) -> None:
    (uuid,) = register(site.database)
    with site.database.writing() as session:
        session.execute(delete(Event))
    for unknown in (uuid, new_uuid()):
        with reading(served.port, site.tokens[Scope.READ], headers={"Last-Event-ID": str(unknown)}) as stream:
            assert stream.status == 410


def test_who_may_not_read_is_told_nothing(site: Site, served: Served) -> None:
    with reading(served.port, None) as stream:
        assert stream.status == 401
        assert "www-authenticate: bearer" in stream.head.lower()
    with reading(served.port, "orc_canary") as stream:
        assert stream.status == 401
        assert "canary" not in stream.body()
    with reading(served.port, site.tokens[Scope.AGENT]) as stream:
        assert stream.status == 403
    with reading(served.port, None, f"/api/events/stream?token={site.tokens[Scope.READ]}") as stream:
        assert stream.status == 401


@pytest.mark.parametrize("seed", range(2))
def test_slow_writers_and_a_reader_who_breaks_off_again_and_again(site: Site, served: Served, seed: int) -> None:
    """Every event that was committed exactly once, none of those that were not."""
    chance = random.Random(seed)
    kept: list[str] = []
    lock = threading.Lock()
    plans = [[(chance.random() * 0.03, chance.random() < 0.2) for _ in range(10)] for _ in range(4)]

    def write(plan: list[tuple[float, bool]]) -> None:
        for pause, gives_up in plan:
            with site.database.writing() as session:
                made = [str(register_project_created_event(session, FACTS)) for _ in range(2)]
                time.sleep(pause)
                if gives_up:
                    session.rollback()
            if not gives_up:
                with lock:
                    kept.extend(made)

    writers = [threading.Thread(target=write, args=(plan,)) for plan in plans]
    for writer in writers:
        writer.start()
    seen: list[str] = []
    while any(writer.is_alive() for writer in writers) or len(seen) < len(kept):
        last = {"Last-Event-ID": seen[-1] if seen else str(NIL)}
        with reading(served.port, site.tokens[Scope.READ], headers=last) as stream:
            seen += ids(stream.events(min(chance.randint(1, 9), max(1, len(kept) - len(seen)))))
    for writer in writers:
        writer.join()
    assert len(kept) > 40
    assert sorted(seen) == sorted(kept)


# Websockets.


@contextmanager
def talking(
    served: Served, token: str | None, path: str = "/api/events/stream", **rest: Any
) -> Iterator[ClientConnection]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with connect(f"ws://127.0.0.1:{served.port}{path}", additional_headers=headers, proxy=None, **rest) as websocket:
        yield websocket


def closed(websocket: ClientConnection) -> tuple[int, str]:
    """How it ends."""
    with pytest.raises(ConnectionClosed) as caught:
        deque(iter(lambda: websocket.recv(timeout=10), None))
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


def message(websocket: ClientConnection) -> Any:
    return json.loads(websocket.recv(timeout=10))


def test_a_websocket_tells_the_same(site: Site, served: Served) -> None:
    made = register(site.database, 3)
    with talking(served, site.tokens[Scope.READ], f"/api/events/stream?after={made[0]}") as websocket:
        assert message(websocket) == {"id": made[0]}
        told = [message(websocket), message(websocket)]
        (uuid,) = register(site.database)
        told.append(message(websocket))
    assert [one["id"] for one in told] == [*made[1:], uuid]
    assert told[2] == {"id": uuid, "type": "project:created", "data": json.loads(site.events()[-1].payload)}


def test_a_browser_gives_its_token_as_a_protocol_and_gets_it_never_back(site: Site, served: Served) -> None:
    protocols: Any = ["orchest.events", f"orchest.bearer.{site.tokens[Scope.READ]}"]
    origin: Any = f"http://127.0.0.1:{served.port}"
    with talking(served, None, subprotocols=protocols, origin=origin) as websocket:
        assert websocket.subprotocol == "orchest.events"
        assert message(websocket) == {"id": str(NIL)}


def test_a_page_of_another_site_is_refused(site: Site, served: Served) -> None:
    for origin in (
        "https://elsewhere.example",
        "null",
        "http://[",
        f"http://127.0.0.1:{served.port}.elsewhere.example",
    ):
        given: Any = origin
        with pytest.raises(InvalidStatus) as caught, talking(served, site.tokens[Scope.READ], origin=given):
            pass
        assert caught.value.response.status_code == 403


REFUSED: list[tuple[Scope | None, str, str]] = [
    (None, "", "A token is needed"),
    (Scope.AGENT, "", "scope read"),
    (Scope.READ, "?after=canary-7", "query.after"),
    (Scope.READ, "?after=5f4b8f0e-6c0d-4a52-9d52-9b1c1f3f6a77", "not there"),
]


def test_a_websocket_that_is_refused_is_told_why(site: Site, served: Served) -> None:
    for scope, query, says in REFUSED:
        with talking(served, scope and site.tokens[scope], f"/api/events/stream{query}") as websocket:
            code, reason = closed(websocket)
        assert code == 1008
        assert says in reason
        assert "canary" not in reason


def test_a_websocket_is_closed_when_its_token_is_revoked(
    site: Site, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(event_stream, "CHECK_SECONDS", 0.2)
    with talking(served, site.tokens[Scope.READ]) as websocket:
        message(websocket)
        with site.database.writing() as session:
            session.execute(update(AccessToken).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
        code, reason = closed(websocket)
    assert code == 1008
    assert "opens nothing" in reason


def test_a_websocket_is_closed_by_1012_at_the_end_of_the_process(site: Site, served: Served) -> None:
    with talking(served, site.tokens[Scope.READ]) as websocket:
        message(websocket)
        began = time.monotonic()
        served.shut_down()
        code, _ = closed(websocket)
        assert time.monotonic() - began < 1
    assert code == 1012


def test_who_talks_into_a_stream_is_closed_out(site: Site, served: Served) -> None:
    for said in ("text", b"bytes"):
        with talking(served, site.tokens[Scope.READ]) as websocket:
            message(websocket)
            websocket.send(said)
            assert closed(websocket)[0] == 1003


def test_a_websocket_that_is_gone_listens_no_more(site: Site, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "MOST_LISTENERS", 1)
    for _ in range(3):
        with talking(served, site.tokens[Scope.READ]) as websocket:
            assert "id" in message(websocket)
        time.sleep(0.3)
