"""Real Git repositories for tests, made by libgit2: commits from plain mappings of path to content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import pygit2
from pygit2.enums import FileMode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

AUTHOR = pygit2.Signature("Ada", "ada@example.org", 1_800_000_000, 0)


@dataclass(frozen=True, slots=True)
class Link:
    target: str


@dataclass(frozen=True, slots=True)
class Submodule:
    commit: str = "1" * 40


Content: TypeAlias = "str | bytes | Link | Submodule"


class Repository:
    """A bare repository whose branch `main` grows by `commit`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git = pygit2.init_repository(str(path), bare=True, initial_head="main")

    def commit(self, files: Mapping[str, Content], branch: str = "main") -> str:
        """The files are the whole tree. Returns the commit's full id."""
        reference = f"refs/heads/{branch}"
        parents = [self.git.references[reference].target] if reference in self.git.references else []
        identity = self.git.create_commit(reference, AUTHOR, AUTHOR, "as told", self._tree(files), parents)
        return str(identity)

    def tag(self, name: str, commit: str) -> None:
        self.git.create_tag(name, pygit2.Oid(hex=commit), pygit2.enums.ObjectType.COMMIT, AUTHOR, "a release")

    def _tree(self, files: Mapping[str, Content]) -> pygit2.Oid:
        builder = self.git.TreeBuilder()
        folders: dict[str, dict[str, Content]] = {}
        for path, content in files.items():
            head, _, rest = path.partition("/")
            if rest:
                folders.setdefault(head, {})[rest] = content
            else:
                builder.insert(head, *self._entry(content))
        for name, inner in folders.items():
            builder.insert(name, self._tree(inner), FileMode.TREE)
        return builder.write()

    def _entry(self, content: Content) -> tuple[pygit2.Oid, FileMode]:
        if isinstance(content, Submodule):
            return pygit2.Oid(hex=content.commit), FileMode.COMMIT
        if isinstance(content, Link):
            return self.git.create_blob(content.target.encode()), FileMode.LINK
        data = content.encode() if isinstance(content, str) else content
        return self.git.create_blob(data), FileMode.BLOB
