"""Environments over HTTP, on both databases: what is answered, what is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from services.api.http.operation import Scope

if TYPE_CHECKING:
    from tests.services.api.site import Site

SECRET = "canary-c0ffee"
PROJECT = "6a0f3a2e-5b3e-4c0e-9d0a-000000000001"
OTHER = "6a0f3a2e-5b3e-4c0e-9d0a-000000000002"
ENVIRONMENT = "e1000000-b929-4cbd-b0d4-000000000001"
PATH = f"/api/environments/{PROJECT}/{ENVIRONMENT}"
USE = f"/api/environments/in-use/{PROJECT}/{ENVIRONMENT}"


@pytest.fixture(autouse=True)
def project(site: Site) -> None:
    assert site.ask("POST", "/api/projects/", json={"uuid": PROJECT, "name": "Quarterly"}).status_code == 201


def add(site: Site, uuid: str = ENVIRONMENT, project: str = PROJECT) -> dict[str, Any]:
    made = site.ask("POST", f"/api/environments/{project}", json={"uuid": uuid}, scope=Scope.WRITE)
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json
    return answer


def kinds(site: Site) -> list[str]:
    return [event.type for event in site.events()][1:]


def test_an_environment_that_was_added_is_there(site: Site) -> None:
    site.ask("POST", "/api/projects/", json={"uuid": OTHER})
    made = add(site)
    assert made == {"project_uuid": PROJECT, "uuid": ENVIRONMENT}
    assert site.ask("GET", PATH, scope=Scope.READ).json == made
    there = add(site, project=OTHER)
    assert site.ask("GET", f"/api/environments/{PROJECT}").json == {"environments": [made]}
    assert site.ask("GET", "/api/environments/").json == {"environments": [made, there]}


def test_what_happened_is_told(site: Site) -> None:
    add(site)
    gone = site.ask("DELETE", PATH, scope=Scope.WRITE)
    assert (gone.status_code, gone.json) == (200, {"message": "Environment deletion was successful."})
    assert kinds(site) == ["project:environment:created", "project:environment:deleted"]
    for event in site.events("project:environment:*"):
        told = json.loads(event.payload)["project"]
        assert (told["uuid"], told["name"], told["environment"]["uuid"]) == (PROJECT, "Quarterly", ENVIRONMENT)
    assert site.ask("GET", PATH).status_code == 404
    add(site)


def test_a_uuid_that_is_taken_in_the_project_is_a_conflict(site: Site) -> None:
    add(site)
    assert site.ask("POST", f"/api/environments/{PROJECT}", json={"uuid": ENVIRONMENT}).status_code == 409
    assert kinds(site) == ["project:environment:created"]


def test_what_does_not_exist_is_404(site: Site) -> None:
    for method, path, body in (
        ("GET", PATH, None),
        ("DELETE", PATH, None),
        ("GET", USE, None),
        ("GET", f"/api/environments/{OTHER}", None),
        ("POST", f"/api/environments/{OTHER}", {}),
        ("GET", f"/api/environments/{SECRET}", None),
        ("GET", f"/api/environments/in-use/{PROJECT}/{SECRET}", None),
    ):
        answer = site.ask(method, path, json=body)
        assert answer.status_code == 404, (method, path)
        assert SECRET not in answer.text
    assert kinds(site) == []


def test_a_body_that_is_not_valid_is_refused(site: Site) -> None:
    bodies: tuple[Any, ...] = (
        {"uuid": SECRET},
        {"uuid": None},
        {"uuid": 7},
        {SECRET: 1},
        [],
        {"project_uuid": PROJECT},
    )
    for body in bodies:
        refused = site.ask("POST", f"/api/environments/{PROJECT}", json=body)
        assert refused.status_code == 400, body
        assert SECRET not in refused.text
    assert site.ask("GET", f"/api/environments/{PROJECT}").json == {"environments": []}
    assert kinds(site) == []


def test_lists_come_in_parts(site: Site) -> None:
    uuids = sorted(str(uuid4()) for _ in range(3))
    for uuid in reversed(uuids):
        add(site, uuid)
    for path in ("/api/environments/", f"/api/environments/{PROJECT}"):
        first = site.ask("GET", path, params={"limit": 2}).json
        rest = site.ask("GET", path, params={"limit": 2, "cursor": first["next_cursor"]}).json
        assert [one["uuid"] for one in first["environments"] + rest["environments"]] == uuids
        assert "next_cursor" not in rest


def test_deleting_its_project_deletes_it_and_tells_of_the_project_alone(site: Site) -> None:
    add(site)
    site.ask("DELETE", f"/api/projects/{PROJECT}")
    assert site.ask("GET", PATH).status_code == 404
    assert site.ask("GET", "/api/environments/").json == {"environments": []}
    assert kinds(site) == ["project:environment:created", "project:deleted"]


def test_of_those_who_do_the_same_at_once_one_does(site: Site) -> None:
    for _ in range(3):
        uuid = str(uuid4())
        creation = ("POST", f"/api/environments/{PROJECT}", {"json": {"uuid": uuid}})
        assert sorted(one.status_code for one in site.ask_at_once([creation] * 3)) == [201, 409, 409]
        deletion: tuple[str, str, dict[str, Any]] = ("DELETE", f"/api/environments/{PROJECT}/{uuid}", {})
        assert sorted(one.status_code for one in site.ask_at_once([deletion] * 3)) == [200, 404, 404]
    assert kinds(site) == ["project:environment:created", "project:environment:deleted"] * 3


PIPELINE = "0915b350-b929-4cbd-b0d4-000000000001"
STEP = "11000000-b929-4cbd-b0d4-000000000001"


def draft_job(site: Site, **definition: Any) -> str:
    pipeline = {"uuid": PIPELINE, "name": "clean", "version": "1.2.3", "parameters": {}, "settings": {}, "steps": {}}
    body = {
        "project_uuid": PROJECT,
        "pipeline_uuid": PIPELINE,
        "name": "nightly",
        "pipeline_definition": {**pipeline, **definition},
        "parameters": [{}],
    }
    made = site.ask("POST", "/api/jobs/", json=body)
    assert made.status_code == 201, made.text
    uuid: str = made.json["uuid"]
    return uuid


def step_in(environment: str) -> dict[str, Any]:
    one = {"uuid": STEP, "title": "load", "environment": environment, "incoming_connections": [], "parameters": {}}
    return {"steps": {STEP: {**one, "file_path": "load.ipynb"}}}


def service_in(environment: str) -> dict[str, Any]:
    return {"services": {"store": {"name": "store", "image": f"environment@{environment}", "scope": [], "ports": [1]}}}


def test_an_environment_is_in_use_while_a_job_that_has_not_ended_needs_it(site: Site) -> None:
    site.ask("POST", "/api/pipelines/", json={"project_uuid": PROJECT, "uuid": PIPELINE})
    add(site)
    draft_job(site, **step_in(str(uuid4())))
    assert site.ask("GET", USE).json == {"message": False, "in_use": False}
    for definition in (step_in(ENVIRONMENT), service_in(ENVIRONMENT)):
        job = draft_job(site, **definition)
        assert site.ask("GET", USE, scope=Scope.READ).json == {"message": True, "in_use": True}
        assert site.ask("DELETE", f"/api/jobs/{job}").status_code == 200
        assert site.ask("GET", USE).json == {"message": False, "in_use": False}


def test_deleting_an_environment_aborts_the_jobs_that_need_it_and_no_other(site: Site) -> None:
    site.ask("POST", "/api/pipelines/", json={"project_uuid": PROJECT, "uuid": PIPELINE})
    add(site)
    needing, other = draft_job(site, **step_in(ENVIRONMENT)), draft_job(site, **step_in(str(uuid4())))
    assert site.ask("DELETE", PATH).status_code == 200
    assert site.ask("GET", f"/api/jobs/{needing}").json["status"] == "ABORTED"
    assert site.ask("GET", f"/api/jobs/{other}").json["status"] == "DRAFT"
    assert kinds(site)[-2:] == ["project:one-off-job:cancelled", "project:environment:deleted"]
