from __future__ import annotations

import _thread
import time
from typing import TYPE_CHECKING, Any

import pytest

import orchest
from orchest import Config, error
from orchest._store import verification
from orchest._store.stored import StoredFile
from test_pickling import Buffered

if TYPE_CHECKING:
    from orchest.testing import Site

MIB = 1 << 20


def flip(site: Site, offset: int) -> None:
    path = site.data_dir("load") / f"{site.step_uuid('load')}.PICKLE"
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


def put_out(site: Site, size: int) -> int:
    """The offset of the middle of its buffer."""
    with site.step("load"):
        orchest.output(Buffered(b"x" * size), name="data")
    file = StoredFile(str(site.data_dir("load") / f"{site.step_uuid('load')}.PICKLE"))
    assert file.trailer is not None
    (run,) = (run for run in _runs(file) if run.length == size)
    return run.offset + size // 2


def _runs(file: StoredFile) -> list[verification.Run]:
    assert file.trailer is not None
    return verification.runs(file.trailer, late=False) + verification.runs(file.trailer, late=True)


def read(site: Site, verify: str | None = None) -> Any:
    with site.step("clean"):
        return orchest.get_inputs(verify=verify)["data"]


def test_full_finds_it_before_anything_is_returned(site: Site) -> None:
    flip(site, put_out(site, 3 * MIB))
    with pytest.raises(error.DeserializationError, match=r'step "load".*damaged.*Run that step again'):
        read(site, "full")


def test_lazy_finds_it_at_once_in_a_small_buffer(site: Site) -> None:
    flip(site, put_out(site, MIB))
    with pytest.raises(error.DeserializationError, match="damaged"):
        read(site)


def test_lazy_finds_it_late_in_a_large_buffer_and_fails_the_next_call(site: Site) -> None:
    flip(site, put_out(site, 3 * MIB))
    assert len(read(site).content) == 3 * MIB
    deadline = time.monotonic() + 30
    while not verification._found and time.monotonic() < deadline:
        time.sleep(0.001)
    with site.step("clean"), pytest.raises(error.DeserializationError, match="damaged"):
        orchest.output(1, name="result")
    with site.step("clean"):
        orchest.output(1, name="result")


def test_where_no_thread_can_be_started_it_is_found_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def start_new_thread(*_: Any) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", start_new_thread)
    flip(site, put_out(site, 3 * MIB))
    assert len(read(site).content) == 3 * MIB
    with pytest.raises(error.DeserializationError, match="damaged"):
        read(site)


def test_what_the_reader_writes_into_its_pages_is_no_damage(site: Site) -> None:
    put_out(site, 8 * MIB)
    content = read(site).content
    content[:] = b"y" * len(content)
    time.sleep(0.2)
    with site.step("clean"):
        orchest.output(1, name="result")


def test_off_trusts_the_disk(site: Site) -> None:
    for size in (100_000, 3 * MIB):
        flip(site, put_out(site, size))
        content = read(site, "off").content
        assert bytes(content).count(b"x") == size - 1


def test_the_setting_is_asked_when_nothing_is_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    flip(site, put_out(site, 3 * MIB))
    monkeypatch.setattr(Config, "verify", "full")
    with pytest.raises(error.DeserializationError, match="damaged"):
        read(site)


def test_a_word_that_is_none_of_the_three_is_told(site: Site) -> None:
    put_out(site, 100_000)
    with pytest.raises(error.Error, match="off, lazy, full"):
        read(site, "sometimes")


@pytest.mark.parametrize("size", [10, 100_000, MIB, MIB + 1, 5 * MIB])
def test_every_byte_before_the_trailer_belongs_to_one_run(site: Site, size: int) -> None:
    with site.step("load"):
        orchest.output([Buffered(b"x" * size), "y" * size], name="data")
    file = StoredFile(str(site.data_dir("load") / f"{site.step_uuid('load')}.PICKLE"))
    end = 0
    for offset, length, _ in sorted(_runs(file)):
        assert offset == end
        end += length
    assert end == file.data_length
