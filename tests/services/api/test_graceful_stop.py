"""SIGTERM under load: what was accepted is answered and kept, who listens is told goodbye, and then it is over."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from outbox.database import Database
from outbox.events.records import EventFilter, list_events
from services.api.domain.models import ProjectRow
from tests.outbox.programs import eventually
from tests.services.api.live import LiveApi, ask_on, serving

if TYPE_CHECKING:
    from pathlib import Path

CLIENTS = 16
SLOW_SECONDS = 1.5
"""How long the slowest request takes its time after SIGTERM."""
MOST_SECONDS = 2.0
"""Beyond the longest request."""


@dataclass
class Poster:
    """Adds projects, one after the other, on a connection that it keeps, until the API is gone."""

    api: LiveApi
    created: list[UUID] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    """Statuses other than 201."""
    lost: list[str] = field(default_factory=list)
    """Requests that were sent and never answered."""

    def post(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=20)
        with closing(connection):
            while self._is_connected(connection):
                uuid = uuid4()
                body = {"uuid": str(uuid), "name": f"project {uuid}"}
                try:
                    answer = ask_on(connection, "POST", "/api/projects/", body, self.api.authorization)
                except (http.client.HTTPException, OSError) as error:
                    self.lost.append(repr(error))
                    return
                self.created.append(uuid) if answer.status == 201 else self.refused.append(answer.status)

    @staticmethod
    def _is_connected(connection: http.client.HTTPConnection) -> bool:
        """Anew, when the server said that the last answer was the last on that connection."""
        try:
            if connection.sock is None:
                connection.connect()
        except ConnectionRefusedError:
            return False
        return True


@dataclass
class SseListener:
    api: LiveApi
    events: list[str] = field(default_factory=list)
    last_words: str = ""
    """Heard, and after them the chunk that says that there is no more."""

    def listen(self) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=20)) as connection:
            connection.request("GET", "/api/events/stream", headers=dict(self.api.authorization))
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            lines = [""]
            for line in answer:
                lines.append(line.decode().strip())
                if line.startswith(b"event: "):
                    self.events.append(lines[-1])
            self.last_words = [line for line in lines if line][-1]


@dataclass
class WebsocketListener:
    api: LiveApi
    events: list[str] = field(default_factory=list)
    close_code: int | None = None

    def listen(self) -> None:
        url = f"ws://127.0.0.1:{self.api.port}/api/events/stream"
        with connect(url, additional_headers=self.api.authorization) as websocket:
            try:
                while True:
                    self.events.append(str(websocket.recv(timeout=20)))
            except ConnectionClosed as closed:
                self.close_code = closed.rcvd.code if closed.rcvd else None


def test_at_sigterm_nothing_that_was_accepted_is_lost(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path, ORCHEST_API_REQUESTS_A_MINUTE="1000000000") as api:
        posters = [Poster(api) for _ in range(CLIENTS)]
        streams = [SseListener(api) for _ in range(2)]
        websockets = [WebsocketListener(api) for _ in range(2)]
        listeners: tuple[SseListener | WebsocketListener, ...] = (*streams, *websockets)
        jobs = [*(one.listen for one in listeners), *(one.post for one in posters)]
        threads = [threading.Thread(target=job, daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        slow = SlowRequest(api)
        eventually(lambda: all(one.events for one in listeners))
        eventually(lambda: all(len(one.created) >= 5 for one in posters), 30)

        api.process.terminate()
        terminated = time.monotonic()
        time.sleep(SLOW_SECONDS)
        assert slow.finished().startswith(b"HTTP/1.1 201")
        assert api.ended() == 0
        assert time.monotonic() - terminated < SLOW_SECONDS + MOST_SECONDS
        for thread in threads:
            thread.join(5)
            assert not thread.is_alive()

        assert [one.lost for one in posters] == [[]] * CLIENTS
        assert [one.refused for one in posters] == [[]] * CLIENTS
        assert [one.last_words for one in streams] == [": This process ends. Connect again."] * 2
        assert [one.close_code for one in websockets] == [1012] * 2
        assert len(api.log("stopped")) == 1
        assert "Traceback" not in api.output
    created = {uuid for one in posters for uuid in one.created} | {slow.uuid}
    with closing(Database(database_url)) as database, database.reading() as session:
        assert created <= {row.uuid for row in session.query(ProjectRow)}
        told = {event.project_uuid for event in list_events(session, EventFilter("project:created"), None, 1_000_000)}
        assert created <= told


class SlowRequest:
    """Begun before the signal, and finished after it."""

    def __init__(self, api: LiveApi) -> None:
        self.uuid = uuid4()
        body = json.dumps({"uuid": str(self.uuid)}).encode()
        head = (
            "POST /api/projects/ HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
            f"Authorization: {api.authorization['Authorization']}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._rest = body[5:]
        self._client = socket.create_connection(("127.0.0.1", api.port), 20)
        self._client.sendall(head.encode() + body[:5])

    def finished(self) -> bytes:
        with closing(self._client), suppress(BrokenPipeError, ConnectionResetError):
            self._client.sendall(self._rest)
            return self._client.recv(65536)
        return b""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_idle_server_ends_at_once(tmp_path: Path, workers: str) -> None:
    url = f"sqlite:///{tmp_path / 'history.db'}"
    with serving(url, tmp_path, "--workers", workers) as api, closing(kept_alive(api)) as idle:
        api.process.terminate()
        terminated = time.monotonic()
        assert api.ended() == 0
        assert time.monotonic() - terminated < MOST_SECONDS
        idle.sock.settimeout(1)
        assert idle.sock.recv(1) == b""


def test_a_request_that_never_ends_is_given_up_when_the_grace_is_over(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'history.db'}"
    with serving(url, tmp_path, ORCHEST_API_GRACE_SECONDS="3") as api:
        slow = SlowRequest(api)
        eventually(lambda: "in_flight 2.0" in api.ask("GET", "/metrics").body.decode())
        api.process.terminate()
        terminated = time.monotonic()
        assert api.ended() == 0
        assert time.monotonic() - terminated < 3 + MOST_SECONDS
        assert slow.finished().startswith(b"HTTP/1.1 503")
        assert "Traceback" not in api.output
        assert [line["status"] for line in api.log("request") if line["operation"] == "create_project"] == [503]


def kept_alive(api: LiveApi) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)
    assert ask_on(connection, "GET", "/healthz", None, {}).status == 200
    return connection
