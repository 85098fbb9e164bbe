"""Safe mode: loading a pickle without running anybody's code.

A pickle is a program: it may call any function that can be imported. Here it may name only the classes and functions
of the tables below, each of which was looked at for ways to a file, an interpreter or raw memory; those that have one
are called through a guard that takes no more than real data needs. Python's own unpickler is used, since the one in C
asks only what is named and not what is done with it. It is slow for millions of small objects, and as fast for arrays
and frames.
"""

from __future__ import annotations

import pickle
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import date, timedelta
from importlib import import_module
from math import prod
from typing import Any, Callable, ClassVar

from orchest._store.sound import is_checked, is_sound
from orchest._store.unpickling import RefusedError

_NAMES = {
    "builtins": "bool bytearray bytes complex dict float frozenset int list range set slice str tuple",
    "collections": "Counter OrderedDict defaultdict deque",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "uuid": "UUID",
    "zoneinfo": "ZoneInfo",
    "pytz": "_UTC _p",
    "numpy": """
        bool_ bytes_ complex64 complex128 float16 float32 float64 int8 int16 int32 int64 intc longlong
        str_ uint8 uint16 uint32 uint64 uintc ulonglong""",
    "numpy.ma": "MaskedArray",
    "numpy.ma.core": "MaskedArray",
    "pandas": "Interval NA Period",
    "pandas._libs.internals": "_unpickle_block",
    "pandas._libs.interval": "Interval __pyx_unpickle_IntervalMixin",
    "pandas._libs.missing": "NA",
    "pandas._libs.sparse": "BlockIndex IntIndex",
    "pandas._libs.tslibs.nattype": "__nat_unpickle _nat_unpickle",
    "pandas._libs.tslibs.offsets": """
        BDay BMonthBegin BMonthEnd BQuarterBegin BQuarterEnd BYearBegin BYearEnd BusinessDay BusinessHour
        BusinessMonthBegin BusinessMonthEnd Day Hour Micro Milli Minute MonthBegin MonthEnd Nano
        QuarterBegin QuarterEnd Second SemiMonthBegin SemiMonthEnd Week YearBegin YearEnd""",
    "pandas._libs.tslibs.period": "Period",
    "pandas._libs.tslibs.timedeltas": "Timedelta _timedelta_unpickle",
    "pandas._libs.tslibs.timestamps": "_unpickle_timestamp",
    "pandas.core.internals.managers": "BlockManager SingleBlockManager",
    "polars": "from_arrow",
    "polars.convert.general": "from_arrow",
    "pyarrow.lib": """
        _reconstruct_record_batch _reconstruct_table binary chunked_array decimal128 decimal256 dictionary
        duration field large_list list_ map_ scalar schema struct time32 time64 timestamp
        type_for_alias union""",
}
_ALLOWED = {(module, name) for module, names in _NAMES.items() for name in names.split()}
_PANDAS_CLASSES = frozenset(
    """
    ArrowDtype ArrowExtensionArray ArrowStringArray ArrowStringArrayNumpySemantics BooleanArray BooleanDtype
    Categorical CategoricalDtype CategoricalIndex DataFrame DatetimeArray DatetimeIndex DatetimeTZDtype
    Float32Dtype Float64Dtype Float64Index FloatingArray Index Int16Dtype Int32Dtype Int64Dtype Int64Index
    Int8Dtype IntegerArray IntervalArray IntervalDtype IntervalIndex MultiIndex NumpyExtensionArray
    PandasArray PeriodArray PeriodDtype PeriodIndex RangeIndex Series SparseArray SparseDtype StringArray
    StringArrayNumpySemantics StringDtype TimedeltaArray TimedeltaIndex UInt16Dtype UInt32Dtype UInt64Dtype
    UInt64Index UInt8Dtype
    """.split()  # noqa: SIM905 - as a list it fills a page
)
"""Wherever a version of pandas has them, so long as it is `pandas`, `pandas.arrays` or in `pandas.core`."""


_Unpickler: Any = pickle._Unpickler  # noqa: SLF001 - public in all but name since Python 3.0


def _unless_unbuilt(load: Callable[[AllowedUnpickler], None]) -> Callable[[AllowedUnpickler], None]:
    def load_got(self: AllowedUnpickler) -> None:
        load(self)
        self._refuse_unbuilt(self.stack[-1:])

    return load_got


def _unless_of_unbuilt(load: Callable[[AllowedUnpickler], None]) -> Callable[[AllowedUnpickler], None]:
    def load_held(self: AllowedUnpickler) -> None:
        load(self)
        held = self.stack[-1]
        self._refuse_unbuilt([*held, *held.values()] if isinstance(held, dict) else held)

    return load_held


class AllowedUnpickler(_Unpickler):  # type: ignore[misc]
    """Loads data. Raises `RefusedError` in the place of doing anything else."""

    dispatch: ClassVar[dict[int, Callable[[AllowedUnpickler], None]]] = dict(_Unpickler.dispatch)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._named: dict[int, Any] = {}
        self._unbuilt: dict[int, Any] = {}
        """Objects that wait for their state. Nobody may hold one before: the memory of an array is another one
        afterwards, and an object of pandas has none."""
        self._checked: list[Any] = []
        """What can be unsound: looked at when it is made, and again at the end, when nothing changes any more."""

    def load(self) -> Any:
        data = super().load()
        for value in self._checked:
            if not _check_sound(value):
                raise _refusal(f"leaves a {type(value).__name__} without its state")
        return data

    def find_class(self, module: str, name: str) -> Any:
        """What the pickle names, if it is allowed; in the place of what could do more, its guard."""
        named = _GUARDS.get((module, name))
        if named is None:
            if not _is_allowed(module, name):
                raise _refusal(f"refers to {module}.{name}")
            named = super().find_class(module, name)
        self._named[id(named)] = named
        return named

    def _load_reduce(self) -> None:
        arguments = _finite(self.stack.pop())
        function = self.stack[-1]
        if not isinstance(function, _Method) and (id(function) not in self._named or _is_index(function)):
            raise _refusal(f"calls a {type(function).__name__}")
        made = self.stack[-1] = function(*arguments)
        self._note(made)
        if any(function is one for one in (_array, _empty_array, _masked_array)) and made.shape == (0,):
            self._unbuilt[id(made)] = made

    def _note(self, value: Any) -> None:
        if is_checked(value):
            if not _check_sound(value):
                self._unbuilt[id(value)] = value
            self._checked.append(value)

    def _load_newobj(self) -> None:
        arguments = self.stack.pop()
        self._make(self.stack.pop(), arguments, {})

    def _load_newobj_ex(self) -> None:
        keywords = self.stack.pop()
        arguments = self.stack.pop()
        self._make(self.stack.pop(), arguments, keywords)

    def _make(self, kind: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if not isinstance(kind, type) or id(kind) not in self._named or _is_index(kind):
            raise _refusal(f"makes a {getattr(kind, '__name__', type(kind).__name__)}")
        made = kind.__new__(kind, *_finite(arguments), **keywords)
        self._note(made)
        self.append(made)

    def _load_build(self) -> None:
        target = self.stack[-2]
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(target, numpy.dtype):
            # A new one, since an array may have been made with the old one, and checked, before.
            described = _described(target, self.stack.pop())
            number = next(key for key in reversed(self.memo) if self.memo[key] is target)
            self.memo[number] = self.stack[-1] = described
        elif numpy is not None and isinstance(target, numpy.ndarray):
            if self._unbuilt.pop(id(target), None) is None:
                raise _refusal("changes an array")
            if not _is_whole(self.stack[-1]):
                raise _refusal("makes an array of something else than its elements")
            super().load_build()
        elif type(target).__module__.partition(".")[0] in ("pandas", "uuid"):
            self._unbuilt.pop(id(target), None)
            super().load_build()
            self._note(target)
        else:
            raise _refusal(f"changes a {type(target).__name__}")

    def _load_append(self) -> None:
        self._extend([self.stack.pop()])

    def _load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        self._refuse_unbuilt(items)
        self._own(list, deque).extend(items)

    def _load_setitem(self) -> None:
        value = self.stack.pop()
        self._set([self.stack.pop(), value])

    def _load_setitems(self) -> None:
        self._set(self.pop_mark())

    def _set(self, items: list[Any]) -> None:
        self._refuse_unbuilt(items)
        owner = self._own(dict, OrderedDict, defaultdict, Counter)
        for key, value in zip(items[::2], items[1::2]):
            owner[key] = value

    def _load_additems(self) -> None:
        items = self.pop_mark()
        self._refuse_unbuilt(items)
        self._own(set).update(items)

    def _refuse_unbuilt(self, items: Any) -> None:
        if self._unbuilt and any(id(item) in self._unbuilt for item in items):
            raise _refusal("uses an object before it is made")

    def _own(self, *kinds: type) -> Any:
        """What is to be filled: a container, and not memory in which something relies on what was there."""
        if type(self.stack[-1]) not in kinds:
            raise _refusal(f"changes a {type(self.stack[-1]).__name__}")
        return self.stack[-1]

    def _load_other(self) -> None:
        raise _refusal("uses instructions of other pickles")

    dispatch.update(
        {
            pickle.REDUCE[0]: _load_reduce,
            pickle.NEWOBJ[0]: _load_newobj,
            pickle.NEWOBJ_EX[0]: _load_newobj_ex,
            pickle.BUILD[0]: _load_build,
            pickle.APPEND[0]: _load_append,
            pickle.APPENDS[0]: _load_appends,
            pickle.SETITEM[0]: _load_setitem,
            pickle.SETITEMS[0]: _load_setitems,
            pickle.ADDITEMS[0]: _load_additems,
        }
    )
    for _opcode in (pickle.GET, pickle.BINGET, pickle.LONG_BINGET):
        dispatch[_opcode[0]] = _unless_unbuilt(dispatch[_opcode[0]])
    for _opcode in (
        pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.TUPLE, pickle.LIST, pickle.DICT, pickle.FROZENSET,
    ):  # fmt: skip
        dispatch[_opcode[0]] = _unless_of_unbuilt(dispatch[_opcode[0]])
    for _opcode in (pickle.INST, pickle.OBJ, pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.PERSID, pickle.BINPERSID):
        dispatch[_opcode[0]] = _load_other
    dispatch[pickle.DUP[0]] = _load_other


def _is_allowed(module: str, name: str) -> bool:
    of_pandas = module in ("pandas", "pandas.arrays") or module.startswith("pandas.core.")
    return (module, name) in _ALLOWED or (of_pandas and name in _PANDAS_CLASSES)


def _refusal(what: str) -> RefusedError:
    return RefusedError(
        f"it {what}, which safe mode does not allow. If you trust whoever writes in this project, set "
        "Config.allow_pickle = True (ORCHEST_SDK_ALLOW_PICKLE)"
    )


def _finite(arguments: Any) -> Any:
    """What a function is given. A range would be counted out: a few bytes that take all the memory there is."""
    if type(arguments) is not tuple:
        raise _refusal("takes something else for arguments")
    if any(type(one) is range for one in arguments):
        raise _refusal("counts out a range")
    return arguments


# ---- guards


def _dtype(described: Any, *options: Any) -> Any:
    import numpy as np

    dtype = np.dtype(described, *options)
    _check_within(dtype)
    return dtype


def _check_within(dtype: Any) -> None:
    """Some numpy adds up offsets with numbers that overflow, or has elements of less than nothing."""
    if dtype.itemsize < 0:
        raise _refusal("makes elements of less than nothing")
    if dtype.subdtype is not None:
        _check_within(dtype.subdtype[0])
    for field in (dtype.fields or {}).values():
        _check_within(field[0])
        if field[1] < 0 or field[1] + field[0].itemsize > dtype.itemsize:
            raise _refusal("places a field outside of its array's elements")


def _described(dtype: Any, state: Any) -> Any:
    """The dtype with that state, made as anybody makes one: what numpy does with a state believes all of it."""
    _, order, subarray, names, fields, size, _, flags, *more = state
    if subarray is not None:
        return _dtype((subarray[0], subarray[1]))
    if names is not None:
        parts = [fields[name] for name in names]
        described = {"names": list(names), "formats": [part[0] for part in parts], "itemsize": size}
        described["offsets"] = [part[1] for part in parts]
        if any(len(part) > 2 for part in parts):
            described["titles"] = [part[2] if len(part) > 2 else None for part in parts]
        return _dtype(described, bool(flags & _ALIGNED_STRUCTURE))
    return _plain(dtype.char, size, more).newbyteorder(order)


_ALIGNED_STRUCTURE = 0x80
"""numpy's flag."""


def _plain(char: str, size: int, more: list[Any]) -> Any:
    if char in "SUV":
        return _dtype(f"{char}{size // 4 if char == 'U' else size}")
    if char in "mM" and more:
        unit, count = more[0][1][:2]
        unit = unit.decode() if type(unit) is bytes else unit
        return _dtype(char if unit == "generic" else f"{char}8[{count}{unit}]")
    return _dtype(char)


def _is_whole(state: Any) -> bool:
    """Has the state of an array as many elements as it says? numpy looks only whether there are too many."""
    import numpy as np

    _, shape, dtype, _, content, *masked = state
    if type(shape) is not tuple or not all(type(length) is int and length >= 0 for length in shape):
        return False
    if not isinstance(dtype, np.dtype) or not _has_elements(content, prod(shape), dtype):
        return False
    return not masked or _has_elements(masked[0], prod(shape), np.ma.make_mask_descr(dtype))


def _has_elements(content: Any, count: int, dtype: Any) -> bool:
    if dtype.hasobject:
        return type(content) is list and len(content) == count
    return type(content) is bytes and len(content) == count * dtype.itemsize


def _is_index(kind: Any) -> bool:
    """Made only by the functions that pandas' own pickles use."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(kind, type) and issubclass(kind, pandas.Index)


def _check_sound(value: Any) -> bool:
    """Whether its parts are there; what has some that do not fit is refused."""
    try:
        sound = is_sound(value)
    except AttributeError:  # it waits for its state
        return False
    if not sound:
        raise _refusal(f"makes a {type(value).__name__} whose parts do not fit")
    return True


def _array(shape: Any, dtype: Any, content: Any = None, *layout: Any) -> Any:
    """Over its content from the first byte on: numpy looks at no bounds where an offset is negative."""
    import numpy as np

    given = dict(zip(("offset", "strides", "order"), layout))
    if content is None:
        return np.zeros(shape, dtype)  # `ndarray` would show what was in that memory before
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise _refusal("makes Python objects of bytes")
    if given.get("offset", 0) != 0 or given.get("strides") is not None:
        raise _refusal("chooses where the elements of an array lie")
    return np.ndarray(shape, dtype, _bytes(content), 0, None, given.get("order", "C"))


def _bytes(content: Any) -> Any:
    """And not the memory of another object, in which there may be addresses."""
    if type(content) not in (bytes, bytearray, memoryview):
        raise _refusal(f"takes a {type(content).__name__} for bytes")
    return content


def _empty_array(kind: Any, _shape: Any, _dtype: Any) -> Any:
    """Of the original's pickles, which then give it its state."""
    import numpy as np

    if kind is not _array:
        raise _refusal(f"makes a {getattr(kind, '__name__', kind)}")
    return np.ndarray((0,), "b")


def _masked_array(kind: Any, base: Any, _shape: Any, _dtype: Any) -> Any:
    import numpy as np

    if kind is not np.ma.MaskedArray or base is not _array:
        raise _refusal(f"makes a {getattr(kind, '__name__', kind)}")
    return np.ma.MaskedArray(np.ndarray((0,), "b"))


def _scalar(dtype: Any, content: Any) -> Any:
    import numpy as np

    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise _refusal("makes Python objects of bytes")
    return np.ndarray((), dtype, _bytes(content))[()]


def _element(array: Any, key: Any) -> Any:
    import numpy as np

    if type(array) is not np.ndarray or key != ():
        raise _refusal("takes an element of something")
    return array[()]


def _attribute(owner: Any, name: Any) -> Any:
    from zoneinfo import ZoneInfo

    if owner is not ZoneInfo or name != "_unpickle":
        raise _refusal(f"takes the attribute {name!r} of something")
    return _Method("_unpickle", (), owner)


def _restored_array(data: Any) -> Any:
    _check_arrow(data)
    array = import_module("pyarrow.lib")._restore_array(data)  # noqa: SLF001 - what pyarrow's pickles call
    array.validate(full=True)
    return array


def _check_arrow(data: Any) -> None:
    """What Arrow's own validation takes for granted. Of nested arrays the inner ones, too."""
    kind, length, nulls, offset, buffers, inner, dictionary = data
    kind = getattr(kind, "storage_type", kind)
    counted = all(type(number) is int for number in (length, nulls, offset)) and min(length, offset, nulls + 1) >= 0
    complete = len(buffers) >= kind.num_buffers and _kinds_of(kind) == [part[0] for part in inner]
    if not counted or not complete or (_is_map(kind) and (inner[0][2], inner[0][5][0][2]) != (0, 0)):
        raise _refusal("makes an Arrow array whose parts do not fit")
    if dictionary is not None and dictionary[0] != kind.value_type:
        raise _refusal("makes an Arrow array whose parts do not fit")
    for part in (*inner, *([] if dictionary is None else [dictionary])):
        _check_arrow(part)


def _kinds_of(kind: Any) -> list[Any]:
    """Of the arrays inside of one of this kind."""
    if hasattr(kind, "run_end_type"):
        return [kind.run_end_type, kind.value_type]
    if _is_map(kind):
        return [import_module("pyarrow").struct([kind.key_field, kind.item_field])]
    if hasattr(kind, "value_field"):
        return [kind.value_field.type]
    return [kind[number].type for number in range(kind.num_fields)]


def _is_map(kind: Any) -> bool:
    """Of which neither entries nor keys may be null."""
    return bool(import_module("pyarrow").types.is_map(kind))


def _buffer(content: Any) -> Any:
    return import_module("pyarrow.lib").py_buffer(_bytes(content))


def _stream(source: Any) -> Any:
    if not isinstance(source, (bytes, bytearray, memoryview)) and type(source).__name__ != "Buffer":
        raise _refusal("opens a file")
    return import_module("pyarrow.ipc").open_stream(source)


class _ForPandas:
    """A function of pandas that makes an object of the class it is given."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __call__(self, kind: Any, *arguments: Any) -> Any:
        pandas = import_module("pandas")
        bases = (pandas.Index, pandas.api.extensions.ExtensionArray)
        if not isinstance(kind, type) or not issubclass(kind, bases):
            raise _refusal(f"makes a {getattr(kind, '__name__', kind)}")
        return getattr(import_module(self._module), self._name)(kind, *arguments)


class _Method:
    """A method that frames and tables may be asked for."""

    _NAMES = ("read_all", "rename", "squeeze", "to_pandas", "to_series")
    _DATA = (type(None), bool, int, float, str, bytes, date, timedelta)
    """What a method may be given. `rename` calls what can be called."""

    def __init__(self, name: str, arguments: tuple[Any, ...], owner: Any = None) -> None:
        self._name, self._arguments, self._owner = name, arguments, owner

    @classmethod
    def named(cls, name: Any, *arguments: Any) -> _Method:
        flat = [part for one in arguments for part in (one if type(one) is tuple else (one,))]
        if name not in cls._NAMES or not all(isinstance(one, cls._DATA) for one in flat):
            raise _refusal(f"calls the method {name!r}")
        return cls(name, arguments)

    def __call__(self, *arguments: Any) -> Any:
        if self._owner is not None:
            return getattr(self._owner, self._name)(*arguments)
        (target,) = arguments
        if type(target).__module__.partition(".")[0] not in ("pandas", "polars", "pyarrow"):
            raise _refusal(f"calls a method of a {type(target).__name__}")
        result = getattr(target, self._name)(*self._arguments)
        if self._name == "read_all":
            result.validate(full=True)
        return result


_GUARDS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _array,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy.ma.core", "_mareconstruct"): _masked_array,
    ("_operator", "getitem"): _element,
    ("builtins", "getattr"): _attribute,
    ("operator", "methodcaller"): _Method.named,
    ("pyarrow.ipc", "open_stream"): _stream,
    ("pyarrow.lib", "_restore_array"): _restored_array,
    ("pyarrow.lib", "py_buffer"): _buffer,
    **{
        (module, name): _ForPandas(module, name)
        for module, name in (
            ("pandas.core.indexes.base", "_new_Index"),
            ("pandas.core.indexes.datetimes", "_new_DatetimeIndex"),
            ("pandas.core.indexes.interval", "_new_IntervalIndex"),
            ("pandas.core.indexes.period", "_new_PeriodIndex"),
            ("pandas.core.indexes.timedeltas", "_new_TimedeltaIndex"),
            ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
        )
    },
}
"""How what is named may be called, where that is less than it could do."""
