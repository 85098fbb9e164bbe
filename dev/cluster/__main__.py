"""`python -m dev.cluster up|down|build`: the local cluster from the command line.

In come a verb and a folder, out comes a cluster that stays, or its end. Exit codes: 0 done, 1 error, 64 usage,
130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from dev.cluster.binaries import build
from dev.cluster.launcher import Cluster, ClusterError, start, stop
from dev.cluster.supervisor import ClusterRequest
from dev.tools import ToolError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def main() -> int:
    """Do what the command line says."""
    parser = _Parser(
        prog="python -m dev.cluster", description="A real Kubernetes with simulated nodes, on this machine."
    )
    parser.add_argument("verb", choices=["build", "up", "down"])
    parser.add_argument("--folder", type=Path, default=Path(".cluster"), help="where the cluster lives (%(default)s)")
    parser.add_argument(
        "--api-only", action="store_true", help="start without controllers, scheduler and node simulation"
    )
    arguments = parser.parse_args()
    try:
        match arguments.verb:
            case "build":
                build()
            case "up":
                _up(arguments.folder, ClusterRequest(controllers=not arguments.api_only))
            case "down":
                print("ended the local cluster" if stop(arguments.folder) else "no local cluster was running")
    except (ToolError, ClusterError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; a build goes on where it stopped when asked for again", file=sys.stderr)
        return 130
    return 0


def _up(folder: Path, request: ClusterRequest) -> None:
    cluster = start(folder, request)
    kubectl = _link_kubectl(folder, cluster)
    print(f"a Kubernetes answers at {cluster.server}")
    print(f"  export KUBECONFIG={cluster.kubeconfig.resolve()}")
    print(f"  {kubectl} get nodes")
    print(f"  .venv/bin/python -m dev.cluster down --folder {folder}    # ends it")


def _link_kubectl(folder: Path, cluster: Cluster) -> Path:
    """A link by the name that makes the one binary kubectl."""
    link = folder / "kubectl"
    link.unlink(missing_ok=True)
    link.symlink_to(cluster.kubectl[0])
    return link


if __name__ == "__main__":
    sys.exit(main())
