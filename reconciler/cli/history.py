"""`history`: what was done to clusters, by whom asked, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import click

from reconciler.cli.options import output_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.history import CycleDetail, CycleRecord


class Cycles(Protocol):
    """What this command asks for, of a database or of an API."""

    def list(self, limit: int) -> Sequence[CycleRecord]:
        """The newest first."""

    def show(self, cycle: str) -> CycleDetail:
        """By id, or by its start as far as it is unique. Raises HistoryError."""


@click.command()
@click.argument("cycle", required=False)
@click.option(
    "--limit", metavar="COUNT", type=click.IntRange(1), default=20, show_default=True, help="How many cycles to list."
)
@output_option
def history(cycle: str | None, limit: int, output: str) -> None:
    """List past applies, or show one, action by action."""
    from reconciler.cli import view, wiring

    with wiring.cycles() as records:
        if cycle:
            view.cycle(records.show(cycle), output=output)
        else:
            view.cycles(records.list(limit), output=output)
