"""What stands where in the directory of a step's outputs. Names and listings; the order of things is `commit`'s and
`latest`'s.

HEAD                     which output is the latest
<step>.<SER>             its data, under the name that every reader of the format knows
<step>.<generation>.<SER>  an earlier one that somebody still needs
.lock                    held by a writer; holds the number of the last generation
.tmp-*                   a writer's; without a writer, what a killed one left
"""

from __future__ import annotations

import os
from contextlib import suppress

from orchest import _small_file
from orchest._store.head import SERIALIZATIONS

_TEMPORARY = ".tmp-"


class Directory:
    """Of one step's outputs."""

    def __init__(self, path: str, step_uuid: str) -> None:
        self.path = path
        self._step = step_uuid

    @property
    def head(self) -> str:
        return f"{self.path}/HEAD"

    @property
    def lock(self) -> str:
        return f"{self.path}/.lock"

    def data(self, serialization: str) -> str:
        return f"{self.path}/{self._step}.{serialization}"

    def generation(self, number: int, serialization: str) -> str:
        return f"{self.path}/{self._step}.{number}.{serialization}"

    def temporary(self) -> str:
        """A name that no other writer takes, even where locks do not work."""
        return f"{self.path}/{_TEMPORARY}{os.getpid()}-{os.urandom(4).hex()}"

    def read_head(self) -> bytes | None:
        """HEAD as it is; None where there is none."""
        try:
            return _small_file.content(self.head)
        except FileNotFoundError:
            return None

    def sweep(self, keep: set[str]) -> set[str]:
        """Remove temporary files, and data files but those whose paths are given. Returns the paths that remain."""
        ours = {
            f"{self.path}/{name}"
            for name in os.listdir(self.path)
            if name.startswith(_TEMPORARY) or self._is_data(name)
        }
        self.remove(ours - keep)
        return ours & keep

    def remove(self, paths: set[str]) -> None:
        """Those that are there."""
        for path in paths:
            with suppress(FileNotFoundError):
                os.unlink(path)

    def _is_data(self, name: str) -> bool:
        return name.startswith(f"{self._step}.") and name.endswith(tuple(f".{tag}" for tag in SERIALIZATIONS))
