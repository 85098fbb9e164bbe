"""Values of a cycle for tests of the history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from desired_state.origin import Origin, OriginKind
from reconciler.history import ActionOutcome, ClusterIdentity, CycleFinish, CycleOutcome, CycleStart

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def start(**changes: Any) -> CycleStart:
    origin = Origin(OriginKind.GIT, "d" * 64, (), "https://git.example/fleet", "main", "c" * 40, "clusters/eu")
    cluster = ClusterIdentity("orchest", "cluster-1", "cr-uid", "server-uid")
    begun = CycleStart(uuid4(), NOON, cluster, origin, "plan-1", "e" * 64, b'{"plan": 1}', b'{"objects": []}')
    return replace(begun, **changes)


def outcome(**changes: Any) -> ActionOutcome:
    key = "Deployment.apps/orchest/orchest-api"
    return replace(ActionOutcome(key, "create", "new", "done", "2 of 2 replicas available", 1.5), **changes)


def finish(**changes: Any) -> CycleFinish:
    done = CycleFinish(NOON + timedelta(seconds=9), CycleOutcome.DONE, "", {"done": 1}, b'{"objects": [1]}')
    return replace(done, **changes)
