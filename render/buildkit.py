"""buildkit-daemon: builds images straight into containerd's store, so it exists only where the nodes run containerd.

containerd and BuildKit hand each other paths of the node, so these directories stand at the same path inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.release import Component
from render import environment, security
from render.storage import host_directory
from render.workload import Workload, daemon_set, probe, runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from desired_state.images import ImageDecision
    from desired_state.objects import DesiredObject, Json
    from render.runtime import Runtime
    from render.site import Site
    from render.storage import Attachment

COMPONENT = Component.BUILDKIT_DAEMON
_RUN_DIRECTORY = "/run/orchest_buildkit"
_LIBRARY_DIRECTORY = "/var/lib/orchest_buildkit"
_ADDRESS = f"unix://{_RUN_DIRECTORY}/buildkitd.sock"
_CONTAINERD_RUN = "/run/containerd"
_CONTAINERD_SOCKET = f"{_CONTAINERD_RUN}/containerd.sock"
_CONTAINERD_FIFO = f"{_CONTAINERD_RUN}/fifo"


def objects(site: Site, image: ImageDecision) -> Iterator[DesiredObject]:
    yield daemon_set(site, _workload(site, image))


def _workload(site: Site, image: ImageDecision) -> Workload:
    return Workload(
        component=COMPONENT,
        image=image,
        env=environment.third_party_program(site, site.template(COMPONENT).env),
        security=security.privileged(),
        requests={"cpu": "10m"},
        probes=_probes(),
        attachments=tuple(_attachments(site.runtime)),
        args=(
            "--addr",
            _ADDRESS,
            "--root",
            _LIBRARY_DIRECTORY,
            "--oci-worker=false",
            "--containerd-worker=true",
            "--containerd-worker-namespace=k8s.io",
            f"--containerd-worker-addr={_CONTAINERD_SOCKET}",
        ),
    )


def _probes() -> Mapping[str, Json]:
    workers = runs("buildctl", "--addr", _ADDRESS, "debug", "workers")
    return {
        "startupProbe": probe(workers, period=5, timeout=10, failures=60),
        "readinessProbe": probe(workers, period=30, timeout=10, failures=3),
        "livenessProbe": probe(workers, period=30, timeout=10, failures=6),
    }


def _attachments(runtime: Runtime) -> Iterator[Attachment]:
    yield host_directory("containerd-socket", runtime.socket, _CONTAINERD_SOCKET, "Socket")
    yield host_directory("containerd-run", runtime.run_directory, runtime.run_directory, "Directory")
    yield host_directory(
        "containerd-lib", runtime.library_directory, runtime.library_directory, "Directory", "Bidirectional"
    )
    if runtime.run_directory != _CONTAINERD_RUN:
        yield host_directory("containerd-fifo", _CONTAINERD_FIFO, _CONTAINERD_FIFO, "DirectoryOrCreate")
    yield host_directory("buildkit-run", _RUN_DIRECTORY, _RUN_DIRECTORY, "DirectoryOrCreate")
    yield host_directory("buildkit-lib", _LIBRARY_DIRECTORY, _LIBRARY_DIRECTORY, "DirectoryOrCreate", "Bidirectional")
