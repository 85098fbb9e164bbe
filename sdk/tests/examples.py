"""The values this SDK promises to pass between steps, each under a name, made afresh and alike by every call.

`examples()` are those the installed packages can make, `left_out()` the others with the reason. Any process can make
the same value again, so a reader needs nothing from the writer but the name. What equal means stands in `equality.py`.
This module must run where pytest is not installed.
"""

from __future__ import annotations

import decimal
import fractions
import tempfile
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import date, datetime, time, timedelta, timezone
from functools import partial
from importlib import metadata
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from equality import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = 80_000
"""Bytes of a large example: more than the 64 KiB from which on a buffer is mapped, not copied."""

NEEDS = {
    "plain": [],
    "numpy": ["numpy"],
    "pandas": ["pandas"],
    "polars": ["polars"],
    "arrow": ["pyarrow"],
    "mixed": ["numpy", "pandas", "pyarrow"],
}
"""The packages of a family."""

NEEDS_NEWER = {
    "numpy.strings.small": ("numpy", (2, 0)),
    "numpy.strings.large": ("numpy", (2, 0)),
    "pandas.str": ("pandas", (3, 0)),
    "pandas.arrow_backed": ("pandas", (1, 5)),
    "pandas.datetime_seconds": ("pandas", (2, 0)),
    "arrow.string_view": ("pyarrow", (16, 0)),
    "arrow.run_end_encoded": ("pyarrow", (12, 0)),
}
"""Examples that an early version of their package cannot make."""


class Example(NamedTuple):
    """A value under a name of the form `family.what[.variant]`."""

    name: str
    make: Callable[[], Any]

    @property
    def family(self) -> str:
        return self.name.partition(".")[0]


def examples() -> list[Example]:
    """All that can be made here."""
    return [
        Example(f"{family}.{name}", make)
        for family, makers in _FAMILIES.items()
        if not _missing(family)
        for name, make in makers()
        if not _too_old(f"{family}.{name}")
    ]


def left_out() -> dict[str, str]:
    """What cannot be made here, with the reason."""
    missing = {f"{family}.*": _missing(family) for family in _FAMILIES}
    return {name: reason for name, reason in (missing | {n: _too_old(n) for n in NEEDS_NEWER}).items() if reason}


def version(package: str) -> tuple[int, ...]:
    """Major and minor number of an installed package; empty when it is not installed."""
    try:
        return tuple(int(part) for part in metadata.version(package).split(".")[:2])
    except metadata.PackageNotFoundError:
        return ()


def _missing(family: str) -> str:
    absent = [package for package in NEEDS[family] if not version(package)]
    return f"{' and '.join(absent)} not installed" if absent else ""


def _too_old(name: str) -> str:
    package, least = NEEDS_NEWER.get(name, ("", ()))
    if not package or version(package) >= least:
        return ""
    return f"needs {package} >= {'.'.join(map(str, least))}"


# --- the standard library


def _plain() -> Iterator[tuple[str, Callable[[], Any]]]:
    yield from {
        "none": lambda: None,
        "true": lambda: True,
        "false": lambda: False,
        "int": lambda: 42,
        "int.negative": lambda: -(2**63),
        "int.long": lambda: 3**5000,
        "float": lambda: 0.1,
        "float.nan": lambda: float("nan"),
        "float.infinite": lambda: [float("inf"), float("-inf"), -0.0],
        "complex": lambda: 1 - 2j,
        "str": lambda: "straße \N{SNOWMAN} \N{GRINNING FACE}",
        "str.empty": lambda: "",
        "str.surrogate": lambda: "\ud800",
        "str.large": lambda: "ä" * LARGE,
        "bytes": lambda: bytes(range(256)),
        "bytes.empty": lambda: b"",
        "bytes.large": lambda: bytes(range(250)) * (LARGE // 250),
        "bytearray": lambda: bytearray(b"abc"),
        "bytearray.empty": bytearray,
        "bytearray.large": lambda: bytearray(range(250)) * (LARGE // 250),
        "dict": lambda: {"a": 1, 2: "b", None: 0.5, (1, 2): []},
        "dict.large": lambda: {f"key {n}": n for n in range(20_000)},
        "list": lambda: [1, "two", 3.0, None],
        "list.large": lambda: list(range(100_000)),
        "tuple": lambda: (1, (2, ()), "three"),
        "set": lambda: {1, "two", 3.0},
        "frozenset": lambda: frozenset({1, 2}),
        "nested": lambda: {"rows": [{"x": [1, (2, {"y": {3}})]}] * 3},
        "shared": _shared,
        "recursive": _recursive,
        "object": lambda: Box(rows=[1, 2], inner=Box(share=0.5)),
        "object.large": lambda: [Box(n=n) for n in range(5_000)],
        "datetime": lambda: datetime(2022, 7, 1, 12, 30, 5, 17, timezone(timedelta(hours=2))),
        "times": lambda: [date(2022, 7, 1), time(12, 30), timedelta(days=1), datetime(2022, 7, 1)],  # noqa: DTZ001
        "decimal": lambda: decimal.Decimal("0.10"),
        "fraction": lambda: fractions.Fraction(1, 3),
        "uuid": lambda: uuid.UUID(int=7),
        "path": lambda: PurePosixPath("/data/rows"),
        "range": lambda: range(1, 10, 2),
        "slice": lambda: [slice(1, 2), Ellipsis],
        "ordered": lambda: OrderedDict(a=1, b=2),
        "collections": lambda: [Counter("aab"), defaultdict(list, {"a": [1]}), deque([1, 2], maxlen=3)],
        "class": lambda: [Box, int, len],
        "bytes.twice": lambda: [bytes(LARGE)] * 2,
        "bytearray.twice": lambda: [bytearray(LARGE)] * 2,
    }.items()


def _shared() -> Any:
    inner = [1, 2]
    return {"first": inner, "second": [inner, inner], "alike": [1, 2]}


def _recursive() -> Any:
    rows: list[Any] = []
    box = Box(rows=rows)
    rows.append(box)
    mapping: dict[str, Any] = {"box": box}
    mapping["self"] = mapping
    return mapping


# --- numpy

SCALAR_DTYPES = [
    *("?", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8", "g", "<c8", "<c16", "G"),
    *("S5", "<U4", "V3", "<M8[D]", "<M8[s]", "<M8[ms]", "<M8[us]", "<M8[ns]", "<M8[25s]", "<m8[h]", "<m8[ns]", "O"),
    *(">i2", ">u4", ">i8", ">f4", ">f8", ">c16", ">U4", ">M8[s]", ">m8[ns]"),
]

RECORD_DTYPES: dict[str, Any] = {
    "structured": [("x", "<f8"), ("y", "<i4"), ("name", "<U3")],
    "nested": [("point", [("x", "<f4"), ("y", ">i2")]), ("raw", "S3")],
    "padded": {"names": ["a", "b"], "formats": ["i1", "<f8"], "offsets": [0, 8], "itemsize": 24},
    "overlapping": {"names": ["whole", "low"], "formats": ["<u4", "<u2"], "offsets": [0, 0]},
    "subarray": [("matrix", "<f4", (2, 3)), ("key", "<i8")],
    "titled": [(("the width", "w"), "<f8")],
    "dated": [("at", "<M8[s]"), ("for", "<m8[ns]")],
    "with_objects": [("label", "O"), ("n", "<i4")],
    "without_fields": [],
}


def _numpy() -> Iterator[tuple[str, Callable[[], Any]]]:
    import numpy as np

    dtypes = {name: np.dtype(name) for name in SCALAR_DTYPES}
    dtypes.update({name: np.dtype(fields) for name, fields in RECORD_DTYPES.items()})
    dtypes["aligned"] = np.dtype([("a", "i1"), ("b", "<f8")], align=True)
    for name, dtype in dtypes.items():
        yield f"dtype.{name}.small", partial(filled, (7,), dtype)
        if dtype.itemsize:
            yield f"dtype.{name}.large", partial(filled, (LARGE // dtype.itemsize + 1,), dtype)
            yield f"scalar.{name}", partial(_second, dtype)
    for size, shape in {"small": (2, 3, 4), "large": (20, 30, 40)}.items():
        for name, make in {**_LAYOUTS, **_DATE_LAYOUTS}.items():
            dtype = np.dtype("<M8[ns]" if name in _DATE_LAYOUTS else "<f8")
            yield f"layout.{name}.{size}", partial(_laid_out, make, shape, dtype)
        yield f"layout.strided_records.{size}", partial(_laid_out, lambda a: a["f1"], shape, np.dtype("<i4,<f8"))
        yield from {f"kind.{kind}.{size}": partial(make, shape) for kind, make in _KINDS.items()}.items()
    yield from {f"shape.{shape}": partial(filled, shape, np.dtype("<f8")) for shape in _SHAPES}.items()
    for size, count in {"small": 10, "large": LARGE // 8}.items():
        yield from {f"{name}.{size}": partial(make, count) for name, make in _HOLDERS.items()}.items()
    yield "large_beside_small", lambda: [filled((n,), np.dtype("u1")) for n in (1, 65_535, 65_536, 65_537, 2**20 + 1)]
    yield "mebibytes", lambda: filled((3, 2**18), np.dtype("<f8"))
    yield "dtypes", lambda: list(dtypes.values())
    yield "types", lambda: [np.float64, np.ndarray, np.sum]


def filled(shape: tuple[int, ...], dtype: Any) -> Any:
    """An array with values that differ from cell to cell, NaN and NaT among them."""
    import numpy as np

    array = np.zeros(shape, dtype)
    _fill(array)
    return array


def _fill(array: Any) -> None:
    import numpy as np

    numbers = np.arange(array.size).reshape(array.shape)
    kind = array.dtype.kind
    if array.dtype.names is not None:
        for name in array.dtype.names:
            _fill(array[name])
    elif kind == "O":
        array[...] = np.array([f"label {n}" if n % 3 else None for n in range(array.size)], "O").reshape(array.shape)
    elif kind in "SU":
        array[...] = numbers.astype("U")
    elif kind == "V":
        array.view("u1").reshape(array.shape[0], -1)[...] = numbers[:, None] % 251
    elif kind in "mM":
        array[...] = (numbers - 3).astype(array.dtype.newbyteorder("="))
        array[numbers % 5 == 4] = "NaT"
    elif kind in "?b":
        array[...] = numbers % 3 == 0
    else:
        array[...] = numbers % 100
        if kind in "fc":
            array[numbers % 10 == 9] = np.nan


_SHAPES = [(), (0,), (0, 3), (2, 0, 3), (1,), (5,), (3, 4), (2, 3, 4), (2, 3, 4, 5), (1, 1, 1, 1), (20, 30, 5, 6)]


def _broadcast(array: Any) -> Any:
    import numpy as np

    return np.broadcast_to(array[:1], array.shape)


def _read_only(array: Any) -> Any:
    array.flags.writeable = False
    return array


def _fortran(array: Any) -> Any:
    import numpy as np

    return np.asfortranarray(array)


_LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "c": lambda a: a,
    "fortran": _fortran,
    "fortran_2d": lambda a: _fortran(a[0]),
    "transposed": lambda a: a.T,
    "axes_swapped": lambda a: a.swapaxes(0, 1),
    "reversed": lambda a: a[::-1],
    "reversed_inner": lambda a: a[..., ::-1],
    "every_second": lambda a: a[::2, ::2],
    "column": lambda a: a[:, 1, 1],
    "diagonal": lambda a: a[0].diagonal(),
    "broadcast": _broadcast,
    "read_only": _read_only,
    "read_only_fortran": lambda a: _read_only(_fortran(a)),
    "new_axis": lambda a: a[:, None],
    "tail": lambda a: a[1:],
    "flat": lambda a: a.reshape(-1),
    "bytes_behind": lambda a: a.reshape(-1).view("u1")[1:-7].view("f8"),
}


_DATE_LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "reversed_dates": lambda a: a[::-1],
    "fortran_dates": lambda a: a.T,
}


def _memory_map(shape: tuple[int, ...]) -> Any:
    import numpy as np

    with tempfile.TemporaryFile() as file:
        mapped = np.memmap(file, "<f8", "w+", shape=shape)
    _fill(mapped)
    return mapped


def _masked(shape: tuple[int, ...]) -> Any:
    import numpy as np

    data = filled(shape, np.dtype("<i8"))
    return np.ma.array(data, mask=data % 7 == 0, fill_value=-1)


def _records(shape: tuple[int, ...]) -> Any:
    import numpy as np

    return filled(shape, np.dtype([("x", "<f8"), ("n", "<i4")])).view(np.recarray)


def _matrix(shape: tuple[int, ...]) -> Any:
    import numpy as np

    # By a view: calling the class warns.
    return filled((shape[0] * shape[1], shape[2]), np.dtype("<f8")).view(np.matrix)


def _objects(shape: tuple[int, ...]) -> Any:
    import numpy as np

    return np.array([{"n": n, "list": [n]} for n in range(shape[0] * shape[1])], "O").reshape(shape[:2])


_KINDS: dict[str, Callable[[tuple[int, ...]], Any]] = {
    "memory_map": _memory_map,
    "masked": _masked,
    "records": _records,
    "matrix": _matrix,
    "objects": _objects,
}


def _second(dtype: Any) -> Any:
    """A scalar, or for objects what the array holds."""
    return filled((3,), dtype)[1]


def _laid_out(view: Callable[[Any], Any], shape: tuple[int, ...], dtype: Any) -> Any:
    return view(filled(shape, dtype))


def _numbers(count: int) -> Any:
    import numpy as np

    return np.arange(count)


def _twice(count: int) -> Any:
    array = _numbers(count)
    return {"first": array, "second": [array, array], "alike": array.copy(), "box": Box(array=array)}


def _in_array(count: int) -> Any:
    import numpy as np

    array, holder = _numbers(count), np.empty(3, "O")
    holder[0], holder[1], holder[2] = array, {"again": array}, None
    return holder


def _strings(count: int) -> Any:
    import numpy as np

    return np.array([f"row {n}" for n in range(count)], np.dtypes.StringDType())


_HOLDERS: dict[str, Callable[[int], Any]] = {
    "twice": _twice,
    "in_dict": lambda count: {"x": _numbers(count), "y": _numbers(count), "n": count},
    "in_list": lambda count: [_numbers(count), _numbers(count)[::2], "end"],
    "in_object": lambda count: Box(data=_numbers(count), label="rows"),
    "in_array": _in_array,
    "strings": _strings,
}


# --- pandas. Where pandas would choose a dtype by its version, the dtype is written out.


def _pandas() -> Iterator[tuple[str, Callable[[], Any]]]:
    import numpy as np
    import pandas as pd

    def labels(count: int) -> Any:
        return pd.Series([f"row {n % 1000}" if n % 9 else None for n in range(count)], dtype="object")

    def numeric(count: int) -> Any:
        return pd.DataFrame({"i": np.arange(count), "f": np.arange(count) / 3, "b": np.arange(count) % 2 == 0})

    def mixed(count: int) -> Any:
        days = pd.Series(np.arange(count).astype("M8[ns]"))
        return numeric(count).assign(s=labels(count), d=days, c=pd.Categorical(labels(count)))

    def noted(frame: Any) -> Any:
        frame.attrs["source"] = "sensor"
        return frame

    def nullable() -> Any:
        numbers = {t: pd.array([1, None, 3], dtype=t) for t in ("Int8", "Int64", "UInt16", "Float32", "Float64")}
        return pd.DataFrame(numbers | {"b": pd.array([True, None, False], dtype="boolean")})

    def levels() -> Any:
        return pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["letter", "number"])

    sized: dict[str, Callable[[int], Any]] = {
        "numeric": numeric,
        "mixed": mixed,
        "wide": lambda count: pd.DataFrame(np.arange(count * 4.0).reshape(-1, 4), columns=list("abcd")),
        "transposed": lambda count: pd.DataFrame(np.arange(count * 4.0).reshape(20, -1)).T,
        "sliced": lambda count: mixed(count).iloc[1::2],
        "series": lambda count: pd.Series(np.arange(count), name="n"),
        "labels": labels,
        "index": lambda count: pd.Index(np.arange(count) * 2, name="key"),
    }
    for size, count in {"small": 5, "large": 9_000}.items():
        yield from {f"{name}.{size}": partial(make, count) for name, make in sized.items()}.items()
    yield from {
        "strings": lambda: pd.DataFrame({"s": pd.array(["a", None, "ä"], dtype="string")}),
        "str": lambda: pd.DataFrame({"s": pd.array(["a", None, "ä"], dtype="str")}),
        "arrow_backed": lambda: pd.DataFrame({"n": pd.array([1, None, 3], dtype="int64[pyarrow]")}),
        "categorical": lambda: pd.Series(pd.Categorical(["a", "b", None, "a"], categories=["b", "a"], ordered=True)),
        "dates": lambda: pd.DataFrame({"at": pd.Series(np.arange(5).astype("M8[ns]")), "n": range(5)}),
        "datetime_seconds": lambda: pd.Series(np.arange(5).astype("M8[s]")),
        "utc": lambda: pd.DataFrame({"at": pd.Series(np.arange(5).astype("M8[ns]")).dt.tz_localize("UTC")}),
        "zoned": lambda: pd.Series(np.arange(5).astype("M8[ns]")).dt.tz_localize("Europe/Amsterdam"),
        "durations": lambda: pd.Series(np.arange(5).astype("m8[ns]")),
        "date_range": lambda: pd.date_range("2022-07-01", periods=5, freq="D").astype("M8[ns]"),
        "periods": lambda: pd.DataFrame({"p": pd.period_range("2022-01", periods=4, freq="D")}),
        "intervals": lambda: pd.Series(pd.interval_range(0, 4)),
        "nullable": nullable,
        "multi_index": lambda: pd.DataFrame({"n": range(4)}, index=levels()),
        "multi_columns": lambda: pd.DataFrame(np.arange(8).reshape(2, 4), columns=levels()),
        "named_axes": lambda: pd.DataFrame({"n": [1]}, index=pd.Index(["r"], name="row")).rename_axis(columns="col"),
        "empty": pd.DataFrame,
        "no_rows": lambda: numeric(0),
        "no_columns": lambda: pd.DataFrame(index=range(3)),
        "duplicate_columns": lambda: pd.DataFrame([[1, 2.5], [3, 4.5]], columns=["x", "x"]),
        "objects": lambda: pd.DataFrame({"o": pd.Series([{"a": 1}, [2], None, 3], dtype="object")}),
        "arrays_in_cells": lambda: pd.DataFrame({"o": [np.arange(3), np.arange(2)]}),
        "sparse": lambda: pd.Series(pd.arrays.SparseArray([0, 0, 1])),
        "big_endian": lambda: pd.Series(np.arange(3, dtype=">i4")),
        "attrs": lambda: noted(numeric(3)),
        "timestamp": lambda: [pd.Timestamp(2022, 7, 1), pd.Timedelta(1, "D"), pd.NaT, pd.NA],
        "twice": lambda: [numeric(3)] * 2,
    }.items()


# --- polars


def _polars() -> Iterator[tuple[str, Callable[[], Any]]]:
    import polars as pl

    def frame(count: int) -> Any:
        return pl.DataFrame(
            {"n": range(count), "f": [n / 3 for n in range(count)], "s": [f"row {n}" for n in range(count)]}
        )

    yield from {
        "frame.small": lambda: frame(5),
        "frame.large": lambda: frame(20_000),
        "frame.chunked": lambda: pl.concat([frame(3), frame(4)], rechunk=False),
        "series.small": lambda: pl.Series("n", [1, None, 3]),
        "series.large": lambda: pl.Series("n", range(LARGE)),
        "lists": lambda: pl.DataFrame({"l": [[1, 2], [], None], "s": [{"a": 1}, {"a": 2}, {"a": None}]}),
        "categorical": lambda: pl.DataFrame({"c": pl.Series(["a", "b", "a"], dtype=pl.Categorical)}),
        "dates": lambda: pl.DataFrame({"d": [date(2022, 7, 1)], "t": [datetime(2022, 7, 1)], "u": [timedelta(1)]}),  # noqa: DTZ001
        "empty": pl.DataFrame,
        "no_rows": lambda: frame(0),
        "in_dict": lambda: {"frame": frame(3), "series": pl.Series("n", [1])},
    }.items()


# --- Arrow


def _arrow() -> Iterator[tuple[str, Callable[[], Any]]]:
    import pyarrow as pa

    def table(count: int) -> Any:
        return pa.table(
            {"n": pa.array(range(count), pa.int64()), "s": pa.array([f"row {n}" for n in range(count)], pa.string())}
        )

    def noted() -> Any:
        field = pa.field("n", pa.int8(), nullable=False, metadata={"unit": "m"})
        return pa.table([pa.array([1], pa.int8())], schema=pa.schema([field], metadata={"made by": "a test"}))

    def typed() -> Any:
        moment = datetime(2022, 7, 1, 12)  # noqa: DTZ001
        return pa.table(
            {
                "list": pa.array([[1, 2], None, []]),
                "struct": pa.array([{"a": 1}, None, {"a": 3}]),
                "dictionary": pa.array(["a", "b", "a"]).dictionary_encode(),
                "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
                "decimal": pa.array([decimal.Decimal("0.10"), None, decimal.Decimal(1)], pa.decimal128(9, 2)),
                "at": pa.array([moment, None, moment], pa.timestamp("us", "UTC")),
                "null": pa.nulls(3),
                "binary": pa.array([b"\0", None, b""], pa.large_binary()),
            }
        )

    def batch(count: int) -> Any:
        return pa.RecordBatch.from_arrays(
            [pa.array(range(count), pa.int64()), pa.nulls(count, pa.float32())], ["n", "f"]
        )

    yield from {
        "table.small": lambda: table(5),
        "table.large": lambda: table(20_000),
        "table.chunked": lambda: pa.concat_tables([table(3), table(0), table(10_000)]),
        "table.sliced": lambda: table(20_000).slice(7, 11_000),
        "table.typed": typed,
        "table.noted": noted,
        "table.no_rows": lambda: table(0),
        "table.no_columns": lambda: pa.table({}),
        "batch.small": lambda: batch(5),
        "batch.large": lambda: batch(20_000),
        "batch.no_rows": lambda: batch(0),
        "string_view": lambda: pa.table({"v": pa.array(["a", "a string of more than twelve"], pa.string_view())}),
        "run_end_encoded": lambda: pa.table({"r": pa.RunEndEncodedArray.from_arrays([2, 3], [1, 2])}),
        "array.small": lambda: pa.array([1, None, 3]),
        "array.large": lambda: pa.array(range(LARGE)),
        "chunked_array": lambda: pa.chunked_array([[1, 2], [3]]),
        "schema": lambda: noted().schema,
        "scalar": lambda: pa.array([1.5])[0],
        "in_dict": lambda: {"table": table(3), "batch": batch(3), "n": 1},
    }.items()


# --- all together


def _mixed() -> Iterator[tuple[str, Callable[[], Any]]]:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    def everything(count: int) -> Any:
        array = np.arange(count, dtype="<f8")
        frame = pd.DataFrame({"x": array, "n": range(count)})
        box = Box(array=array, frame=frame, table=pa.table({"x": array}), raw=bytearray(count))
        return {"boxes": [box, box], "array": array, "tuple": (array[::2], [frame, {1, 2}]), "when": date(2022, 7, 1)}

    yield "everything.small", lambda: everything(10)
    yield "everything.large", lambda: everything(LARGE // 8 + 1)


_FAMILIES: dict[str, Callable[[], Iterator[tuple[str, Callable[[], Any]]]]] = {
    "plain": _plain,
    "numpy": _numpy,
    "pandas": _pandas,
    "polars": _polars,
    "arrow": _arrow,
    "mixed": _mixed,
}
