"""One measurement in one fresh process, in the environment of the anchors: `python -m benchmarks.sdk_process '{...}'`.

In: what to do, with which value, in which way and folder. Out: one line of JSON. The packages of the value and of the
way are imported before the clock starts, for a step has imported them too. What was read is compared with what should
be there, and every page of it read, after the clock has stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.sdk_memory import held, settled
from benchmarks.sdk_values import VALUES
from benchmarks.sdk_ways import RAW, files, prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.sdk_values import Value
    from benchmarks.sdk_ways import Way

_BLOCK = 1024 * 1024
_WARM_CALLS = 20
_WRITES = 3


class Task(NamedTuple):
    value: str
    way: str
    folder: Path
    size: int
    """Bytes of a raw file."""


def main() -> None:
    doing: dict[str, Callable[[Task], dict[str, float]]] = {
        "prepare": prepare,
        "write": write,
        "write again": write_again,
        "read": read,
        "read cold": read_cold,
        "write many": write_many,
        "read many": read_many,
        "describe": describe,
    }
    do, value, way, folder, size = json.loads(sys.argv[1])
    print(json.dumps(doing[do](Task(value, way, Path(folder), size))))


def prepare(task: Task) -> dict[str, float]:
    """Left there for readers."""
    task.folder.mkdir(parents=True)
    prepared(task.way, task.folder).write(_data(task), task.folder)
    os.sync()
    return {**_once(0.0), "size": _size(task)}


def write(task: Task) -> dict[str, float]:
    """Into a folder that is empty, and gone afterwards."""
    return _write(task, before=0)


def write_again(task: Task) -> dict[str, float]:
    """Over an earlier output, which has to go."""
    return _write(task, before=1)


def read(task: Task) -> dict[str, float]:
    """With all of it in the page cache."""
    block = bytearray(_BLOCK)
    for path in files(task.way, task.folder):
        with path.open("rb", buffering=0) as file:
            while file.readinto(block):
                pass
    return _read(task)


def read_cold(task: Task) -> dict[str, float]:
    """With none of it in the page cache."""
    for path in files(task.way, task.folder):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    return _read(task)


def write_many(task: Task) -> dict[str, float]:
    """One after the other, each over the one before."""
    task.folder.mkdir(parents=True)
    way, data = prepared(task.way, task.folder), _data(task)
    found = _each(lambda: way.write(data, task.folder), 100)
    shutil.rmtree(task.folder)
    return found


def read_many(task: Task) -> dict[str, float]:
    way = prepared(task.way, task.folder)
    return _each(lambda: way.read(task.folder), 2000)


def describe(task: Task) -> dict[str, float]:
    """Its shape and what else is known, without its content."""
    way = prepared(task.way, task.folder)
    _import(VALUES[task.value], way)
    before = settled()
    started = time.perf_counter()
    way.read(task.folder)
    milliseconds = (time.perf_counter() - started) * 1000
    after = held()
    return {**_once(milliseconds), "private": after.private - before.private, "peak": after.peak - before.resident}


def _write(task: Task, *, before: int) -> dict[str, float]:
    """A few times, for disks are noisy; the peak is of the first, which finds no memory that was used before."""
    way, data = prepared(task.way, task.folder), _data(task)
    _import(VALUES[task.value], way)
    milliseconds, peaks = [], []
    for _ in range(_WRITES):
        task.folder.mkdir(parents=True)
        for _ in range(before):
            way.write(data, task.folder)
        os.sync()  # what somebody has left to write would be paid for by our fsync
        memory = settled()
        started = time.perf_counter()
        way.write(data, task.folder)
        milliseconds.append((time.perf_counter() - started) * 1000)
        peaks.append(held().peak - memory.resident)
        size = _size(task)
        shutil.rmtree(task.folder)
    return {**_of_all(milliseconds), "peak": peaks[0], "size": size}


def _read(task: Task) -> dict[str, float]:
    value, way = VALUES[task.value], prepared(task.way, task.folder)
    _import(value, way)
    use = _last_byte if _is_raw(task) else value.use
    before = settled()
    started = time.perf_counter()
    data = way.read(task.folder)
    use(data)
    milliseconds = (time.perf_counter() - started) * 1000
    after = held()
    found = {
        **_once(milliseconds),
        "private": after.private - before.private,
        "shared": after.shared - before.shared,
        "peak": after.peak - before.resident,
    }
    return found if _is_raw(task) else found | _touched(value, data)


def _touched(value: Value, data: Any) -> dict[str, float]:
    """All of it, and it is what was written. Reading it must not have made a copy of it either."""
    before = held()
    started = time.perf_counter()
    value.touch(data)
    milliseconds = (time.perf_counter() - started) * 1000
    private = held().private - before.private
    if not value.same(data, value.make()):
        sys.exit("the value that was read is not the one that was written")
    return {"touched": milliseconds, "touched_private": private}


def _data(task: Task) -> Any:
    return b"\x5a" * task.size if _is_raw(task) else VALUES[task.value].make()


def _is_raw(task: Task) -> bool:
    return task.way.startswith(RAW)


def _size(task: Task) -> int:
    return sum(path.stat().st_size for path in files(task.way, task.folder))


def _import(value: Value, way: Way) -> None:
    for package in (value.package, *way.packages):
        if package:
            import_module(package)


def _last_byte(content: Any) -> object:
    return content[-1]


def _each(call: Callable[[], object], calls: int) -> dict[str, float]:
    milliseconds = []
    for _ in range(_WARM_CALLS + calls):
        started = time.perf_counter()
        call()
        milliseconds.append((time.perf_counter() - started) * 1000)
    return _of_all(milliseconds[_WARM_CALLS:])


def _of_all(milliseconds: Sequence[float]) -> dict[str, float]:
    return {"milliseconds": statistics.median(milliseconds), "minimum": min(milliseconds)}


def _once(milliseconds: float) -> dict[str, float]:
    return {"milliseconds": milliseconds, "minimum": milliseconds}


if __name__ == "__main__":
    main()
