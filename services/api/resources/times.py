"""Instants in the answers of the original's routes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from pydantic import PlainSerializer, WithJsonSchema

UtcTime: TypeAlias = Annotated[
    datetime,
    PlainSerializer(lambda instant: instant.astimezone(UTC).isoformat(), return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""ISO 8601, with `+00:00` where others write Z: the original's web client takes the one off and makes an invalid time
of the other.
"""
