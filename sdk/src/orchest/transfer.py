"""Data passing between the steps of a pipeline, over files in the project's folder.

A step puts out one value (`output`); the steps after it get it (`get_inputs`). The files are those of the original
SDK, so steps whose environments have either one work together; how they are written and read is told in `_store`.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from datetime import datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from orchest._store import arrow, loading, pickling, verification
from orchest._store import head as heads
from orchest._store.commit import Output
from orchest._store.culprit import culprit
from orchest._store.description import described
from orchest._store.output_file import OutputFile
from orchest._store.places import place
from orchest._store.stored import GoneError
from orchest.config import Config
from orchest.config import verification as verification_mode
from orchest.error import (
    DataInvalidNameError,
    DeserializationError,
    Error,
    InputNameCollisionError,
    OutputNotFoundError,
    SerializationError,
    StepUUIDResolveError,
)
from orchest.utils import current_pipeline, get_pipeline, get_step_uuid, say  # noqa: F401 - others rely on the names

if TYPE_CHECKING:
    from orchest._store.latest import Found
    from orchest._store.object_store import Prefix
    from orchest._store.places import Folder
    from orchest.pipeline import PipelineStep


class Serialization(Enum):
    """How data stands in its file; the name is also the file's extension."""

    ARROW_TABLE = 0
    ARROW_BATCH = 1
    PICKLE = 2


_last_output_name: Any = -1
"""Of the latest call of `output` in this process; -1 before the first, since None is a name."""
_get_inputs_called = False
_inputs_read: list[dict[str, Any]] = []
"""What the latest `get_inputs` of this process got, for whoever asks later whether an output is outdated."""
_run = ""
"""This process, in its outputs."""


def output(data: Any, name: str | None, *, portable: bool = False) -> None:
    """Make `data` this step's output, for the steps after it to get.

    The latest output wins: an earlier one is replaced, whatever its name, unless `Config.keep_named_outputs` is set.
    When this returns the data is on the disk; when it raises, or the process is killed, the earlier output is
    untouched.

    Args:
        data: tables and record batches of pyarrow are written as Arrow, everything else as a pickle. Buffers of arrays
            and frames go to the file without a copy in memory.
        name: what `get_inputs` of a later step calls it; None for an unnamed one.
        portable: write the frames of pandas and polars in it as Arrow, for readers with other versions of these. Needs
            pyarrow, which copies them once.

    Raises:
        DataInvalidNameError: the name is reserved, holds `"; "`, or is no text.
        SerializationError: the data cannot be pickled (the message names the part), or cannot be stored.
        PipelineDefinitionNotFoundError: there is no pipeline file.
        StepUUIDResolveError: it cannot be told which step this is.

    """
    output_to_disk(data, name, portable=portable)


def output_to_disk(
    data: Any, name: str | None, serialization: Serialization | None = None, *, portable: bool = False
) -> None:
    """`output`, also of data that is serialized already: bytes, or anything with a buffer, of that `serialization`.

    Raises:
        ValueError: `serialization` is no `Serialization`.
        Error: as `output`.

    """
    if serialization is not None and not isinstance(serialization, Serialization):
        raise ValueError(f"serialization is {serialization!r}: give one of orchest.transfer.Serialization, or None.")
    verification.raise_found()
    _check_name(name)
    _warn_about_another_name(name)
    pipeline = current_pipeline()
    step_uuid = get_step_uuid(pipeline)
    tag = serialization.name if serialization is not None else arrow.serialization_of(data) or "PICKLE"
    head = heads.Head(datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0), tag, name)
    told = json.dumps({"producer": _producer(step_uuid), "content": described(data)}, separators=(",", ":")).encode()
    whole = Output(head, _run, Config.keep_named_outputs, told)
    write = _written if serialization is not None else _serialized
    target = _place(step_uuid)
    try:
        target.commit(whole, lambda file: write(data, file, tag, portable=portable))
    except OSError as problem:
        raise SerializationError(
            f"The output of {_label(step_uuid)} cannot be stored: {problem}. {target.mend(problem)}, then run the step "
            "again."
        ) from problem
    except SerializationError as problem:
        raise SerializationError(
            f"The output of {_label(step_uuid)} cannot be serialized: {problem}"
        ) from problem.__cause__


def output_to_memory(data: Any, name: str | None, disk_fallback: bool = True) -> None:
    """`output`. There is no passing through memory any more; `disk_fallback` is ignored."""
    del disk_fallback
    warnings.warn(
        "Data is no longer passed through memory: orchest.transfer.output_to_memory does what orchest.output does.",
        RuntimeWarning,
        stacklevel=2,
    )
    output(data, name)


def get_inputs(ignore_failure: bool = False, verbose: bool = False, *, verify: str | None = None) -> dict[str, Any]:
    """The outputs of the steps that this one comes after.

    Arrays, frames and tables of outputs of this SDK lie over the mapped file: nothing is copied, they may be written
    to (the pages become this process's own), and they stay valid when their producer puts out anew.

    Args:
        ignore_failure: an input that is not there, or cannot be loaded, is None; if its name is not known, an unnamed
            one.
        verbose: print the title of each step whose output was got.
        verify: `off`, `lazy` or `full`, how far checksums are compared before this returns; None is `Config.verify`.

    Returns:
        `"unnamed"` -> a list of the unnamed ones; then name -> value. Both in the order of the step's incoming
        connections.

    Raises:
        OutputNotFoundError: a step before has no output.
        DeserializationError: an output is damaged or cannot be loaded here; or one of an earlier call was damaged.
        InputNameCollisionError: several steps have given their outputs the same name.
        PipelineDefinitionNotFoundError: there is no pipeline file.
        StepUUIDResolveError: it cannot be told which step this is.

    """
    global _get_inputs_called, _inputs_read  # noqa: PLW0603 - state of the process, whose names others rely on
    mode = verification_mode(verify)
    verification.raise_found()
    if _get_inputs_called and not Config.silence_multiple_data_transfer_calls_warning:
        warnings.warn(
            "orchest.get_inputs was called before in this process. The inputs may have changed meanwhile; call it once "
            "and keep what it returns.",
            RuntimeWarning,
            stacklevel=2,
        )
    _get_inputs_called = True
    pipeline = current_pipeline()
    step = pipeline.get_step_by_uuid(get_step_uuid(pipeline))
    inputs = [found for parent in step.parents for found in _inputs_from(parent, ignore_failure=ignore_failure)]
    _refuse_collisions(inputs)
    _inputs_read = [one.read_from for one in inputs if one.found is not None]
    values: dict[str, Any] = {Config._RESERVED_UNNAMED_OUTPUTS_STR: []}  # noqa: SLF001 - a name that others rely on
    for one in inputs:
        value = one.value(mode, ignore_failure=ignore_failure)
        if one.name is None:
            values[Config._RESERVED_UNNAMED_OUTPUTS_STR].append(value)  # noqa: SLF001
        else:
            values[one.name] = value
        if verbose:
            say(f'Got the input from step "{one.title}".\n')
    return values


def resolve(
    step_uuid: str, consumer: str | None = None
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], dict[str, Any]]:
    """Which transfer type has the step's most recent output, and how to get it: `function(*args, **kwargs)`.

    Args:
        step_uuid: the step that has put something out.
        consumer: ignored; transfers through memory needed it.

    Returns:
        function, args, kwargs, and a dictionary of the output's `timestamp` (ISO 8601, UTC, seconds), `serialization`
        and `name` (None for an unnamed one). What the function returns is this very output, also when the step puts
        out anew.

    Raises:
        OutputNotFoundError: the step has no output.

    """
    del consumer
    candidates, reasons = [], []
    for find in _TRANSFERS:
        try:
            candidates.append(find(step_uuid))
        except OutputNotFoundError as problem:
            reasons.append(problem)
    if not candidates:
        raise type(reasons[-1])(
            f"There is no output of {_label(step_uuid)}: {'; '.join(map(str, reasons))}. Run that step first."
        )
    return _most_recent(candidates).told()


_resolve = resolve


def describe(step_uuid: str) -> dict[str, Any]:
    """What the step has put out, without reading it: a few milliseconds whatever its size. Ready for JSON.

    Returns:
        `name`, `timestamp` (ISO 8601, UTC), `serialization`, `size` (bytes of the file), `generation` (counts the
        step's outputs), `content` (`type`, `shape`, `schema` or `dtype`, `preview`), `versions` of the producer's
        packages, `producer` (session, pipeline, step, run) and `inputs`: what the producer had got, each with
        `current`, which is False once that step has put out anew. `others` are the outputs that are kept beside it.
        Of an output of the original SDK only what HEAD and the file system know, and None for the rest.

    Raises:
        OutputNotFoundError: the step has no output.
        DeserializationError: what describes it is damaged.

    """
    verification.raise_found()
    found = resolve(step_uuid)[2]["found"]
    others = [_description(other, step_uuid) for other in _beside(step_uuid, found)]
    return {"step_uuid": step_uuid, **_description(found, step_uuid), "others": others}


def _place(step_uuid: str) -> Folder | Prefix:
    """Where its outputs lie."""
    return place(Config.get_step_data_dir(step_uuid), step_uuid, durable=Config.durable)


# ---- putting out


def _check_name(name: Any) -> None:
    if name is None:
        return
    if not isinstance(name, str):
        raise DataInvalidNameError(
            f"The name of an output is text or None, not {type(name).__name__}."
        ) from TypeError()
    if name == Config._RESERVED_UNNAMED_OUTPUTS_STR:  # noqa: SLF001 - a name that others rely on
        raise DataInvalidNameError(f'"{name}" is what unnamed outputs are called: give another name, or None.')
    if heads.SEPARATOR in name:
        raise DataInvalidNameError(f'The name "{name}" holds "{heads.SEPARATOR}", which separates the fields of HEAD.')
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataInvalidNameError(f"The name {name!r} cannot be written as UTF-8.") from None


def _warn_about_another_name(name: str | None) -> None:
    global _last_output_name
    before, _last_output_name = _last_output_name, name
    if before in (-1, name) or Config.keep_named_outputs or Config.silence_multiple_data_transfer_calls_warning:
        return
    warnings.warn(
        f"The output {before!r} of this step is replaced by {name!r}: the latest output wins. Put out one value, for "
        "example a dictionary, or set Config.keep_named_outputs.",
        RuntimeWarning,
        stacklevel=_level_of_the_caller(),
    )


def _level_of_the_caller() -> int:
    """Whose line a warning of this module's functions points to: the nearest one outside of it."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 - `inspect` would be slow to import
    while frame.f_back is not None and frame.f_globals is globals():
        level, frame = level + 1, frame.f_back
    return level


def _draw_run() -> None:
    global _run  # noqa: PLW0603 - drawn once for each process
    _run = os.urandom(16).hex()


_draw_run()
os.register_at_fork(after_in_child=_draw_run)


def _producer(step_uuid: str) -> dict[str, Any]:
    return {
        "session_uuid": Config.SESSION_UUID,
        "session_type": Config.SESSION_TYPE,
        "project_uuid": Config.PROJECT_UUID,
        "pipeline_uuid": Config.PIPELINE_UUID,
        "step_uuid": step_uuid,
        "inputs": _inputs_read,
    }


def _serialized(data: Any, file: OutputFile, tag: str, *, portable: bool) -> dict[str, str]:
    """Write the data, and return the versions that its reader has to match."""
    try:
        if tag != "PICKLE":
            arrow.dump(data, file)
            return loading.versions({"pyarrow"})
        return loading.versions(pickling.dump(data, file, portable=portable))
    except Exception as problem:
        if file.failure is not None:
            raise file.failure from problem
        if isinstance(problem, MemoryError):
            raise
        path, reason = culprit(data, problem, lambda part: _pickling_error(part, portable=portable))
        told = str(reason) if isinstance(reason, SerializationError) else f"{type(reason).__name__}: {reason}"
        raise SerializationError(f"{path} cannot be pickled: {told}") from reason


def _written(data: Any, file: OutputFile, tag: str, *, portable: bool) -> dict[str, str]:
    """Write bytes that somebody else has made."""
    del tag, portable
    try:
        content = memoryview(data).cast("B")
    except TypeError as problem:
        raise SerializationError(
            f"with `serialization`, the data are bytes or another contiguous buffer, and no {type(data).__name__}."
        ) from problem
    file.write(content)
    return loading.versions(set())


def _pickling_error(data: Any, *, portable: bool) -> Exception | None:
    try:
        with open(os.devnull, "wb") as nowhere:
            pickling.dump(data, OutputFile(nowhere.fileno()), portable=portable)
    except Exception as problem:  # noqa: BLE001 - an object's own code may raise anything
        return problem
    return None


class _Serialized(bytes):
    """Bytes that also have what others used of pyarrow's buffers."""

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self)

    def to_pybytes(self) -> bytes:
        return bytes(self)


def _serialize(data: Any) -> tuple[_Serialized, Serialization]:
    """The bytes that a reader of the format gets for the data, and how they are to be read."""
    import tempfile

    tag = arrow.serialization_of(data) or "PICKLE"
    with tempfile.TemporaryFile(buffering=0) as target:
        file = OutputFile(target.fileno())
        _serialized(data, file, tag, portable=False)
        file.finish()
        target.seek(0)
        return _Serialized(target.readall()), Serialization[tag]


# ---- getting


class _Candidate(NamedTuple):
    """The latest output of one transfer type."""

    timestamp: datetime
    generation: int | None
    """None where outputs are not counted."""
    function: Callable[..., Any]
    args: tuple[Any, ...]
    found: Found

    def told(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        head = self.found.head
        metadata = {
            "timestamp": head.timestamp.isoformat(timespec="seconds"),
            "serialization": head.serialization,
            "name": head.name,
        }
        return self.function, self.args, {"found": self.found}, metadata


def _find_on_disk(step_uuid: str) -> _Candidate:
    try:
        found = _place(step_uuid).latest()
    except DeserializationError as problem:
        raise _unreadable(_label(step_uuid), problem) from None
    generation = found.record.generation if found.record is not None else None
    return _Candidate(found.head.timestamp, generation, _get_output_disk, (step_uuid,), found)


_TRANSFERS: list[Callable[[str], _Candidate]] = [_find_on_disk]
"""The transfer types, by how each finds a step's latest output."""


def _beside(step_uuid: str, found: Found) -> list[Found]:
    if found.record is None or not found.record.kept:
        return []
    try:
        return _place(step_uuid).beside(found.record.kept)
    except DeserializationError as problem:
        raise _unreadable(_label(step_uuid), problem) from None


def _most_recent(candidates: list[_Candidate]) -> _Candidate:
    """By generation where outputs are counted, since clocks go back and have no more than seconds; else by timestamp.

    A counted output is as recent as the latest of those that it comes after. Of equals the first wins. Pure.
    """
    counted = [candidate for candidate in candidates if candidate.generation is not None]
    uncounted = [candidate for candidate in candidates if candidate.generation is None]
    if not counted:
        return max(uncounted, key=lambda candidate: candidate.timestamp)
    newest = max(counted, key=lambda candidate: candidate.generation or 0)
    when = max(candidate.timestamp for candidate in counted)
    later = [candidate for candidate in uncounted if candidate.timestamp > when]
    return max(later, key=lambda candidate: candidate.timestamp) if later else newest


def _get_output_disk(step_uuid: str, found: Found, *, verify: str | None = None, label: str = "") -> Any:
    """The data of an output that was found."""
    label = label or _label(step_uuid)
    if found.file is not None:
        try:
            found.file.fetch()
        except DeserializationError as problem:
            raise _unreadable(label, problem) from None
    return loading.load(found, label, verify=verification_mode(verify), allow_pickle=Config.allow_pickle)


def _unreadable(label: str, problem: DeserializationError) -> DeserializationError:
    return DeserializationError(f"The output of {label} cannot be read: {problem}.")


class _Input(NamedTuple):
    """One value to be got, found but not loaded; `found` is None for one that is not there and shall be None."""

    title: str
    step_uuid: str
    found: Found | None
    function: Callable[..., Any]
    args: tuple[Any, ...]

    @property
    def name(self) -> str | None:
        return self.found.head.name if self.found is not None else None

    @property
    def read_from(self) -> dict[str, Any]:
        assert self.found is not None
        generation = self.found.record.generation if self.found.record is not None else None
        when = self.found.head.timestamp.isoformat(timespec="seconds")
        return {"step_uuid": self.step_uuid, "name": self.name, "generation": generation, "timestamp": when}

    def value(self, verify: str, *, ignore_failure: bool) -> Any:
        if self.found is None:
            return None
        try:
            return self.function(
                *self.args, found=self.found, verify=verify, label=f'step "{self.title}" ({self.step_uuid})'
            )
        except DeserializationError:
            if ignore_failure:
                return None
            raise


def _inputs_from(parent: PipelineStep, *, ignore_failure: bool) -> list[_Input]:
    step_uuid = parent.properties.get("uuid", "")
    title = str(parent.properties.get("title", step_uuid))
    for _ in range(_LOOKS):
        try:
            function, args, kwargs, _ = resolve(step_uuid)
            found = [*_beside(step_uuid, kwargs["found"]), kwargs["found"]]
        except (OutputNotFoundError, DeserializationError):
            if ignore_failure:
                return [_Input(title, step_uuid, None, _get_output_disk, ())]
            raise
        if not any(map(_has_gone, found)):
            break
    return [_Input(title, step_uuid, one, function, args) for one in found]


_LOOKS = 20
"""At a step that puts out anew faster than its outputs can be brought here."""


def _has_gone(found: Found) -> bool:
    """Whether it was removed before it could be brought here. Any other failure is told when its value is got."""
    if found.file is None:
        return isinstance(found.problem, GoneError)
    try:
        found.file.fetch()
    except DeserializationError as problem:
        return isinstance(problem, GoneError)
    return False


def _refuse_collisions(inputs: list[_Input]) -> None:
    titles: dict[str, list[str]] = {}
    for one in inputs:
        if one.name is not None:
            titles.setdefault(one.name, []).append(one.title)
    collisions = {name: sorted(found) for name, found in titles.items() if len(found) > 1}
    if collisions:
        told = "; ".join(f'"{name}" comes from the steps {", ".join(found)}' for name, found in collisions.items())
        raise InputNameCollisionError(f"Several inputs have the same name: {told}. Rename the output of one of them.")


# ---- describing


def _label(step_uuid: str) -> str:
    """The step as people know it."""
    try:
        title = current_pipeline().get_step_by_uuid(step_uuid).properties.get("title")
    except Error:
        title = None
    return f'step "{title}" ({step_uuid})' if title else f"step {step_uuid}"


def _description(found: Found, step_uuid: str) -> dict[str, Any]:
    if found.problem is not None:
        raise DeserializationError(f"The output of {_label(step_uuid)} cannot be described: {found.problem}.")
    record, head = found.record, found.head
    told = _told(found)
    producer = told.get("producer")
    inputs = producer.pop("inputs", None) if producer is not None else None
    return {
        "name": head.name,
        "timestamp": head.timestamp.isoformat(timespec="seconds"),
        "serialization": head.serialization,
        "size": found.file.size if found.file is not None else None,
        "generation": record.generation if record is not None else None,
        "content": told.get("content"),
        "versions": record.versions if record is not None else None,
        "producer": {**producer, "run": record.run} if producer is not None and record is not None else None,
        "inputs": [{**one, "current": _is_current(one)} for one in inputs] if inputs is not None else None,
    }


def _told(found: Found) -> dict[str, Any]:
    """What the output says to `describe`; nothing, if that is nothing of ours."""
    if found.file is None or found.file.trailer is None:
        return {}
    try:
        told = json.loads(found.file.trailer.told)
        known = {"step_uuid", "name", "generation", "timestamp"}
        sound = all(isinstance(one, dict) and known <= set(one) for one in told.get("producer", {}).get("inputs", []))
    except (AttributeError, RecursionError, TypeError, ValueError):
        return {}
    return told if sound else {}


def _is_current(read: dict[str, Any]) -> bool:
    """Whether the step has put out nothing since."""
    try:
        candidate = _find_on_disk(read["step_uuid"])
    except (OutputNotFoundError, DeserializationError, StepUUIDResolveError):
        return False
    now = (candidate.generation, candidate.found.head.timestamp.isoformat(timespec="seconds"))
    return now == (read["generation"], read["timestamp"])
