"""What a disk may hold after the power went out: a model of a file system that keeps no more than it must.

In: the changes of an output and the files before it. Out: every state that may be found afterwards. A file's content is
sure from its fsync on; until then it may be missing, cut, or zeros at the borders of blocks. An entry of the directory
is sure from the directory's fsync on; until then any of the pending ones may be there or not, whatever their order.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .system_calls import Change

Files = tuple[tuple[str, bytes], ...]
"""Names and contents, sorted."""

_BLOCK = 4096


class State(NamedTuple):
    """The files that were found, and how many changes had been made when the power went out."""

    changes: int
    files: Files


class _Disk:
    """What is there, and what of it is sure."""

    def __init__(self, files: dict[str, bytes], folder: str) -> None:
        self._folder = folder
        self._contents = dict(enumerate(files.values()))
        self._sure_contents = dict(self._contents)
        self._names = dict(zip(files, self._contents))
        self._sure_names = dict(self._names)
        self._pending: list[dict[str, int]] = []
        self._gone = -1

    def change(self, change: Change) -> None:
        name = change.path[len(self._folder) + 1 :]
        if change.call == "create":
            number = len(self._contents)
            self._contents[number] = self._sure_contents[number] = b""
            self._enter({name: number})
        elif change.call == "write":
            number = self._names[name]
            old = self._contents[number]
            end = change.offset + len(change.data)
            self._contents[number] = old[: change.offset].ljust(change.offset, b"\0") + change.data + old[end:]
        elif change.call == "fsync":
            self._sync(name)
        elif change.call in ("rename", "link"):
            to = change.to[len(self._folder) + 1 :]
            self._enter({to: self._names[name], **({name: self._gone} if change.call == "rename" else {})})
        elif change.call == "unlink":
            self._enter({name: self._gone})
        else:
            raise AssertionError(f"the model does not know {change.call}")

    def _enter(self, entries: dict[str, int]) -> None:
        self._pending.append(entries)
        _put(self._names, entries)

    def _sync(self, name: str) -> None:
        if name:
            self._sure_contents[self._names[name]] = self._contents[self._names[name]]
        else:
            self._sure_names, self._pending = dict(self._names), []

    def files(self) -> Files:
        """If the power stays on."""
        return tuple(sorted((name, self._contents[number]) for name, number in self._names.items()))

    def states(self) -> Iterator[Files]:
        """If it goes out now."""
        for kept in itertools.product((True, False), repeat=len(self._pending)):
            names = dict(self._sure_names)
            for entries in itertools.compress(self._pending, kept):
                _put(names, entries)
            numbers = sorted(set(names.values()))
            for contents in itertools.product(
                *(_torn(self._sure_contents[one], self._contents[one]) for one in numbers)
            ):
                held = dict(zip(numbers, contents))
                yield tuple(sorted((name, held[number]) for name, number in names.items()))


def _put(names: dict[str, int], entries: dict[str, int]) -> None:
    for name, number in entries.items():
        names[name] = number
        if number < 0:
            del names[name]


def _torn(sure: bytes, written: bytes) -> set[bytes]:
    """What may be found of content that was not synced."""
    if sure == written:
        return {written}
    half = len(written) // 2 // _BLOCK * _BLOCK
    zeros = bytes(len(written))
    return {sure, written, written[:half], written[:half] + zeros[half:], zeros[:half] + written[half:], zeros}


def played(files: dict[str, bytes], folder: str, changes: list[Change]) -> Files:
    """The files after all changes."""
    disk = _Disk(files, folder)
    for change in changes:
        disk.change(change)
    return disk.files()


def states(files: dict[str, bytes], folder: str, changes: list[Change]) -> set[State]:
    """All that may be found, whenever the power went out."""
    disk = _Disk(files, folder)
    found = {State(0, files_found) for files_found in disk.states()}
    for number, change in enumerate(changes, 1):
        disk.change(change)
        found |= {State(number, files_found) for files_found in disk.states()}
    return found
