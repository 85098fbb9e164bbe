"""One HTTP GET with a deadline, in the shape callers know from `requests`.

In comes a URL, out goes a `Response`, whatever its status. `services` imports this module under the name `requests`,
so that `orchest.services.requests.get` can be replaced as before. It never retries, and sends no credentials.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from orchest.config import Config
from orchest.error import OrchestNetworkError


class Response:
    """A server's answer.

    Attributes:
        url: what was asked for.
        status_code: the HTTP status.
        content: the body, undecoded.
        text: the body as text, in the charset that the server names (UTF-8 if none).

    """

    def __init__(self, url: str, status_code: int, content: bytes, charset: str) -> None:
        self.url = url
        self.status_code = status_code
        self.content = content
        self._charset = charset

    @property
    def text(self) -> str:
        try:
            return self.content.decode(self._charset, "replace")
        except LookupError:  # the server names a charset that Python does not know
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body, decoded.

        Raises:
            OrchestNetworkError: the body is not JSON.

        """
        import json

        try:
            return json.loads(self.text)
        except (ValueError, RecursionError) as problem:
            raise OrchestNetworkError(
                f"{self.url} answered with something that is not JSON ({problem}). Is another server at this address?"
            ) from problem

    def raise_for_status(self) -> None:
        """Nothing, if the server did as asked.

        Raises:
            OrchestNetworkError: the status is 400 or above.

        """
        if self.status_code >= 400:
            raise OrchestNetworkError(f"{self.url} answered with status {self.status_code}. Try again in a while.")


def get(url: str, timeout: float | None = None) -> Response:
    """The answer to one GET request, redirects followed.

    Args:
        url: an http URL.
        timeout: seconds for connecting, for each wait, and for the whole body; None is `Config.HTTP_TIMEOUT`.

    Raises:
        OrchestNetworkError: the server cannot be reached, or does not answer in time.

    """
    # Slow to import, and most steps never make a request.
    import http.client
    import urllib.error
    import urllib.request

    seconds = Config.HTTP_TIMEOUT if timeout is None else timeout
    deadline = monotonic() + seconds
    try:
        try:
            answer = urllib.request.urlopen(url, timeout=seconds)  # noqa: S310 - callers build http URLs
        except urllib.error.HTTPError as refusal:
            answer = refusal
        with answer:
            charset = answer.headers.get_content_charset("utf-8")
            return Response(url, answer.status, _read(answer, deadline), charset)
    except (OSError, http.client.HTTPException, ValueError) as problem:
        raise OrchestNetworkError(
            f"No answer from {url} within {seconds:g} s: {problem or type(problem).__name__}. Does the server exist, "
            "and is it reachable from here?"
        ) from problem


def _read(answer: Any, deadline: float) -> bytes:
    """The body. A server that drips byte by byte never runs into the timeout of a single read."""
    chunks = []
    while chunk := answer.read1(1 << 16):
        chunks.append(chunk)
        if monotonic() > deadline:
            raise TimeoutError("the answer takes too long")
    return b"".join(chunks)
