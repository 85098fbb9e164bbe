"""An API that manages clusters of a real server, asked as its callers ask it, and one OrchestCluster there."""

from __future__ import annotations

import json
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desired_state.masking import Masker
from desired_state.objects import GROUP
from dev.cluster.api import MERGE_PATCH
from outbox.database import Database
from outbox.key_ring import KeyRing
from reconciler.cluster_client import ClusterClient, connect
from reconciler.history import History
from services.api.domain.desk import ClusterDesk
from services.api.http.work import SPARE_CONNECTIONS
from tests.cluster.workbench import facts_of
from tests.services.api.site import KEY, THREADS, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.cluster.launcher import Cluster
    from reconciler.history import Recording
    from tests.services.api.site import Site

MASKER = Masker(b"0123456789abcdef")
ENDED = {"succeeded", "failed", "interrupted", "refused", "stale"}


def manifest(namespace: str, name: str = "c", **orchest_spec: Any) -> str:
    content = {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "OrchestCluster",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"singleNode": True, "orchest": orchest_spec},
    }
    return json.dumps(content, indent=1)


@dataclass(frozen=True, slots=True)
class Place:
    site: Site
    desk: ClusterDesk
    cluster: Cluster
    namespace: str

    @property
    def path(self) -> str:
        return f"/api/clusters/{self.namespace}/c"

    def get(self, path: str, status: int = 200, **rest: Any) -> Any:
        answer = self.site.ask("GET", path, **rest)
        assert answer.status_code == status, answer.text
        return answer.json

    def post(self, path: str, body: Any, status: int, **rest: Any) -> Any:
        answer = self.site.ask("POST", path, json=body, **rest)
        assert answer.status_code == status, answer.text
        return answer.json

    def plan(self, **orchest_spec: Any) -> Any:
        documents = [{"name": "clusters/c.yaml", "text": manifest(self.namespace, **orchest_spec)}]
        return self.post(f"{self.path}/plans", {"documents": documents}, 201)

    def apply(self, plan: Any, **terms: Any) -> Any:
        """The operation, at its end."""
        return self.ended(self.post(f"/api/plans/{plan['uuid']}/apply", terms, 202))

    def installed(self, **orchest_spec: Any) -> Any:
        operation = self.apply(self.plan(**orchest_spec))
        assert operation["state"] == "succeeded", operation
        return operation

    def ended(self, operation: Any, seconds: float = 90) -> Any:
        until = time.monotonic() + seconds
        while True:
            seen = self.get(f"/api/operations/{operation['uuid']}")
            if seen["state"] in ENDED:
                return seen
            assert time.monotonic() < until, seen
            time.sleep(0.1)

    def at_work(self, operation: Any, seconds: float = 60) -> Any:
        """As soon as something was written."""
        until = time.monotonic() + seconds
        while True:
            seen = self.get(f"/api/operations/{operation['uuid']}")
            if seen["outcomes"]:
                return seen
            assert seen["state"] == "running", seen
            assert time.monotonic() < until, seen
            time.sleep(0.05)

    @property
    def object_path(self) -> str:
        return f"/apis/{GROUP}/v1alpha1/namespaces/{self.namespace}/orchestclusters/c"

    @property
    def spec(self) -> Any:
        return self.cluster.api.get(self.object_path).expect(200)["spec"]

    def edit(self, path: str, patch: Any) -> None:
        """As somebody with kubectl."""
        self.cluster.api.patch(f"{path}?fieldManager=kubectl-edit", patch, MERGE_PATCH).expect(200)

    @property
    def config_map(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps/orchest-release"


@contextmanager
def recording_to(database: Database) -> Iterator[Recording]:
    yield History(database)


@contextmanager
def opened_place(url: str, cluster: Cluster, namespace: str, kubeconfig: Path | None = None) -> Iterator[Place]:
    facts_of(cluster.kubeconfig)
    used = str(kubeconfig or cluster.kubeconfig)
    with (
        closing(Database(url, connections=THREADS + SPARE_CONNECTIONS)) as database,
        closing(
            ClusterDesk(
                database,
                KeyRing([KEY]),
                MASKER,
                connect=lambda: ClusterClient(connect(used), MASKER),
                recording=lambda: recording_to(database),
            )
        ) as desk,
        opened(url, clusters=desk) as site,
    ):
        yield Place(site, desk, cluster, namespace)
