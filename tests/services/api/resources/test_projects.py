"""Projects over HTTP, on both databases: what is answered, what is told, what nobody may see."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import select

from services.api.domain.models import ProjectRow
from services.api.http.operation import Scope

if TYPE_CHECKING:
    from tests.services.api.site import Site

SECRET = "canary-3f9d1c"
PROJECT = "6a0f3a2e-5b3e-4c0e-9d0a-000000000001"
OTHER = "6a0f3a2e-5b3e-4c0e-9d0a-000000000002"


def add(site: Site, uuid: str = PROJECT, **more: Any) -> dict[str, Any]:
    made = site.ask("POST", "/api/projects/", json={"uuid": uuid, **more})
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json
    return answer


def payloads(site: Site, pattern: str = "project:*") -> list[tuple[str, Any]]:
    return [(event.type, json.loads(event.payload)["project"]) for event in site.events(pattern)]


def test_a_project_that_was_added_is_there(site: Site) -> None:
    made = add(site, name="Quarterly", env_variables={"PASSWORD": SECRET})
    assert made == {"uuid": PROJECT, "name": "Quarterly", "env_variables": {"PASSWORD": SECRET}}
    assert site.ask("GET", f"/api/projects/{PROJECT}").json == made
    assert site.ask("GET", "/api/projects").json == {"projects": [{**made, "env_variables": None}]}


def test_a_uuid_that_is_left_out_is_made(site: Site) -> None:
    made = site.ask("POST", "/api/projects/", json={"name": "x"}).json
    assert site.ask("GET", f"/api/projects/{UUID(made['uuid'])}").json["name"] == "x"


def test_who_may_only_read_sees_no_variables(site: Site) -> None:
    add(site, env_variables={"PASSWORD": SECRET})
    seen = site.ask("GET", f"/api/projects/{PROJECT}", scope=Scope.READ)
    assert (seen.status_code, seen.json["env_variables"]) == (200, None)
    assert site.ask("GET", f"/api/projects/{PROJECT}", scope=Scope.WRITE).json["env_variables"] == {"PASSWORD": SECRET}


def test_variables_are_encrypted_at_rest(site: Site) -> None:
    add(site, env_variables={"PASSWORD": SECRET})
    with site.database.reading() as session:
        stored = session.scalars(select(ProjectRow.env_variables)).one()
    assert SECRET.encode() not in stored
    assert b"PASSWORD" not in stored


def test_what_happened_is_told_with_the_count_of_projects(site: Site) -> None:
    add(site, name="one")
    add(site, OTHER, name="two")
    site.ask("DELETE", f"/api/projects/{PROJECT}")
    told = [(event.type, event.facts["project_name"], event.facts["projects_count"]) for event in site.events()]
    assert told == [("project:created", "one", 1), ("project:created", "two", 2), ("project:deleted", "one", 1)]


def test_a_change_is_told_without_values(site: Site) -> None:
    add(site, name="old", env_variables={"SAME": "1", "GONE": SECRET, "OTHER": "2"})
    body = {"name": "new", "env_variables": {"SAME": "1", "OTHER": SECRET, "NEW": SECRET}}
    answer = site.ask("PUT", f"/api/projects/{PROJECT}", json=body, scope=Scope.WRITE)
    assert (answer.status_code, answer.json) == (200, {"message": "Project was updated successfully."})
    variable = {"changed_object": "environment_variable"}
    assert payloads(site)[-1] == (
        "project:updated",
        {
            "uuid": PROJECT,
            "name": "new",
            "update": {
                "changes": [
                    {"type": "CREATED", **variable},
                    {"type": "UPDATED", **variable},
                    {"type": "DELETED", **variable},
                    {"type": "UPDATED", "changed_object": "name"},
                ]
            },
        },
    )
    assert SECRET not in "".join(event.payload + json.dumps(dict(event.facts)) for event in site.events())
    assert site.ask("GET", f"/api/projects/{PROJECT}").json["env_variables"] == body["env_variables"]


def test_a_change_that_changes_nothing_is_not_told(site: Site) -> None:
    add(site, name="n", env_variables={"A": "1"})
    for body in ({}, {"name": "n"}, {"env_variables": {"A": "1"}}, {"name": None}):
        assert site.ask("PUT", f"/api/projects/{PROJECT}", json=body).status_code == 200
    assert [event.type for event in site.events()] == ["project:created"]


def test_what_is_left_out_of_a_change_stays(site: Site) -> None:
    add(site, name="n", env_variables={"A": "1"})
    site.ask("PUT", f"/api/projects/{PROJECT}", json={"name": "m"})
    site.ask("PUT", f"/api/projects/{PROJECT}", json={"env_variables": {}})
    assert site.ask("GET", f"/api/projects/{PROJECT}").json == {"uuid": PROJECT, "name": "m", "env_variables": {}}


def test_a_creation_that_is_repeated_under_its_key_is_one_project_and_one_event(site: Site) -> None:
    body = {"name": "n", "env_variables": {"PASSWORD": SECRET}}
    first, again = (site.ask("POST", "/api/projects/", json=body, headers={"Idempotency-Key": "one"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json == again.json
    assert len(site.events()) == 1


def test_a_uuid_that_is_taken_is_a_conflict_and_changes_nothing(site: Site) -> None:
    add(site, name="first")
    again = site.ask("POST", "/api/projects/", json={"uuid": PROJECT, "name": "second"})
    assert again.status_code == 409
    assert site.ask("GET", f"/api/projects/{PROJECT}").json["name"] == "first"
    assert len(site.events()) == 1


def test_an_unknown_project_is_404(site: Site) -> None:
    for method, body in (("GET", None), ("PUT", {"name": "x"}), ("DELETE", None)):
        assert site.ask(method, f"/api/projects/{uuid4()}", json=body).status_code == 404
        assert site.ask(method, f"/api/projects/{SECRET}", json=body).status_code == 404
    assert site.events() == ()


def test_a_deleted_project_is_gone(site: Site) -> None:
    add(site)
    gone = site.ask("DELETE", f"/api/projects/{PROJECT}", scope=Scope.WRITE)
    assert (gone.status_code, gone.json) == (200, {"message": "Project deletion was successful."})
    assert site.ask("GET", f"/api/projects/{PROJECT}").status_code == 404
    assert site.ask("DELETE", f"/api/projects/{PROJECT}").status_code == 404
    assert site.ask("GET", "/api/projects/").json == {"projects": []}


BAD: tuple[tuple[dict[str, Any], set[str]], ...] = (
    ({"uuid": SECRET}, {"body.uuid"}),
    ({"name": 7}, {"body.name"}),
    ({"name": SECRET * 30}, {"body.name"}),
    ({"name": "a\0b"}, {"body.name"}),
    ({"name": "two\nlines"}, {"body.name"}),
    ({"env_variables": None}, {"body.env_variables"}),
    ({"env_variables": [SECRET]}, {"body.env_variables"}),
    ({"env_variables": {SECRET + " ": "1"}}, {"body.env_variables"}),
    ({"env_variables": {"": "1"}}, {"body.env_variables"}),
    ({"env_variables": {"A\n": "1"}}, {"body.env_variables"}),
    ({"env_variables": {SECRET: 7}}, {"body.env_variables"}),
    ({"env_variables": {SECRET: f"a\0{SECRET}"}}, {"body.env_variables"}),
    ({"env_variables": {f"A{number}": "" for number in range(1001)}}, {"body.env_variables"}),
    ({"env_variables": {"A": "x" * 32_769}}, {"body.env_variables"}),
    ({"env_variables": {f"A{number}": "x" * 30_000 for number in range(9)}}, {"body.env_variables"}),
    ({"uuid": 1, "name": None, "env_variables": {"A": None}}, {"body.uuid", "body.name", "body.env_variables"}),
)


def test_a_body_that_is_not_valid_is_refused_with_all_its_mistakes(site: Site) -> None:
    for body, where in BAD:
        refused = site.ask("POST", "/api/projects/", json={"uuid": PROJECT, **body})
        assert refused.status_code == 400, body
        assert {mistake["where"] for mistake in refused.json["errors"]} == where
        assert SECRET not in refused.text
    assert site.ask("GET", "/api/projects/").json == {"projects": []}
    assert site.events() == ()


def test_names_and_variables_at_their_limits_are_kept(site: Site) -> None:
    name = "ü" * 255
    variables = {"x" * 255: "y" * 32_768, "a-B_9": "\N{SNOWMAN}\n"}
    add(site, name=name, env_variables=variables)
    kept = site.ask("GET", f"/api/projects/{PROJECT}").json
    assert (kept["name"], kept["env_variables"]) == (name, variables)


def test_a_list_comes_in_parts_when_parts_are_asked_for(site: Site) -> None:
    uuids = sorted(str(uuid4()) for _ in range(5))
    for uuid in reversed(uuids):
        add(site, uuid)
    assert [one["uuid"] for one in site.ask("GET", "/api/projects/").json["projects"]] == uuids
    found: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        part = site.ask("GET", "/api/projects/", params=query).json
        found += [one["uuid"] for one in part["projects"]]
        if "next_cursor" not in part:
            break
        query = {"limit": 2, "cursor": part["next_cursor"]}
        site.ask("DELETE", f"/api/projects/{part['next_cursor']}")
    assert found == uuids


def test_a_change_that_is_not_valid_changes_nothing(site: Site) -> None:
    made = add(site, name="n", env_variables={"A": "1"})
    for body in ({"name": "m", "env_variables": {"": ""}}, {"name": 7}, {"uuid": OTHER}, {"name": "m", SECRET: 1}):
        refused = site.ask("PUT", f"/api/projects/{PROJECT}", json=body)
        assert refused.status_code == 400
        assert SECRET not in refused.text
    assert site.ask("GET", f"/api/projects/{PROJECT}").json == made
    assert len(site.events()) == 1


def test_a_query_that_is_not_valid_is_refused(site: Site) -> None:
    for query in ({"limit": 0}, {"limit": 501}, {"limit": SECRET}, {"cursor": SECRET}, {SECRET: 1}):
        refused = site.ask("GET", "/api/projects/", params=query)
        assert refused.status_code == 400, query
        assert SECRET not in refused.text


def test_of_two_who_add_the_same_at_once_one_does(site: Site) -> None:
    for _ in range(5):
        uuid = str(uuid4())
        asked = [("POST", "/api/projects/", {"json": {"uuid": uuid, "name": str(number)}}) for number in range(4)]
        assert sorted(one.status_code for one in site.ask_at_once(asked)) == [201, 409, 409, 409]
    assert len(site.events()) == 5


def test_a_change_and_a_deletion_at_once_are_one_after_the_other(site: Site) -> None:
    for _ in range(5):
        uuid = str(uuid4())
        add(site, uuid)
        change = ("PUT", f"/api/projects/{uuid}", {"json": {"name": "new", "env_variables": {"A": "1"}}})
        delete: tuple[str, str, dict[str, Any]] = ("DELETE", f"/api/projects/{uuid}", {})
        answers = site.ask_at_once([change, delete, change, delete])
        assert sorted(one.status_code for one in answers if one.status_code != 200) in ([404], [404] * 2, [404] * 3)
        assert site.ask("GET", f"/api/projects/{uuid}").status_code == 404
    assert [event.type for event in site.events()].count("project:deleted") == 5
