"""A real `orchest api` is stopped, and killed, in the middle of an apply: nothing stays `running` that does not run."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.api_place import ENDED, manifest
from tests.cluster.workbench import facts_of
from tests.services.api.live import serving

if TYPE_CHECKING:
    from pathlib import Path

    from dev.cluster.launcher import Cluster
    from tests.services.api.live import LiveApi


def applying(api: LiveApi, namespace: str) -> str:
    """An operation that has begun to write, on a server on which nothing becomes ready."""
    documents = [{"name": "c.yaml", "text": manifest(namespace)}]
    made = api.ask("POST", f"/api/clusters/{namespace}/c/plans", {"documents": documents})
    assert made.status == 201, made.body
    begun = api.ask("POST", f"/api/plans/{made.json['uuid']}/apply", {})
    assert begun.status == 202, begun.body
    uuid: str = begun.json["uuid"]
    until = time.monotonic() + 60
    while not (seen := shown(api, uuid))["outcomes"]:
        assert time.monotonic() < until, seen
        time.sleep(0.1)
    assert seen["state"] == "running"
    return uuid


def shown(api: LiveApi, uuid: str) -> Any:
    return api.ask("GET", f"/api/operations/{uuid}").json


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_apply_in_progress_is_interrupted_by_the_end_of_its_process(
    api_only_cluster: Cluster, api_only_namespace: str, tmp_path: Path, number: signal.Signals
) -> None:
    facts_of(api_only_cluster.kubeconfig)
    url, kubeconfig = f"sqlite:///{tmp_path}/api.db", str(api_only_cluster.kubeconfig)
    with serving(url, tmp_path, KUBECONFIG=kubeconfig) as api:
        uuid, token = applying(api, api_only_namespace), api.token
        for pid in (api.process.pid, *(api.descendants() if number is signal.SIGKILL else [])):
            os.kill(pid, number)
        start = time.monotonic()
        assert api.ended(30) == (0 if number is signal.SIGTERM else -signal.SIGKILL)
        assert time.monotonic() - start < 10
    with serving(url, tmp_path, KUBECONFIG=kubeconfig) as api:
        api.token = token
        seen = shown(api, uuid)
        assert seen["state"] == "interrupted"
        assert ("apply again" if number is signal.SIGTERM else "without a last word") in seen["message"]
        cycle = api.ask("GET", f"/api/history/{seen['cycle_uuid']}").json
        assert cycle["outcome"] == "interrupted"
        # The next one is not held up by it.
        again = api.ask("POST", f"/api/clusters/{api_only_namespace}/c/pause", {"timeout_seconds": 1})
        assert again.status == 202, again.body
        until = time.monotonic() + 60
        while (state := shown(api, again.json["uuid"])["state"]) not in ENDED:
            assert time.monotonic() < until
            time.sleep(0.2)
        assert state in {"succeeded", "failed"}, shown(api, again.json["uuid"])
