"""`status`: what the OrchestCluster says of itself."""

from __future__ import annotations

import click

from reconciler.cli.options import Target, output_option, target_options


@click.command()
@target_options
@output_option
def status(target: Target, output: str) -> None:
    """Show the state, version and conditions of a cluster."""
    from reconciler.cli import view, wiring

    with wiring.clusters(target) as clusters:
        observed = clusters.status(target.cluster_key)
    view.status(observed, output=output)
