"""What people are shown of an output without reading it: its type, shape, schema, size and a first look.

In: the data, while it is put out. Out: a small value for JSON. Only classes that are known are asked anything; of an
object of the user's own no more than its class is told, and none of its code runs.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Callable

_ITEMS = 8
"""Elements, keys, rows or columns in a preview..."""
_COLUMNS = 200
"""...and columns in a schema."""
_CHARACTERS = 120
"""Of one text in a preview."""


def described(data: Any, depth: int = 2) -> dict[str, Any]:
    """`type`, and what its kind has of `length`, `shape`, `dtype`, `schema`, `bytes` and `preview`."""
    kind = type(data)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    describe = _KINDS.get((kind.__module__.partition(".")[0], kind.__name__))
    if describe is None:
        return {"type": name}
    try:
        return {"type": name, **describe(data, depth)}
    except Exception:  # noqa: BLE001 - a library that cannot tell of its object must not keep it from being put out
        return {"type": name}


def _text(data: Any, _depth: int) -> dict[str, Any]:
    return {"length": len(data), "preview": _shown(data)}


def _scalar(data: Any, _depth: int) -> dict[str, Any]:
    return {"preview": _shown(data)}


def _mapping(data: dict[Any, Any], depth: int) -> dict[str, Any]:
    if depth == 0:
        return {"length": len(data)}
    items = {_shown(key): described(value, depth - 1) for key, value in islice(data.items(), _ITEMS)}
    return {"length": len(data), "preview": items}


def _sequence(data: Any, depth: int) -> dict[str, Any]:
    if depth == 0:
        return {"length": len(data)}
    return {"length": len(data), "preview": [described(item, depth - 1) for item in islice(data, _ITEMS)]}


def _array(data: Any, _depth: int) -> dict[str, Any]:
    first = data.reshape(-1)[:_ITEMS] if data.size <= _ITEMS else data[(0,) * (data.ndim - 1)][:_ITEMS]
    preview = None if data.dtype.hasobject else [_shown(item) for item in first.tolist()]
    return {"shape": list(data.shape), "dtype": str(data.dtype), "bytes": data.nbytes, "preview": preview}


def _pandas_frame(data: Any, _depth: int) -> dict[str, Any]:
    columns = list(islice(zip(data.columns, data.dtypes), _COLUMNS))
    rows = data.iloc[:_ITEMS, :_ITEMS].itertuples(index=False, name=None)
    return {
        "shape": list(data.shape),
        "schema": {_shown(column): str(dtype) for column, dtype in columns},
        "preview": [[_shown(value) for value in row] for row in rows],
    }


def _pandas_series(data: Any, _depth: int) -> dict[str, Any]:
    preview = [_shown(value) for value in data.iloc[:_ITEMS]]
    return {"shape": list(data.shape), "dtype": str(data.dtype), "preview": preview}


def _polars_frame(data: Any, _depth: int) -> dict[str, Any]:
    preview = [[_shown(value) for value in row] for row in data[:_ITEMS, :_ITEMS].rows()]
    schema = {name: str(dtype) for name, dtype in islice(zip(data.columns, data.dtypes), _COLUMNS)}
    return {"shape": list(data.shape), "schema": schema, "bytes": data.estimated_size(), "preview": preview}


def _polars_series(data: Any, _depth: int) -> dict[str, Any]:
    preview = [_shown(value) for value in data[:_ITEMS].to_list()]
    return {"shape": [len(data)], "dtype": str(data.dtype), "bytes": data.estimated_size(), "preview": preview}


def _arrow_table(data: Any, _depth: int) -> dict[str, Any]:
    columns = [data.column(number).slice(0, _ITEMS).to_pylist() for number in range(min(data.num_columns, _ITEMS))]
    return {
        "shape": [data.num_rows, data.num_columns],
        "schema": {field.name: str(field.type) for field in islice(data.schema, _COLUMNS)},
        "bytes": data.nbytes,
        "preview": [[_shown(value) for value in row] for row in zip(*columns)],
    }


def _shown(value: Any) -> str | None:
    """A value of a known class as text; None for all others, whose `repr` is not ours to run."""
    if value is None or type(value) in _PLAIN or _is_of_a_library(value):
        text = (
            repr(value[:_CHARACTERS])
            if type(value) is bytes
            else str(value[:_CHARACTERS] if type(value) is str else value)
        )
        return text[:_CHARACTERS]
    return None


_PLAIN = (bool, int, float, complex, str, bytes)
"""Exactly: a class of the user's that is derived of one may say `str` in its own way."""


def _is_of_a_library(value: Any) -> bool:
    """A value that holds no objects of the user's."""
    package = type(value).__module__.partition(".")[0]
    if package == "numpy":
        return getattr(value, "shape", None) == () and not value.dtype.hasobject
    if package == "pandas":
        return type(value).__name__ in ("Interval", "NAType", "NaTType", "Period", "Timedelta", "Timestamp")
    return package in ("datetime", "decimal", "uuid")


_KINDS: dict[tuple[str, str], Callable[[Any, int], dict[str, Any]]] = {
    **dict.fromkeys([("builtins", kind) for kind in ("str", "bytes")], _text),
    **dict.fromkeys([("builtins", kind) for kind in ("bool", "int", "float", "complex", "NoneType")], _scalar),
    **dict.fromkeys([("builtins", kind) for kind in ("list", "tuple", "set", "frozenset")], _sequence),
    ("builtins", "dict"): _mapping,
    ("numpy", "ndarray"): _array,
    ("pandas", "DataFrame"): _pandas_frame,
    ("pandas", "Series"): _pandas_series,
    ("polars", "DataFrame"): _polars_frame,
    ("polars", "Series"): _polars_series,
    ("pyarrow", "Table"): _arrow_table,
    ("pyarrow", "RecordBatch"): _arrow_table,
}
