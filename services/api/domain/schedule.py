"""When a cron job runs next. Pure, and the one place that knows the cron library.

In: a cron expression, and an instant. Out: the first instant after it, in UTC. Never: a clock, or the expression in a
message.

The fields are read in UTC, as the original read them, so daylight saving never skips or doubles a run.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from croniter import CroniterBadDateError, CroniterError, croniter

MOST_CHARACTERS = 100
_FIELDS = 5
_NAMED = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_CHARACTERS = re.compile(r"[0-9A-Za-z*/,?#\- ]+")
_RANDOM = re.compile(r"(^|[ ,])[HR]($|[ ,(/])", re.IGNORECASE)
"""Fields whose value the library would draw by lot, or from a hash."""
_FORM = "Write five fields (minute, hour, day of month, month, day of week; in UTC), or one of: " + ", ".join(
    sorted(_NAMED)
)


class ScheduleError(ValueError):
    """An expression that is none, or that no day ever meets: what is expected, without repeating it."""


def next_time(schedule: str, after: datetime) -> datetime:
    """The first instant after `after` (aware) at which `schedule` is due, in UTC. Raises ScheduleError."""
    expression = schedule.strip(" ")
    if expression.lower() in _NAMED:
        return _first(expression.lower(), after)
    if len(expression) > MOST_CHARACTERS:
        raise ScheduleError(f"It is longer than {MOST_CHARACTERS} characters.")
    if not _CHARACTERS.fullmatch(expression) or _RANDOM.search(expression) or len(expression.split()) != _FIELDS:
        raise ScheduleError(f"It is not a cron expression. {_FORM}.")
    return _first(expression, after)


def _first(expression: str, after: datetime) -> datetime:
    try:
        found: datetime = croniter(expression, after.astimezone(UTC)).get_next(datetime)
    except CroniterBadDateError:
        raise ScheduleError("There is no day on which it would be due, such as 30 February.") from None
    except CroniterError:
        raise ScheduleError(f"It is not a cron expression. {_FORM}.") from None
    return found.astimezone(UTC)
