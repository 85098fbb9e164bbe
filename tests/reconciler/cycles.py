"""Values of a cycle for tests of the history."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from desired_state.origin import Origin, OriginKind
from outbox.database import Database
from outbox.events.facts import ClusterEventFacts
from outbox.events.models import event_of
from outbox.events.records import record_of
from outbox.events.types import EventType
from outbox.identity import new_uuid
from outbox.schema import migrate
from reconciler.history import ActionOutcome, ClusterIdentity, CycleFinish, CycleOutcome, CycleStart, History

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox.events.records import EventRecord

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


def event(kind: EventType = EventType.CLUSTER_PLAN_APPLIED, **facts: Any) -> EventRecord:
    given = ClusterEventFacts(namespace="orchest", name="cluster-1", **facts)
    return record_of(event_of(kind, given, new_uuid(), NOON))


@contextmanager
def open_history(url: str) -> Iterator[History]:
    database = Database(url)
    migrate(database)
    yield History(database)
    database.close()
