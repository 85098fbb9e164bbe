"""`orchest --api` for clusters: an API that manages a real server says what the command line says of it itself."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pygit2
import pytest

from reconciler.cli.exit_codes import ExitCode
from tests.cluster.api_place import manifest
from tests.cluster.workbench import facts_of
from tests.command_line import orchest
from tests.services.api.live import KEY, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.cluster.launcher import Cluster
    from tests.command_line import Result
    from tests.services.api.live import LiveApi

MASKING_KEY = "0123456789abcdef0123456789abcdef"
OF_ONE_PLAN = {"plan_id", "digest", "created_at", "expires_at", "origin"}


class Place:
    """A manifest, one cluster, and both ways to it."""

    def __init__(self, api: LiveApi, cluster: Cluster, namespace: str, folder: Path) -> None:
        self.api = api
        self.cluster = cluster
        self.namespace = namespace
        self.file = folder / "clusters" / "c.yaml"
        self.file.parent.mkdir(exist_ok=True)
        self.write()

    def write(self, **orchest_spec: Any) -> None:
        self.file.write_text(manifest(self.namespace, **orchest_spec))

    def remote(self, *arguments: str | Path) -> Result:
        return orchest("--api", self.api.address, *arguments)

    @property
    def config_map(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps/orchest-release"


@contextmanager
def placed(cluster: Cluster, namespace: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    facts_of(cluster.kubeconfig)
    url = f"sqlite:///{folder / 'shared.db'}"
    shared = {"KUBECONFIG": str(cluster.kubeconfig), "ORCHEST_MASKING_KEY": MASKING_KEY}
    here = {"XDG_STATE_HOME": str(folder / "home"), "ORCHEST_SECRET_KEYS": KEY, "ORCHEST_DATABASE_URL": url}
    for name, value in {**shared, **here}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    with serving(url, folder / "api", **shared) as api:
        monkeypatch.setenv("ORCHEST_API_TOKEN", api.token)
        yield Place(api, cluster, namespace, folder)


@pytest.fixture
def place(cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with placed(cluster, namespace, tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def idle(
    api_only_cluster: Cluster, api_only_namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """On a server on which nothing becomes ready."""
    with placed(api_only_cluster, api_only_namespace, tmp_path, monkeypatch) as made:
        yield made


def test_a_plan_is_applied_by_its_id_and_all_of_it_is_told_as_here(place: Place) -> None:
    place.write(env=[{"name": "DB_PASSWORD", "value": "canary-5f1c2"}])
    plans = [
        json.loads(orchest(*way, "plan", "-f", place.file, "-o", "json").succeeded().out)
        for way in (("--api", place.api.address), ())
    ]
    assert "canary" not in json.dumps(plans)
    there, here = ({name: value for name, value in plan.items() if name not in OF_ONE_PLAN} for plan in plans)
    assert there == here
    assert plans[0]["origin"]["kind"] == "sent"
    assert plans[0]["origin"]["content_digest"] == plans[1]["origin"]["content_digest"]

    done = place.remote("apply", plans[0]["plan_id"], "-o", "json").succeeded()
    report = json.loads(done.out)
    assert (report["plan_id"], report["verdict"]) == (plans[0]["plan_id"], "done")
    assert {one["result"] for one in report["outcomes"]} == {"done"}
    assert f"create OrchestCluster.orchest.io/{place.namespace}/c" in done.err
    assert f"orchest history {report['cycle'][:8]}" in done.err

    name = ("-n", place.namespace, "-c", "c")
    for command in (("status", *name), ("history",), ("history", report["cycle"][:8])):
        told = json.loads(place.remote(*command, "-o", "json").succeeded().out)
        assert told == json.loads(orchest(*command, "-o", "json").succeeded().out)
        assert place.remote(*command).succeeded().out == orchest(*command).succeeded().out

    place.remote("plan", "-f", place.file, "--detailed-exitcode").succeeded(ExitCode.DONE)
    place.remote("apply", plans[0]["plan_id"]).failed(ExitCode.STALE, "already applied")
    in_sync = json.loads(place.remote("plan", "-f", place.file, "-o", "json").succeeded().out)
    assert in_sync["noop"]
    assert "In sync" in place.remote("apply", in_sync["plan_id"]).succeeded().out


def test_a_plan_file_is_applied_where_it_was_planned(idle: Place, tmp_path: Path) -> None:
    made = idle.remote("plan", "-f", idle.file, "--out", "plan.json", "--detailed-exitcode").succeeded(ExitCode.CHANGES)
    plan_id = json.loads((tmp_path / "plan.json").read_text())["plan_id"]
    assert f"orchest apply {plan_id}" in made.err
    orchest("apply", "plan.json").failed(ExitCode.ERROR, "over the API it was made by")

    other = json.loads((tmp_path / "plan.json").read_text())
    orchest("plan", "-f", idle.file, "--out", "here.json").succeeded()
    idle.remote("apply", "here.json").failed(ExitCode.ERROR, "no such plan", "orchest plan")
    (tmp_path / "edited.json").write_text(json.dumps({**other, "expires_at": "2100-01-01T00:00:00Z"}))
    idle.remote("apply", "edited.json").failed(ExitCode.ERROR, "digest")

    result = idle.remote("apply", "plan.json", "--timeout", "1")
    assert result.code == ExitCode.ERROR, result
    assert "Recorded as" in result.err


def test_a_stale_plan_and_one_that_a_rule_forbids_have_the_exit_codes_of_this_machine(place: Place) -> None:
    def planned(**orchest_spec: Any) -> str:
        place.write(**orchest_spec)
        plan: dict[str, Any] = json.loads(place.remote("plan", "-f", place.file, "-o", "json").succeeded().out)
        return str(plan["plan_id"])

    first, second = planned(version="v2023.03.0"), planned()
    place.remote("apply", first).succeeded()
    place.remote("apply", second).failed(ExitCode.STALE, "created, deleted or recreated since")
    taken = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": place.config_map.rpartition("/")[2], "namespace": place.namespace},
        "data": {"ORCHEST_VERSION": "mine"},
    }
    place.cluster.api.apply(place.config_map, taken, "somebody", force="true").expect(200)
    third = planned(version="v2023.03.0")
    place.remote("apply", third).failed(ExitCode.REFUSED, "somebody")
    place.remote("apply", third, "--force-conflicts").succeeded()


def test_what_git_asks_for_is_read_here_and_named_there(idle: Place, tmp_path: Path) -> None:
    repository = pygit2.init_repository(str(tmp_path), initial_head="main")
    repository.index.add("clusters/c.yaml")
    signature = pygit2.Signature("a", "a@example.com")
    commit = repository.create_commit("HEAD", signature, signature, "one", repository.index.write_tree(), [])
    idle.file.write_text("the work tree is not read")
    git = ("--git", tmp_path, "--revision", "main", "--path", "clusters")
    origin = json.loads(idle.remote("plan", *git, "-o", "json").succeeded().out)["origin"]
    assert (origin["kind"], origin["revision"], origin["commit"]) == ("sent", "main", str(commit))
    assert origin["directory"] == "clusters"


def test_what_is_not_there_or_not_valid_is_told(idle: Place) -> None:
    idle.remote("status", "-n", idle.namespace).failed(ExitCode.ERROR, "-n and -c", f"{idle.namespace}/cluster-1")
    idle.file.write_text(idle.file.read_text().replace("singleNode", "singleNodes"))
    assert idle.remote("plan", "-f", idle.file).err == orchest("plan", "-f", idle.file).err
    idle.remote("apply", str(uuid4())).failed(ExitCode.ERROR, "no such plan")
