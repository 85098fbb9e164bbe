"""Clusters over HTTP on a real server: plans, applies that are watched, drift, pause, rollback, history."""

from __future__ import annotations

import io
import json
import shutil
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pygit2
import pytest

from desired_state.objects import GROUP
from reconciler.cluster_client import ClusterClient, connect
from reconciler.clusters import list_clusters
from reconciler.errors import Forbidden
from services.api.http.operation import Scope
from tests.cluster.api_place import MASKER, Place, manifest, opened_place
from tests.command_line import orchest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dev.cluster.launcher import Cluster


@pytest.fixture
def place(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Place]:
    with opened_place(f"sqlite:///{tmp_path}/api.db", cluster, namespace) as made:
        yield made


@pytest.fixture
def idle(api_only_cluster: Cluster, api_only_namespace: str, tmp_path: Path) -> Iterator[Place]:
    """On a server on which nothing becomes ready."""
    with opened_place(f"sqlite:///{tmp_path}/api.db", api_only_cluster, api_only_namespace) as made:
        yield made


def types(place: Place) -> list[str]:
    return [event.type for event in place.site.events("cluster:*")]


# --- plan, apply, watch, look back


def test_a_plan_is_applied_by_its_id_and_everything_about_it_can_be_looked_at(
    cluster: Cluster, namespace: str, database_url: str
) -> None:
    secret = f"s{uuid4().hex}"
    with opened_place(database_url, cluster, namespace) as place:
        plan = place.plan(env=[{"name": "DB_PASSWORD", "value": secret}])
        assert (plan["state"], plan["noop"], plan["created_by"]) == ("ready", False, "the admin one")
        assert plan["document"]["plan_id"] == plan["uuid"]
        assert types(place) == []

        answer = place.site.ask("POST", f"/api/plans/{plan['uuid']}/apply", json={})
        assert answer.status_code == 202
        operation = place.ended(answer.json)
        assert answer.headers["location"] == f"/api/operations/{operation['uuid']}"
        assert (operation["state"], operation["kind"]) == ("succeeded", "apply"), operation
        assert {outcome["result"] for outcome in operation["outcomes"]} == {"done"}
        assert types(place) == ["cluster:created", "cluster:plan-applied"]

        shown = place.get(place.path)
        assert (shown["status"], shown["paused"]) == ("Running", False)
        assert shown in place.get("/api/clusters")["clusters"]

        (cycle,) = place.get(f"{place.path}/history")["cycles"]
        assert (cycle["id"], cycle["outcome"], cycle["plan_id"]) == (operation["cycle_uuid"], "done", plan["uuid"])
        assert place.get(f"/api/history/{cycle['id']}")["outcomes"] == operation["outcomes"]
        assert place.get(f"/api/history/{cycle['id']}/plan") == plan["document"]
        before, after = (
            place.get(f"/api/history/{cycle['id']}/snapshot", params={"which": which}) for which in ("before", "after")
        )
        assert len(before["objects"]) < len(after["objects"])
        states = {"from": f"{cycle['id']}^", "to": cycle["id"]}
        appeared = place.get("/api/history/diff", params=states)["objects"]
        assert {"key": f"ConfigMap/{namespace}/orchest-release", "verb": "appeared", "changes": []} in appeared

        (stored,) = place.get(f"{place.path}/plans")["plans"]
        assert (stored["state"], stored["operation_uuid"]) == ("applied", operation["uuid"])
        assert place.get(f"{place.path}/plan")["noop"]
        said = str([operation, cycle, before, after, stored, place.get(place.path), place.get(f"{place.path}/plan")])
        assert secret not in said + str([event.payload for event in place.site.events()])


def test_a_plan_is_used_once(place: Place) -> None:
    plan = place.plan()
    operation = place.apply(plan)
    answer = place.site.ask("POST", f"/api/plans/{plan['uuid']}/apply", json={})
    assert answer.status_code == 409
    assert answer.headers["location"] == f"/api/operations/{operation['uuid']}"
    assert "already applied" in answer.json["detail"]


def test_a_plan_for_another_state_of_the_cluster_is_stale_and_writes_nothing(idle: Place) -> None:
    first, second = idle.plan(), idle.plan(version="v2023.03.0")
    idle.apply(first, timeout_seconds=1)
    before = idle.spec
    operation = idle.apply(second, timeout_seconds=1)
    assert (operation["state"], operation["cycle_uuid"], operation["outcomes"]) == ("stale", None, [])
    assert "created, deleted or recreated since" in operation["message"]
    assert idle.spec == before
    assert idle.get(f"/api/plans/{second['uuid']}")["state"] == "ready"


def test_a_plan_in_sync_is_applied_without_a_write(place: Place) -> None:
    place.installed()
    plan = place.plan()
    assert plan["noop"]
    operation = place.apply(plan)
    assert (operation["state"], operation["cycle_uuid"]) == ("succeeded", None)
    assert operation["message"] == "In sync: nothing was written."


def test_a_field_of_another_manager_is_refused_and_taken_over_when_that_is_allowed(place: Place) -> None:
    place.installed(version="v2023.03.0")
    taken = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": place.config_map.rpartition("/")[2], "namespace": place.namespace},
        "data": {"ORCHEST_VERSION": "mine"},
    }
    place.cluster.api.apply(place.config_map, taken, "somebody", force="true").expect(200)
    refused = place.apply(place.plan(version="v2023.03.0"))
    assert (refused["state"], refused["cycle_uuid"]) == ("refused", None)
    assert "somebody" in refused["message"]
    assert place.apply(place.plan(version="v2023.03.0"), force_conflicts=True)["state"] == "succeeded"


# --- drift


def test_drift_is_shown_with_its_field_and_who_changed_it(place: Place) -> None:
    place.installed()
    assert place.get(f"{place.path}/drift")["drifted"] == []
    place.edit(place.config_map, {"data": {"ORCHEST_VERSION": "edited"}})
    (drifted,) = place.get(f"{place.path}/drift")["drifted"]
    (change,) = drifted["changes"]
    assert (drifted["key"], drifted["repaired"]) == (f"ConfigMap/{place.namespace}/orchest-release", True)
    assert (change["path"], change["before"], change["manager"]) == ("data.ORCHEST_VERSION", "edited", "kubectl-edit")
    plan = place.get(f"{place.path}/plan")
    assert [(action["verb"], action["key"]) for action in plan["actions"]] == [("update", drifted["key"])]
    assert place.get(f"{place.path}/plans")["plans"][0]["state"] == "applied"


# --- pause, resume, rollback


def test_pause_resume_and_rollback_are_applies_like_any_other(place: Place) -> None:
    first = place.installed(version="v2023.03.0", env=[{"name": "DB_PASSWORD", "value": "secret"}])
    paused = place.ended(place.post(f"{place.path}/pause", {}, 202))
    assert (paused["state"], paused["kind"]) == ("succeeded", "pause"), paused
    assert "Git does not ask for this" in paused["message"]
    assert (place.get(place.path)["status"], place.spec["orchest"]["pause"]) == ("Stopped", True)
    assert types(place)[2:] == ["cluster:updated", "cluster:paused", "cluster:plan-applied"]

    resumed = place.ended(place.post(f"{place.path}/resume", {}, 202))
    assert resumed["state"] == "succeeded", resumed
    assert (place.get(place.path)["status"], "pause" in place.spec["orchest"]) == ("Running", False)
    assert types(place)[5:] == ["cluster:updated", "cluster:resumed", "cluster:plan-applied"]

    assert place.installed(version="v2023.03.1")["cycle_uuid"]
    assert "env" not in place.spec["orchest"]
    back = place.ended(place.post(f"{place.path}/rollback", {"cycle": first["cycle_uuid"]}, 202))
    assert (back["state"], back["restores_cycle_uuid"]) == ("succeeded", first["cycle_uuid"]), back
    assert place.spec["orchest"]["env"] == [{"name": "DB_PASSWORD", "value": "secret"}]
    assert types(place)[-3:] == ["cluster:updated", "cluster:plan-applied", "cluster:rolled-back"]
    (event,) = place.site.events("cluster:rolled-back")
    facts = event.facts
    assert (facts["cycle_uuid"], facts["outcome"]) == (back["cycle_uuid"], "done")
    assert first["cycle_uuid"] in facts["message"]
    # What a rollback applied can be gone back to as well.
    again = place.ended(place.post(f"{place.path}/rollback", {"cycle": paused["cycle_uuid"]}, 202))
    assert (again["state"], place.get(place.path)["status"]) == ("succeeded", "Stopped")


def test_a_rollback_that_fails_is_no_rollback(idle: Place) -> None:
    failed = idle.apply(idle.plan(), timeout_seconds=1)
    assert failed["state"] == "failed"
    idle.apply(idle.plan(version="v2023.03.0"), timeout_seconds=1)
    back = idle.ended(idle.post(f"{idle.path}/rollback", {"cycle": failed["cycle_uuid"], "timeout_seconds": 1}, 202))
    assert back["state"] == "failed"
    assert "cluster:rolled-back" not in types(idle)


def test_pausing_twice_is_pausing_once(place: Place) -> None:
    place.installed()
    place.ended(place.post(f"{place.path}/pause", {}, 202))
    again = place.ended(place.post(f"{place.path}/pause", {}, 202))
    assert (again["state"], again["cycle_uuid"]) == ("succeeded", None)
    assert types(place).count("cluster:paused") == 1


@pytest.fixture
def command_line(idle: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for manifests, beside which `orchest apply` records where the API does."""
    monkeypatch.setenv("KUBECONFIG", str(idle.cluster.kubeconfig))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ORCHEST_DATABASE_URL", f"sqlite:///{tmp_path}/api.db")
    (tmp_path / "fleet").mkdir()
    return tmp_path / "fleet"


def applied_by_command_line(idle: Place, *source: str | Path) -> str:
    orchest("apply", *source, "--yes", "--timeout", "1")
    cycle: str = idle.get(f"{idle.path}/history")["cycles"][0]["id"]
    return cycle


def test_a_cycle_of_the_command_line_is_gone_back_to_by_its_git_commit(idle: Place, command_line: Path) -> None:
    repository = pygit2.init_repository(command_line, initial_head="main")
    author = pygit2.Signature("Somebody", "somebody@example.com")
    for number, version in enumerate(("v2023.03.0", "v2023.03.1")):
        (command_line / "c.yaml").write_text(manifest(idle.namespace, version=version))
        repository.index.add_all()
        parents = [] if repository.head_is_unborn else [repository.head.target]
        repository.create_commit("refs/heads/main", author, author, "Change", repository.index.write_tree(), parents)
        cycle = applied_by_command_line(idle, "--git", command_line)
        if not number:
            first = cycle
    assert idle.spec["orchest"]["version"] == "v2023.03.1"
    body = {"cycle": first, "timeout_seconds": 1}
    back = idle.ended(idle.post(f"{idle.path}/rollback", body, 202))
    assert idle.spec["orchest"]["version"] == "v2023.03.0", back
    source = idle.get(f"/api/history/{back['cycle_uuid']}")["source"]
    assert source["commit"] == idle.get(f"/api/history/{first}")["source"]["commit"]


def test_a_cycle_whose_files_were_changed_since_is_not_gone_back_to(idle: Place, command_line: Path) -> None:
    file = command_line / "c.yaml"
    file.write_text(manifest(idle.namespace))
    cycle = applied_by_command_line(idle, "-f", file)
    file.write_text(manifest(idle.namespace, version="v2023.03.0"))
    back = idle.ended(idle.post(f"{idle.path}/rollback", {"cycle": cycle}, 202))
    assert (back["state"], back["cycle_uuid"]) == ("refused", None)
    assert "is not as it was in that cycle" in back["message"]
    shutil.rmtree(command_line)
    assert idle.ended(idle.post(f"{idle.path}/rollback", {"cycle": cycle}, 202))["state"] == "failed"


@pytest.mark.usefixtures("command_line")
def test_a_cycle_of_standard_input_or_of_another_cluster_is_not_gone_back_to(
    idle: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(manifest(idle.namespace).encode())))
    cycle = applied_by_command_line(idle, "-f", "-")
    told = idle.post(f"{idle.path}/rollback", {"cycle": cycle}, 409)
    assert "standard input, and nobody kept them" in told["detail"]
    idle.post(f"{idle.path}/rollback", {"cycle": str(uuid4())}, 404)
    idle.post(f"/api/clusters/{idle.namespace}/other/rollback", {"cycle": cycle}, 404)


# --- one at a time, watched, interrupted


def test_a_cluster_has_one_operation_at_a_time_and_the_second_is_told_of_the_first(idle: Place) -> None:
    running = idle.post(f"/api/plans/{idle.plan()['uuid']}/apply", {"timeout_seconds": 4}, 202)
    assert running["state"] == "running"
    answer = idle.site.ask("POST", f"{idle.path}/pause", json={})
    # Before its first write the cluster is not even there.
    assert answer.status_code in {404, 409}
    idle.at_work(running)
    answer = idle.site.ask("POST", f"{idle.path}/pause", json={})
    assert (answer.status_code, answer.headers["location"]) == (409, f"/api/operations/{running['uuid']}")
    ended = idle.ended(running)
    assert ended["state"] == "failed"
    assert "not ready after 4 seconds" in ended["message"]
    assert idle.post(f"{idle.path}/pause", {"timeout_seconds": 1}, 202)


def test_who_polls_is_sent_a_body_only_when_something_happened(idle: Place) -> None:
    ended = idle.apply(idle.plan(), timeout_seconds=1)
    path = f"/api/operations/{ended['uuid']}"
    first = idle.site.ask("GET", path)
    second = idle.site.ask("GET", path, headers={"If-None-Match": first.headers["etag"]})
    assert (second.status_code, second.content) == (304, b"")


def test_when_the_api_is_stopped_an_apply_ends_early_and_is_recorded(idle: Place) -> None:
    running = idle.post(f"/api/plans/{idle.plan()['uuid']}/apply", {}, 202)
    seen = idle.at_work(running)
    assert "waiting" in idle.get(f"/api/operations/{running['uuid']}")["progress"] or seen["progress"]
    idle.desk.close()
    ended = idle.get(f"/api/operations/{running['uuid']}")
    assert ended["state"] == "interrupted", ended
    cycle = idle.get(f"/api/history/{ended['cycle_uuid']}")
    assert (cycle["outcome"], cycle["has_snapshot_after"]) == ("interrupted", True)
    assert {"not-started", "done"} <= set(cycle["counts"])


# --- bad input, and no way to Kubernetes


CANARY = "canary-7d1f"
BAD_MANIFESTS = {
    "not YAML": f"kind: [{CANARY}",
    "a tag": f"kind: !{CANARY} x",
    "nothing": f"# {CANARY}",
    "another kind": f"apiVersion: v1\nkind: {CANARY}\nmetadata: {{name: c}}",
    "an unknown field": f"apiVersion: orchest.io/v1alpha1\nkind: OrchestCluster\nmetadata: {{name: c}}\n{CANARY}: 1",
    "a field too many": f"apiVersion: orchest.io/v1alpha1\nkind: OrchestCluster\nmetadata: {{name: c}}\n"
    f"spec: {{orchest: {{{CANARY}: 1}}}}",
    "a wrong value": f"apiVersion: orchest.io/v1alpha1\nkind: OrchestCluster\nmetadata: {{name: c}}\n"
    f"spec:\n  orchest:\n    version: '{CANARY} {CANARY}'",
    "a wrong type": f"apiVersion: orchest.io/v1alpha1\nkind: OrchestCluster\nmetadata: {{name: c}}\n"
    f"spec:\n  singleNode: {CANARY}",
    "a wrong name": f"apiVersion: orchest.io/v1alpha1\nkind: OrchestCluster\nmetadata: {{name: '{CANARY}!'}}",
    "another cluster": f"apiVersion: orchest.io/v1alpha1\nkind: OrchestCluster\nmetadata: {{name: {CANARY}}}",
    "a pointer": f"version https://git-lfs.github.com/spec/v1\noid {CANARY}",
}


@pytest.mark.parametrize("text", BAD_MANIFESTS.values(), ids=BAD_MANIFESTS)
def test_a_manifest_that_is_not_valid_is_told_by_its_place_and_never_by_its_words(idle: Place, text: str) -> None:
    body = {"documents": [{"name": f"{CANARY}.yaml", "text": text}], "origin": {"location": CANARY}}
    problem = idle.post(f"{idle.path}/plans", body, 400)
    assert CANARY not in json.dumps(problem)
    assert idle.get(f"{idle.path}/plans")["plans"] == []


def test_the_place_of_a_mistake_is_its_line_and_what_is_expected_there(idle: Place) -> None:
    text = manifest(idle.namespace, version=7, orchestApi={"replicas": "two"})
    problem = idle.post(f"{idle.path}/plans", {"documents": [{"name": "c.yaml", "text": text}]}, 400)
    assert [(one["where"], one["what"]) for one in problem["errors"]] == [
        ("body.documents.0.text, line 11, column 4: spec.orchest.version", "Expected: a string."),
        ("body.documents.0.text, line 13, column 5: spec.orchest.orchestApi.replicas", "Expected: a whole number."),
    ]


def test_what_a_caller_says_of_its_origin_is_shown_and_never_opened(idle: Place, command_line: Path) -> None:
    said = {"location": f"https://user:{CANARY}@git.example/fleet", "revision": "main", "commit": "c" * 40}
    documents = [{"name": "c.yaml", "text": manifest(idle.namespace)}]
    plan = idle.post(f"{idle.path}/plans", {"documents": documents, "origin": said}, 201)
    assert CANARY not in json.dumps(plan)
    origin = plan["document"]["origin"]
    assert (origin["kind"], origin["commit"], origin["paths"]) == ("sent", "c" * 40, [])
    (command_line / "plan.json").write_text(json.dumps(plan["document"]))
    orchest("apply", command_line / "plan.json").failed(1, "Apply such a plan over the API")


@pytest.mark.parametrize("name", ["..%2f..%2fapi", "C", "c%00", "-", "c%2f"])
def test_a_name_that_kubernetes_would_not_accept_is_not_sent_there(idle: Place, name: str) -> None:
    for path in (f"/api/clusters/{idle.namespace}/{name}", f"/api/clusters/{name}/c/plan"):
        assert idle.site.ask("GET", path).status_code == 404


def test_what_is_not_there_is_not_found(idle: Place) -> None:
    for path in (idle.path, f"{idle.path}/plan", f"{idle.path}/drift"):
        assert "no such OrchestCluster" in idle.get(path, 404)["detail"]
    for path in (f"{idle.path}/pause", f"{idle.path}/resume"):
        idle.post(path, {}, 404)


def test_reading_writing_and_applying_need_ever_more(idle: Place) -> None:
    documents = [{"name": "c.yaml", "text": manifest(idle.namespace)}]
    idle.post(f"{idle.path}/plans", {"documents": documents}, 403, scope=Scope.READ)
    plan = idle.post(f"{idle.path}/plans", {"documents": documents}, 201, scope=Scope.WRITE)
    for path in (f"/api/plans/{plan['uuid']}/apply", f"{idle.path}/pause", f"{idle.path}/resume"):
        idle.post(path, {}, 403, scope=Scope.WRITE)
    assert idle.get("/api/operations")["operations"] == []


def test_a_kubernetes_that_is_away_is_503_and_none_at_all_is_404(api_only_cluster: Cluster, tmp_path: Path) -> None:
    dead = tmp_path / "dead"
    dead.write_text(api_only_cluster.kubeconfig.read_text().replace(api_only_cluster.server, "https://127.0.0.1:9"))
    with opened_place(f"sqlite:///{tmp_path}/api.db", api_only_cluster, "orchest", dead) as place:
        problem = place.get("/api/clusters", 503)
        assert "127.0.0.1" not in json.dumps(problem)
        place.get(place.path, 503)
    with opened_place(f"sqlite:///{tmp_path}/other.db", api_only_cluster, "orchest", tmp_path / "absent") as place:
        assert "manages no clusters" in place.get("/api/clusters", 404)["detail"]


RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
def permitted(idle: Place) -> Iterator[ClusterClient]:
    """Somebody who may see which namespaces there are, and list clusters in one of them."""
    api, name = idle.cluster.api, f"lister-{idle.namespace}"
    roles = {
        "ClusterRole": ("", "namespaces", f"{RBAC}"),
        "Role": (GROUP, "orchestclusters", f"{RBAC}/namespaces/{idle.namespace}"),
    }
    for kind, (group, resource, path) in roles.items():
        rules = [{"apiGroups": [group], "resources": [resource], "verbs": ["list"]}]
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "unprivileged"}]
        for made, body in ((kind, {"rules": rules}), (f"{kind}Binding", {"roleRef": reference, "subjects": subjects})):
            content = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": made, "metadata": {"name": name}, **body}
            api.post(f"{path}/{made.lower()}s", content).expect(201)
    yield ClusterClient(connect(str(idle.cluster.kubeconfig), "unprivileged"), MASKER)
    api.delete(f"{RBAC}/clusterrolebindings/{name}").expect(200)
    api.delete(f"{RBAC}/clusterroles/{name}").expect(200)


def test_only_clusters_in_permitted_namespaces_are_listed(idle: Place, permitted: ClusterClient) -> None:
    idle.apply(idle.plan(), timeout_seconds=1)
    assert idle.namespace in {one["namespace"] for one in idle.get("/api/clusters")["clusters"]}
    # The authorizer learns of new roles by a watch.
    (found,) = eventually(lambda: list_clusters(permitted))
    assert found["metadata"]["namespace"] == idle.namespace


def eventually(look: Callable[[], list[Any]], seconds: float = 10) -> list[Any]:
    """What is found once something is, or may be looked at."""
    until = time.monotonic() + seconds
    while True:
        try:
            found = look()
        except Forbidden:
            found = []
        if found or time.monotonic() > until:
            return found
        time.sleep(0.2)
