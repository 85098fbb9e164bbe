"""The order of writes that makes an output all or nothing. HEAD is the commit point.

The data is written under a temporary name and made durable; the data file before is set aside by a hard link; the new
one takes its name; then HEAD is replaced in the same way. No file is ever written in place, so whoever holds or maps
one keeps it. What a killed writer left is put right by the next one, under the lock: the output that was not finished
is taken back.
"""

from __future__ import annotations

import _thread
import errno
import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Callable, NamedTuple

from orchest._store import head as heads
from orchest._store import trailer as trailers
from orchest._store.file_systems import forgets_unlinked_files
from orchest._store.latest import Found, belongs
from orchest._store.output_file import OutputFile, Writeback, write_all
from orchest._store.stored import StoredFile
from orchest._store.trailer import BLOCK, Kept, Record
from orchest.error import DeserializationError, InvalidMetaDataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchest._store.directory import Directory
    from orchest._store.head import Head


class Output(NamedTuple):
    """What is to be put out, but for the data itself."""

    head: Head
    run: str
    """The producing process; outputs are kept beside each other only within one."""
    keep_others: bool
    told: bytes
    """See `Trailer.told`."""


Write = Callable[[OutputFile], "dict[str, str]"]
"""Puts the data into the file; returns the versions that its reader has to match."""


def commit(directory: Directory, output: Output, write: Write, *, durable: bool) -> None:
    """Make it the step's latest output. Raises OSError and what `write` raises, with the output before untouched."""
    _make_directory(directory.path, durable=durable)
    with _locked(directory) as lock:
        before = _recovered(directory, durable=durable)
        remaining = directory.sweep(_needed(directory, before))
        record = new_record(output, before, directory.read_head(), _last_generation(lock))
        try:
            _replace(directory, record, output, before, write, durable=durable)
        except BaseException:
            with suppress(OSError):
                directory.sweep(_needed(directory, _recovered(directory, durable=durable)))
            raise
        os.pwrite(lock, b"%020d" % record.generation, 0)
        if before is not None and before.file is not None:  # it has been set aside
            remaining.add(directory.generation(record.previous, before.head.serialization))
        directory.remove(remaining - _retained(directory, record, output.head.serialization))


def _replace(
    directory: Directory, record: Record, output: Output, before: Found | None, write: Write, *, durable: bool
) -> None:
    serialization = output.head.serialization
    temporary = directory.temporary()
    with _created(temporary, durable=durable) as descriptor, _beside(descriptor, durable=durable) as writeback:
        file = OutputFile(descriptor, writeback)
        versions = write(file)
        segments, checksums = file.finish()
        whole = record._replace(segments=segments, versions=versions)
        write_all(descriptor, memoryview(trailers.encode(whole, output.told, file.length, checksums)))
    if before is not None and before.file is not None:
        _set_aside(before.file.path, directory.generation(record.previous, before.head.serialization), durable=durable)
    # An output that is to be kept must not be lost with a rename that comes after it.
    _make_durable(directory.path, durable=durable and bool(record.kept))
    os.replace(temporary, directory.data(serialization))
    _make_durable(directory.path, durable=durable)
    temporary = directory.temporary()
    with _created(temporary, durable=durable) as descriptor:
        write_all(descriptor, memoryview(output.head.encode()))
    os.replace(temporary, directory.head)
    _make_durable(directory.path, durable=durable)


def new_record(output: Output, before: Found | None, head: bytes | None, last_generation: int) -> Record:
    """What the output says about itself, but for what only its data tells. Pure."""
    earlier = before.record if before is not None else None
    generation = max(last_generation, earlier.generation if earlier is not None else 0) + 1
    return Record(
        generation=generation,
        head=output.head.encode().decode(),
        replaces=head.decode(errors="replace") if head is not None else None,
        previous=earlier.generation if earlier is not None else generation - 1,
        run=output.run,
        segments=[],
        versions={},
        kept=_kept(output, before, earlier),
    )


def _kept(output: Output, before: Found | None, earlier: Record | None) -> list[Kept]:
    """Those of this run with other names, if they are to be kept. Pure."""
    if not output.keep_others or before is None or earlier is None or earlier.run != output.run:
        return []
    candidates = [*earlier.kept, Kept(earlier.head, earlier.generation, before.head.serialization)]
    return [kept for kept in candidates if heads.parse(kept.head.encode()).name != output.head.name]


# -------------------------------------------------------------------------------------------- which files are needed


def _needed(directory: Directory, before: Found | None) -> set[str]:
    """What must stay while nothing has replaced the output before."""
    if before is None:
        return set()
    paths = {directory.data(before.head.serialization)}
    if before.record is not None:
        paths |= _kept_paths(directory, before.record) | _previous_paths(directory, before.record)
    return paths


def _retained(directory: Directory, record: Record, serialization: str) -> set[str]:
    """What stays once the output is there; where an unlinked file is lost for its holders, also the one before."""
    paths = {directory.data(serialization)} | _kept_paths(directory, record)
    return paths | _previous_paths(directory, record) if forgets_unlinked_files(directory.path) else paths


def _kept_paths(directory: Directory, record: Record) -> set[str]:
    return {directory.generation(kept.generation, kept.serialization) for kept in record.kept}


def _previous_paths(directory: Directory, record: Record) -> set[str]:
    return {directory.generation(record.previous, serialization) for serialization in heads.SERIALIZATIONS}


# -------------------------------------------------------------------------------------------------- after a kill


def _recovered(directory: Directory, *, durable: bool) -> Found | None:
    """The output that HEAD means, with its data under its own name again; None where there is none."""
    raw = directory.read_head()
    try:
        head = heads.parse(raw or b"")
        file = StoredFile(directory.data(head.serialization))
    except InvalidMetaDataError:
        return None
    except (FileNotFoundError, DeserializationError):
        return Found(head, None)
    record = file.trailer.record if file.trailer is not None else None
    if record is None or belongs(record, raw or b"") or (record.replaces or "").encode() != raw:
        return Found(head, file)
    aside = directory.generation(record.previous, head.serialization)
    with suppress(FileNotFoundError):
        os.replace(aside, directory.data(head.serialization))
        _make_durable(directory.path, durable=durable)
        return _recovered(directory, durable=durable)
    return Found(heads.parse(record.head.encode()), file)


def _set_aside(path: str, aside: str, *, durable: bool) -> None:
    """By a hard link; by a copy where there are none."""
    with suppress(FileNotFoundError):
        os.unlink(aside)
    try:
        os.link(path, aside)
    except FileNotFoundError:
        raise
    except OSError:
        with open(path, "rb") as source, _created(aside, durable=durable) as copy:
            while piece := source.read(BLOCK):
                write_all(copy, memoryview(piece))


# --------------------------------------------------------------------------------------------- locks and durability


@contextmanager
def _locked(directory: Directory) -> Iterator[int]:
    """One writer at a time, in whichever process or thread; yields the lock file's descriptor.

    A link is not followed, since whoever put it there would have us write into a file of ours.
    """
    writer = (directory.path, _thread.get_ident())
    if writer in _writers:  # a handler of a signal, or the object itself: it would wait for itself
        raise OSError(errno.EDEADLK, "this thread is in the middle of putting out for this step", directory.path)
    descriptor = os.open(directory.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        _writers.add(writer)
        _flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        _writers.discard(writer)
        # Said aloud, since a child that was forked meanwhile shares the lock and may outlive us.
        _flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


_writers: set[tuple[str, int]] = set()
"""Directory and thread of the outputs of this process that are being written."""


def _flock(descriptor: int, operation: int) -> None:
    """Where the file system has no locks, writers go without, as they always did."""
    try:
        fcntl.flock(descriptor, operation)
    except OSError as problem:
        if problem.errno not in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK):
            raise


def _last_generation(lock: int) -> int:
    text = os.pread(lock, 20, 0)
    return int(text) if text.isdigit() else 0


@contextmanager
def _created(path: str, *, durable: bool) -> Iterator[int]:
    """The descriptor of a new file, which is on the medium afterwards."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        yield descriptor
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _beside(descriptor: int, *, durable: bool) -> Iterator[Writeback | None]:
    """The writing back of a large file while it is written; it has ended afterwards, whatever happened."""
    writeback = Writeback(descriptor) if durable else None
    try:
        yield writeback
    finally:
        if writeback is not None:
            writeback.wait()


def _make_directory(path: str, *, durable: bool) -> None:
    """And those above it, each with its entry in the one above."""
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    _make_directory(above, durable=durable)
    os.makedirs(path, exist_ok=True)  # somebody else may be faster
    _make_durable(above, durable=durable)


def _make_durable(path: str, *, durable: bool) -> None:
    """The renames in this directory."""
    if not durable:
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
