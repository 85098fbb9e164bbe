"""Raw JSON over HTTPS to one API server.

In come a path and a body, out comes the status and the decoded answer, whatever the status: tests look at refusals as
often as at successes. It knows no kinds and retries nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import urllib3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


class ApiError(Exception):
    """The API server refused a request that had to succeed."""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer: the HTTP status and the decoded body (None when it is not JSON)."""

    status: int
    body: Any
    text: str

    def expect(self, *statuses: int) -> Any:
        """The body, when the status is one of these; raises ApiError otherwise."""
        if self.status not in statuses:
            raise ApiError(f"expected {' or '.join(map(str, statuses))}, got {self.status}: {self.text.strip()[:500]}")
        return self.body


class Api:
    """A connection pool to one server, as one user; safe to share between threads."""

    def __init__(
        self,
        server: str,
        *,
        ca: Path | None,
        token: str | None = None,
        client_certificate: tuple[str, str] | None = None,
    ) -> None:
        certificate, key = client_certificate or (None, None)
        self._server = server.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(
            maxsize=16,
            retries=False,
            timeout=urllib3.Timeout(connect=5, read=60),
            ca_certs=str(ca) if ca else None,
            cert_file=certificate,
            key_file=key,
        )

    def get(self, path: str, **query: str) -> Response:
        """GET the path, for example `/api/v1/namespaces`."""
        return self.request("GET", path, **query)

    def post(self, path: str, body: Any, **query: str) -> Response:
        """POST the object to its collection."""
        return self.request("POST", path, body, **query)

    def put(self, path: str, body: Any, **query: str) -> Response:
        """PUT the whole object."""
        return self.request("PUT", path, body, **query)

    def patch(self, path: str, body: Any, media_type: str = MERGE_PATCH, **query: str) -> Response:
        """PATCH the object, by default with a JSON merge patch."""
        return self.request("PATCH", path, body, media_type=media_type, **query)

    def apply(self, path: str, body: Any, manager: str, **query: str) -> Response:
        """PATCH by server-side apply, as this field manager."""
        return self.patch(path, body, APPLY_PATCH, fieldManager=manager, **query)

    def delete(self, path: str, body: Any = None, **query: str) -> Response:
        """DELETE the object; the body may hold preconditions."""
        return self.request("DELETE", path, body, **query)

    def request(
        self, method: str, path: str, body: Any = None, *, media_type: str = "application/json", **query: str
    ) -> Response:
        """Any request; raises urllib3's errors when the server cannot be reached."""
        answer = self._pool.request(
            method,
            self._url(path, query),
            body=None if body is None else json.dumps(body),
            headers=self._headers | {"Content-Type": media_type, "Accept": "application/json"},
        )
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        text = answer.data.decode(errors="replace")
        return Response(answer.status, json.loads(text) if is_json else None, text)

    def watch(self, path: str, resource_version: str, **query: str) -> Iterator[dict[str, Any]]:
        """The events after this version until the server ends the watch, which it does within five minutes."""
        query |= {
            "watch": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": "240",
            "allowWatchBookmarks": "true",
        }
        answer = self._pool.request(
            "GET",
            self._url(path, query),
            headers=self._headers,
            preload_content=False,
            timeout=urllib3.Timeout(connect=5, read=300),
        )
        try:
            if answer.status != 200:
                raise ApiError(f"watch of {path} answered {answer.status}")
            rest = b""
            for chunk in answer.stream(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines)
        finally:
            answer.close()

    def _url(self, path: str, query: dict[str, str]) -> str:
        return f"{self._server}{path}{'?' + urlencode(query) if query else ''}"
