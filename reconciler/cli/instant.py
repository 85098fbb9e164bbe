"""A moment on the command line: a date, a time, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Instant(click.ParamType[datetime]):
    """`2026-11-22`, `2026-11-22T14:00`, with or without a zone (without one it is UTC), or `90m`, `2h`, `3d` ago."""

    name = "time"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            if ago := _AGO.fullmatch(value):
                return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            instant = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no time. Write 2026-11-22T14:00 (UTC), or 90m, 2h, 3d for how long ago.", param, ctx
            )
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
