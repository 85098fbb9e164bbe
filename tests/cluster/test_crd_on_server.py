"""The CRD on a real API server: it installs, is listed, judges as the models do, and spares what is stored."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from desired_state import rules
from desired_state.cluster import OrchestClusterSpec
from dev.crd import core
from tests.crds import generator
from tests.crds.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dev.cluster.api import Api, Response
    from dev.cluster.launcher import Cluster

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture(scope="module")
def api(api_only_cluster: Cluster) -> Api:
    """A server that serves the committed CRD."""
    name = generator.definition()["metadata"]["name"]
    api_only_cluster.api.apply(f"{DEFINITIONS}/{name}", generator.definition(), "orchest-test", force="true").expect(
        200, 201
    )
    broken = {"orchest": {"nodeAgent": {"replicas": 1}}}
    _await(lambda: _judged(api_only_cluster.api, broken).status == 422)
    return api_only_cluster.api


def _await(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "the server does not serve the CRD as it was sent"
        time.sleep(0.1)


def _clusters(namespace: str) -> str:
    return f"/apis/orchest.io/v1alpha1/namespaces/{namespace}/orchestclusters"


def _copies(namespace: str, kind: str) -> str:
    return f"/apis/{kind.lower()}.orchest.io/v1alpha1/namespaces/{namespace}/{kind.lower()}s"


def _manifest(spec: Any, name: str = "cluster-1", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "orchest.io/v1alpha1",
        "kind": "OrchestCluster",
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }


def _copy(spec: Any, kind: str, name: str = "cluster-1") -> dict[str, Any]:
    return _manifest(spec, name) | {"apiVersion": f"{kind.lower()}.orchest.io/v1alpha1", "kind": kind}


def _judged(api: Api, spec: Any) -> Response:
    return api.post(_clusters("default"), _manifest(spec), dryRun="All", fieldValidation="Strict")


def test_the_committed_core_types_are_what_the_server_publishes(api: Api) -> None:
    assert core.definitions(api.get("/openapi/v3/api/v1").expect(200)) == core.committed(), (
        "run `kubectl get --raw /openapi/v3/api/v1 | python -m dev.crd -`"
    )


def test_a_cluster_is_listed_with_its_columns(api: Api, api_only_cluster: Cluster, api_only_namespace: str) -> None:
    path = _clusters(api_only_namespace)
    api.post(path, _manifest({"singleNode": True}), fieldValidation="Strict").expect(201)
    conditions = [
        {"type": "Ready", "status": "True", "reason": "Applied", "lastTransitionTime": "2026-11-22T00:00:00Z"},
        {"type": "Drifted", "status": "False", "observedGeneration": 1, "message": "as Git has it"},
        {"event": "Deploying argo-workflow", "lastHeartbeatTime": "2026-11-22T00:00:00Z"},
    ]
    status = {
        "state": "Running",
        "version": "v2026.11.0",
        "conditions": conditions,
        "inventory": [{"key": "Service/orchest/orchest-api", "uid": "1"}],
        "registries": ["registry.example.com"],
        "revision": "0a1b2c3",
    }
    api.patch(f"{path}/cluster-1/status", {"status": status}, fieldValidation="Strict").expect(200)

    listed = subprocess.run(
        [*api_only_cluster.kubectl, "get", "oc", "--namespace", api_only_namespace],
        capture_output=True,
        text=True,
        check=True,
    )
    header, row = listed.stdout.splitlines()
    assert header.split() == ["NAME", "STATE", "VERSION", "READY", "DRIFTED", "AGE"]
    assert row.split()[:5] == ["cluster-1", "Running", "v2026.11.0", "True", "False"]


@pytest.mark.parametrize("name", SHAPES)
def test_an_original_manifest_applies_and_is_stored_unchanged(api: Api, api_only_namespace: str, name: str) -> None:
    manifest = _manifest(SHAPES[name].spec, annotations=SHAPES[name].annotations)
    created = api.post(_clusters(api_only_namespace), manifest, fieldValidation="Strict").expect(201)

    assert created["spec"] == SHAPES[name].spec


def test_the_server_and_the_models_judge_alike(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    seed = 20261122
    rng = Random(seed)
    specs = [generator.valid_spec(rng) for _ in range(400)]
    specs += [generator.odd_spec(rng).spec for _ in range(500)]
    specs += [broken.spec for broken in generator.breaking_each_rule(rng)]
    specs += [broken.spec for broken in generator.breaking_each_limit(rng)]
    specs += [broken.spec for broken in rng.sample([*generator.breaking_each_type(rng)], 700)]

    accepted = _answers(api, specs)

    refused = accepted.count(False)
    _show_coverage(capsys, seed, specs, refused)
    assert [spec for spec, yes in zip(specs, accepted, strict=True) if _model_accepts(spec) != yes] == []
    assert len(specs) >= 2000
    assert refused >= 0.3 * len(specs)
    assert min(generator.coverage(specs).values()) > 0


def test_a_rule_missing_on_the_server_would_be_noticed(api: Api, api_only_namespace: str) -> None:
    """The positive control of the test above: without CEL on the server each rule disagrees somewhere."""
    _install(api, _definition_of("Lenient", rules_kept=False))
    collection = _copies(api_only_namespace, "Lenient")
    _await(lambda: api.post(collection, _copy({}, "Lenient"), dryRun="All").status == 201)
    noticed = set()
    for broken in generator.breaking_each_rule(Random(1)):
        manifest = _copy(broken.spec, "Lenient")
        if api.post(collection, manifest, dryRun="All", fieldValidation="Strict").status == 201:
            assert not _model_accepts(broken.spec)
            noticed.add(broken.rule)

    assert noticed == {*rules.MESSAGES, "quantity"}


def _answers(api: Api, specs: Iterable[Any]) -> list[bool]:
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda spec: _judged(api, spec), specs)
        return [_is_accepted(answer) for answer in answers]


def _is_accepted(answer: Response) -> bool:
    answer.expect(201, 400, 422)
    return answer.status == 201


def _model_accepts(spec: Any) -> bool:
    try:
        OrchestClusterSpec.model_validate(spec)
    except ValidationError:
        return False
    return True


def _show_coverage(capsys: pytest.CaptureFixture[str], seed: int, specs: list[Any], refused: int) -> None:
    counted = generator.coverage(specs)
    lines = [
        f"seed {seed}: {len(specs)} specs, {refused} refused; {len(counted)} properties",
        f"the rarest property is set in {min(counted.values())} specs, the upper ones in:",
        *(f"  {count:5d} {path}" for path, count in sorted(counted.items()) if path.count(".") <= 1),
    ]
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")


def test_every_rule_refuses_with_its_own_words_and_accepts_what_follows_it(api: Api) -> None:
    rng = Random(7)
    broken = [spec for _ in range(4) for spec in generator.breaking_each_rule(rng)]
    told: Counter[str] = Counter()
    for spec in broken:
        answer = _judged(api, spec.spec)
        assert answer.status == 422, (str(spec.place), spec.rule, answer.text)
        told[spec.rule] += _message(spec) in answer.body["message"]
    # A value of the wrong type is refused before any rule looks at it.
    assert {rule for rule, count in told.items() if count == 0} == set()
    assert set(told) == {*rules.MESSAGES, "quantity"}

    valid = [generator.valid_spec(rng) for _ in range(200)]
    assert all(_answers(api, valid))
    followed = generator.coverage(valid)
    never = {str(place) for place in generator.places() if place.rules and not followed[str(place)]}
    assert never == {"orchest.nodeAgent.replicas", "orchest.buildkitDaemon.replicas"}


def _message(broken: generator.Broken) -> str:
    for rule in broken.place.schema["x-kubernetes-validations"]:
        if generator.rule_name(rule) == broken.rule:
            return str(rule["message"])
    raise AssertionError(broken.rule)


def test_the_generators_core_types_are_those_of_a_deployment(api: Api, api_only_namespace: str) -> None:
    rng = Random(23)
    specs = [generator.valid_spec(rng) for _ in range(40)]
    components = [part for spec in specs for part in _components(spec)]
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda component: _deployed(api, api_only_namespace, component), components)
        refused = [answer.text for answer in answers if answer.status != 201]

    assert len(components) > 100
    assert refused == []


def _components(spec: Any) -> list[dict[str, Any]]:
    orchest = spec.get("orchest", {})
    parts = [spec.get("postgres"), spec.get("rabbitMq"), *(orchest.get(name) for name in ("orchestApi", "authServer"))]
    return [part for part in parts if part] + [{"env": orchest.get("env", [])}]


def _deployed(api: Api, namespace: str, component: dict[str, Any]) -> Response:
    of_container = ("env", "resources", "imagePullPolicy")
    in_container: dict[str, Any] = {name: component[name] for name in of_container if name in component}
    in_pod = ("tolerations", "affinity", "nodeSelector", "imagePullSecrets")
    pod = {name: component[name] for name in in_pod if name in component}
    container = {"name": "main", "image": component.get("image") or "postgres:13.1", **in_container}
    labels = {"app": "x"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x"},
        "spec": {
            "replicas": component.get("replicas", 1),
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], **pod}},
        },
    }
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    return api.post(path, deployment, dryRun="All", fieldValidation="Strict")


@pytest.mark.parametrize(
    "path",
    [
        ("userDirVolumeSize",),
        ("orchestStateVolumeSize",),
        ("userDirVolume", "volumeSize"),
        ("orchestStateVolume", "volumeSize"),
    ],
)
def test_a_volume_grows_and_never_shrinks(api: Api, api_only_namespace: str, path: tuple[str, ...]) -> None:
    collection = _clusters(api_only_namespace)
    api.post(collection, _manifest({"orchest": {"resources": _nested(path, "50Gi")}})).expect(201)

    def resized(size: str) -> Response:
        return api.patch(f"{collection}/cluster-1", {"spec": {"orchest": {"resources": _nested(path, size)}}})

    assert "give at least its present size, 50Gi" in resized("40Gi").expect(422)["message"]
    resized("51200Mi").expect(200)
    resized("60Gi").expect(200)
    assert "give at least its present size, 60Gi" in resized("50Gi").expect(422)["message"]
    resized("").expect(200)


def _nested(path: tuple[str, ...], value: Any) -> Any:
    return {path[0]: _nested(path[1:], value)} if path else value


def _definition_of(kind: str, *, rules_kept: bool) -> dict[str, Any]:
    """The CRD under another name, for this file alone."""
    definition = copy.deepcopy(generator.definition())
    plural, group = f"{kind.lower()}s", f"{kind.lower()}.orchest.io"
    definition["metadata"]["name"] = f"{plural}.{group}"
    names = {"kind": kind, "listKind": f"{kind}List", "singular": kind.lower(), "plural": plural}
    definition["spec"].update(group=group, names=names)
    if not rules_kept:
        _loosen(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    return definition


def _loosen(node: Any) -> None:
    if isinstance(node, dict):
        node.pop("x-kubernetes-validations", None)
        for inner in node.values():
            _loosen(inner)


def _install(api: Api, definition: Any) -> None:
    """Instead of whatever an earlier run left there."""
    path = f"{DEFINITIONS}/{definition['metadata']['name']}"
    api.delete(path)
    _await(lambda: api.get(path).status == 404)
    api.post(DEFINITIONS, definition).expect(201)


def test_what_was_stored_under_a_looser_crd_stays_updatable(api: Api, api_only_namespace: str) -> None:
    kind = "Aged"
    _install(api, _definition_of(kind, rules_kept=False))
    collection = _copies(api_only_namespace, kind)
    twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    old = {"orchest": {"version": "not a tag", "env": twice}}
    _await(lambda: api.post(collection, _copy(old, kind)).status == 201)

    tight = _definition_of(kind, rules_kept=True)
    api.apply(f"{DEFINITIONS}/{tight['metadata']['name']}", tight, "orchest-test", force="true").expect(200)
    _await(lambda: api.post(collection, _copy(old, kind, "fresh"), dryRun="All").status == 422)

    path = f"{collection}/cluster-1"
    api.patch(path, {"metadata": {"labels": {"a": "b"}}}).expect(200)
    api.patch(path, {"spec": {"orchest": {"pause": True}}}).expect(200)
    api.patch(f"{path}/status", {"status": {"state": "Stopped"}}).expect(200)
    api.apply(path, _copy({"orchest": {"pause": False}}, kind), "orchest-controller", force="true").expect(200)
    api.apply(path, _copy(old, kind), "orchest-controller", force="true").expect(200)

    worse = {"spec": {"orchest": {"version": "also not a tag"}}}
    assert rules.MESSAGES["version"] in api.patch(path, worse).expect(422)["message"]
    api.patch(path, {"spec": {"orchest": {"env": [*reversed(twice)]}}}).expect(422)
    api.patch(path, {"spec": {"orchest": {"version": "v2026.11.0", "env": twice[:1]}}}).expect(200)


def test_a_client_side_apply_fits(api: Api, api_only_cluster: Cluster) -> None:
    applied = subprocess.run(
        [*api_only_cluster.kubectl, "apply", "--dry-run=server", "-f", "-"],
        input=json.dumps(generator.definition()),
        capture_output=True,
        text=True,
        check=False,
    )

    assert applied.returncode == 0, applied.stderr
    assert api.get(DEFINITIONS).status == 200
