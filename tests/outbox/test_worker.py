"""`orchest worker` as it is started, stopped, killed and disturbed; on both databases, with a receiver that counts."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from outbox.redis_server import RedisServer, socket_url
from reconciler.cli import wiring
from tests.outbox.programs import eventually
from tests.outbox.station import KEY, Receiver, Station, Worker, receiving, station, working

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Iterator[Station]:
    with station(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Iterator[Station]:
    """Where the kind of the database makes no difference."""
    with station(f"sqlite:///{tmp_path / 'state.db'}", tmp_path) as opened:
        yield opened


def redis_pid(place: Station) -> int:
    with Redis.from_url(socket_url(place.redis_folder), protocol=2) as client:
        return int(client.info("server")["process_id"])


def test_an_event_is_delivered_by_a_hint_long_before_the_sweep(place: Station, receiver: Receiver) -> None:
    """The sweep alone would take half a second on average."""
    place.subscribe(receiver)
    with working(place):
        place.hinter.hint()
        eventually(lambda: place.hinter.counts.sent)
        waited = []
        for number in range(1, 16):
            place.happens()
            committed = time.time()
            eventually(lambda wanted=number: len(receiver.arrived) == wanted)  # type: ignore[misc]
            waited.append(receiver.arrived[-1][0] - committed)
            time.sleep(0.05)
    assert statistics.median(waited) < 0.3


def test_without_redis_the_sweep_finds_it(place: Station, receiver: Receiver) -> None:
    place.subscribe(receiver)
    with working(place, "--no-redis"):
        assert not place.redis_folder.exists()
        for number in range(1, 4):
            place.happens()
            eventually(lambda wanted=number: len(receiver.arrived) == wanted, 3)  # type: ignore[misc]


def test_what_was_committed_while_no_worker_ran_is_delivered_when_one_starts(
    place: Station, receiver: Receiver
) -> None:
    place.subscribe(receiver)
    event = place.happens()
    with working(place):
        eventually(lambda: place.is_delivered(event))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_worker_finishes_what_is_in_flight_and_claims_nothing_more(
    number: signal.Signals, place: Station, receiver: Receiver
) -> None:
    place.subscribe(receiver)
    receiver.may_answer.clear()
    with working(place) as worker:
        in_flight = place.happens()
        eventually(lambda: receiver.arrived)
        worker.process.send_signal(number)
        worker.says("stopping")
        late = place.happens()
        time.sleep(1.5)
        assert worker.process.poll() is None
        receiver.may_answer.set()
        assert worker.ended() == 0
    assert place.is_delivered(in_flight)
    assert place.delivery_of(late).status == "scheduled"
    assert place.delivery_of(late).attempts == 0


def test_what_is_still_in_flight_at_the_deadline_is_given_back_at_once(place: Station, receiver: Receiver) -> None:
    """The lease is a minute; the next worker need not wait for that."""
    place.subscribe(receiver)
    receiver.may_answer.clear()
    with working(place, "--grace", "0.5") as worker:
        event = place.happens()
        eventually(lambda: receiver.arrived)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.ended() == 0
    receiver.may_answer.set()
    with working(place):
        eventually(lambda: place.is_delivered(event), 10)
    assert len(set(receiver.ids())) == 1


def test_after_a_kill_the_next_attempt_comes_when_the_lease_ends(place: Station, receiver: Receiver) -> None:
    place.subscribe(receiver)
    receiver.may_answer.clear()
    with working(place, "--lease", "4") as worker:
        event = place.happens()
        eventually(lambda: receiver.arrived)
        worker.process.kill()
        worker.ended()
    receiver.may_answer.set()
    with working(place, "--lease", "4"):
        eventually(lambda: place.is_delivered(event), 15)
    assert 3.5 <= receiver.arrived[1][0] - receiver.arrived[0][0] <= 4 + 1.2 + 5, "lease, sweep, a slow machine"
    assert len(set(receiver.ids())) == 1


def test_a_frozen_worker_goes_on_when_it_is_continued(place: Station, receiver: Receiver) -> None:
    place.subscribe(receiver)
    with working(place, "--no-redis") as worker:
        worker.process.send_signal(signal.SIGSTOP)
        time.sleep(2)
        worker.process.send_signal(signal.SIGCONT)
        event = place.happens()
        eventually(lambda: place.is_delivered(event), 10)
        assert worker.process.poll() is None


def test_the_embedded_redis_dies_with_its_worker(sqlite_place: Station) -> None:
    with working(sqlite_place) as worker:
        pid = redis_pid(sqlite_place)
        worker.process.kill()
        eventually(lambda: not is_alive(pid))


def test_a_second_worker_shares_redis_and_inherits_it(sqlite_place: Station, receiver: Receiver) -> None:
    sqlite_place.subscribe(receiver)
    with working(sqlite_place) as first:
        pid = redis_pid(sqlite_place)
        with working(sqlite_place) as second:
            assert redis_pid(sqlite_place) == pid
            first.process.send_signal(signal.SIGTERM)
            assert first.ended() == 0
            second.says("the embedded Redis runs")
            assert redis_pid(sqlite_place) != pid
            event = sqlite_place.happens()
            eventually(lambda: sqlite_place.is_delivered(event))


@pytest.mark.parametrize("fault", ["FLUSHALL", "SIGKILL", "SIGSTOP"])
def test_redis_may_suffer_anything_and_costs_no_delivery(fault: str, sqlite_place: Station, receiver: Receiver) -> None:
    sqlite_place.subscribe(receiver)
    with working(sqlite_place) as worker:
        pid = redis_pid(sqlite_place)
        for number in range(1, 31):
            sqlite_place.happens()
            if number == 10:
                disturb(fault, sqlite_place, pid)
            time.sleep(0.01)
        eventually(lambda: len(set(receiver.ids())) == 30)
        if fault == "SIGSTOP":
            os.kill(pid, signal.SIGCONT)
        assert worker.process.poll() is None


def disturb(fault: str, place: Station, pid: int) -> None:
    if fault == "FLUSHALL":
        with Redis.from_url(socket_url(place.redis_folder), protocol=2) as client:
            client.flushall()
    else:
        os.kill(pid, signal.Signals[fault])


def test_a_configured_redis_is_used_instead_of_an_embedded_one(sqlite_place: Station, tmp_path: Path) -> None:
    from tests.outbox.programs import running_redis

    with running_redis(tmp_path) as redis:
        url = f"unix://user:s3cret@{redis.socket}"
        redis.ask("ACL", "SETUSER", "user", "on", ">s3cret", "allkeys", "allcommands", "allchannels")
        with working(sqlite_place, ORCHEST_REDIS_URL=url) as worker:
            eventually(lambda: redis.ask("SCARD", "rq:workers") == ":1")
            assert not sqlite_place.redis_folder.exists()
            assert "s3cret" not in worker.log_file.read_text()


def test_the_first_line_says_what_is_used_without_any_secret(sqlite_place: Station) -> None:
    with working(sqlite_place) as worker:
        (line,) = [line for line in worker.log() if line["message"] == "starting"]
    assert line["database"].endswith("state.db")
    assert line["hints"] == "embedded Redis, for this host"
    assert KEY not in worker.log_file.read_text()


def test_metrics_are_served_where_asked(sqlite_place: Station) -> None:
    port = free_port()
    with working(sqlite_place, "--metrics-port", str(port)):
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    assert "orchest_" in text


UNUSABLE = [
    ({"ORCHEST_REDIS_URL": "http://:s3cret@host"}, (), "ORCHEST_REDIS_URL is not a Redis URL"),
    ({"ORCHEST_DATABASE_URL": "mysql://:s3cret@host/x"}, (), "not a database that can be used"),
    ({"ORCHEST_DATABASE_URL": "postgresql://u:s3cret@127.0.0.1:1/x"}, (), "Check that PostgreSQL runs"),
    ({"ORCHEST_SECRET_KEYS": "s3cret"}, (), "key ring for stored secrets"),
    ({"ORCHEST_ALLOWED_NETWORKS": "10.0.0.0/33"}, (), "ORCHEST_ALLOWED_NETWORKS"),
    ({}, ("--metrics-port", "{taken}"), "Address already in use"),
]


@pytest.mark.parametrize(("environment", "options", "message"), UNUSABLE)
def test_what_cannot_be_used_is_said_at_the_start(
    environment: dict[str, str], options: tuple[str, ...], message: str, sqlite_place: Station
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = [word.format(taken=taken.getsockname()[1]) for word in options]
        worker = Worker(sqlite_place, *words, **environment)
        assert worker.ended(30) == 1
    text = worker.log_file.read_text()
    assert text.startswith("Error: ")
    assert message in text
    assert "s3cret" not in text
    assert "Traceback" not in text


def test_a_wrong_option_is_a_usage_error(sqlite_place: Station) -> None:
    worker = Worker(sqlite_place, "--lease", "0")
    assert worker.ended(30) == 64


def test_a_command_that_commits_an_event_hints_it_through_the_embedded_redis(
    sqlite_place: Station, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sqlite_place.environment.items():
        monkeypatch.setenv(name, value)
    sqlite_place.subscribe(receiver)
    server = RedisServer(sqlite_place.redis_folder)
    server.tend(time.monotonic())
    with wiring.database() as database, database.writing() as session:
        sqlite_place.record(session)
    with Redis.from_url(socket_url(sqlite_place.redis_folder), protocol=2) as client:
        eventually(lambda: client.llen("rq:queue:orchest-outbox") == 1)
    server.close()


HOSTILE = """
import os, sys, time
from pathlib import Path
from outbox.database import Database
from outbox.delivery.engine import Engine, EngineSettings
from outbox.key_ring import KeyRing
from outbox.log import log_to_stderr
from outbox.supervisor import Supervisor

class Hostile:
    batch_size = 1
    async def send(self, parcels, now):
        time.sleep(3600)

log_to_stderr()
engine = Engine(Database(sys.argv[1]), {"webhook": Hostile()}, KeyRing([sys.argv[2]]), EngineSettings())
os._exit(Supervisor(engine, 20).run())
"""


def test_a_blocked_engine_ends_the_process(sqlite_place: Station, receiver: Receiver) -> None:
    sqlite_place.subscribe(receiver)
    sqlite_place.happens()
    url = sqlite_place.environment["ORCHEST_DATABASE_URL"]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, url, KEY], capture_output=True, text=True, timeout=40, check=False
    )
    assert done.returncode == 1
    assert "the engine has been silent for 10 s" in done.stderr
    assert 9 < time.monotonic() - began < 20


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
