"""An API server that only reviews tokens, over real HTTP: what it answers is the test's, what it was asked is kept.

What the real one answers is in `tests/cluster/test_token_review.py`.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from desired_state.masking import Masker
from reconciler.cluster_client import ClusterClient, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Status = dict[str, Any]


class Reviews:
    """`answer`: of a token, the status of its review, or an HTTP status code."""

    def __init__(self, answer: Callable[[str], Status | int]) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.server: ThreadingHTTPServer

    @property
    def tokens(self) -> list[str]:
        return [spec["token"] for spec in self.asked]

    def client(self, folder: Path) -> ClusterClient:
        address = f"http://127.0.0.1:{self.server.server_port}"
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(
            json.dumps(
                {
                    "clusters": [{"name": "c", "cluster": {"server": address}}],
                    "users": [{"name": "u", "user": {"token": "our-own"}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "x",
                }
            )
        )
        return ClusterClient(connect(str(kubeconfig)), Masker(b"0123456789abcdef"))


@contextmanager
def reviewing(answer: Callable[[str], Status | int]) -> Iterator[Reviews]:
    reviews = Reviews(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert self.path == "/apis/authentication.k8s.io/v1/tokenreviews"
            reviews.asked.append(review["spec"])
            told = reviews.answer(review["spec"]["token"])
            code = told if isinstance(told, int) else 201
            message = {"kind": "Status", "message": f"no {review['spec']['token']}"}
            body = json.dumps(message if isinstance(told, int) else {**review, "status": told}).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        reviews.server = server
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield reviews
        server.shutdown()
        thread.join()


def account(namespace: str, name: str, *audiences: str) -> Status:
    """The status of a review that knows the account."""
    user = {"username": f"system:serviceaccount:{namespace}:{name}", "uid": "1"}
    return {"authenticated": True, "user": user, "audiences": list(audiences)}
