"""Subscribers over HTTP, as the original listed, found and removed them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from outbox.delivery.models import DeliveryRow
from outbox.events.types import EventType
from outbox.subscribers.models import EndpointRow, SigningSecret, Subscriber, Subscription
from tests.services.api.resources.hooks import ANALYTICS, HOOKS, SUBSCRIBERS, add, listen, project

if TYPE_CHECKING:
    from tests.services.api.site import Site

PROJECT, OTHER, JOB = str(uuid4()), str(uuid4()), str(uuid4())
FAILED = "project:one-off-job:failed"


def names(answer: Any) -> list[str]:
    return [one["name"] for one in answer.json["subscribers"]]


def test_every_type_can_be_subscribed_to_with_the_filters_that_the_original_offered(site: Site) -> None:
    events = site.ask("GET", "/api/notifications/subscribable-events").json["events"]
    offered = {one["name"]: one["optional_filters"] for one in events}
    assert list(offered) == list(EventType)
    assert offered["project:pipeline:created"] == [["project_uuid"]]
    assert offered[FAILED] == [["project_uuid"], ["project_uuid", "job_uuid"]]
    assert offered["project:cron-job:run:failed"] == [["project_uuid"], ["project_uuid", "job_uuid"]]
    assert offered["jupyter:image-build:failed"] == []
    assert offered["cluster:plan-applied"] == []


def test_the_list_tells_nothing_of_what_subscribers_hear_nor_of_analytics(site: Site) -> None:
    listen(site)
    added = [add(site, name=name)["uuid"] for name in ("one", "two")]
    found = site.ask("GET", SUBSCRIBERS).json["subscribers"]
    assert [one["uuid"] for one in found] == added
    assert [one["subscriptions"] for one in found] == [[], []]


def test_the_list_of_webhooks_tells_what_each_hears(site: Site) -> None:
    listen(site)
    made = add(site)
    (found,) = site.ask("GET", HOOKS).json["webhooks"]
    assert found == {name: value for name, value in made.items() if name != "secret"}
    assert found["subscriptions"]


def test_a_removed_subscriber_is_gone_with_all_its_rows(site: Site) -> None:
    uuid = add(site)["uuid"]
    project(site)
    answer = site.ask("DELETE", f"{SUBSCRIBERS}/{uuid}")
    assert (answer.status_code, answer.json) == (201, {"message": ""})
    with site.database.reading() as session:
        for model in (Subscriber, EndpointRow, SigningSecret, Subscription, DeliveryRow):
            assert session.scalar(select(func.count()).select_from(model)) == 0
    assert site.ask("GET", f"{SUBSCRIBERS}/{uuid}").status_code == 404
    assert site.ask("DELETE", f"{SUBSCRIBERS}/{uuid}").status_code == 404


@pytest.mark.parametrize(
    "unknown", [str(uuid4()), "nonsense", str(ANALYTICS)], ids=["unknown", "nonsense", "analytics"]
)
def test_the_analytics_subscriber_is_as_unknown_as_any_other(site: Site, unknown: str) -> None:
    listen(site)
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "test-ping-delivery/")):
        answer = site.ask(method, f"{SUBSCRIBERS}/{path}{unknown}")
        assert answer.status_code == 404
        assert unknown not in answer.text
    with site.database.reading() as session:
        assert session.get(Subscriber, ANALYTICS) is not None


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({}, ["everything", "jobs"]),
        ({"project_uuid": PROJECT}, ["everything", "jobs", "in the project"]),
        ({"project_uuid": PROJECT, "job_uuid": JOB}, ["everything", "jobs", "in the project", "of the job"]),
        ({"project_uuid": OTHER, "job_uuid": JOB}, ["everything", "jobs"]),
        ({"project_uuid": PROJECT, "job_uuid": OTHER}, ["everything", "jobs", "in the project"]),
    ],
)
def test_who_would_be_told_is_who_will_be_told(site: Site, query: dict[str, str], told: list[str]) -> None:
    """A job's own webhook hears nothing of other jobs of its project: the original took it for the project's."""
    listen(site)
    add(site, name="everything", subscriptions=[{"event_type": "*"}, {"event_type": FAILED}])
    add(site, name="jobs", subscriptions=[{"event_type": "project:one-off-job:*"}])
    add(site, name="in the project", subscriptions=[{"event_type": FAILED, "project_uuid": PROJECT}])
    add(site, name="of the job", subscriptions=[{"event_type": FAILED, "project_uuid": PROJECT, "job_uuid": JOB}])
    add(site, name="others", subscriptions=[{"event_type": "project:cron-job:*"}])
    answer = site.ask("GET", f"{SUBSCRIBERS}/subscribed-to/{FAILED.replace(':', '%3A')}", params=query)
    assert (answer.status_code, names(answer)) == (200, told)


@pytest.mark.parametrize(
    ("event_type", "query", "code"),
    [
        (FAILED, {"job_uuid": JOB}, 400),
        (FAILED, {"project_uuid": "canary"}, 400),
        (FAILED, {"canary": "1"}, 400),
        ("canary", {}, 404),
        ("project:*", {}, 404),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    site: Site, event_type: str, query: dict[str, str], code: int
) -> None:
    answer = site.ask("GET", f"{SUBSCRIBERS}/subscribed-to/{event_type}", params=query)
    assert answer.status_code == code
    assert "canary" not in answer.text
