"""The command line of each program of a local cluster.

In come the cluster's folder, ports and certificates, out come argument lists. It starts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from dev.cluster.certificates import Certificates

_QUICK_CLIENT = ["--kube-api-qps=500", "--kube-api-burst=1000"]


@dataclass(frozen=True, slots=True)
class Site:
    """Where one cluster lives: its folder, its loopback ports, its files."""

    folder: Path
    etcd_port: int
    peer_port: int
    api_port: int
    certificates: Certificates
    kubeconfig: Path
    tokens: Path

    @property
    def server(self) -> str:
        """The address of the API server."""
        return f"https://127.0.0.1:{self.api_port}"


def etcd(site: Site) -> list[str]:
    """A single member that never waits for the disk: the data is thrown away with the cluster."""
    client, peer = f"http://127.0.0.1:{site.etcd_port}", f"http://127.0.0.1:{site.peer_port}"
    return [
        "etcd",
        f"--data-dir={site.folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--logger=zap",
        "--log-level=warn",
    ]


def api_server(site: Site) -> list[str]:
    """The API server, for the users of the token file, with RBAC."""
    key = site.certificates.service_account_key
    return [
        "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{site.etcd_port}",
        f"--cert-dir={site.folder}",
        f"--secure-port={site.api_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--tls-cert-file={site.certificates.server}",
        f"--tls-private-key-file={site.certificates.server_key}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        f"--token-auth-file={site.tokens}",
        "--authorization-mode=RBAC,Node",
        "--allow-privileged=true",
        "--endpoint-reconciler-type=none",
    ]


def controller_manager(site: Site) -> list[str]:
    """All controllers. A node may be silent for long, since a busy small machine makes the simulation late."""
    return [
        "kube-controller-manager",
        f"--kubeconfig={site.kubeconfig}",
        f"--service-account-private-key-file={site.certificates.service_account_key}",
        f"--root-ca-file={site.certificates.ca}",
        "--use-service-account-credentials",
        "--allocate-node-cidrs=false",
        "--node-monitor-grace-period=10m",
        *_no_listener(site),
        *_QUICK_CLIENT,
    ]


def scheduler(site: Site) -> list[str]:
    """The scheduler."""
    return ["kube-scheduler", f"--kubeconfig={site.kubeconfig}", *_no_listener(site), *_QUICK_CLIENT]


def kwok(site: Site) -> list[str]:
    """The simulated kubelets; what pods do is read from Stage objects."""
    return [
        "kwok",
        f"--kubeconfig={site.kubeconfig}",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--enable-crds=Stage",
        "--cidr=10.0.0.1/16",
        "--node-ip=10.0.0.1",
        "--node-port=0",
        "--node-lease-duration-seconds=40",
    ]


def _no_listener(site: Site) -> list[str]:
    return ["--leader-elect=false", "--secure-port=0", f"--cert-dir={site.folder}"]
