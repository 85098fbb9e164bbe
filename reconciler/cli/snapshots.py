"""`snapshot save|show|diff`: states of a cluster as files, masked, to look at and to plan against offline."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.options import Target, output_option, target_options


@click.group()
def snapshot() -> None:
    """Save, show and compare states of a cluster."""


@snapshot.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@target_options
@output_option
def save(file: Path, target: Target, output: str) -> None:
    """Write the objects and facts of a cluster to FILE. Secrets are masked."""
    from diff.snapshot_file import dump
    from reconciler.cli import view, wiring
    from reconciler.files import write_private
    from reconciler.observe import observe, observe_facts

    masker = wiring.masker()
    client = wiring.client(target, masker)
    taken = observe(client, target.cluster_key, (), observe_facts(client))
    write_private(file, dump(taken, masker))
    place = f"{taken.cluster.namespace}/{taken.cluster.name}"
    text = f"Saved {len(taken.objects)} objects of {place} to {file}."
    view.told(text, {"file": str(file), "cluster": place, "objects": len(taken.objects)}, output=output)


@snapshot.command()
@click.argument("reference", metavar="FILE|CYCLE")
@output_option
def show(reference: str, output: str) -> None:
    """Show a saved snapshot, or what a cycle left behind."""
    from reconciler.cli import view, wiring

    view.snapshot(wiring.saved_snapshot(reference), output=output)


@snapshot.command()
@click.argument("before", metavar="FILE|CYCLE")
@click.argument("after", metavar="FILE|CYCLE")
@click.option("--detailed-exitcode", is_flag=True, help="Return 2 when the snapshots differ.")
@output_option
def diff(before: str, after: str, detailed_exitcode: bool, output: str) -> int:
    """Show what changed between two snapshots. CYCLE is an id of `orchest history`; CYCLE^ is the state before it."""
    from diff.compare import compare_snapshots
    from reconciler.cli import view, wiring

    changes = compare_snapshots(wiring.saved_snapshot(before), wiring.saved_snapshot(after))
    view.histories(changes, output=output)
    return ExitCode.CHANGES if detailed_exitcode and changes else ExitCode.DONE
