"""What steps pass on: the values of the benchmark, the same in every process.

In: a name. Out: how it is made, what it means that it is usable, when it is the same. The packages come from the
environment of the anchors, each imported only where its values are.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 1_000_000
_MIB = 1024 * 1024


class Value(NamedTuple):
    package: str
    """That its user has imported anyway; empty: none."""
    make: Callable[[], Any]
    use: Callable[[Any], object]
    """Reads the last element: what was read is usable when that is there."""
    same: Callable[[Any, Any], bool]
    touch: Callable[[Any], object]
    """Reads every page of it."""


def _last(array: Any) -> object:
    return array.item(-1)


def _array(mebibytes: int) -> Value:
    def make() -> Any:
        return import_module("numpy").arange(mebibytes * _MIB // 8, dtype="f8")

    def same(one: Any, other: Any) -> bool:
        return bool(one.dtype == other.dtype and import_module("numpy").array_equal(one, other))

    return Value("numpy", make, _last, same, lambda array: array.sum())


def _numbers(count: int) -> dict[str, Any]:
    numpy = import_module("numpy")
    return {f"f{number}": numpy.arange(ROWS, dtype="f8") * (number + 0.5) for number in range(count)}


def _names() -> Any:
    """Strings of five to eleven characters, as an Arrow array."""
    arrow, numpy = import_module("pyarrow"), import_module("numpy")
    return import_module("pyarrow.compute").binary_join_element_wise(
        "name", arrow.array(numpy.arange(ROWS)).cast(arrow.string()), "-"
    )


def _columns() -> dict[str, Any]:
    """Six floats, two integers, a time, and in a table one column of strings beside them."""
    numpy = import_module("numpy")
    integers = {f"i{number}": numpy.arange(ROWS) + number for number in range(2)}
    times = {"t": numpy.arange(ROWS).astype("M8[s]").astype("M8[us]")}
    return _numbers(6) | integers | times


def _mixed_frame() -> Any:
    pandas = import_module("pandas")
    return pandas.DataFrame(_columns() | {"s": pandas.Series(_names().to_pandas())})


def _float_frame() -> Any:
    return import_module("pandas").DataFrame(_numbers(10))


def _table() -> Any:
    return import_module("pyarrow").table(_columns() | {"s": _names()})


def _polars_frame() -> Any:
    polars = import_module("polars")
    return polars.DataFrame(_columns()).with_columns(s=polars.format("name-{}", "i0"))


def _equal(one: Any, other: Any) -> bool:
    return bool(one.equals(other))


def _last_of_column(frame: Any) -> object:
    return frame["f5"].iat[-1]


def _dict() -> dict[str, Any]:
    """About 1 KB."""
    return {f"parameter {number}": [number, number / 7, f"value {number}"] for number in range(32)}


VALUES = {
    "numpy 1 GiB": _array(1024),
    "numpy 100 MiB": _array(100),
    "pandas 1M x 10 mixed": Value("pandas", _mixed_frame, _last_of_column, _equal, lambda frame: frame["f5"].sum()),
    "pandas 1M x 10 float": Value("pandas", _float_frame, _last_of_column, _equal, lambda frame: frame["f5"].sum()),
    "polars 1M x 10": Value(
        "polars", _polars_frame, lambda frame: frame["f5"][-1], _equal, lambda frame: frame["f5"].sum()
    ),
    "pa.Table 1M x 10": Value(
        "pyarrow", _table, lambda table: table["f5"][-1].as_py(), _equal, lambda table: table.nbytes
    ),
    "1 KB dict": Value("", _dict, lambda found: found["parameter 31"], lambda one, other: one == other, len),
}
