"""Where the story plays: a Git repository made from `examples/`, a Kubernetes, and what its simulated pods do.

In: the checkout, and `KUBECONFIG` when somebody brings a cluster. Out: commits, and a kubeconfig. The story never
touches a namespace that it did not make itself.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pygit2
from ruamel.yaml import YAML

from dev.cluster.launcher import connect, start
from dev.cluster.supervisor import ClusterRequest

if TYPE_CHECKING:
    from dev.cluster.api import Api

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "examples" / "orchestcluster.yaml"
FOLDER = ROOT / ".cluster"
MANIFEST = "clusters/orchestcluster.yaml"
_STAGES = "/apis/kwok.x-k8s.io/v1alpha1/stages"
_AUTHOR = pygit2.Signature("Platform Engineer", "platform@example.com")


@dataclass(frozen=True, slots=True)
class Stage:
    """The Kubernetes of the story."""

    kubeconfig: Path
    api: Api
    namespace: str
    brought: bool
    """Somebody else's cluster, by KUBECONFIG."""


def kubernetes() -> Stage:
    """The cluster that KUBECONFIG names, else a local one, started or already running."""
    given = os.environ.get("KUBECONFIG")
    if given:
        kubeconfig = Path(given)
        return Stage(kubeconfig, connect(kubeconfig).api, f"orchest-story-{int(time.time())}", brought=True)
    FOLDER.mkdir(exist_ok=True)
    cluster = start(FOLDER, ClusterRequest())
    _forget_earlier_story(cluster.api)
    return Stage(cluster.kubeconfig, cluster.api, "orchest", brought=False)


def _forget_earlier_story(api: Api) -> None:
    """The local cluster is ours; an earlier story's namespace goes, as `kubectl delete namespace` would do it."""
    path = "/api/v1/namespaces/orchest"
    if api.get(path).status == 404:
        return
    print("Removing the namespace of an earlier story", end="", file=sys.stderr, flush=True)
    api.delete(path)
    while api.get(path).status != 404:
        time.sleep(0.5)
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def prepare_state() -> Path:
    """A user's `XDG_STATE_HOME` without what an earlier story left there: history, events, webhooks, keys."""
    state = FOLDER / "state"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    return state


class Repository:
    """A Git repository with one manifest, and one way to change it."""

    def __init__(self, path: Path, namespace: str) -> None:
        shutil.rmtree(path, ignore_errors=True)
        self.path = path
        self._yaml = YAML()
        self._git = pygit2.init_repository(path, initial_head="main")
        manifest = path / MANIFEST
        manifest.parent.mkdir(parents=True)
        content = self._yaml.load(EXAMPLE.read_text())
        content["metadata"]["namespace"] = namespace
        self._write(content)
        self._commit("Describe cluster-1")

    def change(self, message: str, path: str, value: str | None) -> str:
        """Set one field (None removes it), commit, and return the commit's short id."""
        content = self._yaml.load((self.path / MANIFEST).read_text())
        parent = content
        *parents, last = path.split(".")
        for name in parents:
            parent = parent.setdefault(name, {})
        if value is None:
            del parent[last]
        else:
            parent[last] = value
        self._write(content)
        return self._commit(message)

    def _write(self, content: object) -> None:
        with (self.path / MANIFEST).open("w") as file:
            self._yaml.dump(content, file)

    def _commit(self, message: str) -> str:
        index = self._git.index
        index.add_all()
        index.write()
        parents = [] if self._git.head_is_unborn else [self._git.head.target]
        commit = self._git.create_commit("refs/heads/main", _AUTHOR, _AUTHOR, message, index.write_tree(), parents)
        return str(commit)[:7]


def simulate(
    api: Api, name: str, *, container_image: str = "", component: str = "", delay: str = "", waiting: str = ""
) -> None:
    """Tell the simulated kubelets which pods (of a component, or with an image) are slow to start, or never start."""
    expressions: list[dict[str, object]] = [
        {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
        {"key": ".status.containerStatuses", "operator": "DoesNotExist"},
    ]
    if component:
        key = '.metadata.labels["controller.orchest.io/component"]'
        expressions.append({"key": key, "operator": "In", "values": [component]})
    if container_image:
        expressions.append({"key": ".spec.containers.[].image", "operator": "In", "values": [container_image]})
    ready = api.get(f"{_STAGES}/pod-ready").expect(200)["spec"]["next"]
    effect = {"statusTemplate": _NEVER_STARTING.replace("REASON", waiting)} if waiting else ready
    spec: dict[str, object] = {
        "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
        "selector": {"matchExpressions": expressions},
        "weight": 1,
        "next": effect,
    }
    if delay:
        spec["delay"] = {"durationMilliseconds": int(float(delay) * 1000)}
    stage = {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}
    api.apply(f"{_STAGES}/{name}", stage, "story", force="true").expect(200, 201)


_NEVER_STARTING = """
phase: Pending
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: false
  started: false
  restartCount: 0
  state: { waiting: { reason: REASON, message: {{ printf "Back-off pulling image %s" .image | Quote }} } }
{{ end }}
"""
