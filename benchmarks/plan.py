"""How long does a plan take, and a command? The plan and command line rows of the design, on this machine.

`python -m benchmarks.plan` prints a table, with `--json` the same rows for programs. Plans are timed in CPU time of
this process: a plan does no IO and has one thread, so that is its duration on an idle machine, and a busy one does
not blur it; beside them deepdiff on the same objects. Commands are whole processes in wall clock time, the online
plan against a local Kubernetes that this benchmark starts; beside them a process that only imports the official
client. Each row gives the median (where it says so the 99th percentile) and the minimum of its runs; a goal that is
missed is printed as such.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdiff import DeepDiff

from benchmarks.row import Anchor, at_most, shown
from desired_state.cluster import OrchestCluster
from desired_state.facts import ClusterFacts, IngressClass, StorageClass
from desired_state.masking import Masker
from desired_state.objects import OWNER_ANNOTATION, DesiredObject, Manifest, ObjectKey, Rendering
from dev.cluster.launcher import running_cluster
from diff.after import after
from diff.plan import Memory, plan, replan
from diff.snapshot import ObservedObject, Snapshot
from render.cluster import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.row import Row

MASKER = Masker(b"a key for benchmarks, nothing else")
FACTS = ClusterFacts(
    cluster_uid="uid",
    server_version="v1.34.4",
    container_runtimes=("containerd",),
    node_socket="",
    distribution="",
    ingress_classes=(IngressClass("nginx", "k8s.io/ingress-nginx"),),
    storage_classes=(StorageClass("standard", "p", is_default=True, allows_expansion=True, binding_mode="Immediate"),),
)
NOW = "2026-11-22T12:00:00Z"
MANY = 10_000
DEEPDIFF_SAMPLE = 20
ORCHEST = str(Path(sys.executable).parent / "orchest")
ARGO_MS = 24.0
"""`diff_ms=24` of one application in a log of argo-cd#15058; not measured here."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the rows as a JSON list")
    options = parser.parse_args(arguments)
    rows = measure() + measure_commands()
    print(shown(rows, as_json=options.json))
    if not options.json:
        print(f"Argo CD's log in argo-cd#15058 says {ARGO_MS:g} ms for one application (another machine, for scale).")
    return 0


def measure() -> list[Row]:
    one, world = one_cluster()
    many, crowd = many_objects(one, world)
    deepdiff_ms = deepdiff_per_object(one, world)
    whole = deepdiff_ms * len(one.objects)
    crowded = deepdiff_ms * MANY
    small, large = f"one cluster, {len(one.objects)} objects", f"{MANY} objects"
    p99, median = 0.99, 0.5
    return [
        row(f"{small}, nothing changed (p99)", unchanged(one, world), 0.5, whole, quantile=p99, runs=500),
        row(f"{small}, all compared (p99)", compared(one, world), 3.0, whole, quantile=p99, runs=200),
        row(f"{small}, first plan (p99)", first_plan(one, world), 3.0, whole, quantile=p99, runs=200),
        row(f"{large}, none changed", unchanged(many, crowd), 5.0, crowded, quantile=median, runs=20),
        row(f"{large}, all compared", compared(many, crowd), 500.0, crowded, quantile=median, runs=7),
        row(f"{large}, all compared, stretch", compared(many, crowd), 200.0, crowded, quantile=median, runs=7),
        row(f"{large}, first plan (no memory)", first_plan(many, crowd), 500.0, crowded, quantile=median, runs=5),
        row(f"{large}, one changed", one_changed(many, crowd), 100.0, crowded, quantile=median, runs=7),
    ]


def measure_commands() -> list[Row]:
    """Medians of whole processes."""
    manifest, snapshot = "examples/orchestcluster.yaml", "examples/empty-cluster.snapshot"
    client_ms = statistics.median(command_times([sys.executable, "-c", "import kubernetes.client, kubernetes.config"]))
    offline = {
        ("--help",): 150.0,
        ("render", "-f", manifest): 400.0,
        ("plan", "-f", manifest, "--snapshot", snapshot): 400.0,
    }
    rows = [command_row(arguments, goal, client_ms, {}) for arguments, goal in offline.items()]
    with running_cluster() as cluster, tempfile.TemporaryDirectory() as state:
        environment = {"KUBECONFIG": str(cluster.kubeconfig), "XDG_STATE_HOME": state}
        subprocess.run([ORCHEST, "install", "--crds"], env=os.environ | environment, check=True, capture_output=True)
        return [*rows, command_row(("plan", "-f", manifest), 800.0, client_ms, environment)]


def command_row(arguments: tuple[str, ...], goal: float, client_ms: float, environment: dict[str, str]) -> Row:
    times = command_times([ORCHEST, *arguments], environment)
    name = f"orchest {' '.join(word for word in arguments if '/' not in word)}"
    return at_most(name, times, "ms", goal, Anchor("python that imports the official client", client_ms))


def command_times(command: list[str], environment: dict[str, str] | None = None) -> list[float]:
    """Milliseconds of eleven runs after one that warms the file system, sorted."""
    times = []
    for _ in range(12):
        started = time.perf_counter()
        subprocess.run(command, env=os.environ | (environment or {}), check=True, capture_output=True)
        times.append((time.perf_counter() - started) * 1000)
    return sorted(times[1:])


def row(name: str, run: Callable[[], object], goal: float, anchor_ms: float, *, quantile: float, runs: int) -> Row:
    """`quantile` 0.5 is the median. All times in milliseconds."""
    times, anchor = timed(run, runs), Anchor("deepdiff of the same objects", anchor_ms)
    if quantile == 0.5:
        return at_most(name, times, "ms", goal, anchor)
    value = times[min(len(times) - 1, int(len(times) * quantile))]
    return replace(at_most(name, [value], "ms", goal, anchor), minimum=times[0])


def timed(run: Callable[[], object], runs: int) -> list[float]:
    run()
    gc.collect()
    times = []
    for _ in range(runs):
        started = time.process_time()
        run()
        times.append((time.process_time() - started) * 1000)
    return sorted(times)


def one_cluster() -> tuple[Rendering, Snapshot]:
    """A rendered cluster and the world after its apply, with the fields that a server adds, everything ready."""
    document = {
        "apiVersion": "orchest.io/v1alpha1",
        "kind": "OrchestCluster",
        "metadata": {"name": "cluster-1", "namespace": "orchest"},
        "spec": {"singleNode": False},
    }
    cluster = OrchestCluster.model_validate(
        {
            "namespace": "orchest",
            "name": "cluster-1",
            "labels": {},
            "annotations": {},
            "spec": document["spec"],
            "document": document,
        }
    )
    rendering = render(cluster, FACTS)
    world = Snapshot(rendering.cluster.key, FACTS, {}, NOW)
    for action in plan(rendering, world, masker=MASKER).actions:
        world = after(world, action)
    return rendering, replace(world, objects={key: as_on_a_server(item) for key, item in world.objects.items()})


def many_objects(one: Rendering, world: Snapshot) -> tuple[Rendering, Snapshot]:
    """Copies of every object of one cluster under other names, until there are enough."""
    sources = [(desired, world.objects[desired.manifest.key]) for desired in one.objects if desired.generated is None]
    desired_objects: list[DesiredObject] = []
    observed: dict[ObjectKey, ObservedObject] = dict(world.objects)
    for number in range(MANY):
        desired, there = sources[number % len(sources)]
        key = desired.manifest.key._replace(name=f"{desired.manifest.key.name}-{number}")
        manifest = Manifest(key, renamed(desired.manifest.content, key.name))
        desired_objects.append(replace(desired, manifest=manifest))
        uid = f"uid-{number}"
        observed[key] = ObservedObject(key, uid, str(number), renamed(there.content, key.name))
    rendering = Rendering(
        one.cluster, tuple(sorted((*one.objects, *desired_objects), key=lambda item: item.manifest.key))
    )
    return rendering, replace(world, objects=observed)


def renamed(content: Any, name: str) -> dict[str, Any]:
    return {**content, "metadata": {**content["metadata"], "name": name}}


def as_on_a_server(item: ObservedObject) -> ObservedObject:
    """Fields of others beside ours, as defaulting and controllers add them: no subtree on the way down is equal at
    once.
    """
    content = json.loads(json.dumps(item.content))
    metadata, generation = content["metadata"], content["metadata"].get("generation", 1)
    metadata |= {"creationTimestamp": NOW, "uid": item.uid}
    if item.key.kind in {"Deployment", "DaemonSet"}:
        metadata["annotations"]["deployment.kubernetes.io/revision"] = "1"
        content["spec"] |= {"revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}
        pod = content["spec"]["template"]["spec"]
        pod |= {"dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "restartPolicy": "Always"}
        for container in pod["containers"]:
            container |= {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
        counts = ("replicas", "updatedReplicas", "availableReplicas", "desiredNumberScheduled")
        status = dict.fromkeys((*counts, "updatedNumberScheduled", "numberAvailable"), 1)
        content["status"] = {**status, "observedGeneration": generation}
    if item.key.kind == "Service":
        content["spec"] |= {"sessionAffinity": "None", "internalTrafficPolicy": "Cluster", "clusterIPs": ["10.96.0.9"]}
    if item.key.kind == "PersistentVolumeClaim":
        content["spec"]["volumeMode"] = "Filesystem"
        content["status"] = {"phase": "Bound"}
    assert metadata.get("annotations", {}).get(OWNER_ANNOTATION) or item.key.kind in {"Namespace", "OrchestCluster"}
    return replace(item, content=content)


def first_plan(rendering: Rendering, world: Snapshot) -> Callable[[], object]:
    return lambda: plan(rendering, world, masker=MASKER)


def unchanged(rendering: Rendering, world: Snapshot) -> Callable[[], object]:
    """The controller's usual case: the same rendering, and an informer that has nothing new."""
    _, memory = replan(rendering, world, Memory(), masker=MASKER)
    again = replace(world, objects=dict(world.objects))
    return lambda: replan(rendering, again, memory, masker=MASKER)


def compared(rendering: Rendering, world: Snapshot) -> Callable[[], object]:
    """Every object has a new resourceVersion; what is desired is known from last time."""
    _, memory = replan(rendering, world, Memory(), masker=MASKER)
    moved = {key: replace(item, resource_version=f"{item.resource_version}1") for key, item in world.objects.items()}
    again = replace(world, objects=moved)
    return lambda: replan(rendering, again, memory, masker=MASKER)


def one_changed(rendering: Rendering, world: Snapshot) -> Callable[[], object]:
    _, memory = replan(rendering, world, Memory(), masker=MASKER)
    key = next(key for key in world.objects if key.kind == "Deployment")
    touched = replace(world.objects[key], resource_version="touched")
    again = replace(world, objects={**world.objects, key: touched})
    return lambda: replan(rendering, again, memory, masker=MASKER)


def deepdiff_per_object(rendering: Rendering, world: Snapshot) -> float:
    """Milliseconds that deepdiff takes for one object, on a sample of all kinds."""
    plain = [
        (json.loads(json.dumps(desired.manifest.content, default=str)), world.objects[desired.manifest.key].content)
        for desired in rendering.objects
    ]
    step = max(1, len(plain) // DEEPDIFF_SAMPLE)
    sample = plain[::step]
    times = timed(lambda: [DeepDiff(one, other) for one, other in sample], 3)
    return statistics.median(times) / len(sample)


if __name__ == "__main__":
    sys.exit(main())
