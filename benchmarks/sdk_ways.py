"""The ways to pass a value through a folder: ours, the original's, and what people use without a platform.

In: a folder, a value to write, or the wish to read it. Out: what was read. A way that is durable writes a temporary
file, fsyncs it, renames it and fsyncs the folder, as we do; the original's is not durable and says so. Nothing here
takes time or memory into account: `sdk_process` does.
"""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

import json
import os
import pickle
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "data"
PRODUCER = "10000000-0000-4000-8000-000000000001"
CONSUMER = "20000000-0000-4000-8000-000000000002"
OURS = "ours"
RAW = "raw file"
MAPPED = ".npy memory map"
ARROW = "Arrow IPC"
PICKLE_5 = "pickle 5"
ORIGINAL = "the original's, not durable"
OF_ORIGINAL = "ours, of the original's file"
_FILE = "file"
_PROTOCOL_OF_THE_ORIGINAL = 4


class Way(NamedTuple):
    packages: tuple[str, ...]
    """Imported before the clock starts."""
    write: Callable[[Any, Path], object]
    read: Callable[[Path], Any]


def prepared(way: str, folder: Path) -> Way:
    """With our packages imported and pointed at the folder, where the way is ours."""
    if way.startswith(OURS):
        config = import_module("orchest").Config
        config.STEP_DATA_DIR = str(folder / "{step_uuid}")
        config.silence_multiple_data_transfer_calls_warning = True
        config.durable = way != f"{OURS}, not durable"
        config.verify = {f"{OURS}, verify=full": "full", f"{OURS}, verify=off": "off"}.get(way, "lazy")
    return _WAYS[way]


def files(way: str, folder: Path) -> list[Path]:
    """What a reader reads, for those who want it in the page cache, or not."""
    found = folder / PRODUCER if way.startswith(OURS) or way == ORIGINAL else folder
    return [path for path in found.iterdir() if path.is_file()]


def _write_ours(value: Any, _: Path) -> None:
    import_module("orchest").output(value, name=NAME)


def _read_ours(_: Path) -> Any:
    return import_module("orchest").get_inputs()[NAME]


def _describe(_: Path) -> Any:
    return import_module("orchest.transfer").describe(PRODUCER)


@contextmanager
def _durable(folder: Path) -> Iterator[Path]:
    """A path to write to; in its place and on the disk afterwards."""
    temporary = folder / "temporary"
    yield temporary
    _sync(temporary)
    temporary.rename(folder / _FILE)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _write_raw(value: Any, folder: Path) -> None:
    with _durable(folder) as path:
        _write_plain(value, path)


def _write_raw_not_durable(value: Any, folder: Path) -> None:
    _write_plain(value, folder / "temporary")
    (folder / "temporary").rename(folder / _FILE)


def _write_plain(value: Any, path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        file.write(memoryview(value).cast("B"))


def _read_raw(folder: Path) -> Any:
    with (folder / _FILE).open("rb", buffering=0) as file:
        content = bytearray(os.fstat(file.fileno()).st_size)
        file.readinto(content)
    return content


def _read_raw_and_check(folder: Path) -> Any:
    content = _read_raw(folder)
    import_module("zlib").crc32(content)
    return content


def _write_mapped(value: Any, folder: Path) -> None:
    with _durable(folder) as path, path.open("wb") as file:
        import_module("numpy").save(file, value)


def _read_mapped(folder: Path) -> Any:
    """Copy-on-write, so that the array can be written to, as ours can."""
    return import_module("numpy").load(folder / _FILE, mmap_mode="c")


def _write_arrow(value: Any, folder: Path) -> None:
    arrow = import_module("pyarrow")
    with _durable(folder) as path, arrow.OSFile(str(path), "wb") as file:
        if _kind(value) == "numpy":
            arrow.ipc.write_tensor(arrow.Tensor.from_numpy(value), file)
            return
        table = _as_table(value)
        with arrow.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)
    (folder / "kind").write_text(_kind(value), encoding="ascii")


def _as_table(value: Any) -> Any:
    kind = _kind(value)
    if kind == "pandas":
        return import_module("pyarrow").Table.from_pandas(value)
    return value.to_arrow() if kind == "polars" else value


def _read_arrow(folder: Path) -> Any:
    """What our user gets, too: a frame for a frame; without a copy where Arrow can."""
    arrow = import_module("pyarrow")
    kind = folder / "kind"
    source = arrow.memory_map(str(folder / _FILE))
    if not kind.exists():
        return arrow.ipc.read_tensor(source).to_numpy()
    table = arrow.ipc.open_stream(source).read_all()
    kind_of_value = kind.read_text(encoding="ascii")
    if kind_of_value == "pandas":
        return table.to_pandas(split_blocks=True)
    return import_module("polars").from_arrow(table) if kind_of_value == "polars" else table


def _kind(value: Any) -> str:
    return str(type(value).__module__.partition(".")[0])


def _write_pickle(value: Any, folder: Path) -> None:
    with _durable(folder) as path, path.open("wb") as file:
        pickle.dump(value, file, protocol=5)


def _read_pickle(folder: Path) -> Any:
    with (folder / _FILE).open("rb") as file:
        return pickle.load(file)


def _write_original(value: Any, folder: Path) -> None:
    """As the format was written: all of it serialized in memory, HEAD first, both truncated in place."""
    Path(os.environ["ORCHEST_PIPELINE_PATH"]).read_text(encoding="utf-8")
    serialization, content = _serialized(value)
    directory = folder / PRODUCER
    directory.mkdir(exist_ok=True)
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    (directory / "HEAD").write_text(f"{now}; {serialization}; {NAME}", encoding="utf-8")
    with (directory / f"{PRODUCER}.{serialization}").open("wb") as file:
        file.write(content)


def _serialized(value: Any) -> tuple[str, Any]:
    if _kind(value) != "pyarrow":
        return "PICKLE", pickle.dumps(value, protocol=_PROTOCOL_OF_THE_ORIGINAL)
    arrow = import_module("pyarrow")
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, value.schema) as stream:
        stream.write_table(value)
    return "ARROW_TABLE", sink.getvalue()


def _read_original(folder: Path) -> Any:
    pipeline = json.loads(Path(os.environ["ORCHEST_PIPELINE_PATH"]).read_text(encoding="utf-8"))
    (parent,) = pipeline["steps"][CONSUMER]["incoming_connections"]
    _, serialization, _ = (folder / parent / "HEAD").read_text(encoding="utf-8").split("; ")
    path = folder / parent / f"{parent}.{serialization}"
    if serialization == "ARROW_TABLE":
        arrow = import_module("pyarrow")
        return arrow.ipc.open_stream(arrow.memory_map(str(path))).read_all()
    with path.open("rb") as file:
        return pickle.load(file)


def _read_header(folder: Path) -> Any:
    return import_module("numpy").load(folder / _FILE, mmap_mode="r").shape


_WAYS = {
    OURS: Way(("orchest",), _write_ours, _read_ours),
    f"{OURS}, pyarrow imported": Way(("orchest", "pyarrow"), _write_ours, _read_ours),
    f"{OURS}, verify=full": Way(("orchest",), _write_ours, _read_ours),
    f"{OURS}, verify=off": Way(("orchest",), _write_ours, _read_ours),
    f"{OURS}, not durable": Way(("orchest",), _write_ours, _read_ours),
    OF_ORIGINAL: Way(("orchest", "pyarrow"), _write_original, _read_ours),
    f"{OURS}, shape": Way(("orchest",), _write_ours, _describe),
    RAW: Way((), _write_raw, _read_raw),
    f"{RAW}, not durable": Way((), _write_raw_not_durable, _read_raw),
    f"{RAW}, CRC-32": Way(("zlib",), _write_raw, _read_raw_and_check),
    MAPPED: Way(("numpy",), _write_mapped, _read_mapped),
    f"{MAPPED}, shape": Way(("numpy",), _write_mapped, _read_header),
    ARROW: Way(("pyarrow",), _write_arrow, _read_arrow),
    PICKLE_5: Way((), _write_pickle, _read_pickle),
    ORIGINAL: Way(("pyarrow",), _write_original, _read_original),
}
