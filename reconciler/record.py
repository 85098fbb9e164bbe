"""How an apply went: one outcome for each action, and one verdict over all.

In: outcomes as they happen, from several threads. Out: an `Applied` in the plan's order, in which nothing is missing.
Never: IO.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from typing import TYPE_CHECKING

from diff.action import Verb
from reconciler.errors import Conflict, OrchestError, Stale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from desired_state.objects import ObjectKey
    from diff.action import Action


class Result(StrEnum):
    DONE = "done"
    SKIPPED = "skipped"
    """A `keep`: nothing was to be done."""
    FAILED = "failed"
    STALE = "stale"
    """The object moved between our reads; it was not written."""
    NOT_STARTED = "not-started"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one action ended. `message` is free of secrets; `seconds` include the wait for readiness."""

    key: ObjectKey
    verb: Verb
    result: Result
    message: str
    seconds: float


class Verdict(StrEnum):
    DONE = "done"
    FAILED = "failed"
    STALE = "stale"
    CONFLICT = "conflict"
    INTERRUPTED = "interrupted"


_EXIT_CODES = {Verdict.DONE: 0, Verdict.FAILED: 1, Verdict.STALE: 3, Verdict.CONFLICT: 4, Verdict.INTERRUPTED: 130}


@dataclass(frozen=True, slots=True)
class Applied:
    """The record of one apply."""

    outcomes: tuple[Outcome, ...]
    """In the plan's order, one for each action."""
    verdict: Verdict
    message: str
    """Why it ended early, "" when it did not."""

    @property
    def exit_code(self) -> int:
        return _EXIT_CODES[self.verdict]


class Record:
    """Collects outcomes.

    The first error decides the verdict; from then on, or after an interrupt, nothing new begins.
    """

    def __init__(self, actions: Sequence[Action], stops: Callable[[], bool] = lambda: False) -> None:
        """`stops` is asked again and again: true is as good as an interrupt."""
        self._actions = actions
        self._stops = stops
        self._writing = Lock()
        self._outcomes: dict[ObjectKey, Outcome] = {}
        self._error: OrchestError | None = None
        self._is_cut_short = False
        # A plain flag, no Event: a signal handler that sets one can wait for ever for a lock of the code it stopped.
        self._was_interrupted = False

    @property
    def is_interrupted(self) -> bool:
        return self._was_interrupted or self._stops()

    def goes_on(self) -> bool:
        """Whether something new may begin, and what was begun is worth waiting for."""
        return self._error is None and not self.is_interrupted

    def interrupt(self) -> None:
        """A person wants us to stop. Called from a signal handler: takes no lock."""
        self._was_interrupted = True

    def halt(self, error: OrchestError) -> None:
        """`error` ends the apply; later ones are only recorded with their actions."""
        with self._writing:
            self._error = self._error or error

    def cut_short(self) -> None:
        """Something that was begun is no longer awaited."""
        self._is_cut_short = True

    def has(self, key: ObjectKey) -> bool:
        return key in self._outcomes

    def add(self, outcome: Outcome) -> None:
        with self._writing:
            self._outcomes[outcome.key] = outcome

    def applied(self) -> Applied:
        """How it stands now."""
        with self._writing:
            outcomes = tuple(self._outcomes.get(action.key) or _untouched(action) for action in self._actions)
            error = self._error
        if error is not None:
            return Applied(outcomes, _verdict(error), str(error))
        if self._is_cut_short or any(outcome.result is Result.NOT_STARTED for outcome in outcomes):
            return Applied(
                outcomes, Verdict.INTERRUPTED, "Interrupted. What was begun is recorded; apply again to do the rest."
            )
        return Applied(outcomes, Verdict.DONE, "")


def result_of(error: OrchestError) -> Result:
    return Result.STALE if isinstance(error, Stale) else Result.FAILED


def _verdict(error: OrchestError) -> Verdict:
    match error:
        case Stale():
            return Verdict.STALE
        case Conflict():
            return Verdict.CONFLICT
        case _:
            return Verdict.FAILED


def _untouched(action: Action) -> Outcome:
    if action.verb is Verb.KEEP:
        return Outcome(action.key, action.verb, Result.SKIPPED, action.explanation, 0.0)
    return Outcome(action.key, action.verb, Result.NOT_STARTED, "", 0.0)
