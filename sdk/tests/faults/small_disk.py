"""A file system of a few pages, of the calling process alone: gone when it ends, and never seen by another.

In: a folder, a size. Out: the folder is the new file system's; or `Unavailable`, where this process may not mount.
"""

from __future__ import annotations

import ctypes
import os

PAGE = 4096
_NEW_NAMESPACE = 0x20000
_PRIVATE = 1 << 18 | 1 << 14
_READ_ONLY, _REMOUNT = 1, 32


class Unavailable(Exception):
    """Only root may mount, and not in every container."""


def mounted(folder: str, pages: int) -> None:
    """Mount a file system of so many pages over the folder."""
    _called("unshare", _NEW_NAMESPACE)
    _called("mount", None, b"/", None, _PRIVATE, None)
    _called("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=%d" % (pages * PAGE))


def made_read_only(folder: str) -> None:
    _called("mount", None, os.fsencode(folder), None, _REMOUNT | _READ_ONLY, None)


def _called(name: str, *arguments: object) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        raise Unavailable(f"{name}: {os.strerror(ctypes.get_errno())}")
