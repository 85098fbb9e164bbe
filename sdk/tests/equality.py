"""When is what came out of a file the same as what went in: value, type, dtype, memory order, and who is whom.

In come two objects, out comes the place and kind of the first difference, or the empty string. NaN is itself here. Two
places that hold one object on the left must hold one object on the right, and the other way round.
"""

from __future__ import annotations

import math
from typing import Any


class Box:
    """An object of a class of one's own: its attributes are its value."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def difference(expected: Any, actual: Any) -> str:
    """Where the two differ first, as a path with the reason, or the empty string."""
    return _Walk().differ(expected, actual, "value")


_LEAVES = (int, str, bool, type(None))
"""Without parts, identity or surprises; asked first, since there are millions of them."""


class _Walk:
    """One comparison; remembers which object on the right belongs to which on the left."""

    def __init__(self) -> None:
        self._partners: dict[int, int] = {}
        self._taken: dict[int, int] = {}
        self._kept: list[Any] = []

    def differ(self, expected: Any, actual: Any, at: str) -> str:
        if type(expected) is not type(actual) and not _both_arrays(expected, actual):
            return f"{at}: {type(expected).__qualname__} became {type(actual).__qualname__}"
        if type(expected) in _LEAVES:
            return _by_equality(expected, actual, at)
        if _has_identity(expected):
            known = id(expected) in self._partners
            if self._partners.setdefault(id(expected), id(actual)) != id(actual):
                return f"{at}: one object became two"
            if self._taken.setdefault(id(actual), id(expected)) != id(expected):
                return f"{at}: two objects became one"
            # Were they freed, their ids could come back as somebody else's.
            self._kept += [expected, actual]
            if known:
                return ""
        return self._compare(expected, actual, at)

    def _compare(self, expected: Any, actual: Any, at: str) -> str:
        package = type(expected).__module__.partition(".")[0]
        if isinstance(expected, Box):
            return self._mappings(vars(expected), vars(actual), at)
        if isinstance(expected, dict):
            return self._mappings(expected, actual, at)
        if isinstance(expected, (list, tuple)):
            return self._sequences(expected, actual, at)
        if isinstance(expected, float) and package == "builtins":
            return "" if _same_float(expected, actual) else f"{at}: {expected!r} became {actual!r}"
        if _is_array(expected):
            return self._arrays(expected, actual, at)
        compare = _LIBRARIES.get(package, _by_equality)
        return compare(expected, actual, at)

    def _mappings(self, expected: dict[Any, Any], actual: dict[Any, Any], at: str) -> str:
        if list(expected) != list(actual):
            return f"{at}: keys {list(expected)!r} became {list(actual)!r}"
        return _first(self.differ(expected[key], actual[key], f"{at}[{key!r}]") for key in expected)

    def _sequences(self, expected: Any, actual: Any, at: str) -> str:
        if len(expected) != len(actual):
            return f"{at}: length {len(expected)} became {len(actual)}"
        return _first(self.differ(e, a, f"{at}[{n}]") for n, (e, a) in enumerate(zip(expected, actual)))

    def _arrays(self, expected: Any, actual: Any, at: str) -> str:
        if (expected.dtype, expected.dtype.str) != (actual.dtype, actual.dtype.str):
            return f"{at}: dtype {expected.dtype!r} became {actual.dtype!r}"
        if expected.shape != actual.shape:
            return f"{at}: shape {expected.shape} became {actual.shape}"
        if (expected.flags.c_contiguous or expected.flags.f_contiguous) and (
            expected.flags.f_contiguous != actual.flags.f_contiguous
        ):
            return f"{at}: the memory order changed"
        masks = _masks(expected, actual)
        return self._sequences(*masks, f"{at}.mask") or self._cells(expected, actual, at)

    def _cells(self, expected: Any, actual: Any, at: str) -> str:
        import numpy as np

        expected, actual = np.asarray(expected), np.asarray(actual)
        if expected.dtype.names:
            return _first(self._cells(expected[n], actual[n], f"{at}[{n!r}]") for n in expected.dtype.names)
        if expected.dtype.kind == "O":
            return self._sequences(expected.ravel().tolist(), actual.ravel().tolist(), at)
        if expected.dtype.kind == "V":
            return "" if expected.tobytes() == actual.tobytes() else f"{at}: other bytes"
        if expected.dtype.kind in "mM":
            expected, actual = (np.ascontiguousarray(a).view(a.dtype.str[0] + "i8") for a in (expected, actual))
        equal = expected == actual
        if expected.dtype.kind in "fc":
            equal |= (expected != expected) & (actual != actual)  # noqa: PLR0124 - NaN
        return "" if np.all(equal) else f"{at}: other values"


def arrays_in(value: Any) -> list[Any]:
    """The numpy arrays that are the value, or stand in its containers and objects, each once."""
    found: list[Any] = []
    waiting, seen = [value], set()
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if _is_array(item):
            found.append(item)
        if isinstance(item, Box):
            waiting.append(vars(item))
        elif isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, (list, tuple)):
            waiting += item
    return found


def _first(differences: Any) -> str:
    return next(filter(None, differences), "")


def _has_identity(value: Any) -> bool:
    if isinstance(value, (list, dict, set, bytearray, Box)) or _is_array(value):
        return True
    return type(value).__name__ in ("DataFrame", "Series", "Table") or (isinstance(value, bytes) and len(value) > 1)


def _is_array(value: Any) -> bool:
    return any(kind.__module__ == "numpy" and kind.__name__ == "ndarray" for kind in type(value).__mro__)


def _both_arrays(expected: Any, actual: Any) -> bool:
    """A memory map comes back as an array: the file it mapped is the producer's business."""
    return type(expected).__name__ == "memmap" and _is_array(actual)


def _masks(expected: Any, actual: Any) -> tuple[list[Any], list[Any]]:
    if not hasattr(expected, "mask"):
        return [], []
    return ([expected.mask.tolist(), expected.fill_value], [actual.mask.tolist(), actual.fill_value])


def _same_float(expected: float, actual: float) -> bool:
    if math.isnan(expected):
        return math.isnan(actual)
    return expected == actual and math.copysign(1, expected) == math.copysign(1, actual)


def _by_equality(expected: Any, actual: Any, at: str) -> str:
    same = expected is actual or expected == actual
    return "" if same else f"{at}: {expected!r:.80} became {actual!r:.80}"


def _numpy_scalars(expected: Any, actual: Any, at: str) -> str:
    import numpy as np

    if isinstance(expected, np.generic):
        return _Walk().differ(np.asarray(expected), np.asarray(actual), at)
    return _by_equality(expected, actual, at)


def _pandas(expected: Any, actual: Any, at: str) -> str:
    import pandas as pd

    compare = {"DataFrame": pd.testing.assert_frame_equal, "Series": pd.testing.assert_series_equal}.get(
        type(expected).__name__
    )
    if isinstance(expected, pd.Index):
        return _asserted(lambda: pd.testing.assert_index_equal(expected, actual, exact=True), at)
    if compare is None:
        return _by_equality(expected, actual, at)
    if expected.attrs != actual.attrs:
        return f"{at}: attrs {expected.attrs!r} became {actual.attrs!r}"
    return _asserted(lambda: compare(expected, actual, check_exact=True), at)


def _polars(expected: Any, actual: Any, at: str) -> str:
    import polars as pl
    from polars.testing import assert_frame_equal, assert_series_equal

    compare = assert_series_equal if isinstance(expected, pl.Series) else assert_frame_equal
    return _asserted(lambda: compare(expected, actual), at)


def _asserted(check: Any, at: str) -> str:
    try:
        check()
    except AssertionError as error:
        return f"{at}: {error}"
    return ""


def _arrow(expected: Any, actual: Any, at: str) -> str:
    import pyarrow as pa

    if isinstance(expected, (pa.Table, pa.RecordBatch, pa.Schema)):
        equal = expected.equals(actual, check_metadata=True)
    else:
        equal = expected.equals(actual) and expected.type == actual.type
    if not equal:
        return f"{at}: other values, schema or metadata"
    return "" if _chunks(expected) == _chunks(actual) else f"{at}: chunks {_chunks(expected)} became {_chunks(actual)}"


def _chunks(value: Any) -> list[list[int]]:
    """Rows of every chunk of every column; a chunk without rows is none."""
    columns = value.columns if hasattr(value, "columns") else [value]
    return [[len(chunk) for chunk in getattr(column, "chunks", []) if len(chunk)] for column in columns]


_LIBRARIES = {"numpy": _numpy_scalars, "pandas": _pandas, "polars": _polars, "pyarrow": _arrow}
