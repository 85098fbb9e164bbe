from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from orchest import error, services, testing
from orchest.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Server

SERVICES: dict[str, dict[str, Any]] = {
    "db": {
        "name": "db",
        "image": "postgres",
        "scope": ["interactive"],
        "ports": [5432, 80],
        "env_variables": {"A": "1"},
    },
    "tensorboard": {"name": "tensorboard", "ports": [6006], "preserve_base_path": True},
    "worker": {"name": "worker"},
}


@pytest.fixture
def job(tmp_path: Path) -> Iterator[testing.Site]:
    with testing.pipeline({}, tmp_path / "project", services=SERVICES) as site:
        yield site


@pytest.fixture
def session(site: testing.Site, server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An interactive session; gives the path at which orchest-api describes it."""
    monkeypatch.setattr(Config, "SESSION_TYPE", "interactive")
    path = f"/api/sessions/{Config.PROJECT_UUID}/{site.uuid}"
    server.routes[path] = (200, {"user_services": SERVICES, "status": "RUNNING"})
    return path


def _expected() -> dict[str, dict[str, Any]]:
    session = Config.SESSION_UUID
    db = f"/service-db-{session}"
    board = f"/pbp-service-tensorboard-{session}_6006"
    return {
        "db": {
            "name": "db",
            "image": "postgres",
            "ports": [5432, 80],
            "env_variables": {"A": "1"},
            "internal_hostname": f"db-{session}",
            "base_paths": {5432: f"{db}_5432", 80: f"{db}_80"},
            "external_urls": {
                5432: f"http://{{host_name}}:{{port}}{db}_5432",
                80: f"http://{{host_name}}:{{port}}{db}_80",
            },
        },
        "tensorboard": {
            "name": "tensorboard",
            "ports": [6006],
            "preserve_base_path": True,
            "internal_hostname": f"tensorboard-{session}",
            "base_paths": {6006: board},
            "external_urls": {6006: f"http://{{host_name}}:{{port}}{board}"},
        },
        "worker": {
            "name": "worker",
            "internal_hostname": f"worker-{session}",
            "base_paths": {},
            "external_urls": {},
        },
    }


def test_a_job_has_the_services_of_its_pipeline_file(job: testing.Site) -> None:
    assert services.get_services() == _expected()
    assert job.definition["services"] == SERVICES


@pytest.mark.parametrize("name", SERVICES)
def test_one_service_is_the_same_as_among_all(job: testing.Site, name: str) -> None:
    assert job.definition["services"][name]["name"] == name
    assert services.get_service(name) == _expected()[name]


def test_an_interactive_session_has_the_services_that_the_platform_has_started(server: Server, session: str) -> None:
    assert services.get_services() == _expected()
    assert services.get_service("db") == _expected()["db"]
    assert server.asked == [session, session]


def test_an_unknown_service_names_the_known_ones(job: testing.Site) -> None:
    assert job.path.exists()
    with pytest.raises(error.ServiceNotFound, match=r"no service 'redis'.*db, tensorboard, worker"):
        services.get_service("redis")


@pytest.mark.parametrize("absent", [[], {}, None])
def test_a_pipeline_without_services_has_none(site: testing.Site, absent: Any) -> None:
    site.write({**site.definition, "services": absent})
    assert services.get_services() == {}
    with pytest.raises(error.ServiceNotFound, match="Known: none"):
        services.get_service("db")


def test_a_session_that_is_not_there_is_not_found(server: Server, session: str) -> None:
    server.routes[session] = (404, {"message": "Session not found."})
    with pytest.raises(error.SessionNotFound, match="has no interactive session"):
        services.get_services()


@pytest.mark.parametrize("answer", [(500, {"user_services": SERVICES}), (200, b"<html>"), (200, [])])
def test_an_answer_that_is_no_session_is_a_network_error(server: Server, session: str, answer: tuple[int, Any]) -> None:
    server.routes[session] = answer
    with pytest.raises(error.OrchestNetworkError, match=f"http://orchest-api{session}"):
        services.get_services()


@pytest.mark.parametrize("trouble", ["silent", "dropped"])
def test_no_answer_is_a_network_error(
    server: Server, session: str, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(Config, "HTTP_TIMEOUT", 0.2)
    getattr(server, trouble).add(session)
    with pytest.raises(error.OrchestNetworkError, match=f"No answer from http://orchest-api{session}"):
        services.get_service("db")


@pytest.mark.parametrize("answer", [{}, {"user_services": None}])
def test_a_session_without_services_has_none(server: Server, session: str, answer: dict[str, Any]) -> None:
    server.routes[session] = (200, answer)
    assert services.get_services() == {}


_UNUSABLE = {
    "a text": ("db", "its services are a str"),
    "a list": ([1], "its services are a list"),
    "a number": (5, "its services are a int"),
    "a service that is none": ({"db": None}, "the service 'db' is a NoneType"),
    "ports that are a number": ({"db": {"ports": 5}}, "the ports of the service 'db' are 5"),
    "a port that is a list": ({"db": {"ports": [[80]]}}, r"the ports of the service 'db' are \[\[80\]\]"),
}


@pytest.mark.parametrize(("definitions", "told"), _UNUSABLE.values(), ids=_UNUSABLE)
def test_what_is_no_service_in_the_pipeline_file_is_told(site: testing.Site, definitions: Any, told: str) -> None:
    site.write({**site.definition, "services": definitions})
    for ask in (services.get_services, lambda: services.get_service("db")):
        with pytest.raises(error.InvalidPipelineDefinitionError, match=told):
            ask()


@pytest.mark.parametrize(("definitions", "told"), _UNUSABLE.values(), ids=_UNUSABLE)
def test_what_is_no_service_in_an_answer_is_told(server: Server, session: str, definitions: Any, told: str) -> None:
    server.routes[session] = (200, {"user_services": definitions})
    with pytest.raises(error.OrchestNetworkError, match=told):
        services.get_services()


def test_ports_that_are_null_are_no_ports(site: testing.Site) -> None:
    site.write({**site.definition, "services": {"db": {"name": "db", "ports": None}}})
    assert services.get_service("db")["base_paths"] == {}


@pytest.mark.parametrize("session_type", [None, "", "batch"])
def test_another_type_of_session_is_refused(monkeypatch: pytest.MonkeyPatch, session_type: str | None) -> None:
    monkeypatch.setattr(Config, "SESSION_TYPE", session_type)
    with pytest.raises(error.UnrecognizedSessionType, match=f"ORCHEST_SESSION_TYPE is {session_type!r}"):
        services.get_services()


def test_the_request_can_be_replaced_as_before(site: testing.Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers replaced `orchest.services.requests.get` by something that takes a URL and looks like an answer."""
    asked = []

    def get(url: str) -> Any:
        asked.append(url)
        return SimpleNamespace(status_code=200, json=lambda: {"user_services": SERVICES})

    monkeypatch.setattr(Config, "SESSION_TYPE", "interactive")
    monkeypatch.setattr("orchest.services.requests.get", get)
    assert services.get_service("db") == _expected()["db"]
    assert SERVICES["db"]["scope"] == ["interactive"]
    assert asked == [f"http://orchest-api/api/sessions/{Config.PROJECT_UUID}/{site.uuid}"]
