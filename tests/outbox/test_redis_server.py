"""The embedded Redis: one owner, gone with it, and found by everybody who looks in its folder."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from outbox.redis_server import RedisServer, RedisServerError, socket_url
from tests.outbox.programs import eventually, redis_program

if TYPE_CHECKING:
    from collections.abc import Iterator

OWNER = """
import sys, time
from pathlib import Path
from outbox.redis_server import RedisServer
server = RedisServer(Path(sys.argv[1]))
print(server.tend(time.monotonic()), flush=True)
sys.stdin.read()
server.close()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    assert server.tend(time.monotonic())
    yield server
    server.close()


def started_elsewhere(folder: Path) -> subprocess.Popen[str]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "True\n"
    return owner


def ended(owner: subprocess.Popen[str]) -> None:
    owner.communicate(timeout=10)


def pid_at(folder: Path) -> int:
    with Redis.from_url(socket_url(folder), protocol=2) as client:
        return int(client.info("server")["process_id"])


def is_gone(pid: int) -> bool:
    """Or a zombie, which is gone but for its entry."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_the_server_answers_at_its_socket_and_has_no_port(server: RedisServer, tmp_path: Path) -> None:
    assert server.is_owner
    with Redis.from_url(socket_url(tmp_path / "redis"), protocol=2) as client:
        assert client.ping()
        assert client.config_get("port") == {"port": "0"}


def test_nobody_but_the_user_can_reach_it(server: RedisServer, tmp_path: Path) -> None:
    del server
    folder = tmp_path / "redis"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "redis.sock").stat().st_mode) == 0o700


def test_a_folder_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    folder.mkdir(mode=0o755)
    server = RedisServer(folder)
    server.tend(time.monotonic())
    server.close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_it_keeps_nothing_on_disk(server: RedisServer, tmp_path: Path) -> None:
    with Redis.from_url(socket_url(tmp_path / "redis"), protocol=2) as client:
        client.set("key", "value")
    server.close()
    assert [path.name for path in (tmp_path / "redis").iterdir()] == ["owner.lock"]


def test_closing_ends_the_server(server: RedisServer, tmp_path: Path) -> None:
    pid = pid_at(tmp_path / "redis")
    server.close()
    assert is_gone(pid)
    assert not server.is_owner


def test_a_second_process_uses_the_server_of_the_first(server: RedisServer, tmp_path: Path) -> None:
    second = RedisServer(tmp_path / "redis")
    pid = pid_at(tmp_path / "redis")
    assert not second.tend(time.monotonic())
    assert not second.is_owner
    second.close()
    assert pid_at(tmp_path / "redis") == pid
    assert server.is_owner


def test_the_next_in_line_takes_over_when_the_owner_ends(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    owner = started_elsewhere(folder)
    heir = RedisServer(folder)
    assert not heir.tend(time.monotonic())
    ended(owner)
    assert heir.tend(time.monotonic())
    assert pid_at(folder)
    heir.close()


def test_a_server_dies_with_its_killed_owner(tmp_path: Path) -> None:
    owner = started_elsewhere(tmp_path)
    pid = pid_at(tmp_path)
    owner.kill()
    eventually(lambda: is_gone(pid))
    ended(owner)


def test_a_dead_server_is_started_again_but_not_more_than_once_a_second(server: RedisServer, tmp_path: Path) -> None:
    pid = pid_at(tmp_path / "redis")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: is_gone(pid))
    now = time.monotonic() + 1
    eventually(lambda: server.tend(now))
    second = pid_at(tmp_path / "redis")
    os.kill(second, signal.SIGKILL)
    eventually(lambda: is_gone(second))
    assert not server.tend(now + 0.9)
    eventually(lambda: server.tend(now + 1.1))


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_server_that_outlived_its_owner_is_replaced_even_when_it_hangs(is_stopped: bool, tmp_path: Path) -> None:
    arguments = ("--port", "0", "--unixsocket", str(tmp_path / "redis.sock"), "--save", "")
    stale = subprocess.Popen([redis_program(), *arguments], stdout=subprocess.DEVNULL)
    eventually((tmp_path / "redis.sock").exists)
    if is_stopped:
        stale.send_signal(signal.SIGSTOP)
    server = RedisServer(tmp_path)
    assert server.tend(time.monotonic())
    assert stale.wait(5) == -signal.SIGKILL
    assert pid_at(tmp_path) != stale.pid
    server.close()


def test_a_dead_socket_in_the_way_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "redis.sock").touch()
    server = RedisServer(tmp_path)
    assert server.tend(time.monotonic())
    assert pid_at(tmp_path)
    server.close()


def test_a_path_that_is_too_long_for_a_socket_is_led_to_a_short_one(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    server = RedisServer(folder)
    assert server.tend(time.monotonic())
    assert pid_at(folder)
    real = (folder / "redis.sock").readlink()
    assert stat.S_IMODE(real.parent.stat().st_mode) == 0o700
    server.close()
    assert not real.parent.exists()


def test_the_short_folder_of_a_killed_owner_is_removed_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    owner = started_elsewhere(folder)
    real = (folder / "redis.sock").readlink()
    owner.kill()
    ended(owner)
    server = RedisServer(folder)
    assert server.tend(time.monotonic())
    assert not real.parent.exists()
    server.close()


def test_a_folder_with_blanks_and_signs_has_a_url_that_works(tmp_path: Path) -> None:
    folder = tmp_path / "a b%20c?d#e"
    server = RedisServer(folder)
    server.tend(time.monotonic())
    assert pid_at(folder)
    server.close()


def test_a_place_that_cannot_be_had_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    server = RedisServer(tmp_path / "file" / "redis")
    with pytest.raises(RedisServerError, match="no place for the embedded Redis: Not a directory"):
        server.tend(time.monotonic())
