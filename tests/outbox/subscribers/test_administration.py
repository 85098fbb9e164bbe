from __future__ import annotations

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import event, select, text, update

from outbox.delivery.guard import Guard, parse_networks
from outbox.delivery.signing import key_of
from outbox.identity import new_uuid
from outbox.key_ring import KeyRing, KeyRingError
from outbox.subscribers import administration
from outbox.subscribers.administration import MOST_OLD_SECRETS, new_secret
from outbox.subscribers.destinations import load_destinations
from outbox.subscribers.errors import NotNow, Unacceptable, Unknown
from outbox.subscribers.models import Analytics, EndpointRow, SigningSecret, Webhook
from outbox.subscribers.patterns import Interest
from outbox.subscribers.webhook import Permission
from tests.outbox.delivery.rows import add_deliveries, deliveries
from tests.outbox.subscribers.wishes import DAY, KEYS, NOW, PERMISSION, SECRET, URL, added, wish

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from outbox.database import Database
    from outbox.subscribers.destination import Destination
    from outbox.subscribers.webhook import WebhookSpec

PROJECT, JOB = uuid4(), uuid4()


def destination(session: Session, webhook: UUID, after: timedelta = timedelta()) -> Destination:
    return load_destinations(session, KEYS, [webhook], NOW + after)[webhook]


def everything_stored(session: Session) -> str:
    tables = ("subscribers", "signing_secrets", "subscriptions", "endpoints")
    rows = [row for table in tables for row in session.execute(text(f"SELECT * FROM {table}"))]
    return repr([[bytes(value) if isinstance(value, memoryview) else value for value in row] for row in rows])


def test_what_was_asked_for_reaches_the_sender(database: Database) -> None:
    headers = (("Authorization", "Bearer hunter2"), ("X-Team", "data"))
    with database.writing() as session:
        hook = added(session, headers=headers, content_type="application/x-www-form-urlencoded")
    with database.reading() as session:
        sent = destination(session, hook.uuid)
    assert (sent.subscriber, sent.kind, sent.name, sent.url) == (hook.uuid, "webhook", "ci", URL)
    assert (sent.secrets, sent.headers) == ((SECRET,), headers)
    assert (sent.content_type, sent.verify_ssl) == ("application/x-www-form-urlencoded", True)


def test_nothing_sensitive_is_stored_readably_or_shown(database: Database) -> None:
    with database.writing() as session:
        hook = added(session, headers=(("Authorization", "hunter2"),))
        stored = everything_stored(session)
        shown = repr([hook, administration.webhooks(session, NOW), administration.find(session, "ci", NOW)])
    for sensitive in (URL, "services/T0", "hidden", SECRET, SECRET.removeprefix("whsec_"), "hunter2", "Authorization"):
        assert sensitive not in stored
        assert sensitive not in shown
    assert hook.url_origin == "https://hooks.example.com"


def test_a_made_secret_has_32_random_bytes() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(key_of(secret)) for secret in made} == {32}
    assert {len(base64.b64decode(secret.removeprefix("whsec_"))) for secret in made} == {32}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, ("name: ",)),
        ({"name": "x" * 101}, ("name: ", "100")),
        ({"name": "a\nb"}, ("name: ",)),
        ({"url": "http://127.0.0.1/x"}, ("url: ", "ORCHEST_ALLOWED_NETWORKS")),
        ({"url": "ftp://example.com/secret-path"}, ("url: ", "https://")),
        ({"content_type": "text/xml"}, ("content_type text/xml: ", "application/json")),
        ({"verify_ssl": False}, ("verify_ssl: ", "ORCHEST_ALLOW_INSECURE_TLS=1")),
        ({"subscriptions": ()}, ("subscriptions: ",)),
        ({"subscriptions": (Interest("project:craeted"),)}, ("Did you mean project:created",)),
        ({"max_in_flight": 0}, ("max_in_flight 0: ",)),
        ({"max_in_flight": 101}, ("max_in_flight 101: ",)),
        ({"rate_per_second": 0.0}, ("rate_per_second: ",)),
        ({"rate_per_second": float("nan")}, ("rate_per_second: ",)),
        ({"headers": (("X-A", "hunter2\r\nX-B: c"),)}, ("header X-A", "plain visible ASCII")),
        ({"headers": (("webhook-id", "hunter2"),)}, ("header webhook-id", "Choose another name")),
        ({"headers": (("X A", "hunter2"),)}, ("not a header name",)),
        ({"headers": (("X-A", "hunter2" * 1000),)}, ("headers: ", "4096")),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_with_the_mend_and_changes_nothing(
    changes: dict[str, Any], words: tuple[str, ...], database: Database
) -> None:
    with database.writing() as session:
        kept = added(session, name="kept")
        with pytest.raises(Unacceptable) as caught:
            added(session, **changes)
        with pytest.raises(Unacceptable):
            administration.change(session, kept.uuid, wish(**changes), permission=PERMISSION, key_ring=KEYS, now=NOW)
        assert administration.webhooks(session, NOW) == [kept]
    for word in words:
        assert word in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "secret-path" not in str(caught.value)


def test_all_mistakes_are_told_at_once(database: Database) -> None:
    with database.writing() as session, pytest.raises(Unacceptable) as caught:
        added(session, "short", name="", url="http://10.0.0.1/")
    assert {line.partition(":")[0] for line in str(caught.value).splitlines()} == {"name", "url", "secret"}


def test_a_mistake_says_where_it_is_and_repeats_what_was_given_only_to_the_one_who_gave_it(database: Database) -> None:
    headers = (("X-A", "a"), ("X canary", "b"), ("webhook-canary", "c"))
    subscriptions = (Interest("*"), Interest("*"), Interest("canary:*"), Interest("canary", PROJECT))
    with database.writing() as session, pytest.raises(Unacceptable) as caught:
        added(session, "canary", headers=headers, subscriptions=subscriptions, content_type="text/canary")
    assert {one.where for one in caught.value.mistakes} == {
        *("secret", "content_type", "headers.1", "headers.2", "subscriptions.2", "subscriptions.3")
    }
    assert "canary" not in caught.value.plain
    for said in (
        "header X canary: ",
        "header webhook-canary: ",
        "subscription canary:*: ",
        "content_type text/canary: ",
    ):
        assert said in str(caught.value)


def test_a_short_secret_is_refused_with_the_mend(database: Database) -> None:
    with database.writing() as session, pytest.raises(Unacceptable, match=r"secret: .*at least 24.*openssl"):
        added(session, "whsec_c2hvcnQ=")


def test_the_operator_may_allow_a_network_and_unverified_certificates(database: Database) -> None:
    permission = Permission(Guard(parse_networks(["10.0.0.0/8"])), allow_insecure_tls=True)
    asked = wish(url="https://10.1.2.3:8443/x", verify_ssl=False)
    with database.writing() as session:
        hook = administration.add(session, asked, SECRET, permission=permission, key_ring=KEYS, now=NOW)
        assert (hook.url_origin, hook.verify_ssl) == ("https://10.1.2.3:8443", False)
        assert destination(session, hook.uuid).verify_ssl is False


def test_a_header_given_twice_is_sent_once_with_the_last_value(database: Database) -> None:
    with database.writing() as session:
        hook = added(session, headers=((" X-Team ", "a"), ("x-team", " b ")))
        assert destination(session, hook.uuid).headers == (("x-team", "b"),)


def test_a_specification_that_was_read_can_be_given_back_changed(database: Database) -> None:
    interests = (Interest("project:*", PROJECT), Interest("project:one-off-job:failed", PROJECT, JOB))
    with database.writing() as session:
        hook = added(session, subscriptions=interests, headers=(("X-Team", "data"),), rate_per_second=2.5)
        spec = administration.specification(session, hook.uuid, KEYS)
        assert spec == wish(subscriptions=interests, headers=(("X-Team", "data"),), rate_per_second=2.5)
        asked = replace(spec, name="cd", subscriptions=(Interest("*"),))
        changed = administration.change(session, hook.uuid, asked, permission=PERMISSION, key_ring=KEYS, now=NOW + DAY)
        assert (changed.name, changed.subscriptions) == ("cd", (Interest("*"),))
        assert changed == replace(hook, name="cd", subscriptions=(Interest("*"),))
        assert administration.specification(session, hook.uuid, KEYS) == asked


def test_a_part_of_it_is_changed_as_it_is_at_that_moment(database: Database) -> None:
    seen = []

    def amended(spec: WebhookSpec) -> WebhookSpec:
        seen.append(spec)
        return replace(spec, max_in_flight=3)

    with database.writing() as session:
        hook = added(session, headers=(("X-Team", "data"),))
        changed = administration.amend(session, hook.uuid, amended, permission=PERMISSION, key_ring=KEYS, now=NOW + DAY)
        assert seen == [wish(headers=(("X-Team", "data"),))]
        assert changed == replace(hook, max_in_flight=3)
        assert destination(session, hook.uuid).headers == (("X-Team", "data"),)


def test_another_receiver_does_not_inherit_the_failures_of_the_former(database: Database) -> None:
    with database.writing() as session:
        hook = added(session)
        session.execute(update(EndpointRow).values(breaker="open", open_until=NOW, failing_since=NOW, openings=3))
        same = administration.change(session, hook.uuid, wish(name="x"), permission=PERMISSION, key_ring=KEYS, now=NOW)
        assert same.breaker == "open"
        asked = wish(url="https://elsewhere.example.com/")
        other = administration.change(session, hook.uuid, asked, permission=PERMISSION, key_ring=KEYS, now=NOW)
        assert (other.breaker, other.failing_since) == ("closed", None)


@pytest.mark.parametrize(
    ("overlap", "after", "live"),
    [
        (DAY, timedelta(0), 2),
        (DAY, timedelta(hours=23, minutes=59), 2),
        (DAY, DAY, 1),
        (timedelta(0), timedelta(0), 1),
        (7 * DAY, 6.9 * DAY, 2),
    ],
)
def test_a_rotated_secret_stays_valid_for_the_overlap_behind_the_new_one(
    overlap: timedelta, after: timedelta, live: int, database: Database
) -> None:
    fresh = new_secret()
    with database.writing() as session:
        hook = added(session)
        view = administration.rotate(session, hook.uuid, fresh, key_ring=KEYS, now=NOW, overlap=overlap)
        assert view.secrets[0].expires_at is None
        assert [secret.expires_at for secret in view.secrets[1:]] == ([NOW + overlap] if overlap else [])
        assert destination(session, hook.uuid, after).secrets == (fresh, SECRET)[:live]


def test_rotating_at_once_ends_every_former_secret(database: Database) -> None:
    leaked, fresh = new_secret(), new_secret()
    with database.writing() as session:
        hook = added(session)
        administration.rotate(session, hook.uuid, leaked, key_ring=KEYS, now=NOW)
        administration.rotate(session, hook.uuid, fresh, key_ring=KEYS, now=NOW, overlap=timedelta())
        assert destination(session, hook.uuid).secrets == (fresh,)
        assert len(session.scalars(select(SigningSecret)).all()) == 1


def test_two_who_rotate_at_once_leave_one_current_secret(database: Database) -> None:
    with database.writing() as session:
        hook = added(session).uuid
    start = threading.Barrier(4)

    def rotate(secret: str) -> None:
        start.wait()
        with database.writing() as session:
            administration.rotate(session, hook, secret, key_ring=KEYS, now=NOW)

    made = {new_secret() for _ in range(4)}
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(rotate, made))
    with database.reading() as session:
        expiries = session.scalars(select(SigningSecret.expires_at)).all()
        assert expiries.count(None) == 1
        assert set(destination(session, hook).secrets) == made | {SECRET}


def test_destinations_are_loaded_by_two_queries_however_many_there_are(database: Database) -> None:
    with database.writing() as session:
        hooks = [added(session, name=f"hook {number}").uuid for number in range(20)]
    asked: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
    with database.reading() as session:
        assert set(load_destinations(session, KEYS, hooks, NOW)) == set(hooks)
    assert len([one for one in asked if one.startswith("SELECT")]) == 2


def test_at_most_ten_former_secrets_stay_valid(database: Database) -> None:
    with database.writing() as session:
        hook = added(session)
        made = [new_secret() for _ in range(MOST_OLD_SECRETS)]
        for seconds, secret in enumerate(made):
            now = NOW + timedelta(seconds=seconds)
            administration.rotate(session, hook.uuid, secret, key_ring=KEYS, now=now)
        assert destination(session, hook.uuid).secrets == (*reversed(made), SECRET)
    with pytest.raises(NotNow, match=r"Wait until 2026-11-23 12:00 UTC"), database.writing() as session:
        administration.rotate(session, hook.uuid, new_secret(), key_ring=KEYS, now=NOW)
    with database.reading() as session:
        assert destination(session, hook.uuid).secrets == (*reversed(made), SECRET)


@pytest.mark.parametrize(
    ("secret", "overlap"), [("", DAY), ("whsec_c2hvcnQ=", DAY), (SECRET, -DAY), (SECRET, 7.1 * DAY)]
)
def test_a_rotation_that_makes_no_sense_is_refused(secret: str, overlap: timedelta, database: Database) -> None:
    with database.writing() as session:
        hook = added(session)
        with pytest.raises(Unacceptable):
            administration.rotate(session, hook.uuid, secret, key_ring=KEYS, now=NOW, overlap=overlap)
        assert destination(session, hook.uuid).secrets == (SECRET,)


def test_pausing_holds_what_waits_and_resuming_makes_it_due(database: Database) -> None:
    with database.writing() as session:
        hook, other = added(session).uuid, added(session, name="other").uuid
    for webhook in (hook, other):
        add_deliveries(database, webhook, 2, due_at=NOW + DAY)
        add_deliveries(database, webhook, 1, status="claimed", claimed_by="worker", lease_until=NOW)
        add_deliveries(database, webhook, 1, status="dead", finished_at=NOW)

    def statuses(webhook: UUID) -> list[str]:
        return [row["status"] for row in deliveries(database) if row["subscriber_uuid"] == webhook]

    with database.writing() as session:
        assert administration.pause(session, hook, NOW).condition == "paused"
    assert statuses(hook) == ["held", "held", "claimed", "dead"]
    with database.writing() as session:
        resumed = administration.resume(session, hook, NOW)
    assert (resumed.condition, resumed.reason) == ("enabled", "")
    assert statuses(hook) == statuses(other) == ["scheduled", "scheduled", "claimed", "dead"]
    due = {row["subscriber_uuid"]: row["due_at"] for row in deliveries(database) if row["status"] == "scheduled"}
    assert due == {hook: NOW, other: NOW + DAY}


def test_resuming_a_disabled_webhook_forgets_its_failures(database: Database) -> None:
    with database.writing() as session:
        hook = added(session).uuid
        session.execute(
            update(EndpointRow).values(
                condition="disabled",
                reason="gone",
                breaker="open",
                consecutive_failures=50,
                failing_since=NOW - 6 * DAY,
                open_until=NOW + DAY,
                openings=9,
                not_before=NOW + DAY,
            )
        )
        administration.resume(session, hook, NOW)
        row = session.get_one(EndpointRow, hook)
        assert (row.condition, row.reason, row.breaker) == ("enabled", "", "closed")
        assert (row.consecutive_failures, row.openings) == (0, 0)
        assert (row.failing_since, row.open_until, row.not_before) == (None, None, None)


def test_resuming_asks_for_a_worker_to_look(database_url: str) -> None:
    from outbox.database import Database
    from outbox.schema import migrate

    hints: list[int] = []
    database = Database(database_url, after_commit=lambda: hints.append(1))
    migrate(database)
    with database.writing() as session:
        hook = added(session).uuid
        administration.pause(session, hook, NOW)
    assert hints == []
    with database.writing() as session:
        administration.resume(session, hook, NOW)
    assert hints == [1]
    database.close()


def test_a_removed_webhook_leaves_nothing_behind_and_others_alone(database: Database) -> None:
    with database.writing() as session:
        hook, other = added(session).uuid, added(session, name="other")
    add_deliveries(database, hook, 3)
    kept = add_deliveries(database, other.uuid, 1)
    with database.writing() as session:
        administration.remove(session, hook)
        assert administration.webhooks(session, NOW) == [other]
        assert str(hook) not in everything_stored(session).replace("-", "")
    assert [row["uuid"] for row in deliveries(database)] == kept


def test_a_webhook_is_found_by_name_uuid_or_what_only_it_begins_with(database: Database) -> None:
    with database.writing() as session:
        one, other = added(session, name="release-a"), added(session, name="release-b")
        twin = added(session, name="release-b")

        def found(reference: str) -> UUID:
            return administration.find(session, reference, NOW).uuid

        assert found("release-a") == found(str(one.uuid)) == found(str(one.uuid).upper()) == one.uuid
        assert found(str(other.uuid)) == other.uuid
        for ambiguous in ("rele", "release-b", str(one.uuid)[:4]):
            with pytest.raises(Unknown, match=r"Several webhooks") as caught:
                found(ambiguous)
            assert str(twin.uuid) in str(caught.value)
        for unknown in ("rel", "", "release-c", str(uuid4())):
            with pytest.raises(Unknown, match=r"No webhook .*There is: release-a, release-b"):
                found(unknown)


def test_analytics_is_nobodys_to_see_or_change(database: Database) -> None:
    uuid = new_uuid()
    with database.writing() as session:
        session.add(Analytics(uuid=uuid, created_at=NOW, max_in_flight=1))
        session.flush()
        session.add(
            EndpointRow(
                subscriber_uuid=uuid,
                condition="enabled",
                reason="",
                breaker="closed",
                consecutive_failures=0,
                openings=0,
            )
        )
        session.flush()
        assert administration.webhooks(session, NOW) == []
        for attempt in (
            lambda: administration.find(session, str(uuid), NOW),
            lambda: administration.show(session, uuid, NOW),
            lambda: administration.pause(session, uuid, NOW),
            lambda: administration.resume(session, uuid, NOW),
            lambda: administration.remove(session, uuid),
            lambda: administration.rotate(session, uuid, SECRET, key_ring=KEYS, now=NOW),
        ):
            with pytest.raises(Unknown):
                attempt()
        assert load_destinations(session, KEYS, [uuid], NOW)[uuid].kind == "analytics"


def test_who_cannot_be_decrypted_or_is_gone_is_left_out_and_nobody_else(database: Database) -> None:
    with database.writing() as session:
        good, bad = added(session).uuid, added(session, name="bad").uuid
        sealed = KeyRing(["f" * 32]).encrypt(URL, "url")
        session.execute(update(Webhook).where(Webhook.uuid == bad).values(url=sealed))
        assert set(load_destinations(session, KEYS, [good, bad, uuid4()], NOW)) == {good}
        with pytest.raises(KeyRingError):
            administration.specification(session, bad, KEYS)


def test_a_secret_moved_to_another_webhook_is_not_used(database: Database) -> None:
    with database.writing() as session:
        mine, theirs = added(session).uuid, added(session, new_secret(), name="theirs").uuid
        stolen = session.scalars(select(SigningSecret).where(SigningSecret.subscriber_uuid == theirs)).one()
        session.execute(
            update(SigningSecret).where(SigningSecret.subscriber_uuid == mine).values(ciphertext=stolen.ciphertext)
        )
        assert set(load_destinations(session, KEYS, [mine, theirs], NOW)) == {theirs}
