from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from outbox.events.types import EventType
from outbox.subscribers.patterns import Interest, hears, mistake, patterns_hearing

PROJECT, OTHER_PROJECT, JOB, OTHER_JOB = (uuid4() for _ in range(4))
FAILED = "project:one-off-job:failed"


def test_a_type_is_heard_by_itself_by_its_prefixes_and_by_everything() -> None:
    assert patterns_hearing("project:pipeline:created") == [
        "project:pipeline:created",
        "project:pipeline:*",
        "project:*",
        "*",
    ]


@pytest.mark.parametrize(
    ("pattern", "heard"),
    [
        ("project:created", True),
        ("project:*", True),
        ("*", True),
        ("project:updated", False),
        ("project:created:*", False),
        ("project*", False),
        ("project:creat*", False),
        ("project:pipeline:*", False),
        ("PROJECT:CREATED", False),
        ("", False),
    ],
)
def test_a_wildcard_stands_for_whole_segments(pattern: str, heard: bool) -> None:
    assert hears(Interest(pattern), "project:created", PROJECT, None) is heard


@pytest.mark.parametrize(
    ("interest", "heard"),
    [
        (Interest(FAILED), True),
        (Interest(FAILED, PROJECT), True),
        (Interest(FAILED, PROJECT, JOB), True),
        (Interest(FAILED, PROJECT, OTHER_JOB), False),
        (Interest("project:*", PROJECT, OTHER_JOB), False),
        (Interest(FAILED, OTHER_PROJECT), False),
        (Interest("*", OTHER_PROJECT), False),
        (Interest(FAILED, OTHER_PROJECT, JOB), False),
    ],
)
def test_a_scope_hears_its_own_project_and_job_only(interest: Interest, heard: bool) -> None:
    assert hears(interest, FAILED, PROJECT, JOB) is heard


@pytest.mark.parametrize("interest", [Interest("*", PROJECT), Interest("*", PROJECT, JOB)])
def test_an_event_of_no_project_is_heard_by_nobody_who_is_limited_to_one(interest: Interest) -> None:
    assert not hears(interest, "cluster:plan-applied", None, None)


def test_an_event_of_a_project_is_not_heard_by_the_hook_of_one_of_its_jobs() -> None:
    assert not hears(Interest("project:*", PROJECT, JOB), "project:updated", PROJECT, None)


@pytest.mark.parametrize("project", [None, PROJECT])
@pytest.mark.parametrize("pattern", ["*", "project:*", "project:one-off-job:*", FAILED, "project:cron-job:run:failed"])
def test_what_can_be_heard_is_no_mistake(pattern: str, project: UUID | None) -> None:
    assert mistake(Interest(pattern, project), EventType) == ""
    assert mistake(Interest(pattern, PROJECT, JOB), EventType) == ""


def test_every_type_can_be_subscribed_to() -> None:
    assert [mistake(Interest(name), EventType) for name in EventType] == [""] * len(EventType)


@pytest.mark.parametrize(
    ("interest", "words"),
    [
        (Interest("project:one-of-job:failed"), ("no such event type", "Did you mean project:one-off-job:failed")),
        (Interest("projects:*"), ("matches no event type", "Did you mean project:*")),
        (Interest("nonsense"), ("no such event type", "orchest events types")),
        (Interest(FAILED, None, JOB), ("without its project", "Give the project too")),
        (Interest("project:created", PROJECT, JOB), ("no event of a job", "project:one-off-job:")),
        (Interest("project:pipeline:*", PROJECT, JOB), ("no event of a job",)),
        (Interest("cluster:*", PROJECT), ("no event of a project",)),
        (Interest("jupyter:image-build:failed", PROJECT), ("no event of a project",)),
    ],
)
def test_what_can_never_be_heard_is_a_mistake_with_its_mend(interest: Interest, words: tuple[str, ...]) -> None:
    said = mistake(interest, EventType)
    assert interest.pattern not in said
    for word in words:
        assert word in said
