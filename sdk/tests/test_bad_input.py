"""Whatever a step is given or finds, it gets the documented exception, which says where and what to do about it."""

from __future__ import annotations

import pickle
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest

from orchest import error, get_inputs, output, testing, transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARENT = "load"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[testing.Site]:
    """The step "load" has an output, and feeds "train"."""
    with testing.pipeline({_PARENT: [], "other": [], "train": [_PARENT], "both": [_PARENT, "other"]}, tmp_path) as site:
        with site.step(_PARENT):
            output([1, 2, 3], "numbers")
        yield site


def _earlier(site: testing.Site) -> Any:
    with site.step("train"):
        return get_inputs()


# ------------------------------------------------------------------------------------------------------ a bad HEAD

_TIME = "2023-01-01T00:00:00"
_HEADS: dict[str, bytes] = {
    "empty": b"",
    "cut in its time": b"2023-01-01T0",
    "cut behind its time": b"2023-01-01T00:00:00; ",
    "cut in its serialization": b"2023-01-01T00:00:00; PICK",
    "one field": b"PICKLE",
    "five fields": b"a; b; 2023-01-01T00:00:00; PICKLE; numbers",
    "four fields, none a time": b"a; b; PICKLE; numbers",
    "commas": b"2023-01-01T00:00:00, PICKLE, numbers",
    "a bad date": b"2023-13-45T99:00:00; PICKLE; numbers",
    "an unknown serialization": b"2023-01-01T00:00:00; PARQUET; numbers",
    "a serialization with a path": b"2023-01-01T00:00:00; ../PICKLE; numbers",
    "binary": bytes(range(256)),
    "zeros": bytes(64),
    "huge": b"x" * (1 << 20),
    "huge, of fields": b"a; " * (1 << 18),
}


def _head(site: testing.Site) -> Path:
    return site.data_dir(_PARENT) / "HEAD"


@pytest.mark.parametrize("content", _HEADS.values(), ids=_HEADS)
@pytest.mark.parametrize(
    "call", [get_inputs, lambda: transfer.describe(testing._uuid_of(_PARENT))], ids=["get", "describe"]
)
def test_a_bad_head_is_an_output_that_is_not_there(site: testing.Site, content: bytes, call: Callable[[], Any]) -> None:
    _head(site).write_bytes(content)
    with site.step("train"), pytest.raises(error.OutputNotFoundError) as raised:
        call()
    assert f'"{_PARENT}"' in str(raised.value)
    assert "Run that step" in str(raised.value)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("content", _HEADS.values(), ids=_HEADS)
def test_a_bad_head_may_be_ignored(site: testing.Site, content: bytes) -> None:
    _head(site).write_bytes(content)
    with site.step("train"):
        assert get_inputs(ignore_failure=True) == {"unnamed": [None]}


def test_a_bad_head_is_mended_by_the_next_output(site: testing.Site) -> None:
    for content in _HEADS.values():
        _head(site).write_bytes(content)
        with site.step(_PARENT):
            output("anew", "numbers")
        assert _earlier(site) == {"unnamed": [], "numbers": "anew"}


def _remove_head(site: testing.Site) -> None:
    _head(site).unlink()


def _head_is_a_directory(site: testing.Site) -> None:
    _head(site).unlink()
    _head(site).mkdir()


def _remove_data(site: testing.Site) -> None:
    next(site.data_dir(_PARENT).glob("*.PICKLE")).unlink()


def _data_is_a_directory(site: testing.Site) -> None:
    data = next(site.data_dir(_PARENT).glob("*.PICKLE"))
    data.unlink()
    data.mkdir()


def _remove_all(site: testing.Site) -> None:
    for file in site.data_dir(_PARENT).iterdir():
        file.unlink()
    site.data_dir(_PARENT).rmdir()


_MISSING = {
    "HEAD": _remove_head, "HEAD is a directory": _head_is_a_directory, "data": _remove_data,
    "data is a directory": _data_is_a_directory, "all": _remove_all,
}  # fmt: skip


@pytest.mark.parametrize("remove", _MISSING.values(), ids=_MISSING)
def test_an_output_that_is_not_there_says_which_step_to_run(
    site: testing.Site, remove: Callable[[testing.Site], None]
) -> None:
    remove(site)
    with site.step("train"), pytest.raises(error.OutputNotFoundError) as raised:
        get_inputs()
    assert f'"{_PARENT}"' in str(raised.value)
    assert "Run that step" in str(raised.value)
    with site.step("train"):
        ignored = get_inputs(ignore_failure=True)
    assert ignored in ({"unnamed": [None]}, {"unnamed": [], "numbers": None})


def _foreign(site: testing.Site, content: bytes) -> None:
    _head(site).write_text(f"{_TIME}; PICKLE; numbers", encoding="utf-8")
    (site.data_dir(_PARENT) / f"{site.step_uuid(_PARENT)}.PICKLE").write_bytes(content)


_CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "no pickle": b"not a pickle at all",
    "cut": pickle.dumps(list(range(1000)))[:500],
    "a class that is not here": b"cnowhere\nNothing\n(tR.",
    "an attribute that is not here": b"cbuiltins\nnothing\n(tR.",
    "a protocol of the future": b"\x80\xff.",
    "an empty stack": b".",
    "one that raises": b"cbuiltins\nint\n(X\x01\x00\x00\x00atR.",
    "one that exits": b"cbuiltins\nSystemExit\n)R" + b"0" + b"cbuiltins\nnothing\n.",
}


@pytest.mark.parametrize("content", _CONTENTS.values(), ids=_CONTENTS)
def test_data_that_cannot_be_loaded_is_told_of_its_step(site: testing.Site, content: bytes) -> None:
    _foreign(site, content)
    with site.step("train"), pytest.raises(error.DeserializationError) as raised:
        get_inputs()
    assert f'"{_PARENT}"' in str(raised.value)
    with site.step("train"):
        assert get_inputs(ignore_failure=True) == {"unnamed": [], "numbers": None}


# ----------------------------------------------------------------------------------------- what cannot be put out


class _Raises:
    def __reduce__(self) -> Any:
        raise RuntimeError("not today")


class _Model:
    def __init__(self, callback: Any) -> None:
        self.layers = [1, 2]
        self.callback = callback


class _Slotted:
    __slots__ = ("callback",)

    def __init__(self, callback: Any) -> None:
        self.callback = callback


def _local() -> Any:
    class Local:
        pass

    return Local()


def _open_file() -> Any:
    return Path(__file__).open(encoding="utf-8")


def _deep() -> Any:
    nested: list[Any] = []
    for _ in range(sys.getrecursionlimit() * 100):
        nested = [nested]
    return nested


_LEAVES: dict[str, Callable[[], Any]] = {
    "a lambda": lambda: lambda: None,
    "a generator": lambda: (one for one in [1]),
    "a lock": threading.Lock,
    "an open file": _open_file,
    "an object of a local class": _local,
    "one whose __reduce__ raises": _Raises,
    "a module": lambda: sys,
}
_PLACES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "itself": (lambda leaf: leaf, "data"),
    "in a dict": (lambda leaf: {"a": 1, "model": leaf}, 'data["model"]'),
    "in a list": (lambda leaf: [0, 1, leaf], "data[2]"),
    "in a tuple in a dict": (lambda leaf: {"all": (1, leaf)}, 'data["all"][1]'),
    "in an attribute": (lambda leaf: {"model": _Model(leaf)}, 'data["model"].callback'),
    "deep inside": (lambda leaf: {"a": [{"b": _Model([leaf])}]}, 'data["a"][0]["b"].callback[0]'),
}


@pytest.mark.parametrize("leaf", _LEAVES.values(), ids=_LEAVES)
@pytest.mark.parametrize(("place", "path"), _PLACES.values(), ids=_PLACES)
def test_the_part_that_cannot_be_pickled_is_named(
    site: testing.Site, leaf: Callable[[], Any], place: Callable[[Any], Any], path: str
) -> None:
    part = leaf()
    with site.step(_PARENT), pytest.raises(error.SerializationError) as raised:
        output(place(part), "numbers")
    message = str(raised.value)
    assert f" {path} " in message.replace("'", '"'), message
    assert f'"{_PARENT}"' in message
    assert _earlier(site) == {"unnamed": [], "numbers": [1, 2, 3]}
    assert not [file for file in site.data_dir(_PARENT).iterdir() if file.name.startswith(".tmp")]
    if hasattr(part, "read"):
        part.close()


def _cycle() -> Any:
    cycle: list[Any] = [lambda: None]
    cycle.append(cycle)
    return cycle


_HARD: dict[str, Callable[[], Any]] = {
    "deeper than the stack": _deep,
    "in a slot": lambda: _Slotted(lambda: None),
    "in a set": lambda: {lambda: None},
    "as a key": lambda: {(lambda: None): 1},
    "in itself": _cycle,
}


@pytest.mark.parametrize("data", _HARD.values(), ids=_HARD)
def test_what_cannot_be_pickled_leaves_the_earlier_output(site: testing.Site, data: Callable[[], Any]) -> None:
    with site.step(_PARENT), pytest.raises(error.SerializationError) as raised:
        output(data(), "numbers")
    assert f'"{_PARENT}"' in str(raised.value)
    assert _earlier(site) == {"unnamed": [], "numbers": [1, 2, 3]}


def test_an_interruption_is_not_swallowed(site: testing.Site) -> None:
    class Interrupts:
        def __reduce__(self) -> Any:
            raise KeyboardInterrupt

    with site.step(_PARENT), pytest.raises(KeyboardInterrupt):
        output([Interrupts()], "numbers")
    assert _earlier(site) == {"unnamed": [], "numbers": [1, 2, 3]}


# ------------------------------------------------------------------------------------------------------ bad names

_NAMES: dict[str, Any] = {
    "reserved": "unnamed", "a separator": "a; b", "a number": 5, "bytes": b"a", "a list": ["a"],
    "half a pair": "\ud800",
}  # fmt: skip


@pytest.mark.parametrize("name", _NAMES.values(), ids=_NAMES)
def test_an_invalid_name_is_refused(site: testing.Site, name: Any) -> None:
    with site.step(_PARENT), pytest.raises(error.DataInvalidNameError):
        output("new", name)
    assert _earlier(site) == {"unnamed": [], "numbers": [1, 2, 3]}


@pytest.mark.parametrize(
    "name", ["", "a;b", "ünïcödé 名", "x" * 5000, "two\nlines", "../../etc/passwd", "a\0b", " ", "None"]
)
def test_an_unusual_name_comes_back_as_it_is(site: testing.Site, name: str) -> None:
    with site.step(_PARENT):
        output("new", name)
    assert _earlier(site) == {"unnamed": [], name: "new"}


def test_a_collision_of_names_names_both_steps(site: testing.Site) -> None:
    with site.step("other"):
        output("another", "numbers")
    for ignore in (False, True):
        with site.step("both"), pytest.raises(error.InputNameCollisionError) as raised:
            get_inputs(ignore_failure=ignore)
        assert "load" in str(raised.value)
        assert "other" in str(raised.value)
        assert "numbers" in str(raised.value)


def test_unnamed_outputs_do_not_collide(site: testing.Site) -> None:
    for step, value in ((_PARENT, 1), ("other", 2)):
        with site.step(step):
            output(value, None)
    with site.step("both"):
        assert get_inputs() == {"unnamed": [1, 2]}


# --------------------------------------------------------------------------------------- a bad pipeline, a bad step

_PIPELINES: dict[str, bytes] = {
    "no JSON": b"{'name': 1}", "empty": b"", "a list": b"[]", "a number": b"5", "binary": bytes(range(256)),
    "cut": b'{"name": "x", "uuid": "y", "steps": {', "without steps": b'{"name": "x", "uuid": "y"}',
    "steps that are a list": b'{"name": "x", "uuid": "y", "steps": []}',
    "steps that are text": b'{"name": "x", "uuid": "y", "steps": {"a": "b"}}',
}  # fmt: skip


@pytest.mark.parametrize("content", _PIPELINES.values(), ids=_PIPELINES)
@pytest.mark.parametrize("call", [get_inputs, lambda: output(1, "new")], ids=["get_inputs", "output"])
def test_a_pipeline_file_that_is_none_is_told(site: testing.Site, content: bytes, call: Callable[[], Any]) -> None:
    before = site.path.read_bytes()
    with site.step(_PARENT):
        site.path.write_bytes(content)
        with pytest.raises(error.PipelineDefinitionNotFoundError) as raised:
            call()
    assert str(site.path) in str(raised.value)
    site.path.write_bytes(before)
    assert _earlier(site) == {"unnamed": [], "numbers": [1, 2, 3]}


@pytest.mark.parametrize("call", [get_inputs, lambda: output(1, "new")], ids=["get_inputs", "output"])
def test_a_pipeline_file_that_is_missing_is_told(site: testing.Site, call: Callable[[], Any]) -> None:
    with site.step(_PARENT):
        site.path.unlink()
        with pytest.raises(error.PipelineDefinitionNotFoundError, match="pipeline"):
            call()


@pytest.mark.usefixtures("site")
def test_a_step_that_is_unknown_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEST_STEP_UUID", "nobody")
    with pytest.raises(error.StepUUIDResolveError, match="nobody"):
        get_inputs()


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("step", ["nobody", "", "../../etc"])
def test_an_unknown_step_has_no_output(step: str) -> None:
    for call in (transfer.resolve, transfer.describe):
        with pytest.raises(error.Error):
            call(step)


def test_a_verification_that_does_not_exist_is_told(site: testing.Site) -> None:
    with site.step("train"), pytest.raises(error.Error, match="lazy"):
        get_inputs(verify="sometimes")
