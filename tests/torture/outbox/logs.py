"""Logs that outlive the process that writes them: one JSON line for each entry, whole or absent.

In: entries. Out: the entries again, read by somebody else. Never: half a line counted as one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Log:
    """Appends with one `write` for several entries: a kill of this process loses all of them or none."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, entries: Iterable[dict[str, Any]]) -> None:
        os.write(self._handle, b"".join(orjson.dumps(entry) + b"\n" for entry in entries))

    def sync(self) -> None:
        os.fsync(self._handle)


def entries_of(path: Path) -> list[dict[str, Any]]:
    """All complete entries so far; none when nobody has written yet."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    return [orjson.loads(line) for line in lines[:-1]]
