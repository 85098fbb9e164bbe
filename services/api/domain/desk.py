"""Where clusters are worked on over HTTP: the way to Kubernetes, and the threads that carry operations out.

In: wishes. Out: rows of `operations` that say how each goes, and what `reconcile` leaves behind: objects, history,
events. An operation lives as long as its process: when the API is stopped, what it began to write is written, the rest
is recorded as not started, as after Ctrl-C. Never: a decision about what should be done; that is the plan's.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID

from desired_state.errors import DesiredStateError
from desired_state.masking import Masker
from outbox.errors import DatabaseError
from outbox.key_ring import KeyRingError
from reconciler.cluster_client import ClusterClient, connect
from reconciler.cycle import Order, reconcile
from reconciler.errors import BadKubeconfig, Conflict, LeaseHeld, OrchestError, Refused, Stale
from reconciler.record import Verdict
from reconciler.settings import masking_key
from reconciler.spool import recording
from services.api.domain import operations
from services.api.domain.operations import HEARTBEAT_SECONDS, Ending, OperationState
from services.api.domain.plans import has_plan, store
from services.api.http.problems import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from diff.action import Action
    from diff.plan_file import PlanFile
    from outbox.database import Database
    from outbox.events.records import EventRecord
    from outbox.key_ring import KeyRing
    from reconciler.apply import Permissions
    from reconciler.cycle import Report
    from reconciler.history import ActionOutcome, CycleFinish, CycleStart, Recording
    from reconciler.record import Outcome
    from reconciler.settings import Settings
    from services.api.domain.desired import Desired
    from services.api.domain.operations import OperationRecord, Wish
    from services.api.domain.plans import Manifests

_log = logging.getLogger("services.api")
_LOOK_SECONDS = 1.0
"""How often new progress is written down."""
_DEFECT = "Something went wrong in the API itself. Its operator finds it in the log."


@dataclass(frozen=True, slots=True)
class Task:
    """A wish, and how it is carried out."""

    wish: Wish
    desired: Callable[[], Desired]
    """Called in the operation's own thread: it may ask Kubernetes or Git. Raises OrchestError, DesiredStateError."""
    permissions: Permissions
    saved: PlanFile | None = None
    """Apply this plan and no other."""
    timeout_seconds: float | None = None
    remark: str = ""
    """Said when it succeeded."""


def no_kubernetes() -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, "This API manages no clusters: it knows of no Kubernetes.")


class ClusterDesk:
    """One for each process; safe for use from several threads. Whoever makes it closes it."""

    def __init__(
        self,
        database: Database,
        key_ring: KeyRing,
        masker: Masker,
        *,
        connect: Callable[[], ClusterClient],
        recording: Callable[[], AbstractContextManager[Recording]],
    ) -> None:
        """`connect` is called when somebody first asks for a cluster, and raises BadKubeconfig where there is none;
        `recording` opens the history for one apply.
        """
        self.masker = masker
        self.database = database
        self.key_ring = key_ring
        self._connect = connect
        self._recording = recording
        self._connecting = threading.Lock()
        self._client: ClusterClient | None = None
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._threads: list[threading.Thread] = []

    def client(self) -> ClusterClient:
        """Raises ApiError 404 where there is none."""
        with self._connecting:
            if self._client is None:
                try:
                    self._client = self._connect()
                except BadKubeconfig as error:
                    _log.warning("no way to Kubernetes: %s", error)
                    raise no_kubernetes() from None
            return self._client

    def carry_out(self, task: Task, now: datetime) -> OperationRecord:
        """Begin, and return at once. Raises ApiError 409, DatabaseError."""
        with self.database.writing() as session:
            operation = operations.begin(session, task.wish, now)
        name = f"{operation.kind} {operation.namespace}/{operation.name}"
        thread = threading.Thread(target=self._run, args=(task, operation.uuid), name=name)
        with self._starting:
            self._threads = [other for other in self._threads if other.is_alive()]
            self._threads.append(thread)
            thread.start()
        return operation

    def close(self) -> None:
        """Interrupt what is under way, as Ctrl-C does, and wait until it has said its last word. Nothing may begin
        any more: call it after the last request.
        """
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, task: Task, uuid: UUID) -> None:
        watch = _Watch(self.database, uuid)
        with watch:
            ending = self._ending(task, uuid, watch)
        try:
            with self.database.writing() as session:
                operations.finish(session, uuid, ending, datetime.now(UTC))
        except DatabaseError as error:
            # The history has the cycle's own last word, and who asks for the operation is told that.
            _log.error("operation %s ended (%s), and cannot say so: %s", uuid, ending.state, error)

    def _ending(self, task: Task, uuid: UUID, watch: _Watch) -> Ending:
        try:
            return _ending_of(self._reconcile(task, uuid, watch), task.remark)
        except (OrchestError, DesiredStateError, DatabaseError, KeyRingError) as error:
            return Ending(_state_of(error), self.masker.scrub(str(error)))
        except Exception:  # noqa: BLE001 - the end of the thread: nobody else could say that it failed
            _log.exception("operation %s: a defect", uuid)
            return Ending(OperationState.FAILED, _DEFECT)

    def _reconcile(self, task: Task, uuid: UUID, watch: _Watch) -> Report:
        desired = task.desired()
        restored = task.wish.restores_cycle_uuid
        order = Order(
            desired.cluster,
            desired.origin,
            task.permissions,
            saved=task.saved,
            timeout_seconds=task.timeout_seconds,
            restores=str(restored) if restored else "",
            stops=self._stopping.is_set,
        )
        with self._recording() as recording:
            noted = _NotedRecording(recording, lambda cycle: self._note_cycle(uuid, cycle))
            screen = _Screen(watch, lambda plan_file: self._keep(plan_file, desired.manifests, task.wish, uuid))
            return reconcile(order, self.client(), self.masker, noted, screen)

    def _keep(self, plan_file: PlanFile, manifests: Manifests, wish: Wish, uuid: UUID) -> None:
        """Every plan that is applied here can be looked at, and gone back to."""
        with self.database.writing() as session:
            plan_id = plan_file.header.plan_id
            if not has_plan(session, plan_id):
                store(session, self.key_ring, plan_file, manifests, created_by=wish.created_by, now=datetime.now(UTC))
            operations.note_plan(session, uuid, UUID(plan_id))

    def _note_cycle(self, uuid: UUID, cycle: UUID) -> None:
        with self.database.writing() as session:
            operations.note_cycle(session, uuid, cycle)


class _Watch:
    """The heartbeat of one operation, with what it does at this moment; use as a context manager."""

    def __init__(self, database: Database, uuid: UUID) -> None:
        self.progress = "Planning"
        self._database = database
        self._uuid = uuid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat of {uuid}")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        told, silent = "", HEARTBEAT_SECONDS
        while True:
            progress = self.progress
            if progress != told or silent >= HEARTBEAT_SECONDS:
                self._tell(progress)
                told, silent = progress, 0.0
            if self._ended.wait(_LOOK_SECONDS):
                return
            silent += _LOOK_SECONDS

    def _tell(self, progress: str) -> None:
        try:
            with self._database.writing() as session:
                operations.beat(session, self._uuid, progress, datetime.now(UTC))
        except DatabaseError as error:
            _log.warning("operation %s goes on, and cannot say so: %s", self._uuid, error)


@dataclass(frozen=True, slots=True)
class _Screen:
    """A `reconciler.cycle.Screen` whose spectators come by HTTP, now and then."""

    watch: _Watch
    keep: Callable[[PlanFile], None]

    def accepts(self, plan_file: PlanFile) -> bool:
        self.keep(plan_file)
        self.watch.progress = "Trying every write on the server"
        return True

    def begin(self) -> None:
        self.watch.progress = "Writing"

    def wave_started(self, wave: int, actions: Sequence[Action]) -> None:
        self.watch.progress = f"Wave {wave}: {len(actions)} actions"

    def started(self, action: Action) -> None:
        self.watch.progress = f"{action.verb} {action.key}"

    def waiting(self, action: Action, message: str) -> None:
        self.watch.progress = f"{action.verb} {action.key}: waiting, {message}"

    def finished(self, outcome: Outcome) -> None:
        self.watch.progress = f"{outcome.verb} {outcome.key}: {outcome.result}"


@dataclass(frozen=True, slots=True)
class _NotedRecording:
    """A `Recording` that tells which cycle it is that it records."""

    recording: Recording
    note: Callable[[UUID], None]

    def record_start(self, start: CycleStart, events: Sequence[EventRecord] = ()) -> None:
        self.note(start.id)
        self.recording.record_start(start, events)

    def record_outcomes(
        self, cycle: UUID, outcomes: Sequence[ActionOutcome], events: Sequence[EventRecord] = ()
    ) -> None:
        self.recording.record_outcomes(cycle, outcomes, events)

    def record_finish(self, cycle: UUID, finish: CycleFinish, events: Sequence[EventRecord] = ()) -> None:
        self.recording.record_finish(cycle, finish, events)


_STATES = {
    Verdict.DONE: OperationState.SUCCEEDED,
    Verdict.FAILED: OperationState.FAILED,
    Verdict.CONFLICT: OperationState.FAILED,
    Verdict.STALE: OperationState.STALE,
    Verdict.INTERRUPTED: OperationState.INTERRUPTED,
}


def _ending_of(report: Report, remark: str) -> Ending:
    assert report.applied is not None, "nobody declined"
    applied = report.applied
    if applied.verdict is not Verdict.DONE:
        return Ending(_STATES[applied.verdict], applied.message)
    what = "In sync: nothing was written." if report.plan_file.plan.is_empty else "Applied."
    return Ending(OperationState.SUCCEEDED, f"{what} {remark}".strip())


def _state_of(error: Exception) -> OperationState:
    """Of an error that was raised before the first write."""
    match error:
        case Stale():
            return OperationState.STALE
        case Refused() | Conflict() | LeaseHeld():
            return OperationState.REFUSED
        case _:
            return OperationState.FAILED


def desk_of(database: Database, key_ring: KeyRing, settings: Settings) -> ClusterDesk:
    """As kubectl finds its server; recorded where the command line records. Nothing is opened before it is needed."""
    found = masking_key(settings)
    if found.warning:
        _log.warning("%s", found.warning)
    masker = Masker(found.key)
    return ClusterDesk(
        database,
        key_ring,
        masker,
        connect=lambda: ClusterClient(connect(), masker),
        recording=lambda: recording(database, settings.spool, _log.warning),
    )
