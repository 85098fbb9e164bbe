"""`install`: what a Kubernetes cluster needs before its first OrchestCluster."""

from __future__ import annotations

import click

from reconciler.cli.options import Target, target_options


@click.command()
@click.option("--crds", is_flag=True, help="Install or update the OrchestCluster CRD.")
@target_options
def install(crds: bool, target: Target) -> None:
    """Prepare a Kubernetes cluster for Orchest."""
    from reconciler.cli import wiring
    from reconciler.crd import install_crd

    if not crds:
        raise click.UsageError("Say what to install: --crds.")
    client = wiring.client(target, wiring.masker())
    click.echo(f"The OrchestCluster CRD is {install_crd(client)} on {client.server}.")
