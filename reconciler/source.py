"""Where a cycle begins: manifests as texts, from files, folders, standard input or a Git revision.

In: what the user named. Out: `Documents`, (name, text) pairs with their origin. Never: parses a manifest, or writes
anything but the cache of cloned repositories.
"""

from __future__ import annotations

import os
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from desired_state.origin import Origin, OriginKind
from reconciler.documents import (
    MAX_FILE_BYTES,
    MAX_FILES,
    Documents,
    Found,
    SourceError,
    assemble,
    check_size,
    is_document,
    is_hidden,
)
from reconciler.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Documents", "SourceError", "read_git", "read_paths", "reread"]


def read_paths(paths: Sequence[str]) -> Documents:
    """Files, folders (recursively, without hidden ones), or `-` alone for standard input.

    Raises SourceError, naming file and mend, for whatever is missing, empty, unreadable, too large or not UTF-8.
    """
    if "-" in paths:
        return _read_standard_input(paths)
    found = [file for path in paths for file in _read_path(path)]
    absolute = tuple(str(Path(path).absolute()) for path in paths)
    return assemble(found, Origin(OriginKind.FILES, content_digest="", paths=absolute))


def read_git(location: str, revision: str = "HEAD", directory: str = "") -> Documents:
    """The manifests below `directory` as they are in the commit that `revision` names; no work tree is read or made.

    `location` is a folder inside a repository (or a bare one), or a URL, which is fetched into the user's cache.
    Names end in `@<short commit>`. Raises SourceError with the mend.
    """
    from reconciler.git import read_revision  # noqa: PLC0415 - libgit2 costs 60 ms, and most commands read files

    return read_revision(location, revision, directory, load_settings(os.environ).git_cache)


def reread(origin: Origin) -> Documents:
    """The same place again: files as they are now, Git at the recorded commit. Raises SourceError.

    Whether anything changed is the caller's question: compare the content digests of both origins.
    """
    if origin.kind is OriginKind.STDIN:
        raise SourceError(
            "standard input cannot be read again. Plan from a file or from Git to apply later, or use apply -f - --yes."
        )
    if origin.kind in {OriginKind.SENT, OriginKind.CLUSTER}:
        # Whatever place such an origin names was named by a caller: it is shown, and never opened.
        raise SourceError(f"{origin}: nothing that could be read again. Apply such a plan over the API it was made by.")
    if origin.kind is OriginKind.FILES:
        return read_paths([_shown(path) for path in origin.paths])
    return read_git(origin.location, origin.commit, origin.directory)


def _read_standard_input(paths: Sequence[str]) -> Documents:
    if len(paths) > 1:
        raise SourceError("-: standard input cannot be mixed with other paths. Give -f - alone.")
    data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    check_size("standard input", len(data))
    if not data.strip():
        raise SourceError("standard input is empty. Pipe a manifest into it, or name a file by -f FILE.")
    return assemble([Found("standard input", "-", data)], Origin(OriginKind.STDIN, content_digest=""))


def _read_path(path: str) -> list[Found]:
    place = Path(path)
    try:
        if not place.is_dir():
            return [Found(path, place.name, _read_file(place))]
        files = islice(_walk(place, frozenset()), MAX_FILES + 1)
        found = [Found(str(file), str(file.relative_to(place)), _read_file(file)) for file in files]
    except OSError as error:
        raise SourceError(_unreadable(path, error)) from None
    if not found:
        raise SourceError(f"{path}: no *.yaml, *.yml or *.json file here. Name the folder that holds the manifests.")
    return found


def _walk(folder: Path, parents: frozenset[Path]) -> Iterator[Path]:
    """Links are followed, but never back into a folder that we are in."""
    real = folder.resolve()
    if real in parents:
        raise SourceError(f"{folder}: a link to a folder above itself. Remove it, or name a folder without it.")
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not is_hidden(entry.name):
            yield from _walk(entry, parents | {real})
        elif is_document(entry.name):
            yield entry


def _read_file(path: Path) -> bytes:
    """At most one byte beyond the limit is read: `path` may be a pipe or a device without an end."""
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
        size = max(len(data), os.fstat(file.fileno()).st_size)
    check_size(str(path), size)
    return data


def _unreadable(path: str, error: OSError) -> str:
    place = error.filename or path
    if isinstance(error, FileNotFoundError):
        return f"{place}: no such file or folder. Check the path; it is taken from {Path.cwd()}."
    if isinstance(error, PermissionError):
        return f"{place}: permission denied. Make it readable for you (chmod u+r), or run as its owner."
    return f"{place}: cannot be read: {error.strerror}. Name a file or a folder with manifests."


def _shown(path: str) -> str:
    """A recorded absolute path as the user would type it here."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path
