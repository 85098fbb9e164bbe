from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.domain.schedule import MOST_CHARACTERS, ScheduleError, next_time

NOON = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
"""A Saturday; in Europe the clocks go forward in the night that follows."""


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("* * * * *", datetime(2026, 3, 28, 12, 1, tzinfo=UTC)),
        ("0 12 * * *", datetime(2026, 3, 29, 12, 0, tzinfo=UTC)),
        ("30 2 * * *", datetime(2026, 3, 29, 2, 30, tzinfo=UTC)),
        ("*/15 8-10 * * 1-5", datetime(2026, 3, 30, 8, 0, tzinfo=UTC)),
        ("0 0 29 2 *", datetime(2028, 2, 29, tzinfo=UTC)),
        ("0 0 1 jan mon", datetime(2027, 1, 1, tzinfo=UTC)),
        ("0 0 L * *", datetime(2026, 3, 31, tzinfo=UTC)),
        ("0 0 * * 0", datetime(2026, 3, 29, tzinfo=UTC)),
        ("0 0 * * 7", datetime(2026, 3, 29, tzinfo=UTC)),
        ("  0 0 * * 7 ", datetime(2026, 3, 29, tzinfo=UTC)),
        ("@hourly", datetime(2026, 3, 28, 13, 0, tzinfo=UTC)),
        ("@Daily", datetime(2026, 3, 29, tzinfo=UTC)),
        ("@yearly", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_schedule_is_due_at_the_first_instant_after_the_given_one(schedule: str, due: datetime) -> None:
    assert next_time(schedule, NOON) == due
    assert next_time(schedule, NOON).tzinfo is UTC


def test_the_fields_are_utc_wherever_the_given_instant_is_written() -> None:
    in_new_york = NOON.astimezone(timezone(timedelta(hours=-4)))
    assert next_time("0 13 * * *", in_new_york) == datetime(2026, 3, 28, 13, 0, tzinfo=UTC)


@pytest.mark.parametrize("schedule", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 feb *"])
def test_a_schedule_that_no_day_ever_meets_is_refused(schedule: str) -> None:
    with pytest.raises(ScheduleError, match="no day on which it would be due"):
        next_time(schedule, NOON)


@pytest.mark.parametrize(
    "schedule",
    [
        *("", "*", "* * * *", "every day", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8"),
        *("*/0 * * * *", "5-1/0 * * * *", "@reboot", "@every 5m", "TZ=UTC 0 0 * * *", "\n0 0 * * *", "0 0 * * *\0"),
        *("0 0 0 1 1 * *", "30 0 0 * * *", "H * * * *", "0 R * * *", "0 r * * *", "0 5,H * * *", "٣ * * * *"),
    ],
)
def test_what_is_no_schedule_or_leaves_the_time_to_chance_is_refused_with_the_form(schedule: str) -> None:
    with pytest.raises(ScheduleError, match="five fields"):
        next_time(schedule, NOON)


def test_an_expression_is_bounded() -> None:
    minutes = ",".join(str(minute) for minute in range(60))
    assert len(minutes) > MOST_CHARACTERS
    with pytest.raises(ScheduleError, match="longer than 100"):
        next_time(f"{minutes} * * * *", NOON)


_FIELD = st.text(st.sampled_from("0123456789*/,-#?LlWwHRabcdefjmnorstu"), min_size=1, max_size=6)


@given(
    st.lists(_FIELD, min_size=4, max_size=7).map(" ".join) | st.text(),
    st.datetimes(datetime(1970, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_whatever_is_written_it_is_a_later_whole_minute_or_refused_without_being_repeated(
    schedule: str, after: datetime
) -> None:
    try:
        due = next_time(schedule, after)
    except ScheduleError as error:
        said = str(error)
        assert len(schedule) < 4 or schedule.strip() not in said
    else:
        assert due > after
        assert (due.second, due.microsecond) == (0, 0)
