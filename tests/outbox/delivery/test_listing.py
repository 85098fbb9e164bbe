from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert

from outbox.database import Database
from outbox.delivery.listing import deliveries, deliveries_of_event, detail, find_delivery
from outbox.delivery.models import AttemptRow
from outbox.delivery.state import Status
from outbox.schema import migrate
from outbox.subscribers.errors import Unknown
from tests.outbox.delivery.rows import EVENT_TYPE, add_deliveries, add_subscriber, delivery
from tests.outbox.subscribers.wishes import DAY, NOW, added

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    migrate(database)
    yield database
    database.close()


@pytest.fixture
def webhook(database: Database) -> UUID:
    with database.writing() as session:
        return added(session).uuid


def attempt(database: Database, uuid: UUID, number: int, **columns: Any) -> None:
    row = {
        "delivery_uuid": uuid,
        "number": number,
        "started_at": NOW,
        "milliseconds": 12.5,
        "result": "rejected",
        "status_code": 503,
        "message": "Answered 503.",
        "response_headers": '[["Server", "nginx"]]',
        "response_body": b"overloaded",
        "worker": "worker-1",
    }
    with database.writing() as session:
        session.execute(insert(AttemptRow), [row | columns])


def test_pages_go_from_the_newest_to_the_oldest_without_gap_or_repetition(database: Database, webhook: UUID) -> None:
    made = sorted(add_deliveries(database, webhook, 7), reverse=True)
    found: list[UUID] = []
    with database.reading() as session:
        while page := deliveries(session, webhook, limit=3, before=found[-1] if found else None):
            found += [one.uuid for one in page]
    assert found == made


def test_the_last_attempt_stands_beside_each_delivery(database: Database, webhook: UUID) -> None:
    tried, fresh = add_deliveries(database, webhook, 2)
    attempt(database, tried, 1)
    attempt(database, tried, 2, result="timeout", status_code=None, milliseconds=15000.0)
    with database.reading() as session:
        found = {one.uuid: one for one in deliveries(session, webhook, limit=10)}
    assert found[fresh].last is None
    last = found[tried].last
    assert last is not None
    assert (last.number, last.result, last.status_code, last.milliseconds) == (2, "timeout", None, 15000.0)
    assert (found[tried].event_type, found[tried].webhook_name, found[tried].webhook) == (EVENT_TYPE, "ci", webhook)


def test_dead_ones_can_be_asked_for(database: Database, webhook: UUID) -> None:
    add_deliveries(database, webhook, 2)
    dead = add_deliveries(database, webhook, 1, status="dead", finished_at=NOW)
    with database.reading() as session:
        assert [one.uuid for one in deliveries(session, webhook, limit=10, status=Status.DEAD)] == dead


def test_the_detail_has_every_attempt_with_what_was_answered(database: Database, webhook: UUID) -> None:
    (uuid,) = add_deliveries(database, webhook)
    attempt(database, uuid, 1, result="unreachable", status_code=None, response_headers=None, response_body=None)
    attempt(database, uuid, 2)
    with database.reading() as session:
        found = detail(session, str(uuid))
    assert [(tried.number, answer.headers, answer.body) for tried, answer in found.attempts] == [
        (1, (), b""),
        (2, (("Server", "nginx"),), b"overloaded"),
    ]


def test_a_delivery_is_found_by_what_only_it_begins_with(database: Database, webhook: UUID) -> None:
    one = UUID("01900000-0000-7000-8000-0000000000aa")
    other = UUID("01900000-0000-7000-8000-0000000000bb")
    for uuid in (one, other):
        add_deliveries(database, webhook, uuid=uuid)
    with database.reading() as session:
        assert find_delivery(session, str(one)).uuid == one
        assert find_delivery(session, "01900000-0000-7000-8000-0000000000A").uuid == one
        with pytest.raises(Unknown, match="Several deliveries begin with"):
            find_delivery(session, "0190")
        for unknown in ("019", "", "ffff", "zzzz", str(uuid4())):
            with pytest.raises(Unknown, match="No delivery"):
                find_delivery(session, unknown)


def test_an_event_tells_who_was_told_of_it(database: Database, webhook: UUID) -> None:
    (uuid,) = add_deliveries(database, webhook, due_at=NOW + DAY)
    with database.reading() as session:
        (found,) = deliveries_of_event(session, delivery(database, uuid)["event_uuid"])
    assert (found.uuid, found.webhook_name) == (uuid, "ci")


def test_the_deliveries_of_analytics_are_nobodys_to_see(database: Database) -> None:
    analytics = add_subscriber(database, kind="analytics")
    (uuid,) = add_deliveries(database, analytics)
    with database.reading() as session:
        assert deliveries(session, analytics, limit=10) == []
        with pytest.raises(Unknown):
            find_delivery(session, str(uuid))
