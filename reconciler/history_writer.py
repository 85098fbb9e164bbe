"""Writes the history of one apply while it happens, with the events it causes, and passes its progress on.

In: what apply tells. Out: rows, and the same to the screen. A cycle is in the history before its first write, each
outcome as soon as it is known; what a killed process leaves behind is a record that says how far it came. An event is
recorded in one transaction with what brought it about. Never: a secret; everything is masked.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING
from uuid import uuid4

from diff.plan_file import dump as dump_plan
from diff.snapshot_file import dump as dump_snapshot
from outbox.errors import DatabaseError
from outbox.events.models import event_of
from outbox.events.records import record_of
from outbox.identity import new_uuid
from reconciler.apply import Verdict
from reconciler.cluster_events import Occasion, caused, concluded, detected
from reconciler.errors import OrchestError
from reconciler.history import ActionOutcome, ClusterIdentity, CycleFinish, CycleOutcome, CycleStart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from desired_state.masking import Masker
    from desired_state.objects import ObjectKey
    from diff.action import Action
    from diff.plan_file import PlanFile
    from outbox.events.records import EventRecord
    from reconciler.apply import Applied, Outcome, Progress
    from reconciler.cluster_events import Occurrence
    from reconciler.history import Recording
    from reconciler.prepare import Prepared

_OUTCOMES = {
    Verdict.DONE: CycleOutcome.DONE,
    Verdict.FAILED: CycleOutcome.FAILED,
    Verdict.CONFLICT: CycleOutcome.FAILED,
    Verdict.STALE: CycleOutcome.STALE,
    Verdict.INTERRUPTED: CycleOutcome.INTERRUPTED,
}


class HistoryWriter:
    """One cycle's record; a `Progress` itself. Nothing is recorded for an apply that had nothing to do."""

    def __init__(
        self,
        recording: Recording,
        plan_file: PlanFile,
        prepared: Prepared,
        masker: Masker,
        progress: Progress,
        *,
        restores: str = "",
    ) -> None:
        """`restores`: the cycle whose desired state this one applies again."""
        self._recording = recording
        self._plan_file = plan_file
        self._snapshot = prepared.snapshot
        self._masker = masker
        self._progress = progress
        # Random from its first digit on: people name a cycle by its first eight.
        self._id = uuid4()
        self._occasion = _occasion(self._id, plan_file, prepared, restores)
        self._reasons = {action.key: action.reason for action in prepared.plan.actions}
        self._lock = Lock()
        self._unrecorded: list[Outcome] = []
        self._untold: list[EventRecord] = []
        self._recorded: set[ObjectKey] = set()
        self.begun = False

    @property
    def cycle(self) -> str:
        """The record's id, "" when there is none."""
        return str(self._id) if self.begun else ""

    def begin(self) -> None:
        """Called by apply when it holds the Lease, before the first write."""
        plan = self._plan_file.plan
        self._recording.record_start(
            CycleStart(
                id=self._id,
                started_at=datetime.now(UTC),
                cluster=ClusterIdentity(
                    plan.cluster.namespace, plan.cluster.name, plan.basis.owner_uid, plan.basis.cluster_uid
                ),
                origin=self._plan_file.header.origin,
                plan_id=self._plan_file.header.plan_id,
                plan_digest=self._plan_file.header.digest,
                plan_document=dump_plan(self._plan_file),
                snapshot=dump_snapshot(self._snapshot, self._masker),
            ),
            _events(detected(self._occasion)),
        )
        self.begun = True
        self._progress.begin()

    def wave_started(self, wave: int, actions: Sequence[Action]) -> None:
        self._progress.wave_started(wave, actions)

    def started(self, action: Action) -> None:
        self._progress.started(action)

    def waiting(self, action: Action, message: str) -> None:
        self._progress.waiting(action, message)

    def finished(self, outcome: Outcome) -> None:
        # A missing namespace is made before the Lease can be taken; its outcome waits for the record to begin.
        # And an apply is not broken off because its record cannot be written: the next outcome brings this one along.
        with self._lock:
            self._unrecorded.append(outcome)
            self._untold.extend(_events(caused(self._occasion, outcome)))
            if self.begun:
                with suppress(DatabaseError):
                    self._record()
        self._progress.finished(outcome)

    def finish(self, applied: Applied, snapshot: bytes | None) -> None:
        """The last word, with the masked snapshot of the state afterwards, when it could be observed.

        Raises OrchestError when it cannot be written: the apply itself has ended by then.
        """
        told = self._recorded | {outcome.key for outcome in self._unrecorded}
        self._unrecorded.extend(outcome for outcome in applied.outcomes if outcome.key not in told)
        try:
            self._record()
            self._recording.record_finish(
                self._id,
                CycleFinish(
                    finished_at=datetime.now(UTC),
                    outcome=_OUTCOMES[applied.verdict],
                    message=applied.message,
                    counts=Counter(str(outcome.result) for outcome in applied.outcomes),
                    snapshot=snapshot,
                ),
                _events(concluded(self._occasion, applied)),
            )
        except DatabaseError as error:
            raise OrchestError(
                f"The apply has ended ({applied.verdict}), but its record is not complete: {error}"
            ) from error

    def _record(self) -> None:
        rows = [
            ActionOutcome(
                object_key=str(outcome.key),
                verb=outcome.verb,
                reason=self._reasons[outcome.key],
                result=outcome.result,
                message=outcome.message,
                seconds=outcome.seconds,
            )
            for outcome in self._unrecorded
        ]
        self._recording.record_outcomes(self._id, rows, self._untold)
        self._recorded.update(outcome.key for outcome in self._unrecorded)
        self._unrecorded.clear()
        self._untold.clear()


def _occasion(cycle: UUID, plan_file: PlanFile, prepared: Prepared, restores: str) -> Occasion:
    observed = prepared.snapshot.objects.get(prepared.plan.cluster)
    before = observed.content if observed else None
    return Occasion(cycle, plan_file, before, prepared.rendering.cluster.content, restores)


def _events(occurrences: Iterable[Occurrence]) -> list[EventRecord]:
    """With their ids, so that recording one a second time is recording it once."""
    now = datetime.now(UTC)
    return [record_of(event_of(one.type, one.facts, new_uuid(), now)) for one in occurrences]
