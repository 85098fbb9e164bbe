"""Pipelines over HTTP, on both databases: what is answered, what is told, what nobody may see."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from services.api.domain.models import PipelineRow
from services.api.http.operation import Scope

if TYPE_CHECKING:
    from tests.services.api.site import Site

SECRET = "canary-77ab02"
PROJECT = "6a0f3a2e-5b3e-4c0e-9d0a-000000000001"
OTHER = "6a0f3a2e-5b3e-4c0e-9d0a-000000000002"
PIPELINE = "0915b350-b929-4cbd-b0d4-000000000001"
PATH = f"/api/pipelines/{PROJECT}/{PIPELINE}"


@pytest.fixture(autouse=True)
def project(site: Site) -> None:
    assert site.ask("POST", "/api/projects/", json={"uuid": PROJECT, "name": "Quarterly"}).status_code == 201


def add(site: Site, uuid: str = PIPELINE, project: str = PROJECT, **more: Any) -> dict[str, Any]:
    made = site.ask("POST", "/api/pipelines/", json={"project_uuid": project, "uuid": uuid, **more}, scope=Scope.WRITE)
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json
    return answer


def kinds(site: Site) -> list[str]:
    return [event.type for event in site.events("project:pipeline:*")]


def test_a_pipeline_that_was_added_is_there(site: Site) -> None:
    made = add(site, name="clean", env_variables={"PASSWORD": SECRET})
    key = {"project_uuid": PROJECT, "uuid": PIPELINE}
    assert made == {**key, "name": "clean", "env_variables": {"PASSWORD": SECRET}}
    assert site.ask("GET", PATH).json == made
    assert site.ask("GET", PATH, scope=Scope.READ).json == {**made, "env_variables": None}
    assert site.ask("GET", "/api/pipelines/").json == {"pipelines": [{**made, "env_variables": None}]}
    with site.database.reading() as session:
        assert SECRET.encode() not in session.scalars(select(PipelineRow.env_variables)).one()


def test_what_happened_is_told_with_the_count_of_the_projects_pipelines(site: Site) -> None:
    site.ask("POST", "/api/projects/", json={"uuid": OTHER})
    add(site, name="one")
    add(site, str(uuid4()), name="two")
    add(site, project=OTHER, name="elsewhere")
    site.ask("DELETE", PATH)
    told = [
        (event.type, event.facts["project_name"], event.facts["pipeline_name"], event.facts["project_pipelines_count"])
        for event in site.events("project:pipeline:*")
    ]
    assert told == [
        ("project:pipeline:created", "Quarterly", "one", 1),
        ("project:pipeline:created", "Quarterly", "two", 2),
        ("project:pipeline:created", "", "elsewhere", 1),
        ("project:pipeline:deleted", "Quarterly", "one", 1),
    ]


def test_a_change_is_told_without_values(site: Site) -> None:
    add(site, name="old", env_variables={"GONE": SECRET, "OTHER": "2"})
    body = {"name": "new", "env_variables": {"OTHER": SECRET}}
    answer = site.ask("PUT", PATH, json=body, scope=Scope.WRITE)
    assert (answer.status_code, answer.json) == (200, {"message": "Pipeline was updated successfully."})
    assert site.ask("GET", PATH).json == {"project_uuid": PROJECT, "uuid": PIPELINE, **body}
    told = json.loads(site.events()[-1].payload)["project"]
    assert told["name"] == "Quarterly"
    assert (told["pipeline"]["uuid"], told["pipeline"]["name"]) == (PIPELINE, "new")
    assert told["pipeline"]["update"] == {
        "changes": [
            {"type": "UPDATED", "changed_object": "environment_variable"},
            {"type": "DELETED", "changed_object": "environment_variable"},
            {"type": "UPDATED", "changed_object": "name"},
        ]
    }
    assert SECRET not in "".join(event.payload + json.dumps(dict(event.facts)) for event in site.events())


def test_a_change_that_changes_nothing_is_not_told(site: Site) -> None:
    add(site, name="n", env_variables={"A": "1"})
    for body in ({}, {"name": "n"}, {"env_variables": {"A": "1"}}):
        assert site.ask("PUT", PATH, json=body).status_code == 200
    assert kinds(site) == ["project:pipeline:created"]


def test_a_deleted_pipeline_is_gone_but_for_its_emptied_row(site: Site) -> None:
    add(site, name="old", env_variables={"PASSWORD": SECRET})
    gone = site.ask("DELETE", PATH, scope=Scope.WRITE)
    assert (gone.status_code, gone.json) == (200, {"message": "Pipeline deletion was successful."})
    for method, body in (("GET", None), ("PUT", {"name": "x"}), ("DELETE", None)):
        assert site.ask(method, PATH, json=body).status_code == 404
    assert site.ask("GET", "/api/pipelines/").json == {"pipelines": []}
    with site.database.reading() as session:
        assert session.scalars(select(PipelineRow.name)).all() == ["old"]
    assert kinds(site) == ["project:pipeline:created", "project:pipeline:deleted"]


def test_a_deleted_pipeline_can_be_added_again_and_brings_nothing_back(site: Site) -> None:
    add(site, name="old", env_variables={"PASSWORD": SECRET})
    site.ask("DELETE", PATH)
    assert add(site)["env_variables"] == {}
    assert site.ask("GET", PATH).json["name"] == ""
    assert kinds(site) == ["project:pipeline:created", "project:pipeline:deleted", "project:pipeline:created"]


def test_a_uuid_that_is_taken_in_the_project_is_a_conflict(site: Site) -> None:
    add(site, name="first")
    again = site.ask("POST", "/api/pipelines/", json={"project_uuid": PROJECT, "uuid": PIPELINE, "name": "second"})
    assert again.status_code == 409
    assert site.ask("GET", PATH).json["name"] == "first"
    assert kinds(site) == ["project:pipeline:created"]


def test_the_same_uuid_in_another_project_is_another_pipeline(site: Site) -> None:
    site.ask("POST", "/api/projects/", json={"uuid": OTHER})
    add(site, name="here", env_variables={"A": "1"})
    add(site, project=OTHER, name="there", env_variables={"A": "2"})
    site.ask("DELETE", PATH)
    there = site.ask("GET", f"/api/pipelines/{OTHER}/{PIPELINE}").json
    assert (there["name"], there["env_variables"]) == ("there", {"A": "2"})


def test_without_its_project_there_is_no_pipeline(site: Site) -> None:
    unknown = site.ask("POST", "/api/pipelines/", json={"project_uuid": OTHER, "uuid": PIPELINE})
    assert unknown.status_code == 404
    for method, body in (("GET", None), ("PUT", {"name": "x"}), ("DELETE", None)):
        for path in (f"/api/pipelines/{OTHER}/{PIPELINE}", PATH, f"/api/pipelines/{PROJECT}/{SECRET}"):
            answer = site.ask(method, path, json=body)
            assert answer.status_code == 404
            assert SECRET not in answer.text
    assert kinds(site) == []


def test_deleting_its_project_deletes_it_and_tells_of_the_project_alone(site: Site) -> None:
    add(site)
    site.ask("DELETE", f"/api/projects/{PROJECT}")
    assert site.ask("GET", PATH).status_code == 404
    assert [event.type for event in site.events()][-2:] == ["project:pipeline:created", "project:deleted"]
    with site.database.reading() as session:
        assert session.scalars(select(PipelineRow)).all() == []


def test_a_body_that_is_not_valid_is_refused_with_all_its_mistakes(site: Site) -> None:
    for body, where in (
        ({"project_uuid": None}, {"body.project_uuid"}),
        ({"uuid": SECRET}, {"body.uuid"}),
        ({"name": "a\0b"}, {"body.name"}),
        ({"name": SECRET * 30}, {"body.name"}),
        ({"env_variables": {SECRET + " ": "1"}}, {"body.env_variables"}),
        ({"env_variables": {"A": 1}, "name": 2}, {"body.env_variables", "body.name"}),
    ):
        refused = site.ask("POST", "/api/pipelines/", json={"project_uuid": PROJECT, "uuid": PIPELINE, **body})
        assert refused.status_code == 400
        assert {mistake["where"] for mistake in refused.json["errors"]} == where
        assert SECRET not in refused.text
    assert site.ask("POST", "/api/pipelines/", json={"uuid": PIPELINE}).status_code == 400
    assert site.ask("GET", "/api/pipelines/").json == {"pipelines": []}
    assert kinds(site) == []


def test_a_change_that_is_not_valid_changes_nothing(site: Site) -> None:
    made = add(site, name="n", env_variables={"A": "1"})
    for body in ({"name": "m", "env_variables": {"": ""}}, {"name": 7}, {"uuid": OTHER}, {"name": "m", SECRET: 1}):
        refused = site.ask("PUT", PATH, json=body)
        assert refused.status_code == 400
        assert SECRET not in refused.text
    assert site.ask("GET", PATH).json == made


def test_a_list_over_all_projects_comes_in_parts(site: Site) -> None:
    site.ask("POST", "/api/projects/", json={"uuid": OTHER})
    uuids = sorted(str(uuid4()) for _ in range(3))
    wanted = [(project, uuid) for project in (PROJECT, OTHER) for uuid in uuids]
    for project, uuid in reversed(wanted):
        add(site, uuid, project)
    found: list[tuple[str, str]] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        part = site.ask("GET", "/api/pipelines/", params=query).json
        found += [(one["project_uuid"], one["uuid"]) for one in part["pipelines"]]
        if "next_cursor" not in part:
            break
        query = {"limit": 2, "cursor": part["next_cursor"]}
    assert found == wanted
    for cursor in (SECRET, PROJECT, f"{PROJECT}.{SECRET}"):
        refused = site.ask("GET", "/api/pipelines/", params={"cursor": cursor})
        assert refused.status_code == 400
        assert SECRET not in refused.text


def test_changes_at_once_are_one_after_the_other(site: Site) -> None:
    for _ in range(3):
        uuid = str(uuid4())
        creation = ("POST", "/api/pipelines/", {"json": {"project_uuid": PROJECT, "uuid": uuid}})
        assert sorted(one.status_code for one in site.ask_at_once([creation] * 4)) == [201, 409, 409, 409]
        path = f"/api/pipelines/{PROJECT}/{uuid}"
        change = ("PUT", path, {"json": {"env_variables": {"A": "1"}}})
        deletion: tuple[str, str, dict[str, Any]] = ("DELETE", path, {})
        answers = site.ask_at_once([change, deletion, creation, deletion, change])
        assert {one.status_code for one in answers} <= {200, 201, 404, 409}


def test_adding_to_a_project_that_is_being_deleted_is_done_before_or_refused(site: Site) -> None:
    for _ in range(3):
        project = str(uuid4())
        site.ask("POST", "/api/projects/", json={"uuid": project})
        creations = [("POST", "/api/pipelines/", {"json": {"project_uuid": project}}) for _ in range(3)]
        deletion: tuple[str, str, dict[str, Any]] = ("DELETE", f"/api/projects/{project}", {})
        answers = site.ask_at_once([creations[0], deletion, *creations[1:]])
        assert answers[1].status_code == 200
        assert {one.status_code for one in (answers[0], *answers[2:])} <= {201, 404}
    assert site.ask("GET", "/api/pipelines/").json == {"pipelines": []}


def test_jobs_tell_the_newest_name_of_their_pipeline_and_outlive_it(site: Site) -> None:
    add(site, name="old")
    definition = {"uuid": PIPELINE, "name": "old", "version": "1.2.3", "parameters": {}, "settings": {}, "steps": {}}
    body = {"project_uuid": PROJECT, "pipeline_uuid": PIPELINE, "name": "nightly", "parameters": [{}]}
    job = site.ask("POST", "/api/jobs/", json={**body, "pipeline_definition": definition}).json["uuid"]
    site.ask("PUT", PATH, json={"name": "new"})
    assert site.ask("GET", f"/api/jobs/{job}").json["pipeline_name"] == "new"
    site.ask("DELETE", PATH)
    assert site.ask("GET", f"/api/jobs/{job}").json["pipeline_name"] == "new"
    site.ask("DELETE", f"/api/projects/{PROJECT}")
    assert site.ask("GET", f"/api/jobs/{job}").status_code == 404
