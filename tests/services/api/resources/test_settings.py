"""The settings over HTTP, and that turning analytics off turns them off."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from outbox.analytics import SUBSCRIBER, Backend, follow
from outbox.delivery.models import DeliveryRow
from services.api.domain import settings
from services.api.http.operation import Scope
from tests.services.api.site import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from tests.services.api.site import Site

PATH = "/api/ctl/orchest-settings"
SECRET = "canary-5be021"
BACKEND = Backend("https://analytics.example.org", "phc_key")
DEFAULTS = {
    "AUTH_ENABLED": False,
    "INTERCOM_USER_EMAIL": "johndoe@example.org",
    "MAX_BUILDS_PARALLELISM": 1,
    "MAX_INTERACTIVE_RUNS_PARALLELISM": 1,
    "MAX_JOB_RUNS_PARALLELISM": 1,
    "TELEMETRY_DISABLED": False,
    "TELEMETRY_UUID": "",
}


@pytest.fixture
def counted(database_url: str) -> Iterator[Site]:
    """A site with analytics, and a worker that has started."""
    with opened(database_url, analytics=BACKEND) as site:
        start_worker(site)
        yield site


def start_worker(site: Site, backend: Backend = BACKEND) -> UUID | None:
    """As far as analytics are concerned."""
    with site.database.writing() as session:
        return follow(session, backend, datetime.now(UTC))


def put(site: Site, **wanted: Any) -> Any:
    answer = site.ask("PUT", PATH, json=wanted)
    assert answer.status_code == 200, answer.text
    return answer.json


def told(site: Site) -> int:
    """How many deliveries to analytics there are after one more event."""
    assert site.ask("POST", "/api/projects/", json={}).status_code == 201
    with site.database.reading() as session:
        its = select(func.count()).select_from(DeliveryRow).where(DeliveryRow.subscriber_uuid == SUBSCRIBER)
        return session.scalar(its) or 0


def test_what_nobody_has_set_has_its_default(site: Site) -> None:
    shown = site.ask("GET", PATH, scope=Scope.READ)
    assert (shown.status_code, shown.json) == (200, DEFAULTS)


def test_what_is_not_named_stays(site: Site) -> None:
    put(site, MAX_BUILDS_PARALLELISM=25)
    answer = put(site, MAX_JOB_RUNS_PARALLELISM=3)
    assert answer["requires_restart"] == []
    assert answer["user_config"] == {**DEFAULTS, "MAX_BUILDS_PARALLELISM": 25, "MAX_JOB_RUNS_PARALLELISM": 3}
    assert site.ask("GET", PATH).json == answer["user_config"]


def test_a_replacement_resets_what_is_not_named(site: Site) -> None:
    put(site, MAX_BUILDS_PARALLELISM=25, AUTH_ENABLED=True, TELEMETRY_DISABLED=True)
    answer = site.ask("POST", PATH, json={"MAX_JOB_RUNS_PARALLELISM": 3})
    assert answer.status_code == 200
    shown = site.ask("GET", PATH).json
    assert shown == answer.json["user_config"]
    assert shown["TELEMETRY_DISABLED"], "nobody is counted by leaving something out"
    assert {**shown, "TELEMETRY_DISABLED": False, "TELEMETRY_UUID": ""} == {**DEFAULTS, "MAX_JOB_RUNS_PARALLELISM": 3}


def test_only_what_changed_and_is_read_at_start_needs_a_restart(site: Site) -> None:
    wanted = {"AUTH_ENABLED": True, "INTERCOM_USER_EMAIL": "a@example.org", "MAX_BUILDS_PARALLELISM": 2}
    assert put(site, **wanted)["requires_restart"] == ["AUTH_ENABLED", "INTERCOM_USER_EMAIL"]
    assert put(site, **wanted)["requires_restart"] == []


def test_what_was_shown_can_be_sent_back(counted: Site) -> None:
    shown = counted.ask("GET", PATH).json
    for method in ("PUT", "POST"):
        answer = counted.ask(method, PATH, json=shown)
        assert (answer.status_code, answer.json) == (200, {"requires_restart": [], "user_config": shown})


def test_the_pause_is_kept_and_never_shown(site: Site) -> None:
    assert "PAUSED" not in put(site, PAUSED=True)["user_config"]
    assert "PAUSED" not in site.ask("POST", PATH, json={}).json["user_config"]
    with site.database.reading() as session:
        assert settings.is_paused(session)
    put(site, PAUSED=False)
    with site.database.reading() as session:
        assert not settings.is_paused(session)


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_setting_that_is_not_valid_is_refused_and_nothing_is_set(site: Site, method: str) -> None:
    for name, value in (
        ("MAX_BUILDS_PARALLELISM", 0),
        ("MAX_BUILDS_PARALLELISM", 26),
        ("MAX_BUILDS_PARALLELISM", True),
        ("MAX_BUILDS_PARALLELISM", "2"),
        ("MAX_BUILDS_PARALLELISM", None),
        ("AUTH_ENABLED", 1),
        ("INTERCOM_USER_EMAIL", f"{SECRET}\0"),
        ("INTERCOM_USER_EMAIL", SECRET * 30),
        ("TELEMETRY_UUID", SECRET),
        (SECRET, 1),
    ):
        refused = site.ask(method, PATH, json={"MAX_JOB_RUNS_PARALLELISM": 2, name: value})
        assert refused.status_code == 400, (name, value)
        assert len(refused.json["errors"]) >= 1
        assert SECRET not in refused.text
    assert site.ask("GET", PATH).json == DEFAULTS


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_only_an_admin_sets(site: Site, method: str) -> None:
    assert site.ask(method, PATH, json={"AUTH_ENABLED": True}, scope=Scope.WRITE).status_code == 403
    assert site.ask("GET", PATH).json == DEFAULTS


def test_analytics_are_off_as_soon_as_they_are_disabled(counted: Site) -> None:
    assert told(counted) == 1
    assert put(counted, TELEMETRY_DISABLED=True)["requires_restart"] == []
    assert counted.ask("GET", PATH).json["TELEMETRY_DISABLED"] is True
    assert told(counted) == 0, "what waited is gone, and nothing is added"


def test_analytics_stay_off_whoever_starts(counted: Site) -> None:
    put(counted, TELEMETRY_DISABLED=True)
    start_worker(counted)
    start_worker(counted, Backend())
    start_worker(counted)
    assert counted.ask("GET", PATH).json["TELEMETRY_DISABLED"] is True
    assert told(counted) == 0


def test_analytics_that_never_were_can_be_disabled_for_good(site: Site) -> None:
    put(site, TELEMETRY_DISABLED=True)
    start_worker(site)
    assert told(site) == 0


def test_analytics_that_are_allowed_again_begin_at_once_as_the_same_installation(counted: Site) -> None:
    before = counted.ask("GET", PATH).json["TELEMETRY_UUID"]
    assert before == str(start_worker(counted))
    put(counted, TELEMETRY_DISABLED=True)
    told(counted)
    assert put(counted, TELEMETRY_DISABLED=False)["requires_restart"] == []
    assert told(counted) == 1, "the past stays untold"
    assert counted.ask("GET", PATH).json["TELEMETRY_UUID"] == before


def test_where_the_address_is_not_known_allowing_waits_for_a_worker(site: Site) -> None:
    put(site, TELEMETRY_DISABLED=True)
    assert put(site, TELEMETRY_DISABLED=False)["requires_restart"] == ["TELEMETRY_DISABLED"]
    assert told(site) == 0
    start_worker(site)
    assert told(site) == 1


def test_an_installation_can_be_given_the_uuid_it_had_before(counted: Site) -> None:
    wanted = str(uuid4())
    answer = put(counted, TELEMETRY_UUID=wanted)
    assert (answer["requires_restart"], answer["user_config"]["TELEMETRY_UUID"]) == (["TELEMETRY_UUID"], wanted)
    assert str(start_worker(counted)) == wanted
    assert put(counted, TELEMETRY_UUID="")["user_config"]["TELEMETRY_UUID"] == wanted


def test_a_uuid_alone_turns_no_analytics_on(site: Site) -> None:
    put(site, TELEMETRY_UUID=str(uuid4()))
    assert told(site) == 0


def test_in_the_cloud_what_is_set_for_the_user_stays(database_url: str) -> None:
    with opened(database_url, analytics=BACKEND, is_cloud=True) as site:
        start_worker(site)
        shown = site.ask("GET", PATH).json
        assert shown["AUTH_ENABLED"] is True
        wanted = {
            "AUTH_ENABLED": False,
            "INTERCOM_USER_EMAIL": "a@example.org",
            "TELEMETRY_DISABLED": True,
            "TELEMETRY_UUID": str(uuid4()),
        }
        for method in ("PUT", "POST"):
            answer = site.ask(method, PATH, json={**wanted, "MAX_BUILDS_PARALLELISM": 7})
            assert answer.json["requires_restart"] == []
            assert answer.json["user_config"] == {**shown, "MAX_BUILDS_PARALLELISM": 7}
        assert told(site) == 1


def test_many_who_set_at_once_lose_nothing(site: Site) -> None:
    names = ("MAX_BUILDS_PARALLELISM", "MAX_INTERACTIVE_RUNS_PARALLELISM", "MAX_JOB_RUNS_PARALLELISM")
    for value in (2, 3, 4):
        asked = [("PUT", PATH, {"json": {name: value}}) for name in names]
        answers = site.ask_at_once([*asked, ("PUT", PATH, {"json": {"TELEMETRY_DISABLED": value % 2 == 0}})])
        assert [one.status_code for one in answers] == [200] * 4
        shown = site.ask("GET", PATH).json
        assert [shown[name] for name in names] == [value] * 3
        assert shown["TELEMETRY_DISABLED"] is (value % 2 == 0)


def test_of_those_who_set_the_same_at_once_the_last_has_it(site: Site) -> None:
    put(site, PAUSED=False)
    for name in ("MAX_BUILDS_PARALLELISM", "MAX_JOB_RUNS_PARALLELISM"):
        asked = [(method, PATH, {"json": {name: value}}) for value, method in enumerate(("PUT", "POST") * 2, 2)]
        assert [one.status_code for one in site.ask_at_once(asked)] == [200] * 4
        assert site.ask("GET", PATH).json[name] in range(2, 6)
