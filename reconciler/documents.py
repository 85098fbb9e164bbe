"""What a source hands on: decoded texts with their names, and where they came from.

In: bytes that `source.py` or `git.py` found. Out: `Documents`, in one order whatever they came from.
Never: reads anything itself, or looks into a document; YAML is the business of `desired_state`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from reconciler.errors import OrchestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from desired_state.origin import Origin

SUFFIXES = (".yaml", ".yml", ".json")
MAX_FILE_BYTES = 1 << 20
MAX_FILES = 1000
"""More is a wrong folder, not a cluster's manifests."""

_LFS_POINTER = "version https://git-lfs.github.com/spec/"


class SourceError(OrchestError):
    """What could not be read, where, and the mend, in one message for the user."""


class Found(NamedTuple):
    """One file: `name` is for people (`clusters/a.yaml@1a2b3c4`), `relative` its path below the place asked for."""

    name: str
    relative: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Documents:
    documents: tuple[tuple[str, str], ...]
    """(name, text) pairs, as `desired_state.document.load_clusters` takes them."""
    origin: Origin
    names: tuple[str, ...] = ()
    """Of each document its path below the place asked for, for whoever sends them elsewhere."""


def is_document(name: str) -> bool:
    return name.endswith(SUFFIXES) and not is_hidden(name)


def is_hidden(name: str) -> bool:
    """Dot names are tools' own (`.github`, `.git`, a ConfigMap volume's `..data`), never manifests."""
    return name.startswith(".")


def assemble(found: Iterable[Found], origin: Origin) -> Documents:
    """Decodes everything; `origin` gets its content digest here. Raises SourceError for text that is not UTF-8."""
    ordered = sorted(found, key=lambda file: file.relative.split("/"))
    if len(ordered) > MAX_FILES:
        raise SourceError(f"{origin}: more than {MAX_FILES} manifests. Name the folder that holds only these.")
    documents = tuple((file.name, _decode(file)) for file in ordered)
    names = tuple(file.relative for file in ordered)
    return Documents(documents, replace(origin, content_digest=_digest(ordered)), names)


def check_size(name: str, size: int) -> None:
    """Raises SourceError when a file of `size` bytes cannot be a manifest."""
    if size > MAX_FILE_BYTES:
        raise SourceError(f"{name}: {size} bytes, a manifest has at most {MAX_FILE_BYTES}. Keep other files elsewhere.")


def _decode(file: Found) -> str:
    try:
        text = file.data.decode()
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{file.name}: not UTF-8: byte {error.start + 1} is 0x{file.data[error.start]:02x}. Save the file as UTF-8."
        ) from None
    if text.startswith(_LFS_POINTER):
        raise SourceError(f"{file.name}: a Git LFS pointer. Keep manifests out of LFS (.gitattributes).")
    return text.removeprefix("\ufeff")


def _digest(files: Iterable[Found]) -> str:
    """Each part is preceded by its length, so that no two inputs share one digest by moving a boundary."""
    digest = blake2b(digest_size=32)
    for file in files:
        for part in (file.relative.encode(errors="surrogateescape"), file.data):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()
