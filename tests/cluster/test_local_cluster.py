"""The local cluster itself: what the other tests of this folder stand on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dev.cluster.api import Api
from dev.cluster.launcher import Cluster, ClusterError, running_cluster, start, stop
from dev.cluster.objects import NodeShape
from dev.cluster.processes import ProcessIdentity, identify
from dev.cluster.supervisor import ClusterRequest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent.parent
COMPONENTS = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"}

CLAIM: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
}
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "app"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "app"}},
        "template": {
            "metadata": {"labels": {"app": "app"}},
            "spec": {
                "containers": [
                    {"name": "app", "image": "app:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
                ],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            },
        },
    },
}
HELD_BACK = """
phase: Pending
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: false
  state: { waiting: { reason: ImagePullBackOff } }
{{ end }}
"""


def test_a_deployment_with_a_claim_becomes_ready(cluster: Cluster, namespace: str) -> None:
    _create_app(cluster.api, namespace)
    _within(30, lambda: _deployment(cluster.api, namespace)["status"].get("readyReplicas") == 2)
    claim = cluster.api.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/data").expect(200)
    assert claim["status"]["phase"] == "Bound"
    assert claim["status"]["capacity"] == {"storage": "1Gi"}


def test_a_volume_goes_with_its_claim(cluster: Cluster, namespace: str) -> None:
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    _create_app(cluster.api, namespace)
    _within(30, lambda: cluster.api.get(f"{claims}/data").expect(200)["status"]["phase"] == "Bound")
    volume = cluster.api.get(f"{claims}/data").expect(200)["spec"]["volumeName"]
    cluster.api.delete(f"/apis/apps/v1/namespaces/{namespace}/deployments/app").expect(200)
    cluster.api.delete(f"{claims}/data").expect(200)
    _within(30, lambda: cluster.api.get(f"/api/v1/persistentvolumes/{volume}").status == 404)


def test_a_job_completes(cluster: Cluster, namespace: str) -> None:
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    pod = {"restartPolicy": "Never", "containers": [{"name": "once", "image": "once:1"}]}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {"template": {"spec": pod}}}
    cluster.api.post(jobs, job).expect(201)
    _within(30, lambda: cluster.api.get(f"{jobs}/once").expect(200)["status"].get("succeeded") == 1)


def test_an_own_stage_takes_the_place_of_the_usual_one(cluster: Cluster, namespace: str) -> None:
    """Pods can be held back for as long as a test wants, without touching those of others."""
    stages, pods = "/apis/kwok.x-k8s.io/v1alpha1/stages", f"/api/v1/namespaces/{namespace}/pods"
    cluster.api.post(stages, _holding_stage(namespace)).expect(201)
    try:
        time.sleep(1)  # kwok reads Stages by a watch of its own
        _create_app(cluster.api, namespace)
        _within(30, lambda: _waiting(cluster.api, pods) == ["ImagePullBackOff", "ImagePullBackOff"])
        time.sleep(1)
        assert "readyReplicas" not in _deployment(cluster.api, namespace)["status"]
    finally:
        cluster.api.delete(f"{stages}/held-{namespace}").expect(200)
    time.sleep(1)
    cluster.api.delete(pods).expect(200)
    _within(30, lambda: _deployment(cluster.api, namespace)["status"].get("readyReplicas") == 2)


def test_without_controllers_objects_are_defaulted_and_nothing_runs(
    api_only_cluster: Cluster, api_only_namespace: str
) -> None:
    _create_app(api_only_cluster.api, api_only_namespace)
    time.sleep(1)
    deployment = _deployment(api_only_cluster.api, api_only_namespace)
    assert deployment["spec"]["strategy"]["type"] == "RollingUpdate"
    assert deployment["status"] == {}
    assert api_only_cluster.api.get(f"/api/v1/namespaces/{api_only_namespace}/pods").expect(200)["items"] == []


def test_a_user_without_rights_is_forbidden_and_a_stranger_unauthorised(cluster: Cluster) -> None:
    if cluster.unprivileged is None:
        pytest.skip("the cluster of ORCHEST_TEST_KUBECONFIG has no context `unprivileged`")
    assert cluster.unprivileged.get("/api/v1/namespaces").status == 403
    stranger = Api(cluster.server, ca=cluster.ca, token="somebody")
    assert stranger.get("/api/v1/namespaces").status == 401


def test_the_classes_are_there(cluster: Cluster) -> None:
    storage = cluster.api.get("/apis/storage.k8s.io/v1/storageclasses/standard").expect(200)
    assert storage["volumeBindingMode"] == "WaitForFirstConsumer"
    assert storage["allowVolumeExpansion"] is True
    ingress = cluster.api.get("/apis/networking.k8s.io/v1/ingressclasses/nginx").expect(200)
    assert ingress["spec"]["controller"] == "k8s.io/ingress-nginx"


def test_nodes_say_what_they_were_asked_to_say() -> None:
    socket = {"orchest.io/container-runtime-socket": "/var/snap/microk8s/common/run/containerd.sock"}
    shape = NodeShape(count=2, runtime="docker://20.10.7", labels={"zone": "a"}, annotations=socket)
    with running_cluster(controllers=False, nodes=shape) as cluster:
        nodes = cluster.api.get("/api/v1/nodes").expect(200)["items"]
    assert [node["metadata"]["name"] for node in nodes] == ["node-1", "node-2"]
    for node in nodes:
        assert node["status"]["nodeInfo"]["containerRuntimeVersion"] == "docker://20.10.7"
        assert node["metadata"]["labels"]["zone"] == "a"
        assert socket.items() <= node["metadata"]["annotations"].items()


def test_nothing_runs_after_the_block_and_no_file_is_left() -> None:
    with running_cluster() as cluster:
        folder = cluster.kubeconfig.parent
        running = _processes_in(folder)
        assert {Path(name).name for name in running} >= COMPONENTS
        assert cluster.kubeconfig.stat().st_mode & 0o777 == 0o600
    _within(5, lambda: not _processes_in(folder))
    assert not folder.exists()


@pytest.mark.parametrize("victim", ["owner", "supervisor"])
def test_nothing_runs_after_a_kill(victim: str, tmp_path: Path) -> None:
    """Neither the process that asked for the cluster nor the one that supervises it gets a chance to clean up."""
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        start(tmp_path, ClusterRequest(controllers=False, owner=identify(owner.pid)))
        assert _processes_in(tmp_path)
        if victim == "owner":
            owner.kill()
            owner.wait()
        else:
            os.kill(_supervisor(tmp_path).pid, signal.SIGKILL)
        _within(10, lambda: not _processes_in(tmp_path))
    finally:
        owner.kill()
        owner.wait()
        stop(tmp_path)


def test_a_component_that_ends_takes_the_cluster_with_it_and_says_why() -> None:
    with pytest.raises(ClusterError, match="etcd ended with -9"):
        _lose_etcd()


def test_a_second_start_finds_the_first(tmp_path: Path) -> None:
    request = ClusterRequest(controllers=False, owner=identify(os.getpid()))
    try:
        first = start(tmp_path, request)
        assert start(tmp_path, request).server == first.server
    finally:
        assert stop(tmp_path)
    assert not stop(tmp_path)


def test_a_process_number_used_again_is_another_process() -> None:
    own = identify(os.getpid())
    assert own.alive()
    assert not ProcessIdentity(own.pid, own.started - 1).alive()


def _lose_etcd() -> None:
    with running_cluster(controllers=False) as cluster:
        folder = cluster.kubeconfig.parent
        os.kill(_processes_in(folder)["etcd"], signal.SIGKILL)
        _within(10, (folder / "error").exists)


def _create_app(api: Api, namespace: str) -> None:
    api.post(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", CLAIM).expect(201)
    api.post(f"/apis/apps/v1/namespaces/{namespace}/deployments", DEPLOYMENT).expect(201)


def _deployment(api: Api, namespace: str) -> Any:
    return api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/app").expect(200)


def _holding_stage(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": f"held-{namespace}"},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {
                "matchExpressions": [
                    {"key": ".metadata.namespace", "operator": "In", "values": [namespace]},
                    {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
                    {"key": ".status.containerStatuses", "operator": "DoesNotExist"},
                ]
            },
            "weight": 1,
            "next": {"statusTemplate": HELD_BACK},
        },
    }


def _waiting(api: Api, pods: str) -> list[str | None]:
    """Why the first container of each pod waits; None where it does not."""
    statuses = [pod["status"].get("containerStatuses") for pod in api.get(pods).expect(200)["items"]]
    return [each[0]["state"].get("waiting", {}).get("reason") if each else None for each in statuses]


def _supervisor(folder: Path) -> ProcessIdentity:
    return ProcessIdentity(**json.loads((folder / "supervisor.json").read_text()))


def _processes_in(folder: Path) -> dict[str, int]:
    """The processes that name the folder in their arguments, by program, but for this one."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            program, *arguments = path.read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if any(str(folder) in argument for argument in arguments):
            found[program] = int(path.parent.name)
    return found


def _within(seconds: float, is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up, f"not so after {seconds} s"
        time.sleep(0.05)
