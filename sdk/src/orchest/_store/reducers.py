"""How objects of numpy, pandas, polars and pyarrow are taken apart for a pickle.

In: a class. Out: a function that says what to call with what to get an object of it again, or None to leave it to the
object. What is said uses public names that all versions share, as far as there are any: an array is one made over a
buffer, since what numpy 2 says of its arrays cannot be loaded by numpy 1. None of the packages is imported here but by
its own objects.
"""

from __future__ import annotations

import copyreg
import importlib
import operator
import pickle
from types import ModuleType
from typing import Any, Callable

from orchest._store.output_file import BULK
from orchest.error import SerializationError

Reducer = Callable[[Any], Any]

_HOMES = {
    "numpy.char": "numpy",
    "numpy.rec": "numpy",
    "pandas.core.arrays.arrow.dtype": "pandas",
    "pathlib._local": "pathlib",
}
"""Modules that not all versions have -> where they all have the same classes."""
_RENAMED_CLASSES = {"bool": "bool_"}
"""numpy 2's name -> the one that numpy 1 has as well."""
_PLAIN_SCALARS = "?bhilqBHILQefdFDUS"
"""Type codes of numpy's scalars that a Python scalar holds without loss."""


def reducer(kind: type, *, portable: bool) -> Reducer | None:
    """For objects of exactly this class. `portable` frames are Arrow inside."""
    if issubclass(kind, type):
        return _of_class
    if kind is ModuleType:
        return _of_module
    package, name = _package(kind), kind.__name__
    if package == "numpy" or _has_base(kind, "numpy", "ndarray"):
        return _for_numpy(kind)
    if _has_base(kind, "pandas", "ArrowExtensionArray"):
        return _of_pandas_arrow_array
    if portable and (package, name) in _PORTABLE:
        return _PORTABLE[package, name]
    return _DIRECT.get((package, name))


def package_of(kind: type, *, portable: bool) -> str | None:
    """The package whose versions must fit for an object of this class to be loaded; None where they need not."""
    package = _package(kind)
    if package not in ("numpy", "pandas", "polars", "pyarrow") or (portable and (package, kind.__name__) in _PORTABLE):
        return None
    return package


def _package(kind: type) -> str:
    return str(kind.__module__).partition(".")[0]


def _has_base(kind: type, package: str, name: str) -> bool:
    return any(base.__name__ == name and _package(base) == package for base in kind.__mro__)


# ------------------------------------------------------------------------------------------------ classes and modules


def _of_class(kind: type) -> Any:
    home = _HOMES.get(kind.__module__)
    if home is not None:
        return getattr, (importlib.import_module(home), kind.__name__)
    return _RENAMED_CLASSES.get(kind.__name__, NotImplemented) if kind.__module__ == "numpy" else NotImplemented


def _of_module(module: ModuleType) -> Any:
    """Only what `_of_class` refers to; a user's module is as unpicklable as ever."""
    return (importlib.import_module, (module.__name__,)) if module.__name__ in _HOMES.values() else NotImplemented


# -------------------------------------------------------------------------------------------------------------- numpy


def _for_numpy(kind: type) -> Reducer | None:
    import numpy as np

    if kind is np.ndarray:
        return _of_array
    if issubclass(kind, np.ndarray):
        return _of_array_subclass
    if issubclass(kind, np.dtype):
        return _of_dtype
    if issubclass(kind, np.generic):
        return _of_plain_scalar if np.dtype(kind).char in _PLAIN_SCALARS else _of_scalar
    return None


def _of_dtype(dtype: Any) -> Any:
    """An aligned structure as it would be written by hand: numpy 1 takes offence at the flags of numpy 2."""
    import numpy as np

    if dtype.names is None or not dtype.isalignedstruct:
        return NotImplemented
    fields = [dtype.fields[name] for name in dtype.names]
    parts = {"names": list(dtype.names), "formats": [field[0] for field in fields], "itemsize": dtype.itemsize}
    parts["offsets"] = [field[1] for field in fields]
    if any(len(field) > 2 for field in fields):
        parts["titles"] = [field[2] if len(field) > 2 else None for field in fields]
    return np.dtype, (parts, True)


def _of_array(array: Any) -> Any:
    import numpy as np

    if array.dtype.hasobject:
        return np.ndarray, ((0,), "b"), array.__reduce__()[2]
    return np.ndarray, (array.shape, array.dtype, *_content(array))


def _content(array: Any) -> tuple[Any, ...]:
    """The further arguments that make an array with these elements. They are copied only if they are out of order."""
    import numpy as np

    if array.nbytes == 0:
        return ()
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    # As bytes, since numpy exports no buffer of dates and of some structures.
    flat = np.asarray(array, order=order).reshape(-1, order=order).view("u1")
    # A small buffer goes in between the opcodes as it is, and read-only ones come back read-only.
    content = pickle.PickleBuffer(flat.copy() if flat.nbytes < BULK and not flat.flags.writeable else flat)
    return content, 0, None, order


def _of_array_subclass(array: Any) -> Any:
    """As it says itself, with a public name for the one function of numpy that has moved; a mere view as one."""
    import numpy as np

    if type(array) in (np.matrix, np.memmap, np.recarray) and not array.dtype.hasobject:
        return np.ndarray.__new__, (type(array), array.shape, array.dtype, *_content(array.view(np.ndarray)))
    reduced = array.__reduce__()
    if getattr(reduced[0], "__name__", "") != "_reconstruct":
        return reduced
    return np.ndarray.__new__, (reduced[1][0], (0,), "b"), *reduced[2:]


def _of_plain_scalar(scalar: Any) -> Any:
    return type(scalar), (scalar.item(),)


def _of_scalar(scalar: Any) -> Any:
    """The only element of an array without dimensions."""
    import numpy as np

    return operator.getitem, (np.array(scalar), ())


# ------------------------------------------------------------------------------------------- frames and Arrow's tables


def _of_polars_frame(frame: Any) -> Any:
    """Over Arrow's buffers, which are the frame's own; what Arrow cannot hold stays as polars says it."""
    import polars as pl

    newest = {"compat_level": pl.CompatLevel.newest()} if hasattr(pl, "CompatLevel") else {}
    return _of_polars_table(frame, newest)


def _of_polars_frame_portable(frame: Any) -> Any:
    return _of_polars_table(frame, {})


def _of_polars_table(frame: Any, options: dict[str, Any]) -> Any:
    import polars as pl

    try:
        table = frame.to_arrow(**options)
        same = pl.from_arrow(table.slice(0, 0)).schema == frame.schema
    except Exception:  # noqa: BLE001 - a column of Python objects, no pyarrow, a type that it does not know
        return NotImplemented
    return (pl.from_arrow, (table,)) if same else NotImplemented


def _of_polars_series(series: Any) -> Any:
    """The only column of a frame; its name is set anew, since Arrow has none that is empty."""
    column = _Call(operator.methodcaller("to_series"), (series.to_frame("values"),))
    return operator.methodcaller("rename", series.name), (column,)


def _of_pandas_arrow_array(array: Any) -> Any:
    """As pandas says it, without the copy that it makes to join what is one piece already."""
    pieces = getattr(array, "_pa_array", None)
    if pieces is None or pieces.num_chunks != 1:
        return NotImplemented
    new: Any = copyreg.__newobj__  # type: ignore[attr-defined]
    return new, (type(array),), {**vars(array), "_pa_array": pieces.chunk(0)}


def _of_pandas_frame(frame: Any) -> Any:
    try:
        import pyarrow as pa

        # Without columns only the index knows how many rows there are.
        table = pa.Table.from_pandas(frame, preserve_index=None if len(frame.columns) else True)
    except Exception as problem:
        raise SerializationError(
            f"Arrow cannot hold this frame: {problem}. Convert the column, or leave out portable=True."
        ) from problem
    return operator.methodcaller("to_pandas"), (table,)


def _of_pandas_series(series: Any) -> Any:
    """The only column of a frame; its name is set anew, since a column's must be text."""
    column = _Call(operator.methodcaller("squeeze", "columns"), (series.to_frame("values"),))
    return operator.methodcaller("rename", series.name), (column,)


def _of_arrow_table(table: Any) -> Any:
    """As a stream of messages: a format of its own right, which all versions of pyarrow share."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return operator.methodcaller("read_all"), (_Call(pa.ipc.open_stream, (sink.getvalue(),)),)


class _Call:
    """Stands, while a pickle is written, for the result of a call that its reader makes."""

    def __init__(self, function: Any, arguments: tuple[Any, ...]) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


_DIRECT: dict[tuple[str, str], Reducer] = {
    ("polars", "DataFrame"): _of_polars_frame,
    ("polars", "Series"): _of_polars_series,
}
_PORTABLE: dict[tuple[str, str], Reducer] = {
    ("polars", "DataFrame"): _of_polars_frame_portable,
    ("pandas", "DataFrame"): _of_pandas_frame,
    ("pandas", "Series"): _of_pandas_series,
    ("pyarrow", "Table"): _of_arrow_table,
}
