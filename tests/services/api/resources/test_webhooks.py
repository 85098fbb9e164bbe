"""Webhooks over HTTP: the original's bodies and codes, and a secret that is told once."""

from __future__ import annotations

import hmac
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from pydantic import TypeAdapter
from sqlalchemy import MetaData, select

from outbox.delivery.guard import Guard
from outbox.delivery.signing import key_of
from outbox.subscribers import administration
from outbox.subscribers.destinations import load_destinations
from outbox.subscribers.webhook import Permission
from services.api.http.operation import Scope
from services.api.resources.webhooks import SubscriberView
from tests.services.api.resources.hooks import (
    ANALYTICS,
    HOOKS,
    OWN_SECRET,
    SUBSCRIBERS,
    URL,
    add,
    listen,
    project,
    receiving,
    wish,
)
from tests.services.api.site import opened

if TYPE_CHECKING:
    from outbox.subscribers.destination import Destination
    from tests.services.api.site import Site

HEADERS = [{"name": "Authorization", "value": "Bearer hunter2"}]


def destination(site: Site, uuid: str) -> Destination:
    """What a sender uses."""
    with site.database.reading() as session:
        return load_destinations(session, site.parts.key_ring, [UUID(uuid)], datetime.now(UTC))[UUID(uuid)]


def everything(site: Site) -> dict[str, list[Any]]:
    """Every row, but for when tokens were last used."""
    metadata = MetaData()
    with site.database.reading() as session:
        metadata.reflect(session.connection())
        tables = [table for table in metadata.sorted_tables if table.name != "access_tokens"]
        return {table.name: sorted(map(repr, session.execute(select(table)))) for table in tables}


def change(site: Site, uuid: str, **body: Any) -> int:
    return site.ask("PUT", f"{HOOKS}/{uuid}", json=body).status_code


def shown(site: Site, uuid: str) -> Any:
    return site.ask("GET", f"{SUBSCRIBERS}/{uuid}").json


def test_a_webhook_is_answered_as_the_original_did_with_the_origin_of_its_url(site: Site) -> None:
    made = add(site)
    original = {name: made[name] for name in ("type", "name", "url", "verify_ssl", "content_type", "subscriptions")}
    assert original == {
        "type": "webhook",
        "name": "ci",
        "url": "https://hooks.example.com",
        "verify_ssl": True,
        "content_type": "application/json",
        "subscriptions": [{"event_type": "project:*", "project_uuid": None, "job_uuid": None}],
    }


def test_what_was_asked_for_reaches_the_sender(site: Site) -> None:
    made = add(site, headers=HEADERS, content_type="application/x-www-form-urlencoded", secret=OWN_SECRET)
    sent = destination(site, made["uuid"])
    assert (sent.url, sent.secrets, sent.headers) == (URL, (OWN_SECRET,), (("Authorization", "Bearer hunter2"),))
    assert sent.content_type == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("none", [{}, {"secret": None}, {"secret": ""}])
def test_a_secret_that_is_made_is_told_once_and_nowhere_else(site: Site, none: dict[str, Any]) -> None:
    made = add(site, **none)
    secret = made["secret"]
    assert len(key_of(secret)) == 32
    assert destination(site, made["uuid"]).secrets == (secret,)
    uuid = made["uuid"]
    answers = [
        site.ask("GET", SUBSCRIBERS),
        site.ask("GET", HOOKS),
        site.ask("GET", f"{SUBSCRIBERS}/{uuid}"),
        site.ask("PUT", f"{HOOKS}/{uuid}", json={"name": "cd"}),
        site.ask("POST", f"{HOOKS}/{uuid}/pause"),
        site.ask("POST", f"{HOOKS}/{uuid}/resume"),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert secret not in answer.text
        assert "hidden" not in answer.text
    assert secret not in repr(everything(site))
    assert "hidden" not in repr(everything(site))


def test_a_secret_that_the_caller_brought_is_not_sent_back(site: Site) -> None:
    answer = site.ask("POST", HOOKS, json=wish(secret=OWN_SECRET))
    assert answer.json["secret"] is None
    assert OWN_SECRET not in answer.text


def test_a_creation_repeated_under_one_key_makes_one_webhook_and_tells_its_secret_again(site: Site) -> None:
    first, second = (site.ask("POST", HOOKS, json=wish(), headers={"Idempotency-Key": "one"}) for _ in range(2))
    assert first.json == second.json
    assert len(site.ask("GET", HOOKS).json["webhooks"]) == 1
    assert first.json["secret"] not in repr(everything(site))


CANARY = "canary"
BAD: list[tuple[dict[str, Any], str]] = [
    ({"url": f"ftp://{CANARY}/"}, "body.url"),
    ({"url": f"https://{CANARY}@example.com/"}, "body.url"),
    ({"url": f"http://10.0.0.1/{CANARY}"}, "body.url"),
    ({"url": f"http://{CANARY}.example:22/"}, "body.url"),
    ({"url": f"https://{CANARY} .example/"}, "body.url"),
    ({"url": "https://" + CANARY * 500}, "body.url"),
    ({"url": 7}, "body.url"),
    ({"url": None}, "body.url"),
    ({"name": ""}, "body.name"),
    ({"name": CANARY * 20}, "body.name"),
    ({"name": f"{CANARY}\0"}, "body.name"),
    ({"name": f"{CANARY}\nx"}, "body.name"),
    ({"content_type": f"text/{CANARY}"}, "body.content_type"),
    ({"verify_ssl": False}, "body.verify_ssl"),
    ({"verify_ssl": CANARY}, "body.verify_ssl"),
    ({"secret": CANARY}, "body.secret"),
    ({"secret": f"whsec_{CANARY}***************************"}, "body.secret"),
    ({"secret": CANARY * 200}, "body.secret"),
    ({"subscriptions": []}, "body.subscriptions"),
    ({"subscriptions": [{"event_type": "*"}, {"event_type": CANARY}]}, "body.subscriptions.1"),
    ({"subscriptions": [{"event_type": f"{CANARY}\0"}]}, "body.subscriptions.0"),
    ({"subscriptions": [{"event_type": CANARY * 20}]}, "body.subscriptions.0.event_type"),
    ({"subscriptions": [{"event_type": "*", "project_uuid": CANARY}]}, "body.subscriptions.0.project_uuid"),
    ({"subscriptions": [{"event_type": "*", CANARY: 1}]}, "body.subscriptions.0.*"),
    ({"subscriptions": [{"event_type": "project:*", "job_uuid": str(uuid4())}]}, "body.subscriptions.0"),
    ({"subscriptions": [{"event_type": "cluster:*", "project_uuid": str(uuid4())}]}, "body.subscriptions.0"),
    ({"subscriptions": [{"event_type": "*"}] * 1001}, "body.subscriptions"),
    ({"headers": [{"name": f"X {CANARY}", "value": "a"}]}, "body.headers.0"),
    ({"headers": [{"name": "X-A", "value": "a"}, {"name": "Webhook-Id", "value": CANARY}]}, "body.headers.1"),
    ({"headers": [{"name": "X-A", "value": f"{CANARY}\r\nX-B: c"}]}, "body.headers.0"),
    ({"headers": [{"name": "X-A", "value": CANARY * 300}] * 4}, "body.headers"),
    ({"headers": {CANARY: CANARY}}, "body.headers"),
    ({"max_in_flight": 0}, "body.max_in_flight"),
    ({"max_in_flight": 1.5}, "body.max_in_flight"),
    ({"rate_per_second": 0}, "body.rate_per_second"),
    ({"rate_per_second": float("nan")}, "body.rate_per_second"),
    ({CANARY: 1}, "body.*"),
]


def test_a_wish_that_cannot_be_met_is_refused_where_it_is_wrong_without_repeating_it(site: Site) -> None:
    """Of a new webhook, of one that is there, and of one that is only pinged."""
    uuid = add(site)["uuid"]
    before = everything(site)
    for wrong, where in BAD:
        requests = [("POST", HOOKS, wish(**wrong)), ("POST", f"{HOOKS}/pre-creation-test-ping-delivery", wish(**wrong))]
        if wrong != {"url": None}:
            requests.append(("PUT", f"{HOOKS}/{uuid}", wrong))
        for method, path, body in requests:
            answer = site.ask(method, path, body=json.dumps(body), headers={"Content-Type": "application/json"})
            assert (wrong, answer.status_code) == (wrong, 400)
            assert where in [mistake["where"] for mistake in answer.json["errors"]]
            assert CANARY not in answer.text.lower()
    assert everything(site) == before


def test_all_mistakes_are_told_at_once(site: Site) -> None:
    answer = site.ask("POST", HOOKS, json=wish(name="", url="ftp://x", secret="short", subscriptions=[]))
    assert {one["where"] for one in answer.json["errors"]} == {
        *("body.name", "body.url", "body.secret", "body.subscriptions")
    }


def test_of_a_thousand_wrong_subscriptions_the_first_are_told_at_once(site: Site) -> None:
    """Looking for what each could have meant would take seconds."""
    wrong = [{"event_type": f"project:one-of-job:{number:080}"} for number in range(1000)]
    answer = site.ask("POST", HOOKS, json=wish(subscriptions=wrong))
    assert [one["where"] for one in answer.json["errors"]] == [f"body.subscriptions.{number}" for number in range(20)]


def test_the_operator_may_allow_certificates_that_are_not_verified(database_url: str) -> None:
    with opened(database_url, permission=Permission(Guard(), allow_insecure_tls=True)) as site:
        assert add(site, verify_ssl=False)["verify_ssl"] is False


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"name": "cd"}, {"name": "cd"}),
        ({"content_type": "application/x-www-form-urlencoded"}, {"content_type": "application/x-www-form-urlencoded"}),
        ({"max_in_flight": 3}, {"max_in_flight": 3}),
        ({"rate_per_second": None}, {"rate_per_second": None}),
        ({"rate_per_second": 5}, {"rate_per_second": 5.0}),
        ({"url": "https://other.example.com:8443/x"}, {"url": "https://other.example.com:8443"}),
        ({"name": None, "subscriptions": None, "max_in_flight": 4}, {"max_in_flight": 4}),
        (
            {"subscriptions": [{"event_type": "*"}, {"event_type": "*"}]},
            {"subscriptions": [{"event_type": "*", "project_uuid": None, "job_uuid": None}]},
        ),
    ],
)
def test_a_change_changes_what_it_names_and_nothing_else(
    site: Site, body: dict[str, Any], names: dict[str, Any]
) -> None:
    uuid = add(site, rate_per_second=2.5, headers=HEADERS)["uuid"]
    before, sent = shown(site, uuid), destination(site, uuid)
    answer = site.ask("PUT", f"{HOOKS}/{uuid}", json=body)
    assert (answer.status_code, list(answer.json)) == (200, ["message"])
    assert shown(site, uuid) == before | names
    after = destination(site, uuid)
    assert (after.secrets, after.headers) == (sent.secrets, sent.headers)
    assert (after.url == sent.url) is ("url" not in body)


def test_headers_are_changed_as_a_whole(site: Site) -> None:
    uuid = add(site, headers=HEADERS)["uuid"]
    assert change(site, uuid, headers=[{"name": "X-Team", "value": "data"}]) == 200
    assert destination(site, uuid).headers == (("X-Team", "data"),)
    assert change(site, uuid, headers=[]) == 200
    assert destination(site, uuid).headers == ()


def test_a_secret_in_a_change_replaces_the_former_one_at_once(site: Site) -> None:
    uuid = add(site)["uuid"]
    assert change(site, uuid, secret=OWN_SECRET) == 200
    assert destination(site, uuid).secrets == (OWN_SECRET,)
    assert change(site, uuid, secret="", name="changed") == 400
    assert shown(site, uuid)["name"] == "ci"
    assert destination(site, uuid).secrets == (OWN_SECRET,)


def test_a_change_of_nothing_is_refused(site: Site) -> None:
    answer = site.ask("PUT", f"{HOOKS}/{add(site)['uuid']}", json={})
    assert answer.status_code == 400
    assert "subscriptions" in answer.json["detail"]


def test_changes_at_the_same_moment_are_all_kept(site: Site) -> None:
    uuid = add(site)["uuid"]
    bodies: list[dict[str, Any]] = [{"name": "cd"}, {"max_in_flight": 3}, {"rate_per_second": 2}]
    answers = site.ask_at_once([("PUT", f"{HOOKS}/{uuid}", {"json": body}) for body in bodies])
    assert {answer.status_code for answer in answers} == {200}
    after = shown(site, uuid)
    assert (after["name"], after["max_in_flight"], after["rate_per_second"]) == ("cd", 3, 2.0)


def test_a_rotation_signs_with_both_secrets_for_as_long_as_asked(site: Site) -> None:
    made = add(site)
    answer = site.ask("POST", f"{HOOKS}/{made['uuid']}/rotate", json={"overlap_hours": 0.5})
    assert answer.status_code == 200
    assert destination(site, made["uuid"]).secrets == (answer.json["secret"], made["secret"])
    current, former = answer.json["secrets"]
    begun, ends = datetime.fromisoformat(current["created_at"]), datetime.fromisoformat(former["expires_at"])
    assert (current["expires_at"], ends - begun) == (None, timedelta(minutes=30))


def test_a_rotation_without_overlap_ends_the_former_secret_at_once(site: Site) -> None:
    made = add(site)
    answer = site.ask("POST", f"{HOOKS}/{made['uuid']}/rotate", json={"secret": OWN_SECRET, "overlap_hours": 0})
    assert (answer.status_code, answer.json["secret"]) == (200, None)
    assert destination(site, made["uuid"]).secrets == (OWN_SECRET,)


@pytest.mark.parametrize(
    "body", [{"overlap_hours": -1}, {"overlap_hours": 169}, {"overlap_hours": float("inf")}, {"secret": "canary"}]
)
def test_a_rotation_that_makes_no_sense_changes_nothing(site: Site, body: dict[str, Any]) -> None:
    made = add(site)
    path = f"{HOOKS}/{made['uuid']}/rotate"
    answer = site.ask("POST", path, body=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "canary" not in answer.text
    assert destination(site, made["uuid"]).secrets == (made["secret"],)


def test_too_many_rotations_are_a_conflict_with_the_mend(site: Site) -> None:
    path = f"{HOOKS}/{add(site)['uuid']}/rotate"
    codes = [site.ask("POST", path, json={}).status_code for _ in range(administration.MOST_OLD_SECRETS)]
    assert set(codes) == {200}
    answer = site.ask("POST", path, json={})
    assert answer.status_code == 409
    assert "overlap of 0" in answer.json["detail"]


def test_deliveries_of_a_paused_webhook_are_held_until_it_is_resumed(site: Site) -> None:
    uuid = add(site)["uuid"]

    def statuses() -> list[str]:
        found = site.ask("GET", f"{HOOKS}/{uuid}/deliveries").json["deliveries"]
        return sorted(one["status"] for one in found)

    project(site)
    paused = site.ask("POST", f"{HOOKS}/{uuid}/pause").json
    assert (paused["condition"], bool(paused["reason"])) == ("paused", True)
    project(site)
    assert statuses() == ["held", "held"]
    assert site.ask("POST", f"{HOOKS}/{uuid}/resume").json["condition"] == "enabled"
    assert statuses() == ["scheduled", "scheduled"]


def test_a_ping_is_signed_with_the_secret_and_stores_nothing(site: Site) -> None:
    with receiving(204) as receiver:
        before = everything(site)
        body = wish(url=receiver.url, secret=OWN_SECRET, headers=HEADERS)
        answer = site.ask("POST", f"{HOOKS}/pre-creation-test-ping-delivery", json=body)
        assert everything(site) == before
    assert (answer.status_code, answer.json["message"], answer.json["status_code"]) == (200, "success", 204)
    ((headers, sent),) = receiver.heard
    assert json.loads(sent)["event"]["type"] == "ping"
    assert headers["X-Hub-Signature"] == hmac.digest(OWN_SECRET.encode(), sent, "sha256").hex()
    assert headers["Authorization"] == "Bearer hunter2"


def test_a_webhook_that_was_added_is_pinged_with_its_own_secret(site: Site) -> None:
    with receiving(200) as receiver:
        made = add(site, url=receiver.url)
        answer = site.ask("GET", f"{SUBSCRIBERS}/test-ping-delivery/{made['uuid']}")
    assert (answer.status_code, answer.json["message"]) == (200, "success")
    ((headers, sent),) = receiver.heard
    assert headers["X-Hub-Signature"] == hmac.digest(made["secret"].encode(), sent, "sha256").hex()


@pytest.mark.parametrize("status", [301, 404, 410, 500])
def test_a_ping_that_is_not_answered_by_2xx_is_424_and_never_our_fault(site: Site, status: int) -> None:
    with receiving(status) as receiver:
        body = wish(url=receiver.url)
        before = site.ask("POST", f"{HOOKS}/pre-creation-test-ping-delivery", json=body)
        of_webhook = site.ask("GET", f"{SUBSCRIBERS}/test-ping-delivery/{add(site, url=receiver.url)['uuid']}")
    for answer in (before, of_webhook):
        assert answer.status_code == 424
        assert str(status) in answer.json["detail"]
        assert "127.0.0.1" not in answer.text
        assert "hidden" not in answer.text


def test_a_ping_that_nobody_hears_says_so_without_the_receivers_name(site: Site) -> None:
    with receiving(200) as receiver:
        gone = receiver.url
    answer = site.ask("POST", f"{HOOKS}/pre-creation-test-ping-delivery", json=wish(url=gone))
    assert answer.status_code == 424
    assert "No connection to the receiver" in answer.json["detail"]
    assert "127.0.0.1" not in answer.text


def test_the_guard_holds_for_pings_too(database_url: str) -> None:
    """`localhost` is a name: what it leads to is seen when the ping is sent."""
    with opened(database_url, permission=Permission(Guard())) as site, receiving(200) as receiver:
        url = receiver.url.replace("127.0.0.1", "localhost")
        answer = site.ask("POST", f"{HOOKS}/pre-creation-test-ping-delivery", json=wish(url=url))
        assert answer.status_code == 424
        assert "loopback" in answer.json["detail"]
        assert receiver.heard == []


def test_pings_that_wait_leave_threads_for_everybody_else(site: Site) -> None:
    with receiving(200) as receiver:
        uuid = add(site, url=receiver.url)["uuid"]
        receiver.go_on.clear()
        ping: tuple[str, str, dict[str, Any]] = ("GET", f"{SUBSCRIBERS}/test-ping-delivery/{uuid}", {})
        timer = threading.Timer(1.0, receiver.go_on.set)
        timer.start()
        answers = site.ask_at_once([ping] * 6 + [("GET", SUBSCRIBERS, {})])
        timer.join()
    codes = [answer.status_code for answer in answers]
    assert sorted(codes[:6]) == [200, 200, 429, 429, 429, 429]
    assert codes[6] == 200
    assert all(answer.headers.get("Retry-After") for answer in answers if answer.status_code == 429)


def test_an_unknown_webhook_and_the_analytics_subscriber_are_404_alike(site: Site) -> None:
    listen(site)
    since = {"since": "2026-01-01T00:00:00Z"}
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("PUT", "", {"json": {"name": "cd"}}),
        ("POST", "/rotate", {"json": {}}),
        ("POST", "/pause", {}),
        ("POST", "/resume", {}),
        ("GET", "/deliveries", {}),
        ("GET", "/replay/preview", {"params": since}),
        ("POST", "/replay", {"json": since}),
    ]
    before = everything(site)
    for unknown in (str(uuid4()), "nonsense", str(ANALYTICS)):
        for method, path, rest in asked:
            answer = site.ask(method, f"{HOOKS}/{unknown}{path}", **rest)
            assert (path, answer.status_code) == (path, 404)
            assert unknown not in answer.text
    assert everything(site) == before


def test_who_may_only_read_changes_and_pings_nothing(site: Site) -> None:
    with receiving(200) as receiver:
        uuid = add(site, url=receiver.url)["uuid"]
        before = everything(site)
        requests: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", HOOKS, {"json": wish()}),
            ("PUT", f"{HOOKS}/{uuid}", {"json": {"name": "cd"}}),
            ("DELETE", f"{SUBSCRIBERS}/{uuid}", {}),
            ("GET", f"{SUBSCRIBERS}/test-ping-delivery/{uuid}", {}),
            ("POST", f"{HOOKS}/pre-creation-test-ping-delivery", {"json": wish(url=receiver.url)}),
        ]
        for method, path, rest in requests:
            assert site.ask(method, path, scope=Scope.READ, **rest).status_code == 403
        assert everything(site) == before
        assert receiver.heard == []


def test_an_answer_is_read_back_into_what_the_outbox_shows(site: Site) -> None:
    uuid = UUID(add(site, subscriptions=[{"event_type": "project:*", "project_uuid": str(uuid4())}])["uuid"])
    site.ask("POST", f"{HOOKS}/{uuid}/rotate", json={})
    read = TypeAdapter(SubscriberView).validate_json(site.ask("GET", f"{SUBSCRIBERS}/{uuid}").content)
    with site.database.reading() as session:
        assert read.view() == administration.show(session, uuid, datetime.now(UTC))
