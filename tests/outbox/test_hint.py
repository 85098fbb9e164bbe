"""A hint is said soon after the commit, by a thread of its own, and whatever Redis does nobody waits or fails."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from outbox.hint import HintCounts, Hinter
from outbox.jobs import DrainThread
from tests.outbox.programs import RedisProgram, eventually, running_redis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUEUE = "rq:queue:orchest-outbox"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProgram]:
    with running_redis(tmp_path) as program:
        yield program


def said(hinter: Hinter, counts: HintCounts) -> None:
    eventually(lambda: hinter.counts == counts)


def test_a_hint_puts_one_job_into_the_queue(redis: RedisProgram) -> None:
    hinter = Hinter(lambda: redis.url)
    hinter.hint()
    said(hinter, HintCounts(sent=1))
    assert redis.ask("LLEN", QUEUE) == ":1"


def test_hints_that_nobody_has_taken_yet_do_not_pile_up(redis: RedisProgram) -> None:
    hinter = Hinter(lambda: redis.url)
    for number in range(1, 6):
        hinter.hint()
        said(hinter, HintCounts(sent=number))
    assert redis.ask("LLEN", QUEUE) == ":1"


def test_a_burst_is_said_at_most_every_20_ms(redis: RedisProgram) -> None:
    hinter = Hinter(lambda: redis.url)
    began = time.monotonic()
    for _ in range(1_000):
        hinter.hint()
    lasted = time.monotonic() - began
    eventually(lambda: not threads_named("hint"))
    assert 1 <= hinter.counts.sent <= lasted / 0.020 + 2


def test_the_last_event_of_a_burst_is_still_hinted(redis: RedisProgram) -> None:
    """Each drain notes what was committed when it began: the last commit must be among it."""
    committed: list[int] = []
    seen: list[int] = []
    drains = DrainThread(lambda: redis.url, lambda _seconds: seen.append(len(committed)))
    drains.start()
    hinter = Hinter(lambda: redis.url)
    for burst in range(120):
        time.sleep(0.021)
        for _ in range(2 + burst % 3):
            committed.append(burst)
            hinter.hint()
            # From at once to 4 ms later: also while the first hint is just being said.
            time.sleep(burst % 40 / 10_000)
        eventually(lambda: seen and seen[-1] == len(committed))
    drains.end()
    drains.join(5)


def test_a_hint_that_is_wanted_while_another_is_being_said_is_said_after_it(redis: RedisProgram) -> None:
    """What was committed meanwhile may not be covered by the one under way."""
    hinter = Hinter(lambda: redis.url)
    hinter.hint()
    said(hinter, HintCounts(sent=1))
    redis.hang()
    time.sleep(0.021)
    hinter.hint()
    time.sleep(0.010)
    hinter.hint()
    said(hinter, HintCounts(sent=1, failed=2))
    redis.resume()


def test_the_caller_never_waits_for_a_redis_that_hangs(redis: RedisProgram) -> None:
    hinter = Hinter(lambda: redis.url)
    hinter.hint()
    said(hinter, HintCounts(sent=1))
    redis.hang()
    longest = 0.0
    for _ in range(50):
        began = time.perf_counter()
        hinter.hint()
        longest = max(longest, time.perf_counter() - began)
        time.sleep(0.005)
    redis.resume()
    assert longest < 0.040, "less than one attempt at a Redis that hangs"
    eventually(lambda: hinter.counts.failed >= 1)


def test_after_three_failures_redis_is_left_alone_for_a_while_and_then_tried_again(redis: RedisProgram) -> None:
    redis.kill()
    hinter = Hinter(lambda: redis.url)
    for number in range(1, 4):
        hinter.hint()
        said(hinter, HintCounts(failed=number))
    hinter.hint()
    said(hinter, HintCounts(failed=3, skipped=1))
    redis.start()
    time.sleep(2)
    hinter.hint()
    said(hinter, HintCounts(sent=1, failed=3, skipped=1))


@pytest.mark.parametrize(
    "address", ["nonsense", "redis://127.0.0.1:1/0", "unix:///nowhere", "unix:///" + "x" * 200, ""]
)
def test_an_address_without_redis_is_counted_and_never_raises(address: str) -> None:
    hinter = Hinter(lambda: address)
    hinter.hint()
    said(hinter, HintCounts(failed=1))


def test_a_command_that_ends_right_after_its_commit_still_says_its_hint(redis: RedisProgram) -> None:
    program = f"from outbox.hint import Hinter\nhinter = Hinter(lambda: {redis.url!r})\nhinter.hint()\nhinter.hint()"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)
    assert redis.ask("LLEN", QUEUE) == ":1"


@pytest.mark.parametrize("hints", [0, 1])
def test_without_a_listener_at_the_socket_neither_rq_nor_redis_is_imported(hints: int, tmp_path: Path) -> None:
    program = (
        "import sys, threading\nfrom outbox.hint import Hinter\n"
        f"hinter = Hinter(lambda: 'unix://{tmp_path}/redis.sock')\n"
        f"for _ in range({hints}): hinter.hint()\n"
        "[thread.join() for thread in threading.enumerate() if thread.name == 'hint']\n"
        f"assert hinter.counts.failed == {hints}\n"
        "assert not {'rq', 'redis'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)


def threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]
