"""Outputs that carry their number in every element, so that a mixture of two cannot pass for either.

In: a kind and a number. Out: the value and name to output; and from a value that was read, its number again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

SMALL, NUMPY, PANDAS, TABLE, BATCH, POLARS = "small", "numpy", "pandas", "table", "batch", "polars"
KINDS = (SMALL, NUMPY, PANDAS, TABLE, BATCH, POLARS)
ALTERNATING, KEPT = "alternating", "kept"
"""Numbers take turns in kinds and names; in `kept`, three names stay, each with its latest number."""

SERIALIZATION = {
    SMALL: "PICKLE", NUMPY: "PICKLE", PANDAS: "PICKLE", TABLE: "ARROW_TABLE", BATCH: "ARROW_BATCH", POLARS: None,
}  # fmt: skip
"""polars frames may go either way."""

_NAMES = (None, "a name", "another")
_KEPT_NAMES = ("first", "second", "third")


class Mixture(Exception):
    """A value whose elements are not all of one number."""


class Numbered(NamedTuple):
    value: Any
    name: str | None


def kind_of(kind: str, number: int) -> str:
    """The kind of an output of this number: a fixed one, or the one whose turn it is."""
    return KINDS[number % len(KINDS)] if kind in (ALTERNATING, KEPT) else kind


def name_of(kind: str, number: int) -> str | None:
    if kind == KEPT:
        return _KEPT_NAMES[number % len(_KEPT_NAMES)]
    # Names turn at another pace than kinds, so that every pair of neighbours comes up.
    return _NAMES[number // len(KINDS) % 3] if kind == ALTERNATING else f"number {number}"


def numbered(kind: str, number: int, size: int) -> Numbered:
    """An output of about `size` bytes (of a few hundred for `small`)."""
    return Numbered(_MAKERS[kind_of(kind, number)](number, size), name_of(kind, number))


def number_of(value: Any) -> int:
    """The number in a value that was read; raises Mixture when its parts differ."""
    found = set(_numbers(value))
    if len(found) != 1:
        raise Mixture(f"{type(value).__name__} with the numbers {sorted(map(str, found))[:5]}")
    return int(found.pop())


def kind_of_value(value: Any) -> str:
    """Which kind a value that was read is of."""
    return _KIND_OF_TYPE[f"{type(value).__module__.split('.')[0].strip('_')}.{type(value).__name__}"]


_KIND_OF_TYPE = {
    "builtins.dict": SMALL, "numpy.ndarray": NUMPY, "pandas.DataFrame": PANDAS, "polars.DataFrame": POLARS,
    "pyarrow.Table": TABLE, "pyarrow.RecordBatch": BATCH,
}  # fmt: skip


def _numbers(value: Any) -> set[Any]:
    kind = kind_of_value(value)
    if kind == SMALL:
        return {value["number"], *value["items"], *map(int, value["text"].split())}
    if kind == NUMPY:
        return {*(int(value.min()), int(value.max()))}
    number, text, rows = (_distinct(kind, value, column) for column in ("number", "text", "rows"))
    return {*map(int, number), *map(int, text)} if rows == [len(value)] else {"rows", len(value)}


def _distinct(kind: str, value: Any, column: str) -> list[Any]:
    if kind == PANDAS:
        return list(value[column].unique())
    if kind == POLARS:
        return list(value[column].unique().to_list())
    return list(value.column(value.schema.get_field_index(column)).unique().to_pylist())


def _small(number: int, size: int) -> Any:
    del size
    return {"number": number, "items": [number] * 10, "text": f"{number} " * 10}


def _array(number: int, size: int) -> Any:
    import numpy as np

    return np.full(size // 8, number, dtype=np.int64)


def _columns(number: int, size: int) -> dict[str, Any]:
    rows = max(size // 24, 2)
    return {"number": _array(number, rows * 8), "text": [str(number)] * rows, "rows": _array(rows, rows * 8)}


def _frame(number: int, size: int) -> Any:
    import pandas as pd

    return pd.DataFrame(_columns(number, size))


def _table(number: int, size: int) -> Any:
    import pyarrow as pa

    whole = pa.table(_columns(number, size))
    half = whole.num_rows // 2
    return pa.concat_tables([whole.slice(0, half), whole.slice(half)])


def _batch(number: int, size: int) -> Any:
    return _table(number, size).combine_chunks().to_batches()[0]


def _polars_frame(number: int, size: int) -> Any:
    import polars as pl

    return pl.DataFrame(_columns(number, size))


_MAKERS = {SMALL: _small, NUMPY: _array, PANDAS: _frame, TABLE: _table, BATCH: _batch, POLARS: _polars_frame}
