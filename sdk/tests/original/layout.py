"""What a step's directory holds in the original's format: one HEAD, and one data file named after its serialization.

HEAD is text, three fields joined by "; " with no line end: `2022-07-01T12:30:05; PICKLE; rows`. Its time is UTC without
an offset, in seconds; the name of an output without one is `unnamed`. Four fields are known too, the first is then of
no interest.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

SEPARATOR = "; "
UNNAMED = "unnamed"
SERIALIZATIONS = ("ARROW_TABLE", "ARROW_BATCH", "PICKLE")


class ForeignHeadError(Exception):
    """The text is not a HEAD of the original."""


class Head(NamedTuple):
    """The three fields of a HEAD; `name` is None for an unnamed output."""

    timestamp: str
    serialization: str
    name: str | None


def head_text(head: Head) -> str:
    return SEPARATOR.join([head.timestamp, head.serialization, UNNAMED if head.name is None else head.name])


def parse_head(text: str) -> Head:
    """The fields of the text, or ForeignHeadError: a wrong count, time, or serialization."""
    fields = text.split(SEPARATOR)
    if len(fields) not in (3, 4):
        raise ForeignHeadError(text)
    timestamp, serialization, name = fields[-3:]
    try:
        datetime.fromisoformat(timestamp)
    except ValueError as error:
        raise ForeignHeadError(text) from error
    if serialization not in SERIALIZATIONS:
        raise ForeignHeadError(text)
    return Head(timestamp, serialization, None if name == UNNAMED else name)


def data_file_name(step: str, serialization: str) -> str:
    return f"{step}.{serialization}"
