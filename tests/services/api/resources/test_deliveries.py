"""Deliveries over HTTP: seen, tried again, replayed, counted while they wait."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from pydantic import TypeAdapter
from sqlalchemy import insert, select, update

from outbox.delivery import listing
from outbox.delivery.models import AttemptRow, DeliveryRow
from outbox.delivery.replay import BATCH
from outbox.events.models import Event
from outbox.identity import new_uuid
from services.api.resources.deliveries import DeliveryReport
from tests.outbox.delivery.rows import add_deliveries, table_of
from tests.services.api.resources.hooks import ANALYTICS, HOOKS, add, listen, project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.services.api.site import Site

DELIVERIES = "/api/notifications/deliveries"
LONG_AGO = {"since": "2026-01-01T00:00:00Z"}


@pytest.fixture
def hook(site: Site) -> UUID:
    return UUID(add(site)["uuid"])


def page(site: Site, hook: UUID, **query: str) -> Any:
    answer = site.ask("GET", f"{HOOKS}/{hook}/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json


def attempt(site: Site, delivery: UUID, number: int, **columns: Any) -> None:
    row = {
        "delivery_uuid": delivery,
        "number": number,
        "started_at": datetime.now(UTC),
        "milliseconds": 12.5,
        "result": "rejected",
        "status_code": 503,
        "message": "Answered 503.",
        "response_headers": '[["Server", "nginx"]]',
        "response_body": b"overloaded",
        "worker": "worker-1",
    }
    with site.database.writing() as session:
        session.execute(insert(AttemptRow), [row | columns])


def status(site: Site, delivery: UUID, **columns: Any) -> None:
    with site.database.writing() as session:
        session.execute(update(DeliveryRow).where(DeliveryRow.uuid == delivery).values(**columns))


def happen(site: Site, count: int, at: datetime) -> None:
    """Events that nobody was told of."""
    events = [
        {
            "uuid": new_uuid(),
            "type": "project:created",
            "layer": "project",
            "timestamp": at,
            "facts": {},
            "payload": "{}",
            "telemetry": "{}",
        }
        for _ in range(count)
    ]
    with site.database.writing() as session:
        session.execute(insert(table_of(Event)), events)


def told(site: Site) -> Sequence[UUID]:
    """The events of all deliveries."""
    with site.database.reading() as session:
        return session.scalars(select(DeliveryRow.event_uuid)).all()


def test_pages_go_from_the_newest_to_the_oldest_without_gap_or_repetition(site: Site, hook: UUID) -> None:
    made = [str(one) for one in sorted(add_deliveries(site.database, hook, 7), reverse=True)]
    found: list[str] = []
    query = {"limit": "3"}
    while True:
        got = page(site, hook, **query)
        found += [one["uuid"] for one in got["deliveries"]]
        if got["next_cursor"] is None:
            break
        query["cursor"] = got["next_cursor"]
    assert found == made


def test_dead_letters_are_the_deliveries_that_are_dead(site: Site, hook: UUID) -> None:
    add_deliveries(site.database, hook, 2)
    dead = add_deliveries(site.database, hook, 1, status="dead", finished_at=datetime.now(UTC))
    assert [one["uuid"] for one in page(site, hook, status="dead")["deliveries"]] == [str(uuid) for uuid in dead]


@pytest.mark.parametrize("query", [{"status": "canary"}, {"limit": "0"}, {"limit": "501"}, {"cursor": "canary"}])
def test_a_page_that_there_cannot_be_is_refused(site: Site, hook: UUID, query: dict[str, str]) -> None:
    answer = site.ask("GET", f"{HOOKS}/{hook}/deliveries", params=query)
    assert answer.status_code == 400
    assert "canary" not in answer.text


def test_a_delivery_tells_every_attempt_with_what_was_answered(site: Site, hook: UUID) -> None:
    (uuid,) = add_deliveries(site.database, hook)
    attempt(site, uuid, 1, result="unreachable", status_code=None, response_headers=None, response_body=None)
    attempt(site, uuid, 2)
    attempt(site, uuid, 3, response_body=b"\xff\x00\xfe")
    report = site.ask("GET", f"{DELIVERIES}/{uuid}").json
    assert report["delivery"]["uuid"] == str(uuid)
    assert report["delivery"]["last"]["number"] == 3
    answers = [(one["attempt"]["number"], one["attempt"]["result"], one["answer"]) for one in report["attempts"]]
    assert answers == [
        (1, "unreachable", {"headers": [], "body": "", "encoding": "utf-8"}),
        (2, "rejected", {"headers": [["Server", "nginx"]], "body": "overloaded", "encoding": "utf-8"}),
        (
            3,
            "rejected",
            {
                "headers": [["Server", "nginx"]],
                "body": base64.b64encode(b"\xff\x00\xfe").decode(),
                "encoding": "base64",
            },
        ),
    ]


def test_an_answer_is_read_back_into_what_the_outbox_shows(site: Site, hook: UUID) -> None:
    (uuid,) = add_deliveries(site.database, hook)
    attempt(site, uuid, 1)
    attempt(site, uuid, 2, response_body=b"\xff")
    read = TypeAdapter(DeliveryReport).validate_json(site.ask("GET", f"{DELIVERIES}/{uuid}").content)
    with site.database.reading() as session:
        assert read.detail() == listing.detail(session, str(uuid))


@pytest.mark.parametrize("before", ["dead", "scheduled"])
def test_a_retry_makes_it_due_now_under_its_own_id(site: Site, hook: UUID, before: str) -> None:
    (uuid,) = add_deliveries(site.database, hook, due_at=datetime.now(UTC) + timedelta(hours=3), attempts=12)
    status(site, uuid, status=before)
    answer = site.ask("POST", f"{DELIVERIES}/{uuid}/retry")
    assert answer.status_code == 200
    assert (answer.json["uuid"], answer.json["status"], answer.json["attempts"]) == (str(uuid), "scheduled", 12)
    assert datetime.fromisoformat(answer.json["due_at"]) <= datetime.now(UTC)


@pytest.mark.parametrize(("before", "word"), [("delivered", "replay"), ("claimed", "under way")])
def test_what_cannot_be_tried_again_is_a_conflict_with_the_mend(site: Site, hook: UUID, before: str, word: str) -> None:
    (uuid,) = add_deliveries(site.database, hook, status=before)
    answer = site.ask("POST", f"{DELIVERIES}/{uuid}/retry")
    assert answer.status_code == 409
    assert word in answer.json["detail"]
    assert str(uuid) not in answer.text


def test_a_retry_waits_for_its_webhook_to_be_resumed(site: Site, hook: UUID) -> None:
    (uuid,) = add_deliveries(site.database, hook)
    site.ask("POST", f"{HOOKS}/{hook}/pause")
    answer = site.ask("POST", f"{DELIVERIES}/{uuid}/retry")
    assert answer.status_code == 409
    assert "Resume it" in answer.json["detail"]


def test_the_deliveries_of_analytics_are_nobodys_to_see_or_to_try_again(site: Site) -> None:
    listen(site)
    project(site)
    with site.database.reading() as session:
        theirs = select(DeliveryRow.uuid).where(DeliveryRow.subscriber_uuid == ANALYTICS)
        (uuid,) = session.scalars(theirs).all()
    for unknown in (str(uuid), str(uuid4()), "nonsense"):
        for answer in (
            site.ask("GET", f"{DELIVERIES}/{unknown}"),
            site.ask("POST", f"{DELIVERIES}/{unknown}/retry"),
        ):
            assert answer.status_code == 404
            assert unknown not in answer.text


def test_queues_tell_how_many_wait_for_what(site: Site, hook: UUID) -> None:
    assert site.ask("GET", "/api/notifications/queues").json == {"queues": []}
    add_deliveries(site.database, hook, 3)
    add_deliveries(site.database, hook, 2, lane="retry", due_at=datetime.now(UTC) + timedelta(hours=1))
    add_deliveries(site.database, hook, 1, status="dead", finished_at=datetime.now(UTC))
    queues = site.ask("GET", "/api/notifications/queues").json["queues"]
    assert [(one["lane"], one["state"], one["deliveries"]) for one in queues] == [
        ("first", "due", 3),
        ("retry", "later", 2),
    ]
    assert queues[0]["oldest_seconds"] >= 60
    assert queues[1]["oldest_seconds"] == 0


def test_a_preview_counts_what_a_replay_then_makes(site: Site, hook: UUID) -> None:
    happen(site, 5, datetime.now(UTC) - timedelta(hours=1))
    happen(site, 3, datetime.now(UTC) - timedelta(days=3))
    span = {"since": (datetime.now(UTC) - timedelta(days=1)).isoformat().replace("+00:00", "Z")}
    preview = site.ask("GET", f"{HOOKS}/{hook}/replay/preview", params=span)
    assert (preview.status_code, preview.json["events"], told(site)) == (200, 5, [])
    answer = site.ask("POST", f"{HOOKS}/{hook}/replay", json={**span, "until": preview.json["until"]})
    assert answer.status_code == 200
    assert answer.json == {"replayed": 5, "remaining": 0, "until": preview.json["until"], "next_cursor": None}
    assert len(told(site)) == 5


def test_only_events_of_the_type_are_replayed(site: Site, hook: UUID) -> None:
    happen(site, 2, datetime.now(UTC) - timedelta(hours=1))
    for event_type, count in (("project:pipeline:*", 0), ("project:*", 2)):
        asked = {**LONG_AGO, "event_type": event_type}
        assert site.ask("GET", f"{HOOKS}/{hook}/replay/preview", params=asked).json["events"] == count
        assert site.ask("POST", f"{HOOKS}/{hook}/replay", json=asked).json["replayed"] == count


def test_a_long_replay_is_made_in_batches_each_event_once(site: Site, hook: UUID) -> None:
    """Also of events that share one moment."""
    happen(site, BATCH + 10, datetime.now(UTC) - timedelta(hours=1))
    happen(site, BATCH, datetime.now(UTC) - timedelta(hours=2))
    asked: dict[str, Any] = dict(LONG_AGO)
    made, remaining = [], []
    while True:
        batch = site.ask("POST", f"{HOOKS}/{hook}/replay", json=asked).json
        made.append(batch["replayed"])
        remaining.append(batch["remaining"])
        with site.database.writing() as session:
            session.execute(update(DeliveryRow).values(status="delivered"))
        if batch["next_cursor"] is None:
            break
        asked |= {"cursor": batch["next_cursor"], "until": batch["until"]}
    assert (made, remaining) == ([BATCH, BATCH, 10], [BATCH + 10, 10, 0])
    assert len(set(told(site))) == len(told(site)) == 2 * BATCH + 10


def test_a_replay_repeated_under_one_key_is_made_once(site: Site, hook: UUID) -> None:
    happen(site, 4, datetime.now(UTC) - timedelta(hours=1))
    for _ in range(2):
        answer = site.ask("POST", f"{HOOKS}/{hook}/replay", json=LONG_AGO, headers={"Idempotency-Key": "once"})
        assert answer.json["replayed"] == 4
        with site.database.writing() as session:
            session.execute(update(DeliveryRow).values(status="delivered"))
    assert len(told(site)) == 4


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"since": "canary"}, "since"),
        ({"since": "0"}, "since"),
        ({"since": "0001-01-01T00:00:00+14:00"}, "since"),
        ({"until": "9999-12-31T23:59:59-14:00"}, "until"),
        ({"event_type": "project:canary"}, "event_type"),
        ({"event_type": "canary" * 20}, "event_type"),
    ],
)
def test_a_replay_of_what_cannot_be_meant_is_refused(site: Site, hook: UUID, wrong: dict[str, str], where: str) -> None:
    asked = {**LONG_AGO, **wrong}
    preview = site.ask("GET", f"{HOOKS}/{hook}/replay/preview", params=asked)
    answer = site.ask("POST", f"{HOOKS}/{hook}/replay", json=asked)
    for refused, part in ((preview, "query"), (answer, "body")):
        assert refused.status_code == 400
        assert [one["where"] for one in refused.json["errors"]] == [f"{part}.{where}"]
        assert "canary" not in refused.text


@pytest.mark.parametrize("cursor", ["canary", "1.2", "99999999999999999.01a20556-1367-7623-b11e-40900986be8b"])
def test_a_cursor_that_is_none_is_refused(site: Site, hook: UUID, cursor: str) -> None:
    body = {**LONG_AGO, "cursor": cursor, "until": "2026-11-01T00:00:00Z"}
    answer = site.ask("POST", f"{HOOKS}/{hook}/replay", json=body)
    assert answer.status_code == 400
    assert cursor not in answer.text


def test_a_cursor_without_its_end_is_refused(site: Site, hook: UUID) -> None:
    """Else events that came meanwhile, and were delivered, would be delivered once more."""
    body = {**LONG_AGO, "cursor": f"1.{uuid4()}"}
    answer = site.ask("POST", f"{HOOKS}/{hook}/replay", json=body)
    assert [one["where"] for one in answer.json["errors"]] == ["body.until"]


def test_replayed_events_of_a_paused_webhook_are_held(site: Site, hook: UUID) -> None:
    happen(site, 2, datetime.now(UTC) - timedelta(hours=1))
    site.ask("POST", f"{HOOKS}/{hook}/pause")
    assert site.ask("POST", f"{HOOKS}/{hook}/replay", json=LONG_AGO).json["replayed"] == 2
    assert [one["status"] for one in page(site, hook)["deliveries"]] == ["held", "held"]


def test_who_was_told_of_an_event_is_told(site: Site) -> None:
    hooks = [add(site, name=name)["uuid"] for name in ("one", "other")]
    listen(site)
    event = project(site)
    later = project(site)
    found = site.ask("GET", f"/api/events/{event}/deliveries").json["deliveries"]
    assert [one["webhook"] for one in found] == hooks
    assert {one["event"] for one in found} == {str(event)}
    assert len(site.ask("GET", f"/api/events/{later}/deliveries").json["deliveries"]) == 2
    assert site.ask("GET", f"/api/events/{uuid4()}/deliveries").status_code == 404
