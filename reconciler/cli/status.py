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
    from reconciler.errors import NotFound

    observed = wiring.client(target, wiring.masker()).get(target.cluster_key)
    if observed is None:
        place = f"{target.cluster_key.namespace}/{target.cluster_key.name}"
        raise NotFound(
            f"There is no OrchestCluster {place}. Choose another by -n and -c, or make it: orchest apply -f FILE"
        )
    view.status(observed, output=output)
