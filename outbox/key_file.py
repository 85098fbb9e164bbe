"""A file with a key: made once, complete or not at all, and readable by its owner only.

In: a path, and the bytes it shall hold when there is none yet. Out: the file. Never: what a key means, or a second one.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def create_once(path: Path, content: bytes) -> None:
    """The first of several processes wins: a complete temporary file is linked to its name. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        temporary.unlink()


def open_to_others(path: Path) -> str:
    """The mode, in octal digits, of a file that others may read or write; "" for a private one. Raises OSError."""
    mode = path.stat().st_mode
    return f"{mode & 0o777:03o}" if mode & 0o077 else ""
