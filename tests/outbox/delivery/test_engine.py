from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, text, update

from outbox.delivery.engine import Engine, EngineSettings
from outbox.delivery.finish import Policies
from outbox.delivery.models import DeliveryRow
from outbox.delivery.outcome import Outcome, Result
from outbox.delivery.schedule import WEBHOOK_POLICY
from outbox.delivery.state import Lane
from outbox.subscribers.models import EndpointRow, Subscriber
from tests.outbox.delivery import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    from outbox.database import Database
    from outbox.delivery.sender import Parcel

DELIVERED = Outcome(Result.DELIVERED, "204", status_code=204, milliseconds=1.5)
TIMEOUT = Outcome(Result.TIMEOUT, "no answer")
AT_ONCE = replace(WEBHOOK_POLICY, delays=(timedelta(0), timedelta(0), timedelta(hours=1)))


class Post:
    """A sender that writes down what it is given, and answers as it was told to."""

    def __init__(
        self, *outcomes: Outcome, batch_size: int = 1, before: Callable[[Sequence[Parcel]], float] = lambda _: 0.0
    ) -> None:
        """`outcomes` by attempt, the last one for all after it; `before`: seconds that a request takes."""
        self.batch_size = batch_size
        self.sent: list[tuple[float, tuple[Parcel, ...]]] = []
        self.under_way = 0
        self.most_under_way = 0
        self._outcomes = outcomes or (DELIVERED,)
        self._before = before

    async def send(self, parcels: Sequence[Parcel], now: datetime) -> Outcome:
        assert now.tzinfo is UTC
        self.sent.append((time.monotonic(), tuple(parcels)))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self._before(parcels))
        finally:
            self.under_way -= 1
        return self._outcomes[min(parcels[0].attempt, len(self._outcomes)) - 1]

    @property
    def deliveries(self) -> list[str]:
        return [str(parcel.delivery) for _, parcels in self.sent for parcel in parcels]


def engine_of(database: Database, post: Post, *, kind: str = "webhook", **settings: Any) -> Engine:
    return Engine(database, {kind: post}, rows.KEY_RING, EngineSettings(**settings))


@contextmanager
def running(engine: Engine, grace: float = 5.0) -> Iterator[Engine]:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            engine.run()
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield engine
    finally:
        engine.stop(time.monotonic() + grace)
        thread.join(grace + 20)
    assert not thread.is_alive()
    assert failures == []


def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


def statuses(database: Database) -> list[str]:
    return [row["status"] for row in rows.deliveries(database)]


def test_what_is_due_is_sent_once_recorded_and_over(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    expected = rows.add_deliveries(database, subscriber, 300)
    post = Post()
    with running(engine_of(database, post)):
        until(lambda: statuses(database) == ["delivered"] * 300)
    assert sorted(post.deliveries) == sorted(str(uuid) for uuid in expected)
    attempts = rows.attempts(database)
    assert [(row["number"], row["result"], row["status_code"]) for row in attempts] == [(1, "delivered", 204)] * 300
    finished = rows.deliveries(database)[0]
    assert (finished["claimed_by"], finished["lease_until"], finished["attempts"]) == (None, None, 1)
    assert finished["finished_at"] > finished["created_at"]


def seconds_until_sent(
    database: Database, act: Callable[[Engine], object], patience: float = 10.0, **settings: Any
) -> float:
    """From `act`, while the engine idles, to the request."""
    post = Post()
    with running(engine_of(database, post, **settings)) as engine:
        time.sleep(0.5)
        began = time.monotonic()
        act(engine)
        until(lambda: post.sent, patience)
        return post.sent[0][0] - began


def test_what_nobody_hinted_at_is_found_by_the_sweep(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    assert seconds_until_sent(database, lambda _: rows.add_deliveries(database, subscriber)) < 5


def test_without_its_look_at_the_rows_the_sweep_would_find_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutation: the sweep trusts the hints."""
    monkeypatch.setattr(Engine, "_sweep", lambda _: asyncio.sleep(0))
    subscriber = rows.add_subscriber(database)
    with pytest.raises(AssertionError, match="it did not come true"):
        seconds_until_sent(database, lambda _: rows.add_deliveries(database, subscriber), patience=3.0)


def test_a_hint_does_not_wait_for_the_sweep(database: Database) -> None:
    subscriber = rows.add_subscriber(database)

    def commit_and_hint(engine: Engine) -> None:
        rows.add_deliveries(database, subscriber)
        assert engine.wake().wait(10)
        assert rows.deliveries(database)[0]["attempts"] == 1

    assert seconds_until_sent(database, commit_and_hint, sweep_seconds=60.0) < 10


def test_to_wake_an_engine_that_does_not_run_waits_for_nothing(database: Database) -> None:
    engine = engine_of(database, Post())
    assert engine.wake().is_set()
    with running(engine):
        pass
    assert engine.wake().is_set()


def test_a_failed_attempt_is_followed_by_the_next(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber)
    post = Post(TIMEOUT, DELIVERED)
    with running(engine_of(database, post, policies=Policies(webhook=AT_ONCE))):
        until(lambda: statuses(database) == ["delivered"])
    assert [(row["number"], row["result"]) for row in rows.attempts(database)] == [(1, "timeout"), (2, "delivered")]
    assert rows.deliveries(database)[0]["lane"] == "retry"
    assert rows.endpoint(database, subscriber)["consecutive_failures"] == 0


def test_failures_open_the_breaker_and_the_rest_waits_without_attempts(database: Database) -> None:
    subscriber = rows.add_subscriber(database, max_in_flight=1)
    rows.add_deliveries(database, subscriber, 30)
    post = Post(TIMEOUT)
    with running(engine_of(database, post)):
        until(lambda: rows.endpoint(database, subscriber)["breaker"] == "open")
        time.sleep(1.5)
    assert len(post.sent) == 5
    assert sum(row["attempts"] for row in rows.deliveries(database)) == 5


def test_a_half_open_endpoint_is_sent_one_probe(database: Database) -> None:
    subscriber = rows.add_subscriber(
        database, breaker="open", openings=1, consecutive_failures=5, failing_since=rows.NOW, open_until=rows.NOW
    )
    rows.add_deliveries(database, subscriber, 6)
    post = Post(before=lambda _: 0.5)
    with running(engine_of(database, post)):
        until(lambda: post.sent)
        time.sleep(0.4)
        assert len(post.sent) == 1
        until(lambda: statuses(database) == ["delivered"] * 6, 30)
    assert rows.endpoint(database, subscriber)["breaker"] == "closed"


def test_gone_disables_the_endpoint_and_holds_what_waits_for_it(database: Database) -> None:
    subscriber = rows.add_subscriber(database, max_in_flight=1)
    rows.add_deliveries(database, subscriber, 10)
    post = Post(Outcome(Result.GONE, "410 Gone", status_code=410))
    with running(engine_of(database, post)):
        until(lambda: statuses(database) == ["held"] * 10)
    assert rows.endpoint(database, subscriber)["condition"] == "disabled"
    assert len(post.sent) == 1


def test_an_endpoint_that_hangs_delays_nobody_else(database: Database) -> None:
    hanging, healthy = rows.add_subscriber(database, max_in_flight=20), rows.add_subscriber(database)
    rows.add_deliveries(database, hanging, 200)
    rows.add_deliveries(database, healthy, 200)
    post = Post(before=lambda parcels: 30.0 if parcels[0].destination.subscriber == hanging else 0.0)
    with running(engine_of(database, post, slots=32), grace=0.0):
        until(lambda: statuses(database).count("delivered") == 200)
    assert {str(row["subscriber_uuid"]) for row in rows.deliveries(database) if row["status"] == "delivered"} == {
        str(healthy)
    }


def test_the_cap_of_an_endpoint_holds_over_all_workers(database: Database) -> None:
    subscriber = rows.add_subscriber(database, max_in_flight=3)
    rows.add_deliveries(database, subscriber, 60)
    post = Post(before=lambda _: 0.03)
    with running(engine_of(database, post)), running(engine_of(database, post)):
        until(lambda: statuses(database) == ["delivered"] * 60, 30)
    assert post.most_under_way == 3
    assert len(post.sent) == 60
    assert len({row["worker"] for row in rows.attempts(database)}) <= 2


def test_the_rate_of_an_endpoint_holds(database: Database) -> None:
    subscriber = rows.add_subscriber(database, rate=10.0)
    rows.add_deliveries(database, subscriber, 100)
    post = Post()
    with running(engine_of(database, post)):
        until(lambda: post.sent)
        time.sleep(2.0)
        passed = time.monotonic() - post.sent[0][0]
        sent = len(post.sent)
    assert 20 <= sent <= 10 * (passed + 1) + 1


def test_a_sender_of_batches_gets_them_and_its_answer_is_for_all(database: Database) -> None:
    subscriber = rows.add_subscriber(database, kind="analytics")
    rows.add_deliveries(database, subscriber, 25, lane="analytics")
    post = Post(batch_size=10)
    with running(engine_of(database, post, kind="analytics")):
        until(lambda: statuses(database) == ["delivered"] * 25)
    assert sorted(len(parcels) for _, parcels in post.sent) == [5, 10, 10]
    assert len(rows.attempts(database)) == 25
    assert {parcel.payload for _, parcels in post.sent for parcel in parcels} == {
        f'{{"telemetry": {number}}}' for number in range(25)
    }


def test_a_sender_that_fails_costs_one_attempt_and_not_the_process(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, 2)

    def fail_once(parcels: Sequence[Parcel]) -> float:
        if parcels[0].payload.endswith("0}"):
            raise KeyError("canary")
        return 0.0

    with running(engine_of(database, Post(before=fail_once))):
        until(lambda: sorted(statuses(database)) == ["delivered", "scheduled"])
    refused = [row for row in rows.attempts(database) if row["result"] == "refused"]
    assert [row["message"] for row in refused] == ["Not sent: the sender failed. The worker's log has the details."]


def test_secrets_that_cannot_be_read_are_an_attempt_with_the_mend(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber)
    rows.change(database, Subscriber, url=b"garbage")
    post = Post()
    with running(engine_of(database, post)):
        until(lambda: rows.attempts(database))
    (row,) = rows.attempts(database)
    assert row["result"] == "refused"
    assert "ORCHEST_SECRET_KEYS" in row["message"]
    assert post.sent == []


def test_a_kind_of_a_newer_release_is_an_attempt_too(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber)
    with running(engine_of(database, Post(), kind="pigeon")):
        until(lambda: rows.attempts(database))
    assert "no sender for it" in rows.attempts(database)[0]["message"]


def test_a_new_url_is_used_within_a_second_or_so(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    post = Post()
    with running(engine_of(database, post)) as engine:
        rows.add_deliveries(database, subscriber)
        engine.wake()
        until(lambda: post.sent)
        encrypted = rows.KEY_RING.encrypt("https://new.example/", f"url of {subscriber}")
        rows.change(database, Subscriber, url=encrypted)
        time.sleep(1.1)
        rows.add_deliveries(database, subscriber)
        engine.wake()
        until(lambda: len(post.sent) == 2)
    assert [parcels[0].destination.url for _, parcels in post.sent] == [rows.URL, "https://new.example/"]


def test_a_paused_endpoint_hears_nothing_from_the_next_claim_on(database: Database) -> None:
    subscriber = rows.add_subscriber(database, max_in_flight=2)
    rows.add_deliveries(database, subscriber, 500)
    post = Post(before=lambda _: 0.02)
    with running(engine_of(database, post)):
        until(lambda: len(post.sent) > 10)
        rows.change(database, EndpointRow, condition="paused")
        time.sleep(0.3)
        sent = len(post.sent)
        until(lambda: not {"scheduled", "claimed"} & set(statuses(database)))
        assert len(post.sent) == sent
        rows.change(database, EndpointRow, condition="enabled")
        until(lambda: len(post.sent) > sent)


def test_the_deliveries_of_a_worker_that_died_are_sent_by_another(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, 5)
    rows.claim_all(database, subscriber, worker="dead")
    post = Post()
    with running(engine_of(database, post)):
        time.sleep(1.5)
        assert post.sent == []
        with database.writing() as session:
            session.execute(update(rows.table_of(DeliveryRow)).values(lease_until=datetime.now(UTC)))
        ended = time.monotonic()
        until(lambda: len(post.sent) == 5)
    assert max(at for at, _ in post.sent) - ended < 5
    assert {row["number"] for row in rows.attempts(database)} == {2}


def test_stopping_finishes_what_is_under_way_and_claims_nothing_more(database: Database) -> None:
    subscriber = rows.add_subscriber(database, max_in_flight=4)
    rows.add_deliveries(database, subscriber, 20)
    post = Post(before=lambda _: 0.5)
    with running(engine_of(database, post)):
        until(lambda: len(post.sent) == 4)
    assert len(post.sent) == 4
    assert sorted(statuses(database)) == ["delivered"] * 4 + ["scheduled"] * 16


def test_what_is_not_finished_by_the_deadline_is_given_back(database: Database) -> None:
    subscriber = rows.add_subscriber(database, max_in_flight=4)
    rows.add_deliveries(database, subscriber, 4)
    post = Post(before=lambda _: 60.0)
    with running(engine_of(database, post), grace=0.3):
        until(lambda: len(post.sent) == 4)
    assert post.under_way == 0
    for row in rows.deliveries(database):
        assert (row["status"], row["claimed_by"], row["attempts"]) == ("scheduled", None, 1)
    assert len(rows.claim_all(database, subscriber, lane=Lane.RETRY)) == 4


def test_what_the_database_refuses_spoils_nothing_else(database: Database) -> None:
    """A value that no attempt row may have: the others are written, its own lease runs out."""
    subscriber = rows.add_subscriber(database)
    uuids = rows.add_deliveries(database, subscriber, 40)
    refuse_attempts_of(database, uuids[7])
    with running(engine_of(database, Post())):
        until(lambda: statuses(database).count("delivered") == 39)
        time.sleep(0.5)
        assert statuses(database).count("claimed") == 1


def refuse_attempts_of(database: Database, uuid: UUID) -> None:
    if database.is_sqlite:
        condition = f"WHEN NEW.delivery_uuid = '{uuid.hex}' BEGIN SELECT RAISE(ABORT, 'refused'); END"
        statement = f"CREATE TRIGGER refuse BEFORE INSERT ON attempts {condition}"
    else:
        statement = f"ALTER TABLE attempts ADD CONSTRAINT refuse CHECK (delivery_uuid <> '{uuid}')"
    with database.altering() as connection:
        connection.execute(text(statement))


def test_connections_that_break_again_and_again_lose_nothing(database: Database) -> None:
    if database.is_sqlite:
        return  # it has none that could break
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, 400)
    post = Post(before=lambda _: 0.01)
    with running(engine_of(database, post)) as engine:
        for _ in range(4):
            break_what_waits(database)
        until(lambda: statuses(database) == ["delivered"] * 400, 30)
        assert engine.metrics.database_errors._value.get() > 0
    assert len(rows.attempts(database)) == 400
    assert len(post.sent) == 400


def break_what_waits(database: Database) -> None:
    """Connections are ended while the engine is in the middle of a statement: it waits for a lock that is held here."""
    ours = "datname = current_database()"
    with database.engine.connect() as holder, database.engine.connect() as killer:
        holder.execute(text("LOCK TABLE deliveries IN EXCLUSIVE MODE"))
        held = holder.execute(text("SELECT pg_backend_pid()")).scalar_one()
        killer.execution_options(isolation_level="AUTOCOMMIT")  # within one transaction the server shows one picture
        waiting = text(f"SELECT count(*) FROM pg_stat_activity WHERE {ours} AND wait_event_type = 'Lock'")
        until(lambda: killer.execute(waiting).scalar_one() > 0)
        killer.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE {ours} AND pid NOT IN (pg_backend_pid(), :held)"
            ),
            {"held": held},
        )


def test_an_idle_worker_writes_nothing(database: Database) -> None:
    if not database.is_sqlite:
        return  # there it would disturb nobody
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber)
    with running(engine_of(database, Post(), sweep_seconds=0.1)):
        until(lambda: statuses(database) == ["delivered"])
        time.sleep(0.3)
        gate = database.file.with_name(f"{database.file.name}.writer")
        gate.unlink()
        time.sleep(1.0)
        assert not gate.exists()


def test_the_engine_shows_that_it_lives(database: Database) -> None:
    engine = engine_of(database, Post())
    with running(engine):
        first = engine.last_beat
        until(lambda: engine.last_beat > first)
        assert time.monotonic() - engine.last_beat < 5


def test_a_removed_subscriber_leaves_nothing_behind(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, 10)
    post = Post(before=lambda _: 0.3)
    with running(engine_of(database, post)) as engine:
        until(lambda: len(post.sent) == 10)
        with database.writing() as session:
            session.execute(delete(rows.table_of(Subscriber)))
        until(lambda: post.under_way == 0)
        assert engine.wake().wait(5)
        rows.add_deliveries(database, rows.add_subscriber(database))
        engine.wake()
        until(lambda: statuses(database) == ["delivered"])


def test_what_happened_is_counted(database: Database) -> None:
    subscriber = rows.add_subscriber(database)
    rows.add_deliveries(database, subscriber, 3)
    engine = engine_of(database, Post())
    with running(engine):
        until(lambda: statuses(database) == ["delivered"] * 3)
    assert engine.metrics.attempts.labels("first", "delivered")._value.get() == 3
    assert engine.metrics.claims.labels("first")._value.get() == 3
