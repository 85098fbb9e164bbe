"""The command line's only way to an Orchest API: paths in, typed answers out.

In: where the API is, a token, and the types of answers. Out: those types; whatever goes wrong is one `ApiError`, whose
text says what, where and the mend. Fields that this release does not know are ignored, so that a newer API is
understood. Never: a token to another host than the named one, or in clear text to any but this machine; a redirect
followed; a request sent twice that the API could carry out twice.
"""

from __future__ import annotations

import json
import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import urllib3
from pydantic import TypeAdapter, ValidationError
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    ReadTimeoutError,
    SSLError,
)

from reconciler.errors import OrchestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from urllib3 import BaseHTTPResponse

Told = TypeVar("Told")
Query: TypeAlias = "Mapping[str, object]"

_ALL: Query = MappingProxyType({})
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 60.0
"""An API plans while we wait, and a ping waits for its receiver."""
_SILENCE_SECONDS = 45.0
"""Of a stream: the API says something every 15 seconds."""
_PROBLEM = "application/problem+json"
_NEW_TOKEN = "where the API's database is: orchest token create NAME --scope {scope}"  # noqa: S105 - how one is made
_HOW = "Give it by ORCHEST_API_TOKEN or --api-token-file."
_MOST_MISTAKES = 50

_REPEATED = urllib3.Retry(
    connect=3,
    read=3,
    status=3,
    other=0,
    redirect=False,
    allowed_methods=None,
    status_forcelist=(),
    backoff_factor=0.3,
    backoff_max=5,
    retry_after_max=60,
    raise_on_status=False,
)
"""Of what may be asked twice. Also 429 and 503, where Retry-After says when."""
_ONCE = _REPEATED.new(read=0, status=0, respect_retry_after_header=False)
"""Only as long as nothing can have arrived."""


class ApiError(OrchestError):
    """Base of all that an API, or the way to it, can answer."""


class BadEndpoint(ApiError):
    """What was said of the API cannot be used: its address, the token, the certificate."""

    exit_code: ClassVar[int] = 64


class NoApi(ApiError):
    """No answer, or one that no Orchest API gives."""


class NoAccess(ApiError):
    """401 and 403."""


class NotThere(ApiError):
    """404: a problem of the API."""


class Problem(ApiError):
    """Whatever else the API refuses."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An API as its caller names it."""

    url: str
    """Without `/api`, without a slash at the end."""
    token: str = field(repr=False)
    ca_file: Path | None = None
    """Certificates to be trusted instead of the system's."""


@dataclass(frozen=True, slots=True)
class Seen(Generic[Told]):
    """What was told, and by which tag the next look asks for news."""

    told: Told
    etag: str


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """One message of a stream of server-sent events."""

    id: str
    type: str
    data: str
    """"" for a message that only says how far the stream is."""


def endpoint(url: str, token: str, ca_file: Path | None, *, is_clear_text_allowed: bool) -> Endpoint:
    """Raises BadEndpoint, which repeats neither the address, for it may hold a password, nor the token."""
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise BadEndpoint("--api: that is no address. Write it like https://orchest.example.com/orchest-api.") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise BadEndpoint("--api: an address that begins with https:// or http:// is needed.")
    if parts.username is not None or parts.password is not None:
        raise BadEndpoint(f"--api: no user or password belongs into the address. The API takes a token: {_HOW}")
    if parts.query or parts.fragment:
        raise BadEndpoint("--api: the address ends with its path. Leave out what follows ? or #.")
    if parts.scheme == "http" and not is_clear_text_allowed and not _is_this_machine(host):
        raise BadEndpoint(
            f"--api: {host} would be sent the token in clear text, for everybody on the way to read. Use https://, "
            "or allow it by --api-insecure inside a network you trust."
        )
    _check_token(token)
    path = parts.path.rstrip("/").removesuffix("/api").rstrip("/")
    return Endpoint(f"{parts.scheme}://{parts.netloc}{path}", token, ca_file)


class ApiClient:
    """Use it as long as one command; its connection is kept in between."""

    def __init__(self, at: Endpoint) -> None:
        """Raises BadEndpoint for a file of certificates that is none."""
        self._url = at.url
        self._headers = {"Authorization": f"Bearer {at.token}", "Accept": f"application/json, {_PROBLEM}"}
        self._pool = urllib3.PoolManager(
            ssl_context=_tls(at.ca_file), timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_ANSWER_SECONDS)
        )

    def close(self) -> None:
        self._pool.clear()

    def get(self, path: str, answer: TypeAdapter[Told], query: Query = _ALL) -> Told:
        """What is None in the query is left out."""
        return self._told(answer, path, self._ask("GET", _with_query(path, query)))

    def pages(self, path: str, answer: TypeAdapter[Told], query: Query = _ALL) -> Iterator[Told]:
        """As many as are taken, from the one that `query` begins with. Each has `next_cursor` beside what is told."""
        cursor = query.get("cursor")
        while True:
            body = self._ask("GET", _with_query(path, {**query, "cursor": cursor}))
            yield self._told(answer, path, body)
            cursor = self._told(_CURSOR, path, body)["next_cursor"]
            if cursor is None:
                return

    def look_again(self, path: str, answer: TypeAdapter[Told], seen: Seen[Told] | None) -> Seen[Told]:
        """`seen` itself while nothing changed."""
        headers = {"If-None-Match": seen.etag} if seen and seen.etag else {}
        found = self._request("GET", path, None, headers, _REPEATED)
        if seen and found.status == HTTPStatus.NOT_MODIFIED:
            return seen
        return Seen(self._told(answer, path, self._checked(found)), found.headers.get("ETag", ""))

    def post(self, path: str, answer: TypeAdapter[Told], body: object = None) -> Told:
        """Once, however often it is sent: the API knows it by its key."""
        headers = {"Idempotency-Key": str(uuid4())}
        return self._told(answer, path, self._ask("POST", path, body, headers))

    def act(self, path: str, answer: TypeAdapter[Told], body: object = None) -> Told:
        """A POST for which the API takes no key: sent once, and tried again only if nobody can have heard it."""
        return self._told(answer, path, self._checked(self._request("POST", path, body, {}, _ONCE)))

    def delete(self, path: str, answer: TypeAdapter[Told]) -> Told:
        return self._told(answer, path, self._ask("DELETE", path))

    def stream(self, path: str, query: Query, last: str) -> Iterator[StreamedEvent]:
        """Server-sent events behind the one whose id is `last`, until the API or the way to it ends it. Raises NoApi
        when it is silent for too long.
        """
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_SILENCE_SECONDS)
        address = self._url + _with_query(path, query)
        with self._translated():
            found = self._pool.request(
                "GET",
                address,
                headers={**self._headers, **headers},
                timeout=timeout,
                retries=_REPEATED,
                redirect=False,
                preload_content=False,
            )
            try:
                if found.status != HTTPStatus.OK:
                    self._checked(found)
                yield from _streamed(found)
            finally:
                found.close()

    def _ask(self, method: str, path: str, body: object = None, headers: Mapping[str, str] = {}) -> bytes:
        return self._checked(self._request(method, path, body, headers, _REPEATED))

    def _request(
        self, method: str, path: str, body: object, headers: Mapping[str, str], retries: urllib3.Retry
    ) -> BaseHTTPResponse:
        sent = None if body is None else json.dumps(body).encode()
        of_body = {} if sent is None else {"Content-Type": "application/json"}
        with self._translated():
            return self._pool.request(
                method,
                self._url + path,
                body=sent,
                headers={**self._headers, **of_body, **headers},
                retries=retries,
                redirect=False,
            )

    def _checked(self, found: BaseHTTPResponse) -> bytes:
        """The body of a 2xx. Raises ApiError."""
        status = found.status
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return found.data
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise NoApi(self._redirected(found.headers.get("Location", "")))
        if _media_type(found) != _PROBLEM:
            raise NoApi(f"{self._url} answered {status}, and not as an Orchest API does. {self._IS_IT_THERE}")
        raise _problem(status, found.data)

    def _told(self, answer: TypeAdapter[Told], path: str, body: bytes) -> Told:
        try:
            json.loads(body)
        except ValueError:
            text = f"{self._url} answered {path} with something that is no JSON. {self._IS_IT_THERE}"
            raise NoApi(text) from None
        try:
            return answer.validate_json(body)
        except ValidationError as error:
            raise NoApi(
                f"{self._url} answered {path} in a way that this release does not understand: {_first(error)}. "
                "Use the orchest command of the API's own release."
            ) from None

    _IS_IT_THERE: ClassVar[str] = "Is the address right, with its base path if it has one, and the API running there?"

    def _redirected(self, location: str) -> str:
        parts = urlsplit(location)
        to = f" to {_printable(f'{parts.scheme}://{parts.hostname}')}" if parts.hostname else ""
        return (
            f"{self._url} redirects{to}. It is not followed, for the token would go there too. "
            "Give the API's own address by --api."
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except HTTPError as error:
            raise NoApi(f"{self._url}: {_unreached(error)}") from None


_CURSOR: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if isinstance(error, FileNotFoundError | PermissionError) else "no certificates in it"
        raise BadEndpoint(f"--api-ca {ca_file}: {reason}. Give a file of certificates as PEM text.") from None


def _check_token(token: str) -> None:
    if not token:
        raise BadEndpoint(f"The API needs a token. {_HOW} One is made {_NEW_TOKEN.format(scope='read')}")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise BadEndpoint(f"What was given as the API's token is none: one word of ASCII is needed. {_HOW}")


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _with_query(path: str, query: Query) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _media_type(found: BaseHTTPResponse) -> str:
    return found.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _problem(status: int, body: bytes) -> ApiError:
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    told = told if isinstance(told, dict) else {}
    lines = [_printable(str(told.get("detail") or f"The API answered {status}."))]
    mistakes = told.get("errors")
    listed = mistakes[:_MOST_MISTAKES] if isinstance(mistakes, list) else []
    lines += [_printable(f"  {one.get('where')}: {one.get('what')}") for one in listed if isinstance(one, dict)]
    if status == HTTPStatus.UNAUTHORIZED:
        lines.append(f"{_HOW} A new one is made {_NEW_TOKEN.format(scope='SCOPE')}")
    if status == HTTPStatus.FORBIDDEN:
        lines.append(f"A token of another scope is made {_NEW_TOKEN.format(scope='SCOPE')}")
    if request_id := told.get("request_id"):
        lines.append(f"(request {_printable(str(request_id))})")
    kinds: dict[int, type[ApiError]] = {
        HTTPStatus.UNAUTHORIZED: NoAccess,
        HTTPStatus.FORBIDDEN: NoAccess,
        HTTPStatus.NOT_FOUND: NotThere,
    }
    return kinds.get(status, Problem)("\n".join(lines))


def _printable(text: str) -> str:
    """What others wrote must not move the cursor or colour the screen."""
    return "".join(one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in text)


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(map(str, found["loc"])) or "all of it"
    return f"{_printable(where)}: {found['msg']}"


def _unreached(error: HTTPError) -> str:
    cause: BaseException | None = error.reason if isinstance(error, MaxRetryError) else error
    match cause:
        case NameResolutionError():
            return "there is no host of that name. Check the address given by --api."
        case SSLError():
            reason = getattr(cause.args[0], "verify_message", "") if cause.args else ""
            return (
                f"no TLS connection that can be trusted{f' ({reason})' if reason else ''}. If a CA of your own signed "
                "its certificate, name that by --api-ca; if it speaks no TLS at all, the address begins with http://."
            )
        case ConnectTimeoutError():
            return f"no connection within {_CONNECT_SECONDS:.0f} seconds. Is the API running, and reachable from here?"
        case ReadTimeoutError():
            return "no answer in time. Whatever was asked may still happen: look before you ask again."
        case urllib3.exceptions.NewConnectionError():
            return "no connection. Is the API running, and reachable from here?"
        case _:
            return "the connection broke before there was an answer. Look whether it happened, then try again."


def _streamed(found: BaseHTTPResponse) -> Iterator[StreamedEvent]:
    """Of the WHATWG's format what the API uses: id, event, data of one line; comments and `retry` are skipped."""
    fields: dict[str, str] = {}
    for line in _lines(found):
        if not line:
            if fields:
                yield StreamedEvent(fields.get("id", ""), fields.get("event", ""), fields.get("data", ""))
            fields = {}
            continue
        name, _, value = line.partition(":")
        if name in {"id", "event", "data"}:
            fields[name] = value.removeprefix(" ")


def _lines(found: BaseHTTPResponse) -> Iterator[str]:
    rest = b""
    while part := found.read1():
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")
