"""`orchest apply` killed in the middle of its writes: the next one finishes the work, and nothing is left over.

Real processes, a real server and SIGKILL at a chosen write, half of them before the server heard of that write and
half after it was done and before the answer. Installs, updates, deletes and creates are all cut short.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ruamel.yaml import YAML

from desired_state.document import load_clusters
from desired_state.objects import KINDS, ObjectKey
from diff.action import WRITES, Verb
from diff.ownership import mark_of
from reconciler.cluster_client import ClusterClient, connect
from reconciler.holder import Holder
from reconciler.lease import lease_key
from reconciler.observe import observed
from reconciler.prepare import Prepared, prepare
from reconciler.status import read_inventory
from tests.cluster.gate import Gate, Kill, gate_before
from tests.cluster.workbench import MASKER, facts_of

if TYPE_CHECKING:
    import pytest

    from dev.cluster.launcher import Cluster

SEED = 20261122
LANES = 4
KILLS_PER_LANE = 5
ORCHEST = Path(sys.executable).with_name("orchest")
BOOKKEEPING = 5
"""At least so many writes beside those of the plan: Lease taken, plan used, status twice, Lease released."""
DISTINCT = 12
"""So many different points of progress must have been hit."""
CUSTOM = "registry.example.com/team/custom:1"


def manifest(namespace: str, step: int) -> dict[str, Any]:
    """Every other step has another version, another setting, and no registry."""
    is_odd = step % 2 == 1
    orchest = {
        "version": "v2026.12.0" if is_odd else "v2026.11.0",
        # They stay, so that few waves have something to wait for.
        "orchestApi": {"image": CUSTOM},
        "celeryWorker": {"image": CUSTOM},
        "authServer": {"env": [{"name": "STEP", "value": str(step)}]},
    }
    applications = [{"name": "argo-workflow"}] if is_odd else [{"name": "docker-registry"}]
    return {
        "apiVersion": "orchest.io/v1alpha1",
        "kind": "OrchestCluster",
        "metadata": {"name": "cluster-1", "namespace": namespace},
        "spec": {"singleNode": True, "applications": applications, "orchest": orchest},
    }


@dataclass
class Lane:
    """One namespace that is installed and changed to and fro, each time with a kill in between."""

    server: Cluster
    gate: Gate
    folder: Path
    rng: Random
    namespace: str = field(default_factory=lambda: f"kill-{uuid4().hex[:12]}")
    claims: dict[ObjectKey, str] = field(default_factory=dict)
    """uid of every claim seen."""
    seen: list[str] = field(default_factory=list)
    """At which write each kill struck."""
    dead_holders: int = 0

    def run(self) -> None:
        self.client = ClusterClient(connect(str(self.server.kubeconfig)), MASKER)
        for step in range(KILLS_PER_LANE):
            file = self.folder / f"step-{step}.yaml"
            YAML().dump(manifest(self.namespace, step), file)
            self.step(step, file)

    def step(self, step: int, file: Path) -> None:
        writes = len(_writes(self.prepared(file)))
        kill = Kill(self.rng.randint(1, writes + BOOKKEEPING), is_heard=self.rng.random() < 0.5)
        self.killed_apply(file, kill)
        struck = self.gate.writes[kill.at_write - 1].replace(self.namespace, "NAMESPACE")
        self.seen.append(f"{_direction(step)}, write {kill.at_write:2}{' (done)' if kill.is_heard else ''}: {struck}")
        self.look_at_lease()

        env = self.env(self.server.kubeconfig)
        finished = subprocess.run(self.command(file), env=env, capture_output=True, text=True, timeout=180, check=False)

        assert finished.returncode == 0, (self.seen[-1], finished.stdout, finished.stderr)
        self.check(self.prepared(file))

    def killed_apply(self, file: Path, kill: Kill) -> None:
        self.gate.expect(kill)
        gated = self.env(self.gate.kubeconfig(self.folder / "gate.kubeconfig"))
        output = self.folder / "killed.log"
        with (
            output.open("wb") as log,
            subprocess.Popen(self.command(file), env=gated, stdout=log, stderr=log) as process,
        ):
            self.gate.process = process.pid
            process.wait(timeout=120)
        assert process.returncode == -signal.SIGKILL, (kill, output.read_text())

    def look_at_lease(self) -> None:
        """The next apply starts at once although the dead one may still hold the Lease: it is known to be dead."""
        lease = self.client.get(lease_key(ObjectKey("orchest.io", "OrchestCluster", self.namespace, "cluster-1")))
        holder = Holder.parse((lease or {}).get("spec", {}).get("holderIdentity") or "")
        self.dead_holders += holder is not None and holder.is_gone

    def check(self, prepared: Prepared) -> None:
        """Nothing left to do but to keep the registry's claim; what is ours is desired or such a claim."""
        assert {action.verb for action in prepared.plan.actions} <= {Verb.KEEP}
        marked = self.marked()
        desired = {desired.manifest.key for desired in prepared.rendering.objects}
        inventory = read_inventory(prepared.snapshot.objects[prepared.plan.cluster].content["status"])
        assert marked.keys() - desired <= {key for key in marked if key.kind == "PersistentVolumeClaim"}
        assert marked == inventory
        claims = {key: uid for key, uid in marked.items() if key.kind == "PersistentVolumeClaim"}
        assert self.claims.items() <= claims.items()
        self.claims = claims

    def marked(self) -> dict[ObjectKey, str]:
        """uid of everything on the server that carries our mark, whatever its labels and its name."""
        found = {}
        for kind in KINDS.values():
            for content in self.client.list(kind, namespace=self.namespace if kind.namespaced else ""):
                if mark_of(content) == f"{self.namespace}/cluster-1":
                    there = observed(content)
                    found[there.key] = there.uid
        return found

    def prepared(self, file: Path) -> Prepared:
        return prepare(load_clusters([(file.name, file.read_text())])[0], self.client, MASKER)

    def command(self, file: Path) -> list[str]:
        return [str(ORCHEST), "apply", "-f", str(file), "-n", self.namespace, "--yes", "--allow-prune"]

    def env(self, kubeconfig: Path) -> dict[str, str]:
        state = {"HOME": str(self.folder), "XDG_STATE_HOME": str(self.folder / "state")}
        return {**os.environ, **state, "KUBECONFIG": str(kubeconfig)}

    def clear(self) -> None:
        for key in self.marked():
            if not key.namespace:
                kind = KINDS[key.group, key.kind]
                self.server.api.delete(f"/apis/{kind.api_version}/{kind.plural}/{key.name}").expect(200)
        self.server.api.delete(f"/api/v1/namespaces/{self.namespace}").expect(200, 202)


def _direction(step: int) -> str:
    return "install" if step == 0 else "change" if step % 2 else "change back"


def _writes(prepared: Prepared) -> list[Any]:
    return [action for action in prepared.plan.actions if action.verb in WRITES]


def test_whatever_write_an_apply_is_killed_at_the_next_one_converges_and_leaves_nothing_over(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts_of(cluster.kubeconfig)
    with ThreadPoolExecutor(LANES) as pool:
        lanes = list(pool.map(lambda number: _lane(cluster, tmp_path / str(number), number), range(LANES)))

    seen = [place for lane in lanes for place in lane.seen]
    dead = sum(lane.dead_holders for lane in lanes)
    with capsys.disabled():
        print(f"\n{len(seen)} kills (seed {SEED}), {dead} of them left a Lease held by a dead process:")  # noqa: T201
        print("\n".join(f"  {place}" for place in sorted(seen)))  # noqa: T201
    assert len(seen) == LANES * KILLS_PER_LANE
    assert len(set(seen)) >= DISTINCT
    assert dead > 0


def _lane(cluster: Cluster, folder: Path, number: int) -> Lane:
    folder.mkdir()
    with gate_before(cluster) as gate:
        lane = Lane(cluster, gate, folder, Random(f"{SEED}-{number}"))
        try:
            lane.run()
        finally:
            lane.clear()
        return lane
