"""Bad input that only a server can tell, through `orchest`: the exit code, one message, and nothing written."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from desired_state.objects import GROUP
from dev.cluster.api import MERGE_PATCH
from dev.cluster.launcher import running_cluster
from diff.plan_file import dump, load, seal
from reconciler.cli.exit_codes import ExitCode
from tests.cluster.admission import denied
from tests.cluster.workbench import facts_of
from tests.command_line import orchest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.cluster.launcher import Cluster

CLUSTERS = f"/apis/{GROUP}/v1alpha1/namespaces"


def manifest(namespace: str, **orchest_spec: Any) -> str:
    return json.dumps(
        {
            "apiVersion": f"{GROUP}/v1alpha1",
            "kind": "OrchestCluster",
            "metadata": {"name": "c", "namespace": namespace},
            "spec": {"singleNode": True, "orchest": orchest_spec},
        },
        indent=1,
    )


class Place:
    """A manifest `cluster.yaml` for one namespace of one server, and a user's own state."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self.cluster, self.namespace, self.folder = cluster, namespace, folder
        self.file = folder / "cluster.yaml"
        self.write()

    def write(self, **orchest_spec: Any) -> None:
        self.file.write_text(manifest(self.namespace, **orchest_spec))

    @property
    def objects(self) -> dict[str, Any]:
        """Everything of the kinds we write, and the Lease, by kind and name."""
        root = f"namespaces/{self.namespace}"
        paths = {
            "OrchestCluster": f"/apis/{GROUP}/v1alpha1/{root}/orchestclusters",
            "ConfigMap": f"/api/v1/{root}/configmaps",
            "Secret": f"/api/v1/{root}/secrets",
            "Service": f"/api/v1/{root}/services",
            "PersistentVolumeClaim": f"/api/v1/{root}/persistentvolumeclaims",
            "Deployment": f"/apis/apps/v1/{root}/deployments",
            "Lease": f"/apis/coordination.k8s.io/v1/{root}/leases",
        }
        return {
            f"{kind}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for kind, path in paths.items()
            for item in self.cluster.api.get(path).expect(200)["items"]
            if item["metadata"]["name"] != "kube-root-ca.crt"
        }

    def config_map(self, name: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps/{name}"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ORCHEST_DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture
def empty(api_only_cluster: Cluster, api_only_namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Nothing applied yet; a server on which nothing becomes ready."""
    facts_of(api_only_cluster.kubeconfig)
    monkeypatch.setenv("KUBECONFIG", str(api_only_cluster.kubeconfig))
    return Place(api_only_cluster, api_only_namespace, tmp_path)


@pytest.fixture(scope="module")
def bare_cluster() -> Iterator[Cluster]:
    """A server of its own, without the CRD."""
    with running_cluster(controllers=False) as cluster:
        yield cluster


# --- the way to the server -------------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_named(empty: Place, tmp_path: Path) -> None:
    dead = tmp_path / "dead"
    dead.write_text(empty.cluster.kubeconfig.read_text().replace(empty.cluster.server, "https://127.0.0.1:9"))
    for arguments in (("plan", "-f", empty.file), ("apply", "-f", empty.file, "--yes"), ("status",)):
        result = orchest(*arguments, "--kubeconfig", dead)
        result.failed(ExitCode.ERROR, "https://127.0.0.1:9 cannot be reached", "Is it running")


def test_a_user_without_rights_is_told_which_right_is_missing(empty: Place) -> None:
    for arguments in (("plan", "-f", empty.file), ("apply", "-f", empty.file, "--yes"), ("install", "--crds")):
        result = orchest(*arguments, "--context", "unprivileged")
        result.failed(ExitCode.ERROR, "not permitted", "Ask an administrator")


def test_a_user_whom_the_server_does_not_know_is_told_to_log_in(empty: Place, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.write_text(empty.cluster.kubeconfig.read_text().replace(str(empty.cluster.token), "0123456789"))
    result = orchest("plan", "-f", empty.file, "--kubeconfig", stranger)
    result.failed(ExitCode.ERROR, "does not accept our credentials", "log in again")
    assert "0123456789" not in result.err


@pytest.mark.usefixtures("empty")
def test_a_context_that_is_not_there_is_named() -> None:
    result = orchest("status", "--context", "absent")
    result.failed(ExitCode.ERROR, "'absent'", "kubectl config get-contexts", "--context")


def test_without_the_crd_the_mend_is_its_installation(
    bare_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(bare_cluster.kubeconfig))
    place = Place(bare_cluster, "default", tmp_path)
    for arguments in (("apply", "-f", place.file, "--yes"), ("status", "-n", "default", "-c", "c")):
        orchest(*arguments).failed(ExitCode.ERROR, "CRD is not installed", "orchest install --crds")
    assert orchest("install", "--crds").succeeded().out.startswith("The OrchestCluster CRD is installed")
    assert json.loads(orchest("install", "--crds", "-o", "json").succeeded().out)["crd"] == "up to date"
    orchest("plan", "-f", place.file, "--out", tmp_path / "plan.json").succeeded()


def test_a_cluster_that_is_not_there_is_named(empty: Place) -> None:
    result = orchest("status", "-n", empty.namespace, "-c", "absent")
    result.failed(ExitCode.ERROR, f"no OrchestCluster {empty.namespace}/absent", "orchest apply -f FILE")


# --- refused before the first write ----------------------------------------------------------------------------------


def test_an_apply_that_nobody_can_be_asked_about_needs_yes(empty: Place) -> None:
    result = orchest("apply", "-f", empty.file)
    result.failed(ExitCode.USAGE, "give --yes, or apply a saved plan file")
    assert not empty.objects


def test_an_object_of_the_same_name_that_is_not_ours_is_refused(empty: Place) -> None:
    metadata = {"name": "orchest-api"}
    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 1}]}}
    empty.cluster.api.post(f"/api/v1/namespaces/{empty.namespace}/services", foreign).expect(201)
    before = empty.objects
    result = orchest("apply", "-f", empty.file, "--yes")
    result.failed(ExitCode.REFUSED, f"Service/{empty.namespace}/orchest-api")
    assert orchest("plan", "-f", empty.file).code == ExitCode.REFUSED
    assert empty.objects == before


def test_a_refusal_by_admission_control_is_told_before_anything_is_written(empty: Place) -> None:
    empty.write(orchestApi={"env": [{"name": "DENIED_TOKEN", "value": "hunter2-hunter2"}]})
    with denied(empty.cluster, [empty.namespace], "DENIED_TOKEN", "deployments", in_dry_run=True):
        result = orchest("apply", "-f", empty.file, "--yes")
    result.failed(ExitCode.ERROR, "refused by the cluster's admission control", "orchest-api")
    assert "hunter2" not in result.err
    assert set(empty.objects) <= {"Lease/orchest-c"}
    assert orchest("history", "-o", "json").succeeded().out.strip() == "[]"


# --- saved plans -----------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(empty: Place, tmp_path: Path) -> Path:
    orchest("plan", "-f", empty.file, "--out", tmp_path / "plan.json").succeeded()
    return tmp_path / "plan.json"


def test_a_plan_whose_time_is_over_is_stale(empty: Place, saved: Path) -> None:
    made = load(saved.read_bytes())
    over = {"created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z"}
    saved.write_bytes(dump(seal(made.plan, plan_id=made.header.plan_id, origin=made.header.origin, **over)))
    result = orchest("apply", saved)
    result.failed(ExitCode.STALE, "it expired at 2026-01-02T00:00:00Z", "orchest plan --out FILE")
    assert not empty.objects


def test_a_plan_for_another_cluster_is_stale(empty: Place, saved: Path, bare_cluster: Cluster) -> None:
    orchest("install", "--crds", "--kubeconfig", bare_cluster.kubeconfig).succeeded()
    result = orchest("apply", saved, "--kubeconfig", bare_cluster.kubeconfig)
    result.failed(ExitCode.STALE, "it was made for another Kubernetes cluster")
    assert len(result.err.splitlines()) == 3
    assert not empty.objects


def test_a_plan_made_with_another_masking_key_is_stale(
    empty: Place, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHEST_MASKING_KEY", "another key of another machine")
    orchest("apply", saved).failed(ExitCode.STALE, "ORCHEST_MASKING_KEY")
    assert not empty.objects


def test_a_plan_whose_object_appeared_meanwhile_is_stale(empty: Place, saved: Path) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "orchest-release"}}
    empty.cluster.api.post(f"/api/v1/namespaces/{empty.namespace}/configmaps", body).expect(201)
    before = empty.objects
    result = orchest("apply", saved)
    result.failed(ExitCode.STALE, f"ConfigMap/{empty.namespace}/orchest-release", "orchest plan --out FILE")
    assert empty.objects == before


# --- a cluster in force ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def in_force(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Applied and Running, shared by the tests below: each leaves it so."""
    facts_of(cluster.kubeconfig)
    name = f"test-{uuid4().hex[:12]}"
    place = Place(cluster, name, tmp_path_factory.mktemp("in-force"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        monkeypatch.setenv("XDG_STATE_HOME", str(place.folder / "state"))
        monkeypatch.setenv("ORCHEST_MASKING_KEY", "one key for all tests of this module")
        orchest("apply", "-f", place.file, "--yes").succeeded()
        yield place
    cluster.api.delete(f"/api/v1/namespaces/{name}").expect(200, 202)


@pytest.fixture
def running(in_force: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("KUBECONFIG", str(in_force.cluster.kubeconfig))
    in_force.write()
    return in_force


def test_a_second_apply_changes_nothing_and_says_so(running: Place) -> None:
    before = running.objects
    assert "In sync" in orchest("apply", "-f", running.file, "--yes").succeeded().out
    assert running.objects == before
    orchest("plan", "-f", running.file, "--detailed-exitcode").succeeded()


def test_status_says_running_in_every_format(running: Place) -> None:
    target = ("-n", running.namespace, "-c", "c")
    assert "Running" in orchest("status", *target).succeeded().out
    assert json.loads(orchest("status", *target, "-o", "json").succeeded().out)["state"] == "Running"
    assert "state: Running" in orchest("status", *target, "-o", "yaml").succeeded().out


def started(*arguments: str | Path) -> subprocess.Popen[str]:
    code = "from reconciler.cli import main; main()"
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def edit_by_hand(place: Place) -> None:
    patch = {"data": {"ORCHEST_VERSION": "by hand"}}
    path = place.config_map("orchest-release")
    place.cluster.api.patch(path, patch, MERGE_PATCH, fieldManager="kubectl-edit").expect(200)


def test_an_apply_goes_on_when_nobody_reads_along_any_more(running: Place) -> None:
    edit_by_hand(running)
    with started("apply", "-f", running.file, "--yes") as process:
        assert process.stderr is not None
        process.stderr.close()
        assert process.stdout is not None
        assert "Applied" in process.stdout.read()
    assert process.returncode == ExitCode.DONE
    [cycle] = json.loads(orchest("history", "--limit", "1", "-o", "json").succeeded().out)
    assert cycle["outcome"] == "done"


def test_a_plan_is_used_once_even_when_the_world_is_as_before_again(running: Place, tmp_path: Path) -> None:
    saved = tmp_path / "plan.json"
    edit_by_hand(running)
    orchest("plan", "-f", running.file, "--out", saved, "--detailed-exitcode").succeeded(ExitCode.CHANGES)
    orchest("apply", saved).succeeded()
    before = running.objects
    orchest("apply", saved).failed(ExitCode.STALE, "applied already")
    assert running.objects == before
    edit_by_hand(running)
    result = orchest("apply", saved)
    assert (result.code, "used" in result.err or "applied" in result.err) == (ExitCode.STALE, True), result.err
    assert "by hand" in str(running.cluster.api.get(running.config_map("orchest-release")).expect(200)["data"])
    orchest("apply", "-f", running.file, "--yes").succeeded()


def test_a_field_of_another_apply_manager_is_a_conflict(running: Place) -> None:
    path, data = running.config_map("orchest-release"), {"ORCHEST_VERSION": "theirs"}
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "orchest-release"}, "data": data}
    running.cluster.api.apply(path, theirs, "other-gitops", force="true").expect(200)
    before = running.objects
    result = orchest("apply", "-f", running.file, "--yes")
    result.failed(ExitCode.CONFLICT, "data.ORCHEST_VERSION is held by other-gitops", "--force-conflicts")
    assert running.objects == before
    assert "conflict: other-gitops" in orchest("plan", "-f", running.file).succeeded().out
    orchest("apply", "-f", running.file, "--yes", "--force-conflicts").succeeded()
    assert running.cluster.api.get(path).expect(200)["data"]["ORCHEST_VERSION"] != "theirs"


# --- interrupted -----------------------------------------------------------------------------------------------------


def test_ctrl_c_ends_in_a_consistent_record_and_the_next_apply_converges(running: Place) -> None:
    running.write(env=[{"name": "LEVEL", "value": uuid4().hex}])
    with started("apply", "-f", running.file, "--yes") as process:
        assert process.stderr is not None
        said = ""
        while "Recorded" not in said and not re.search(r"done .*update Deployment|waiting", said):
            line = process.stderr.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGINT)
        out, rest = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED, (said, rest)
    assert "Traceback" not in rest
    [cycle] = json.loads(orchest("history", "--limit", "1", "-o", "json").succeeded().out)
    assert cycle["outcome"] == "interrupted"
    outcomes = json.loads(orchest("history", cycle["id"], "-o", "json").succeeded().out)["outcomes"]
    assert {"done", "not-started"} >= {outcome["result"] for outcome in outcomes}
    assert out == ""
    orchest("apply", "-f", running.file, "--yes").succeeded()
    orchest("plan", "-f", running.file, "--detailed-exitcode").succeeded()
