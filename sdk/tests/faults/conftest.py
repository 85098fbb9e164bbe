"""Where the faults happen: in memory, if there is enough of it, since neither a kill nor a flip asks for the medium."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEMORY = "/dev/shm"
_ENOUGH_BYTES = 1 << 30


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder of the test's own, removed afterwards; processes of other users may enter it."""
    roomy = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH_BYTES
    folder = Path(tempfile.mkdtemp(prefix="orchest-faults-", dir=_MEMORY if roomy else None))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
