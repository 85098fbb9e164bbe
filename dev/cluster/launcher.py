"""Starts and ends local clusters: the public face of this package.

In comes a request, out comes a `Cluster` that answers. Any number may run at once: each has a folder, ports and a
supervisor of its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from os import getpid
from pathlib import Path
from typing import TYPE_CHECKING

from kubernetes import config

from dev.cluster.api import Api
from dev.cluster.binaries import build
from dev.cluster.objects import NodeShape
from dev.cluster.processes import ProcessIdentity, end, identify
from dev.cluster.supervisor import READY_SECONDS, ClusterRequest, Folder
from dev.tools import locked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubernetes.client import ApiClient

_ROOT = Path(__file__).resolve().parent.parent.parent
UNPRIVILEGED = "unprivileged"


class ClusterError(Exception):
    """A cluster did not start, or did not last; the text has the last lines of the program at fault."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that answers. `unprivileged` is the same server seen by a user without rights, if there is one."""

    kubeconfig: Path
    server: str
    token: str | None
    ca: Path | None
    kubectl: tuple[str, ...]
    api: Api
    unprivileged: Api | None


@contextmanager
def running_cluster(*, controllers: bool = True, nodes: NodeShape | None = None) -> Iterator[Cluster]:
    """A cluster of one's own, gone at the end of the block or of this process. Raises ClusterError."""
    folder = Path(tempfile.mkdtemp(prefix="orchest-cluster-"))
    request = ClusterRequest(controllers, nodes or NodeShape(), identify(getpid()))
    try:
        yield start(folder, request)
        error = Folder(folder).error
        if error.exists():
            raise ClusterError(error.read_text())
    finally:
        stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def start(path: Path, request: ClusterRequest) -> Cluster:
    """Start a cluster in this folder; when one answers there already, that is the result. Raises ClusterError."""
    build()
    with locked(path / "lock"):
        folder = Folder(path)
        if not _answers(folder):
            stop(path)
            _launch(folder, request)
    return connect(folder.kubeconfig)


def stop(path: Path) -> bool:
    """End the cluster of this folder, and say whether one was running. Its logs stay until the next start."""
    supervisor = _supervisor(Folder(path))
    if supervisor is None:
        return False
    end(supervisor, grace_seconds=10)
    return True


def connect(kubeconfig: Path) -> Cluster:
    """A cluster that somebody else started, by its kubeconfig."""
    contexts, current = config.list_kube_config_contexts(config_file=str(kubeconfig))  # type: ignore[no-untyped-call]
    has_unprivileged = any(context["name"] == UNPRIVILEGED for context in contexts)
    client = _client(kubeconfig, current["name"])
    return Cluster(
        kubeconfig=kubeconfig,
        server=client.configuration.host,
        token=_token(client),
        ca=_authority(client),
        kubectl=(str(build().control_plane), "kubectl", f"--kubeconfig={kubeconfig}"),
        api=_api(client),
        unprivileged=_api(_client(kubeconfig, UNPRIVILEGED)) if has_unprivileged else None,
    )


def _launch(folder: Folder, request: ClusterRequest) -> None:
    for old in (folder.ready, folder.error, folder.kubeconfig):
        old.unlink(missing_ok=True)
    shutil.rmtree(folder.path / "etcd", ignore_errors=True)
    folder.path.chmod(0o700)
    folder.logs.mkdir(exist_ok=True)
    folder.request.write_text(request.to_json())
    with (folder.logs / "supervisor.log").open("wb") as log:
        subprocess.run(
            [sys.executable, "-m", "dev.cluster.supervisor", str(folder.path.resolve())],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=True,
        )
    _await_ready(folder)


def _await_ready(folder: Folder) -> None:
    # The supervisor has a limit for each program; this one only catches a supervisor that is gone without a word.
    give_up = time.monotonic() + 2 * READY_SECONDS
    while not folder.ready.exists():
        if folder.error.exists():
            raise ClusterError(f"the local cluster did not start: {folder.error.read_text()}")
        if time.monotonic() > give_up:
            raise ClusterError(f"the local cluster did not start; see {folder.logs}")
        time.sleep(0.05)


def _answers(folder: Folder) -> bool:
    supervisor = _supervisor(folder)
    return supervisor is not None and supervisor.alive() and folder.ready.exists()


def _supervisor(folder: Folder) -> ProcessIdentity | None:
    if not folder.supervisor.exists():
        return None
    supervisor = ProcessIdentity(**json.loads(folder.supervisor.read_text()))
    return supervisor if supervisor.alive() else None


def _client(kubeconfig: Path, context: str) -> ApiClient:
    client: ApiClient = config.new_client_from_config(  # type: ignore[no-untyped-call]
        config_file=str(kubeconfig), context=context
    )
    return client


def _api(client: ApiClient) -> Api:
    settings = client.configuration
    certificate = (settings.cert_file, settings.key_file) if settings.cert_file else None
    return Api(settings.host, ca=_authority(client), token=_token(client), client_certificate=certificate)


def _authority(client: ApiClient) -> Path | None:
    path = client.configuration.ssl_ca_cert
    return Path(path) if path else None


def _token(client: ApiClient) -> str | None:
    bearer = client.configuration.auth_settings().get("BearerToken")
    return str(bearer["value"]).removeprefix("Bearer ") if bearer else None
