"""`/api/events` and `/api/event-types`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from sqlalchemy import insert

from outbox.events.facts import ProjectFacts
from outbox.events.json_schema import schema_of
from outbox.events.models import EventTypeRow, event_of, json_text
from outbox.events.records import EventRecord, record_of
from outbox.events.register import register_copy, register_project_created_event
from outbox.events.types import EventType, layer_of
from outbox.identity import new_uuid, uuid7
from services.api.http.operation import Scope
from tests.outbox.events.examples import EXAMPLES, JOB, NOW, PROJECT

if TYPE_CHECKING:
    from tests.services.api.site import Site

FACTS = ProjectFacts(project_uuid=PROJECT, project_name="acme")


def recorded(site: Site) -> list[EventRecord]:
    """One event of each type, a minute apart, the newest first."""
    made = []
    with site.database.writing() as session:
        for minute, event_type in enumerate(EventType):
            moment = NOW + timedelta(minutes=minute)
            uuid = uuid7(int(moment.timestamp() * 1e9), bytes(8))
            made.append(record_of(event_of(event_type, EXAMPLES[layer_of(event_type)], uuid, moment)))
            register_copy(session, made[-1])
    return made[::-1]


def listed(site: Site, **params: Any) -> Any:
    answer = site.ask("GET", "/api/events", scope=Scope.READ, params=params)
    assert answer.status_code == 200, answer.json
    return answer.json


def uuids(answer: Any) -> list[UUID]:
    return [UUID(event["uuid"]) for event in answer["events"]]


def test_all_that_users_were_told_is_there_and_nothing_of_the_facts_behind_it(site: Site) -> None:
    made = recorded(site)
    answer = listed(site, limit=500)
    assert uuids(answer) == [event.uuid for event in made]
    assert answer["next_cursor"] is None
    for event, shown in zip(made, answer["events"], strict=True):
        assert set(shown) == {"uuid", "type", "layer", "timestamp", "project_uuid", "job_uuid", "payload"}
        assert json_text(shown["payload"]) == event.payload
        assert (shown["type"], shown["layer"]) == (event.type, event.layer)


def test_pages_meet_without_gap_or_overlap(site: Site) -> None:
    made = recorded(site)
    page = listed(site, limit=20)
    found = uuids(page)
    while page["next_cursor"]:
        page = listed(site, limit=20, cursor=page["next_cursor"])
        found += uuids(page)
    assert found == [event.uuid for event in made]


def test_filters(site: Site) -> None:
    recorded(site)
    minute = NOW + timedelta(minutes=2)
    for params, count in (
        ({"type": "cluster:*"}, 10),
        ({"type": "project:created"}, 1),
        ({"type": "galaxy:*"}, 0),
        ({"type": "*"}, len(EventType)),
        ({"project_uuid": str(PROJECT), "type": "cluster:*"}, 0),
        ({"job_uuid": str(JOB), "type": "project:cron-job:paused"}, 1),
        ({"since": str(minute)}, len(EventType) - 2),
        ({"until": minute.isoformat()}, 2),
        ({"since": "0001-01-01T00:00:00Z", "until": "9999-12-31T23:59:59.999999Z"}, len(EventType)),
    ):
        assert len(listed(site, limit=500, **params)["events"]) == count, params


BAD = {
    "since": ["canary", "12345", "2026-11-22", "2026-11-22T14:00:00", "0001-01-01T00:00:00+23:59"],
    "until": ["canary", "2026-13-22T14:00:00Z", "9999-12-31T23:59:59-01:00", "+2026-11-22T14:00:00Z"],
    "type": ["", "canary*", "Canary:*", "a:*:b", "*:a", "a::b", "a\x00", "a\n", "x" * 101],
    "project_uuid": ["canary", "", "{}"],
    "job_uuid": ["canary"],
    "limit": ["0", "501", "canary", "-1"],
    "cursor": ["canary"],
}


def test_a_bad_query_is_refused_with_its_place(site: Site) -> None:
    for name, values in BAD.items():
        for value in values:
            answer = site.ask("GET", "/api/events", scope=Scope.READ, params={name: value})
            assert answer.status_code == 400, (name, value)
            assert [mistake["where"] for mistake in answer.json["errors"]] == [f"query.{name}"]
            assert "canary" not in answer.text.lower()
    answer = site.ask("GET", "/api/events", scope=Scope.READ, params={"canary": "1"})
    assert answer.status_code == 400
    assert "canary" not in answer.text


def test_one_event(site: Site) -> None:
    made = recorded(site)[3]
    answer = site.ask("GET", f"/api/events/{made.uuid}", scope=Scope.READ)
    assert answer.status_code == 200
    assert orjson.loads(made.payload) == answer.json["payload"]
    for unknown in (new_uuid(), "canary"):
        answer = site.ask("GET", f"/api/events/{unknown}", scope=Scope.READ)
        assert answer.status_code == 404
        assert "canary" not in answer.text


def test_an_event_of_a_newer_version_is_listed_too(site: Site) -> None:
    newer = EventRecord(new_uuid(), "galaxy:created", "galaxy", NOW, None, None, {}, '{"galaxy":{}}')
    with site.database.writing() as session:
        session.execute(insert(EventTypeRow).values(name="galaxy:created"))
        register_copy(session, newer)
    (shown,) = listed(site, type="galaxy:*")["events"]
    assert (shown["type"], shown["layer"], shown["payload"]) == ("galaxy:created", "galaxy", {"galaxy": {}})


def test_a_list_that_did_not_change_is_not_sent_again(site: Site) -> None:
    recorded(site)
    etag = site.ask("GET", "/api/events", scope=Scope.READ).headers["etag"]
    assert site.ask("GET", "/api/events", scope=Scope.READ, headers={"If-None-Match": etag}).status_code == 304
    with site.database.writing() as session:
        register_project_created_event(session, FACTS)
    assert site.ask("GET", "/api/events", scope=Scope.READ, headers={"If-None-Match": etag}).status_code == 200


def test_every_type_is_listed_with_its_schema(site: Site) -> None:
    answer = site.ask("GET", "/api/event-types", scope=Scope.READ)
    assert [one["name"] for one in answer.json["event_types"]] == list(EventType)
    for event_type in EventType:
        schema = site.ask("GET", f"/api/event-types/{event_type}", scope=Scope.READ)
        assert schema.json == schema_of(event_type)
    for unknown in ("canary", "alert:shown", "project:*"):
        assert site.ask("GET", f"/api/event-types/{unknown}", scope=Scope.READ).status_code == 404


def test_who_may_not_read_is_told_nothing(site: Site) -> None:
    for path in ("/api/events", f"/api/events/{PROJECT}", "/api/event-types", "/api/event-types/x"):
        assert site.ask("GET", path, scope=None).status_code == 401
        assert site.ask("GET", path, scope=Scope.AGENT).status_code == 403
