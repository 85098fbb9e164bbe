"""What must hold for every plan, whatever Git says and whatever was done to the cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from desired_state.objects import Unknown, UnknownValue
from diff.action import WRITES
from diff.after import after
from diff.explain import Detail, as_text, explain
from diff.plan import Memory, replan
from diff.plan_file import plan_document
from diff.precondition import holds
from tests.diff import worlds
from tests.diff.worlds import applied, changed, planned, rendering, without_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.objects import DesiredObject, Json, Rendering
    from diff.plan import Plan
    from diff.snapshot import Snapshot

CANARY = "canary-7f3a"

images = st.sampled_from(["a/b:v1", "c/d:v2"])
secrets = st.sampled_from([f"{CANARY}-1", f"{CANARY}-2", ""])
texts = st.sampled_from(["x", "y", ""])
quantities = st.sampled_from(["0.5", "500m", "1Gi", "1024Mi", "2"])


def variables(order: list[str]) -> st.SearchStrategy[list[dict[str, Json]]]:
    values = st.fixed_dictionaries({name: secrets if name == "DB_PASSWORD" else texts for name in order})
    return values.map(lambda chosen: [{"name": name, "value": value} for name, value in chosen.items()])


@st.composite
def deployments(draw: st.DrawFn, name: str) -> dict[str, Json]:
    """Every sort of field: keyed and atomic lists, atomic maps, quantities, empties, unknown values."""
    optional: dict[str, st.SearchStrategy[Any]] = {
        "args": st.lists(st.sampled_from(["--a", "--b"]), max_size=2),
        "env": st.permutations(["A", "B", "DB_PASSWORD"]).flatmap(variables),
        "ports": st.lists(st.sampled_from([80, 443]), unique=True).map(
            lambda some: [{"containerPort": one} for one in some]
        ),
        "resources": st.fixed_dictionaries({"requests": st.fixed_dictionaries({"cpu": quantities})}),
        "volumeMounts": st.just([{"mountPath": "/a", "name": "scratch"}]),
        "securityContext": st.sampled_from([{}, {"privileged": False}]),
    }
    chosen = draw(st.fixed_dictionaries({}, optional=optional))
    body = worlds.deployment(name, draw(images), **chosen)
    pod = body["spec"]["template"]["spec"]
    if draw(st.booleans()):
        pod["nodeSelector"] = draw(st.dictionaries(st.sampled_from(["x", "y"]), st.just("1"), max_size=2))
        pod["volumes"] = [{"name": "scratch", "emptyDir": draw(st.sampled_from([{}, {"sizeLimit": "1024Mi"}]))}]
        pod["tolerations"] = draw(st.lists(st.sampled_from([{"key": "k"}, {"operator": "Exists"}]), max_size=2))
    if draw(st.booleans()):
        body["spec"]["template"]["metadata"]["annotations"] = {
            "checksum/ca": Unknown(UnknownValue.REGISTRY_CA_FINGERPRINT)
        }
    return body


@st.composite
def renderings(draw: st.DrawFn) -> Rendering:
    objects: list[Mapping[str, Json] | DesiredObject] = [
        worlds.service("docker-registry"),
        worlds.desired(worlds.certificate_secret(), worlds.CERTIFICATE),
    ]
    optional: list[st.SearchStrategy[Mapping[str, Json]]] = [
        deployments("orchest-api"),
        deployments("celery-worker"),
        st.sampled_from([worlds.claim("userdir-pvc", "5Gi"), worlds.claim("userdir-pvc", "20Gi")]),
        st.sampled_from([worlds.config_map("settings", a="1"), worlds.config_map("settings", b="2")]),
        st.sampled_from([worlds.role_binding("worker", "r"), worlds.role_binding("worker", "w")]),
        st.just(worlds.config_map("more")),
        st.just(worlds.ingress("web")),
    ]
    objects.extend(draw(one) for one in optional if draw(st.booleans()))
    spec: dict[str, Json] = draw(
        st.sampled_from([{"singleNode": True}, {"singleNode": False, "orchest": {"orchestHost": "h"}}])
    )
    return rendering(*objects, cluster=worlds.cluster_content(spec))


@st.composite
def meddled(draw: st.DrawFn, snapshot: Snapshot) -> Snapshot:
    """Somebody deletes, edits and adds to objects of ours (the namespace and the owner excepted)."""
    for where in sorted(snapshot.objects):
        if where.kind in {"Namespace", "OrchestCluster"} or not draw(st.booleans()):
            continue
        name = f"{where.kind}.{where.group}/{where.name}" if where.group else f"{where.kind}/{where.name}"
        match draw(st.sampled_from(["delete", "edit", "add", "unmark"])):
            case "delete" if where.kind != "PersistentVolumeClaim":
                snapshot = without_object(snapshot, name)
            case "edit":
                snapshot = changed(snapshot, name, _edit)
            case "add":
                snapshot = changed(snapshot, name, lambda body: body["metadata"]["labels"].update(foreign="1"))
            case "unmark":
                snapshot = changed(snapshot, name, lambda body: body["metadata"]["annotations"].clear())
            case _:
                pass
    return snapshot


def _edit(body: dict[str, Any]) -> None:
    component = "controller.orchest.io/component"
    body["metadata"]["labels"][component] = "changed"
    fields: dict[str, Any] = {"f:metadata": {"f:labels": {f"f:{component}": {}}}}
    worlds.taken_over(body, fields, "kubectl-edit")


def carried_out(made: Plan, snapshot: Snapshot) -> Snapshot:
    for action in made.actions:
        assert action.verb not in WRITES or holds(action, snapshot, worlds.MASKER), action.key
        snapshot = after(snapshot, action)
    return snapshot


@settings(max_examples=60, deadline=None)
@given(renderings(), renderings(), st.data())
def test_a_plan_after_its_own_apply_is_empty(before: Rendering, now: Rendering, data: st.DataObject) -> None:
    snapshot = data.draw(meddled(applied(before)))
    made = planned(now, snapshot)
    again = planned(now, carried_out(made, snapshot))
    assert worlds.writes(again) == []


@settings(max_examples=40, deadline=None)
@given(renderings(), renderings(), st.data())
def test_every_write_has_paths_and_a_reason_and_no_secret_is_in_any_output(
    before: Rendering, now: Rendering, data: st.DataObject
) -> None:
    made = planned(now, data.draw(meddled(applied(before))))
    for action in made.actions:
        assert action.verb not in WRITES or (action.changes and all(change.path for change in action.changes))
        for change in action.changes:
            assert change.before != change.after or change.unknown, change
    assert CANARY not in str(plan_document(made))
    assert CANARY not in as_text(explain(made, Detail(creations=True)))


@settings(max_examples=40, deadline=None)
@given(renderings(), renderings(), st.data())
def test_a_plan_does_not_depend_on_order_or_memory(before: Rendering, now: Rendering, data: st.DataObject) -> None:
    snapshot = applied(before)
    _, memory = replan(before, snapshot, Memory(), masker=worlds.MASKER)
    snapshot = data.draw(meddled(snapshot))
    expected = planned(now, snapshot)
    objects = tuple(data.draw(st.permutations(now.objects)))
    observed = dict(data.draw(st.permutations(list(snapshot.objects.items()))))
    assert planned(replace(now, objects=objects), replace(snapshot, objects=observed)) == expected
    assert replan(now, snapshot, memory, masker=worlds.MASKER)[0] == expected


@settings(max_examples=40, deadline=None)
@given(renderings(), st.data())
def test_a_crash_after_any_write_leaves_a_world_that_the_next_plan_completes(
    now: Rendering, data: st.DataObject
) -> None:
    made = planned(now, worlds.empty_snapshot())
    written = data.draw(st.integers(0, len(made.actions)))
    snapshot = worlds.empty_snapshot()
    for action in made.actions[:written]:
        snapshot = after(snapshot, action)
    rest = planned(now, snapshot)
    assert [action.key for action in rest.actions if action.verb in WRITES] == [
        action.key for action in made.actions[written:]
    ]
    assert planned(now, carried_out(rest, snapshot)).is_empty
