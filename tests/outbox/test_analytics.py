"""Analytics from the setting to the request: to a backend on loopback, on both databases."""

from __future__ import annotations

import asyncio
import copy
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import orjson
import pytest
import uvloop
from sqlalchemy import func, insert, select

from outbox import analytics
from outbox.analytics import (
    ALLOWED,
    BATCH,
    SUBSCRIBER,
    AnalyticsClient,
    AnalyticsError,
    AnalyticsSender,
    AppProperties,
    Backend,
    Event,
    SystemProperties,
    check,
    follow,
)
from outbox.database import Database
from outbox.delivery.engine import Engine, EngineSettings
from outbox.delivery.guard import Guard, parse_networks
from outbox.delivery.models import AttemptRow, DeliveryRow
from outbox.delivery.outcome import Outcome, Result
from outbox.delivery.sender import Parcel, Sender
from outbox.delivery.transport import Limits, Transport
from outbox.events.allow_list import Keyed, Kind, Listed
from outbox.events.facts import ProjectFacts
from outbox.events.models import Event as EventRow
from outbox.events.models import event_of, json_text
from outbox.events.register import register_project_created_event
from outbox.events.types import EventType
from outbox.key_ring import KeyRing
from outbox.schema import migrate
from outbox.subscribers.destination import Destination
from outbox.subscribers.matching import hearing
from outbox.subscribers.models import EndpointRow, Subscriber, Subscription
from tests.outbox.delivery.receivers import Behaviour, Receiver, answer, answering, ok, receiving
from tests.outbox.events.canaries import Flock, heard, with_something_in_every_object
from tests.outbox.events.examples import EVENT, EXAMPLES, NOW, example_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from outbox.events.types import Layer

LOOPBACK = Guard(parse_networks(["127.0.0.0/8"]))
INSTALLATION = UUID("5f4b8f0e-6c0d-4a52-9d52-9b1c1f3f6a77")
KEY = "phc_a-key-that-nothing-shows"
APP = AppProperties(orchest_version="v2026.11.0", max_builds_parallelism=2)
SYSTEM = SystemProperties(host_os="linux", gpu_enabled_instance=False, k8s_distro="k3s")
YES = answering(ok(b'{"status":1}'))
EMPTY: dict[str, dict[str, Any]] = {"event_properties": {}, "derived_properties": {}}
KEYS = ("step_1", "service_1", "update", ".py", "pipeline_parameters_count")
OTHERS = {
    *("alert:shown", "confirm:shown", "view:loaded", "heartbeat-trigger", "debug-ping"),
    *("project:one-off-job:duplicated", "project:cron-job:duplicated", "project:pipeline:saved"),
}


class Site:
    """A backend on a loop of its own, so that `send_event` can have one too."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    @property
    def backend(self) -> Backend:
        return Backend(self.receiver.url.removesuffix("/hook/secret-path"), KEY, APP, SYSTEM)

    @property
    def bodies(self) -> list[Any]:
        return [orjson.loads(request.partition(b"\r\n\r\n")[2]) for request in self.receiver.requests]

    @property
    def events(self) -> list[Any]:
        return [event for body in self.bodies for event in body["batch"]]


@contextmanager
def listening(behaviour: Behaviour) -> Iterator[Site]:
    found: list[Receiver] = []
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with receiving(behaviour) as receiver:
            found.append(receiver)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: uvloop.run(serve()))
    thread.start()
    try:
        assert ready.wait(5)
        yield Site(found[0])
    finally:
        over.set()
        thread.join()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    migrate(database)
    yield database
    database.close()


# The enumeration.


def test_the_events_are_every_type_and_eight_more() -> None:
    assert {one.value for one in Event} == {*EventType, *OTHERS}
    assert len(Event) == len(EventType) + 8
    assert all(Event[one.name] == one.value for one in EventType)


# `send_event`.


def sent(event: Any, payload: Any, behaviour: Behaviour = YES) -> tuple[bool, Site]:
    with listening(behaviour) as site:
        return AnalyticsClient(site.backend, INSTALLATION, LOOPBACK).send_event(event, payload), site


def test_an_event_is_sent_in_the_form_of_posthog() -> None:
    payload = {"event_properties": {"active": True}, "derived_properties": {}}
    done, site = sent(Event.HEARTBEAT_TRIGGER, payload)
    assert done is True
    head, _, _ = site.receiver.requests[0].partition(b"\r\n")
    assert head == b"POST /batch/ HTTP/1.1"
    (body,) = site.bodies
    assert body.keys() == {"api_key", "batch"}
    assert body["api_key"] == KEY
    (event,) = body["batch"]
    assert event.pop("distinct_id") == str(INSTALLATION)
    assert UUID(event.pop("uuid"))
    assert datetime.fromisoformat(event.pop("timestamp")).tzinfo is not None
    assert event == {
        "event": "heartbeat-trigger",
        "properties": {
            "event_properties": {"active": True, "type": "heartbeat-trigger"},
            "derived_properties": {},
            "app_properties": {
                "orchest_version": "v2026.11.0",
                "dev": False,
                "cloud": False,
                "max_builds_parallelism": 2,
            },
            "system_properties": {"host_os": "linux", "gpu_enabled_instance": False, "k8s_distro": "k3s"},
            "$process_person_profile": False,
            "$geoip_disable": True,
        },
    }


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"event_properties": {}},
        {"derived_properties": {}},
        {"event_properties": {}, "derived_properties": {}, "app_properties": {}},
        {"event_properties": {}, "derived": {}},
        {"event_properties": [], "derived_properties": {}},
        {"event_properties": {}, "derived_properties": None},
    ],
)
@pytest.mark.parametrize("url", ["", "https://analytics.example"])
def test_a_payload_of_another_shape_is_refused_on_or_off(payload: Any, url: str) -> None:
    client = AnalyticsClient(Backend(url, KEY), INSTALLATION, LOOPBACK)
    with pytest.raises(ValueError, match="exactly event_properties and derived_properties"):
        client.send_event(Event.DEBUG_PING, payload)


@pytest.mark.parametrize("event", ["galaxy:created", "", "ALERT_SHOWN", "one"])
def test_an_unknown_event_is_refused(event: Any) -> None:
    with pytest.raises(ValueError, match="is not a valid Event"):
        AnalyticsClient(Backend(), None, LOOPBACK).send_event(event, EMPTY)


def test_the_name_of_an_event_will_do() -> None:
    name: Any = "debug-ping"
    assert sent(name, EMPTY)[0] is True


@pytest.mark.parametrize("event", Event)
def test_while_off_the_answer_is_false_and_nothing_is_sent(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Transport, "post")
    assert AnalyticsClient(Backend(), INSTALLATION, LOOPBACK).send_event(event, EMPTY) is False
    assert AnalyticsClient(Backend("https://x.example", KEY), None, LOOPBACK).send_event(event, EMPTY) is False


def test_there_is_no_default_address() -> None:
    assert Backend().is_on is False
    assert Backend().url == ""


@pytest.mark.parametrize(
    "no",
    [
        answer(b"500 Oops"),
        answer(b"401 Unauthorized", b'{"type":"authentication_error"}'),
        answer(b"302 Found", b"", b"Location: https://elsewhere.example/"),
        ok(b'{"status":0}'),
        ok(b'{"status":"error"}'),
        b"HTTP/1.1 garbage\r\n\r\n",
    ],
)
def test_when_the_backend_says_no_the_answer_is_false(no: bytes) -> None:
    assert sent(Event.DEBUG_PING, EMPTY, answering(no))[0] is False


@pytest.mark.parametrize("yes", [ok(b""), ok(b'{"status":"Ok"}'), ok(b'{"status":1}'), ok(b"[]"), ok(b"<html>")])
def test_any_other_2xx_is_a_yes(yes: bytes) -> None:
    assert sent(Event.DEBUG_PING, EMPTY, answering(yes))[0] is True


def test_nobody_there_is_false() -> None:
    with listening(YES) as site:
        backend = site.backend
    assert AnalyticsClient(backend, INSTALLATION, LOOPBACK).send_event(Event.DEBUG_PING, EMPTY) is False


def test_the_guard_holds_for_analytics_too() -> None:
    with listening(YES) as site:
        client = AnalyticsClient(site.backend, INSTALLATION, Guard(parse_networks([])))
        assert client.send_event(Event.DEBUG_PING, EMPTY) is False
        assert site.receiver.connections == 0


def test_what_is_given_is_not_changed() -> None:
    payload = {"event_properties": {"active": True, "project": {"name": "acme"}}, "derived_properties": {"x": [1]}}
    before = copy.deepcopy(payload)
    sent(Event.HEARTBEAT_TRIGGER, payload)
    assert payload == before


def in_the_place_of(shape: Any, flock: Flock) -> Any:
    """A canary wherever something is allowed."""
    match shape:
        case Kind():
            return flock.string()
        case Listed(of):
            return [in_the_place_of(of, flock)]
        case Keyed(keys, of):
            known = next(key for key in KEYS if keys.holds(key))
            return {key: in_the_place_of(of, flock) for key in (known, flock.string())}
    return {key: in_the_place_of(inner, flock) for key, inner in shape.items()}


@pytest.mark.parametrize("event", Event)
def test_what_the_allow_list_does_not_name_is_not_sent(event: Event) -> None:
    """Whatever a caller believes to be anonymous."""
    flock = Flock()
    more = {flock.string(): {flock.string(): flock.string()}, "title": flock.string()}
    halves = ALLOWED[event]._asdict().items()
    spoiled = {half: with_something_in_every_object(in_the_place_of(shape, flock), more) for half, shape in halves}
    assert heard(orjson.dumps(spoiled).decode()) == flock.planted
    anonymous: Any = analytics.anonymous(event, spoiled)
    assert heard(orjson.dumps(anonymous).decode()) == set()
    assert anonymous["event_properties"]["type"] == event.value


def test_a_saved_pipeline_tells_its_counts() -> None:
    uuid = str(uuid4())
    definition = {"uuid": uuid, "name": "acme", "version": "1.2.3", "steps": {uuid: {"uuid": uuid, "title": "acme"}}}
    payload = {
        "event_properties": {"project_uuid": uuid, "pipeline_uuid": uuid, "pipeline_definition": definition},
        "derived_properties": {"pipeline_definition": {"step_count": 1, "name": "acme"}},
    }
    _, site = sent(Event.PROJECT_PIPELINE_SAVED, payload)
    properties = site.events[0]["properties"]
    assert properties["event_properties"] == {
        "type": "project:pipeline:saved",
        "project_uuid": uuid,
        "pipeline_uuid": uuid,
        "pipeline_definition": {"uuid": uuid, "version": "1.2.3", "steps": {uuid: {"uuid": uuid}}},
    }
    assert properties["derived_properties"] == {"pipeline_definition": {"step_count": 1}}


def test_what_is_said_of_the_installation_is_anonymous_too() -> None:
    app = AppProperties(orchest_version="v2026.11.0-acme")
    system = SystemProperties(host_os="acme-os", k8s_distro="acme-cloud")
    with listening(YES) as site:
        backend = Backend(site.backend.url, KEY, app, system)
        assert AnalyticsClient(backend, INSTALLATION, LOOPBACK).send_event(Event.DEBUG_PING, EMPTY)
    assert "acme" not in orjson.dumps(site.bodies).decode()
    assert site.events[0]["properties"]["app_properties"] == {"dev": False, "cloud": False}


def test_the_address_and_the_key_are_not_shown() -> None:
    backend = Backend("https://u:hunter2@analytics.example", KEY)
    assert KEY not in repr(backend)
    assert "hunter2" not in repr(backend)


# The settings.


@pytest.mark.parametrize(
    ("url", "key", "says"),
    [
        ("https://analytics.example", "", "ORCHEST_ANALYTICS_KEY is not set"),
        ("analytics.example", KEY, "ORCHEST_ANALYTICS_URL"),
        ("https://10.0.0.1", KEY, "ORCHEST_ANALYTICS_URL: .*ORCHEST_ALLOWED_NETWORKS"),
        ("ftp://analytics.example", KEY, "ORCHEST_ANALYTICS_URL"),
        ("https://analytics.example/?token=hunter2", KEY, "query"),
        ("https://user:hunter2@analytics.example", KEY, "ORCHEST_ANALYTICS_URL"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_mend(url: str, key: str, says: str) -> None:
    with pytest.raises(AnalyticsError, match=says) as caught:
        check(Backend(url, key), Guard(parse_networks([])))
    assert "hunter2" not in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("url", ["", "https://analytics.example", "https://analytics.example/", "https://x.example/ph"])
def test_a_setting_that_can_be_used_is_not_complained_about(url: str) -> None:
    backend = Backend(url, KEY)
    check(backend, Guard(parse_networks([])))
    assert backend.address.endswith("/batch/")
    assert "//batch" not in backend.address


# The sender.


def parcel(layer: Layer) -> Parcel:
    event = event_of(example_type(layer), EXAMPLES[layer], EVENT, NOW)
    destination = Destination(SUBSCRIBER, "analytics", "analytics")
    return Parcel(uuid4(), 1, event.type, json_text(event.to_telemetry_payload()), destination)


def posted(parcels: Sequence[Parcel], behaviour: Behaviour) -> tuple[Outcome, Site]:
    async def run() -> tuple[Outcome, Site]:
        transport = Transport(LOOPBACK, Limits(total_seconds=2))
        async with receiving(behaviour) as receiver:
            site = Site(receiver)
            sender: Sender = AnalyticsSender(site.backend, INSTALLATION, transport)
            outcome = await sender.send(parcels, datetime.now(UTC))
            await transport.close()
        return outcome, site

    return uvloop.run(run())


def test_a_batch_is_one_request_with_everything_that_was_recorded() -> None:
    parcels = [parcel(layer) for layer in EXAMPLES]
    outcome, site = posted(parcels, YES)
    assert (outcome.result, outcome.status_code) == (Result.DELIVERED, 200)
    assert len(site.receiver.requests) == 1
    for sent_event, one in zip(site.events, parcels, strict=True):
        assert sent_event["event"] == one.event_type
        assert sent_event["uuid"] == str(EVENT)
        assert sent_event["timestamp"] == "2026-11-22T18:30:05.250000+00:00"
        told = orjson.loads(one.payload)
        halves = {half: sent_event["properties"][half] for half in ("event_properties", "derived_properties")}
        assert halves == told


def test_a_repeated_batch_is_the_same_to_the_byte() -> None:
    parcels = [parcel(layer) for layer in EXAMPLES]
    first, again = (posted(parcels, YES)[1].receiver.requests[0].partition(b"\r\n\r\n")[2] for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("said", "result"),
    [
        (answer(b"503 Busy"), Result.REJECTED),
        (answer(b"410 Gone"), Result.GONE),
        (ok(b'{"status":0}'), Result.REFUSED),
    ],
)
def test_a_no_is_one_outcome_for_the_whole_batch(said: bytes, result: Result) -> None:
    outcome, _ = posted([parcel(layer) for layer in EXAMPLES], answering(said))
    assert outcome.result is result
    assert outcome.message


def test_the_pause_that_the_backend_asks_for_is_read() -> None:
    outcome, _ = posted([parcel(next(iter(EXAMPLES)))], answering(answer(b"429 Slow", b"", b"Retry-After: 120")))
    assert outcome.retry_after == timedelta(seconds=120)


def test_an_event_of_a_newer_release_goes_as_that_release_recorded_it() -> None:
    payload = '{"event_properties":{"uuid":"x","type":"galaxy:created","timestamp":"t"},"derived_properties":{}}'
    newer = Parcel(uuid4(), 1, "galaxy:created", payload, Destination(SUBSCRIBER, "analytics"))
    outcome, site = posted([parcel(next(iter(EXAMPLES))), newer], YES)
    assert outcome.result is Result.DELIVERED
    assert [event["event"] for event in site.events][1] == "galaxy:created"


# The subscriber.

ON = Backend("https://analytics.example", KEY)


def followed(database: Database, backend: Backend) -> UUID | None:
    with database.writing() as session:
        return follow(session, backend, datetime.now(UTC))


def recorded(database: Database, count: int = 1) -> list[UUID]:
    with database.writing() as session:
        facts = ProjectFacts(project_uuid=uuid4(), project_name="acme")
        return [register_project_created_event(session, facts) for _ in range(count)]


def statuses(database: Database) -> list[tuple[str, str]]:
    with database.reading() as session:
        return [(row.lane, row.status) for row in session.scalars(select(DeliveryRow).order_by(DeliveryRow.uuid))]


def test_turned_on_it_hears_every_type_in_its_own_lane(database: Database) -> None:
    installation = followed(database, ON)
    assert installation is not None
    assert installation.version == 4
    with database.reading() as session:
        for event_type in EventType:
            found = hearing(session, event_type, uuid4(), uuid4())
            assert found == [(SUBSCRIBER, "analytics", "enabled")]
    recorded(database)
    assert statuses(database) == [("analytics", "scheduled")]


def test_every_start_finds_it_as_it_was(database: Database) -> None:
    first = followed(database, ON)
    assert [followed(database, ON) for _ in range(3)] == [first] * 3


def test_processes_that_start_together_agree_on_one_installation(database: Database) -> None:
    found: list[UUID | None] = []
    begin = threading.Barrier(4)

    def start() -> None:
        begin.wait()
        found.append(followed(database, ON))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Subscription)) == 1


def test_off_from_the_start_leaves_no_trace(database: Database) -> None:
    assert followed(database, Backend()) is None
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(EndpointRow)) == 0
    recorded(database)
    assert statuses(database) == []


def test_turned_off_nothing_is_written_and_what_waited_is_gone(database: Database) -> None:
    followed(database, ON)
    recorded(database, 3)
    assert followed(database, Backend()) is None
    assert statuses(database) == []
    recorded(database)
    assert statuses(database) == []
    with database.reading() as session:
        texts = session.scalars(select(EventRow.telemetry).order_by(EventRow.uuid)).all()
    assert [text is None for text in texts] == [False, False, False, True]


def test_turned_on_again_it_is_the_same_installation_and_the_past_stays_untold(database: Database) -> None:
    installation = followed(database, ON)
    followed(database, Backend())
    recorded(database)
    assert followed(database, ON) == installation
    recorded(database)
    assert statuses(database) == [("analytics", "scheduled")]


def test_a_backend_that_was_given_up_gets_another_chance_at_the_next_start(database: Database) -> None:
    followed(database, ON)
    recorded(database)
    with database.writing() as session:
        session.get_one(EndpointRow, SUBSCRIBER).condition = "disabled"
        session.scalars(select(DeliveryRow)).one().status = "held"
    recorded(database)
    assert statuses(database) == [("analytics", "held")]
    followed(database, ON)
    assert statuses(database) == [("analytics", "scheduled")]


def test_other_subscribers_are_left_alone(database: Database) -> None:
    followed(database, ON)
    other = uuid4()
    (event,) = recorded(database)
    with database.writing() as session:
        session.execute(insert(Subscriber).values(uuid=other, type="webhook", created_at=NOW, max_in_flight=1))
        row = {"uuid": uuid4(), "event_uuid": event, "subscriber_uuid": other, "status": "held", "lane": "first"}
        times = {"attempts": 0, "created_at": NOW, "due_at": NOW}
        session.execute(insert(DeliveryRow).values(row | times))
    followed(database, Backend())
    followed(database, ON)
    assert statuses(database) == [("first", "held")]


# All of it.


@contextmanager
def delivering(database: Database, site: Site, installation: UUID) -> Iterator[None]:
    transport = Transport(LOOPBACK)
    sender = AnalyticsSender(site.backend, installation, transport)
    ring = KeyRing(["k" * 64])
    engine = Engine(database, {"analytics": sender}, ring, EngineSettings(), on_end=[transport.close])
    thread = threading.Thread(target=engine.run)
    thread.start()
    try:
        yield
    finally:
        engine.stop(time.monotonic() + 5)
        thread.join()


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def test_what_is_recorded_arrives_in_batches_each_event_once(database: Database) -> None:
    installation = followed(database, ON)
    assert installation is not None
    uuids = recorded(database, 3 * BATCH)
    with listening(YES) as site, delivering(database, site, installation):
        until(lambda: statuses(database) == [("analytics", "delivered")] * len(uuids))
        assert sorted(event["uuid"] for event in site.events) == sorted(map(str, uuids))
        assert len(site.receiver.requests) <= 6
        assert {event["distinct_id"] for event in site.events} == {str(installation)}
        assert "acme" not in orjson.dumps(site.bodies).decode()


def test_a_no_counts_as_an_attempt_and_is_tried_again_later(database: Database) -> None:
    installation = followed(database, ON)
    assert installation is not None
    recorded(database, 5)

    with listening(answering(ok(b'{"status":0}'))) as site, delivering(database, site, installation):
        until(lambda: [row.result for row in _attempts(database)] == ["refused"] * 5)
    with database.reading() as session:
        rows = session.scalars(select(DeliveryRow)).all()
    assert [(row.status, row.lane, row.attempts) for row in rows] == [("scheduled", "analytics", 1)] * 5
    assert all(row.due_at > datetime.now(UTC) + timedelta(seconds=30) for row in rows)


def _attempts(database: Database) -> Sequence[AttemptRow]:
    with database.reading() as session:
        return session.scalars(select(AttemptRow)).all()
