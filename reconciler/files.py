"""Files that a command leaves behind: complete or not at all, and readable by their owner only."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.errors import OrchestError

if TYPE_CHECKING:
    from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """Raises OrchestError when it cannot be written; then there is none, or the former one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.touch(mode=0o600)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise OrchestError(f"Cannot write {path}: {error.strerror}. Choose another place.") from error
