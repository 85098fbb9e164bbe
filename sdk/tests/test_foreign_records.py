"""A record or description that somebody else has written, its checksums right."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Callable

import pytest

import orchest
from orchest import error, transfer
from orchest._store import trailer as trailers

if TYPE_CHECKING:
    from orchest.testing import Site


def _rewritten(site: Site, change: Callable[[dict[str, Any]], Any], told: bytes | None = None) -> None:
    with site.step("load"):
        orchest.output({"a": 1}, "x")
    path = next(site.data_dir("load").glob("*.PICKLE"))
    raw = path.read_bytes()
    footer = trailers.parse_footer(raw, len(raw))
    assert footer is not None
    data, end = raw[: footer.data_length], raw[footer.data_length :]
    record = json.loads(end[: footer.record_length])
    changed = change(record)
    text = changed if isinstance(changed, bytes) else json.dumps(record).encode()
    shown = end[footer.record_length :][: footer.told_length] if told is None else told
    body = text + shown + zlib.crc32(data).to_bytes(4, "little")
    fields = (len(data), len(text), len(shown), 1, zlib.crc32(body))
    own = zlib.crc32(trailers._FIELDS.pack(*fields))
    path.write_bytes(data + body + trailers._FOOTER.pack(trailers._FIRST_MAGIC, *fields, own, trailers._LAST_MAGIC))


def test_a_field_of_a_later_sdk_is_ignored(site: Site) -> None:
    _rewritten(site, lambda record: record.update(later=1))
    with site.step("clean"):
        assert orchest.get_inputs()["x"] == {"a": 1}
    with site.step("load"):
        orchest.output(2, "x")


_FOREIGN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no JSON": lambda _: b"{x",
    "deep": lambda _: b"[" * 100_000,
    "a list": lambda _: b"[]",
    "nothing": lambda _: b"{}",
    "a generation that is text": lambda record: record.update(generation="x"),
    "a generation beyond all": lambda record: record.update(generation=10**30),
    "a head that is none": lambda record: record.update(replaces=record["head"], head="nonsense"),
    "a head that is a number": lambda record: record.update(head=5),
    "a head that cannot be written": lambda record: record.update(head="\ud800"),
    "a number that it replaces": lambda record: record.update(head="2020-01-01T00:00:00; PICKLE; y", replaces=5),
    "a segment of less than nothing": lambda record: record.update(
        segments=[[-5, 0], [record["segments"][0][0] + 5, 0]]
    ),
    "a segment of three": lambda record: record.update(segments=[[*record["segments"][0], 1]]),
    "a kept output elsewhere": lambda record: record.update(kept=[[record["head"], 1, "PICKLE/../../../HEAD"]]),
    "versions that are a number": lambda record: record.update(versions=5),
}


@pytest.mark.parametrize("change", _FOREIGN.values(), ids=_FOREIGN)
def test_a_foreign_record_is_told_and_replaced(site: Site, change: Callable[[dict[str, Any]], Any]) -> None:
    _rewritten(site, change)
    with site.step("clean"), pytest.raises(error.DeserializationError, match="Run that step again"):
        orchest.get_inputs()
    with site.step("clean"):
        assert orchest.get_inputs(ignore_failure=True) in ({"unnamed": [], "x": None}, {"unnamed": [None]})
    with pytest.raises(error.DeserializationError):
        transfer.describe(site.step_uuid("load"))
    with site.step("load"):
        orchest.output(2, "x")
    with site.step("clean"):
        assert orchest.get_inputs()["x"] == 2


@pytest.mark.parametrize(
    "told",
    [b"{", b"[]", b"[" * 100_000, b'{"producer": []}', b'{"producer": {"inputs": [5]}}', b'{"producer": {}}',
     b'{"producer": {"inputs": [{"step_uuid": "\\u0000", "name": "x", "generation": 1, "timestamp": 1}]}}'],
)  # fmt: skip
def test_a_foreign_description_does_not_hinder(site: Site, told: bytes) -> None:
    _rewritten(site, lambda _: None, told)
    assert transfer.describe(site.step_uuid("load"))["name"] == "x"


def test_a_module_that_main_lacks_is_told(site: Site) -> None:
    with site.step("load"):
        transfer.output_to_disk(b"c__main__.inner\nname\n.", "x", transfer.Serialization.PICKLE)
    with site.step("clean"), pytest.raises(error.DeserializationError):
        orchest.get_inputs()
