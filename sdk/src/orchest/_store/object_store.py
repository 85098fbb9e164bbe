"""Outputs in an object store, for steps that share no file system: what `commit` and `latest` are to a directory.

Below the address of a step's data stand

HEAD                                   `<object>; timestamp; serialization; name`: which output is the latest
<step>.<generation>-<8 hex>.<SER>      an output: the bytes of a data file, trailer and all; never written to again

An output is staged in a temporary file, put under a name of its own, and then named by HEAD. Stores replace an object
at once, which makes that the commit point. There are no locks: of two writers the one whose HEAD comes last wins.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from orchest._store import head as heads
from orchest._store import trailer as trailers
from orchest._store.commit import new_record
from orchest._store.latest import Found
from orchest._store.objects import NotThereError, Objects, StoreError
from orchest._store.output_file import OutputFile, write_all
from orchest._store.stored import TAIL, GoneError, StoredFile
from orchest.error import DeserializationError, InvalidMetaDataError, OutputNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchest._store.commit import Output, Write
    from orchest._store.trailer import Kept, Record

_HEAD = "HEAD"
_LONGEST_HEAD = 1 << 30
_LOOKS = 10
"""At a HEAD whose object is not there, before that is believed: HEAD may have moved on."""
_PAUSE = 0.05
"""Seconds between two looks."""
_ATTEMPTS = 5
"""To be the only one who replaces a HEAD, before it is done all the same."""


class Named(NamedTuple):
    """What a HEAD says."""

    raw: bytes
    head: heads.Head
    object: str
    generation: int


class Prefix:
    """Of one step's outputs."""

    def __init__(self, address: str, step_uuid: str) -> None:
        self._objects = Objects(address)
        self._step = step_uuid
        tags = "|".join(heads.SERIALIZATIONS)
        self._pattern = re.compile(rf"{re.escape(step_uuid)}\.(\d{{1,18}})-[0-9a-f]{{8}}\.(?:{tags})")

    # ---- putting out

    def commit(self, output: Output, write: Write) -> None:
        """Make it the step's latest output. Raises OSError and what `write` raises, with the output before untouched.

        A writer that finds that another was faster counts anew and puts its object again. So others remove an object
        that HEAD does not name yet only if they put out twice between its writer's last two requests; and even then
        its writer sees that it is missing, and puts it again.
        """
        with tempfile.TemporaryFile(buffering=0) as file:
            staged = _Staged(file.fileno(), write)
            for _ in range(_ATTEMPTS):
                before = self._before()
                record = staged.completed(self._record(output, before), output.told)
                name = _object_of(record.head)
                with self._removed_on_failure(name):
                    self._upload(name, staged)
                    overtaken = self._raw_head() != before.raw
                if not overtaken:
                    break
            self._objects.put(_HEAD, record.head.encode())
            self._put_right(name, before, staged)

    def mend(self, problem: OSError) -> str:
        """Of what `commit` raises."""
        return problem.mend if isinstance(problem, StoreError) else _mend_of_temporary_files()

    def _record(self, output: Output, before: _Before) -> Record:
        record = new_record(output, before.found, before.raw, before.last_generation)
        name = f"{self._step}.{record.generation}-{os.urandom(4).hex()}.{output.head.serialization}"
        return record._replace(head=f"{name}{heads.SEPARATOR}{record.head}")

    def _before(self) -> _Before:
        """What this output replaces. Of an object only the end is read."""
        raw = self._raw_head()
        named = self._named(raw or b"")
        if isinstance(named, Named):
            found = self._opened(named.object, named.head)
            return _Before(raw, found, named.generation, named.generation, named.object)
        # Somebody has removed HEAD, or it is not ours. Outputs are counted on all the same.
        found_there = [int(match[1]) for match in map(self._pattern.fullmatch, self._names()) if match]
        return _Before(raw, None, max(found_there, default=0), 0, None)

    def _upload(self, name: str, staged: _Staged) -> None:
        self._objects.upload(name, staged.descriptor, staged.size)

    @contextmanager
    def _removed_on_failure(self, name: str) -> Iterator[None]:
        """Of the object with that name, which HEAD has never named."""
        try:
            yield
        except BaseException:
            with suppress(StoreError):
                self._objects.remove(name)
            raise

    def _put_right(self, name: str, before: _Before, staged: _Staged) -> None:
        """Remove what nobody needs any more, also what a killed writer left.

        That is what is not younger than the output before, but for that one itself: who has read its HEAD still gets
        it, with all that is kept beside it.
        """
        names = {name}
        with _only_warned():
            names = self._names()
        if name not in names:
            # As `commit` says; or this list is not up to date, and then it does no harm.
            self._upload(name, staged)
        needed = {name, before.object}
        if before.found is not None and before.found.record is not None:
            # What this output keeps is among that.
            needed |= {_object_of(kept.head) for kept in before.found.record.kept}
        with _only_warned():
            for other in names - needed:
                match = self._pattern.fullmatch(other)
                if match and int(match[1]) <= before.generation:
                    self._objects.remove(other)

    # ---- finding

    def latest(self) -> Found:
        """The output that HEAD means. Raises OutputNotFoundError, or DeserializationError if the store fails."""
        for _ in range(_LOOKS):
            with _told_to_readers():
                found = self._look()
            if isinstance(found, Found):
                return found
            time.sleep(_PAUSE)
        raise OutputNotFoundError(found)

    def beside(self, kept: list[Kept]) -> list[Found]:
        """The earlier outputs of the same run that the record of the latest keeps beside it."""
        with _told_to_readers():
            return [self._opened_beside(one) for one in kept]

    def _opened_beside(self, kept: Kept) -> Found:
        named = self._named(kept.head.encode(errors="replace"))
        if isinstance(named, str):
            raise DeserializationError(f"of what is kept beside it {named}")
        return self._opened(named.object, named.head)

    def _look(self) -> Found | str:
        """The output, or why there seems to be none."""
        try:
            raw = self._objects.start(_HEAD, _LONGEST_HEAD)
        except NotThereError as problem:
            raise OutputNotFoundError(f"it has put out nothing yet ({problem})") from None
        named = self._named(raw)
        if isinstance(named, str):
            raise OutputNotFoundError(named)
        found = self._opened(named.object, named.head)
        if isinstance(found.problem, GoneError):
            return f"its HEAD names {named.object}, which is not at {self._objects.address}"
        if found.record is None or found.record.head.encode() == raw:
            return found
        return "its HEAD and its data are of different outputs"

    def _raw_head(self) -> bytes | None:
        try:
            return self._objects.start(_HEAD, _LONGEST_HEAD)
        except NotThereError:
            return None

    def _named(self, raw: bytes) -> Named | str:
        """What a HEAD says, or why it is none of ours. An object's name must not lead anywhere else. Pure."""
        try:
            head = heads.parse(raw)
        except InvalidMetaDataError as problem:
            return str(problem)
        name = _object_of(raw.decode())
        match = self._pattern.fullmatch(name)
        if match is None:
            return f"its HEAD names no object of its outputs: {raw[:80].decode(errors='replace')!r}"
        return Named(raw, head, name, int(match[1]))

    def _opened(self, name: str, head: heads.Head) -> Found:
        try:
            return Found(head, StoredObject(self._objects, name))
        except NotThereError as problem:
            return Found(head, None, GoneError(f"{problem}"))
        except DeserializationError as problem:
            return Found(head, None, problem)

    def _names(self) -> set[str]:
        try:
            return self._objects.names()
        except NotThereError:
            return set()


class _Before(NamedTuple):
    """What an output replaces."""

    raw: bytes | None
    """HEAD."""
    found: Found | None
    last_generation: int
    """Of all that are there."""
    generation: int
    """Of the one that HEAD names; 0 where it names none."""
    object: str | None


class _Staged:
    """A data file in a temporary one. `size` has it with its trailer."""

    def __init__(self, descriptor: int, write: Write) -> None:
        self.descriptor = descriptor
        self.size = 0
        file = OutputFile(descriptor)
        self._versions = write(file)
        self._segments, self._checksums = file.finish()
        self._length = file.length

    def completed(self, record: Record, told: bytes) -> Record:
        """The record as it now stands behind the data, in the place of any before."""
        whole = record._replace(segments=self._segments, versions=self._versions)
        trailer = trailers.encode(whole, told, self._length, self._checksums)
        os.ftruncate(self.descriptor, self._length)
        os.lseek(self.descriptor, self._length, os.SEEK_SET)
        write_all(self.descriptor, memoryview(trailer))
        self.size = self._length + len(trailer)
        return whole


def _object_of(head: str) -> str:
    return head.partition(heads.SEPARATOR)[0]


class StoredObject(StoredFile):
    """One object. Its end is read at once; all of it, into an unlinked temporary file, when its data is asked for.

    Raises NotThereError and other StoreErrors at once, DeserializationError for a damaged trailer.
    """

    def __init__(self, objects: Objects, name: str) -> None:
        self._descriptor = -1
        self._objects = objects
        self.path = name
        self._tail = objects.end(name, TAIL)
        self.size = trailers.stated_size(self._tail)
        self.trailer = self._parsed()
        if self.trailer is None:
            raise DeserializationError("it was cut: its end is missing")

    def fetch(self) -> None:
        """Once. Raises GoneError, and DeserializationError if it cannot be brought here."""
        if self._descriptor >= 0 or len(self._tail) == self.size:
            return
        try:
            with tempfile.TemporaryFile(buffering=0) as file, _told_to_readers():
                for piece in self._objects.pieces(self.path, self.size):
                    write_all(file.fileno(), memoryview(piece))
                if os.pread(file.fileno(), TAIL + 1, self.size - len(self._tail)) != self._tail:
                    raise DeserializationError("it was cut, or more than it was written with is in it")
                self._descriptor = os.dup(file.fileno())
        except OSError as problem:
            raise DeserializationError(f"{problem}. {_mend_of_temporary_files()}") from problem

    def content(self) -> memoryview:
        """Everything before the trailer, as memory that may be written to: a private map of what was fetched."""
        self.fetch()
        return super().content()

    def _read(self, offset: int, length: int) -> bytes:
        return self._objects.part(self.path, offset, length)


def _mend_of_temporary_files() -> str:
    """For whoever has no room to put a whole output into."""
    return f"Make room in {tempfile.gettempdir()}, or let TMPDIR name another folder"


@contextmanager
def _only_warned() -> Iterator[None]:
    """What comes behind HEAD must not make an output fail that is there."""
    try:
        yield
    except StoreError as problem:
        warnings.warn(
            f"The output is there, but what it replaces cannot be removed: {problem}. {problem.mend}. A later output "
            "tries again.",
            RuntimeWarning,
            stacklevel=8,
        )


@contextmanager
def _told_to_readers() -> Iterator[None]:
    """What a store does not do becomes what readers expect."""
    try:
        yield
    except NotThereError as problem:
        raise GoneError(f"its step has put out anew meanwhile: get it again ({problem})") from None
    except StoreError as problem:
        raise DeserializationError(f"{problem}. {problem.mend}") from None
