"""What `render` says, a real API server accepts, stores as sent, and admits under the pod security it promises."""

from __future__ import annotations

import base64
import json
import subprocess
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from desired_state.objects import KINDS, Unknown, UnknownValue
from diff.compare import compare
from render import render
from tests.crds.generator import valid_spec
from tests.render.cases import CASES, FACTS, STANDARD, cluster, golden

if TYPE_CHECKING:
    from collections.abc import Iterator

    from desired_state.objects import DesiredObject
    from dev.cluster.launcher import Cluster

SEED = 20261122
KNOWN = {
    UnknownValue.OWNER_UID: "00000000-0000-0000-0000-000000000001",
    UnknownValue.REGISTRY_ADDRESS: "10.96.0.77",
    UnknownValue.REGISTRY_CA_FINGERPRINT: "0" * 64,
}
PROFILES = {
    "auth-server": "restricted",
    "docker-registry": "restricted",
    "rabbitmq-server": "restricted",
    "celery-worker": "baseline",
    "orchest-api": "baseline",
    "orchest-database": "baseline",
    "orchest-webserver": "baseline",
    "buildkit-daemon": "privileged",
    "node-agent": "privileged",
}
"""The strictest pod security standard that admits each component."""
STRICTER = {"privileged": "baseline", "baseline": "restricted"}


def sendable(value: Any) -> Any:
    """Content as apply sends it, the unknown leaves filled in."""
    if isinstance(value, Unknown):
        return value.resolved(KNOWN[value.value])
    if isinstance(value, dict):
        return {key: sendable(item) for key, item in value.items()}
    return [sendable(item) for item in value] if isinstance(value, list) else value


def bodies(case: str, namespace: str) -> list[dict[str, Any]]:
    given, facts = golden(case)
    return [_body(each) for each in render(given.model_copy(update={"namespace": namespace}), facts).objects]


def _body(desired: DesiredObject) -> dict[str, Any]:
    body: dict[str, Any] = sendable(desired.manifest.content)
    if desired.generated:
        body["data"] = {key: base64.b64encode(b"generated").decode() for key in desired.generated.keys}
    return body


def collection(body: dict[str, Any]) -> str:
    kind = KINDS[body["apiVersion"].rpartition("/")[0], body["kind"]]
    root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
    return (
        f"{root}/namespaces/{body['metadata']['namespace']}/{kind.plural}"
        if kind.namespaced
        else f"{root}/{kind.plural}"
    )


def pods(case: str, namespace: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(component, a pod from its template)."""
    for body in bodies(case, namespace):
        if body["kind"] in {"Deployment", "DaemonSet"}:
            template = body["spec"]["template"]
            metadata = {**template["metadata"], "name": "probe", "namespace": namespace}
            yield body["metadata"]["name"], {"apiVersion": "v1", "kind": "Pod", **template, "metadata": metadata}


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_accepted_strictly_and_without_a_warning(
    case: str, api_only_cluster: Cluster, api_only_namespace: str
) -> None:
    # The placeholder in a generated Secret is no certificate, which the server remarks; the real one is apply's.
    items = [body for body in bodies(case, api_only_namespace) if body["kind"] != "Secret"]
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    command = [*api_only_cluster.kubectl, "create", "--dry-run=server", "--validate=strict", "-o=name", "-f", "-"]

    answer = subprocess.run(command, input=given, capture_output=True, text=True, check=False)

    assert (answer.returncode, answer.stderr) == (0, "")
    assert len(answer.stdout.splitlines()) == len(items)


@pytest.mark.parametrize("case", CASES)
def test_the_server_stores_what_was_sent(case: str, api_only_cluster: Cluster, api_only_namespace: str) -> None:
    for body in bodies(case, api_only_namespace):
        assert compare(body, _applied(api_only_cluster, body), {}) == ()


def test_what_generated_specs_mean_is_accepted_and_stored_as_sent(
    api_only_cluster: Cluster, api_only_namespace: str
) -> None:
    """Whatever the CRD lets pass must not fail one layer further down."""
    rng = Random(SEED)
    specs = [valid_spec(rng, storage_classes=(STANDARD.name,)) for _ in range(60)]
    renderings = [render(cluster(spec, namespace=api_only_namespace), FACTS) for spec in specs]
    sent = {json.dumps(_body(each), sort_keys=True) for rendering in renderings for each in rendering.objects}
    assert len(sent) > 200

    for body in map(json.loads, sorted(sent)):
        assert compare(body, _applied(api_only_cluster, body), {}) == (), f"seed {SEED}"


def _applied(server: Cluster, body: dict[str, Any]) -> dict[str, Any]:
    path = f"{collection(body)}/{body['metadata']['name']}"
    answer = server.api.apply(path, body, "orchest-controller", dryRun="All", fieldValidation="Strict")
    stored: dict[str, Any] = answer.expect(201)
    return stored


@pytest.fixture
def guarded_namespace(api_only_cluster: Cluster, api_only_namespace: str) -> str:
    """A namespace with the service accounts that pods need, which nobody makes without controllers."""
    for name in ("default", "orchest-api", "celery-worker", "node-agent"):
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        api_only_cluster.api.post(f"/api/v1/namespaces/{api_only_namespace}/serviceaccounts", account).expect(201)
    return api_only_namespace


@pytest.mark.parametrize("case", ["minimal", "docker"])
def test_pod_security_admits_each_component_under_its_profile_and_under_no_stricter_one(
    case: str, api_only_cluster: Cluster, guarded_namespace: str
) -> None:
    admitted = {
        (component, profile)
        for profile in ("privileged", "baseline", "restricted")
        for component in _admitted(api_only_cluster, case, guarded_namespace, profile)
    }

    for component, _ in pods(case, guarded_namespace):
        profile = PROFILES[component]
        assert (component, profile) in admitted
        assert (component, STRICTER.get(profile)) not in admitted


def _admitted(server: Cluster, case: str, namespace: str, profile: str) -> set[str]:
    labels = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": profile}}}
    server.api.patch(f"/api/v1/namespaces/{namespace}", labels).expect(200)
    answers = {
        component: server.api.post(f"/api/v1/namespaces/{namespace}/pods", pod, dryRun="All").status
        for component, pod in pods(case, namespace)
    }
    assert set(answers.values()) <= {201, 403}
    return {component for component, status in answers.items() if status == 201}
