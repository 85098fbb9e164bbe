from __future__ import annotations

from typing import Any

import pytest

from diff.action import ABSENT, Cause, Verb
from diff.exclusive import exclusive_fields
from diff.paths import format_path
from diff.removal import removal_patch, removed
from tests.diff import worlds
from tests.diff.worlds import action_for, applied, changed, paths, planned, rendering

NAME = "orchest-database"
DATABASE = f"Deployment.apps/{NAME}"
CONTAINER = f"spec.template.spec.containers[name={NAME}]"
ROLLING_UPDATE = {"maxSurge": "25%", "maxUnavailable": "25%"}


def database(strategy: str = "Recreate", **pod: Any) -> dict[str, Any]:
    probe = {"tcpSocket": {"port": 5432}}
    body = worlds.deployment(NAME, readinessProbe=probe, **pod)
    body["spec"]["strategy"] = {"type": strategy}
    body["spec"]["template"]["spec"]["volumes"] = [
        {"name": "data", "persistentVolumeClaim": {"claimName": "userdir-pvc"}}
    ]
    return body


def container(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["spec"]["template"]["spec"]["containers"][0]
    return found


def in_pod(fields: dict[str, Any]) -> dict[str, Any]:
    return {"f:spec": {"f:template": {"f:spec": fields}}}


def in_container(fields: dict[str, Any]) -> dict[str, Any]:
    return in_pod({"f:containers": {f'k:{{"name":"{NAME}"}}': fields}})


def strategy(body: dict[str, Any]) -> None:
    body["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": ROLLING_UPDATE}
    worlds.taken_over(body, {"f:spec": {"f:strategy": {"f:type": {}}}}, "kubectl-patch")


def probe(body: dict[str, Any]) -> None:
    container(body)["readinessProbe"] = {"httpGet": {"path": "/", "port": 1}, "periodSeconds": 10}
    worlds.let_go(body, in_container({"f:readinessProbe": {"f:tcpSocket": {"f:port": {}}}}))


def variable(body: dict[str, Any]) -> None:
    container(body)["env"][0] = {"name": "LEVEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    worlds.let_go(body, in_container({"f:env": {'k:{"name":"LEVEL"}': {"f:value": {}}}}))


def volume(body: dict[str, Any]) -> None:
    body["spec"]["template"]["spec"]["volumes"][0] = {"name": "data", "emptyDir": {"medium": "Memory"}}
    source: dict[str, Any] = {"f:persistentVolumeClaim": {"f:claimName": {}}}
    worlds.let_go(body, in_pod({"f:volumes": {'k:{"name":"data"}': source}}))


CASES = {
    "strategy": (strategy, "spec.strategy.rollingUpdate", "/spec/strategy/rollingUpdate"),
    "probe": (
        probe,
        f"{CONTAINER}.readinessProbe.httpGet",
        f"/spec/template/spec/containers/{NAME}/readinessProbe/httpGet",
    ),
    "variable": (
        variable,
        f"{CONTAINER}.env[name=LEVEL].valueFrom",
        f"/spec/template/spec/containers/{NAME}/env/LEVEL/valueFrom",
    ),
    "volume": (
        volume,
        "spec.template.spec.volumes[name=data].emptyDir",
        "/spec/template/spec/volumes/data/emptyDir",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_stands_in_the_way_of_ours_is_shown_removed_and_gone_after_the_apply(case: str) -> None:
    edit, path, pointer = CASES[case]
    wanted = rendering(database())
    edited = changed(applied(wanted), DATABASE, edit)
    action = action_for(planned(wanted, edited), DATABASE)
    assert action.verb is Verb.UPDATE
    assert action.removals == (pointer,)
    (change,) = [change for change in action.changes if change.path == path]
    assert (change.after, change.cause) == (ABSENT, Cause.DRIFT)
    repaired = applied(wanted, edited)
    assert planned(wanted, repaired).is_empty
    assert not exclusive_fields(database(), repaired.objects[worlds.key(DATABASE)].content)


def test_a_switch_to_recreate_in_git_removes_what_the_server_defaulted_in_every_drift_mode() -> None:
    def default(body: dict[str, Any]) -> None:
        body["spec"]["strategy"]["rollingUpdate"] = ROLLING_UPDATE

    for mode in ("correct", "warn", "observe"):
        cluster = worlds.cluster_content(drift=mode)
        before = changed(applied(rendering(database("RollingUpdate"), cluster=cluster)), DATABASE, default)
        action = action_for(planned(rendering(database(), cluster=cluster), before), DATABASE)
        assert paths(action) == ["spec.strategy.rollingUpdate", "spec.strategy.type"]
        assert {change.cause for change in action.changes} == {Cause.DESIRED}


@pytest.mark.parametrize("rule", ["/spec/strategy", "/spec/strategy/type"])
def test_who_leaves_the_deciding_field_to_others_leaves_its_companion_too(rule: str) -> None:
    wanted = rendering(database(), cluster=worlds.cluster_content(ignore_drift=rule))
    edited = changed(applied(wanted), DATABASE, strategy)
    action = action_for(planned(wanted, edited), DATABASE)
    assert (action.verb, action.removals) == (Verb.KEEP, ())


def test_a_rule_for_the_companion_alone_does_not_stop_the_repair() -> None:
    wanted = rendering(database(), cluster=worlds.cluster_content(ignore_drift="/spec/strategy/rollingUpdate"))
    edited = changed(applied(wanted), DATABASE, strategy)
    assert action_for(planned(wanted, edited), DATABASE).removals == ("/spec/strategy/rollingUpdate",)


def test_what_may_stay_beside_ours_is_left() -> None:
    def add(body: dict[str, Any]) -> None:
        container(body)["readinessProbe"]["periodSeconds"] = 3
        container(body)["env"].append({"name": "THEIRS", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})
        body["spec"]["template"]["spec"]["volumes"].append({"name": "theirs", "emptyDir": {}})

    wanted = rendering(database())
    edited = changed(applied(wanted), DATABASE, add).objects[worlds.key(DATABASE)].content
    assert exclusive_fields(database(), edited) == ()


def test_ours_alone_is_never_in_its_own_way() -> None:
    body = database()
    assert exclusive_fields(body, body) == ()


def test_a_label_that_is_called_like_a_strategy_is_no_strategy() -> None:
    body = {"metadata": {"labels": {"strategy": "Recreate", "env": "x"}}}
    assert exclusive_fields(body, body) == ()


# The patch


def test_the_patch_carries_what_we_set_beside_the_removed_field() -> None:
    live = {"apiVersion": "apps/v1", "spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": ROLLING_UPDATE}}}
    sent = {"spec": {"strategy": {"type": "Recreate"}, "replicas": 3}}
    patch = removal_patch(live, sent, ["/spec/strategy/rollingUpdate"])
    assert patch == {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}


def test_an_own_resource_is_patched_by_removals_alone() -> None:
    live = {"apiVersion": "orchest.io/v1alpha1", "spec": {"orchest": {"pause": False, "version": "a"}}}
    sent = {"apiVersion": "orchest.io/v1alpha1", "spec": {"orchest": {"version": "b"}}}
    assert removal_patch(live, sent, ["/spec/orchest/pause"]) == {"spec": {"orchest": {"pause": None}}}


def test_a_list_on_the_way_is_written_whole_and_keeps_what_others_have_in_it() -> None:
    theirs = {"name": "sidecar", "image": "theirs"}
    live = dict(changed(applied(rendering(database())), DATABASE, probe).objects[worlds.key(DATABASE)].content)
    live["spec"]["template"]["spec"]["containers"].append(theirs)
    pointer = CASES["probe"][2]
    stripped = removed(live, database(), [pointer])
    patched = removal_patch(live, database(), [pointer])["spec"]["template"]["spec"]["containers"]
    assert patched == stripped["spec"]["template"]["spec"]["containers"]
    assert patched[1] == theirs
    assert patched[0]["readinessProbe"] == {"tcpSocket": {"port": 5432}, "periodSeconds": 10}


def test_a_pointer_that_leads_nowhere_changes_nothing() -> None:
    live = database()
    assert removal_patch(live, database(), ["/spec/strategy/rollingUpdate", "/spec/nothing/there"]) == {}


def test_paths_of_the_rows_are_spelled_as_in_the_plan() -> None:
    live = changed(applied(rendering(database())), DATABASE, variable).objects[worlds.key(DATABASE)].content
    (found,) = exclusive_fields(database(), live)
    assert format_path(found.difference.path) == CASES["variable"][1]
    assert format_path(found.instead_of) == f"{CONTAINER}.env[name=LEVEL].value"
