"""What a long build shows: how long it has run and how far it is.

In come lines of text, out goes one line that is rewritten on a terminal, or a new line every few seconds where output
is a file.
"""

from __future__ import annotations

import sys
import time
from typing import TextIO

QUIET_SECONDS = 15.0


class Progress:
    """One stage of work on standard error, from its start to `done`."""

    def __init__(self, title: str, stream: TextIO = sys.stderr) -> None:
        self._title = title
        self._stream = stream
        self._rewrites = stream.isatty()
        self._started = time.monotonic()
        self._printed = float("-inf")

    def show(self, state: str) -> None:
        """Show the present state; on a file at most one line every few seconds."""
        now = time.monotonic()
        if now - self._printed >= (0.2 if self._rewrites else QUIET_SECONDS):
            self._printed = now
            self._write(state, end="" if self._rewrites else "\n")

    def done(self, state: str) -> None:
        """Show the last state, for good."""
        self._write(state, end="\n")

    def _write(self, state: str, end: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        start = "\r\x1b[K" if self._rewrites else ""
        print(f"{start}{self._title}  {minutes}:{seconds:02d}  {state}", end=end, file=self._stream, flush=True)
