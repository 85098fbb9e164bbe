"""`render`, `plan`, `diff`, `apply`: from a manifest to a plan, and from a plan to the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from desired_state.objects import Severity
from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.options import (
    Chosen,
    Input,
    Target,
    choose,
    cluster_options,
    input_options,
    output_option,
    target_options,
)

if TYPE_CHECKING:
    from desired_state.masking import Masker
    from diff.plan import Plan
    from diff.plan_file import PlanFile
    from reconciler.prepare import Prepared

detailed_option = click.option(
    "--detailed-exitcode", is_flag=True, help="Return 2 when there are changes, 0 when there are none."
)
snapshot_option = click.option(
    "--snapshot", "snapshot_file", metavar="FILE", help="Work offline against a saved snapshot instead of a server."
)


@click.command()
@input_options
@cluster_options
@snapshot_option
@output_option
def render(source: Input, target: Target, snapshot_file: str | None, output: str) -> None:
    """Print the objects an OrchestCluster means. Never talks to a server.

    Cluster facts (container runtime, storage and ingress classes) come from --snapshot; without it the usual ones are
    assumed.
    """
    from reconciler.cli import view, wiring
    from reconciler.prepare import ASSUMED_FACTS, observed_registries
    from render.cluster import render as render_cluster

    chosen = choose(source.read(), target)
    if snapshot_file:
        snapshot = wiring.saved_snapshot(snapshot_file)
        former = observed_registries(snapshot, chosen.cluster.key)
        rendering = render_cluster(chosen.cluster, snapshot.facts, former_registries=former)
    else:
        rendering = render_cluster(chosen.cluster, ASSUMED_FACTS)
    view.rendering(rendering, output=output, masker=wiring.masker())


@click.command()
@input_options
@target_options
@snapshot_option
@detailed_option
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the plan to a file that `orchest apply FILE` takes.",
)
@click.option(
    "--expires",
    "expires_hours",
    metavar="HOURS",
    type=click.IntRange(1, 24 * 366),
    default=24,
    show_default=True,
    help="How long the written plan may be applied.",
)
@output_option
def plan(
    *,
    source: Input,
    target: Target,
    snapshot_file: str | None,
    detailed_exitcode: bool,
    out: Path | None,
    expires_hours: int,
    output: str,
) -> int:
    """Show what would change in the cluster, and why. Writes nothing there."""
    from diff.plan_file import dump
    from reconciler.cli import view, wiring
    from reconciler.files import write_private
    from reconciler.plans import as_plan_file

    masker = wiring.masker(stable=out is not None)
    chosen = choose(source.read(), target)
    prepared = _prepare(chosen, target, snapshot_file, masker)
    plan_file = as_plan_file(prepared.plan, chosen.origin, lifetime_hours=expires_hours)
    if out:
        write_private(out, dump(plan_file))
    view.plan(plan_file, output=output, written_to=out)
    _refuse(prepared.plan)
    return _exit_code_of_changes(prepared.plan, detailed=detailed_exitcode)


@click.command()
@input_options
@target_options
@snapshot_option
@detailed_option
@output_option
def diff(source: Input, target: Target, snapshot_file: str | None, detailed_exitcode: bool, output: str) -> int:
    """Show every field that differs: Git's changes and drift alike."""
    from reconciler.cli import view, wiring

    prepared = _prepare(choose(source.read(), target), target, snapshot_file, wiring.masker())
    view.differences(prepared.plan, output=output)
    return _exit_code_of_changes(prepared.plan, detailed=detailed_exitcode)


@click.command()
@click.argument("plan_path", metavar="[PLAN.json]", required=False)
@input_options
@target_options
@click.option("--yes", is_flag=True, help="Do not ask before applying.")
@click.option("--force-conflicts", is_flag=True, help="Take fields over from other server-side apply managers.")
@click.option("--allow-prune", is_flag=True, help="Allow deleting more objects than the safety rule does.")
@click.option(
    "--timeout",
    "timeout_seconds",
    metavar="SECONDS",
    type=click.IntRange(1),
    help="How long to wait for each object to become ready.",
)
@output_option
def apply(
    *,
    plan_path: str | None,
    source: Input,
    target: Target,
    yes: bool,
    force_conflicts: bool,
    allow_prune: bool,
    timeout_seconds: int | None,
    output: str,
) -> int:
    """Make the cluster what Git says: exactly the plan, or nothing.

    With PLAN.json exactly that plan is applied, or refused when the world has changed since it was made.
    """
    from reconciler.apply import Permissions
    from reconciler.cli import wiring
    from reconciler.cli.screen import ApplyScreen
    from reconciler.cycle import Order, reconcile
    from reconciler.plans import read_plan_file

    if plan_path and (source.paths or source.git):
        raise click.UsageError("Give either a plan file, or manifests by -f or --git.")
    masker = wiring.masker(stable=True)
    saved = read_plan_file(Path(plan_path)) if plan_path else None
    chosen = _reread(saved) if saved else choose(source.read(), target)
    permissions = Permissions(force_conflicts=force_conflicts, prune=allow_prune)
    order = Order(chosen.cluster, chosen.origin, permissions, saved=saved, timeout_seconds=timeout_seconds)
    client = wiring.client(target, masker)
    with (
        wiring.recording() as recording,
        ApplyScreen(output=output, is_agreed=yes, is_reviewed=saved is not None) as screen,
    ):
        return screen.report(reconcile(order, client, masker, recording, screen))


def _reread(saved: PlanFile) -> Chosen:
    """The saved plan's cluster, from where its manifests were read. Raises Stale when they are others now."""
    from reconciler.errors import Stale
    from reconciler.source import reread

    key = saved.plan.cluster
    documents = reread(saved.header.origin)
    if documents.origin.content_digest != saved.header.origin.content_digest:
        raise Stale(
            f"{saved.header.origin} was changed since the plan was made. Make a new one with: orchest plan --out FILE"
        )
    target = Target(None, None, key.namespace, key.name)
    return Chosen(choose(documents, target).cluster, saved.header.origin)


def _prepare(chosen: Chosen, target: Target, snapshot_file: str | None, masker: Masker) -> Prepared:
    from reconciler.cli import wiring
    from reconciler.prepare import prepare, prepare_offline

    if snapshot_file:
        return prepare_offline(chosen.cluster, wiring.saved_snapshot(snapshot_file), masker)
    return prepare(chosen.cluster, wiring.client(target, masker), masker)


def _refuse(plan: Plan) -> None:
    """Raises Refused for a plan that apply refuses whatever it is allowed."""
    if any(note.severity is Severity.REFUSAL for note in plan.notes):
        from reconciler.apply import Permissions, refuse

        refuse(plan, Permissions(force_conflicts=True, prune=True))


def _exit_code_of_changes(plan: Plan, *, detailed: bool) -> int:
    return ExitCode.CHANGES if detailed and not plan.is_empty else ExitCode.DONE
