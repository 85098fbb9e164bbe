"""Each change that a process makes to files, seen one by one, and one of them failed or never finished.

In: which change, and what becomes of it. Out: the list of changes. The functions of `os` are wrapped in the child that
is to suffer, and nowhere else. That nothing passes by unseen is tested: played back, the list gives the same files.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, Callable, NamedTuple, Union

DIED = 77
"""The exit code of a process that ended at its fault."""


class Change(NamedTuple):
    """One call; `path` is what it is about, `to` where a rename or link leads, `data` at `offset` what is written."""

    call: str
    path: str
    to: str = ""
    data: bytes = b""
    offset: int = 0


class Dies(NamedTuple):
    """Before the change of this number; or, `torn`, with the first half of its bytes written."""

    at: int
    torn: bool = False


class DiesAfterRename(NamedTuple):
    """Before whatever follows the first rename."""


class Fails(NamedTuple):
    """At the change of this number, with this error; or, `always`, at every one from then on that takes space."""

    at: int
    error: int
    always: bool = False


Fault = Union[Dies, DiesAfterRename, Fails, None]

TAKES_SPACE = frozenset({"create", "write", "link", "mkdir"})


class Changes:
    """Seen by a `with` block; its process need not come to the end of it."""

    def __init__(self, fault: Fault = None) -> None:
        self.seen: list[Change] = []
        self._fault = fault
        self._paths: dict[int, str] = {}
        self._offsets: dict[int, int] = {}
        self._real = {name: getattr(os, name) for name in _WRAPPED}

    def __enter__(self) -> Changes:  # noqa: PYI034  # `Self` came with Python 3.11
        for name in _WRAPPED:
            setattr(os, name, getattr(self, f"_{name}"))
        return self

    def __exit__(self, *_: object) -> None:
        for name, call in self._real.items():
            setattr(os, name, call)

    def _change(self, change: Change, call: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        number = len(self.seen)
        self.seen.append(change)
        fault = self._fault
        if isinstance(fault, Dies) and fault.at == number:
            if fault.torn and half is not None:
                half()
            os._exit(DIED)
        if isinstance(fault, DiesAfterRename) and number and self.seen[-2].call == "rename":
            os._exit(DIED)
        if isinstance(fault, Fails) and (
            (fault.at <= number and change.call in TAKES_SPACE) if fault.always else fault.at == number
        ):
            raise OSError(fault.error, os.strerror(fault.error), change.path)
        return call()

    def _open(self, path: str, flags: int, mode: int = 0o777, **options: Any) -> int:
        new = flags & os.O_CREAT and not Path(path).exists()
        emptied = flags & os.O_TRUNC

        def call() -> int:
            return int(self._real["open"](path, flags, mode, **options))

        if new:
            descriptor = int(self._change(Change("create", os.fspath(path)), call))
        elif emptied:
            descriptor = int(self._change(Change("truncate", os.fspath(path)), call))
        else:
            descriptor = call()
        self._paths[descriptor] = os.fspath(path)
        self._offsets[descriptor] = 0
        return descriptor

    def _write(self, descriptor: int, data: Any) -> int:
        if descriptor not in self._paths:
            return int(self._real["write"](descriptor, data))
        content = bytes(data)
        written = int(
            self._change(
                Change("write", self._paths[descriptor], data=content, offset=self._offsets[descriptor]),
                lambda: self._real["write"](descriptor, data),
                lambda: self._real["write"](descriptor, content[: len(content) // 2]),
            )
        )
        assert written == len(content), "a short write: the list of changes would say too much"
        self._offsets[descriptor] += written
        return written

    def _pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        content = bytes(data)
        change = Change("write", self._paths[descriptor], data=content, offset=offset)
        return int(
            self._change(
                change,
                lambda: self._real["pwrite"](descriptor, data, offset),
                lambda: self._real["pwrite"](descriptor, content[: len(content) // 2], offset),
            )
        )

    def _fsync(self, descriptor: int) -> None:
        self._change(Change("fsync", self._paths[descriptor]), lambda: self._real["fsync"](descriptor))

    def _fdatasync(self, descriptor: int) -> None:
        self._change(Change("fsync", self._paths[descriptor]), lambda: self._real["fdatasync"](descriptor))

    def _close(self, descriptor: int) -> None:
        self._paths.pop(descriptor, None)
        self._real["close"](descriptor)

    def _replace(self, path: str, to: str) -> None:
        self._change(Change("rename", path, to), lambda: self._real["replace"](path, to))

    def _rename(self, path: str, to: str) -> None:
        self._change(Change("rename", path, to), lambda: self._real["rename"](path, to))

    def _link(self, path: str, to: str) -> None:
        self._change(Change("link", path, to), lambda: self._real["link"](path, to))

    def _unlink(self, path: str) -> None:
        self._change(Change("unlink", path), lambda: self._real["unlink"](path))

    def _mkdir(self, path: str, mode: int = 0o777) -> None:
        if Path(path).exists():
            self._real["mkdir"](path, mode)
        self._change(Change("mkdir", path), lambda: self._real["mkdir"](path, mode))


_WRAPPED = ("open", "write", "pwrite", "fsync", "fdatasync", "close", "replace", "rename", "link", "unlink", "mkdir")

FULL, BROKEN = errno.ENOSPC, errno.EIO
