"""The history over HTTP, as the command line shows it; it needs no Kubernetes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from desired_state.masking import Masker
from diff.snapshot_file import dump
from reconciler.history import ClusterIdentity, History
from services.api.http.operation import Scope
from tests.diff import worlds
from tests.reconciler.cycles import NOON, finish, outcome, start

if TYPE_CHECKING:
    from reconciler.history import CycleStart
    from tests.services.api.site import Site

PATH = "/api/clusters/orchest/cluster-1/history"
MASKER = Masker(b"0123456789abcdef")
BEFORE = dump(worlds.empty_snapshot(), MASKER)
AFTER = dump(worlds.applied(worlds.usual_rendering()), MASKER)


def recorded(site: Site, begun: CycleStart, snapshot: bytes | None = AFTER) -> str:
    history = History(site.database)
    history.record_start(begun)
    history.record_outcomes(begun.id, [outcome()])
    history.record_finish(begun.id, finish(snapshot=snapshot))
    return str(begun.id)


@pytest.fixture
def cycle(site: Site) -> str:
    return recorded(site, start(snapshot=BEFORE))


def test_a_cycle_is_shown_with_where_it_came_from_and_what_came_of_each_action(site: Site, cycle: str) -> None:
    (listed,) = site.ask("GET", PATH).json["cycles"]
    assert (listed["id"], listed["outcome"], listed["counts"]) == (cycle, "done", {"done": 1})
    assert listed["origin"] == "main (ccccccc) of https://git.example/fleet, clusters/eu"
    assert listed["source"] == {
        "kind": "git",
        "location": "https://git.example/fleet",
        "revision": "main",
        "commit": "c" * 40,
        "directory": "clusters/eu",
        "paths": [],
    }
    shown = site.ask("GET", f"/api/history/{cycle}").json
    assert shown.pop("outcomes") == [
        {
            "object_key": outcome().object_key,
            "verb": "create",
            "reason": "new",
            "result": "done",
            "message": "2 of 2 replicas available",
            "seconds": 1.5,
        }
    ]
    assert shown == listed


def test_the_plan_and_both_snapshots_come_as_they_were_recorded(site: Site, cycle: str) -> None:
    assert site.ask("GET", f"/api/history/{cycle}/plan").json == {"plan": 1}
    for which, recorded_then in (("before", BEFORE), ("after", AFTER)):
        found = site.ask("GET", f"/api/history/{cycle}/snapshot", params={"which": which})
        assert found.content == recorded_then
    assert site.ask("GET", f"/api/history/{cycle}/snapshot").content == AFTER


def test_two_states_are_compared_like_snapshot_diff(site: Site, cycle: str) -> None:
    def diff(before: str, after: str) -> Any:
        return site.ask("GET", "/api/history/diff", params={"from": before, "to": after}).json["objects"]

    appeared = diff(f"{cycle}^", cycle)
    assert {one["verb"] for one in appeared} == {"appeared"}
    assert {one["verb"] for one in diff(cycle, f"{cycle}^")} == {"vanished"}
    assert diff(cycle, cycle) == []

    edited = worlds.changed(
        worlds.applied(worlds.usual_rendering()), "ConfigMap/settings", lambda body: body["data"].update(added="1")
    )
    later = recorded(site, start(started_at=NOON + timedelta(hours=1), snapshot=AFTER), dump(edited, MASKER))
    (changed,) = diff(cycle, later)
    assert (changed["key"], changed["changes"]) == (
        "ConfigMap/orchest/settings",
        [{"path": "data.added", "after": "1"}],
    )


def test_pages_of_a_history_hold_every_cycle_of_the_cluster_once_newest_first(site: Site) -> None:
    """Some begin at the same moment; others are of another cluster."""
    expected: list[tuple[int, UUID]] = []
    for number in range(9):
        begun = start(started_at=NOON + timedelta(minutes=number // 3))
        recorded(site, begun)
        expected.append((-(number // 3), begun.id))
    recorded(site, start(cluster=ClusterIdentity("orchest", "other", "", "")))
    found: list[str] = []
    params: dict[str, str] = {"limit": "2"}
    while True:
        page = site.ask("GET", PATH, params=params).json
        found += [one["id"] for one in page["cycles"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert found == [str(uuid) for _, uuid in sorted(expected)]


def test_what_is_not_in_the_history_is_not_found(site: Site, cycle: str) -> None:
    unknown = str(uuid4())
    for path in (f"/api/history/{unknown}", f"/api/history/{unknown}/plan", "/api/history/latest"):
        answer = site.ask("GET", path)
        assert answer.status_code == 404
        assert unknown not in answer.text
    assert site.ask("GET", "/api/history/diff", params={"from": cycle, "to": unknown}).status_code == 404
    assert site.ask("GET", PATH, params={"cursor": unknown}).status_code == 400


def test_a_state_that_could_not_be_observed_is_said_to_be_missing(site: Site) -> None:
    blind = recorded(site, start(snapshot=BEFORE), None)
    answer = site.ask("GET", f"/api/history/{blind}/snapshot")
    assert answer.status_code == 404
    assert "before the state could be observed" in answer.json["detail"]
    assert not site.ask("GET", f"/api/history/{blind}").json["has_snapshot_after"]


@pytest.mark.parametrize("query", [{}, {"from": "x", "to": "y"}, {"from": str(uuid4())}, {"from": f"{uuid4()}^^"}])
def test_a_comparison_needs_two_cycles(site: Site, query: dict[str, str]) -> None:
    answer = site.ask("GET", "/api/history/diff", params=query)
    assert answer.status_code == 400
    assert {one["where"] for one in answer.json["errors"]} <= {"query.from", "query.to"}


def test_a_history_is_read_by_whoever_may_read(site: Site, cycle: str) -> None:
    paths = (PATH, f"/api/history/{cycle}", f"/api/history/{cycle}/plan", f"/api/history/{cycle}/snapshot")
    for path in paths:
        assert site.ask("GET", path, scope=Scope.READ).status_code == 200
        assert site.ask("GET", path, scope=None).status_code == 401
        assert site.ask("GET", path, scope=Scope.AGENT).status_code == 403
    assert json.loads(site.ask("GET", PATH, scope=Scope.READ).text)["cycles"][0]["id"] == cycle


def test_all_clusters_have_one_history_and_a_cycle_is_found_by_how_its_id_begins(site: Site) -> None:
    cycles = [
        recorded(site, start(started_at=NOON + timedelta(hours=hour), cluster=ClusterIdentity("orchest", name, "", "")))
        for hour, name in enumerate(("one", "other", "one"))
    ]

    def listed(**params: str) -> Any:
        return site.ask("GET", "/api/history", params=params).json

    page = listed(limit="2")
    assert [one["id"] for one in page["cycles"]] == [cycles[2], cycles[1]]
    rest = listed(cursor=page["next_cursor"])
    assert ([one["id"] for one in rest["cycles"]], rest["next_cursor"]) == ([cycles[0]], None)
    for beginning in (cycles[1], cycles[1][:-1], cycles[1].replace("-", "")[:20]):
        assert [one["id"] for one in listed(id=beginning)["cycles"]] == [cycles[1]]
    assert listed(id=str(uuid4()))["cycles"] == []
    assert listed(id="------")["cycles"] == []
    for wrong in ({"id": "abc"}, {"id": "latest"}, {"cursor": str(uuid4())}):
        assert site.ask("GET", "/api/history", params=wrong).status_code == 400
