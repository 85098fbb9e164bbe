"""One JSON object per line, with whatever was given as extra, and a defect's traceback inside the line."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any
from uuid import UUID

from outbox.log import JsonLines


def line_of(record: logging.LogRecord) -> dict[str, Any]:
    text = JsonLines().format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_extra_values_become_fields_whatever_their_type() -> None:
    record = logging.makeLogRecord({"name": "outbox", "levelname": "INFO", "msg": "%d sent\n", "args": (3,)})
    record.created = 0.25
    vars(record).update(delivery=UUID(int=7), seconds=1.5)
    assert line_of(record) == {
        "time": "1970-01-01T00:00:00.250+00:00",
        "level": "info",
        "logger": "outbox",
        "message": "3 sent\n",
        "delivery": "00000000-0000-0000-0000-000000000007",
        "seconds": 1.5,
    }


def test_a_defect_brings_its_traceback_in_the_same_line() -> None:
    try:
        int("a defect")
    except ValueError:
        record = logging.makeLogRecord({"name": "outbox", "levelname": "ERROR", "exc_info": sys.exc_info()})
    assert line_of(record)["traceback"].endswith("ValueError: invalid literal for int() with base 10: 'a defect'")
