"""`history`: what was done to clusters, by whom asked, and how it ended."""

from __future__ import annotations

import click

from reconciler.cli.options import output_option


@click.command()
@click.argument("cycle", required=False)
@click.option(
    "--limit", metavar="COUNT", type=click.IntRange(1), default=20, show_default=True, help="How many cycles to list."
)
@output_option
def history(cycle: str | None, limit: int, output: str) -> None:
    """List past applies, or show one, action by action."""
    from reconciler.cli import view, wiring

    with wiring.history() as records:
        if cycle:
            view.cycle(records.show(cycle), output=output)
        else:
            view.cycles(records.list(limit), output=output)
