"""Processes that may die: forked from a process that did nothing yet, watched, and asked what they have to say.

In: a function. Out: how its process ended, and the value it returned. Two levels: `campaign` runs a function in a child
of a fork server that has the libraries imported (once per test process), and inside of it `forked` forks directly,
which takes some milliseconds. A child never returns to its parent's code, and an alarm ends it when it hangs.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import select
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_LIBRARIES = ["numpy", "pandas", "polars", "pyarrow", "pyarrow.pandas_compat", "orchest", "orchest.transfer", __name__]
_HANGING_SECONDS = 120


class Ending(NamedTuple):
    """How a child ended: its exit code, or minus the signal that killed it; what it returned, or the traceback."""

    code: int
    value: Any
    failure: str | None

    def said(self) -> Any:
        """What it returned; a child that failed or was killed is the test's failure."""
        if self.failure is not None or self.code != 0:
            raise AssertionError(self.failure or f"the child ended with {self.code}")
        return self.value


class Child(NamedTuple):
    pid: int
    pipe: int

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def has_ended(self) -> bool:
        """It said something, or can no longer."""
        return bool(select.select([self.pipe], [], [], 0)[0])

    def ending(self) -> Ending:
        with os.fdopen(self.pipe, "rb") as pipe:
            told = pipe.read()
        _, status = os.waitpid(self.pid, 0)
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        value, failure = pickle.loads(told) if told else (None, None)
        return Ending(code, value, failure)


def started(work: Callable[[], Any]) -> Child:
    """A forked child that does the work; to be ended with `ending`."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return Child(pid, reading)
    os.close(reading)
    signal.alarm(_HANGING_SECONDS)
    try:
        told = pickle.dumps((work(), None))
    except BaseException:  # noqa: BLE001  # the parent hears of everything
        told = pickle.dumps((None, traceback.format_exc()))
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(told)
    os._exit(0)


def forked(work: Callable[[], Any]) -> Ending:
    return started(work).ending()


def campaign(work: Callable[..., Any], *arguments: Any) -> Any:
    """What `work`, a function of a module, returns in a child of the fork server."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", *_LIBRARIES, work.__module__])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_told, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        value, failure = ours.recv()
    except EOFError:
        value, failure = None, "nothing was said"
    process.join()
    ours.close()
    ending = Ending(process.exitcode or 0, value, failure)
    process.close()
    return ending.said()


def _told(pipe: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        pipe.send((work(*arguments), None))
    except BaseException:  # noqa: BLE001
        pipe.send((None, traceback.format_exc()))
    sys.stdout.flush()
    os._exit(0)
