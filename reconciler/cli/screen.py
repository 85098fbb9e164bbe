"""What a person sees of an apply: the plan and a question, then each action as it starts, waits and ends.

On a terminal what is under way is a live line with a spinner; elsewhere (CI) every event is one line. All of it goes to
standard error, so that `-o json` leaves standard output to the program that reads it.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

import click
from rich.console import Console

from reconciler.cli import view
from reconciler.cli.exit_codes import ExitCode
from reconciler.record import Result, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from desired_state.objects import ObjectKey
    from diff.action import Action
    from diff.plan_file import PlanFile
    from reconciler.cycle import Report
    from reconciler.record import Outcome

_SIGNS = {
    Result.DONE: ("green", "done"),
    Result.SKIPPED: ("dim", "kept"),
    Result.FAILED: ("red", "FAILED"),
    Result.STALE: ("red", "STALE"),
    Result.NOT_STARTED: ("yellow", "not started"),
}


class _Onlooker(Console):
    """Standard error. An apply goes on, and ends as it should, when nobody reads along any more (`2>&1 | head`)."""

    def on_broken_pipe(self) -> None:
        """Instead of ending the process in the middle of its writes."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


class ApplyScreen:
    """A `reconciler.cycle.Screen`. Use it as a context manager: the live display ends with it."""

    def __init__(self, *, output: str, is_agreed: bool, is_reviewed: bool) -> None:
        """`is_agreed` by --yes; `is_reviewed` because it is a saved plan, which its reader has seen already."""
        self._output = output
        self._is_reviewed = is_reviewed
        self._asks = not (is_agreed or is_reviewed)
        self._console = _Onlooker(stderr=True, highlight=False, soft_wrap=True)
        self._live: Progress | None = None
        self._tasks: dict[ObjectKey, TaskID] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def accepts(self, plan_file: PlanFile) -> bool:
        """Shows the plan, of a saved one its summary; asks when it was neither saved nor allowed by --yes."""
        if self._output == "text":
            show = view.summarized if self._is_reviewed else view.explained
            show(plan_file.plan, self._console)
        if plan_file.plan.is_empty or not self._asks:
            return True
        if not sys.stdin.isatty():
            raise click.UsageError("Nobody is there to say yes: give --yes, or apply a saved plan file.")
        return click.confirm("Apply this plan?", default=False, err=True)

    def begin(self) -> None:
        if self._console.is_terminal:
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._live = Progress(*columns, console=self._console, transient=True)
            self._live.start()

    def wave_started(self, wave: int, actions: Sequence[Action]) -> None:
        self._console.print(f"[bold]Wave {wave}[/bold]: {len(actions)} action{'s' if len(actions) != 1 else ''}")

    def started(self, action: Action) -> None:
        if self._live:
            with self._lock:
                self._tasks[action.key] = self._live.add_task(f"{action.verb} {action.key}", total=None)

    def waiting(self, action: Action, message: str) -> None:
        text = f"{action.verb} {action.key}: waiting, {message}"
        if self._live and action.key in self._tasks:
            self._live.update(self._tasks[action.key], description=text)
        else:
            self._console.print(f"  {text}", style="dim", markup=False)

    def finished(self, outcome: Outcome) -> None:
        if self._live:
            with self._lock:
                task = self._tasks.pop(outcome.key, None)
            if task is not None:
                self._live.remove_task(task)
        style, sign = _SIGNS[outcome.result]
        self._console.print(f"  {sign:<11} ", style=style, end="", markup=False)
        tail = f": {outcome.message}" if outcome.message and outcome.result is not Result.DONE else ""
        self._console.print(f"{outcome.verb} {outcome.key} ({outcome.seconds:.1f} s){tail}", markup=False)

    def report(self, report: Report) -> int:
        """Prints how it ended and returns the exit code."""
        applied = report.applied
        if applied is None:
            click.echo("Not applied.", err=True)
            return ExitCode.ERROR
        if self._output != "text":
            view.data(_document(report), output=self._output)
        elif applied.verdict is not Verdict.DONE:
            click.echo(f"Error: {applied.message}", err=True)
        elif report.plan_file.plan.is_empty:
            click.echo("In sync: nothing was written.")
        else:
            click.echo(f"Applied: {sum(outcome.result is Result.DONE for outcome in applied.outcomes)} actions done.")
        if report.cycle:
            click.echo(f"Recorded as {report.cycle[:8]}: orchest history {report.cycle[:8]}", err=True)
        return applied.exit_code


def _document(report: Report) -> dict[str, Any]:
    applied = report.applied
    assert applied is not None
    return {
        "plan_id": report.plan_file.header.plan_id,
        "cycle": report.cycle,
        "verdict": applied.verdict,
        "message": applied.message,
        "outcomes": [
            {
                "key": str(outcome.key),
                "verb": outcome.verb,
                "result": outcome.result,
                "message": outcome.message,
                "seconds": round(outcome.seconds, 3),
            }
            for outcome in applied.outcomes
        ],
    }
