"""Outputs in an object store keep what outputs in files promise: all or nothing, checked, described without reading."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest

import orchest
from equality import difference
from examples import Example, examples
from orchest import get_inputs, output, testing, transfer
from orchest._store.trailer import BLOCK
from orchest.config import Config
from orchest.error import DeserializationError, Error, OutputNotFoundError, SerializationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Server
    from object_stores import Moto, Objects, Store

SOURCE = Path(orchest.__file__).parents[1]
SIGNATURE = "5d672d79c15b13162d9279b0855cfba6"
SECRET = "wJalrXUtnFEMI-K7MDENG"


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    for package in ("s3fs", "moto", "flask"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    from object_stores import Moto

    server = Moto(tmp_path_factory.mktemp("moto"))
    try:
        server.make_bucket()
        yield server
    finally:
        server.stop()


@pytest.fixture
def objects() -> Iterator[Objects]:
    """The inside of our own store, empty."""
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    import object_stores

    fsspec.register_implementation("ours", object_stores.Driver, clobber=True)
    inside = object_stores.Driver.objects = object_stores.Objects()
    yield inside
    object_stores.Driver.objects = object_stores.Objects()


@pytest.fixture(params=["ours", "memory", "s3"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    """Each kind of store, with a place in it that is the test's own."""
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    import object_stores

    if request.param == "ours":
        request.getfixturevalue("objects")
    if request.param == "s3":
        object_stores.use(monkeypatch, request.getfixturevalue("moto").settings)
    return object_stores.Store(f"{request.param}://bucket/{tmp_path.name}")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[testing.Site]:
    with testing.pipeline({"load": [], "train": ["load"]}, tmp_path / "project") as site:
        yield site


@pytest.fixture
def shared(site: testing.Site, store: Store, monkeypatch: pytest.MonkeyPatch) -> testing.Site:
    """The project, with its data in the store."""
    monkeypatch.setattr(Config, "STEP_DATA_DIR", f"{store.url}/{{step_uuid}}")
    return site


@pytest.fixture
def ours(site: testing.Site, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> testing.Site:
    """The project, with its data in our own store."""
    assert objects.content == {}
    monkeypatch.setattr(Config, "STEP_DATA_DIR", "ours://bucket/{step_uuid}")
    return site


def put(site: testing.Site, value: Any, name: str | None = "value") -> None:
    with site.step("load"):
        output(value, name)


def got(site: testing.Site, **how: Any) -> Any:
    with site.step("train"):
        return get_inputs(**how)


def data_of(site: testing.Site, store: Store) -> str:
    """The object that HEAD names."""
    step = site.step_uuid("load")
    return f"{step}/{store.read(f'{step}/HEAD').decode().partition('; ')[0]}"


# ---- what was put out is what is got


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_a_value_passes(ours: testing.Site, example: Example) -> None:
    value = example.make()
    put(ours, value)
    assert difference(value, got(ours)["value"]) == ""


@pytest.mark.parametrize(
    "example",
    [
        one
        for one in examples()
        if one.name.endswith(".large") and (one.family in {"arrow", "mixed"} or one.name == "plain.str.large")
    ],
    ids=lambda example: example.name,
)
def test_a_large_value_passes_through_every_store(shared: testing.Site, example: Example) -> None:
    value = example.make()
    put(shared, value)
    assert difference(value, got(shared, verify="full")["value"]) == ""


@pytest.mark.parametrize("size", [1, 16_000, 16_384, 17_000, BLOCK, 9 * BLOCK, 65 * BLOCK + 1])
def test_a_value_of_any_size_passes(shared: testing.Site, size: int) -> None:
    value = os.urandom(1 << 10) * (size >> 10) + bytes(size % 1024)
    put(shared, bytearray(value))
    assert got(shared, verify="full")["value"] == value


def test_outputs_have_names_or_none(shared: testing.Site) -> None:
    put(shared, 1, None)
    assert got(shared) == {"unnamed": [1]}
    put(shared, 2, "naïve;name")
    assert got(shared) == {"unnamed": [], "naïve;name": 2}
    put(shared, 3, "n" * 100_000)
    assert got(shared) == {"unnamed": [], "n" * 100_000: 3}
    with shared.step("load"):
        output(3, "a")
        with pytest.warns(RuntimeWarning, match="is replaced"):
            output(4, "b")
    assert got(shared) == {"unnamed": [], "b": 4}


def test_outputs_of_one_run_are_kept_beside_each_other(
    shared: testing.Site, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Config, "keep_named_outputs", True)
    with shared.step("load"):
        output([1] * 50_000, "a")
        output([2], "b")
        output([3], "a")
        output([4], None)
    assert got(shared) == {"unnamed": [[4]], "b": [2], "a": [3]}
    assert [one["name"] for one in transfer.describe(shared.step_uuid("load"))["others"]] == ["b", "a"]
    put(shared, 5, "c")
    assert got(shared) == {"unnamed": [], "c": 5}
    put(shared, 6, "c")
    assert len(store.names(shared.step_uuid("load"))) == 3


def test_who_has_found_kept_outputs_gets_them_though_another_run_has_put_out(
    shared: testing.Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Config, "keep_named_outputs", True)
    with shared.step("load"):
        for name in "abc":
            output(name, name)
    found = transfer.resolve(shared.step_uuid("load"))[2]["found"]
    put(shared, 4)
    beside = transfer._place(shared.step_uuid("load")).beside(found.record.kept)
    assert [one.head.name for one in beside if one.problem is None] == ["a", "b"]


def test_of_what_was_put_out_only_the_latest_and_the_one_before_remain(shared: testing.Site, store: Store) -> None:
    for number in range(5):
        put(shared, number)
        assert got(shared) == {"unnamed": [], "value": number}
    names = store.names(shared.step_uuid("load"))
    generations = [name.partition("-")[0] for name in (name.partition(".")[2] for name in names) if name]
    assert (names[0], generations) == ("HEAD", ["4", "5"])


def test_outputs_are_counted_though_head_was_removed(shared: testing.Site, store: Store) -> None:
    for number in range(3):
        put(shared, number)
    store.remove(f"{shared.step_uuid('load')}/HEAD")
    put(shared, 3)
    assert transfer.describe(shared.step_uuid("load"))["generation"] == 4
    for number in range(2):
        put(shared, number)
    assert len(store.names(shared.step_uuid("load"))) == 3


def test_head_has_four_fields_and_the_first_is_the_object(shared: testing.Site, store: Store) -> None:
    put(shared, 1)
    step = shared.step_uuid("load")
    head = store.read(f"{step}/HEAD").decode()
    assert re.fullmatch(rf"{step}\.1-[0-9a-f]{{8}}\.PICKLE; \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d; PICKLE; value", head)


def test_what_you_write_to_is_your_own(shared: testing.Site) -> None:
    np = pytest.importorskip("numpy", reason="numpy is not installed")
    put(shared, np.zeros(1_000_000))
    first = got(shared)["value"]
    first[:] = 1
    assert got(shared)["value"].sum() == 0


def test_a_held_input_stays_though_its_object_is_removed(shared: testing.Site, store: Store) -> None:
    np = pytest.importorskip("numpy", reason="numpy is not installed")
    put(shared, np.arange(1_000_000))
    held = got(shared, verify="off")["value"]
    store.remove(data_of(shared, store))
    for number in range(3):
        put(shared, np.full(1_000_000, number))
    assert not held.flags.owndata
    assert (held == np.arange(1_000_000)).all()


def test_what_was_resolved_is_what_is_got_while_the_next_output_is_there(shared: testing.Site) -> None:
    put(shared, list(range(20_000)))
    function, args, kwargs, _ = transfer.resolve(shared.step_uuid("load"))
    put(shared, "another")
    assert function(*args, **kwargs) == list(range(20_000))


# ---- how much is asked of a store


def test_what_is_asked_for_an_output(ours: testing.Site, objects: Objects) -> None:
    for number in range(3):
        put(ours, number)
    objects.calls.clear()
    put(ours, 3)
    assert [what for what, _ in objects.calls] == ["get", "get", "put", "get", "put", "list", "remove"]
    objects.calls.clear()
    got(ours)
    transfer.describe(ours.step_uuid("load"))
    assert [what for what, _ in objects.calls] == ["get"] * 4


def test_describing_does_not_read_the_data(ours: testing.Site, objects: Objects) -> None:
    np = pytest.importorskip("numpy", reason="numpy is not installed")
    put(ours, np.zeros(64 * BLOCK, "u1"))
    objects.sent = 0
    described = transfer.describe(ours.step_uuid("load"))
    assert (described["content"]["shape"], described["size"] > 64 * BLOCK) == ([64 * BLOCK], True)
    transfer.resolve(ours.step_uuid("load"))
    assert 0 < objects.sent < 64 << 10


def test_a_large_output_needs_no_second_copy_in_memory(ours: testing.Site, objects: Objects) -> None:
    np = pytest.importorskip("numpy", reason="numpy is not installed")
    objects.forgets = True
    assert _peak(lambda: put(ours, np.zeros(1 << 25, "f8")), 256 * BLOCK) < 32 * BLOCK


def test_neither_s3_nor_its_reader_needs_one(site: testing.Site, moto: Moto, monkeypatch: pytest.MonkeyPatch) -> None:
    np = pytest.importorskip("numpy", reason="numpy is not installed")
    import object_stores

    object_stores.use(monkeypatch, moto.settings)
    monkeypatch.setattr(Config, "STEP_DATA_DIR", "s3://bucket/large/{step_uuid}")
    assert _peak(lambda: put(site, np.zeros(1 << 24, "f8")), 128 * BLOCK) < 64 * BLOCK
    assert _peak(lambda: got(site), 0) < 96 * BLOCK


def _peak(act: Callable[[], Any], own: int) -> int:
    """Bytes that were allocated at once, beyond those that are the caller's own."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1] - own
    finally:
        tracemalloc.stop()


# ---- failures


def _calls_of_an_output(objects: Objects, site: testing.Site) -> int:
    for number in range(3):
        put(site, number)
    objects.calls.clear()
    put(site, "counted")
    count = len(objects.calls)
    objects.content.clear()
    return count


class _Killed(BaseException):
    """Nobody catches it, and nothing that is tried afterwards is done either."""


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("how", ["fails", "is gone", "killed"])
def test_a_writer_that_fails_at_any_call_leaves_the_earlier_output_or_its_own(
    ours: testing.Site, objects: Objects, how: str, when: str, first: bool
) -> None:
    for number in range(_calls_of_an_output(objects, ours)):
        for earlier in range(0 if first else 3):
            put(ours, [earlier] * 10_000)
        objects.calls.clear()
        setattr(objects, when, _failing(objects, number, how))
        complained = _complains(lambda: put(ours, ["new"] * 10_000))
        asked = objects.calls[: number + (when == "after")]
        objects.calm_down()
        if ("put", "HEAD") in asked:
            assert got(ours, verify="full")["value"] == ["new"] * 10_000
        elif first:
            assert complained
            with pytest.raises(OutputNotFoundError):
                got(ours)
        else:
            assert complained
            assert got(ours, verify="full")["value"] == [2] * 10_000
        put(ours, ["next"] * 10_000)
        assert got(ours, verify="full")["value"] == ["next"] * 10_000
        put(ours, "last")
        assert len(objects.content) == 3, (number, sorted(objects.content))
        objects.content.clear()


def _complains(act: Callable[[], Any]) -> bool:
    """Whether it fails, or warns that something could not be removed."""
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            act()
    except (SerializationError, _Killed):
        return True
    return any("The output is there, but" in str(one.message) for one in warned)


def _failing(objects: Objects, number: int, how: str) -> Callable[[str, str], None]:
    def fail(_what: str, _name: str) -> None:
        count = len(objects.calls) - 1
        if count == number or (count > number and how != "fails"):
            raise _Killed() if how == "killed" else ConnectionError("the line is dead")

    return fail


def test_a_failed_put_leaves_no_object(ours: testing.Site, objects: Objects) -> None:
    put(ours, 1)
    before = dict(objects.content)

    def late(what: str, name: str) -> None:
        if what == "put" and name != "HEAD":
            raise TimeoutError("too late")

    objects.after = late
    with pytest.raises(SerializationError, match="too late"):
        put(ours, 2)
    assert objects.content == before


def test_a_value_that_cannot_be_pickled_touches_nothing(ours: testing.Site, objects: Objects) -> None:
    put(ours, 1)
    objects.calls.clear()
    with pytest.raises(SerializationError, match=r"data\['f'\]"):
        put(ours, {"f": lambda: None})
    assert objects.calls == []


def test_a_store_that_does_not_let_objects_be_removed_still_takes_outputs(ours: testing.Site, objects: Objects) -> None:
    def refuse(what: str, _name: str) -> None:
        if what == "remove":
            raise PermissionError("Access Denied")

    objects.before = refuse
    for number in range(2):
        put(ours, number)
    with pytest.warns(RuntimeWarning, match=r"The output is there.*Access Denied.*delete"):
        put(ours, 2)
    assert got(ours)["value"] == 2
    objects.calm_down()
    put(ours, 3)
    assert len(objects.content) == 3


# ---- damage


@pytest.mark.parametrize("verify", ["lazy", "full"])
@pytest.mark.parametrize("size", [100, 50_000])
def test_every_flipped_byte_is_found(ours: testing.Site, objects: Objects, verify: str, size: int) -> None:
    value = os.urandom(size)
    put(ours, value)
    path = next(path for path in objects.content if path.endswith(".PICKLE"))
    whole = objects.content[path]
    for place in {*range(0, len(whole), max(1, len(whole) // 400)), *range(len(whole) - 60, len(whole))}:
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        objects.content[path] = bytes(damaged)
        with pytest.raises(DeserializationError, match="load"):
            got(ours, verify=verify)


def test_a_damaged_large_buffer_is_found_in_every_store(shared: testing.Site, store: Store) -> None:
    np = pytest.importorskip("numpy", reason="numpy is not installed")
    put(shared, np.zeros(4 * BLOCK, "u1"))
    name = data_of(shared, store)
    damaged = bytearray(store.read(name))
    damaged[3 * BLOCK] ^= 1
    store.write(name, bytes(damaged))
    with pytest.raises(DeserializationError, match=r'step "load".*checksum'):
        got(shared, verify="full")
    got(shared, verify="lazy")
    deadline = time.monotonic() + 10
    with pytest.raises(DeserializationError, match=r'step "load".*checksum'):  # noqa: PT012 - until it was read
        while time.monotonic() < deadline:
            time.sleep(0.01)
            transfer.describe(shared.step_uuid("load"))


@pytest.mark.parametrize("size", [100, 200_000])
def test_a_cut_object_is_found(shared: testing.Site, store: Store, size: int) -> None:
    put(shared, os.urandom(size))
    name = data_of(shared, store)
    whole = store.read(name)
    for length in (1, 12, len(whole) // 2, len(whole) - 1):
        store.write(name, whole[:length])
        for verify in ("off", "full"):
            with pytest.raises(DeserializationError, match=r'step "load"'):
                got(shared, verify=verify)
        assert got(shared, ignore_failure=True) == {"unnamed": [], "value": None}
    store.write(name, whole[: len(whole) // 2] + b"more" + whole[len(whole) // 2 :])
    with pytest.raises(DeserializationError, match=r'step "load".*cut|step "load".*damaged'):
        got(shared, verify="off")
    store.write(name, b"")
    with pytest.raises(DeserializationError, match=r'step "load"'):
        got(shared)
    put(shared, 7)
    assert got(shared)["value"] == 7


@pytest.mark.parametrize(
    "head",
    [
        b"2022-07-01T10:00:00; PICKLE; value",
        b"x; 2022-07-01T10:00:00; PICKLE; value",
        b"../STEP.1-00000000.PICKLE; 2022-07-01T10:00:00; PICKLE; value",
        b"STEP.1-00000000.PICKLE; 2022-07-01T10:00:00; ARROW_TABLE; value",
        b"STEP.1-00000000.PICKLE; 2022-07-01T10:00:00; PICKLE; value",
        b"STEP.1-00000000.PICKLE; never; PICKLE; value",
        b"OBJECT; 2022-07-01T10:00:00; PICKLE; value",
        b"OBJECT; 2022-07-01T10:00:00; ARROW_TABLE; value",
        b"\xff\xfe",
        b"no head",
    ],
)
def test_a_head_that_is_not_ours_is_no_output(shared: testing.Site, store: Store, head: bytes) -> None:
    put(shared, 1)
    step = shared.step_uuid("load")
    head = head.replace(b"OBJECT", data_of(shared, store).rpartition("/")[2].encode())
    store.write(f"{step}/HEAD", head.replace(b"STEP", step.encode()))
    with pytest.raises(OutputNotFoundError, match=r'step "load".*HEAD'):
        got(shared)
    assert got(shared, ignore_failure=True) == {"unnamed": [None]}
    put(shared, 2)
    assert got(shared) == {"unnamed": [], "value": 2}


def test_safe_mode_refuses_code(shared: testing.Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "allow_pickle", False)
    put(shared, {"plain": [1, "a"]})
    assert got(shared)["value"] == {"plain": [1, "a"]}
    put(shared, Path("a path"))
    with pytest.raises(DeserializationError, match="safe mode does not allow"):
        got(shared)


# ---- others at the same time


def test_a_reader_beside_a_writer_gets_whole_outputs(shared: testing.Site) -> None:
    """With data that has to be fetched, so that it may go while it is."""
    over = threading.Event()
    written: list[int] = []
    failures: list[BaseException] = []

    def write() -> None:
        while not over.is_set():
            number = len(written)
            try:
                _another_output(shared, bytearray(number.to_bytes(4, "little") * 10_000))
            except BaseException as problem:  # noqa: BLE001 - told by the test
                failures.append(problem)
                return
            written.append(number)

    put(shared, bytearray(b"\xff\xff\xff\xff" * 10_000))
    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen, deadline = [], time.monotonic() + 1
        while time.monotonic() < deadline:
            value = bytes(got(shared, verify="full")["value"])
            assert value == value[:4] * 10_000
            seen.append(int.from_bytes(value[:4], "little"))
    finally:
        over.set()
        writer.join()
    assert failures == []
    assert len(set(seen)) > 3
    assert seen[-1] > 1


def test_a_reader_beside_a_writer_in_another_process_gets_whole_outputs(
    site: testing.Site, moto: Moto, monkeypatch: pytest.MonkeyPatch
) -> None:
    import object_stores

    object_stores.use(monkeypatch, moto.settings)
    monkeypatch.setattr(Config, "STEP_DATA_DIR", f"s3://bucket/beside/pipelines/{site.uuid}/data/{{step_uuid}}")
    put(site, bytearray(b"\xff\xff\xff\xff" * 10_000))
    code = """
from itertools import count
from orchest import output

for number in count():
    output(bytearray(number.to_bytes(4, "little") * 10_000), "value")
    print(number, flush=True)
"""
    writer = _process(site, code, moto.settings, ORCHEST_SDK_DATA_URL="s3://bucket/beside")
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "0\n"
        deadline, seen = time.monotonic() + 3, set()
        while time.monotonic() < deadline:
            value = bytes(got(site, verify="full")["value"])
            assert value == value[:4] * 10_000
            seen.add(value[:4])
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.communicate()
    assert len(seen) > 3
    put(site, "after the kill")
    put(site, "after the kill")
    assert got(site)["value"] == "after the kill"
    assert len(object_stores.Store(f"s3://bucket/beside/pipelines/{site.uuid}/data").names(site.step_uuid("load"))) == 3


def _process(site: testing.Site, code: str, settings: dict[str, Any], **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "FSSPEC_S3": json.dumps(settings), **variables}
    environment["ORCHEST_STEP_UUID"] = site.step_uuid("load")
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


class _Once:
    """Does something at the first call of a kind, and nothing in the calls that this makes itself."""

    def __init__(self, what: str, matches: Callable[[str], bool], act: Callable[[], Any]) -> None:
        self._what, self._matches, self._act = what, matches, act
        self.done = False

    def __call__(self, what: str, name: str) -> None:
        if what == self._what and self._matches(name) and not self.done:
            self.done = True
            self._act()


def _overtake(site: testing.Site, times: int) -> None:
    for number in range(times):
        _another_output(site, f"other {number}")


def _is_head(name: str) -> bool:
    return name == "HEAD"


def _is_data(name: str) -> bool:
    return name != "HEAD"


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_writer_that_is_overtaken_while_it_puts_its_object_counts_anew(
    ours: testing.Site, objects: Objects, times: int
) -> None:
    put(ours, "first")

    objects.after = _Once("put", _is_data, lambda: _overtake(ours, times))
    put(ours, "mine")
    assert got(ours) == {"unnamed": [], "value": "mine"}
    assert transfer.describe(ours.step_uuid("load"))["generation"] == times + 2
    put(ours, "last")
    assert len(objects.content) == 3


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_writer_whose_object_is_removed_before_its_head_puts_it_again(
    ours: testing.Site, objects: Objects, times: int
) -> None:
    """The last moment at which others may act: it has seen that it is alone, and HEAD is on its way."""
    put(ours, "first")

    objects.before = _Once("put", _is_head, lambda: _overtake(ours, times))
    put(ours, "mine")
    assert got(ours) == {"unnamed": [], "value": "mine"}
    for number in range(times + 1):
        put(ours, number)
    assert len(objects.content) == 3


def test_a_writer_that_is_always_overtaken_puts_out_all_the_same(ours: testing.Site, objects: Objects) -> None:
    put(ours, "first")
    mine = []

    def overtake(what: str, name: str) -> None:
        if what == "put" and name != "HEAD" and threading.current_thread() is threading.main_thread():
            mine.append(name)
            other = threading.Thread(target=_another_output, args=(ours, "other"))
            other.start()
            other.join()

    objects.after = overtake
    put(ours, "mine")
    objects.calm_down()
    assert len(mine) > 1
    assert got(ours)["value"] == "mine"


def test_of_two_writers_that_race_the_last_wins_and_neither_is_half(ours: testing.Site, objects: Objects) -> None:
    put(ours, "first")
    failures: list[BaseException] = []

    def write(who: int) -> None:
        try:
            for number in range(100):
                _another_output(ours, [who, number] * 1_000)
        except BaseException as problem:  # noqa: BLE001 - told by the test
            failures.append(problem)

    writers = [threading.Thread(target=write, args=(who,)) for who in range(3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        value = got(ours, verify="full")["value"]
        assert value == "first" or value == value[:2] * 1_000
    assert failures == []
    assert got(ours)["value"][1] == 99
    for number in range(3):
        put(ours, number)
    assert len(objects.content) == 3


@pytest.mark.parametrize("size", [10, 50_000, 20 * BLOCK])
@pytest.mark.parametrize("call", range(3))
def test_a_reader_whose_object_goes_looks_again(ours: testing.Site, objects: Objects, size: int, call: int) -> None:
    """Between any two of its requests the step may put out twice, which removes what the reader has in mind."""
    put(ours, bytearray(size))

    def put_out(what: str, _name: str) -> None:
        count = len(objects.calls)
        if what == "get" and count == call + 1:
            objects.calm_down()
            for number in range(3):
                _another_output(ours, bytearray([number + 1]) * size)

    objects.calls.clear()
    objects.before = put_out
    value = got(ours, verify="full")["value"]
    assert value in (bytearray(size), bytearray(b"\3") * size)


def test_what_was_resolved_and_has_gone_is_told(ours: testing.Site) -> None:
    put(ours, bytearray(100_000))
    function, args, kwargs, _ = transfer.resolve(ours.step_uuid("load"))
    for number in range(2):
        put(ours, number)
    with pytest.raises(DeserializationError, match=r'step "load".*has put out anew meanwhile: get it again'):
        function(*args, **kwargs)


def _another_output(site: testing.Site, value: Any) -> None:
    """Of another process, as far as the store can see."""
    transfer._place(site.step_uuid("load")).commit(
        _an_output(), lambda file: transfer._serialized(value, file, "PICKLE", portable=False)
    )


def _an_output() -> Any:
    from datetime import datetime

    from orchest._store.commit import Output
    from orchest._store.head import Head

    return Output(Head(datetime.fromisoformat("2022-07-01"), "PICKLE", "value"), "run", False, b"{}")


# ---- a store that does not do what it is asked


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (PermissionError(f"Forbidden for {SECRET}"), r"Forbidden for \*\*\*\. Let the keys"),
        (asyncio.TimeoutError(), "TimeoutError. See that the store can be reached"),
        (OSError(5, f"GET ours://user:{SECRET}@host/b?sig={SECRET} failed"), "See that the store can be reached"),
        (ValueError(f"https://host/b?X-Amz-Signature={SIGNATURE}"), "ValueError"),
    ],
)
def test_a_store_that_fails_is_told_without_its_secrets(
    site: testing.Site, objects: Objects, monkeypatch: pytest.MonkeyPatch, answer: Exception, told: str
) -> None:
    import fsspec

    monkeypatch.setitem(fsspec.config.conf, "ours", {"client": {"secret_key": SECRET}})
    monkeypatch.setattr(Config, "STEP_DATA_DIR", f"ours://user:{SECRET}@bucket/{{step_uuid}}")
    put(site, bytearray(100_000))

    def fail_but_for_head(what: str, name: str) -> None:
        if (what, name) != ("get", "HEAD"):
            raise answer

    def fail(_what: str, _name: str) -> None:
        raise answer

    for objects.before in (fail_but_for_head, fail):
        with pytest.raises(SerializationError, match=f'(?s)step "load".*{told}') as refused:
            put(site, 2)
        with pytest.raises(DeserializationError, match=f'(?s)step "load".*{told}') as unread:
            got(site)
        with pytest.raises(DeserializationError, match=f'(?s)step "load".*{told}') as undescribed:
            transfer.describe(site.step_uuid("load"))
        assert got(site, ignore_failure=True) == {"unnamed": [None]}
        for raised in (refused, unread, undescribed):
            shown = _all_that_is_shown(raised.value)
            assert (SECRET in shown, SIGNATURE in shown) == (False, False)
    objects.calm_down()
    assert got(site)["value"] == bytearray(100_000)


def test_what_is_kept_beside_and_cannot_be_reached_is_told(
    ours: testing.Site, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Config, "keep_named_outputs", True)
    with ours.step("load"):
        output(1, "a")
        output(2, "b")

    def fail(_what: str, name: str) -> None:
        if ".1-" in name:
            raise ConnectionResetError("reset")

    objects.before = fail
    for act in (lambda: got(ours), lambda: transfer.describe(ours.step_uuid("load"))):
        with pytest.raises(DeserializationError, match=r'step "load".*reset'):
            act()
    assert got(ours, ignore_failure=True) == {"unnamed": [None]}


def test_a_download_that_fails_is_told(ours: testing.Site, objects: Objects) -> None:
    put(ours, bytearray(100_000))
    objects.calls.clear()

    def fail(_what: str, _name: str) -> None:
        if len(objects.calls) > 2:
            raise ConnectionResetError("reset")

    objects.before = fail
    with pytest.raises(DeserializationError, match=r'step "load".*reset.*See that the store can be reached'):
        got(ours)
    objects.calls.clear()
    assert got(ours, ignore_failure=True) == {"unnamed": [], "value": None}


def _all_that_is_shown(problem: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(type(problem), problem, problem.__traceback__))


def test_a_bucket_that_is_not_there_is_told(site: testing.Site, moto: Moto, monkeypatch: pytest.MonkeyPatch) -> None:
    import object_stores

    object_stores.use(monkeypatch, moto.settings)
    monkeypatch.setattr(Config, "STEP_DATA_DIR", "s3://no-such-bucket/{step_uuid}")
    with pytest.raises(SerializationError, match=r'step "load".*bucket does not exist.*See that the address is right'):
        put(site, 1)
    with pytest.raises(OutputNotFoundError, match=r'step "load".*bucket does not exist'):
        got(site)


def test_keys_that_are_refused_are_told(site: testing.Site, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    import object_stores

    # For any other host that server is a proxy.
    monkeypatch.delenv("http_proxy")
    settings = {"key": "AKIA-a-key", "secret": SECRET, "client_kwargs": {"endpoint_url": server.url}}
    object_stores.use(monkeypatch, settings)
    monkeypatch.setattr(Config, "STEP_DATA_DIR", "s3://bucket/{step_uuid}")
    body = "<Error><Code>InvalidAccessKeyId</Code><Message>No such key: AKIA-a-key</Message></Error>"
    server.routes[f"/bucket/{site.step_uuid('load')}/HEAD"] = (403, body.encode())
    with pytest.raises(SerializationError, match=r"No such key.*Let the keys") as refused:
        put(site, 1)
    with pytest.raises(DeserializationError, match=r"No such key.*Let the keys") as unread:
        got(site)
    for raised in (refused, unread):
        shown = _all_that_is_shown(raised.value)
        assert (SECRET in shown, "AKIA-a-key" in shown) == (False, False)


def test_a_temporary_folder_without_room_is_told(
    ours: testing.Site, objects: Objects, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put(ours, bytearray(100_000))
    objects.calls.clear()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(SerializationError, match=r"Make room in .*absent, or let TMPDIR"):
        put(ours, 2)
    assert objects.calls == []
    with pytest.raises(DeserializationError, match=r'step "load".*Make room in .*absent, or let TMPDIR'):
        got(ours)


def test_without_fsspec_it_is_told_what_to_install(site: testing.Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "STEP_DATA_DIR", f"s3://user:{SECRET}@bucket/{{step_uuid}}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "fsspec"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    for act in (lambda: put(site, 1), lambda: got(site, ignore_failure=True)):
        with pytest.raises(Error, match=r"ORCHEST_SDK_DATA_URL.*pip install orchest\[fsspec\]") as raised:
            act()
        assert SECRET not in _all_that_is_shown(raised.value)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("simplecache::memory://bucket", "a chain of file systems"),
        ("nonsense://bucket", "Protocol not known: nonsense"),
        ("absent://bucket", "the package for it is not installed: .*install absentfs"),
    ],
)
def test_an_address_that_cannot_be_used_is_told(
    site: testing.Site, objects: Objects, monkeypatch: pytest.MonkeyPatch, url: str, told: str
) -> None:
    from fsspec.registry import known_implementations

    del objects
    known = {"class": "absentfs.Driver", "err": "install absentfs to go there"}
    monkeypatch.setitem(known_implementations, "absent", known)
    monkeypatch.setattr(Config, "STEP_DATA_DIR", f"{url}/{{step_uuid}}")
    with pytest.raises(Error, match=f"ORCHEST_SDK_DATA_URL.*{told}"):
        put(site, 1)


def test_a_driver_that_fails_as_it_is_made_is_told(
    site: testing.Site, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    import object_stores

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError(f"no way to ours://user:{SECRET}@bucket")

    del objects
    object_stores.Driver.clear_instance_cache()
    monkeypatch.setattr(object_stores.Driver, "__init__", fail)
    monkeypatch.setattr(Config, "STEP_DATA_DIR", "ours://a-bucket-of-its-own/{step_uuid}")
    for act in (lambda: put(site, 1), lambda: got(site)):
        with pytest.raises(Error, match=r"ORCHEST_SDK_DATA_URL.*no way to.*can be reached") as raised:
            act()
        assert SECRET not in _all_that_is_shown(raised.value)


# ---- where it is said


def test_a_file_url_is_a_folder(site: testing.Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Config, "STEP_DATA_DIR", f"file://{tmp_path}/data/{{step_uuid}}")
    put(site, 1)
    assert got(site)["value"] == 1
    assert (tmp_path / "data" / site.step_uuid("load") / "HEAD").exists()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket/a{b}c", "s3://bucket/a{b}c/pipelines/P/data/S"),
        ("s3://bucket/", "s3://bucket/pipelines/P/data/S"),
        ("memory://", "memory://pipelines/P/data/S"),
    ],
)
def test_the_environment_says_where_without_a_project(tmp_path: Path, url: str, expected: str) -> None:
    code = "from orchest import Config; print(Config.get_step_data_dir('S'))"
    variables = {"PYTHONPATH": str(SOURCE), "ORCHEST_SDK_DATA_URL": url, "ORCHEST_PIPELINE_UUID": "P"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=variables, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{expected}\n"


def test_fsspec_stays_unimported_where_data_is_in_files(site: testing.Site) -> None:
    code = """
import sys
from orchest import output, transfer
output(1, "value")
transfer.describe(sys.argv[1])
print([name for name in sys.modules if name.startswith("fsspec") or "object" in name and "orchest" in name])
"""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "ORCHEST_STEP_UUID": site.step_uuid("load")}
    command = [sys.executable, "-c", code, site.step_uuid("load")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
