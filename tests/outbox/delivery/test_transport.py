"""The promises of the transport, against real sockets on loopback."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import ssl
import threading
import tracemalloc
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from outbox.delivery.guard import Guard, parse_networks
from outbox.delivery.outcome import Outcome, Result
from outbox.delivery.transport import Limits, Transport
from tests.outbox.delivery.receivers import (
    Behaviour,
    Receiver,
    Visit,
    answer,
    answering,
    breaking_kept_connections,
    closing_after,
    closing_at_once,
    closing_kept_connections,
    hanging,
    never_reading,
    ok,
    receiving,
    repeating,
    resetting,
    resetting_kept_connections,
)

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE = 0.5
LIMITS = Limits(total_seconds=5)
SHORT = Limits(total_seconds=DEADLINE)
CLOCK_MILLISECONDS = 5
"""How early the loop's timers may fire."""
LOOPBACK = Guard(parse_networks(["127.0.0.0/8"]))
HEADERS = {"Content-Type": "application/json", "User-Agent": "Orchest", "webhook-id": "0198"}
BODY = b'{"event":{}}'
CAP = Limits().body_bytes


def exchange(
    behaviour: Behaviour, times: int = 1, limits: Limits = LIMITS, body: bytes = BODY
) -> tuple[list[Outcome], Receiver]:
    """Posts one after the other on the engine's kind of loop."""

    async def run() -> tuple[list[Outcome], Receiver]:
        transport = Transport(LOOPBACK, limits)
        async with receiving(behaviour) as receiver:
            outcomes = [await transport.post(receiver.url, HEADERS, body, verify_ssl=True) for _ in range(times)]
            await transport.close()
        return outcomes, receiver

    return uvloop.run(run())


def post(url: str, guard: Guard = LOOPBACK, limits: Limits = LIMITS) -> Outcome:
    async def run() -> Outcome:
        transport = Transport(guard, limits)
        outcome = await transport.post(url, HEADERS, BODY, verify_ssl=True)
        await transport.close()
        return outcome

    return uvloop.run(run())


def test_the_exact_bytes_and_headers_arrive_and_nothing_besides() -> None:
    (outcome,), receiver = exchange(answering(ok(b"thanks", b"X-Seen: yes")))
    head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    authority = receiver.url.split("/")[2]
    assert first == "POST /hook/secret-path HTTP/1.1"
    assert sorted(fields) == sorted(
        [f"Host: {authority}", f"Content-Length: {len(BODY)}", *(f"{name}: {value}" for name, value in HEADERS.items())]
    )
    assert body == BODY
    assert (outcome.result, outcome.status_code, outcome.response_body) == (Result.DELIVERED, 200, b"thanks")
    assert ("X-Seen", "yes") in outcome.response_headers
    assert outcome.milliseconds > 0


def test_connections_are_kept() -> None:
    outcomes, receiver = exchange(answering(ok()), times=5)
    assert [outcome.result for outcome in outcomes] == [Result.DELIVERED] * 5
    assert receiver.connections == 1


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (b"200 OK", Result.DELIVERED),
        (b"202 Accepted", Result.DELIVERED),
        (b"204 No Content", Result.DELIVERED),
        (b"299 Whatever", Result.DELIVERED),
        (b"304 Not Modified", Result.REJECTED),
        (b"400 Bad Request", Result.REJECTED),
        (b"410 Gone", Result.GONE),
        (b"429 Too Many Requests", Result.REJECTED),
        (b"503 Service Unavailable", Result.REJECTED),
        (b"999 Odd", Result.REJECTED),
    ],
)
def test_the_status_alone_decides(status: bytes, result: Result) -> None:
    (outcome,), _ = exchange(answering(answer(status)))
    assert (outcome.result, outcome.status_code) == (result, int(status[:3]))


def test_a_retry_after_is_handed_on_unread() -> None:
    (outcome,), _ = exchange(answering(answer(b"503 Busy", b"", b"Retry-After: 120")))
    assert ("Retry-After", "120") in outcome.response_headers


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See", b"307 Temporary", b"308 Permanent"])
def test_a_redirect_is_a_failure_and_never_followed(status: bytes) -> None:
    async def run() -> tuple[Outcome, Receiver]:
        transport = Transport(LOOPBACK, LIMITS)
        async with receiving(answering(ok())) as inner:
            location = f"Location: {inner.url}".encode()
            async with receiving(answering(answer(status, b"", location))) as outer:
                outcome = await transport.post(outer.url, HEADERS, BODY, verify_ssl=True)
            await transport.close()
        return outcome, inner

    outcome, inner = uvloop.run(run())
    assert outcome.result is Result.REJECTED
    assert "redirects are not followed" in outcome.message
    assert inner.connections == 0


def test_cookies_of_one_answer_do_not_go_into_the_next_request() -> None:
    _, receiver = exchange(answering(ok(b"", b"Set-Cookie: a=b; Path=/")), times=2)
    assert b"cookie" not in receiver.requests[1].lower()


def test_proxies_and_passwords_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (outcome,), receiver = exchange(answering(ok()))
    assert outcome.result is Result.DELIVERED
    assert b"authorization" not in receiver.requests[0].lower()


SLOW = {
    "hangs": hanging,
    "never reads": never_reading,
    "drips its head": repeating(b"HTTP/1.1 200 OK\r\nX-Drip: ", b"x", 0.02),
    "drips its body": repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x", 0.02),
    "drips chunks": repeating(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.02),
    "drips 100 Continue": repeating(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
}


@pytest.mark.parametrize("name", SLOW)
def test_no_slow_receiver_beats_the_total_deadline(name: str) -> None:
    body = b"x" * 3_000_000 if name == "never reads" else BODY
    (outcome,), _ = exchange(SLOW[name], limits=SHORT, body=body)
    assert outcome.result is Result.TIMEOUT
    assert outcome.milliseconds >= DEADLINE * 1000 - CLOCK_MILLISECONDS
    assert outcome.milliseconds < LIMITS.total_seconds * 1000


def test_a_name_server_that_hangs_does_not_beat_the_deadline_either(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr("outbox.delivery.transport.getaddrinfo", lambda *_, **__: released.wait(5) and [])
    outcome = post("http://slow.example/", limits=SHORT)
    released.set()
    assert outcome.result is Result.TIMEOUT


BROKEN = {
    "closes at once": closing_at_once,
    "resets": resetting,
    "closes after the request": closing_after(b""),
    "closes in the status line": closing_after(b"HTTP/1.1 20"),
    "closes in the head": closing_after(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "closes in the body": closing_after(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"),
    "closes in a chunk": closing_after(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
    "has a chunk of no size": closing_after(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n"),
    "speaks SSH": closing_after(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "speaks noise": closing_after(bytes(range(256)) * 10),
    "has a huge header": closing_after(b"HTTP/1.1 200 OK\r\nX-Huge: " + b"x" * 1_000_000 + b"\r\n\r\n"),
    "has a huge status line": closing_after(b"HTTP/1.1 200 " + b"x" * 1_000_000 + b"\r\n\r\n"),
    "has endless headers": repeating(b"HTTP/1.1 200 OK\r\n", b"X-Again: and again\r\n" * 100),
    "has two lengths": closing_after(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    "has a negative length": closing_after(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab"),
    "has an endless length": closing_after(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 400 + b"\r\n\r\nab"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_recorded_as_unreachable_and_sent_once(name: str) -> None:
    (outcome,), receiver = exchange(BROKEN[name])
    assert outcome.result is Result.UNREACHABLE, outcome
    assert receiver.connections == 1
    assert_shows_no_path(outcome)


PIECES = st.sampled_from(
    [
        *(b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/9.9 ", b"200", b"204 ", b"302 Found", b"101 Up", b"-1", b"100 Continue"),
        *(
            b"\r\n",
            b"\n",
            b"\r",
            b"\r\n\r\n",
            b":",
            b" ",
            b"\t",
            b"\x00",
            b"\xff",
            b"Content-Length: ",
            b"5",
            b"99999999999999",
        ),
        *(
            b"Transfer-Encoding: chunked",
            b"Content-Encoding: gzip",
            b"Connection: upgrade",
            b"Upgrade: h2c",
            b"0\r\n\r\n",
        ),
        *(
            b"Set-Cookie: a=\x01;;=",
            b"Location: http://[",
            b"Retry-After: ",
            b"Content-Type: text/plain; charset=\x80",
            b"ffffffff\r\n",
        ),
    ]
)


ANSWERS = st.tuples(
    st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n"]),
    st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=12).map(b"".join),
).map(b"".join)


@settings(max_examples=25, deadline=None)
@given(st.lists(ANSWERS, min_size=10, max_size=30))
def test_whatever_bytes_come_back_there_is_an_outcome_that_can_be_stored(answers: list[bytes]) -> None:
    async def behave(visit: Visit) -> None:
        await closing_after(answers[visit.receiver.connections % len(answers)])(visit)

    outcomes, _ = exchange(behave, times=len(answers))
    for outcome in outcomes:
        assert outcome.result in {Result.DELIVERED, Result.REJECTED, Result.GONE, Result.UNREACHABLE}
        for text in (outcome.message, *(text for field in outcome.response_headers for text in field)):
            assert text.isprintable()
            text.encode()
        assert_shows_no_path(outcome)


@pytest.mark.parametrize(
    "behaviour",
    [
        repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", b"x" * 65536),
        repeating(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        repeating(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x" * 65536),
    ],
    ids=["length", "chunked", "until close"],
)
def test_of_an_endless_answer_only_the_beginning_is_read(behaviour: Behaviour) -> None:
    (outcome,), receiver = exchange(behaviour)
    assert outcome.result is Result.DELIVERED
    assert outcome.response_body == b"x" * CAP
    # What else left the receiver lies in the buffers of two sockets.
    assert receiver.sent < 16 << 20


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    (outcome,), _ = exchange(answering(ok(bomb, b"Content-Encoding: gzip")))
    assert outcome.result is Result.DELIVERED
    assert outcome.response_body == bomb[:CAP]


def test_a_flood_costs_little_memory() -> None:
    tracemalloc.start()
    exchange(repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", b"x" * 65536))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def test_garbage_behind_a_200_is_delivered_and_kept_as_bytes() -> None:
    garbage = os.urandom(1000)
    (outcome,), _ = exchange(answering(ok(garbage)))
    assert (outcome.result, outcome.response_body) == (Result.DELIVERED, garbage)


def test_headers_are_kept_as_text_that_can_be_stored() -> None:
    (outcome,), _ = exchange(
        answering(ok(b"", b"X-Bytes: caf\xe9 \xff\xfe", b"X-Bell: a\x07b", b"X-Fine: caf\xc3\xa9"))
    )
    kept = dict(outcome.response_headers)
    assert kept["X-Fine"] == "café"
    for value in kept.values():
        assert value.isprintable()
        value.encode()


def test_only_the_first_kilobytes_of_headers_are_kept() -> None:
    fields = [f"X-{number}: {'v' * 1000}".encode() for number in range(50)]
    (outcome,), _ = exchange(answering(ok(b"", *fields)))
    assert outcome.result is Result.DELIVERED
    size = sum(len(name) + len(value) for name, value in outcome.response_headers)
    assert Limits().head_characters - 1100 < size <= Limits().head_characters


def test_a_100_continue_before_the_answer_is_passed_over() -> None:
    (outcome,), _ = exchange(answering(b"HTTP/1.1 100 Continue\r\n\r\n" + ok()))
    assert (outcome.result, outcome.status_code) == (Result.DELIVERED, 200)


def test_an_upgrade_is_no_delivery() -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    (outcome,), _ = exchange(closing_after(upgrade))
    assert outcome.result is not Result.DELIVERED


@pytest.mark.parametrize("behaviour", [closing_kept_connections, resetting_kept_connections])
def test_a_kept_connection_that_turns_out_closed_is_no_failure(behaviour: Behaviour) -> None:
    outcomes, receiver = exchange(behaviour, times=2)
    assert [outcome.result for outcome in outcomes] == [Result.DELIVERED, Result.DELIVERED]
    assert receiver.connections == 2


def test_a_receiver_that_promises_to_keep_connections_and_closes_them_all_never_fails() -> None:
    async def run() -> tuple[list[Outcome], Receiver]:
        transport = Transport(LOOPBACK, Limits(total_seconds=5))
        async with receiving(closing_after(ok())) as receiver:

            async def post_many() -> list[Outcome]:
                return [await transport.post(receiver.url, HEADERS, BODY, verify_ssl=True) for _ in range(50)]

            outcomes = await asyncio.gather(*(post_many() for _ in range(10)))
            await transport.close()
        return [outcome for many in outcomes for outcome in many], receiver

    outcomes, receiver = uvloop.run(run())
    assert {outcome.result for outcome in outcomes} == {Result.DELIVERED}
    assert len(receiver.requests) == 500


def test_a_kept_connection_that_closes_within_an_answer_is_one() -> None:
    outcomes, receiver = exchange(breaking_kept_connections, times=2)
    assert [outcome.result for outcome in outcomes] == [Result.DELIVERED, Result.UNREACHABLE]
    assert receiver.connections == 1


def test_the_second_try_on_a_new_connection_is_the_last() -> None:
    async def behave(visit: Visit) -> None:
        await (closing_kept_connections if visit.receiver.connections == 1 else resetting)(visit)

    outcomes, receiver = exchange(behave, times=2)
    assert [outcome.result for outcome in outcomes] == [Result.DELIVERED, Result.UNREACHABLE]
    assert len(receiver.requests) == 3


def test_bytes_behind_an_answer_are_not_the_next_answer() -> None:
    outcomes, _ = exchange(answering(ok() + answer(b"410 Gone"), ok()), times=2)
    assert [outcome.result for outcome in outcomes] == [Result.DELIVERED, Result.DELIVERED]


def test_a_body_of_megabytes_arrives_whole() -> None:
    body = os.urandom(3_000_000)
    (outcome,), receiver = exchange(answering(ok()), body=body, limits=Limits(total_seconds=5))
    assert outcome.result is Result.DELIVERED
    assert receiver.requests[0].endswith(body)


def test_nobody_else_waits_for_those_who_hang() -> None:
    async def run() -> tuple[list[Outcome], list[Outcome]]:
        transport = Transport(LOOPBACK, Limits(total_seconds=2))
        async with receiving(hanging) as bad, receiving(answering(ok())) as good:
            hung = [asyncio.create_task(transport.post(bad.url, HEADERS, BODY, verify_ssl=True)) for _ in range(200)]
            healthy = [await transport.post(good.url, HEADERS, BODY, verify_ssl=True) for _ in range(50)]
            assert not any(task.done() for task in hung)
            outcomes = list(await asyncio.gather(*hung))
            await transport.close()
        return outcomes, healthy

    hung, healthy = uvloop.run(run())
    assert {outcome.result for outcome in hung} == {Result.TIMEOUT}
    assert {outcome.result for outcome in healthy} == {Result.DELIVERED}


def test_what_is_closed_leaves_no_thread_behind() -> None:
    post("http://localhost:9999/", Guard())
    for thread in threading.enumerate():
        if thread.name.startswith("names"):
            thread.join(5)
            assert not thread.is_alive()


def test_a_refused_connection_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        outcome = post(f"http://127.0.0.1:{taken.getsockname()[1]}/hook/secret-path")
    assert outcome.result is Result.UNREACHABLE
    assert "refused" in outcome.message.lower()
    assert_shows_no_path(outcome)


def test_an_unknown_name_says_so() -> None:
    outcome = post("http://no-such-host.invalid/hook/secret-path")
    assert outcome.result is Result.UNREACHABLE
    assert "cannot be resolved" in outcome.message
    assert_shows_no_path(outcome)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/secret-path", "http://localhost:8080/secret-path", "http://[::1]:8080/secret-path"]
)
def test_what_the_guard_forbids_is_blocked_with_the_mend(url: str) -> None:
    outcome = post(url, Guard())
    assert outcome.result is Result.BLOCKED
    assert "ORCHEST_ALLOWED_NETWORKS" in outcome.message
    assert_shows_no_path(outcome)


def test_one_forbidden_address_among_others_blocks_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("127.0.0.1", "10.0.0.1")]
    monkeypatch.setattr("outbox.delivery.transport.getaddrinfo", lambda *_, **__: found)
    outcome = post("http://two.example/")
    assert outcome.result is Result.BLOCKED
    assert "10.0.0.0/8" in outcome.message


def test_each_socket_is_judged_once_more() -> None:
    transport = Transport(Guard())
    with pytest.raises(OSError, match="loopback"):
        transport._guarded_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80)))


@pytest.mark.parametrize("value", ["a\r\nX-Injected: b", "a\nb", "a\x00b"])
def test_a_header_that_would_split_the_request_is_refused(value: str) -> None:
    async def run() -> tuple[Outcome, Receiver]:
        transport = Transport(LOOPBACK, LIMITS)
        async with receiving(answering(ok())) as receiver:
            outcome = await transport.post(receiver.url, {"X-Custom": value}, BODY, verify_ssl=True)
            await transport.close()
        return outcome, receiver

    outcome, receiver = uvloop.run(run())
    assert outcome.result is Result.REFUSED
    assert "Injected" not in outcome.message
    assert receiver.requests == []


def assert_shows_no_path(outcome: Outcome) -> None:
    assert "secret-path" not in outcome.message


def certificate(folder: Path, *, expired: bool = False) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(days=1) if expired else now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "receiver.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_a_certificate_is_verified_unless_the_webhook_may_do_without(tmp_path: Path) -> None:
    async def run() -> tuple[Outcome, Outcome, Outcome, Receiver]:
        transport = Transport(LOOPBACK, LIMITS)
        async with receiving(answering(ok()), tls=certificate(tmp_path)) as receiver:
            first = await transport.post(receiver.url, HEADERS, BODY, verify_ssl=True)
            second = await transport.post(receiver.url, HEADERS, BODY, verify_ssl=False)
            third = await transport.post(receiver.url, HEADERS, BODY, verify_ssl=True)
            await transport.close()
        return first, second, third, receiver

    first, second, third, receiver = uvloop.run(run())
    assert first.result is Result.UNREACHABLE
    assert "certificate" in first.message
    assert_shows_no_path(first)
    assert second.result is Result.DELIVERED
    # The unverified connection is kept, but not for those who verify.
    assert third.result is Result.UNREACHABLE
    assert len(receiver.requests) == 1


def test_a_certificate_that_is_trusted_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "receiver.pem"))

    async def run() -> Outcome:
        transport = Transport(LOOPBACK, LIMITS)
        async with receiving(answering(ok()), tls=context) as receiver:
            outcome = await transport.post(receiver.url, HEADERS, BODY, verify_ssl=True)
            await transport.close()
        return outcome

    assert uvloop.run(run()).result is Result.DELIVERED


@pytest.mark.parametrize("behaviour", [closing_at_once, closing_after(b"HTTP/1.1 400 Bad Request\r\n\r\n"), hanging])
def test_a_receiver_that_speaks_no_tls_is_recorded(behaviour: Behaviour) -> None:
    async def run() -> Outcome:
        transport = Transport(LOOPBACK, SHORT)
        async with receiving(behaviour) as receiver:
            outcome = await transport.post(receiver.url.replace("http:", "https:"), HEADERS, BODY, verify_ssl=True)
            await transport.close()
        return outcome

    outcome = uvloop.run(run())
    assert outcome.result in {Result.UNREACHABLE, Result.TIMEOUT}
    assert outcome.milliseconds < LIMITS.total_seconds * 1000
    assert_shows_no_path(outcome)
