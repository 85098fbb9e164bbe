"""`POST /analytics`."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import cycle
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import func, select

from outbox.analytics import Backend, Event, follow
from outbox.delivery.models import DeliveryRow
from outbox.events import models
from outbox.events.types import EventType
from services.api.http.operation import Scope
from services.api.resources import analytics
from tests.services.api.site import Site, opened

if TYPE_CHECKING:
    import pytest

EMPTY: dict[str, Any] = {"event_properties": {}, "derived_properties": {}}
PATHS = ("/analytics", "/api/analytics")


def turn_on(site: Site) -> None:
    with site.database.writing() as session:
        follow(session, Backend("https://analytics.example", "a-key"), datetime.now(UTC))


def stored(site: Site) -> list[models.Event]:
    with site.database.reading() as session:
        return list(session.scalars(select(models.Event)))


def count(site: Site) -> tuple[int, int]:
    with site.database.reading() as session:
        tables = (models.Event, DeliveryRow)
        events, deliveries = (session.scalar(select(func.count()).select_from(table)) or 0 for table in tables)
    return events, deliveries


def test_every_type_is_taken_as_the_original_took_it(site: Site) -> None:
    turn_on(site)
    for path, event in zip(cycle(PATHS), Event, strict=False):
        answer = site.ask("POST", path, scope=Scope.WRITE, json={"event": event, "properties": EMPTY})
        assert (answer.status_code, answer.text) == (200, "")
    assert sorted(row.type for row in stored(site)) == sorted(Event)
    assert count(site) == (len(Event), len(Event))
    assert site.events() == ()


def test_an_event_of_users_is_not_made_by_telling_of_it(site: Site) -> None:
    turn_on(site)
    project = {"uuid": "5f4b8f0e-6c0d-4a52-9d52-9b1c1f3f6a77", "name": "canary"}
    properties = {"event_properties": {"project": project}, "derived_properties": {}}
    body = {"event": EventType.PROJECT_CREATED, "properties": properties}
    assert site.ask("POST", "/analytics", scope=Scope.WRITE, json=body).status_code == 200
    (row,) = stored(site)
    assert row.layer == models.UNKNOWN_LAYER
    assert "canary" not in repr((row.telemetry, row.payload, row.facts))
    assert orjson.loads(row.telemetry or "")["event_properties"]["project"] == {"uuid": project["uuid"]}
    answer = site.ask("GET", "/api/events", scope=Scope.READ)
    assert answer.json["events"] == []
    assert site.ask("GET", f"/api/events/{row.uuid}", scope=Scope.READ).status_code == 404


def test_while_analytics_are_off_the_answer_is_the_same_and_nothing_is_stored(site: Site) -> None:
    answer = site.ask("POST", "/analytics", scope=Scope.WRITE, json={"event": "debug-ping", "properties": EMPTY})
    assert (answer.status_code, answer.text) == (200, "")
    assert count(site) == (0, 0)


BAD: list[tuple[Any, str]] = [
    ({"event": "canary:shown", "properties": EMPTY}, "body.event"),
    ({"event": 7, "properties": EMPTY}, "body.event"),
    ({"properties": EMPTY}, "body.event"),
    ({"event": "alert:shown"}, "body.properties"),
    ({"event": "alert:shown", "properties": {}}, "body.properties.event_properties"),
    ({"event": "alert:shown", "properties": {**EMPTY, "canary": {}}}, "body.properties"),
    ({"event": "alert:shown", "properties": EMPTY, "canary": 1}, "body"),
    ({"event": "alert:shown", "properties": {**EMPTY, "derived_properties": ["canary"]}}, "body.properties"),
    ({"event": "alert:shown", "properties": {**EMPTY, "derived_properties": {"a": 2**70}}}, "body.properties"),
]


def test_a_bad_body_is_refused_with_its_place(site: Site) -> None:
    turn_on(site)
    for body, where in BAD:
        answer = site.ask("POST", "/analytics", scope=Scope.WRITE, json=body)
        assert answer.status_code == 400, body
        assert answer.json["errors"][0]["where"].startswith(where)
        assert "canary" not in answer.text
    assert count(site) == (0, 0)


def test_more_than_16_kib_are_too_much(site: Site) -> None:
    turn_on(site)
    body = {"event": "alert:shown", "properties": {**EMPTY, "event_properties": {"a": "x" * analytics.MOST_BYTES}}}
    assert site.ask("POST", "/analytics", scope=Scope.WRITE, json=body).status_code == 413
    assert count(site) == (0, 0)


def test_who_tells_too_much_is_slowed_down(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytics, "A_MINUTE", 5)
    body = {"event": "alert:shown", "properties": EMPTY}
    with opened(database_url) as site:
        answers = [site.ask("POST", path, scope=Scope.WRITE, json=body) for path in PATHS * 4]
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 3
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 429)


def test_one_key_one_event(site: Site) -> None:
    turn_on(site)
    body = {"event": "alert:shown", "properties": EMPTY}
    for _ in range(2):
        answer = site.ask("POST", "/analytics", scope=Scope.WRITE, json=body, headers={"Idempotency-Key": "one"})
        assert answer.status_code == 200
    assert count(site) == (1, 1)


def test_who_may_not_write_tells_nothing(site: Site) -> None:
    turn_on(site)
    body = {"event": "alert:shown", "properties": EMPTY}
    for path in PATHS:
        for scope, status in ((None, 401), (Scope.READ, 403), (Scope.AGENT, 403)):
            assert site.ask("POST", path, scope=scope, json=body).status_code == status
    assert count(site) == (0, 0)
