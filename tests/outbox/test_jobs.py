"""Hints are heard whatever happens to Redis, by a real redis-server; and nothing but a hint is believed."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from outbox.hint import Hinter
from outbox.jobs import DrainThread, RedisUrlError, check_redis_url, place
from tests.outbox.programs import RedisProgram, eventually, running_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProgram]:
    with running_redis(tmp_path) as program:
        yield program


class Listener:
    """A running drain thread whose drains can be held open."""

    def __init__(self, redis: RedisProgram) -> None:
        self.drains = 0
        self.may_end = threading.Event()
        self.may_end.set()
        self.hinter = Hinter(lambda: redis.url)
        self.thread = DrainThread(lambda: redis.url, self._drain)
        self.thread.start()

    def _drain(self, seconds: float) -> None:
        self.drains += 1
        self.may_end.wait(seconds)

    def hears(self) -> None:
        """Whatever happened before: a hint is heard again soon, without help."""
        before = self.drains

        def is_heard() -> bool:
            self.hinter.hint()
            return self.drains > before

        eventually(is_heard, 15)


@pytest.fixture
def listener(redis: RedisProgram) -> Iterator[Listener]:
    listener = Listener(redis)
    yield listener
    listener.may_end.set()
    listener.thread.end()
    listener.thread.join(10)
    assert not listener.thread.is_alive()


def nothing(_redis: RedisProgram) -> None:
    """The positive control."""


def killed_and_started(redis: RedisProgram) -> None:
    redis.kill()
    time.sleep(0.3)
    redis.start()


def wiped(redis: RedisProgram) -> None:
    assert redis.ask("FLUSHALL") == "+OK"


def stopped_and_continued(redis: RedisProgram) -> None:
    redis.hang()
    time.sleep(1)
    redis.resume()


FAULTS = [nothing, killed_and_started, wiped, stopped_and_continued]


@pytest.mark.parametrize("fault", FAULTS)
def test_hints_are_heard_again_after_redis_suffered_while_idle(
    fault: Callable[[RedisProgram], None], redis: RedisProgram, listener: Listener
) -> None:
    listener.hears()
    fault(redis)
    listener.hears()


@pytest.mark.parametrize("fault", FAULTS)
def test_hints_are_heard_again_after_redis_suffered_during_a_drain(
    fault: Callable[[RedisProgram], None], redis: RedisProgram, listener: Listener
) -> None:
    listener.may_end.clear()
    listener.hears()
    fault(redis)
    listener.may_end.set()
    listener.hears()


def test_a_redis_that_is_absent_at_the_start_is_found_when_it_comes(redis: RedisProgram) -> None:
    redis.kill()
    listener = Listener(redis)
    time.sleep(0.5)
    redis.start()
    listener.hears()
    listener.thread.end()
    listener.thread.join(10)


def test_a_drain_is_given_one_second_to_wait_for_the_claim(redis: RedisProgram) -> None:
    given: list[float] = []
    thread = DrainThread(lambda: redis.url, given.append)
    thread.start()
    Hinter(lambda: redis.url).hint()
    eventually(lambda: given)
    thread.end()
    assert given == [1.0]


def test_a_drain_leaves_nothing_behind_in_redis_but_the_queues_names(redis: RedisProgram, listener: Listener) -> None:
    listener.hears()
    eventually(lambda: not threads_named("hint"))
    with Redis.from_url(redis.url, decode_responses=True) as client:
        eventually(lambda: not client.keys("rq:job:*") and not client.keys("rq:execution*"))
        lasting = {key for key in client.scan_iter() if client.ttl(key) == -1}
    assert lasting <= {"rq:queues", "rq:workers", "rq:workers:orchest-outbox"}


def test_ending_the_thread_does_not_wait_for_a_hint_that_never_comes(listener: Listener) -> None:
    listener.hears()
    began = time.monotonic()
    listener.thread.end()
    listener.thread.join(10)
    assert time.monotonic() - began < 3


def test_no_function_named_in_redis_is_ever_called(redis: RedisProgram, listener: Listener, tmp_path: Path) -> None:
    """Whoever can write to Redis must not be able to run code here: the job, its callbacks, its class."""
    listener.hears()
    traps = [tmp_path / name for name in ("job", "success", "failure")]
    with Redis.from_url(redis.url) as client:
        queue = Queue("orchest-outbox", connection=client, serializer=JSONSerializer)
        queue.enqueue_call("os.mkdir", args=(str(traps[0]),))
        heard = listener.drains
        for name in ("success", "failure"):
            job = queue.create_job("outbox.jobs.drain" if name == "success" else "os.nothing")
            job._success_callback_name = job._failure_callback_name = "tests.outbox.test_jobs.spring"
            job.meta = {"trap": str(tmp_path / name)}
            queue.enqueue_job(job)
        eventually(lambda: queue.count == 0)
    listener.hears()
    assert listener.drains > heard
    assert not any(trap.exists() for trap in traps)
    assert SPRUNG == []


SPRUNG: list[str] = []


def spring(job: object, *_: object) -> None:
    """What a hostile job names as its callback."""
    SPRUNG.append(str(job))


def test_commands_from_redis_are_not_heard(redis: RedisProgram, listener: Listener) -> None:
    """RQ's `shutdown` command would send SIGINT to this process."""
    listener.hears()
    with Redis.from_url(redis.url, decode_responses=True) as client:
        assert client.pubsub_channels("rq:pubsub:*") == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:s3cret@redis.example:6379/0", "redis://redis.example:6379/0"),
        ("rediss://user:s3cret@redis.example/1?password=s3cret", "rediss://redis.example/1"),
        ("unix://user:s3cret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
    ],
)
def test_a_redis_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    check_redis_url(url)
    assert place(url) == shown


@pytest.mark.parametrize("url", ["s3cret", "http://s3cret@host", "redis://:s3cret@host:port/0", "redis://[s3cret", ""])
def test_a_url_that_is_none_is_refused_with_the_mend(url: str) -> None:
    with pytest.raises(RedisUrlError, match=r"^ORCHEST_REDIS_URL is not a Redis URL\. Write redis://") as refused:
        check_redis_url(url)
    assert "s3cret" not in str(refused.value)


def threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]
