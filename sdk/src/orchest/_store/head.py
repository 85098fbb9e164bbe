"""`HEAD`: the small text that names a step's latest output. Bytes in, a value out, and back. Touches nothing."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from orchest.error import InvalidMetaDataError

SEPARATOR = "; "
UNNAMED = "unnamed"
SERIALIZATIONS = ("ARROW_TABLE", "ARROW_BATCH", "PICKLE")


class Head(NamedTuple):
    """What was put out last."""

    timestamp: datetime
    """UTC without a zone, in seconds, as the format has it."""
    serialization: str
    """One of `SERIALIZATIONS`; also the data file's extension."""
    name: str | None
    """None for an unnamed output."""

    def encode(self) -> bytes:
        """The three fields as every reader of the format knows them."""
        fields = (self.timestamp.isoformat(timespec="seconds"), self.serialization, self.name or _written(self.name))
        return SEPARATOR.join(fields).encode()


@lru_cache(maxsize=64)  # a record repeats the HEAD that was just read
def parse(raw: bytes) -> Head:
    """Read three fields, four (the first is ignored), or the two of `timestamp, serialization`.

    Raises InvalidMetaDataError with what is wrong; an empty name is a name.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise InvalidMetaDataError(f"HEAD is not text: {raw[:40]!r}") from None
    fields = text.split(SEPARATOR)
    if len(fields) == 1:
        fields = [*text.split(", "), UNNAMED]
    if len(fields) == 4:
        del fields[0]
    if len(fields) != 3:
        raise InvalidMetaDataError(f"HEAD has {len(fields)} fields and not 3: {text[:80]!r}")
    timestamp, serialization, name = fields
    if serialization not in SERIALIZATIONS:
        raise InvalidMetaDataError(f"HEAD names the serialization {serialization[:40]!r}, which is unknown")
    try:
        when = datetime.fromisoformat(timestamp)
    except ValueError:
        raise InvalidMetaDataError(f"HEAD has {timestamp[:40]!r} where its time should be") from None
    return Head(when, serialization, None if name == UNNAMED else name)


def text(value: str) -> str:
    """The text of a HEAD. Raises InvalidMetaDataError, or what it meets in the place of text."""
    parse(value.encode())
    return value


def tag(value: str) -> str:
    """A serialization. Raises InvalidMetaDataError."""
    if value not in SERIALIZATIONS:
        raise InvalidMetaDataError(f"{value!r:.40} is no serialization")
    return value


def _written(name: str | None) -> str:
    return UNNAMED if name is None else name
