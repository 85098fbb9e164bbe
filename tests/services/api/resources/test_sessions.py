from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from outbox.events.facts import Service
from services.api.domain import sessions
from services.api.domain.sessions import InteractiveSession, SessionStatus
from services.api.http.operation import Scope
from services.api.http.problems import ApiError
from tests.services.api.site import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.services.api.site import Site

PROJECT = UUID("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee")
PIPELINE = UUID("11111111-2222-4333-8444-555555555555")
PATH = f"/api/sessions/{PROJECT}/{PIPELINE}"
CANARY = "canary-of-a-service"
SERVICE = Service.model_validate(
    {
        "name": "database",
        "image": "postgres:13",
        "scope": ["interactive"],
        "order": 1,
        "ports": [5432, 8080],
        "exposed": True,
        "preserve_base_path": True,
        "requires_authentication": False,
        "binds": {"/data": "/var/lib"},
        "command": CANARY,
        "args": CANARY,
        "env_variables": {"PASSWORD": CANARY},
        "env_variables_inherit": [CANARY],
    }
)
SHOWN = {
    "name": "database",
    "image": "postgres:13",
    "scope": ["interactive"],
    "order": 1,
    "ports": [5432, 8080],
    "exposed": True,
    "preserve_base_path": True,
    "requires_authentication": False,
    "binds": {"/data": "/var/lib"},
}


def launch(site: Site) -> None:
    site.ask("POST", "/api/projects/", json={"uuid": str(PROJECT)})
    with site.database.writing() as session:
        running = InteractiveSession(PROJECT, PIPELINE, SessionStatus.RUNNING, {"database": SERVICE})
        sessions.create(session, running, datetime.now(UTC))


@pytest.fixture
def launched(site: Site) -> Site:
    launch(site)
    return site


@pytest.fixture
def closed(database_url: str) -> Iterator[Site]:
    with opened(database_url, has_open_sessions=False) as site:
        launch(site)
        yield site


def test_a_user_pod_is_told_the_services_without_a_token_and_nothing_more(launched: Site) -> None:
    answer = launched.ask("GET", PATH, scope=None)
    assert answer.status_code == 200
    assert answer.json == {
        "project_uuid": str(PROJECT),
        "pipeline_uuid": str(PIPELINE),
        "status": None,
        "base_url": None,
        "user_services": {"database": SHOWN},
    }
    assert CANARY not in answer.text


def test_who_has_a_token_sees_the_session_as_the_original_showed_it(launched: Site) -> None:
    answer = launched.ask("GET", PATH, scope=Scope.READ)
    assert answer.json["status"] == "RUNNING"
    assert answer.json["base_url"] == "/jupyter-server-aaaaaaaa-bbbb-4ccc11111111-2222-4333"
    assert CANARY not in answer.text


def test_a_session_that_is_not_there_is_not_found(launched: Site) -> None:
    for path in (f"/api/sessions/{PROJECT}/{uuid4()}", f"/api/sessions/{uuid4()}/{PIPELINE}", "/api/sessions/a/b"):
        assert launched.ask("GET", path, scope=None).status_code == 404


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "X-Forwarded-Host", "Forwarded"])
def test_from_outside_of_the_cluster_a_token_is_needed(launched: Site, header: str) -> None:
    assert launched.ask("GET", PATH, scope=None, headers={header: "203.0.113.7"}).status_code == 401
    assert launched.ask("GET", PATH, scope=Scope.READ, headers={header: "203.0.113.7"}).status_code == 200


def test_a_token_that_is_sent_must_be_a_good_one_even_from_inside(launched: Site) -> None:
    assert launched.ask("GET", PATH, scope=None, headers={"Authorization": "Bearer nonsense"}).status_code == 401
    assert launched.ask("GET", PATH, scope=Scope.AGENT).status_code == 403


def test_closed_sessions_need_a_token_from_everywhere(closed: Site) -> None:
    assert closed.ask("GET", PATH, scope=None).status_code == 401
    assert closed.ask("GET", PATH, scope=Scope.READ).status_code == 200


def test_nothing_secret_of_a_service_is_kept(launched: Site) -> None:
    with launched.database.reading() as session:
        assert CANARY not in repr(sessions.show(session, PROJECT, PIPELINE))


def test_there_is_one_session_for_a_pipeline(launched: Site) -> None:
    with launched.database.writing() as session, pytest.raises(ApiError, match="stop it first"):
        sessions.create(session, InteractiveSession(PROJECT, PIPELINE, SessionStatus.LAUNCHING), datetime.now(UTC))


def test_a_deleted_project_takes_its_sessions_along(launched: Site) -> None:
    launched.ask("DELETE", f"/api/projects/{PROJECT}")
    assert launched.ask("GET", PATH, scope=None).status_code == 404
