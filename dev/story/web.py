"""The story told over HTTP: an `orchest api` beside it, and the requests that anybody could send by hand.

In: the environment of the story. Out: each request as the `curl` that sends it, and what came back. Never: a way into
the platform that users do not have. On a machine without curl Python sends the same
requests; only the stream is left out there.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_ORCHEST = Path(sys.executable).parent / "orchest"
_PATIENCE_SECONDS = 30.0
_MOST_CHARACTERS = 600
"""Of an answer that is shown."""
_TOKEN = "$ORCHEST_API_TOKEN"


class WebError(Exception):
    """The API does not do what the story expects of it."""


@dataclass(frozen=True, slots=True)
class Web:
    address: str
    token: str

    def curl(self, path: str, *, body: object = None, headers: tuple[str, ...] = (), expect: int = 200) -> Any:
        """One request, shown as a command line; its answer, parsed. Raises WebError for another status."""
        sent = [*headers, f"Authorization: Bearer {_TOKEN}"]
        text = "" if body is None else json.dumps(body)
        print(f"\n$ {self._command(path, sent, text)}", flush=True)
        status, answer = self._send(path, sent, text)
        print(f"{_shown(answer)}\n[{status}]", flush=True)
        if status != expect:
            raise WebError(f"{path} answered {status}, expected {expect}")
        return json.loads(answer)

    def follow(self, path: str, seconds: int) -> None:
        """A stream, for some seconds."""
        headers = [f"Authorization: Bearer {_TOKEN}"]
        limit = ["--no-buffer", "--max-time", str(seconds)]
        print(f"\n$ {self._command(path, headers, '', *limit)}", flush=True)
        if curl := shutil.which("curl"):
            header = headers[0].replace(_TOKEN, self.token)
            command = [curl, "-s", *limit, "-H", header, self.address + path]
            print(_shown(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout), flush=True)

    def until_it_ended(self, operation: str) -> Any:
        """Its last state."""
        deadline = time.monotonic() + 2 * _PATIENCE_SECONDS
        while True:
            _, answer = self._send(operation, [f"Authorization: Bearer {_TOKEN}"], "")
            found = json.loads(answer)
            if found["state"] != "running":
                return found
            if time.monotonic() > deadline:
                raise WebError(f"{operation} does not end")
            time.sleep(0.2)

    def _command(self, path: str, headers: list[str], text: str, *options: str) -> str:
        words = ["curl", "-s", *options, *(word for header in headers for word in ("-H", header))]
        if text:
            words += ["-H", "Content-Type: application/json", "-d", _short(text)]
        return " ".join(_quoted(word) for word in [*words, self.address + path])

    def _send(self, path: str, headers: list[str], text: str) -> tuple[int, str]:
        named = dict(header.replace(_TOKEN, self.token).split(": ", 1) for header in headers)
        if text:
            named["Content-Type"] = "application/json"
        if curl := shutil.which("curl"):
            given = [word for name, value in named.items() for word in ("-H", f"{name}: {value}")]
            data = ["--data-binary", "@-"] if text else []
            command = [curl, "-s", "-w", "\n%{http_code}", self.address + path]
            done = subprocess.run([*command, *given, *data], input=text, stdout=subprocess.PIPE, text=True, check=True)
            answer, _, status = done.stdout.rpartition("\n")
            return int(status), answer
        request = urllib.request.Request(self.address + path, text.encode() or None, named)
        try:
            with urllib.request.urlopen(request) as answered:
                return answered.status, answered.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()


@contextmanager
def web(folder: Path) -> Iterator[Web]:
    """An API of the story's own; it ends with the story."""
    log_file = folder / "api.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen([_ORCHEST, "api", "--bind", "127.0.0.1:0"], stderr=log, env=os.environ)
    try:
        yield _told(log_file)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _told(log_file: Path) -> Web:
    """What `orchest api` says first."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        said = dict(line.split(": ", 1) for line in _lines(log_file) if ": " in line)
        listening = [line for line in _lines(log_file) if line.startswith("Listening at http")]
        if listening and "Admin token, shown this once" in said:
            return Web(listening[0].removeprefix("Listening at "), said["Admin token, shown this once"])
        time.sleep(0.1)
    raise WebError(f"orchest api did not start; it wrote: {log_file}")


def _lines(log_file: Path) -> list[str]:
    return log_file.read_text().splitlines()


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:160]} ...{text[-20:]}"


def _shown(answer: str) -> str:
    return answer if len(answer) <= _MOST_CHARACTERS else f"{answer[:_MOST_CHARACTERS]} ... ({len(answer)} characters)"


def _quoted(word: str) -> str:
    """As a person would write it: in double quotes where the shell is to fill in the token."""
    return f'"{word}"' if _TOKEN in word else shlex.quote(word)
