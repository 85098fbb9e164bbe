"""The file stays an ordinary pickle; what is large in it can be mapped."""

from __future__ import annotations

import io
import pickle
import pickletools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import orchest
from orchest import transfer
from orchest._store.pickling import ALIGNMENT
from orchest._store.stored import StoredFile

if TYPE_CHECKING:
    from orchest.testing import Site


def put_out(site: Site, value: Any) -> StoredFile:
    with site.step("load"):
        orchest.output(value, name="data")
    return StoredFile(str(site.data_dir("load") / f"{site.step_uuid('load')}.PICKLE"))


def got(site: Site) -> Any:
    with site.step("clean"):
        return orchest.get_inputs()["data"]


class Buffered:
    """Pickles as numpy, pyarrow and others do: a constructor and a buffer."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Buffered, (pickle.PickleBuffer(self.content),)


@pytest.mark.parametrize("size", [0, 1, 1000, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, (1 << 20) + 7, (4 << 20) + 13])
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_buffers_of_every_size_are_read_by_everybody(site: Site, size: int, kind: type) -> None:
    content = kind(bytes(range(256)) * (size // 256 + 1))[:size]
    file = put_out(site, [Buffered(content), "between", Buffered(content)])
    with Path(file.path).open("rb") as plain:
        ordinary = pickle.load(plain)
    for value in (ordinary, got(site)):
        assert [bytes(one.content) for one in (value[0], value[2])] == [bytes(content)] * 2
        assert value[1] == "between"


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_large_buffers_are_aligned_mapped_and_may_be_written_to(site: Site, kind: type) -> None:
    file = put_out(site, [Buffered(kind(b"x" * (100_000 + number))) for number in range(70)])
    assert file.trailer is not None
    offset = 0
    for length, bulk in file.trailer.record.segments:
        assert not bulk or offset % ALIGNMENT == 0
        offset += length
    assert offset == file.data_length
    for one in got(site):
        assert isinstance(one.content, memoryview)
        one.content[0] = 7
    assert bytes(got(site)[0].content[:2]) == b"xx", "what a reader writes stays its own"


def test_it_is_one_pickle_with_nothing_but_the_trailer_behind(site: Site) -> None:
    file = put_out(site, {"a": Buffered(bytearray(1 << 17)), "b": list(range(100_000))})
    with Path(file.path).open("rb") as plain:
        *_, (last, _, position) = pickletools.genops(plain)
        assert last.name == "STOP"
        assert position == file.data_length - 1
        # genops has checked every frame; dis checks the stack too.
        plain.seek(0)
        pickletools.dis(plain, out=io.StringIO())


def test_no_second_copy_of_the_object_is_made_in_memory(site: Site) -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    value = Buffered(bytearray(64 << 20))
    with site.step("load"):
        tracemalloc.start()
        orchest.output(value, name="data")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4 << 20


def test_an_object_twice_is_one_object_twice(site: Site) -> None:
    buffered = Buffered(b"x" * 100_000)
    put_out(site, (buffered, buffered))
    first, second = got(site)
    assert first is second


def test_a_held_input_is_unmoved_by_the_next_output(site: Site) -> None:
    put_out(site, Buffered(b"a" * 1_000_000))
    held = got(site).content
    put_out(site, Buffered(b"b" * 10))
    assert bytes(held) == b"a" * 1_000_000


def test_millions_of_small_objects_are_one_stream(site: Site) -> None:
    value = [(number, str(number)) for number in range(200_000)]
    put_out(site, value)
    assert got(site) == value


def test_recursion_comes_back(site: Site) -> None:
    value: list[Any] = [1]
    value.append(value)
    put_out(site, value)
    back = got(site)
    assert back[1] is back


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_is_serialized_already_is_written_as_it_is(site: Site, protocol: int) -> None:
    raw = pickle.dumps({"a": [1, 2]}, protocol)
    with site.step("load"):
        transfer.output_to_disk(memoryview(raw), "data", serialization=transfer.Serialization.PICKLE)
    assert got(site) == {"a": [1, 2]}
    assert (site.data_dir("load") / f"{site.step_uuid('load')}.PICKLE").read_bytes().startswith(raw)


def test_a_wrong_serialization_is_told_before_anything_is_written(site: Site) -> None:
    with site.step("load"), pytest.raises(ValueError, match="PICKLE"):
        transfer.output_to_disk(b"", "data", serialization="PICKLE")  # type: ignore[arg-type]
    assert not site.data_dir("load").exists()


def test_the_private_serialize_gives_size_and_tag() -> None:
    serialized, tag = transfer._serialize({"a": 1})
    assert tag is transfer.Serialization.PICKLE
    assert serialized.size == len(serialized.to_pybytes())
    assert pickle.loads(serialized) == {"a": 1}


def test_numpy_and_the_others_are_not_imported_by_passing_plain_data(site: Site) -> None:
    import subprocess

    program = (
        "import sys, orchest\n"
        "orchest.output({'a': [1, 2.5, 'x', b'y', None]}, name='data')\n"
        "orchest.transfer.describe(orchest.utils.get_step_uuid(orchest.utils.get_pipeline()))\n"
        "print([name for name in ('numpy', 'pandas', 'polars', 'pyarrow') if name in sys.modules])\n"
    )
    with site.step("load"):
        done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "[]\n"
