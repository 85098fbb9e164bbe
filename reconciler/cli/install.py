"""`install`: what a Kubernetes cluster needs before its first OrchestCluster."""

from __future__ import annotations

import click

from reconciler.cli.options import Target, output_option, server_options


@click.command()
@click.option("--crds", is_flag=True, help="Install or update the OrchestCluster CRD.")
@server_options
@output_option
def install(crds: bool, target: Target, output: str) -> None:
    """Prepare a Kubernetes cluster for Orchest."""
    from reconciler.cli import view, wiring
    from reconciler.crd import install_crd

    if not crds:
        raise click.UsageError("Say what to install: --crds.")
    client = wiring.client(target, wiring.masker())
    state = install_crd(client)
    text = f"The OrchestCluster CRD is {state} on {client.server}."
    view.told(text, {"crd": state, "server": client.server}, output=output)
