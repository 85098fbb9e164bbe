from __future__ import annotations

from datetime import datetime

import pytest

from orchest._store.head import Head, parse
from orchest.error import InvalidMetaDataError

WHEN = datetime(2026, 11, 23, 1, 2, 3)  # noqa: DTZ001 - the format has no zone


@pytest.mark.parametrize(
    "name", [None, "", "a", "a;b", "a, b", "ünïcode", "x" * 5000, "two\nlines", "cr\r\nlf", "../up"]
)
def test_what_was_written_is_read(name: str | None) -> None:
    head = Head(WHEN, "PICKLE", name)
    assert parse(head.encode()) == head


def test_it_is_the_three_fields_of_the_original() -> None:
    assert Head(WHEN, "ARROW_TABLE", "data").encode() == b"2026-11-23T01:02:03; ARROW_TABLE; data"
    assert Head(WHEN, "PICKLE", None).encode() == b"2026-11-23T01:02:03; PICKLE; unnamed"


def test_of_four_fields_the_first_is_ignored() -> None:
    assert parse(b"anything; 2026-11-23T01:02:03; PICKLE; data") == Head(WHEN, "PICKLE", "data")


def test_the_documented_form_has_two_fields_and_no_name() -> None:
    assert parse(b"2026-11-23T01:02:03, ARROW_BATCH") == Head(WHEN, "ARROW_BATCH", None)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "fields"),
        (b"2026-11-23T01:02:03", "fields"),
        (b"2026-11-23T01:02:03; PICKLE", "fields"),
        (b"a; b; c; d; e", "5 fields"),
        (b"yesterday; PICKLE; data", "'yesterday'"),
        (b"2026-11-23T01:02:03; JSON; data", "'JSON'"),
        (b"2026-11-23T01:02:03; PICKLE; \xff", "not text"),
    ],
)
def test_what_is_no_head_is_told(raw: bytes, told: str) -> None:
    with pytest.raises(InvalidMetaDataError, match=told):
        parse(raw)
