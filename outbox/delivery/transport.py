"""The one way out: a POST to somebody else's machine, and what came of it. The only home of aiohttp.

In: URL, headers, the exact bytes. Out: an `Outcome`, always, within the total deadline. Never: follows a redirect,
unpacks a body, keeps a cookie, asks the environment for a proxy, or connects to an address the guard did not see.

The guard is asked three times: for the text of the URL, for all addresses its name resolves to, and for the very
address of each socket before it connects. An answer of the name server that changes in between gains nothing.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, replace
from errno import EHOSTUNREACH
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from socket import AF_UNSPEC, AI_ADDRCONFIG, SOCK_STREAM, AddressFamily, getaddrinfo, socket
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from outbox.delivery.guard import Guard, Refusal, Target
from outbox.delivery.outcome import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohappyeyeballs import AddrInfoType

_SKIPPED_HEADERS = ("Accept", "Accept-Encoding", "User-Agent")
_REMEMBERED_URLS = 4096
_NAME_THREADS = 32
"""Names being resolved at once: a hanging name server holds one of them per name, not one per request."""
_STREAMED_BYTES = 1 << 20
"""From here on a body is written piecewise, so that it never holds the loop."""


@dataclass(frozen=True, slots=True)
class Limits:
    total_seconds: float = 15
    """From the look-up of the name to the last byte of the answer; a receiver that drips bytes does not beat it."""
    body_bytes: int = 16 * 1024
    """Of the answer's body; the rest is not read."""
    head_characters: int = 8 * 1024
    """Of the answer's headers that are kept."""
    field_bytes: int = 8 * 1024
    """Of a single header or status line; a longer one is no HTTP for us."""
    fields: int = 100
    """Headers in one answer."""
    idle_seconds: float = 15
    """A connection kept for the next POST."""
    name_seconds: int = 10
    """A name's addresses are kept."""


class _Destination(NamedTuple):
    url: URL
    origin: str


class _Request(NamedTuple):
    destination: _Destination
    headers: Mapping[str, str]
    body: bytes
    tls: ssl.SSLContext


@dataclass(slots=True)
class _Dial:
    """Whether an attempt opened a connection of its own."""

    sockets: int = 0


_DIAL: ContextVar[_Dial] = ContextVar("dial")


class _ForbiddenError(OSError):
    """The guard said no. An OSError, for aiohttp hands those through with its own around them."""


class _Resolver(AbstractResolver):
    """The host's own resolver, and the guard behind it."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._threads = ThreadPoolExecutor(_NAME_THREADS, thread_name_prefix="names")

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC) -> list[ResolveResult]:
        answers = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: getaddrinfo(host, port, family=family, type=SOCK_STREAM, flags=AI_ADDRCONFIG)
        )
        addresses = [str(answer[4][0]) for answer in answers]
        refusal = self._guard.refusal(addresses)
        if refusal:
            raise _ForbiddenError(refusal)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=answer[0], proto=answer[2], flags=0)
            for address, answer in zip(addresses, answers, strict=True)
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class Transport:
    """Many POSTs at once over kept connections; how many, others decide. Belongs to the loop of its first `post`."""

    def __init__(self, guard: Guard, limits: Limits | None = None) -> None:
        self._guard = guard
        self._limits = limits or Limits()
        self._destination = lru_cache(_REMEMBERED_URLS)(self._read)
        self._tls = {True: ssl.create_default_context(), False: _unverified()}
        self._resolver: _Resolver | None = None
        self._sessions: tuple[()] | tuple[aiohttp.ClientSession, aiohttp.ClientSession] = ()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, verify_ssl: bool) -> Outcome:
        """Never raises, but for its own cancellation. A Retry-After stays among the `response_headers`, unread."""
        destination = self._destination(url)
        if isinstance(destination, Refusal):
            return Outcome(Result.BLOCKED, f"Not sent: {destination.reason}.")
        started = perf_counter()
        outcome = await self._attempt(_Request(destination, headers, body, self._tls[verify_ssl]))
        return replace(outcome, milliseconds=(perf_counter() - started) * 1000)

    async def close(self) -> None:
        """Closes every connection. Await what is in flight first."""
        for session in self._sessions:
            await session.close()
        if self._resolver:
            await self._resolver.close()
        self._sessions, self._resolver = (), None

    def _read(self, url: str) -> _Destination | Refusal:
        target = self._guard.check(url)
        return target if isinstance(target, Refusal) else _destination(target)

    async def _attempt(self, request: _Request) -> Outcome:
        """One POST, and another on a new connection when a kept one turns out to be closed.

        Then the receiver's goodbye crossed our request; if it did not, the message's id makes the second one harmless.
        """
        kept, new = self._sessions or self._open()
        dial = _Dial()
        try:
            async with asyncio.timeout(self._limits.total_seconds):
                try:
                    return await self._exchange(kept, request, dial)
                except aiohttp.ClientConnectionError as error:
                    if dial.sockets or not _is_silent_goodbye(error):
                        raise
                return await self._exchange(new, request, dial)
        except TimeoutError:
            return Outcome(
                Result.TIMEOUT,
                f"No complete answer of {request.destination.origin} in {self._limits.total_seconds:g} s.",
            )
        except (aiohttp.ClientError, ValueError) as error:
            return _failure(error, request.destination.origin)

    async def _exchange(self, session: aiohttp.ClientSession, request: _Request, dial: _Dial) -> Outcome:
        _DIAL.set(dial)
        response = await session.post(
            request.destination.url,
            data=request.body if len(request.body) < _STREAMED_BYTES else BytesIO(request.body),
            headers=request.headers,
            ssl=request.tls,
            allow_redirects=False,
        )
        try:
            body = await _beginning(response.content, self._limits.body_bytes)
        except aiohttp.ClientError:
            return _cut_off(response, request.destination.origin)
        finally:
            # Closes the connection when there is more to come, else keeps it.
            response.release()
        return _answered(response, _kept(response.headers, self._limits.head_characters), body)

    def _open(self) -> tuple[aiohttp.ClientSession, aiohttp.ClientSession]:
        """One keeps its connections; the other makes a new one for each request."""
        self._resolver = resolver = _Resolver(self._guard)
        self._sessions = (self._session(resolver, force_close=False), self._session(resolver, force_close=True))
        return self._sessions

    def _session(self, resolver: _Resolver, *, force_close: bool) -> aiohttp.ClientSession:
        limits = self._limits
        connector = aiohttp.TCPConnector(
            limit=0,
            resolver=resolver,
            socket_factory=self._guarded_socket,
            ttl_dns_cache=limits.name_seconds,
            force_close=force_close,
            keepalive_timeout=None if force_close else limits.idle_seconds,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_SKIPPED_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            trust_env=False,
            auto_decompress=False,
            read_bufsize=limits.body_bytes,
            max_line_size=limits.field_bytes,
            max_field_size=limits.field_bytes,
            max_headers=limits.fields,
        )

    def _guarded_socket(self, found: AddrInfoType) -> socket:
        """The last word: on the address that this very socket is about to connect to."""
        family, kind, protocol, _, address = found
        refusal = self._guard.refusal([str(address[0])])
        if refusal:
            raise _ForbiddenError(refusal)
        _DIAL.get().sockets += 1
        return socket(family, kind, protocol)


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _destination(target: Target) -> _Destination:
    """Built from the parts that were checked, so that nobody parses the text a second time."""
    url = URL.build(
        scheme=target.scheme,
        host=target.bracketed,
        port=target.port,
        path=target.path,
        query_string=target.query,
        encoded=True,
    )
    return _Destination(url, target.origin)


async def _beginning(content: aiohttp.StreamReader, limit: int) -> bytes:
    """At most `limit` bytes."""
    beginning = b""
    while len(beginning) < limit and (piece := await content.read(limit - len(beginning))):
        beginning += piece
    return beginning


def _kept(headers: Mapping[str, str], limit: int) -> tuple[tuple[str, str], ...]:
    """The first headers, as text that every database and JSON reader takes."""
    kept = []
    for name, value in headers.items():
        limit -= len(name) + len(value)
        if limit < 0:
            break
        kept.append((name, value if value.isascii() and value.isprintable() else _plain(value)))
    return tuple(kept)


def _plain(value: str) -> str:
    """Bytes that are no UTF-8 come from aiohttp as lone surrogates, control characters as they are."""
    text = value.encode(errors="surrogateescape").decode(errors="replace")
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _answered(response: aiohttp.ClientResponse, headers: tuple[tuple[str, str], ...], body: bytes) -> Outcome:
    status = response.status
    if 200 <= status < 300:
        result, message = Result.DELIVERED, f"Answered {status}."
    elif 300 <= status < 400:
        result, message = (
            Result.REJECTED,
            f"Answered {status}: redirects are not followed, give the webhook its new URL.",
        )
    elif status == HTTPStatus.GONE:
        result, message = Result.GONE, "Answered 410: it wants nothing more."
    else:
        result, message = Result.REJECTED, f"Answered {status}."
    return Outcome(result, message, status_code=status, response_headers=headers, response_body=body)


def _cut_off(response: aiohttp.ClientResponse, origin: str) -> Outcome:
    return Outcome(
        Result.UNREACHABLE,
        f"{origin} answered {response.status} and closed the connection before the end of its answer.",
        status_code=response.status,
    )


def _is_silent_goodbye(error: aiohttp.ClientConnectionError) -> bool:
    """The connection ended without a byte of an answer."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return isinstance(error.message, str)
    return not isinstance(error, aiohttp.ClientConnectorError)


def _failure(error: Exception, origin: str) -> Outcome:
    """No answer came. Texts of aiohttp are not repeated where they may hold bytes of the receiver or the whole URL."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, _ForbiddenError):
        return Outcome(Result.BLOCKED, f"Not sent to {origin}: {error.os_error}.")
    if isinstance(error, ValueError) and not isinstance(error, aiohttp.ClientError):
        return Outcome(Result.REFUSED, "Not sent: a custom header has a line break or a null in it; remove it.")
    return Outcome(Result.UNREACHABLE, _unreachable(error, origin))


def _unreachable(error: Exception, origin: str) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return (
                f"The certificate of {origin} is not trusted: {_tls_reason(error.certificate_error)}. "
                "Give the receiver one that is trusted here."
            )
        case aiohttp.ClientConnectorDNSError():
            return f"The name of {origin} cannot be resolved: {error.os_error.strerror}."
        case aiohttp.ClientConnectorSSLError():
            return f"TLS with {origin} failed: {_tls_reason(error.os_error)}."
        case aiohttp.ClientConnectorError():
            return f"No connection to {origin}: {os.strerror(error.os_error.errno or EHOSTUNREACH)}."
        case aiohttp.ClientConnectionError():
            return f"{origin} closed the connection before the end of its answer."
        case aiohttp.ClientResponseError():
            return f"The answer of {origin} is not HTTP, or its head is too large."
        case _:
            return f"The exchange with {origin} failed: {type(error).__name__}."


def _tls_reason(error: Exception) -> str:
    """In OpenSSL's words."""
    return str(getattr(error, "verify_message", "") or getattr(error, "reason", "") or type(error).__name__)
