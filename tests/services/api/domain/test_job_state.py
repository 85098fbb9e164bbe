from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.events.facts import Change, ChangedObject, ChangeType, JobStatus
from services.api.domain.job_state import (
    ALL_RUNS,
    ENDED,
    MAY_CHANGE,
    JobState,
    Kind,
    abort,
    begin_anew,
    changes,
    confirm,
    pause,
    resume,
    update,
    whole_run,
)
from services.api.http.problems import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)
LATER = NOW + timedelta(days=3)

DRAFT = JobState(
    status=JobStatus.DRAFT,
    name="train",
    schedule=None,
    next_scheduled_time=None,
    last_scheduled_time=None,
    parameters=[{"step": {"depth": 1}}],
    env_variables={"PASSWORD": "hunter2"},
    strategy_json={},
    max_retained_pipeline_runs=ALL_RUNS,
)
CRON_DRAFT = replace(DRAFT, schedule="@daily", next_scheduled_time=MIDNIGHT)
CRON = confirm(CRON_DRAFT, NOW)
PAUSED = pause(CRON)
ONE_OFF = confirm(replace(DRAFT, next_scheduled_time=LATER), NOW)
RUNNING = replace(ONE_OFF, status=JobStatus.STARTED, next_scheduled_time=None)
ENDS = [replace(RUNNING, status=status) for status in sorted(ENDED)]


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(ApiError) as caught:
        act()
    assert caught.value.status is HTTPStatus.CONFLICT
    return caught.value.detail


def test_a_draft_with_a_schedule_becomes_a_cron_job_that_is_due_at_its_next_time() -> None:
    started = JobStatus.STARTED
    expected = replace(CRON_DRAFT, status=started, next_scheduled_time=MIDNIGHT, last_scheduled_time=MIDNIGHT)
    assert confirm(CRON_DRAFT, NOW) == expected


def test_a_draft_that_lay_about_is_not_due_at_the_times_it_missed() -> None:
    assert confirm(CRON_DRAFT, LATER).next_scheduled_time == datetime(2026, 11, 26, tzinfo=UTC)


def test_a_draft_with_a_time_is_due_once_at_it() -> None:
    assert (ONE_OFF.status, ONE_OFF.next_scheduled_time, ONE_OFF.last_scheduled_time) == (
        JobStatus.PENDING,
        LATER,
        LATER,
    )


@pytest.mark.parametrize("time", [None, NOW - timedelta(days=1), NOW])
def test_a_draft_without_a_time_or_with_a_past_one_is_due_at_once(time: datetime | None) -> None:
    job = confirm(replace(DRAFT, next_scheduled_time=time), NOW)
    assert (job.status, job.next_scheduled_time) == (JobStatus.PENDING, NOW)


@pytest.mark.parametrize("job", [CRON, PAUSED, ONE_OFF, RUNNING, *ENDS])
def test_only_a_draft_is_confirmed_or_gets_another_pipeline(job: JobState) -> None:
    assert "Only a draft" in refused(lambda: confirm(job, NOW))
    assert "Only a draft" in refused(lambda: begin_anew(job, {}, {}))


VALUES: dict[str, Any] = {
    "name": "another",
    "schedule": "@hourly",
    "next_scheduled_time": LATER,
    "parameters": [{}, {}],
    "env_variables": {},
    "strategy_json": {"a": 1},
    "max_retained_pipeline_runs": 3,
}
ALL = frozenset(VALUES)


@pytest.mark.parametrize(
    ("job", "may"),
    [
        (DRAFT, ALL),
        (CRON_DRAFT, ALL),
        (CRON, ALL - {"next_scheduled_time"}),
        (PAUSED, ALL - {"next_scheduled_time"}),
        (ONE_OFF, {"name"}),
        (RUNNING, {"name"}),
        *((end, frozenset()) for end in ENDS),
    ],
)
def test_what_may_change_in_which_state(job: JobState, may: frozenset[str]) -> None:
    for name, value in VALUES.items():
        if name in may:
            assert getattr(update(job, {name: value}, NOW), name) == value
        else:
            assert f"its {name} does not change" in refused(partial(update, job, {name: value}, NOW))


def test_every_field_that_an_event_tells_of_has_a_rule_or_follows_from_one() -> None:
    told = {kind.value for kind in ChangedObject} - {"environment_variable", "status"}
    assert MAY_CHANGE.keys() == told | {"env_variables"}


def test_one_mistake_in_an_update_changes_nothing_else() -> None:
    refused(lambda: update(ONE_OFF, {"name": "another", "parameters": [{}]}, NOW))


def test_an_update_of_nothing_changes_nothing() -> None:
    for job in (DRAFT, CRON_DRAFT, CRON, PAUSED, ONE_OFF, RUNNING, *ENDS):
        assert update(job, {}, NOW) == job


def test_a_draft_has_a_schedule_or_a_time_and_the_later_word_counts() -> None:
    timed = update(CRON_DRAFT, {"next_scheduled_time": LATER}, NOW)
    assert (timed.schedule, timed.next_scheduled_time) == (None, LATER)
    scheduled = update(timed, {"schedule": "@daily", "next_scheduled_time": None}, NOW)
    assert (scheduled.schedule, scheduled.next_scheduled_time) == ("@daily", MIDNIGHT)
    again = update(scheduled, {"schedule": None, "next_scheduled_time": LATER}, NOW)
    assert (again.schedule, again.next_scheduled_time) == (None, LATER)


@pytest.mark.parametrize("given", [{"schedule": None}, {"next_scheduled_time": None}])
@pytest.mark.parametrize("job", [CRON_DRAFT, update(DRAFT, {"next_scheduled_time": LATER}, NOW)])
def test_null_for_the_schedule_or_the_time_of_a_draft_makes_it_due_when_confirmed(
    job: JobState, given: dict[str, None]
) -> None:
    assert update(job, given, NOW) == replace(job, schedule=None, next_scheduled_time=None)


@pytest.mark.parametrize("job", [CRON, PAUSED, ONE_OFF, RUNNING, *ENDS])
def test_null_for_the_schedule_of_a_job_that_is_no_draft_says_nothing(job: JobState) -> None:
    assert update(job, {"schedule": None, "next_scheduled_time": None}, NOW) == job


def test_another_schedule_of_a_cron_job_counts_from_now_but_a_paused_one_stays_paused() -> None:
    assert update(CRON, {"schedule": "@hourly"}, NOW).next_scheduled_time == datetime(2026, 11, 22, 13, tzinfo=UTC)
    assert update(PAUSED, {"schedule": "@hourly"}, NOW) == replace(PAUSED, schedule="@hourly")


def test_pause_and_resume_leave_out_what_was_missed() -> None:
    assert (PAUSED.status, PAUSED.next_scheduled_time) == (JobStatus.PAUSED, None)
    resumed = resume(PAUSED, LATER)
    assert (resumed.status, resumed.next_scheduled_time) == (
        JobStatus.STARTED,
        datetime(2026, 11, 26, tzinfo=UTC),
    )


@pytest.mark.parametrize("job", [DRAFT, CRON_DRAFT, PAUSED, ONE_OFF, RUNNING, *ENDS])
def test_only_a_running_cron_job_is_paused(job: JobState) -> None:
    refused(lambda: pause(job))


@pytest.mark.parametrize("job", [DRAFT, CRON_DRAFT, CRON, ONE_OFF, RUNNING, *ENDS])
def test_only_a_paused_cron_job_is_resumed(job: JobState) -> None:
    refused(lambda: resume(job, NOW))


@pytest.mark.parametrize("job", [DRAFT, CRON_DRAFT, CRON, PAUSED, ONE_OFF, RUNNING])
def test_whatever_has_not_ended_is_aborted_and_never_due_again(job: JobState) -> None:
    assert abort(job) == replace(job, status=JobStatus.ABORTED, next_scheduled_time=None)


@pytest.mark.parametrize("job", ENDS)
def test_what_has_ended_is_not_aborted(job: JobState) -> None:
    assert "ended already" in refused(lambda: abort(job))


Action = tuple[str, dict[str, Any]]

_WISHES = st.dictionaries(st.sampled_from(["schedule", "next_scheduled_time", "name"]), st.booleans(), max_size=2)
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["confirm", "pause", "resume", "abort"]), st.just({}))
    | _WISHES.map(lambda wish: ("update", {name: VALUES[name] if given else None for name, given in wish.items()})),
    max_size=8,
)


def done(job: JobState, action: Action, now: datetime) -> JobState:
    match action:
        case "confirm", _:
            return confirm(job, now)
        case "pause", _:
            return pause(job)
        case "resume", _:
            return resume(job, now)
        case "abort", _:
            return abort(job)
        case _, wish:
            return update(job, {name: value for name, value in wish.items() if value or name != "name"}, now)


@given(st.sampled_from([DRAFT, CRON_DRAFT]), ACTIONS)
def test_no_order_of_requests_leads_to_a_job_that_cannot_be(job: JobState, actions: list[Action]) -> None:
    now = NOW
    for action in actions:
        now += timedelta(hours=7)
        try:
            after = done(job, action, now)
        except ApiError:
            continue
        assert job.kind is not Kind.ENDED or after == job
        assert (after.kind is Kind.CRON) == (after.status in {JobStatus.STARTED, JobStatus.PAUSED})
        assert job.kind is Kind.DRAFT or (after.schedule is None) == (job.schedule is None)
        if after.kind is not Kind.DRAFT:
            due = after.status in {JobStatus.STARTED, JobStatus.PENDING}
            assert (after.next_scheduled_time is not None) == due
        job = after


def test_changes_tell_what_is_different_and_values_only_where_they_cannot_hurt() -> None:
    after = replace(
        confirm(CRON_DRAFT, NOW), name="another", env_variables={"PASSWORD": "other", "NEW": "1"}, parameters=[{}]
    )
    found = changes(CRON_DRAFT, after)
    assert found == (
        Change(type=ChangeType.CREATED, changed_object=ChangedObject.ENVIRONMENT_VARIABLE),
        Change(type=ChangeType.UPDATED, changed_object=ChangedObject.ENVIRONMENT_VARIABLE),
        Change(type=ChangeType.UPDATED, changed_object=ChangedObject.NAME),
        Change(type=ChangeType.UPDATED, changed_object=ChangedObject.PARAMETERS),
        Change(type=ChangeType.UPDATED, changed_object=ChangedObject.STATUS, old_value="DRAFT", new_value="STARTED"),
    )
    assert changes(after, after) == ()


def test_a_first_schedule_is_told_with_its_times() -> None:
    found = changes(DRAFT, update(DRAFT, {"schedule": "@daily"}, NOW))
    assert [(change.changed_object.value, change.old_value, change.new_value) for change in found] == [
        ("schedule", None, "@daily"),
        ("next_scheduled_time", None, "2026-11-23 00:00:00+00:00"),
    ]


@pytest.mark.parametrize(
    ("of_job", "expected"),
    [
        ({"A": "1", "B": "2"}, {"A": "1", "C": "3"}),
        ({"A": "by hand", "B": "2"}, {"A": "by hand", "C": "3"}),
        ({"B": "2"}, {"C": "3"}),
        ({"A": "1", "B": "by hand"}, {"A": "1", "B": "by hand", "C": "3"}),
        ({"A": "1", "B": "2", "D": "4"}, {"A": "1", "C": "3", "D": "4"}),
        ({"A": "1", "B": "2", "C": "by hand"}, {"A": "1", "C": "by hand"}),
    ],
)
def test_a_draft_that_gets_another_pipeline_keeps_what_was_done_by_hand_to_its_variables(
    of_job: dict[str, str], expected: dict[str, str]
) -> None:
    job = replace(DRAFT, env_variables=of_job, strategy_json={"a": 1})
    after = begin_anew(job, {"A": "1", "B": "2"}, {"A": "1", "C": "3"})
    assert after == replace(DRAFT, env_variables=expected, parameters=[{}], strategy_json={})


def test_a_run_of_another_pipeline_is_a_whole_one_in_the_same_place() -> None:
    spec: dict[str, Any] = {
        "run_type": "selection",
        "uuids": ["step"],
        "project_uuid": "p",
        "run_config": {"project_dir": "/dir", "pipeline_path": "old.orchest"},
    }
    assert whole_run(spec, "new.orchest") == {
        "run_type": "full",
        "uuids": [],
        "project_uuid": "p",
        "run_config": {"project_dir": "/dir", "pipeline_path": "new.orchest"},
    }
    assert whole_run({}, "")["run_config"] == {"pipeline_path": ""}


def test_variables_are_in_no_text_of_a_job() -> None:
    assert "hunter2" not in repr(DRAFT)
