"""From an output that was found to its data.

In: the open file, and how careful to be. Out: the object. Raises only DeserializationError, with the versions on both
sides.
"""

from __future__ import annotations

import io
import pickle
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from orchest._store import arrow, unpickling, verification
from orchest._store.unpickling import RefusedError
from orchest.error import DeserializationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedIOBase

    from orchest._store.latest import Found
    from orchest._store.stored import StoredFile
    from orchest._store.trailer import Trailer

_WHERE_CLASSES_ARE_NAMED = 1 << 16
"""Bytes from a pickle's start."""
_PACKAGES = ("numpy", "pandas", "polars", "pyarrow")


def versions(packages: set[str]) -> dict[str, str]:
    """Of Python, and of those of the packages that are loaded."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in sorted(packages):
        module = sys.modules.get(package)
        if module is not None:
            found[package] = str(getattr(module, "__version__", "?"))
    return found


def load(found: Found, label: str, *, verify: str, allow_pickle: bool) -> Any:
    """The data. Large buffers of an output of ours are parts of the mapped file; an output of the original is copied.

    `label` says in messages whose output it is.
    """
    file = found.file
    if file is None:
        raise DeserializationError(f"The output of {label} cannot be read: {found.problem}. Run that step again.")
    trailer = file.trailer
    with _explained(file, label):
        if trailer is None:
            return _of_the_original(file, found.head.serialization, allow_pickle=allow_pickle)
        content = file.content()
    verification.verify_at_once(file, trailer, content, verify, label)
    with _explained(file, label):
        _refuse_newer_frames(trailer)
        data = _decoded(trailer, content, found.head.serialization, allow_pickle=allow_pickle)
    verification.verify_later(file, trailer, verify, label)
    return data


def _decoded(trailer: Trailer, content: memoryview, serialization: str, *, allow_pickle: bool) -> Any:
    if serialization != "PICKLE":
        return arrow.load(content, serialization, trusted=allow_pickle)
    try:
        return unpickling.load(content, trailer.record.segments, allow_pickle=allow_pickle)
    except Exception:
        if not allow_pickle or "pandas" not in trailer.record.versions:
            raise
        return _loaded_by_pandas(io.BytesIO(content))


def _of_the_original(file: StoredFile, serialization: str, *, allow_pickle: bool) -> Any:
    if serialization != "PICKLE":
        return arrow.load(arrow.without_end(file.content()), serialization, trusted=allow_pickle)
    with file.reader() as source:
        try:
            return unpickling.load_file(source, allow_pickle=allow_pickle)
        except Exception:
            source.seek(0)
            if not allow_pickle or b"pandas" not in source.read(_WHERE_CLASSES_ARE_NAMED):
                raise
            source.seek(0)
            return _loaded_by_pandas(source)


def _loaded_by_pandas(source: BufferedIOBase) -> Any:
    """Pandas knows how its older versions wrote, but not of buffers that lie elsewhere."""
    return import_module("pandas").read_pickle(source, compression=None)


def _refuse_newer_frames(trailer: Trailer) -> None:
    """What a newer pandas wrote, an older one may take for something else: not left to chance."""
    written = trailer.record.versions.get("pandas")
    if written is None:
        return
    here = str(import_module("pandas").__version__)
    if _major(written) > _major(here):
        raise DeserializationError(f"pandas {here} cannot read what pandas {written} wrote")


def _major(version: str) -> int:
    major = version.partition(".")[0]
    return int(major) if major.isdigit() else 0


@contextmanager
def _explained(file: StoredFile, label: str) -> Iterator[None]:
    """Whatever is raised inside becomes a DeserializationError, but for memory that ran out."""
    try:
        yield
    except MemoryError:
        raise
    except RefusedError as problem:
        raise DeserializationError(f"The output of {label} cannot be loaded: {problem}.") from problem
    except Exception as problem:
        ours = isinstance(problem, (DeserializationError, pickle.UnpicklingError))
        reason = str(problem) if ours else f"{type(problem).__name__}: {problem}"
        raise DeserializationError(
            f"The output of {label} cannot be loaded: {reason}. {_mend(file, problem)}"
        ) from problem


def _mend(file: StoredFile, problem: Exception) -> str:
    from importlib.util import find_spec

    missing = problem.name.partition(".")[0] if isinstance(problem, ModuleNotFoundError) and problem.name else None
    if missing and missing not in sys.modules and find_spec(missing) is None:
        return f"Install {missing} in the environment of this step."
    here = versions(set(_PACKAGES))
    if file.trailer is None:
        return f"It was written by the original SDK; here are {_listed(here)}. Run that step again."
    written = file.trailer.record.versions
    relevant = {package: version for package, version in here.items() if package in written}
    if relevant == written:
        return "What it refers to must be importable here as it was in that step."
    return (
        f"It was written with {_listed(written)}; here are {_listed(relevant)}. Use the same versions in both "
        "environments, or put frames out with output(..., portable=True)."
    )


def _listed(found: dict[str, str]) -> str:
    return ", ".join(f"{package} {version}" for package, version in found.items())
