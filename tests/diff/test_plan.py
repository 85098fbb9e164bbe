"""The reconciler's rules, one by one, each with the case in which it must not act."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from desired_state.objects import OWNER_ANNOTATION, Rendering, Severity, UnknownValue
from diff.action import ABSENT, WRITES, Cause, Conflict, ReadinessRule, Reason, Verb
from diff.after import after
from diff.generated import EXPIRES_ANNOTATION, GENERATED_FOR_ANNOTATION
from diff.immutable import IMMUTABLE
from diff.known import known_values
from diff.plan import Memory, replan
from tests.diff import worlds
from tests.diff.worlds import (
    action_for,
    applied,
    changed,
    codes,
    key,
    paths,
    planned,
    rendering,
    usual_rendering,
    with_object,
    without_object,
    writes,
)

if TYPE_CHECKING:
    from diff.plan import Plan
    from diff.snapshot import Snapshot

API = "Deployment.apps/orchest-api"
CLAIM = "PersistentVolumeClaim/userdir-pvc"
SETTINGS = "ConfigMap/settings"


def image_of(body: dict[str, Any], image: str) -> None:
    body["spec"]["template"]["spec"]["containers"][0]["image"] = image


IMAGE: dict[str, Any] = {
    "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"orchest-api"}': {"f:image": {}}}}}},
}
REPLICAS: dict[str, Any] = {"f:spec": {"f:replicas": {}}}


def set_image_by_hand(snapshot: Snapshot, manager: str = "kubectl-set", operation: str = "Update") -> Snapshot:
    def change(body: dict[str, Any]) -> None:
        image_of(body, "their/image:v9")
        worlds.taken_over(body, IMAGE, manager, operation)

    return changed(snapshot, API, change)


# --- from nothing, and again


def test_an_empty_cluster_gets_everything() -> None:
    made = planned(usual_rendering(), worlds.empty_snapshot())
    assert {action.verb for action in made.actions} == {Verb.CREATE, Verb.GENERATE}
    assert len(made.actions) == 2 + len(usual_rendering().objects)


def test_a_plan_after_its_own_apply_is_empty() -> None:
    assert planned(usual_rendering(), applied(usual_rendering())).actions == ()


def test_the_namespace_comes_first_then_the_cluster_then_the_rest() -> None:
    made = planned(usual_rendering(), worlds.empty_snapshot())
    assert [action.key for action in made.actions[:2]] == [worlds.NAMESPACE, worlds.CLUSTER]
    assert [action.wave for action in made.actions[:2]] == [0, 0]
    assert all(action.wave > 0 for action in made.actions[2:])


def test_the_certificate_comes_after_the_service_whose_address_it_names() -> None:
    made = planned(usual_rendering(), worlds.empty_snapshot())
    assert action_for(made, "Service/docker-registry").wave < action_for(made, "Secret/registry-tls-secret").wave


def test_there_are_at_most_six_waves() -> None:
    made = planned(usual_rendering(), worlds.empty_snapshot())
    assert {action.wave for action in made.actions} <= set(range(6))


def test_a_namespace_that_exists_is_none_of_our_business() -> None:
    snapshot = applied(usual_rendering())
    namespace = snapshot.objects[worlds.NAMESPACE]
    labelled = {**namespace.content, "metadata": {**namespace.content["metadata"], "labels": {"team": "a"}}}
    objects = {**snapshot.objects, worlds.NAMESPACE: replace(namespace, content=labelled)}
    assert planned(usual_rendering(), replace(snapshot, objects=objects)).actions == ()


def test_a_plan_does_not_depend_on_the_order_of_its_input() -> None:
    wanted, snapshot = (
        usual_rendering(orchest_api=worlds.deployment("orchest-api", "new:v2")),
        applied(usual_rendering()),
    )
    expected = planned(wanted, snapshot)
    for seed in range(5):
        chance = random.Random(seed)
        objects, observed = list(wanted.objects), list(snapshot.objects.items())
        chance.shuffle(objects)
        chance.shuffle(observed)
        assert planned(replace(wanted, objects=tuple(objects)), replace(snapshot, objects=dict(observed))) == expected


def test_a_created_object_shows_each_of_its_fields() -> None:
    action = action_for(planned(usual_rendering(), worlds.empty_snapshot()), SETTINGS)
    assert (action.verb, action.reason) == (Verb.CREATE, Reason.NOT_FOUND)
    assert [
        (change.path, change.before, change.after) for change in action.changes if change.path.startswith("data")
    ] == [("data.a", ABSENT, "1")]
    assert action.precondition.uid == ""


# --- changes in Git


def test_only_what_differs_is_touched() -> None:
    made = planned(usual_rendering(settings=worlds.config_map("settings", a="2")), applied(usual_rendering()))
    assert writes(made) == [("update", "ConfigMap/orchest/settings")]
    (change,) = action_for(made, SETTINGS).changes
    assert (change.path, change.before, change.after, change.cause) == ("data.a", "1", "2", Cause.DESIRED)
    assert action_for(made, SETTINGS).reason is Reason.DESIRED_CHANGED


def test_a_field_that_git_drops_is_shown_as_going() -> None:
    before = usual_rendering(settings=worlds.config_map("settings", a="1", b="2"))
    made = planned(usual_rendering(), applied(before))
    action = action_for(made, SETTINGS)
    assert [(change.path, change.before, change.after) for change in action.changes if change.path == "data.b"] == [
        ("data.b", "2", ABSENT)
    ]
    assert planned(usual_rendering(), applied(usual_rendering(), applied(before))).actions == ()


def test_a_dropped_variable_is_shown_by_its_value_and_not_by_its_merge_key() -> None:
    env = [{"name": "LEVEL", "value": "info"}]
    made = planned(usual_rendering(orchest_api=worlds.deployment("orchest-api", env=env)), applied(usual_rendering()))
    assert paths(action_for(made, API)) == [
        "spec.template.spec.containers[name=orchest-api].env[name=DB_PASSWORD].value"
    ]


def test_a_dropped_field_that_somebody_else_holds_too_stays_and_is_not_shown() -> None:
    before = applied(usual_rendering(settings=worlds.config_map("settings", a="1", b="2")))

    def also_theirs(body: dict[str, Any]) -> None:
        fields: dict[str, Any] = {"f:data": {"f:b": {}}}
        body["metadata"]["managedFields"].append(
            {"manager": "kubectl", "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields}
        )

    made = planned(usual_rendering(), changed(before, SETTINGS, also_theirs))
    assert paths(action_for(made, SETTINGS)) == []
    assert planned(usual_rendering(), applied(usual_rendering(), changed(before, SETTINGS, also_theirs))).is_empty


def test_a_foreign_field_is_left_alone() -> None:
    def annotate(body: dict[str, Any]) -> None:
        body["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "3"
        body["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "x"})
        body["spec"]["replicas"] = 5

    assert planned(usual_rendering(), changed(applied(usual_rendering()), API, annotate)).is_empty


def test_an_immutable_field_is_foreseen_as_a_replace_with_its_consequence() -> None:
    made = planned(usual_rendering(worker=worlds.role_binding("worker", "writer")), applied(usual_rendering()))
    action = action_for(made, "RoleBinding.rbac.authorization.k8s.io/worker")
    assert (action.verb, action.reason) == (Verb.REPLACE, Reason.IMMUTABLE_FIELD)
    assert [change.path for change in action.changes if change.immutable] == ["roleRef.name"]
    assert "deleted and created again" in action.explanation


def _workload(kind: str, **labels: str) -> dict[str, Any]:
    body = worlds.deployment("node-agent")
    return {**body, "kind": kind, "spec": {**body["spec"], "selector": {"matchLabels": labels}}}


def _binding(kind: str, role: str) -> dict[str, Any]:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    namespaced = kind == "RoleBinding"
    return worlds.content("rbac.authorization.k8s.io/v1", kind, "x", namespaced=namespaced, roleRef=reference)


def _service(address: str) -> dict[str, Any]:
    return worlds.content("v1", "Service", "x", spec={"clusterIP": address, "ports": [{"port": 80}]})


REPLACED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (_workload("Deployment", a="1"), _workload("Deployment", a="2")),
    (_workload("DaemonSet", a="1"), _workload("DaemonSet", a="2")),
    (worlds.content("v1", "Secret", "x", type="Opaque"), worlds.content("v1", "Secret", "x", type="kubernetes.io/tls")),
    (_service("10.96.0.7"), _service("10.96.0.8")),
    (_binding("RoleBinding", "a"), _binding("RoleBinding", "b")),
    (_binding("ClusterRoleBinding", "a"), _binding("ClusterRoleBinding", "b")),
]


@pytest.mark.parametrize(("before", "now"), REPLACED, ids=[before["kind"] for before, _ in REPLACED])
def test_every_immutable_field_in_the_table_forces_a_replace(before: dict[str, Any], now: dict[str, Any]) -> None:
    snapshot = applied(rendering(before))
    made = planned(rendering(now), snapshot)
    assert [(action.verb, action.reason) for action in made.actions] == [(Verb.REPLACE, Reason.IMMUTABLE_FIELD)]
    assert any(change.immutable for change in made.actions[0].changes)
    assert planned(rendering(now), applied(rendering(now), snapshot)).is_empty


def test_every_row_of_the_immutable_table_is_tested() -> None:
    assert {kind for _, kind in IMMUTABLE} == {before["kind"] for before, _ in REPLACED}


def test_an_address_that_git_does_not_set_is_never_a_reason_to_replace_a_service() -> None:
    assert planned(rendering(worlds.service("a")), applied(rendering(worlds.service("a")))).is_empty


# --- ownership and deletes


def test_what_is_not_desired_any_more_is_pruned_last() -> None:
    before = rendering(*(worlds.config_map(f"m{number}") for number in range(8)))
    wanted = rendering(*(worlds.config_map(f"m{number}") for number in range(7)))
    made = planned(wanted, applied(before))
    assert writes(made) == [("delete", "ConfigMap/orchest/m7")]
    action = action_for(made, "ConfigMap/m7")
    assert (action.reason, action.wave, action.readiness.rule) == (Reason.NOT_DESIRED, 5, ReadinessRule.GONE)
    assert action.precondition.uid == applied(before).objects[key("ConfigMap/m7")].uid
    assert [note for note in made.notes if note.severity is Severity.REFUSAL] == []


def _prunable() -> tuple[Rendering, Snapshot]:
    wanted = rendering(worlds.config_map("a"), worlds.config_map("b"))
    return wanted, applied(rendering(worlds.config_map("a"), worlds.config_map("b"), worlds.config_map("old")))


def test_an_object_without_our_mark_is_never_pruned() -> None:
    wanted, snapshot = _prunable()
    assert writes(planned(wanted, snapshot)) == [("delete", "ConfigMap/orchest/old")]
    unmarked = changed(snapshot, "ConfigMap/old", lambda body: body["metadata"].pop("annotations"))
    assert writes(planned(wanted, unmarked)) == []


def test_an_object_with_the_mark_of_another_cluster_is_never_pruned() -> None:
    wanted, snapshot = _prunable()

    def remark(body: dict[str, Any]) -> None:
        body["metadata"]["annotations"][OWNER_ANNOTATION] = "orchest/cluster-2"

    assert planned(wanted, changed(snapshot, "ConfigMap/old", remark)).actions == ()


def test_an_object_that_the_inventory_does_not_list_is_never_pruned_and_is_named() -> None:
    wanted, snapshot = _prunable()
    made = planned(wanted, _with_inventory(snapshot, lambda entry: "old" not in entry["key"]))
    assert writes(made) == []
    assert codes(made) == ["not-in-inventory"]


def test_an_object_with_another_uid_than_the_inventory_says_is_never_pruned() -> None:
    wanted, snapshot = _prunable()
    recreated = with_object(without_object(snapshot, "ConfigMap/old"), worlds.config_map("old"), uid="another")
    made = planned(wanted, recreated)
    assert writes(made) == []
    assert codes(made) == ["not-in-inventory"]


def test_an_object_that_a_killed_apply_meant_to_create_is_pruned() -> None:
    """Its inventory entry is an intent without a uid; nobody else would ever remove it."""
    wanted, snapshot = _prunable()

    def forget_uid(entry: dict[str, str]) -> bool:
        if "old" in entry["key"]:
            entry["uid"] = ""
        return True

    assert writes(planned(wanted, _with_inventory(snapshot, forget_uid))) == [("delete", "ConfigMap/orchest/old")]


def _with_inventory(snapshot: Snapshot, keep: Any) -> Snapshot:
    def change(body: dict[str, Any]) -> None:
        body["status"]["inventory"] = [entry for entry in body["status"]["inventory"] if keep(entry)]

    return changed(snapshot, "OrchestCluster.orchest.io/cluster-1", change)


def test_an_object_that_is_being_deleted_already_is_awaited_and_not_deleted_again() -> None:
    wanted, snapshot = _prunable()
    going = changed(snapshot, "ConfigMap/old", lambda body: body["metadata"].update(deletionTimestamp=worlds.NOW))
    made = planned(wanted, going)
    assert writes(made) == []
    assert action_for(made, "ConfigMap/old").verb is Verb.WAIT


@pytest.mark.parametrize(
    ("before", "after_", "refused"), [(30, 27, False), (30, 26, True), (50, 45, False), (50, 44, True), (2, 0, True)]
)
def test_too_many_prunes_are_refused(before: int, after_: int, refused: bool) -> None:
    snapshot = applied(rendering(*(worlds.config_map(f"m{number}") for number in range(before))))
    made = planned(rendering(*(worlds.config_map(f"m{number}") for number in range(after_))), snapshot)
    assert len(writes(made)) == before - after_
    assert ("too-many-prunes" in codes(made)) is refused


def test_a_claim_is_never_pruned() -> None:
    made = planned(
        rendering(worlds.config_map("a")), applied(rendering(worlds.config_map("a"), worlds.claim("userdir-pvc")))
    )
    assert writes(made) == []
    assert (action_for(made, CLAIM).verb, action_for(made, CLAIM).reason) == (Verb.KEEP, Reason.USER_DATA)


def test_an_existing_object_that_is_not_ours_is_refused_and_not_touched() -> None:
    foreign = worlds.config_map("settings", a="theirs")
    del foreign["metadata"]["annotations"], foreign["metadata"]["labels"]
    made = planned(usual_rendering(), with_object(worlds.empty_snapshot(), foreign))
    assert codes(made) == ["not-ours"]
    assert made.notes[0].severity is Severity.REFUSAL
    assert key(SETTINGS) not in [action.key for action in made.actions]


def test_an_existing_object_of_another_cluster_is_refused_and_not_touched() -> None:
    foreign = worlds.config_map("settings", a="theirs")
    foreign["metadata"]["annotations"][OWNER_ANNOTATION] = "orchest/cluster-2"
    made = planned(usual_rendering(), with_object(worlds.empty_snapshot(), foreign))
    assert codes(made) == ["owned-by-another"]
    assert key(SETTINGS) not in [action.key for action in made.actions]


def test_an_object_with_the_original_labels_is_adopted() -> None:
    original = worlds.config_map("settings", a="old")
    del original["metadata"]["annotations"]
    made = planned(usual_rendering(), with_object(worlds.empty_snapshot(), original))
    action = action_for(made, SETTINGS)
    assert (action.verb, action.reason) == (Verb.ADOPT, Reason.ORIGINAL_OBJECT)
    assert action.precondition.uid == "foreign-uid"
    assert "data.a" in paths(action)


def test_a_claim_without_our_mark_is_adopted_whoever_made_it() -> None:
    existing = worlds.claim("userdir-pvc")
    del existing["metadata"]["annotations"], existing["metadata"]["labels"]
    made = planned(usual_rendering(), with_object(worlds.empty_snapshot(), existing))
    assert (action_for(made, CLAIM).verb, action_for(made, CLAIM).reason) == (Verb.ADOPT, Reason.EXISTING_CLAIM)


def test_an_object_of_the_original_that_we_do_not_render_is_named_and_left() -> None:
    original = worlds.config_map("celery-config")
    del original["metadata"]["annotations"]
    made = planned(usual_rendering(), with_object(applied(usual_rendering()), original))
    assert writes(made) == []
    assert codes(made) == ["left-behind"]


def test_a_replace_without_an_inventory_entry_is_refused() -> None:
    snapshot = _with_inventory(applied(usual_rendering()), lambda entry: "RoleBinding" not in entry["key"])
    made = planned(usual_rendering(worker=worlds.role_binding("worker", "writer")), snapshot)
    assert "not-in-inventory" in codes(made)


# --- deletion in progress


def going(body: dict[str, Any]) -> None:
    body["metadata"]["deletionTimestamp"] = worlds.NOW


def test_an_object_that_somebody_deletes_is_replaced_when_it_is_gone() -> None:
    made = planned(usual_rendering(), changed(applied(usual_rendering()), API, going))
    assert (action_for(made, API).verb, action_for(made, API).reason) == (Verb.REPLACE, Reason.BEING_DELETED)


def test_a_claim_that_somebody_deletes_is_never_replaced_and_the_danger_is_told() -> None:
    made = planned(usual_rendering(), changed(applied(usual_rendering()), CLAIM, going))
    assert writes(made) == []
    assert codes(made) == ["being-deleted"]


def test_a_cluster_that_somebody_deletes_is_refused() -> None:
    made = planned(usual_rendering(), changed(applied(usual_rendering()), "OrchestCluster.orchest.io/cluster-1", going))
    assert [(note.code, note.severity) for note in made.notes] == [("being-deleted", Severity.REFUSAL)]


# --- pause


def test_a_pause_deletes_workloads_in_reverse_order_and_does_not_count_as_prune() -> None:
    running = [worlds.deployment(name) for name in ("orchest-database", "orchest-api", "celery-worker", "auth-server")]
    snapshot = applied(rendering(*running, worlds.ingress("webserver")))
    paused = rendering(cluster=worlds.cluster_content({"singleNode": True, "orchest": {"pause": True}}))
    made = planned(paused, snapshot)
    deletes = [action for action in made.actions if action.verb is Verb.DELETE]
    assert [action.key.name for action in deletes] == [
        "webserver",
        "auth-server",
        "celery-worker",
        "orchest-api",
        "orchest-database",
    ]
    assert {action.reason for action in deletes} == {Reason.PAUSED}
    assert codes(made) == []


# --- claims


def test_a_smaller_size_keeps_the_live_one() -> None:
    made = planned(usual_rendering(userdir_pvc=worlds.claim("userdir-pvc", "5Gi")), applied(usual_rendering()))
    assert writes(made) == []
    assert (action_for(made, CLAIM).verb, action_for(made, CLAIM).reason) == (Verb.KEEP, Reason.SMALLER_VOLUME)


def test_a_smaller_size_beside_another_change_is_sent_with_the_live_size() -> None:
    smaller = worlds.claim("userdir-pvc", "5Gi")
    smaller["metadata"]["labels"]["team"] = "a"
    action = action_for(planned(usual_rendering(userdir_pvc=smaller), applied(usual_rendering())), CLAIM)
    assert action.verb is Verb.UPDATE
    assert action.manifest is not None
    assert action.manifest.content["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert "spec.resources.requests.storage" not in paths(action)
    assert planned(
        usual_rendering(userdir_pvc=smaller), applied(usual_rendering(userdir_pvc=smaller), applied(usual_rendering()))
    ).is_empty


def test_a_larger_size_grows_an_expandable_volume() -> None:
    made = planned(usual_rendering(userdir_pvc=worlds.claim("userdir-pvc", "20Gi")), applied(usual_rendering()))
    assert paths(action_for(made, CLAIM)) == ["spec.resources.requests.storage"]


def test_a_larger_size_of_a_fixed_class_is_kept_with_its_reason() -> None:
    before = usual_rendering(userdir_pvc=worlds.claim("userdir-pvc", "10Gi", "fixed"))
    made = planned(usual_rendering(userdir_pvc=worlds.claim("userdir-pvc", "20Gi", "fixed")), applied(before))
    assert (action_for(made, CLAIM).verb, action_for(made, CLAIM).reason) == (Verb.KEEP, Reason.NOT_EXPANDABLE)


def test_a_larger_size_of_an_unbound_claim_is_kept_until_it_is_bound() -> None:
    pending = changed(applied(usual_rendering()), CLAIM, lambda body: body["status"].update(phase="Pending"))
    made = planned(usual_rendering(userdir_pvc=worlds.claim("userdir-pvc", "20Gi")), pending)
    assert action_for(made, CLAIM).reason is Reason.NOT_EXPANDABLE


def test_a_claim_is_never_replaced() -> None:
    other = worlds.claim("userdir-pvc", storage_class="fixed")
    other["spec"]["accessModes"] = ["ReadWriteMany"]
    made = planned(usual_rendering(userdir_pvc=other), applied(usual_rendering()))
    assert writes(made) == []
    assert action_for(made, CLAIM).reason is Reason.IMMUTABLE_FIELD


# --- generated content

SECRET = "Secret/registry-tls-secret"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda body: body["data"].pop("tls.key"), Reason.CONTENT_ABSENT),
        (lambda body: body["metadata"]["annotations"].update({GENERATED_FOR_ANNOTATION: "x"}), Reason.CONTENT_OUTDATED),
        (
            lambda body: body["metadata"]["annotations"].update({EXPIRES_ANNOTATION: "2026-12-21T00:00:00Z"}),
            Reason.CONTENT_EXPIRING,
        ),
        (lambda body: body["metadata"]["annotations"].update({EXPIRES_ANNOTATION: "soon"}), Reason.CONTENT_EXPIRING),
        (
            lambda body: body["metadata"]["annotations"].update({EXPIRES_ANNOTATION: "2026-12-22T11:00:00+00:00"}),
            Reason.CONTENT_EXPIRING,
        ),
    ],
)
def test_content_is_generated_when_it_is_missing_outdated_or_expiring(edit: Any, reason: Reason) -> None:
    snapshot = changed(applied(usual_rendering()), SECRET, edit)
    action = action_for(planned(usual_rendering(), snapshot), SECRET)
    assert (action.verb, action.reason) == (Verb.GENERATE, reason)
    assert all(change.unknown for change in action.changes if change.path.startswith("data"))
    assert planned(usual_rendering(), applied(usual_rendering(), snapshot)).is_empty


def test_a_certificate_with_more_than_its_renewal_time_left_is_kept() -> None:
    snapshot = changed(
        applied(usual_rendering()),
        SECRET,
        lambda body: body["metadata"]["annotations"].update({EXPIRES_ANNOTATION: "2026-12-22T12:00:01Z"}),
    )
    assert planned(usual_rendering(), snapshot).is_empty


def test_a_changed_label_of_a_generated_secret_does_not_make_its_content_anew() -> None:
    labelled = worlds.content("v1", "Secret", "credentials")
    labelled["metadata"]["labels"]["team"] = "a"
    wanted = rendering(worlds.desired(labelled, worlds.PASSWORDS))
    snapshot = applied(rendering(worlds.desired(worlds.content("v1", "Secret", "credentials"), worlds.PASSWORDS)))
    assert action_for(planned(wanted, snapshot), "Secret/credentials").verb is Verb.UPDATE
    after_ = applied(wanted, snapshot)
    where = key("Secret/credentials")
    assert after_.objects[where].content["data"] == snapshot.objects[where].content["data"]
    assert planned(wanted, after_).is_empty


def test_a_new_registry_service_makes_the_certificate_new_in_the_same_plan() -> None:
    snapshot = without_object(applied(usual_rendering()), "Service/docker-registry")
    made = planned(usual_rendering(), snapshot)
    assert action_for(made, SECRET).reason is Reason.CONTENT_OUTDATED
    assert planned(usual_rendering(), applied(usual_rendering(), snapshot)).is_empty


# --- values that only apply knows


def test_the_fingerprint_is_unknown_as_long_as_the_certificate_is_to_be_generated() -> None:
    from desired_state.objects import Unknown

    stamped = worlds.deployment("orchest-api")
    stamped["spec"]["template"]["metadata"]["annotations"] = {
        "checksum/ca": Unknown(UnknownValue.REGISTRY_CA_FINGERPRINT)
    }
    wanted = usual_rendering(orchest_api=stamped)
    snapshot = applied(wanted)
    assert planned(wanted, snapshot).is_empty
    broken = changed(snapshot, SECRET, lambda body: body["data"].pop("tls.key"))
    action = action_for(planned(wanted, broken), API)
    (change,) = (change for change in action.changes if change.unknown)
    assert (change.path, change.after) == ('spec.template.metadata.annotations["checksum/ca"]', None)
    assert planned(wanted, applied(wanted, broken)).is_empty
    assert known_values(applied(wanted, broken)) != known_values(snapshot)


# --- readiness


def test_an_object_in_sync_that_is_not_ready_is_awaited() -> None:
    snapshot = changed(applied(usual_rendering()), API, lambda body: body["status"].update(availableReplicas=0))
    made = planned(usual_rendering(), snapshot)
    assert made.is_empty
    assert (action_for(made, API).verb, action_for(made, API).reason) == (Verb.WAIT, Reason.NOT_READY)
    assert action_for(made, API).explanation == "0 of 1 replicas available"


# --- drift and conflicts


def test_a_field_that_somebody_changed_is_drift_and_names_the_manager() -> None:
    made = planned(usual_rendering(), set_image_by_hand(applied(usual_rendering())))
    action = action_for(made, API)
    assert (action.verb, action.reason, action.conflicts) == (Verb.UPDATE, Reason.DRIFTED, ())
    (change,) = action.changes
    assert (change.before, change.after, change.cause, change.manager) == (
        "their/image:v9",
        "orchest/thing:v1",
        Cause.DRIFT,
        "kubectl-set",
    )
    assert [(drift.key, drift.repaired) for drift in made.drift] == [(key(API), True)]


def test_a_field_that_another_apply_manager_holds_is_a_conflict() -> None:
    made = planned(usual_rendering(), set_image_by_hand(applied(usual_rendering()), "argocd", "Apply"))
    assert action_for(made, API).conflicts == (
        Conflict("spec.template.spec.containers[name=orchest-api].image", "argocd"),
    )


def test_a_change_in_git_of_a_field_that_we_hold_is_not_drift() -> None:
    made = planned(usual_rendering(orchest_api=worlds.deployment("orchest-api", "new:v2")), applied(usual_rendering()))
    assert made.drift == ()
    assert action_for(made, API).changes[0].cause is Cause.DESIRED


def test_a_field_that_somebody_removed_is_drift() -> None:
    def remove(body: dict[str, Any]) -> None:
        del body["data"]["a"]
        worlds.taken_over(body, {"f:data": {"f:a": {}}}, "kubectl-edit")
        body["metadata"]["managedFields"].pop()

    made = planned(usual_rendering(), changed(applied(usual_rendering()), SETTINGS, remove))
    assert [change.cause for change in action_for(made, SETTINGS).changes] == [Cause.DRIFT]


def test_an_object_that_somebody_deleted_is_drift_and_comes_back() -> None:
    made = planned(usual_rendering(), without_object(applied(usual_rendering()), SETTINGS))
    assert (action_for(made, SETTINGS).verb, action_for(made, SETTINGS).reason) == (Verb.CREATE, Reason.MISSING)
    assert [(drift.key, drift.changes, drift.repaired) for drift in made.drift] == [(key(SETTINGS), (), True)]


def test_an_owner_mark_that_somebody_removed_comes_back() -> None:
    def unmark(body: dict[str, Any]) -> None:
        del body["metadata"]["annotations"][OWNER_ANNOTATION]

    made = planned(usual_rendering(), changed(applied(usual_rendering()), SETTINGS, unmark))
    assert action_for(made, SETTINGS).verb is Verb.UPDATE


def with_policy(**annotations: str) -> Rendering:
    return replace(usual_rendering(), cluster=_cluster(**annotations))


def _cluster(**annotations: str) -> Any:
    return rendering(cluster=worlds.cluster_content(None, **annotations)).cluster


@pytest.mark.parametrize("mode", ["observe", "warn"])
def test_drift_is_shown_and_left_when_the_mode_says_so(mode: str) -> None:
    wanted = with_policy(drift=mode)
    made = planned(wanted, set_image_by_hand(applied(wanted)))
    assert made.is_empty
    assert (action_for(made, API).verb, action_for(made, API).reason) == (Verb.KEEP, Reason.DRIFT_IGNORED)
    assert [drift.repaired for drift in made.drift] == [False]
    assert codes(made) == (["drift"] if mode == "warn" else [])


def test_a_change_in_git_beside_drift_that_is_left_does_not_touch_the_drifted_field() -> None:
    wanted = replace(
        usual_rendering(orchest_api=worlds.deployment("orchest-api", imagePullPolicy="Always")),
        cluster=_cluster(drift="observe"),
    )
    drifted = set_image_by_hand(applied(with_policy(drift="observe")))
    action = action_for(planned(wanted, drifted), API)
    assert action.manifest is not None
    (container,) = action.manifest.content["spec"]["template"]["spec"]["containers"]
    assert "image" not in container
    world = after(drifted, action)
    live = world.objects[key(API)].content["spec"]["template"]["spec"]["containers"][0]
    assert (live["image"], live["imagePullPolicy"]) == ("their/image:v9", "Always")
    assert planned(wanted, world).is_empty


def _scaled(snapshot: Snapshot) -> Snapshot:
    def scale(body: dict[str, Any]) -> None:
        body["spec"]["replicas"] = 7
        worlds.taken_over(body, REPLICAS, "kubectl", "Update")
        body["metadata"]["managedFields"][-1]["subresource"] = "scale"

    return changed(snapshot, API, scale)


def test_who_scaled_by_hand_is_named() -> None:
    api = worlds.deployment("orchest-api")
    api["spec"]["replicas"] = 2
    wanted = usual_rendering(orchest_api=api)
    (change,) = action_for(planned(wanted, _scaled(applied(wanted))), API).changes
    assert (change.path, change.cause, change.manager) == ("spec.replicas", Cause.DRIFT, "kubectl")


@pytest.mark.parametrize(
    "rule", ["/spec/replicas", "Deployment/orchest-api:/spec/replicas", "/spec/other,\n/spec/replicas"]
)
def test_an_ignored_field_may_be_changed_by_others(rule: str) -> None:
    api = worlds.deployment("orchest-api")
    api["spec"]["replicas"] = 2
    wanted = replace(usual_rendering(orchest_api=api), cluster=_cluster(ignore_drift=rule))
    made = planned(wanted, _scaled(applied(wanted)))
    assert made.is_empty
    assert [drift.repaired for drift in made.drift] == [False]


def test_an_ignore_rule_for_another_object_ignores_nothing_here() -> None:
    api = worlds.deployment("orchest-api")
    api["spec"]["replicas"] = 2
    cluster = _cluster(ignore_drift="Deployment/auth-server:/spec/replicas")
    wanted = replace(usual_rendering(orchest_api=api), cluster=cluster)
    assert paths(action_for(planned(wanted, _scaled(applied(wanted))), API)) == ["spec.replicas"]


def test_a_change_in_git_of_an_ignored_field_is_carried_out_while_nobody_took_it() -> None:
    before, now = (worlds.deployment("orchest-api") for _ in range(2))
    before["spec"]["replicas"], now["spec"]["replicas"] = 2, 3
    cluster = _cluster(ignore_drift="/spec/replicas")
    snapshot = applied(replace(usual_rendering(orchest_api=before), cluster=cluster))
    made = planned(replace(usual_rendering(orchest_api=now), cluster=cluster), snapshot)
    assert paths(action_for(made, API)) == ["spec.replicas"]


# --- the OrchestCluster itself

OWNER = "OrchestCluster.orchest.io/cluster-1"


def test_what_git_lacks_in_the_clusters_spec_is_removed() -> None:
    def add(body: dict[str, Any]) -> None:
        body["spec"]["orchest"] = {"pause": False}
        fields: dict[str, Any] = {"f:spec": {"f:orchest": {"f:pause": {}}}}
        body["metadata"]["managedFields"].append(
            {"manager": "kubectl-edit", "operation": "Update", "apiVersion": "orchest.io/v1alpha1", "fieldsV1": fields}
        )

    snapshot = changed(applied(usual_rendering()), OWNER, add)
    action = action_for(planned(usual_rendering(), snapshot), OWNER)
    assert [(change.path, change.before, change.after, change.cause) for change in action.changes] == [
        ("spec.orchest.pause", False, ABSENT, Cause.DRIFT)
    ]
    assert action.removals == ("/spec/orchest/pause",)
    assert planned(usual_rendering(), applied(usual_rendering(), snapshot)).is_empty


def test_what_git_drops_from_the_clusters_spec_needs_no_removal_when_it_is_ours_alone() -> None:
    before = rendering(cluster=worlds.cluster_content({"singleNode": True, "orchest": {"orchestHost": "a.example"}}))
    action = action_for(planned(rendering(), applied(before)), OWNER)
    assert (paths(action), action.removals) == (["spec.orchest.orchestHost"], ())
    assert planned(rendering(), applied(rendering(), applied(before))).is_empty


def test_the_clusters_status_is_never_a_difference() -> None:
    snapshot = changed(applied(usual_rendering()), OWNER, lambda body: body["status"].update(state="Running"))
    assert planned(usual_rendering(), snapshot).is_empty


# --- the database


@pytest.mark.parametrize(
    ("old", "new", "refused"), [("postgres:13.1", "postgres:14", True), ("postgres:13.1", "postgres:13.9", False)]
)
def test_a_database_never_crosses_a_postgresql_major(old: str, new: str, refused: bool) -> None:
    before = rendering(worlds.deployment("orchest-database", old))
    made = planned(rendering(worlds.deployment("orchest-database", new)), applied(before))
    assert ("postgres-major" in codes(made)) is refused


def test_a_database_never_starts_on_another_volume_than_its_own() -> None:
    def on(claim: str) -> Rendering:
        content = worlds.deployment("orchest-database", "postgres:13.1")
        volume = {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
        content["spec"]["template"]["spec"]["volumes"] = [volume]
        return rendering(content)

    before = applied(on("userdir-pvc"))
    assert "database-moves" in codes(planned(on("orchest-state"), before))
    assert codes(planned(on("userdir-pvc"), before)) == []


def test_another_component_may_change_to_any_postgresql() -> None:
    before = rendering(worlds.deployment("sidekick", "postgres:13.1"))
    assert codes(planned(rendering(worlds.deployment("sidekick", "postgres:14")), applied(before))) == []


# --- secrets


def test_a_sensitive_value_is_masked_and_its_change_still_shows() -> None:
    env = [{"name": "LEVEL", "value": "info"}, {"name": "DB_PASSWORD", "value": "another-canary"}]
    made = planned(usual_rendering(orchest_api=worlds.deployment("orchest-api", env=env)), applied(usual_rendering()))
    (change,) = action_for(made, API).changes
    assert change.sensitive
    assert change.before != change.after
    assert str(change.before).startswith("masked:")
    assert "canary" not in f"{change.before}{change.after}"


# --- memory


def _replanned(wanted: Rendering, snapshot: Snapshot, memory: Memory) -> tuple[Plan, Memory]:
    return replan(wanted, snapshot, memory, masker=worlds.MASKER)


def test_a_plan_with_memory_is_the_plan_without() -> None:
    wanted = usual_rendering()
    snapshot = applied(wanted)
    _, memory = _replanned(wanted, snapshot, Memory())
    for world in (snapshot, set_image_by_hand(snapshot), without_object(snapshot, SETTINGS), worlds.empty_snapshot()):
        made, memory = _replanned(wanted, world, memory)
        assert made == planned(wanted, world)


def test_memory_does_not_hide_a_change_in_git() -> None:
    snapshot = applied(usual_rendering())
    _, memory = _replanned(usual_rendering(), snapshot, Memory())
    wanted = usual_rendering(settings=worlds.config_map("settings", a="2"))
    assert writes(_replanned(wanted, snapshot, memory)[0]) == [("update", "ConfigMap/orchest/settings")]


def test_memory_does_not_hide_a_certificate_that_falls_due() -> None:
    wanted = usual_rendering()
    snapshot = applied(wanted)
    made, memory = _replanned(wanted, snapshot, Memory())
    assert made.is_empty
    later = replace(snapshot, taken_at="2027-11-10T00:00:00Z")
    assert action_for(_replanned(wanted, later, memory)[0], SECRET).reason is Reason.CONTENT_EXPIRING


def test_nothing_changed_gives_the_very_same_plan() -> None:
    wanted = usual_rendering()
    snapshot = applied(wanted)
    made, memory = _replanned(wanted, snapshot, Memory())
    assert _replanned(wanted, snapshot, memory)[0] is made


# --- the shape of a plan


def test_no_write_without_path_and_reason() -> None:
    snapshot = set_image_by_hand(applied(usual_rendering()))
    for world in (worlds.empty_snapshot(), snapshot, without_object(snapshot, SETTINGS)):
        for action in planned(usual_rendering(), world).actions:
            assert action.reason
            assert action.verb not in WRITES or (action.changes and all(change.path for change in action.changes))
