"""The main thread of a worker: signals, deadlines, and the end of a process whose engine fails. Real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from outbox.redis_server import socket_url
from outbox.supervisor import Silence
from tests.outbox.programs import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = """
import os, sys, threading, time
from pathlib import Path
from outbox.log import log_to_stderr
from outbox.redis_server import RedisServer
from outbox.supervisor import Supervisor

class Engine:
    last_beat = 0.0

    def __init__(self):
        self.stopping = threading.Event()
        self.deadline = 0.0

    def stop(self, deadline):
        self.deadline = deadline
        self.stopping.set()

class Obedient(Engine):
    def run(self):
        while not self.stopping.wait(0.05):
            self.last_beat = time.monotonic()
        print("grace", round(self.deadline - time.monotonic()), flush=True)

class Busy(Engine):
    '''Needs a second to finish what is in flight.'''
    def run(self):
        while not self.stopping.wait(0.05):
            self.last_beat = time.monotonic()
        time.sleep(1)
        print("finished", flush=True)

class Failing(Engine):
    def run(self):
        time.sleep(0.2)
        raise RuntimeError("a defect")

class Returning(Engine):
    def run(self):
        time.sleep(0.2)

class Silent(Engine):
    def run(self):
        self.last_beat = time.monotonic()
        time.sleep(3600)

class Stubborn(Engine):
    def run(self):
        while True:
            self.last_beat = time.monotonic()
            time.sleep(0.05)

log_to_stderr()
engine = globals()[sys.argv[1]]()
supervisor = Supervisor(engine, float(sys.argv[2]), RedisServer(Path(sys.argv[3])))
print("started", flush=True)
code = supervisor.run()
sys.stderr.flush()
os._exit(code)
"""


class Program:
    def __init__(self, engine: str, grace: float, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, engine, str(grace), str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "started\n"
        eventually((folder / "redis.sock").exists)
        time.sleep(0.2)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, seconds: float) -> tuple[int, str, list[dict[str, str]]]:
        """Exit code, standard output, log lines."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, [json.loads(line) for line in err.splitlines()]


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    started: list[Program] = []
    yield started
    for program in started:
        program.process.kill()
        program.process.communicate()


def started(programs: list[Program], tmp_path: Path, engine: str, grace: float = 20) -> Program:
    programs.append(Program(engine, grace, tmp_path / "redis"))
    return programs[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_engine_with_its_grace_and_exits_0(
    number: signal.Signals, programs: list[Program], tmp_path: Path
) -> None:
    program = started(programs, tmp_path, "Obedient", grace=7)
    program.signal(number)
    code, out, log = program.ended(5)
    assert code == 0
    assert out == "grace 7\n"
    assert [(line["level"], line["message"]) for line in log] == [
        ("info", "the embedded Redis runs"),
        ("info", "delivering"),
        ("info", "stopping"),
        ("info", "stopped"),
    ]
    assert log[2]["signal"] == number.name


def test_the_engine_may_finish_what_is_in_flight(programs: list[Program], tmp_path: Path) -> None:
    program = started(programs, tmp_path, "Busy")
    program.signal(signal.SIGTERM)
    code, out, _ = program.ended(5)
    assert (code, out) == (0, "finished\n")


def test_a_second_signal_ends_at_once(programs: list[Program], tmp_path: Path) -> None:
    program = started(programs, tmp_path, "Stubborn")
    program.signal(signal.SIGINT)
    time.sleep(0.3)
    program.signal(signal.SIGINT)
    code, _, log = program.ended(2)
    assert code == 130
    assert log[-1]["message"] == "ended at once"


def test_an_engine_that_does_not_stop_is_left_behind_after_the_deadline(
    programs: list[Program], tmp_path: Path
) -> None:
    program = started(programs, tmp_path, "Stubborn", grace=0.5)
    program.signal(signal.SIGTERM)
    began = time.monotonic()
    code, _, log = program.ended(15)
    assert code == 1
    assert 5 < time.monotonic() - began < 8
    assert log[-1] | {"time": ""} == {
        "time": "",
        "level": "critical",
        "logger": "outbox.worker",
        "message": "the engine did not stop; its leases will run out",
    }


def test_a_dead_engine_ends_the_process_and_its_defect_is_told(programs: list[Program], tmp_path: Path) -> None:
    code, _, log = started(programs, tmp_path, "Failing").ended(5)
    assert code == 1
    assert log[-1]["message"] == "the engine has ended, so must this process"
    assert "RuntimeError: a defect" in log[-1]["traceback"]


def test_an_engine_that_returns_unasked_ends_the_process(programs: list[Program], tmp_path: Path) -> None:
    code, _, log = started(programs, tmp_path, "Returning").ended(5)
    assert code == 1
    assert log[-1]["message"] == "the engine has ended, so must this process"


def test_an_engine_silent_for_10_seconds_ends_the_process(programs: list[Program], tmp_path: Path) -> None:
    began = time.monotonic()
    code, _, log = started(programs, tmp_path, "Silent").ended(20)
    assert code == 1
    assert 9 < time.monotonic() - began < 16
    assert log[-1]["message"] == "the engine has been silent for 10 s, so this process must end"


def test_a_killed_redis_is_started_again(programs: list[Program], tmp_path: Path) -> None:
    from redis import Redis

    program = started(programs, tmp_path, "Obedient")
    with Redis.from_url(socket_url(program.folder), protocol=2) as client:
        client.shutdown(nosave=True)
    eventually(lambda: not (program.folder / "redis.sock").exists())
    eventually((program.folder / "redis.sock").exists)
    program.signal(signal.SIGTERM)
    code, _, log = program.ended(5)
    assert code == 0
    assert [line["message"] for line in log].count("the embedded Redis runs") == 2


def test_without_a_place_for_redis_the_process_goes_on_and_says_so_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "Obedient", "1", str(tmp_path / "file" / "redis")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(2.5)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=5)
    assert process.returncode == 0
    assert err.count("no embedded Redis, the sweep finds what is due") == 1


class TestSilence:
    def test_it_grows_while_nothing_is_heard(self) -> None:
        silence = Silence(0.0)
        assert [silence.after(0.0, now / 2) for now in range(1, 5)] == [0.5, 1.0, 1.5, 2.0]

    def test_a_beat_ends_it(self) -> None:
        silence = Silence(0.0)
        silence.after(0.0, 0.5)
        assert silence.after(0.7, 1.0) == 0.0
        assert silence.after(0.7, 1.5) == 0.5

    def test_time_in_which_the_process_did_not_run_is_not_counted(self) -> None:
        silence = Silence(0.0)
        silence.after(0.5, 0.5)
        assert silence.after(0.5, 600.0) == 1.0
