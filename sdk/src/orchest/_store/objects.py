"""Requests to an object store, by fsspec: the only module that knows it, and imports it only for an address of a store.

In: an address, names of objects, bytes. Out: bytes and names. Raises `StoreError`, and of it `NotThereError`; no text
of theirs has a key, a password or the query of a URL in it.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orchest.error import Error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PIECE = 1 << 23
"""Bytes of an object that are sent or asked for at once."""
_PIECES_AT_ONCE = 4
"""Of a download. Stores answer one request slowly and many together fast."""
_MOST_PIECES = 9_000
"""Of an upload; S3 takes 10,000."""
_STEP = 1 << 20
"""Pieces are a multiple of it, as some stores want."""
_LONGEST = 300
"""Characters of what a driver says."""
_SHORTEST_SECRET = 4
_SECRET = re.compile(r"key|secret|token|passw|credential|connection_string|sas", re.IGNORECASE)


class StoreError(OSError):
    """The store does not do what it is asked; the text says what it answers instead."""

    def __init__(self, answer: str, mend: str) -> None:
        super().__init__(answer)
        self.mend = mend


class NotThereError(StoreError):
    """There is no such object, or no such bucket."""


class Objects:
    """Those below one address. One request per method and object, but for large ones.

    Raises Error where fsspec, or its package for that store, is missing or cannot make anything of the address.
    """

    def __init__(self, address: str) -> None:
        self.address = _without_secrets(address, {})
        self._driver, self._prefix = _driver(address)

    def start(self, name: str, length: int) -> bytes:
        """The first bytes, at most so many. A range, since drivers ask for the size of a whole first."""
        return self.part(name, 0, length)

    def end(self, name: str, length: int) -> bytes:
        """The last bytes, at most so many."""
        with self._asked(name):
            return bytes(self._driver.cat_file(self._path(name), start=-length))

    def part(self, name: str, offset: int, length: int) -> bytes:
        """Fewer bytes only at the object's end."""
        with self._asked(name):
            return bytes(self._driver.cat_file(self._path(name), start=offset, end=offset + length))

    def pieces(self, name: str, size: int) -> Iterator[bytes]:
        """All of it, in order, some pieces at once."""
        starts = list(range(0, size, PIECE))
        for first in range(0, len(starts), _PIECES_AT_ONCE):
            some = starts[first : first + _PIECES_AT_ONCE]
            with self._asked(name):
                found = self._driver.cat_ranges(
                    [self._path(name)] * len(some), some, [min(start + PIECE, size) for start in some]
                )
                for piece in found:
                    if isinstance(piece, BaseException):
                        raise piece
            yield from found

    def put(self, name: str, content: bytes) -> None:
        """As a whole or not at all, also in the place of an object of that name."""
        with self._asked(name):
            self._driver.pipe_file(self._path(name), content)

    def upload(self, name: str, descriptor: int, size: int) -> None:
        """The content of a file, through memory for a few pieces."""
        block = max(PIECE, -(-size // _MOST_PIECES // _STEP) * _STEP)
        with self._asked(name), self._driver.open(self._path(name), "wb", block_size=block) as target:
            for offset in range(0, size, block):
                target.write(os.pread(descriptor, block, offset))

    def names(self) -> set[str]:
        """Of the objects right below the address, as they are now."""
        with self._asked(""):
            return {path.rpartition("/")[2] for path in self._driver.ls(self._prefix, detail=False, refresh=True)}

    def remove(self, name: str) -> None:
        """Unless it has gone already."""
        try:
            with self._asked(name):
                self._driver.rm_file(self._path(name))
        except NotThereError:
            return

    def _path(self, name: str) -> str:
        return f"{self._prefix}/{name}"

    @contextmanager
    def _asked(self, name: str) -> Iterator[None]:
        """Whatever a driver raises becomes a `StoreError`, without the exceptions behind it: they may tell secrets."""
        try:
            yield
        except MemoryError:
            raise
        except Exception as problem:  # noqa: BLE001 - drivers raise what they like
            where = f"{self.address}/{name}" if name else self.address
            raise _error(where, problem, self._driver.storage_options) from None


def _error(where: str, problem: Exception, options: Mapping[str, Any]) -> StoreError:
    """What to make of a driver's exception. Pure."""
    said = " ".join(_without_secrets(str(problem), options).split())[:_LONGEST].rstrip(".")
    if isinstance(problem, FileNotFoundError):
        return NotThereError(f"{where}: {said}", "See that the address is right, and that there is such a bucket")
    if isinstance(problem, PermissionError):
        mend = "Let the keys that fsspec is configured with read, write, list and delete there"
        return StoreError(f"{where}: {said}", mend)
    mend = "See that the store can be reached from here, and that fsspec is configured for it"
    return StoreError(f"{where}: {type(problem).__name__}: {said}".rstrip(": "), mend)


def _driver(address: str) -> tuple[Any, str]:
    """A file system of fsspec for the address, and the path in it."""
    shown = _without_secrets(address, {})
    asked = f"Outputs are to lie at {shown} (ORCHEST_SDK_DATA_URL, Config.STEP_DATA_DIR)"
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError:
        raise Error(f"{asked}, and fsspec is not installed: pip install orchest[fsspec]") from None
    if "::" in address:
        raise Error(f"{asked}: a chain of file systems. Name the store alone, since caches tell what was there before.")
    try:
        # An instance without a cache of listings is another one than the user's own, and fsspec keeps it for us.
        driver, path = url_to_fs(address, use_listings_cache=False)
    except ImportError as problem:
        raise Error(f"{asked}, and the package for it is not installed: {problem}") from None
    except ValueError as problem:
        raise Error(f"{asked}, which fsspec does not understand: {_without_secrets(str(problem), {})}") from None
    except Exception as problem:  # noqa: BLE001 - drivers that connect at once raise what they like
        failure = _error(shown, problem, {})
        raise Error(f"{asked}, and there is no getting to it: {failure}. {failure.mend}.") from None
    return driver, path.rstrip("/")


def _without_secrets(text: str, options: Mapping[str, Any]) -> str:
    """The text without passwords and queries of URLs, and without the secrets among a driver's options. Pure."""
    for secret in sorted(_secrets(options), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = re.sub(r"(://[^/@:\s]*):[^/@\s]+@", r"\1:***@", text)
    return re.sub(r"(://[^\s?]*)\?\S+", r"\1?***", text)


def _secrets(options: Mapping[str, Any]) -> Iterator[str]:
    for key, value in options.items():
        if isinstance(value, dict):
            yield from _secrets(value)
        elif isinstance(value, str) and len(value) >= _SHORTEST_SECRET and _SECRET.search(key):
            yield value
