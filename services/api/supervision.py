"""The API and a worker for one person's machine: two processes of one command, started and ended together.

In: what each of them does. Out: the exit code of the API. Never: a thread, or anything open that a fork would share.

A worker that ends is started again; when the API ends, so does all. Should this process be killed, the kernel asks both
to end.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from outbox.supervisor import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Program: TypeAlias = Callable[[], int]

_ASKED = frozenset({signal.SIGTERM, signal.SIGINT})
_HEARD = _ASKED | {signal.SIGCHLD}
_RESTART_PAUSE_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1

_log = logging.getLogger("services.api")


def supervise(api: Program, worker: Program) -> int:
    """Until the API has ended, by itself or because of SIGTERM or SIGINT; a second signal ends all at once.

    To be called in the main thread, with no other thread alive. In the two processes it raises SystemExit.
    """
    gc.freeze()
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    family = _Family(api, worker)
    is_ending = False
    while family.has_members:
        heard = signal.sigwait(_HEARD)
        if heard in _ASKED:
            if is_ending:
                family.signal(signal.SIGKILL)
                return INTERRUPTED
            is_ending = True
            family.signal(signal.SIGTERM)
        for ended in family.reaped():
            if ended == "worker" and not is_ending:
                _log.error("the worker has ended, it is started again", extra={"exit_code": family.exit_codes[ended]})
                time.sleep(_RESTART_PAUSE_SECONDS)
                family.start(ended)
            elif ended == "api" and not is_ending:
                is_ending = True
                family.signal(signal.SIGTERM)
    return family.exit_codes["api"]


class _Family:
    def __init__(self, api: Program, worker: Program) -> None:
        self._programs = {"api": api, "worker": worker}
        self._pids: dict[int, str] = {}
        self.exit_codes: dict[str, int] = {}
        for name in self._programs:
            self.start(name)

    @property
    def has_members(self) -> bool:
        return bool(self._pids)

    def start(self, name: str) -> None:
        parent = os.getpid()
        if pid := os.fork():
            self._pids[pid] = name
            return
        _follow(parent)
        sys.exit(self._programs[name]())

    def signal(self, number: signal.Signals) -> None:
        for pid in self._pids:
            os.kill(pid, number)

    def reaped(self) -> tuple[str, ...]:
        """The names of those that have ended."""
        ended = []
        for pid, name in tuple(self._pids.items()):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                del self._pids[pid]
                self.exit_codes[name] = os.waitstatus_to_exitcode(status)
                ended.append(name)
        return tuple(ended)


def _follow(parent: int) -> None:
    """In the child: a session of its own, so that Ctrl-C is heard by the parent alone; and the end with the parent."""
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if os.getppid() != parent:
        sys.exit(INTERRUPTED)
