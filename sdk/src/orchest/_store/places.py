"""Where the outputs of a step lie: in a folder, or in an object store. Both can do the same four things.

In: an address. Out: the place. What a store needs is imported only for the address of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchest._store.commit import commit
from orchest._store.directory import Directory
from orchest._store.latest import beside, latest

if TYPE_CHECKING:
    from orchest._store.commit import Output, Write
    from orchest._store.latest import Found
    from orchest._store.object_store import Prefix
    from orchest._store.trailer import Kept

_LOCAL = "file://"


class Folder:
    """Of one step's outputs; `Prefix` is that of an object store."""

    def __init__(self, path: str, step_uuid: str, *, durable: bool) -> None:
        self._directory = Directory(path, step_uuid)
        self._durable = durable

    def commit(self, output: Output, write: Write) -> None:
        """See `commit.commit`."""
        commit(self._directory, output, write, durable=self._durable)

    def latest(self) -> Found:
        """See `latest.latest`."""
        return latest(self._directory)

    def beside(self, kept: list[Kept]) -> list[Found]:
        """See `latest.beside`."""
        return beside(self._directory, kept)

    def mend(self, problem: OSError) -> str:
        """Of what `commit` raises."""
        del problem
        return f"Make room or mend the permissions of {self._directory.path}"


def place(address: str, step_uuid: str, *, durable: bool) -> Folder | Prefix:
    """The place at a path or URL. `durable` is of no meaning to a store: what it has answered, it has."""
    if address.startswith(_LOCAL):
        return Folder(address[len(_LOCAL) :], step_uuid, durable=durable)
    if "://" not in address:
        return Folder(address, step_uuid, durable=durable)
    from orchest._store.object_store import Prefix

    return Prefix(address, step_uuid)
