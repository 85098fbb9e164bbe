from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from orchest import _http, utils
from orchest.config import Config
from orchest.error import OrchestNetworkError

if TYPE_CHECKING:
    from conftest import Server


def test_an_answer_has_the_shape_of_requests(server: Server) -> None:
    server.routes["/here"] = (200, {"a": [1, "ü"]})
    response = _http.get("http://some-host/here")
    response.raise_for_status()
    assert (response.status_code, response.json()) == (200, {"a": [1, "ü"]})
    assert response.text == '{"a": [1, "\\u00fc"]}'


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_refusal_is_an_answer_until_somebody_minds(server: Server, status: int) -> None:
    server.routes["/no"] = (status, {"message": "no"})
    response = _http.get("http://some-host/no")
    assert response.json() == {"message": "no"}
    with pytest.raises(OrchestNetworkError, match=f"http://some-host/no answered with status {status}"):
        response.raise_for_status()


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"[" * 100_000, b'{"a": '])
def test_an_answer_that_is_not_json_is_a_network_error(server: Server, body: bytes) -> None:
    server.routes["/page"] = (200, body)
    with pytest.raises(OrchestNetworkError, match="http://some-host/page answered with something that is not JSON"):
        utils._request_json("http://some-host/page")


def test_a_server_that_is_down_is_a_network_error(server: Server) -> None:
    server.stop()
    with pytest.raises(OrchestNetworkError, match="No answer from http://some-host/here"):
        _http.get("http://some-host/here")


def test_a_server_that_hangs_up_is_a_network_error(server: Server) -> None:
    server.dropped.add("/here")
    with pytest.raises(OrchestNetworkError, match="No answer from http://some-host/here"):
        _http.get("http://some-host/here")


def test_a_silent_server_is_a_network_error_after_the_timeout(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.silent.add("/here")
    monkeypatch.setattr(Config, "HTTP_TIMEOUT", 0.2)
    before = time.monotonic()
    with pytest.raises(OrchestNetworkError, match=r"within 0\.2 s"):
        _http.get("http://some-host/here")
    assert time.monotonic() - before < 5


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://a b/", "gopher://host/"])
def test_a_url_that_is_none_is_a_network_error(url: str) -> None:
    with pytest.raises(OrchestNetworkError):
        _http.get(url)


def test_a_server_that_drips_does_not_outlast_the_timeout() -> None:
    """Each wait is short; only their sum is too long."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                with contextlib.suppress(OSError):  # the client has had enough
                    while not over.wait(0.05):
                        connection.sendall(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(OrchestNetworkError, match="takes too long"):
            _http.get(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=0.4)
        over.set()
        thread.join()


def test_an_unknown_charset_is_read_as_utf_8() -> None:
    assert _http.Response("http://some-host", 200, "ü".encode(), "klingon").text == "ü"
