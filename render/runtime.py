"""Which container runtime the nodes have, and where its socket and directories are on them.

In: the facts, and what the manifest says about the socket. Out: a `Runtime`, and refusals where no answer can be right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from desired_state.metadata import RUNTIME_SOCKET_ANNOTATION
from desired_state.objects import Note, Severity
from render import environment

if TYPE_CHECKING:
    from desired_state.cluster import OrchestCluster
    from desired_state.facts import ClusterFacts

CONTAINERD, DOCKER = "containerd", "docker"

_ORIGINAL_SOCKETS = {CONTAINERD: "/var/run/containerd/containerd.sock", DOCKER: "/var/run/docker.sock"}
_DISTRIBUTION_SOCKETS = {
    "microk8s": "/var/snap/microk8s/common/run/containerd.sock",
    "k3s": "/run/k3s/containerd/containerd.sock",
}
_DIRECTORIES = {
    "microk8s": ("/var/snap/microk8s/common/run/containerd", "/var/snap/microk8s/common/var/lib/containerd"),
    "k3s": ("/run/k3s/containerd", "/var/lib/rancher/k3s/agent/containerd"),
    "": ("/run/containerd", "/var/lib/containerd"),
}


@dataclass(frozen=True, slots=True)
class Runtime:
    name: str
    socket: str
    """Absolute path on the node."""
    run_directory: str
    """containerd's state on the node."""
    library_directory: str
    """containerd's content and snapshots on the node."""

    @property
    def is_containerd(self) -> bool:
        return self.name == CONTAINERD


def container_runtime(cluster: OrchestCluster, facts: ClusterFacts) -> Runtime:
    """With no node, or an unusable mix, the first of containerd and docker that any node has, else containerd."""
    usable = [name for name in (CONTAINERD, DOCKER) if name in facts.container_runtimes]
    name = usable[0] if usable else CONTAINERD
    socket = _socket(name, cluster, facts)
    flavour = next((known for known in ("microk8s", "k3s") if known in socket), "")
    return Runtime(name, socket, *_DIRECTORIES[flavour])


def runtime_notes(facts: ClusterFacts) -> tuple[Note, ...]:
    names = facts.container_runtimes
    listed = ", ".join(names)
    if not names:
        message = "The cluster has no node: containerd is assumed, and nothing will start. Add a node."
        return (Note(Severity.WARNING, "no-nodes", "spec", message),)
    if len(names) > 1:
        message = (
            f"The nodes run different container runtimes ({listed}). Make all nodes run the same: containerd or docker."
        )
        return (Note(Severity.REFUSAL, "mixed-container-runtimes", "spec", message),)
    if names[0] not in {CONTAINERD, DOCKER}:
        message = f"The nodes run {listed}, which images cannot be built with. Use nodes with containerd or docker."
        return (Note(Severity.REFUSAL, "unsupported-container-runtime", "spec", message),)
    return ()


def _socket(name: str, cluster: OrchestCluster, facts: ClusterFacts) -> str:
    observed = facts.node_socket if name == CONTAINERD else ""
    usual = _DISTRIBUTION_SOCKETS.get(facts.distribution) if name == CONTAINERD else None
    annotated = cluster.annotations.get(RUNTIME_SOCKET_ANNOTATION, "")
    socket = annotated or _written_socket(name, cluster) or observed or usual or _ORIGINAL_SOCKETS[name]
    return socket.removeprefix("unix://")


def _written_socket(name: str, cluster: OrchestCluster) -> str:
    """The socket that `spec.orchest.env` asks for.

    The original wrote the socket of its day there and never again, so a usual path, or one beside another runtime's
    name, is history.
    """
    orchest = cluster.spec.orchest
    values = environment.values(orchest.env if orchest else None)
    socket = values.get("CONTAINER_RUNTIME_SOCKET", "")
    is_history = values.get("CONTAINER_RUNTIME", name) != name or socket in _ORIGINAL_SOCKETS.values()
    return "" if is_history else socket
