"""The client of the API against servers that are not what it hopes for."""

from __future__ import annotations

import json
import ssl
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import TypeAdapter

from reconciler.api_client import ApiClient, ApiError, BadEndpoint, NoAccess, NoApi, NotThere, Problem, endpoint
from reconciler.cli.exit_codes import ExitCode
from tests.command_line import orchest
from tests.reconciler.test_cli_input import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TOKEN = "orc_canary-5f1c2"
JSON = {"Content-Type": "application/json"}
PROBLEM = {"Content-Type": "application/problem+json"}
HTML = {"Content-Type": "text/html"}


@dataclass(frozen=True)
class Seen:
    name: str
    size: int = 0


@dataclass(frozen=True)
class Seens:
    names: list[str]


SEEN = TypeAdapter(Seen)
SEENS = TypeAdapter(Seens)


@dataclass(frozen=True)
class Script:
    """One answer. A status of 0: none, the connection is closed."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    body: str = '{"name": "bees"}'


@dataclass
class Server:
    url: str
    heard: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    """Method, path, headers and body of each request."""


@contextmanager
def serving(*answers: Script, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """The answers one after the other, the last again and again."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server.heard.append((self.command, self.path, dict(self.headers), body))
            script = left.pop(0) if len(left) > 1 else left[0]
            if not script.status:
                self.close_connection = True
                return
            self.send_response(script.status)
            for name, value in script.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(script.body.encode())))
            self.end_headers()
            self.wfile.write(script.body.encode())

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - names of the standard library

        def log_message(self, *_: object) -> None:
            """Nothing on the test's screen."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that gave up is what some tests are about."""

    with Quiet(("127.0.0.1", 0), Handler) as http:
        if context:
            http.socket = context.wrap_socket(http.socket, server_side=True)
        scheme = "https" if context else "http"
        server = Server(f"{scheme}://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


@contextmanager
def client_of(url: str, ca_file: Path | None = None) -> Iterator[ApiClient]:
    with closing(ApiClient(endpoint(url, TOKEN, ca_file, is_clear_text_allowed=False))) as client:
        yield client


def failed(script: Script, words: Sequence[str] = (), kind: type[ApiError] = ApiError) -> str:
    """What a GET says that is answered so."""
    with serving(script) as server, client_of(server.url) as client, pytest.raises(kind) as caught:
        client.get("/api/thing", SEEN)
    text = str(caught.value)
    for word in words:
        assert word in text, text
    assert TOKEN not in text
    return text


# --- where the token may go


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "http://localhost:8000/",
        "http://[::1]:8000",
        "https://orchest.example.com/orchest-api/api/",
    ],
)
def test_a_token_goes_encrypted_or_stays_on_this_machine(url: str) -> None:
    assert endpoint(url, TOKEN, None, is_clear_text_allowed=False).token == TOKEN


@pytest.mark.parametrize(
    "url",
    [
        "http://orchest.example.com",
        "http://127.0.0.1.example.com",
        "http://10.0.0.1",
        "ftp://127.0.0.1",
        "127.0.0.1:8000",
        "https://",
        "https://me:canary@orchest.example.com",
        "https://orchest.example.com?token=canary",
        "https://orchest.example.com/#canary",
        "https://[::1",
        "https://host:canary",
        "",
    ],
)
def test_an_address_that_would_betray_a_token_or_is_none_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadEndpoint) as caught:
        endpoint(url, TOKEN, None, is_clear_text_allowed=False)
    assert "canary" not in str(caught.value)
    assert caught.value.exit_code == ExitCode.USAGE


def test_clear_text_is_for_those_who_ask_for_it() -> None:
    assert endpoint("http://orchest-api/api", TOKEN, None, is_clear_text_allowed=True).url == "http://orchest-api"
    with pytest.raises(BadEndpoint, match="--api-insecure"):
        endpoint("http://orchest-api/api", TOKEN, None, is_clear_text_allowed=False)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ümlaut"])
def test_a_token_that_is_none_is_not_sent_and_not_repeated(token: str) -> None:
    with pytest.raises(BadEndpoint, match="ORCHEST_API_TOKEN") as caught:
        endpoint("http://127.0.0.1", token, None, is_clear_text_allowed=False)
    assert not token or token not in str(caught.value)


def test_the_token_is_in_no_representation() -> None:
    assert TOKEN not in repr(endpoint("http://127.0.0.1", TOKEN, None, is_clear_text_allowed=False))


@pytest.mark.parametrize("path", ["", "/", "/api", "/api/"])
def test_a_base_path_is_kept_and_api_is_not_doubled(path: str) -> None:
    with serving(Script()) as server, client_of(f"{server.url}/orchest-api{path}") as client:
        assert client.get("/api/thing", SEEN).name == "bees"
    assert [one[1] for one in server.heard] == ["/orchest-api/api/thing"]
    assert server.heard[0][2]["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_told_and_not_followed(status: int) -> None:
    with serving(Script()) as other:
        text = failed(Script(status, {"Location": f"{other.url}/api/thing?canary"}, ""), ["redirects to http://127"])
    assert other.heard == []
    assert "canary" not in text.replace(TOKEN, "")


# --- what is no answer


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (Script(200, HTML, "<html>welcome</html>"), ["no JSON", "base path"]),
        (Script(404, HTML, "<html>nothing here</html>"), ["answered 404", "not as an Orchest API"]),
        (Script(502, HTML, "<html>bad gateway</html>"), ["answered 502"]),
        (Script(404, JSON, '{"message": "Not Found"}'), ["not as an Orchest API"]),
        (Script(200, JSON, '{"size": 1}'), ["does not understand", "name", "own release"]),
        (Script(200, JSON, '{"name": 7}'), ["name", "string"]),
        (Script(200, JSON, "[]"), ["does not understand"]),
        (Script(200, JSON, ""), ["no JSON"]),
        (Script(0), ["broke"]),
    ],
    ids=str,
)
def test_what_no_orchest_api_answers_is_one_sentence(script: Script, words: list[str]) -> None:
    text = failed(script, words, NoApi)
    assert "welcome" not in text
    assert "\n" not in text


def test_what_a_newer_api_adds_is_ignored() -> None:
    newer = {"name": "bees", "size": 2, "colour": {"of": "wings"}}
    with serving(Script(body=json.dumps(newer))) as server, client_of(server.url) as client:
        assert client.get("/api/thing", SEEN) == Seen("bees", 2)


def test_nobody_there_and_no_such_host_are_told_apart() -> None:
    with serving(Script()) as server:
        pass
    for url, words in ((server.url, "no connection"), ("https://no-such-host.invalid", "no host of that name")):
        with client_of(url) as client, pytest.raises(NoApi, match=words):
            client.get("/api/thing", SEEN)


# --- problems


def problem(status: int, **more: Any) -> Script:
    told = {"type": "about:blank", "title": "t", "status": status, "detail": "The body is not valid.", **more}
    return Script(status, PROBLEM, json.dumps(told))


def test_a_problem_is_its_detail_each_mistake_and_the_request() -> None:
    mistakes = [{"where": "body.url", "what": "missing"}, {"where": "body.name", "what": "too \x1b[2Jlong"}]
    text = failed(problem(400, errors=mistakes, request_id="r-1"), kind=Problem)
    assert text == (
        "The body is not valid.\n  body.url: missing\n  body.name: too \N{REPLACEMENT CHARACTER}[2Jlong\n(request r-1)"
    )


@pytest.mark.parametrize(("status", "kind"), [(401, NoAccess), (403, NoAccess), (404, NotThere), (409, Problem)])
def test_whom_the_api_does_not_let_in_learns_how_to_get_a_token(status: int, kind: type[ApiError]) -> None:
    text = failed(problem(status), kind=kind)
    assert ("orchest token create" in text) == (kind is NoAccess)


@pytest.mark.parametrize("body", ["", "no json", "[]", '"text"', '{"detail": 7, "errors": [1, null]}'])
def test_a_problem_that_is_broken_is_still_told(body: str) -> None:
    failed(Script(500, PROBLEM, body), kind=Problem)


# --- once, or again


def test_a_look_is_repeated_where_the_api_says_when() -> None:
    busy = Script(503, {**PROBLEM, "Retry-After": "0"}, "{}")
    throttled = Script(429, {**PROBLEM, "Retry-After": "0"}, "{}")
    with serving(busy, throttled, Script()) as server, client_of(server.url) as client:
        assert client.get("/api/thing", SEEN).name == "bees"
    assert len(server.heard) == 3


def test_it_is_not_repeated_for_ever_nor_where_the_api_does_not_say_when() -> None:
    with serving(Script(503, {**PROBLEM, "Retry-After": "0"}, "{}")) as server, client_of(server.url) as client:
        with pytest.raises(Problem):
            client.get("/api/thing", SEEN)
        assert len(server.heard) == 4
    with serving(problem(503)) as server, client_of(server.url) as client:
        with pytest.raises(Problem):
            client.get("/api/thing", SEEN)
        assert len(server.heard) == 1


def test_a_post_whose_answer_was_lost_is_sent_again_under_the_same_key() -> None:
    with serving(Script(0), Script()) as server, client_of(server.url) as client:
        client.post("/api/things", SEEN, {"name": "bees"})
        client.post("/api/things", SEEN, {"name": "bees"})
    first, again, another = (one[2]["Idempotency-Key"] for one in server.heard)
    assert first == again != another
    assert server.heard[0][3] == server.heard[1][3] == b'{"name": "bees"}'


def test_an_act_is_sent_once_whatever_comes_of_it() -> None:
    for lost in (Script(0), Script(503, {**PROBLEM, "Retry-After": "0"}, "{}")):
        with serving(lost, Script()) as server, client_of(server.url) as client, pytest.raises(ApiError):
            client.act("/api/things", SEEN, {})
        assert len(server.heard) == 1
        assert "Idempotency-Key" not in server.heard[0][2]


def test_who_looks_again_is_told_only_what_changed() -> None:
    first, unchanged = Script(headers={**JSON, "ETag": '"1"'}), Script(304, {"ETag": '"1"'}, "")
    second = Script(headers={**JSON, "ETag": '"2"'}, body='{"name": "wasps"}')
    with serving(first, unchanged, second) as server, client_of(server.url) as client:
        seen = client.look_again("/api/thing", SEEN, None)
        assert client.look_again("/api/thing", SEEN, seen) is seen
        assert client.look_again("/api/thing", SEEN, seen).told.name == "wasps"
    assert [one[2].get("If-None-Match") for one in server.heard] == [None, '"1"', '"1"']


def test_pages_are_asked_for_as_they_are_taken() -> None:
    pages = [Script(body=json.dumps({"names": [str(n)], "next_cursor": n if n < 3 else None})) for n in (1, 2, 3)]
    with serving(*pages) as server, client_of(server.url) as client:
        taken = client.pages("/api/things", SEENS, {"limit": 1, "type": None})
        assert next(taken).names == ["1"]
        assert len(server.heard) == 1
        assert [page.names for page in taken] == [["2"], ["3"]]
    assert [one[1] for one in server.heard] == [
        "/api/things?limit=1",
        "/api/things?limit=1&cursor=1",
        "/api/things?limit=1&cursor=2",
    ]


def test_a_stream_is_told_message_by_message() -> None:
    text = ": hello\nid: 1\nretry: 2000\n\nid: 2\nevent: project:created\ndata: {}\n\nid: 3\nevent: cut off"
    with serving(Script(200, {"Content-Type": "text/event-stream"}, text)) as server, client_of(server.url) as client:
        told = [(one.id, one.type, one.data) for one in client.stream("/api/stream", {}, "0")]
    assert told == [("1", "", ""), ("2", "project:created", "{}")]
    assert server.heard[0][2]["Last-Event-ID"] == "0"


# --- TLS


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of 127.0.0.1, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


def of_server(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_certificate_that_nobody_vouches_for_is_refused_and_one_that_is_named_taken(certificate: Path) -> None:
    with serving(Script(), context=of_server(certificate)) as server:
        with client_of(server.url) as client, pytest.raises(NoApi, match="--api-ca"):
            client.get("/api/thing", SEEN)
        assert server.heard == []
        with client_of(server.url, certificate) as client:
            assert client.get("/api/thing", SEEN).name == "bees"
        other = server.url.replace("127.0.0.1", "localhost")
        with client_of(other, certificate) as client, pytest.raises(NoApi, match="TLS"):
            client.get("/api/thing", SEEN)


def test_the_systems_trust_can_be_named_as_for_other_programs(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(Script(), context=of_server(certificate)) as server, client_of(server.url) as client:
        assert client.get("/api/thing", SEEN).name == "bees"


def test_https_to_a_server_without_tls_is_told() -> None:
    with (
        serving(Script()) as server,
        client_of(server.url.replace("http:", "https:")) as client,
        pytest.raises(NoApi, match="TLS"),
    ):
        client.get("/api/thing", SEEN)


def test_a_file_of_certificates_that_is_none_is_a_matter_of_usage(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    for name, word in (("empty", "no certificates"), ("absent", "No such file")):
        with pytest.raises(BadEndpoint, match=word):
            ApiClient(endpoint("https://127.0.0.1", TOKEN, tmp_path / name, is_clear_text_allowed=False))


# --- as a person types it


@pytest.fixture
def no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("ORCHEST_API_TOKEN", "ORCHEST_API_URL", "ORCHEST_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_without_a_token_nothing_is_asked(no_token: Path) -> None:
    with serving(Script()) as server:
        orchest("--api", server.url, "webhook", "list").failed(ExitCode.USAGE, "ORCHEST_API_TOKEN", "orchest token")
        for name, content in (("empty", ""), ("absent", None)):
            if content is not None:
                (no_token / name).write_text(content)
            arguments = ("--api-token-file", no_token / name, "webhook", "list")
            orchest("--api", server.url, *arguments).failed(ExitCode.USAGE)
    assert server.heard == []
    assert not (no_token / "state").exists(), "nothing here was opened either"


def test_the_token_comes_from_a_file_or_the_environment(no_token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (no_token / "token").write_text("from-a-file\n")
    with serving(Script(body='{"webhooks": []}')) as server:
        orchest("--api", server.url, "--api-token-file", no_token / "token", "webhook", "list").succeeded()
        monkeypatch.setenv("ORCHEST_API_TOKEN", "from-the-environment")
        monkeypatch.setenv("ORCHEST_API_URL", server.url)
        orchest("webhook", "list").succeeded()
    assert [one[2]["Authorization"] for one in server.heard] == ["Bearer from-a-file", "Bearer from-the-environment"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("apply", "-f", "cluster.yaml", "--yes"),
        ("diff", "-f", "cluster.yaml"),
        ("install", "--crds"),
        ("snapshot", "save", "file"),
        ("snapshot", "show", "1a2b3c4d"),
        ("worker",),
        ("status", "--context", "other"),
        ("plan", "-f", "cluster.yaml", "--snapshot", "file"),
    ],
    ids=" ".join,
)
def test_what_an_api_cannot_be_asked_is_a_matter_of_usage_and_nothing_happens_here(
    no_token: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(no_token)
    monkeypatch.setenv("ORCHEST_API_TOKEN", TOKEN)
    (no_token / "cluster.yaml").write_text(MANIFEST)
    with serving(Script()) as server:
        result = orchest("--api", server.url, *arguments)
    assert result.code == ExitCode.USAGE, result
    assert "API" in result.err or "--api" in result.err
    assert server.heard == []
    assert not list(no_token.rglob("*.db"))


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.api_client._ANSWER_SECONDS", 0.2)
    heard = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.wait(5)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        begun = time.monotonic()
        with client_of(f"http://127.0.0.1:{http.server_port}") as client, pytest.raises(NoApi, match="in time"):
            client.act("/api/thing", SEEN, {})
        assert time.monotonic() - begun < 4
        heard.set()
        http.shutdown()
        thread.join()
