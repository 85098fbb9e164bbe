"""Pickles of real values with some of their parts exchanged: what safe mode makes of them must not kill its reader.

In: a seed and how many. Out: those whose reader was killed by a signal, each as the number that makes it again. A
mutant is loaded, and if that is not refused, looked at in the ways that a step would.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import pickle
import pickletools
import random
import resource
import signal
import struct
import tempfile
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

FAMILIES = ("plain", "numpy", "pandas", "arrow", "mixed")
"""Of `examples`. polars is left out: it has threads, so a process that has used it must not fork."""

_LONGEST = 20_000
"""Bytes of a pickle that is worth being exchanged in parts."""
_PER_CHILD = 2_000
_SECONDS = 20
"""For one mutant."""
_MEMORY = 16 << 30
"""Bytes of addresses for one child: a mutant may ask for more than there is."""
_NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 1000, 2**31 - 1, 2**31, 2**62, 2**63 - 1, -1, -2, -8, -(2**31), -(2**63))
_WORDS = (
    "O", "O8", "V8", "S-1", "f8", "i1", "T", "|", "<", ">", "U2", "M8", "m8", "M8[ns]", "object", "string", "Int64",
    "category", "period[D]", "",
)  # fmt: skip
_TEXTS = ("SHORT_BINUNICODE", "BINUNICODE")
_BYTES = ("SHORT_BINBYTES", "BINBYTES", "BYTEARRAY8")
_INTEGERS = ("BININT", "BININT1", "BININT2", "LONG1")
_PLAIN = ("NONE", "NEWTRUE", "NEWFALSE")
_TUPLES = (pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)


class Part(NamedTuple):
    """An instruction of a pickle."""

    name: str
    argument: Any
    start: int
    end: int


class Mutants(NamedTuple):
    """What came of them."""

    loaded: int
    deaths: dict[int, tuple[str, int]]
    """number -> the example, and the signal that killed its reader."""


def tried(seed: int, first: int, count: int) -> Mutants:
    """The mutants `first`, `first` + 1, ... of a seed."""
    warnings.simplefilter("ignore")
    pickles = dict(_pickles())
    names = sorted(pickles)
    parts = {name: _parts(pickles[name]) for name in names}
    counts = mmap.mmap(-1, 16)
    deaths = {}
    number, end = first, first + count
    while number < end:
        killed_by = _child(lambda n: _mutant(seed, n, names, pickles, parts), number, end, counts)
        (number, loaded) = struct.unpack("<QQ", counts)
        if killed_by:
            deaths[number] = (random.Random(f"{seed} {number}").choice(names), killed_by)
        number += 1
    return Mutants(loaded, deaths)


def _child(mutant: Callable[[int], bytes], first: int, end: int, counts: mmap.mmap) -> int:
    """Try some in a child; `counts` has the number of the last one, and how many could be loaded so far."""
    child = os.fork()
    if not child:
        try:
            _try_all(mutant, range(first, min(end, first + _PER_CHILD)), counts)
        except BaseException:  # noqa: BLE001  # it must not go on as its parent
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return 0  # it takes its time, which safe mode does not bound
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise AssertionError(f"the child that tried the mutants from {first} on has failed by itself")
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _try_all(mutant: Callable[[int], bytes], numbers: range, counts: mmap.mmap) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    loaded = struct.unpack("<QQ", counts)[1]
    for number in numbers:
        counts[:] = struct.pack("<QQ", number, loaded)
        signal.alarm(_SECONDS)
        loaded += _survives(mutant(number))
    counts[:] = struct.pack("<QQ", numbers[-1], loaded)


def _survives(content: bytes) -> bool:
    """Load it and look at it; whether it could be loaded."""
    from orchest._store.unpickling import load_file

    try:
        value = load_file(io.BytesIO(content), allow_pickle=False)
    except Exception:  # noqa: BLE001  # a refusal, or memory that ran out
        return False
    for look in _looks(value):
        with contextlib.suppress(Exception):
            look()
    return True


_LOOKS = {
    "numpy": ("sum", "tolist", "copy"),
    "pandas": ("copy", "to_numpy", "isna", "sort_values", "to_list", "reset_index", "unique", "describe"),
    "pyarrow": ("to_pylist", "to_pandas", "as_py", "combine_chunks"),
}
"""Methods that a step might call."""


def _looks(value: Any) -> list[Callable[[], Any]]:
    names = _LOOKS.get(type(value).__module__.partition(".")[0], ())
    called: list[Callable[[], Any]] = [partial(_call, value, name) for name in names]
    return [lambda: repr(value), *called, lambda: [repr(value[name]) for name in value.dtype.names]]


def _call(value: Any, name: str) -> None:
    getattr(value, name)()


# ---- where they come from


def _pickles() -> Iterator[tuple[str, bytes]]:
    """Those of the examples that safe mode loads, as others and as we write them."""
    from examples import examples
    from orchest._store import pickling
    from orchest._store.output_file import OutputFile

    def ours(value: Any) -> bytes:
        with tempfile.TemporaryFile(buffering=0) as target:
            file = OutputFile(target.fileno())
            pickling.dump(value, file, portable=False)
            file.finish()
            target.seek(0)
            return target.readall()

    ways: dict[str, Callable[[Any], bytes]] = {"4": lambda value: pickle.dumps(value, 4), "ours": ours}
    for example in examples():
        if example.family in FAMILIES:
            value = example.make()
            for way, write in ways.items():
                content = write(value)
                if len(content) <= _LONGEST and _is_loaded(content):
                    yield f"{example.name}, {way}", content


def _is_loaded(content: bytes) -> bool:
    from orchest._store.unpickling import load_file

    try:
        load_file(io.BytesIO(content), allow_pickle=False)
    except Exception:  # noqa: BLE001  # it holds what is not allowed
        return False
    return True


def _parts(content: bytes) -> list[Part]:
    places = [(opcode.name, argument, place or 0) for opcode, argument, place in pickletools.genops(content)]
    ends = [place for _, _, place in places[1:]] + [len(content)]
    return [Part(*place, end) for place, end in zip(places, ends)]


def _mutant(seed: int, number: int, names: list[str], pickles: dict[str, bytes], parts: dict[str, list[Part]]) -> bytes:
    chance = random.Random(f"{seed} {number}")
    name = chance.choice(names)
    content = bytearray(pickles[name])
    chosen = chance.sample(range(len(parts[name])), min(chance.choice((1, 1, 1, 2, 3)), len(parts[name])))
    for part in (parts[name][place] for place in sorted(chosen, reverse=True)):
        content[part.start : part.end] = _exchanged(part, bytes(content[part.start : part.end]), parts[name], chance)
    return bytes(content)


def _exchanged(part: Part, code: bytes, parts: list[Part], chance: random.Random) -> bytes:
    if part.name in _INTEGERS:
        return _integer(chance.choice((*_NUMBERS, part.argument + 1, part.argument - 1, -part.argument)))
    if part.name in _TEXTS:
        others = [other.argument for other in parts if other.name in _TEXTS]
        return _text(chance.choice((*_WORDS, *others)))
    if part.name in _BYTES and part.argument:
        return _changed_bytes(bytearray(part.argument), chance, mutable=part.name == "BYTEARRAY8")
    if part.name in _PLAIN:
        return chance.choice((b"N", b"\x88", b"\x89", b")", b"]", b"}", _integer(chance.choice(_NUMBERS))))
    if part.name == "BINGET":
        return bytes((code[0], chance.randrange(60)))
    if code in _TUPLES:
        return chance.choice(_TUPLES)
    return code


def _changed_bytes(content: bytearray, chance: random.Random, *, mutable: bool) -> bytes:
    kind = chance.randrange(4)
    if kind == 0:
        content = content[: chance.randrange(len(content))]
    elif kind == 1:
        content *= 2
    else:
        for _ in range(chance.choice((1, 4))):
            content[chance.randrange(len(content))] = chance.choice((0, 1, 127, 128, 255))
    if mutable:
        return b"\x96" + struct.pack("<Q", len(content)) + bytes(content)
    return b"B" + struct.pack("<I", len(content)) + bytes(content)


def _integer(number: int) -> bytes:
    encoded = pickle.encode_long(number)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def _text(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(encoded)) + encoded
