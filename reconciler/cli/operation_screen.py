"""What a person sees of an apply that an API carries out: the plan in a line, then each action as it ends.

In: the operation, again and again. Out: lines on standard error; at the end what `orchest apply` prints of its own
applies, with the same exit codes. Never: a decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import view
from reconciler.cli.exit_codes import ExitCode
from reconciler.errors import Refused, Stale
from reconciler.history import ActionOutcome  # noqa: TC001 - answers of the API are parsed into this

if TYPE_CHECKING:
    from diff.plan_file import PlanFile

_RUNNING = "running"
_VERDICTS = {"succeeded": "done", "failed": "failed", "stale": "stale", "interrupted": "interrupted"}
_EXIT_CODES = {
    "succeeded": ExitCode.DONE,
    "failed": ExitCode.ERROR,
    "stale": ExitCode.STALE,
    "interrupted": ExitCode.INTERRUPTED,
}


@dataclass(frozen=True, slots=True)
class OperationSeen:
    """How far it is."""

    state: str
    message: str
    progress: str
    cycle_uuid: str | None
    outcomes: tuple[ActionOutcome, ...]

    @property
    def has_ended(self) -> bool:
        return self.state != _RUNNING


class OperationScreen:
    def __init__(self, *, output: str) -> None:
        self._output = output
        self._told = 0
        self._progress = ""

    def summarize(self, plan_file: PlanFile) -> None:
        if self._output == "text":
            from diff.explain import summary

            click.echo(summary(plan_file.plan), err=True)

    def show(self, seen: OperationSeen) -> None:
        """What is new since the last look."""
        for one in seen.outcomes[self._told :]:
            tail = f": {one.message}" if one.message and one.result != "done" else ""
            click.echo(f"  {one.result:<11} {one.verb} {one.object_key} ({one.seconds:.1f} s){tail}", err=True)
        self._told = len(seen.outcomes)
        if seen.progress and seen.progress != self._progress:
            click.echo(f"  {seen.progress}", err=True)
        self._progress = seen.progress

    def report(self, ended: OperationSeen, plan_id: str) -> int:
        """Prints how it ended and returns the exit code. Raises Refused, Stale when nothing was written."""
        if ended.state == "refused":
            raise Refused(ended.message)
        if ended.state == "stale" and ended.cycle_uuid is None:
            raise Stale(ended.message)
        if self._output != "text":
            view.data(_document(ended, plan_id), output=self._output)
        elif ended.state != "succeeded":
            click.echo(f"Error: {ended.message}", err=True)
        elif ended.cycle_uuid is None:
            click.echo("In sync: nothing was written.")
        else:
            click.echo(f"Applied: {sum(one.result == 'done' for one in ended.outcomes)} actions done.")
        if ended.cycle_uuid:
            click.echo(f"Recorded as {ended.cycle_uuid[:8]}: orchest history {ended.cycle_uuid[:8]}", err=True)
        return _EXIT_CODES.get(ended.state, ExitCode.ERROR)


def _document(ended: OperationSeen, plan_id: str) -> dict[str, Any]:
    return {
        "plan_id": plan_id,
        "cycle": ended.cycle_uuid,
        "verdict": _VERDICTS.get(ended.state, ended.state),
        "message": ended.message,
        "outcomes": [
            {
                "key": one.object_key,
                "verb": one.verb,
                "result": one.result,
                "message": one.message,
                "seconds": round(one.seconds, 3),
            }
            for one in ended.outcomes
        ],
    }
