"""Processes by identity: a number alone may by now be somebody else's.

In come process numbers, out comes whether that very process still lives. Linux only: it reads /proc.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process: its number, and the clock tick since boot at which it started."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return _started(self.pid) == self.started


def identify(pid: int) -> ProcessIdentity:
    """The identity of a process that runs now; raises ProcessLookupError when there is none."""
    started = _started(pid)
    if started is None:
        raise ProcessLookupError(f"no process {pid}")
    return ProcessIdentity(pid, started)


def end(process: ProcessIdentity, grace_seconds: float) -> None:
    """Ask the process to end, and after the grace make it."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.alive():
            os.kill(process.pid, sign)
        give_up = time.monotonic() + grace_seconds
        while process.alive() and time.monotonic() < give_up:
            time.sleep(0.02)


def die_with_parent() -> None:
    """Called in a new child: the kernel kills it when the thread that made it ends, however that happens."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets and may hold anything, so count from its end.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])
