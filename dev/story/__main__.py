"""`python -m dev.story`: Git asks, the plan explains, apply obeys, drift is repaired, who wants to know is told.

Every command shown is run, and what it prints is what you see. A command that ends otherwise than the story expects
ends the story with exit code 1.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from dev.cluster.launcher import ClusterError
from dev.story.audience import Audience, AudienceError, audience
from dev.story.web import Web, WebError, web
from dev.story.world import FOLDER, MANIFEST, ROOT, Repository, Stage, kubernetes, prepare_state, simulate
from dev.tools import ToolError

_BIN = Path(sys.executable).parent
_RECORDED = "examples/empty-cluster.snapshot"
_BOLD, _DIM, _PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


class StoryError(Exception):
    """A command ended otherwise than the story expects."""


def main() -> int:
    try:
        tell()
    except (StoryError, AudienceError, WebError, ClusterError, ToolError) as error:
        print(f"\nThe story ends here: {error}", file=sys.stderr)
        return 1
    return 0


def tell() -> None:
    started = time.monotonic()
    say("1. A plan needs no server", "The manifest in examples/ against a recorded snapshot of an empty cluster.")
    orchest("plan", "-f", "examples/orchestcluster.yaml", "--snapshot", _RECORDED)

    say(
        "2. A real Kubernetes",
        "API server, etcd, controller-manager and scheduler; only the nodes and pods are simulated.",
    )
    stage = kubernetes()
    os.environ["KUBECONFIG"] = str(stage.kubeconfig)
    os.environ["XDG_STATE_HOME"] = str(prepare_state())
    # The receiver is on this machine, where webhooks may not go unless the operator allows it.
    os.environ["ORCHEST_ALLOWED_NETWORKS"] = "127.0.0.1/32"
    simulate(stage.api, "story-slow-api", component="orchest-api", delay="4")
    simulate(stage.api, "story-broken-image", container_image=_BROKEN, waiting="ImagePullBackOff")
    orchest("install", "--crds")
    with audience(FOLDER) as listening:
        _tell_the_rest(stage, listening)
    print(f"\nTold in {time.monotonic() - started:.0f} seconds. What to try next:")
    print(f"  export KUBECONFIG={stage.kubeconfig} PATH={_BIN}:$PATH XDG_STATE_HOME={os.environ['XDG_STATE_HOME']}")
    repository = _short(FOLDER / "repository")
    print(f"  edit {repository}/{MANIFEST}, commit, then: orchest plan --git {repository}")
    print("  orchest history; orchest events list; orchest webhook attempts story")
    print("  orchest api    # then open the page it names; docs/how-to/use-the-api.md")
    print("  orchest diff --help; make cluster-down ends the local Kubernetes")


def _tell_the_rest(stage: Stage, listening: Audience) -> None:
    repository = Repository(FOLDER / "repository", stage.namespace)
    git = ("--git", _short(repository.path))
    say("   Somebody wants to know what happens", "A receiver and `orchest worker` run beside the story.")
    secret = _short(listening.secret_file)
    orchest("webhook", "add", "story", "--url", listening.url, "--event", "cluster:*", "--secret-file", secret)
    orchest("webhook", "ping", "story")

    say(
        "3. Git asks, the plan explains, apply obeys",
        f"{MANIFEST} is committed; orchest-api takes some seconds to start.",
    )
    plan_file = _short(FOLDER / "plan.json")
    orchest("plan", *git, "--out", plan_file)
    orchest("apply", plan_file)
    orchest("status", "-n", stage.namespace)
    say("   The same again changes nothing")
    orchest("plan", *git, "--detailed-exitcode")

    say("4. A new version", "The custom orchest-webserver image is kept; what follows the release rolls.")
    commit(
        repository.change("Update to v2026.12.0", "spec.orchest.version", "v2026.12.0"),
        "spec.orchest.version: v2026.12.0",
    )
    orchest("plan", *git, "--detailed-exitcode", expect=2)
    orchest("apply", *git, "--yes")

    say("5. Somebody changes the cluster by hand", "The plan names who; apply repairs it.")
    kubectl(stage.namespace, "set", "image", "deployment/auth-server", "auth-server=example.com/hotfix:1")
    orchest("plan", *git, "--detailed-exitcode", expect=2)
    orchest("apply", *git, "--yes")

    say("6. An image that never becomes ready", "Apply stops with the reason; the mend is another commit.")
    field = "spec.orchest.authServer"
    commit(repository.change("Try our own auth-server", f"{field}.image", _BROKEN), f"{field}.image: {_BROKEN}")
    orchest("apply", *git, "--yes", "--timeout", "4", expect=1)
    commit(repository.change("Back to the release's auth-server", field, None), f"{field} removed")
    orchest("apply", *git, "--yes")

    say("7. Everything is on record")
    orchest("history")
    first, last = _cycles()
    orchest("snapshot", "diff", first, last)

    say("8. Who asked was told", "Each event left in the transaction of its history row; standardwebhooks verified it.")
    print(listening.table(_EXPECTED), flush=True)
    orchest("webhook", "attempts", "story", "--limit", "3")

    say(
        "9. The same over HTTP",
        "`orchest api` on this machine; all that it answers is described in one document, and on one page.",
    )
    with web(FOLDER) as api:
        _ask(api, stage.namespace)

    say("The end: what is there now")
    orchest("status", "-n", stage.namespace)


def _ask(api: Web, namespace: str) -> None:
    """One request of each kind."""
    print(f"\n$ orchest api\nListening at {api.address}\nFor people: {api.address}/api/docs")
    print(f"Admin token, shown this once: {api.token}\n\n$ export ORCHEST_API_TOKEN={api.token}", flush=True)
    cluster = f"/api/clusters/{namespace}/cluster-1"
    api.curl(cluster)
    key = ("Idempotency-Key: the-story",)
    project = api.curl("/api/projects/", body={"name": "churn"}, headers=key, expect=201)
    again = api.curl("/api/projects/", body={"name": "churn"}, headers=key, expect=201)
    if again != project:
        raise WebError("the same idempotency key made another project")
    api.curl("/api/projects/", body={"name": "", "colour": "blue"}, expect=400)
    documents = [{"name": MANIFEST, "text": (FOLDER / "repository" / MANIFEST).read_text()}]
    plan = api.curl(f"{cluster}/plans", body={"documents": documents}, expect=201)
    operation = api.curl(f"/api/plans/{plan['uuid']}/apply", body={}, expect=202)
    ended = api.until_it_ended(f"/api/operations/{operation['uuid']}")
    print(f"\nThe operation ended as {ended['state']}: {ended['message']}")
    api.follow("/api/events/stream?type=project:*&since=2020-01-01T00:00:00Z", 5)


_EXPECTED = {
    "cluster:created": 1,
    "cluster:updated": 3,
    "cluster:drift-detected": 1,
    "cluster:drift-repaired": 1,
    "cluster:unhealthy": 1,
    "cluster:plan-applied": 5,
}
"""What the applies above cause."""
_BROKEN = "registry.example.com/platform/auth-server:broken"


def say(title: str, text: str = "") -> None:
    print(f"\n{_BOLD}{title}{_PLAIN}" + (f"\n{_DIM}{text}{_PLAIN}" if text else ""), flush=True)


def commit(revision: str, change: str) -> None:
    print(f"\n$ git commit   # {revision}: {change}", flush=True)


def orchest(*arguments: str, expect: int = 0) -> None:
    _run(["orchest", *arguments], str(_BIN / "orchest"), expect)


def kubectl(namespace: str, *arguments: str) -> None:
    from dev.cluster.binaries import build  # noqa: PLC0415 - before step 2 there may be none

    print(f"\n$ kubectl -n {namespace} {' '.join(arguments)}", flush=True)
    subprocess.run([str(build().control_plane), "kubectl", "-n", namespace, *arguments], check=True)


def _run(command: list[str], program: str, expect: int) -> None:
    print(f"\n$ {shlex.join(command)}", flush=True)
    begun = time.monotonic()
    code = subprocess.run([program, *command[1:]], cwd=ROOT, check=False).returncode
    print(f"{_DIM}[exit code {code}, {time.monotonic() - begun:.1f} s]{_PLAIN}", flush=True)
    if code != expect:
        raise StoryError(f"`{' '.join(command)}` ended with {code}, expected {expect}")


def _cycles() -> tuple[str, str]:
    """The state before this story's first apply, and after its last."""
    import orjson  # noqa: PLC0415

    listed = subprocess.run([str(_BIN / "orchest"), "history", "-o", "json"], stdout=subprocess.PIPE, check=True).stdout
    ids = [entry["id"][:8] for entry in orjson.loads(listed)]
    return ids[4], ids[0]


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT))


if __name__ == "__main__":
    sys.exit(main())
