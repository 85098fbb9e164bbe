"""The process that owns one running cluster: `python -m dev.cluster.supervisor FOLDER`.

In comes a folder with the request in it, out come a kubeconfig there when the cluster answers, or one error. It leaves
its caller's process tree at once, starts every program as its child and ends them all when it is told to, when its
owner is gone, or when one of them ends by itself. No cluster outlives this process: the kernel kills the children with
it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3

from dev.cluster import components, objects
from dev.cluster.api import Api
from dev.cluster.binaries import KUBERNETES_VERSION, Binaries, build
from dev.cluster.certificates import make_certificates, write_private
from dev.cluster.components import Site
from dev.cluster.processes import ProcessIdentity, die_with_parent, identify
from dev.cluster.provisioner import provision

if TYPE_CHECKING:
    from collections.abc import Callable

READY_SECONDS = 60.0
_DNS_NAMES = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]


@dataclass(frozen=True, slots=True)
class ClusterRequest:
    """What is wanted: with or without controllers, which nodes, and whose end is the cluster's end (None: nobody's)."""

    controllers: bool = True
    nodes: objects.NodeShape = field(default_factory=objects.NodeShape)
    owner: ProcessIdentity | None = None

    def to_json(self) -> str:
        """Written by the launcher, read by the supervisor."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ClusterRequest:
        """The inverse of `to_json`."""
        value = json.loads(text)
        owner = ProcessIdentity(**value["owner"]) if value["owner"] else None
        return cls(value["controllers"], objects.NodeShape(**value["nodes"]), owner)


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of one cluster by which launcher and supervisor speak to each other."""

    path: Path

    @property
    def request(self) -> Path:
        """What is wanted."""
        return self.path / "request.json"

    @property
    def supervisor(self) -> Path:
        """Who the supervisor is."""
        return self.path / "supervisor.json"

    @property
    def kubeconfig(self) -> Path:
        """How to reach the cluster."""
        return self.path / "kubeconfig"

    @property
    def ready(self) -> Path:
        """There once the cluster answers."""
        return self.path / "ready"

    @property
    def error(self) -> Path:
        """Why there is no cluster."""
        return self.path / "error"

    @property
    def logs(self) -> Path:
        """One log per program."""
        return self.path / "logs"


class ComponentError(Exception):
    """A program of the cluster ended, or never became ready; the text has the last lines of its log."""


class Components:
    """The running programs: children of this process, each with a log."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, executable: Path, arguments: list[str]) -> None:
        """Start one program under the name that its arguments begin with."""
        with (self._logs / f"{arguments[0]}.log").open("wb") as log:
            self._running[arguments[0]] = subprocess.Popen(
                arguments,
                executable=executable,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._logs.parent,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - no thread runs yet when programs are started
            )

    def check(self) -> None:
        """Raise ComponentError when one has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ComponentError(f"{name} ended with {process.returncode}:\n{self.last_lines(name)}")

    def last_lines(self, name: str) -> str:
        """The end of a program's log."""
        lines = (self._logs / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-15:])

    def end(self) -> None:
        """Kill all, last started first. Nothing of theirs is kept, so there is nothing to finish."""
        for process in reversed(self._running.values()):
            process.kill()
            process.wait()


class Supervisor:
    """One cluster from its first process to its last."""

    def __init__(self, folder: Folder, request: ClusterRequest, binaries: Binaries) -> None:
        self._folder = folder
        self._request = request
        self._binaries = binaries
        self._components = Components(folder.logs)
        self._stopped = threading.Event()

    def run(self) -> None:
        """Start the cluster and keep it until the end; raises ComponentError when it cannot be started or kept."""
        for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sign, lambda *_: self._stopped.set())
        try:
            self._start()
            self._folder.ready.touch()
            while self._wanted():
                self._components.check()
                self._stopped.wait(0.25)
        finally:
            self._stopped.set()
            self._components.end()

    def _wanted(self) -> bool:
        owner = self._request.owner
        return not self._stopped.is_set() and (owner is None or owner.alive())

    def _start(self) -> None:
        site, token = _prepare(self._folder)
        api = Api(site.server, ca=site.certificates.ca, token=token)
        self._components.start(self._binaries.control_plane, components.etcd(site))
        self._await("etcd", lambda: _listens(site.etcd_port))
        self._components.start(self._binaries.control_plane, components.api_server(site))
        self._await("kube-apiserver", lambda: api.get("/readyz").status == 200)
        if self._request.controllers:
            self._start_controllers(site, api)
        for path, value in [*objects.classes(), *objects.nodes(self._request.nodes, KUBERNETES_VERSION)]:
            api.post(path, value).expect(201)
        if self._request.controllers:
            self._await("kube-controller-manager", lambda: _controllers_answer(api))
            self._await("kwok", lambda: _nodes_usable(api))

    def _start_controllers(self, site: Site, api: Api) -> None:
        self._components.start(self._binaries.control_plane, components.controller_manager(site))
        self._components.start(self._binaries.control_plane, components.scheduler(site))
        api.post(*objects.stage_definition()).expect(201)
        for path, stage in objects.stages():
            self._await("kube-apiserver", lambda path=path: api.get(path).status == 200)  # type: ignore[misc]
            api.post(path, stage).expect(201)
        self._components.start(self._binaries.kwok, components.kwok(site))
        threading.Thread(target=provision, args=(api, self._stopped), daemon=True).start()

    def _await(self, name: str, is_ready: Callable[[], bool]) -> None:
        give_up = time.monotonic() + READY_SECONDS
        while True:
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                if is_ready():
                    return
            self._components.check()
            if not self._wanted():
                raise ComponentError("told to stop while starting")
            if time.monotonic() > give_up:
                raise ComponentError(
                    f"{name} was not ready within {READY_SECONDS:.0f} s:\n{self._components.last_lines(name)}"
                )
            time.sleep(0.05)


def _prepare(folder: Folder) -> tuple[Site, str]:
    """Keys, tokens, ports and kubeconfig; returns where the cluster lives and the administrator's token."""
    certificates = make_certificates(folder.path, _DNS_NAMES, ["127.0.0.1", "10.96.0.1"])
    admin, unprivileged = secrets.token_hex(16), secrets.token_hex(16)
    tokens = write_private(
        folder.path / "tokens.csv",
        f'{admin},admin,admin,"system:masters"\n{unprivileged},unprivileged,unprivileged,""\n',
    )
    etcd_port, peer_port, api_port = _free_ports(3)
    site = Site(folder.path, etcd_port, peer_port, api_port, certificates, folder.kubeconfig, tokens)
    write_private(folder.kubeconfig, _kubeconfig(site, {"local": admin, "unprivileged": unprivileged}))
    return site, admin


def _kubeconfig(site: Site, tokens: dict[str, str]) -> str:
    """A kubeconfig (JSON is YAML) with one context per user; the first is the current one."""
    authority = base64.b64encode(site.certificates.ca.read_bytes()).decode()
    value: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": next(iter(tokens)),
        "clusters": [{"name": "local", "cluster": {"server": site.server, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"token": token}} for name, token in tokens.items()],
        "contexts": [
            {"name": name, "context": {"cluster": "local", "user": name, "namespace": "default"}} for name in tokens
        ],
    }
    return json.dumps(value, indent=2) + "\n"


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those the kernel gives to clients, so that none is taken meanwhile."""
    free: list[int] = []
    while len(free) < count:
        port = random.randrange(18000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            free.append(port)
    return free


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _controllers_answer(api: Api) -> bool:
    return api.get("/api/v1/namespaces/default/serviceaccounts/default").status == 200


def _nodes_usable(api: Api) -> bool:
    nodes = api.get("/api/v1/nodes").expect(200)["items"]
    leases = api.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases").expect(200)["items"]
    return len(leases) >= len(nodes) and not any(node["spec"].get("taints") for node in nodes)


def main(folder: Folder) -> int:
    """Supervise the cluster of this folder until its end; the error, if any, is left in the folder."""
    request = ClusterRequest.from_json(folder.request.read_text())
    folder.supervisor.write_text(json.dumps(asdict(identify(os.getpid()))))
    try:
        Supervisor(folder, request, build()).run()
    except Exception as error:
        # The one place that reports: nobody is left to see this process's own output.
        partial = folder.path / "error.partial"
        partial.write_text(str(error) or repr(error))
        partial.replace(folder.error)
        raise
    if request.owner is not None:
        shutil.rmtree(folder.path, ignore_errors=True)
    return 0


if __name__ == "__main__":
    # Away from the caller: it neither waits for this process nor shares its terminal's signals.
    if os.fork():
        os._exit(0)
    os.setsid()
    sys.exit(main(Folder(Path(sys.argv[1]))))
