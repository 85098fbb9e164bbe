"""`/healthz`, `/readyz`, `/metrics`: for probes and for monitoring.

In: this process, and its database. Out: well, or 503; and everything that is counted. Never: the database in
`/healthz`: a process is not to be killed because its database is away.
"""

from __future__ import annotations

import threading
import time
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from outbox.delivery.metrics import QueueCollector
from outbox.errors import DatabaseError
from outbox.schema import CURRENT, recorded_revision
from services.api.http.metrics import MEDIA_TYPE
from services.api.http.operation import Acts, Operation, Reply, Scope, Sent, Tells
from services.api.http.problems import ApiError

if TYPE_CHECKING:
    from outbox.database import Database
    from services.api.http.metrics import Metrics
    from services.api.http.operation import AnyCall
    from services.api.http.shutdown import Shutdown

_CHECKED_FOR_SECONDS = 1.0


class HealthView(Sent):
    status: Literal["ok"] = Field(description="Whatever is not well is a problem, with another HTTP status")


_WELL = HealthView(status="ok")


class Health:
    def __init__(self, database: Database, shutdown: Shutdown, metrics: Metrics) -> None:
        self._readiness = Readiness(database)
        self._shutdown = shutdown
        self._metrics = metrics
        self._queues = QueueCollector(database)

    def operations(self) -> tuple[Operation, ...]:
        return (
            Operation(
                HTTPMethod.GET,
                "/healthz",
                "get_health",
                "Whether this process lives",
                None,
                Tells(self.healthz),
                answer=HealthView,
                tag="health",
                description="Asks nobody, so it is well while the database is away. For liveness probes.",
            ),
            Operation(
                HTTPMethod.GET,
                "/readyz",
                "get_readiness",
                "Whether this process can answer requests",
                None,
                Acts(self.readyz),
                answer=HealthView,
                problems=(HTTPStatus.SERVICE_UNAVAILABLE,),
                tag="health",
                description="The database answers and has the schema of this release. Looked at once a second at most.",
            ),
            Operation(
                HTTPMethod.GET,
                "/metrics",
                "get_metrics",
                "What is counted, for Prometheus",
                Scope.READ,
                Acts(self.metrics),
                answer=str,
                tag="health",
                description="Requests by operation, method and status, their duration, those in flight, the wait for a "
                "thread, and the queues of the outbox. Prometheus sends the token by `authorization`.",
                media_type=MEDIA_TYPE,
            ),
        )

    def healthz(self, call: AnyCall) -> Reply:
        del call
        return Reply(_WELL)

    def readyz(self, call: AnyCall) -> Reply:
        del call
        problem = "This process is about to end." if self._shutdown.has_begun else self._readiness.problem()
        if problem:
            raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, problem)
        return Reply(_WELL)

    def metrics(self, call: AnyCall) -> Reply:
        del call
        return Reply(self._metrics.text(self._queues))


class Readiness:
    """What keeps this process from answering requests; found out once a second, by one thread at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._checked_at = -_CHECKED_FOR_SECONDS
        self._problem = "It is not known yet whether the database answers."

    def problem(self) -> str:
        """Nothing ("") if all is well. While one thread looks the others hear what was found the last time."""
        if self._lock.acquire(blocking=False):
            try:
                if time.monotonic() - self._checked_at >= _CHECKED_FOR_SECONDS:
                    self._problem = self._found()
                    self._checked_at = time.monotonic()
            finally:
                self._lock.release()
        return self._problem

    def _found(self) -> str:
        try:
            with self._database.reading() as session:
                revision = recorded_revision(session.connection())
        except DatabaseError:
            return "The database does not answer."
        return "" if revision >= CURRENT else "The database has not got the schema of this release."
