"""`orchest api` as it is started, asked, disturbed and badly treated."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.exit_codes import ExitCode
from services.api.server import ServerError, address_of, listening
from tests.outbox.programs import eventually
from tests.services.api.live import KEY, LiveApi, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.services.api.live import Answer

CANARY = "canary-5f1c2"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state' / 'history.db'}"


@pytest.fixture
def api(url: str, tmp_path: Path) -> Iterator[LiveApi]:
    with serving(url, tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApi]:
    """For tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("shared")
    with serving(f"sqlite:///{folder / 'history.db'}", folder) as started:
        yield started


def test_the_first_start_shows_a_token_that_opens_everything_and_the_second_shows_none(
    database_url: str, tmp_path: Path
) -> None:
    with serving(database_url, tmp_path) as first:
        assert first.token.startswith("orc_")
        assert first.ask("GET", "/readyz").json == {"status": "ok"}
        assert first.ask("GET", "/api/projects/").status == 200
        assert first.ask("GET", "/api/docs").headers["content-type"].startswith("text/html")
        assert f"{first.address}/api/docs" in first.output
    with serving(database_url, tmp_path) as second:
        assert second.token == ""
        assert second.ask("GET", "/api/projects/").status == 401
        assert KEY not in second.output


@pytest.mark.parametrize(
    ("options", "environment", "code", "words"),
    [
        (["--bind", "127.0.0.1"], {}, 1, "not an address to listen at"),
        (["--bind", "127.0.0.1:70000"], {}, 1, "not an address to listen at"),
        (["--bind", "203.0.113.7:80"], {}, 1, "Cannot listen at 203.0.113.7:80"),
        (["--bind", "unix:/nowhere/at/all.sock"], {}, 1, "No such file"),
        ([], {"ORCHEST_API_THREADS": "many"}, 1, "ORCHEST_API_THREADS: a whole number from 1 to 256"),
        ([], {"ORCHEST_DATABASE_URL": "mysql://u:s3cret@host/db"}, 1, "ORCHEST_DATABASE_URL"),
        ([], {"ORCHEST_SECRET_KEYS": "s3cret"}, 1, "at least 32"),
        ([], {"ORCHEST_ALLOWED_NETWORKS": "s3cret"}, 1, "ORCHEST_ALLOWED_NETWORKS"),
        (["--threads", "0"], {}, 64, "--threads"),
        (["--no-redis"], {}, 64, "--with-worker"),
    ],
)
def test_what_cannot_be_served_ends_at_once_with_one_message(
    tmp_path: Path, options: list[str], environment: dict[str, str], code: int, words: str
) -> None:
    bind = () if "--bind" in options else ("--bind", "127.0.0.1:0")
    url = f"sqlite:///{tmp_path / 'history.db'}"
    api = LiveApi(url, tmp_path, *bind, *options, **environment)
    assert api.ended(20) == code
    assert words in api.output
    assert api.output.count("Error: ") == 1
    assert "Traceback" not in api.output


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_an_address_in_use_is_said_once_and_left_alone(url: str, tmp_path: Path, family: str) -> None:
    place = "127.0.0.1:0" if family == "tcp" else f"unix:{tmp_path / 'api.sock'}"
    with closing(listening(place)) as taken:
        address = address_of(taken)
        api = LiveApi(url, tmp_path, "--bind", address.removeprefix("http://"))
        assert api.ended(20) == ExitCode.ERROR
        assert api.output.count("Error: Cannot listen at") == 1
        assert "in use" in api.output
        assert "Traceback" not in api.output


def test_a_unix_socket_is_for_its_owner_and_is_taken_over_when_nobody_listens(url: str, tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with closing(socket.socket(socket.AF_UNIX)) as left_behind:
        left_behind.bind(str(path))
    with serving(url, tmp_path, "--bind", f"unix:{path}") as api:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with closing(socket.socket(socket.AF_UNIX)) as client:
            client.settimeout(20)
            client.connect(str(path))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            assert b'{"status":"ok"}' in everything(client)
        api.process.terminate()
        assert api.ended() == 0
        assert not path.exists()


def test_a_file_that_is_no_socket_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ServerError, match="in use"):
        listening(f"unix:{path}")
    assert path.read_text() == "data"


def test_the_log_has_one_line_per_request_and_nothing_that_was_sent(api: LiveApi) -> None:
    headers = {"X-Secret": CANARY, "Cookie": CANARY, "User-Agent": CANARY}
    wanted = [
        (api.ask("GET", f"/api/projects/?token={CANARY}", headers=headers), "list_projects", "first-admin"),
        (api.ask("GET", f"/api/{CANARY}", headers=headers), "none", ""),
        (api.ask("GET", f"/api/projects/{CANARY}", headers=headers), "show_project", "first-admin"),
        (api.ask("POST", "/api/projects/", {CANARY: CANARY}), "create_project", "first-admin"),
        (api.ask("GET", "/metrics", headers={"Authorization": f"Bearer {CANARY}"}), "get_metrics", ""),
        (api.ask("PATCH", "/metrics"), "none", ""),
    ]
    eventually(lambda: len(api.log("request")) == len(wanted))
    for line, (answer, operation, caller) in zip(api.log("request"), wanted, strict=True):
        assert line["request_id"] == answer.headers["x-request-id"]
        assert (line["status"], line["bytes"]) == (answer.status, len(answer.body))
        assert (line["operation"], line["caller"], line["remote"]) == (operation, caller, "127.0.0.1")
        assert line["milliseconds"] > 0
    assert CANARY not in api.output
    assert api.output.count(api.token) == 1


def test_probes_that_find_all_well_are_not_logged(api: LiveApi) -> None:
    api.ask("GET", "/healthz")
    api.ask("GET", "/readyz")
    api.ask("GET", "/api/settings")
    eventually(lambda: api.log("request"))
    assert {line["operation"] for line in api.log("request")}.isdisjoint({"get_health", "get_readiness"})


@pytest.mark.parametrize(
    ("trusted", "seen"), [("", "127.0.0.1"), ("10.0.0.0/8", "127.0.0.1"), ("127.0.0.1", "9.9.9.9")]
)
def test_only_a_trusted_proxy_says_who_calls(url: str, tmp_path: Path, trusted: str, seen: str) -> None:
    with serving(url, tmp_path, ORCHEST_API_TRUSTED_PROXIES=trusted) as api:
        api.ask("GET", "/nothing", headers={"X-Forwarded-For": "9.9.9.9"})
        eventually(lambda: api.log("request"))
        assert api.log("request")[0]["remote"] == seen


def test_several_processes_count_together(url: str, tmp_path: Path) -> None:
    with serving(url, tmp_path, "--workers", "2") as api:
        before = counted(api.ask("GET", "/metrics"), "list_projects")
        served = 0
        while served < 60:
            assert api.ask("GET", "/api/projects/").status == 200
            served += 1
        after = [counted(api.ask("GET", "/metrics"), "list_projects") for _ in range(8)]
        assert (before, set(after)) == (0, {60})
        folder = Path(re.findall(r"/\S*orchest-api-metrics-\w+", environment_of(api.descendants()[0]))[0])
        assert folder.is_dir()
        api.process.terminate()
        assert api.ended() == 0
        assert not folder.exists()


def test_metrics_tell_of_requests_threads_and_queues(api: LiveApi) -> None:
    api.ask("GET", "/api/projects/")
    text = api.ask("GET", "/metrics").body.decode()
    for words in (
        'orchest_api_requests_total{method="GET",operation="list_projects",status="200"} 1.0',
        'orchest_api_request_seconds_count{operation="list_projects"} 1.0',
        "orchest_api_requests_in_flight 1.0",
        "orchest_api_work_wait_seconds_count",
        "orchest_outbox_database_up 1.0",
    ):
        assert words in text
    assert api.ask("GET", "/metrics", headers={"Authorization": ""}).status == 401


def test_a_process_that_is_killed_is_replaced(api: LiveApi) -> None:
    (first,) = api.descendants()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: api.descendants() and api.descendants() != [first])
    assert api.ask("GET", "/readyz").status == 200


def test_no_process_outlives_the_one_that_watches_them(api: LiveApi) -> None:
    below = api.descendants()
    api.process.kill()
    api.process.wait()
    eventually(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in below))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_to_all_of_its_processes_ends_it_quietly(api: LiveApi, number: signal.Signals) -> None:
    """As a terminal sends it."""
    os.killpg(api.process.pid, number)
    assert api.ended() == 0
    assert "Traceback" not in api.output
    assert len(api.log("stopped")) == 1


def test_a_worker_beside_it_is_started_again_and_ends_with_it(url: str, tmp_path: Path) -> None:
    with serving(url, tmp_path, "--with-worker") as api:
        eventually(lambda: len(api.log("delivering")) == 1, 20)
        (worker,) = [pid for pid in children_of(api.process.pid) if "redis" in commands_below(pid)]
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: len(api.log("delivering")) == 2, 20)
        assert api.ask("GET", "/readyz").status == 200
        below = api.descendants()
        os.kill(api.process.pid, signal.SIGINT)
        assert api.ended() == 0
        assert "Traceback" not in api.output
        assert not any(Path(f"/proc/{pid}/cmdline").exists() for pid in below)


def test_with_a_worker_too_nothing_outlives_a_kill(url: str, tmp_path: Path) -> None:
    with serving(url, tmp_path, "--with-worker", "--no-redis") as api:
        eventually(lambda: api.log("delivering"), 20)
        below = api.descendants()
        assert len(below) >= 3
        api.process.kill()
        api.process.wait()
        eventually(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in below))


HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\nHost: here\r\nX-More"
HALF_A_BODY = b"POST /api/projects/ HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 99\r\n"


def test_slow_clients_stop_nobody_and_are_sent_away(shared: LiveApi) -> None:
    authorized = HALF_A_BODY + f"Authorization: Bearer {shared.token}\r\n\r\n".encode() + b'{"pa'
    with ExitStack() as stack:
        silent = [stack.enter_context(slow(shared, b"")) for _ in range(60)]
        heads = [stack.enter_context(slow(shared, HALF_A_HEAD)) for _ in range(60)]
        bodies = [stack.enter_context(slow(shared, authorized)) for _ in range(60)]
        dripping = stack.enter_context(slow(shared, HALF_A_HEAD))
        threading.Thread(target=drip, args=(dripping,), daemon=True).start()
        began = time.monotonic()
        took = []
        while time.monotonic() - began < 3:
            asked = time.monotonic()
            assert shared.ask("GET", "/api/projects/").status == 200
            took.append(time.monotonic() - asked)
        assert sorted(took)[len(took) // 2] < 0.1
        assert [everything(client) for client in (*silent, *heads)] == [b""] * 120
        assert all(everything(client).startswith(b"HTTP/1.1 408") for client in bodies)
        eventually(lambda: is_hung_up(dripping))
        assert time.monotonic() - began < 15


def test_a_head_without_end_is_not_read_to_its_end(shared: LiveApi) -> None:
    with slow(shared, b"GET /healthz HTTP/1.1\r\nHost: here\r\nX-Long: " + b"x" * 70_000 + b"\r\n\r\n") as long:
        assert everything(long).startswith(b"HTTP/1.1 431")
    with slow(shared, b"GET /healthz HTTP/1.1\r\nHost: here\r\n") as endless:
        assert is_cut_off(endless, b"X-Long: " + b"x" * 10_000 + b"\r\n")
    assert shared.ask("GET", "/healthz").status == 200


def test_what_is_no_http_is_answered_and_cut_off(shared: LiveApi) -> None:
    with slow(shared, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not http \r\n\r\n") as client:
        assert everything(client).startswith(b"HTTP/1.1 400")
    assert "Traceback" not in shared.output


def slow(api: LiveApi, beginning: bytes) -> closing[socket.socket]:
    client = socket.create_connection(("127.0.0.1", api.port), 30)
    client.sendall(beginning)
    return closing(client)


def is_cut_off(client: socket.socket, again_and_again: bytes) -> bool:
    try:
        for _ in range(1000):
            client.sendall(again_and_again)
    except OSError:
        return True
    return False


def drip(client: socket.socket) -> None:
    """A byte now and then."""
    try:
        while True:
            client.sendall(b"x")
            time.sleep(0.5)
    except OSError:
        """Sent away."""


def is_hung_up(client: socket.socket) -> bool:
    client.settimeout(0.1)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def everything(client: socket.socket) -> bytes:
    """Until the server hangs up, the nice way or not."""
    found = b""
    try:
        while read := client.recv(65536):
            found += read
    except ConnectionResetError:
        """Some of what was sent was not wanted."""
    return found


def counted(answer: Answer, operation: str) -> int:
    found = re.findall(
        rf'orchest_api_requests_total{{[^}}]*operation="{operation}"[^}}]*}} ([0-9.]+)', answer.body.decode()
    )
    return int(sum(map(float, found)))


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def commands_below(pid: int) -> str:
    return " ".join(Path(f"/proc/{child}/cmdline").read_text() for child in children_of(pid))


def environment_of(pid: int) -> str:
    """What it holds open and mapped, for want of the environment, which does not show what was set later."""
    return Path(f"/proc/{pid}/maps").read_text()
