"""Installs the OrchestCluster CRD that this release was made with.

In: a client. Out: whether it was made or brought up to date. Served means established: what comes next may use it at
once.
"""

from __future__ import annotations

import time
from importlib import resources
from typing import TYPE_CHECKING

from desired_state.objects import ObjectKey
from reconciler.cluster_client import CRD
from reconciler.errors import ServerFault

if TYPE_CHECKING:
    from reconciler.cluster_client import ClusterClient

_KEY = ObjectKey(CRD.group, CRD.kind, "", "orchestclusters.orchest.io")
_PATIENCE_SECONDS = 15.0


def install_crd(client: ClusterClient) -> str:
    """`installed` or `up to date`. Raises ClusterError."""
    text = resources.files("crds").joinpath("orchestcluster.yaml").read_bytes()
    answer = client.apply_text(_KEY, text)
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while not _is_established(client):
        if time.monotonic() > give_up:
            raise ServerFault(
                f"The CRD {_KEY.name} was accepted but is not served. See: kubectl describe crd {_KEY.name}"
            )
        time.sleep(0.1)
    return "installed" if answer.created else "up to date"


def _is_established(client: ClusterClient) -> bool:
    conditions = ((client.get(_KEY) or {}).get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
