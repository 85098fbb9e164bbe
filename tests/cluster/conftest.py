"""Clusters for the tests of this folder: one with everything, one with the API server alone.

A run starts each at most once and shares it between its workers. ORCHEST_TEST_KUBECONFIG and
ORCHEST_TEST_API_ONLY_KUBECONFIG name clusters that run already, for example that of `make cluster`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from dev.cluster.launcher import Cluster, connect, running_cluster, start
from dev.cluster.processes import identify
from dev.cluster.supervisor import ClusterRequest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A whole Kubernetes with three simulated nodes."""
    yield from _cluster("ORCHEST_TEST_KUBECONFIG", tmp_path_factory, controllers=True)


@pytest.fixture(scope="session")
def api_only_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An API server that defaults, validates and stores, and nobody who acts on it."""
    yield from _cluster("ORCHEST_TEST_API_ONLY_KUBECONFIG", tmp_path_factory, controllers=False)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """The name of a fresh namespace in `cluster`."""
    yield from _namespace(cluster)


@pytest.fixture
def api_only_namespace(api_only_cluster: Cluster) -> Iterator[str]:
    """The name of a fresh namespace in `api_only_cluster`."""
    yield from _namespace(api_only_cluster)


def _cluster(variable: str, temporary: pytest.TempPathFactory, *, controllers: bool) -> Iterator[Cluster]:
    if running := os.environ.get(variable):
        yield connect(Path(running))
    elif "PYTEST_XDIST_WORKER" in os.environ:
        # The workers' parent owns the cluster: whichever worker comes first starts it, and none of them ends it.
        folder = temporary.getbasetemp().parent / ("cluster" if controllers else "api-only-cluster")
        yield start(folder, ClusterRequest(controllers=controllers, owner=identify(os.getppid())))
    else:
        with running_cluster(controllers=controllers) as own:
            yield own


def _namespace(cluster: Cluster) -> Iterator[str]:
    name = f"test-{uuid4().hex[:12]}"
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    cluster.api.post("/api/v1/namespaces", body).expect(201)
    yield name
    # Not awaited: it takes seconds, and no other test uses the name.
    cluster.api.delete(f"/api/v1/namespaces/{name}").expect(200, 202)
