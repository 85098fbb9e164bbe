from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, select

from outbox.events.facts import JobStatus
from services.api.domain import jobs
from services.api.domain.job_models import JobRow
from services.api.http.operation import Scope
from services.api.http.resource import MOST_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import falcon.testing

    from tests.services.api.site import Site

PROJECT, PIPELINE, OTHER_PIPELINE = uuid4(), uuid4(), uuid4()
STEP, ENVIRONMENT = str(uuid4()), str(uuid4())
UNKNOWN = uuid4()
SECRET = "hunter2-of-the-job"


def definition(pipeline: UUID = PIPELINE, name: str = "in the file") -> dict[str, Any]:
    return {
        "uuid": str(pipeline),
        "name": name,
        "version": "1.2.3",
        "settings": {"auto_eviction": True, "data_passing_memory_size": "1GB", "max_steps_parallelism": 0},
        "parameters": {"depth": 3},
        "steps": {
            STEP: {
                "uuid": STEP,
                "title": "Train",
                "file_path": "train.ipynb",
                "environment": ENVIRONMENT,
                "kernel": {"name": "python", "display_name": "Python"},
                "incoming_connections": [],
                "meta_data": {"hidden": False, "position": [1, 2.5]},
                "parameters": {"lr": 0.1},
            }
        },
        "services": {},
    }


def creation(**changed: Any) -> dict[str, Any]:
    """As the original's webserver sends it."""
    body = {
        "uuid": str(uuid4()),
        "name": "nightly",
        "project_uuid": str(PROJECT),
        "pipeline_uuid": str(PIPELINE),
        "pipeline_name": "in the file",
        "draft": True,
        "pipeline_definition": definition(),
        "pipeline_run_spec": {
            "run_type": "full",
            "uuids": [],
            "run_config": {
                "project_dir": "/userdir/projects/p",
                "pipeline_path": "main.orchest",
                "userdir_pvc": "userdir-pvc",
            },
        },
        "parameters": [{}],
    }
    return {name: value for name, value in {**body, **changed}.items() if value is not ...}


def add_project(site: Site) -> None:
    site.ask(
        "POST", "/api/projects/", json={"uuid": str(PROJECT), "name": "forecast", "env_variables": {"A": "1", "B": "2"}}
    )
    for pipeline, variables in ((PIPELINE, {"B": "3"}), (OTHER_PIPELINE, {"C": "4"})):
        site.ask(
            "POST",
            "/api/pipelines/",
            json={"project_uuid": str(PROJECT), "uuid": str(pipeline), "name": "p", "env_variables": variables},
        )


@pytest.fixture
def shop(site: Site) -> Site:
    """A site with a project and two pipelines."""
    add_project(site)
    return site


def drafted(site: Site, **changed: Any) -> str:
    answer = site.ask("POST", "/api/jobs/", json=creation(**changed))
    assert answer.status_code == 201, answer.text
    uuid: str = answer.json["uuid"]
    return uuid


def cron_job(site: Site) -> str:
    uuid = drafted(site, cron_schedule="@daily")
    assert put(site, uuid, confirm_draft=True).status_code == 200
    return uuid


def put(site: Site, uuid: str, **body: Any) -> falcon.testing.Result:
    return site.ask("PUT", f"/api/jobs/{uuid}", json=body)


def shown(site: Site, uuid: str, **more: Any) -> dict[str, Any]:
    answer = site.ask("GET", f"/api/jobs/{uuid}", **more)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json
    return found


def told(site: Site) -> list[str]:
    """Types of the events of jobs."""
    return [record.type.removeprefix("project:") for record in site.events("project:*") if "job" in record.type]


def last_told(site: Site) -> dict[str, Any]:
    payload = site.events("project:*")[-1].payload
    project: dict[str, Any] = (json.loads(payload) if isinstance(payload, str) else payload)["project"]
    found: dict[str, Any] = project["job"]
    return found


def midnight() -> str:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (today + timedelta(days=1)).isoformat()


def test_a_job_begins_as_a_draft_with_all_that_it_was_given(shop: Site) -> None:
    body = creation(cron_schedule="@daily", max_retained_pipeline_runs=5, strategy_json={STEP: {"key": STEP}})
    answer = shop.ask("POST", "/api/jobs/", json=body)
    assert answer.status_code == 201
    job = answer.json
    assert job["uuid"] == body["uuid"]
    assert {name: job[name] for name in body.keys() - {"draft", "cron_schedule"}} == {
        name: value for name, value in body.items() if name not in {"draft", "cron_schedule"}
    }
    assert (job["status"], job["schedule"], job["next_scheduled_time"]) == ("DRAFT", "@daily", midnight())
    assert (job["total_scheduled_executions"], job["total_scheduled_pipeline_runs"]) == (0, 0)
    assert job["last_scheduled_time"] is None
    assert shown(shop, body["uuid"]) == job
    assert told(shop) == ["cron-job:created"]
    assert (last_told(shop)["status"], last_told(shop)["total_runs"]) == ("DRAFT", 1)


def test_a_draft_without_variables_gets_those_of_the_project_and_over_them_those_of_the_pipeline(shop: Site) -> None:
    assert shown(shop, drafted(shop))["env_variables"] == {"A": "1", "B": "3"}
    assert shown(shop, drafted(shop, env_variables={}))["env_variables"] == {}


@pytest.mark.parametrize(
    ("given", "file", "expected"),
    [("by hand", "in the file", "by hand"), (..., "in the file", "in the file"), (..., "", "p"), ("", "", "p")],
)
def test_a_job_knows_its_pipeline_by_the_best_name_there_is(shop: Site, given: Any, file: str, expected: str) -> None:
    uuid = drafted(shop, pipeline_name=given, pipeline_definition=definition(name=file))
    assert shown(shop, uuid)["pipeline_name"] == expected


def test_a_time_without_a_zone_is_utc_and_answers_can_be_read_by_the_original_client(shop: Site) -> None:
    """It cuts `+00:00` and the fraction off, and appends Z."""
    for sent in ("2030-05-01T12:30:00", "2030-05-01T14:30:00+02:00", "2030-05-01T12:30:00Z"):
        for name in ("scheduled_start", "next_scheduled_time"):
            job = shown(shop, drafted(shop, **{name: sent}))
            assert job["next_scheduled_time"] == "2030-05-01T12:30:00+00:00"
            assert job["created_time"].endswith("+00:00")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": ...}, "body.name"),
    ({"name": ""}, "body.name"),
    ({"name": "a\0b"}, "body.name"),
    ({"name": "x" * 256}, "body.name"),
    ({"uuid": "no-uuid"}, "body.uuid"),
    ({"project_uuid": ...}, "body.project_uuid"),
    ({"colour": "red"}, "body.*"),
    ({"draft": False}, "body.draft"),
    ({"parameters": []}, "body.parameters"),
    ({"parameters": [{STEP: 1}]}, "body.parameters.0.*"),
    ({"parameters": [{}, {"canary-step": {}}]}, "body.parameters.1"),
    ({"parameters": {}}, "body.parameters"),
    ({"cron_schedule": "canary every day"}, "body.cron_schedule"),
    ({"cron_schedule": "0 0 30 2 *"}, "body.cron_schedule"),
    ({"cron_schedule": "@daily", "next_scheduled_time": "2030-01-01T00:00:00"}, "body"),
    ({"scheduled_start": "2030-01-01T00:00:00", "next_scheduled_time": "2030-01-01T00:00:00"}, "body"),
    ({"next_scheduled_time": "canary"}, "body.next_scheduled_time"),
    ({"next_scheduled_time": "1700000000"}, "body.next_scheduled_time"),
    ({"next_scheduled_time": "9999-12-31T23:59:59-12:00"}, "body.next_scheduled_time"),
    ({"next_scheduled_time": "0001-01-01T00:00:00+14:00"}, "body.next_scheduled_time"),
    ({"max_retained_pipeline_runs": -2}, "body.max_retained_pipeline_runs"),
    ({"max_retained_pipeline_runs": 2**31}, "body.max_retained_pipeline_runs"),
    ({"max_retained_pipeline_runs": "3"}, "body.max_retained_pipeline_runs"),
    ({"env_variables": {"a canary": "1"}}, "body.env_variables"),
    ({"env_variables": {"A": 1}}, "body.env_variables"),
    ({"pipeline_definition": ...}, "body.pipeline_definition"),
    ({"pipeline_definition": []}, "body.pipeline_definition"),
    ({"pipeline_definition": {"steps": {}}}, "body.pipeline_definition"),
    ({"pipeline_definition": {"uuid": "u", "steps": {"canary": {"title": "t"}}}}, "body.pipeline_definition"),
    (
        {"pipeline_definition": {"uuid": "u", "services": {"canary": {"name": "n", "ports": ["x"]}}}},
        "body.pipeline_definition",
    ),
    ({"pipeline_run_spec": {"run_type": "canary"}}, "body.pipeline_run_spec.run_type"),
    ({"strategy_json": []}, "body.strategy_json"),
    ({"snapshot_uuid": "canary"}, "body.snapshot_uuid"),
]


@pytest.mark.parametrize(("changed", "where"), BAD, ids=[f"{next(iter(c))}-{n}" for n, (c, _) in enumerate(BAD)])
def test_a_bad_body_is_refused_with_the_place_and_without_the_value(
    shop: Site, changed: dict[str, Any], where: str
) -> None:
    answer = shop.ask("POST", "/api/jobs/", json=creation(**changed))
    assert answer.status_code == 400, answer.text
    assert where in [mistake["where"] for mistake in answer.json["errors"]]
    assert "canary" not in answer.text
    assert shop.ask("GET", "/api/jobs/").json == {"jobs": []}
    assert told(shop) == []


def test_numbers_that_json_does_not_know_are_refused_and_not_kept(shop: Site) -> None:
    body = json.dumps(creation(parameters=[{STEP: {"lr": float("nan")}}]))
    assert "NaN" in body
    answer = shop.ask("POST", "/api/jobs/", body=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


def test_a_definition_with_keys_and_texts_of_all_kinds_comes_back_as_it_went_in(shop: Site) -> None:
    odd = definition() | {"mine": {"": [None, True, -1.5e300, 2**63 - 1, "\0\U0001f409"]}}
    assert shown(shop, drafted(shop, pipeline_definition=odd))["pipeline_definition"] == odd


def test_a_job_needs_its_project_and_its_pipeline(shop: Site) -> None:
    for changed in ({"project_uuid": str(UNKNOWN)}, {"pipeline_uuid": str(UNKNOWN)}):
        answer = shop.ask("POST", "/api/jobs/", json=creation(**changed))
        assert answer.status_code == 404
        assert str(UNKNOWN) not in answer.text
    shop.ask("DELETE", f"/api/pipelines/{PROJECT}/{PIPELINE}")
    assert shop.ask("POST", "/api/jobs/", json=creation()).status_code == 404
    assert told(shop) == []


def test_a_uuid_is_taken_once_even_by_two_at_the_same_time(shop: Site) -> None:
    body = creation()
    answers = shop.ask_at_once([("POST", "/api/jobs/", {"json": body})] * 4)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert told(shop) == ["one-off-job:created"]


def test_a_job_that_cannot_be_told_of_is_not_made(shop: Site) -> None:
    """One transaction: when the event cannot be written, nothing is."""

    def refuse(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO events"):
            raise RuntimeError

    event.listen(shop.database.engine, "before_cursor_execute", refuse)
    answer = shop.ask("POST", "/api/jobs/", json=creation())
    event.remove(shop.database.engine, "before_cursor_execute", refuse)
    assert answer.status_code == 500
    assert shop.ask("GET", "/api/jobs/").json == {"jobs": []}


def test_variables_lie_encrypted_and_only_writers_see_them(shop: Site) -> None:
    uuid = drafted(shop, env_variables={"PASSWORD": SECRET})
    with shop.database.reading() as session:
        kept = session.scalars(select(JobRow.env_variables)).one()
    assert SECRET.encode() not in kept
    assert shown(shop, uuid, scope=Scope.WRITE)["env_variables"] == {"PASSWORD": SECRET}
    assert shown(shop, uuid, scope=Scope.READ)["env_variables"] is None
    assert shop.ask("GET", "/api/jobs/").json["jobs"][0]["env_variables"] is None
    assert all(SECRET not in str(record.payload) for record in shop.events())


def test_the_list_is_whole_and_newest_first_or_in_parts(shop: Site) -> None:
    uuids = [drafted(shop, name=str(number)) for number in range(5)][::-1]
    whole = shop.ask("GET", "/api/jobs/").json
    assert [job["uuid"] for job in whole["jobs"]] == uuids
    assert "next_cursor" not in whole
    found: list[str] = []
    query: dict[str, str] = {"limit": "2"}
    while True:
        part = shop.ask("GET", "/api/jobs/", params=query).json
        found += [job["uuid"] for job in part["jobs"]]
        if "next_cursor" not in part:
            break
        query["cursor"] = part["next_cursor"]
        shop.ask("DELETE", f"/api/jobs/cleanup/{found[-1]}")
    assert found == uuids


def test_the_list_can_be_that_of_one_project(shop: Site) -> None:
    uuid = drafted(shop)
    of_project = shop.ask("GET", "/api/jobs/", params={"project_uuid": str(PROJECT)}).json["jobs"]
    assert [job["uuid"] for job in of_project] == [uuid]
    assert shop.ask("GET", "/api/jobs/", params={"project_uuid": str(UNKNOWN)}).json == {"jobs": []}
    assert shop.ask("GET", "/api/jobs/", params={"project_uuid": "canary"}).status_code == 400


@pytest.mark.parametrize("cursor", ["", "canary", "1.2", f"99999999999999999.{UUID(int=0)}"])
def test_a_cursor_of_nothing_is_refused_or_behind_everything(shop: Site, cursor: str) -> None:
    answer = shop.ask("GET", "/api/jobs/", params={"cursor": cursor, "limit": "1"})
    assert answer.status_code in {200, 400}
    assert "canary" not in answer.text


def test_run_statuses_are_counted_when_asked_for(shop: Site) -> None:
    uuid = drafted(shop)
    assert shown(shop, uuid)["pipeline_run_status_counts"] is None
    assert shown(shop, uuid, params={"aggregate_run_statuses": "true"})["pipeline_run_status_counts"] == {}


def test_a_change_of_a_draft_is_told_with_what_changed(shop: Site) -> None:
    uuid = drafted(shop)
    answer = put(shop, uuid, name="weekly", cron_schedule="0 0 * * 1", parameters=[{STEP: {"lr": 1}}, {}])
    assert (answer.status_code, answer.json) == (200, {"message": "Job was updated successfully"})
    job = shown(shop, uuid)
    assert (job["name"], job["schedule"], len(job["parameters"])) == ("weekly", "0 0 * * 1", 2)
    assert told(shop) == ["one-off-job:created", "cron-job:updated"]
    assert [change["changed_object"] for change in last_told(shop)["update"]["changes"]] == [
        "name",
        "schedule",
        "parameters",
        "next_scheduled_time",
    ]
    assert last_told(shop)["total_runs"] == 2


def test_a_change_to_what_is_there_already_is_none(shop: Site) -> None:
    uuid = drafted(shop, env_variables={"A": "1"})
    bodies: tuple[dict[str, Any], ...] = (
        {},
        {"name": "nightly"},
        {"env_variables": {"A": "1"}},
        {"parameters": [{}]},
        {"name": None},
    )
    for body in bodies:
        assert put(shop, uuid, **body).status_code == 200
    assert told(shop) == ["one-off-job:created"]


def test_values_of_variables_are_told_to_nobody(shop: Site) -> None:
    uuid = drafted(shop, env_variables={"A": "1"})
    put(shop, uuid, env_variables={"A": SECRET, SECRET: "1"})
    assert shown(shop, uuid)["env_variables"] == {"A": SECRET, SECRET: "1"}
    assert last_told(shop)["update"]["changes"] == [
        {"type": "CREATED", "changed_object": "environment_variable"},
        {"type": "UPDATED", "changed_object": "environment_variable"},
    ]


def test_a_confirmed_draft_with_a_schedule_is_a_cron_job_that_has_started(shop: Site) -> None:
    uuid = cron_job(shop)
    job = shown(shop, uuid)
    assert (job["status"], job["next_scheduled_time"], job["last_scheduled_time"]) == (
        "STARTED",
        midnight(),
        midnight(),
    )
    assert told(shop) == ["cron-job:created", "cron-job:updated", "cron-job:started"]
    assert last_told(shop)["schedule"] == "@daily"


def test_a_confirmed_draft_without_one_is_due_once_and_has_not_started(shop: Site) -> None:
    at_once, later = drafted(shop), drafted(shop)
    put(shop, at_once, confirm_draft=True)
    put(shop, later, confirm_draft=True, next_scheduled_time="2030-01-01T00:00:00")
    due = datetime.fromisoformat(shown(shop, at_once)["next_scheduled_time"])
    assert timedelta() <= datetime.now(UTC) - due < timedelta(minutes=1)
    assert shown(shop, later)["next_scheduled_time"] == "2030-01-01T00:00:00+00:00"
    assert {shown(shop, uuid)["status"] for uuid in (at_once, later)} == {"PENDING"}
    assert told(shop) == ["one-off-job:created"] * 2 + ["one-off-job:updated"] * 2


def test_a_draft_is_confirmed_once_even_by_two_at_the_same_time(shop: Site) -> None:
    uuid = drafted(shop, cron_schedule="@daily")
    answers = shop.ask_at_once([("PUT", f"/api/jobs/{uuid}", {"json": {"confirm_draft": True}})] * 4)
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert told(shop).count("cron-job:started") == 1


def test_what_a_job_cannot_change_any_more_is_a_conflict_with_the_reason(shop: Site) -> None:
    uuid = drafted(shop)
    put(shop, uuid, confirm_draft=True)
    answer = put(shop, uuid, name="another", parameters=[{}])
    assert answer.status_code == 409
    assert "a job that runs once: its parameters does not change" in answer.json["detail"]
    assert shown(shop, uuid)["name"] == "nightly"
    assert put(shop, uuid, name="another").status_code == 200


NOT_CHANGED = {"uuid", "project_uuid", "draft", "scheduled_start", "snapshot_uuid"}
OF_UPDATES = [
    (changed, where)
    for changed, where in BAD
    if ... not in changed.values() and not changed.keys() & NOT_CHANGED and "pipeline" not in where
]


@pytest.mark.parametrize(("changed", "where"), OF_UPDATES, ids=[f"{next(iter(c))}" for c, _ in OF_UPDATES])
def test_a_bad_change_is_refused_without_the_value(shop: Site, changed: dict[str, Any], where: str) -> None:
    uuid = drafted(shop)
    before = shown(shop, uuid)
    answer = put(shop, uuid, **changed)
    assert answer.status_code == 400
    assert where in [mistake["where"] for mistake in answer.json["errors"]]
    assert "canary" not in answer.text
    assert shown(shop, uuid) == before


@pytest.mark.parametrize("name", sorted(NOT_CHANGED | {"status", "pipeline_uuid", "pipeline_definition"}))
def test_what_a_job_is_made_of_does_not_change(shop: Site, name: str) -> None:
    uuid = drafted(shop)
    answer = shop.ask("PUT", f"/api/jobs/{uuid}", json={name: str(UNKNOWN)})
    assert answer.status_code == 400
    assert answer.json["errors"][0]["where"] == "body.*"


def test_another_pipeline_for_a_draft_begins_anew_but_for_what_was_done_by_hand(shop: Site) -> None:
    uuid = drafted(shop, parameters=[{STEP: {"lr": 1}}], env_variables={"A": "1", "B": "3", "D": "by hand"})
    body = {"pipeline_uuid": str(OTHER_PIPELINE), "pipeline_definition": definition(OTHER_PIPELINE, "other")}
    answer = shop.ask("PUT", f"/api/jobs/{uuid}/pipeline", json=body | {"pipeline_path": "other.orchest"})
    assert (answer.status_code, answer.json) == (200, {"message": "Job pipeline was updated successfully"})
    job = shown(shop, uuid)
    assert (job["pipeline_uuid"], job["pipeline_name"]) == (str(OTHER_PIPELINE), "other")
    assert job["pipeline_definition"] == body["pipeline_definition"]
    assert job["pipeline_run_spec"]["run_config"]["pipeline_path"] == "other.orchest"
    assert job["pipeline_run_spec"]["run_config"]["project_dir"] == "/userdir/projects/p"
    assert (job["parameters"], job["strategy_json"]) == ([{}], {})
    assert job["env_variables"] == {"A": "1", "B": "2", "C": "4", "D": "by hand"}
    assert told(shop) == ["one-off-job:created", "one-off-job:updated"]
    assert last_told(shop)["pipeline_name"] == "other"


def test_another_pipeline_can_be_chosen_when_the_first_is_gone(shop: Site) -> None:
    uuid = drafted(shop)
    shop.ask("DELETE", f"/api/pipelines/{PROJECT}/{PIPELINE}")
    body = {"pipeline_uuid": str(OTHER_PIPELINE), "pipeline_definition": definition(OTHER_PIPELINE)}
    assert shop.ask("PUT", f"/api/jobs/{uuid}/pipeline", json=body).status_code == 200


def test_another_pipeline_needs_a_draft_a_definition_and_itself(shop: Site) -> None:
    draft, job = drafted(shop), cron_job(shop)
    whole = {"pipeline_uuid": str(OTHER_PIPELINE), "pipeline_definition": definition(OTHER_PIPELINE)}
    for uuid, body, status, detail in (
        (draft, {"pipeline_uuid": str(OTHER_PIPELINE)}, 409, "send pipeline_definition along"),
        (job, whole, 409, "Only a draft"),
        (draft, whole | {"pipeline_uuid": str(UNKNOWN)}, 404, "no such pipeline"),
        (str(UNKNOWN), whole, 404, "no such job"),
    ):
        answer = shop.ask("PUT", f"/api/jobs/{uuid}/pipeline", json=body)
        assert (answer.status_code, detail in answer.json["detail"]) == (status, True)


def test_a_cron_job_is_paused_and_resumed(shop: Site) -> None:
    uuid = cron_job(shop)
    paused = shop.ask("POST", f"/api/jobs/cronjobs/pause/{uuid}")
    assert (paused.status_code, paused.json) == (200, {"message": "Cron job pausing was successful."})
    assert (shown(shop, uuid)["status"], shown(shop, uuid)["next_scheduled_time"]) == ("PAUSED", None)
    assert shop.ask("POST", f"/api/jobs/cronjobs/pause/{uuid}").status_code == 409
    resumed = shop.ask("POST", f"/api/jobs/cronjobs/resume/{uuid}")
    assert (resumed.status_code, resumed.json) == (200, {"next_scheduled_time": midnight()})
    assert shop.ask("POST", f"/api/jobs/cronjobs/resume/{uuid}").status_code == 409
    assert told(shop)[3:] == ["cron-job:paused", "cron-job:unpaused"]
    assert last_told(shop)["status"] == "STARTED"


def test_an_aborted_job_is_kept_and_not_due_any_more(shop: Site) -> None:
    draft, job = drafted(shop), cron_job(shop)
    for uuid in (draft, job):
        answer = shop.ask("DELETE", f"/api/jobs/{uuid}")
        assert (answer.status_code, answer.json) == (200, {"message": "Job termination was successful."})
        assert (shown(shop, uuid)["status"], shown(shop, uuid)["next_scheduled_time"]) == ("ABORTED", None)
        assert shop.ask("DELETE", f"/api/jobs/{uuid}").status_code == 409
        assert put(shop, uuid, name="another").status_code == 409
    assert told(shop)[4:] == ["one-off-job:cancelled", "cron-job:cancelled"]


def test_a_job_is_aborted_before_it_is_deleted_unless_it_has_ended(shop: Site) -> None:
    job, ended = cron_job(shop), drafted(shop)
    shop.ask("DELETE", f"/api/jobs/{ended}")
    for uuid in (job, ended):
        answer = shop.ask("DELETE", f"/api/jobs/cleanup/{uuid}")
        assert (answer.status_code, answer.json) == (200, {"message": "Job deletion was successful."})
        assert shop.ask("GET", f"/api/jobs/{uuid}").status_code == 404
    assert told(shop)[4:] == [
        "one-off-job:cancelled",
        "cron-job:cancelled",
        "cron-job:deleted",
        "one-off-job:deleted",
    ]


def test_a_job_whose_variables_nobody_can_read_any_more_can_still_be_stopped_and_deleted(shop: Site) -> None:
    uuid = cron_job(shop)
    with shop.database.writing() as session:
        session.get_one(JobRow, UUID(uuid)).env_variables = b"damaged"
    assert shop.ask("GET", f"/api/jobs/{uuid}").status_code == 503
    assert shop.ask("GET", f"/api/jobs/{uuid}", scope=Scope.READ).status_code == 200
    assert shop.ask("POST", f"/api/jobs/cronjobs/pause/{uuid}").status_code == 200
    assert shop.ask("DELETE", f"/api/jobs/{uuid}").status_code == 200
    assert shop.ask("DELETE", f"/api/jobs/cleanup/{uuid}").status_code == 200


def test_a_change_and_a_deletion_at_the_same_time_both_have_an_answer(shop: Site) -> None:
    uuid = cron_job(shop)
    requests: list[tuple[str, str, Mapping[str, Any]]] = [
        ("PUT", f"/api/jobs/{uuid}", {"json": {"name": "another"}}),
        ("DELETE", f"/api/jobs/cleanup/{uuid}", {}),
        ("POST", f"/api/jobs/cronjobs/pause/{uuid}", {}),
        ("DELETE", f"/api/projects/{PROJECT}", {}),
    ]
    statuses = {answer.status_code for answer in shop.ask_at_once(requests)}
    assert statuses <= {200, 404}
    assert shop.ask("GET", f"/api/jobs/{uuid}").status_code == 404


def test_the_next_job_is_the_one_that_is_due_first_of_those_that_will_run(shop: Site) -> None:
    nothing = {"uuid": None, "next_scheduled_time": None}
    drafted(shop, next_scheduled_time="2026-01-01T00:00:00")
    paused = cron_job(shop)
    shop.ask("POST", f"/api/jobs/cronjobs/pause/{paused}")
    aborted = cron_job(shop)
    shop.ask("DELETE", f"/api/jobs/{aborted}")
    assert shop.ask("GET", "/api/jobs/next_scheduled_job").json == nothing
    put(shop, drafted(shop), confirm_draft=True, next_scheduled_time="2990-01-01T00:00:00")
    cron = cron_job(shop)
    expected = {"uuid": cron, "next_scheduled_time": midnight()}
    assert shop.ask("GET", "/api/jobs/next_scheduled_job").json == expected
    assert shop.ask("GET", "/api/jobs/next_scheduled_job", params={"project_uuid": str(PROJECT)}).json == expected
    assert shop.ask("GET", "/api/jobs/next_scheduled_job", params={"project_uuid": str(UNKNOWN)}).json == nothing


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/jobs/{}"),
        ("PUT", "/api/jobs/{}"),
        ("DELETE", "/api/jobs/{}"),
        ("DELETE", "/api/jobs/cleanup/{}"),
        ("POST", "/api/jobs/cronjobs/pause/{}"),
        ("POST", "/api/jobs/cronjobs/resume/{}"),
    ],
)
def test_an_unknown_job_is_not_found(shop: Site, method: str, path: str) -> None:
    for uuid in (str(UNKNOWN), "canary"):
        answer = shop.ask(method, path.format(uuid), json={})
        assert answer.status_code == 404
        assert uuid not in answer.text
    assert told(shop) == []


def test_a_deleted_project_takes_its_jobs_along_and_tells_of_itself_alone(shop: Site) -> None:
    uuid = cron_job(shop)
    shop.ask("DELETE", f"/api/projects/{PROJECT}")
    assert shop.ask("GET", f"/api/jobs/{uuid}").status_code == 404
    assert [record.type for record in shop.events()][-1] == "project:deleted"


def test_an_environment_is_in_use_while_a_job_with_a_step_in_it_has_not_ended(shop: Site) -> None:
    def used() -> bool:
        with shop.database.reading() as session:
            return jobs.uses_environment(session, PROJECT, UUID(ENVIRONMENT))

    assert not used()
    uuid = drafted(shop)
    assert used()
    with shop.database.reading() as session:
        assert not jobs.uses_environment(session, PROJECT, UNKNOWN)
        assert not jobs.uses_environment(session, UNKNOWN, UUID(ENVIRONMENT))
    shop.ask("DELETE", f"/api/jobs/{uuid}")
    assert not used()


def test_a_body_that_is_too_large_is_refused(shop: Site) -> None:
    answer = shop.ask("POST", "/api/jobs/", json=creation(strategy_json={"a": "x" * MOST_BODY_BYTES}))
    assert answer.status_code == 413


def test_a_place_in_the_list_survives_as_text() -> None:
    place = jobs.Place(datetime(2026, 11, 22, 1, 2, 3, 456_789, tzinfo=UTC), UUID(int=5))
    assert jobs.Place.parse(str(place)) == place


def test_every_status_of_a_job_fits_its_column() -> None:
    length = JobRow.__table__.c.status.type.length  # type: ignore[attr-defined]
    assert max(len(status) for status in JobStatus) <= length
