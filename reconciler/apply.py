"""Does what a plan says, or refuses before the first write.

In: a plan, the rendering and snapshot it was made from, a client. Out: `Applied`, with one outcome for each action.
The order of things: read every object again, rehearse every write on the server, take the Lease, mark the plan as
used, then wave after wave: write (at most 8 in flight), wait until ready, record. Never: a decision about what should
be done; that is the plan's.
"""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from desired_state.objects import Severity
from diff.action import WRITES, ReadinessRule, Verb
from reconciler.cluster_client import CONNECTIONS
from reconciler.errors import Conflict, FieldConflict, OrchestError, Refused, Stale
from reconciler.lease import HeldLease
from reconciler.record import Applied, Outcome, Record, Result, Verdict, result_of
from reconciler.status import failed, succeeded
from reconciler.status_writer import StatusWriter
from reconciler.wait import Ending, await_ready
from reconciler.write import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from desired_state.masking import Masker
    from desired_state.objects import Json, ObjectKey, Rendering
    from diff.action import Action
    from diff.plan import Plan
    from diff.snapshot import Snapshot
    from reconciler.cluster_client import ClusterClient
    from reconciler.status import Report
    from reconciler.wait import Settled

__all__ = ["Applied", "Outcome", "Permissions", "Progress", "Result", "Verdict", "apply", "refuse"]

TOO_MANY_PRUNES = "too-many-prunes"
"""Code of the one refusal that a person may overrule."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a person allowed explicitly for this one apply."""

    force_conflicts: bool = False
    """Take over fields that other Apply managers hold."""
    prune: bool = False
    """Delete more objects than the safety rule lets pass."""


class Progress(Protocol):
    """Told what happens while it happens; may be called from several threads at once."""

    def begin(self) -> None:
        """We hold the Lease and are about to write."""

    def wave_started(self, wave: int, actions: Sequence[Action]) -> None: ...

    def started(self, action: Action) -> None: ...

    def waiting(self, action: Action, message: str) -> None: ...

    def finished(self, outcome: Outcome) -> None: ...


def apply(
    plan: Plan,
    *,
    rendering: Rendering,
    snapshot: Snapshot,
    client: ClusterClient,
    masker: Masker,
    plan_id: str,
    revision: str,
    permissions: Permissions,
    progress: Progress,
    now: Callable[[], datetime],
    stops: Callable[[], bool] = lambda: False,
) -> Applied:
    """Carry out `plan`, which was made from `rendering` and `snapshot`. `revision` is the Git commit, "" without Git.

    Raises an OrchestError (Refused, Conflict, Stale, LeaseHeld, any ClusterError) only when nothing was written. From
    the first write on every ending is an `Applied`. Ctrl-C, SIGTERM, or `stops` that became true lets the writes in
    flight end, records the rest as not started, and returns.
    """
    refuse(plan, permissions)
    generated = {
        desired.manifest.key: desired.generated for desired in rendering.objects if desired.generated is not None
    }
    writer = Writer(client, snapshot, generated, masker=masker, force_conflicts=permissions.force_conflicts, now=now)
    status = StatusWriter(client, rendering, snapshot, revision=revision, now=now)
    record = Record(plan.actions, stops)
    with _interrupting(record):
        return _Run(plan, client=client, writer=writer, status=status, progress=progress, record=record).carry_out(
            plan_id, now
        )


def refuse(plan: Plan, permissions: Permissions) -> None:
    """Raises Refused or Conflict for a plan that must not be applied with these permissions."""
    refusals = [
        note
        for note in plan.notes
        if note.severity is Severity.REFUSAL and not (permissions.prune and note.code == TOO_MANY_PRUNES)
    ]
    if refusals:
        raise Refused("\n".join(f"{note.path}: {note.message}".removeprefix(": ") for note in refusals))
    held = [(action.key, conflict) for action in plan.actions for conflict in action.conflicts]
    if held and not permissions.force_conflicts:
        listed = "\n".join(f"  {key}: {conflict.path} is held by {conflict.manager}" for key, conflict in held)
        raise Conflict(
            f"Other field managers maintain what the plan would change:\n{listed}\n"
            "Remove these fields there or in Git, or take them over with --force-conflicts.",
            tuple(FieldConflict(conflict.manager, conflict.path) for _, conflict in held),
        )


@contextmanager
def _interrupting(record: Record) -> Iterator[None]:
    """Ctrl-C and SIGTERM interrupt the record instead of raising in the middle of something; a second Ctrl-C raises."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: object) -> None:
        if record.is_interrupted:
            raise KeyboardInterrupt
        record.interrupt()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Run:
    """One apply on its way."""

    def __init__(
        self,
        plan: Plan,
        *,
        client: ClusterClient,
        writer: Writer,
        status: StatusWriter,
        progress: Progress,
        record: Record,
    ) -> None:
        self._plan = plan
        self._client = client
        self._writer = writer
        self._status = status
        self._progress = progress
        self._record = record
        self._writes = [action for action in plan.actions if action.verb in WRITES]
        self._has_begun = False
        """Something may have been written: from here on every ending is a record."""

    def carry_out(self, plan_id: str, now: Callable[[], datetime]) -> Applied:
        _each(self._writer.verify, self._plan.actions)
        self._verify_owner()
        try:
            if self._writes:
                self._make_home()
                self._under_lease(plan_id, now)
            else:
                self._carry_out_waves(lease=None)
        except OrchestError as error:
            if not self._has_begun:
                raise
            self._record.halt(error)
        return self._record.applied()

    def _verify_owner(self) -> None:
        """The OrchestCluster is what everything else will refer to, also when the plan does not touch it."""
        owner, basis = self._client.get(self._plan.cluster), self._plan.basis
        metadata = owner["metadata"] if owner else {"uid": "", "generation": 0}
        if (metadata["uid"], metadata.get("generation", 0)) != (basis.owner_uid, basis.owner_generation):
            raise Stale(f"{self._plan.cluster}: it was changed, deleted or created meanwhile. Make a new plan.")

    def _make_home(self) -> None:
        """A missing namespace is made before the rest can be rehearsed: the server dry-runs nothing in a namespace
        that is not there.

        So what lies outside of it is rehearsed first; when the rehearsal of the rest fails, an empty namespace is all
        that was written.
        """
        homes = [action for action in self._writes if action.key.kind == "Namespace"]
        if homes:
            _each(self._writer.rehearse, [action for action in self._writes if not action.key.namespace])
        for home in homes:
            self._has_begun = True
            self._write(home, None)

    def _under_lease(self, plan_id: str, now: Callable[[], datetime]) -> None:
        if not self._record.goes_on():
            return
        with HeldLease.acquire(self._client, self._plan.cluster, plan_id, now) as lease:
            if not self._status.has_seen(self._client.get(self._plan.cluster)):
                raise Stale(f"{self._plan.cluster}: another apply has ended meanwhile. Make a new plan.")
            _each(self._writer.rehearse, [action for action in self._writes if not self._record.has(action.key)])
            if not self._record.goes_on():
                return
            lease.consume(plan_id)
            self._has_begun = True
            self._progress.begin()
            self._carry_out_waves(lease)

    # Waves

    def _carry_out_waves(self, lease: HeldLease | None) -> None:
        waves = [(wave, list(group)) for wave, group in groupby(self._plan.actions, key=lambda action: action.wave)]
        for wave, actions in waves:
            if wave == 0:
                self._carry_out_wave(wave, actions, lease)
        if self._writes and self._record.goes_on():
            # Said before anything is created: no crash may leave an object that nobody knows as ours.
            self._status.begin(self._owner, self._writes)
        for wave, actions in waves:
            if wave > 0 and self._record.goes_on():
                self._carry_out_wave(wave, actions, lease)
                self._status.write_inventory(self._owner)
        outcomes = self._record.applied().outcomes
        self._status.withdraw(outcome.key for outcome in outcomes if outcome.result is Result.NOT_STARTED)
        self._status.report(self._owner, self._report())

    @property
    def _owner(self) -> Mapping[str, Json] | None:
        return self._writer.content_of(self._plan.cluster)

    def _report(self) -> Report:
        applied = self._record.applied()
        if applied.verdict is Verdict.DONE:
            return succeeded(self._plan.drift, paused=self._status.is_paused)
        return failed(_REASONS[applied.verdict], applied.message, paused=self._status.is_paused)

    def _carry_out_wave(self, wave: int, actions: Sequence[Action], lease: HeldLease | None) -> None:
        """Write what is to be written, then wait until that, and whatever else the plan waits for, is ready."""
        todo = [action for action in actions if action.verb is not Verb.KEEP and not self._record.has(action.key)]
        self._progress.wave_started(wave, actions)
        # The OrchestCluster needs its namespace: the first wave goes one by one.
        with ThreadPoolExecutor(1 if wave == 0 else CONNECTIONS) as pool:
            starts = list(pool.map(lambda action: self._begin(action, lease), todo))
        begun = {action.key: start for action, start in zip(todo, starts, strict=True) if start is not None}
        self._await([action for action in todo if action.key in begun], begun)

    def _begin(self, action: Action, lease: HeldLease | None) -> float | None:
        """When the action was begun, if its object must still become ready; None when it has its outcome, or was not
        begun.
        """
        if not self._record.goes_on():
            return None
        start = time.monotonic()
        if action.verb in WRITES:
            self._write(action, lease)
        return None if self._record.has(action.key) else start

    def _write(self, action: Action, lease: HeldLease | None) -> None:
        """One write. It has its outcome when it failed, or when its object need not become ready."""
        start = time.monotonic()
        self._progress.started(action)
        try:
            if lease is not None:
                lease.check()
            content = self._writer.perform(
                action,
                goes_on=lambda: not self._record.is_interrupted,
                about_to_create=lambda key: self._status.about_to_create(self._owner, key),
            )
        except OrchestError as error:
            self._record.halt(error)
            self._finish(action, result_of(error), str(error), start)
            return
        if content is not None:
            self._status.learn(content, action.key)
        if action.readiness.rule is ReadinessRule.NONE:
            self._finish(action, Result.DONE, "", start)

    def _await(self, actions: Sequence[Action], begun: Mapping[ObjectKey, float]) -> None:
        def waiting(action: Action, message: str) -> None:
            self._progress.waiting(action, self._writer.scrub(action.key, message))

        for settled in await_ready(self._client, actions, waiting=waiting, goes_on=self._record.goes_on):
            message = self._writer.scrub(settled.action.key, settled.message)
            self._settle(replace(settled, message=message), begun[settled.action.key])

    def _settle(self, settled: Settled, start: float) -> None:
        action = settled.action
        match settled.ending:
            case Ending.READY:
                if action.readiness.rule is ReadinessRule.GONE:
                    self._status.forget(action.key)
                self._finish(action, Result.DONE, settled.message, start)
            case Ending.FAILED:
                self._record.halt(OrchestError(f"{action.key}: {settled.message}"))
                self._finish(action, Result.FAILED, settled.message, start)
            case Ending.ABANDONED:
                self._record.cut_short()
                result = Result.DONE if action.verb in WRITES else Result.NOT_STARTED
                self._finish(action, result, f"not awaited any longer: {settled.message}", start)

    def _finish(self, action: Action, result: Result, message: str, start: float) -> None:
        outcome = Outcome(action.key, action.verb, result, message, time.monotonic() - start)
        self._record.add(outcome)
        self._progress.finished(outcome)


_REASONS = {
    Verdict.FAILED: "ApplyFailed",
    Verdict.STALE: "PlanStale",
    Verdict.CONFLICT: "FieldConflict",
    Verdict.INTERRUPTED: "Interrupted",
}


def _each(step: Callable[[Action], None], actions: Sequence[Action]) -> None:
    """`step` for each action in parallel. Raises the gravest error, whose text tells of the others too."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        futures = [pool.submit(step, action) for action in actions]
    errors = [error for future in futures if (error := future.exception()) is not None]
    if not errors:
        return
    gravest = min(errors, key=_gravity)
    texts = dict.fromkeys(str(error) for error in [gravest, *errors] if isinstance(error, OrchestError))
    if texts:
        gravest.args = ("\n".join(list(texts)[:_MOST_ERRORS]),)
    raise gravest


_MOST_ERRORS = 10


def _gravity(error: BaseException) -> int:
    """A bug before all else; then what decides the exit code."""
    match error:
        case Stale():
            return 1
        case Conflict():
            return 2
        case OrchestError():
            return 3
        case _:
            return 0
