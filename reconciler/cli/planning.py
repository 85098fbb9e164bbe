"""`render`, `plan`, `diff`, `apply`: from a manifest to a plan, and from a plan to the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

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
    from collections.abc import Mapping

    from desired_state.objects import ObjectKey
    from diff.plan import Plan
    from diff.plan_file import PlanFile
    from reconciler.source import Documents


@dataclass(frozen=True, slots=True)
class Terms:
    """How an apply is to go about it."""

    is_agreed: bool
    force_conflicts: bool
    allow_prune: bool
    timeout_seconds: int | None
    output: str


class Clusters(Protocol):
    """What commands ask of clusters, with a kubeconfig or of an API."""

    keeps_plans: bool
    """Whether a plan that was made can be applied by its id."""

    def status(self, key: ObjectKey) -> Mapping[str, Any]:
        """The OrchestCluster, with its status. Raises NotFound."""

    def plan(self, chosen: Chosen, read: Documents, *, is_kept: bool, hours: int) -> PlanFile:
        """`chosen` out of what was `read`; `is_kept`: it will be compared with a later one."""

    def apply(self, plan_reference: str | None, source: Input, terms: Terms) -> int:
        """Shows what it does, and returns the exit code. `plan_reference`: a plan file, or with an API also an id."""


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

    read = source.read()
    chosen = choose(read, target)
    with wiring.clusters(target, snapshot_file) as clusters:
        plan_file = clusters.plan(chosen, read, is_kept=out is not None, hours=expires_hours)
        is_stored = clusters.keeps_plans
    if out:
        write_private(out, dump(plan_file))
    view.plan(plan_file, output=output, written_to=out)
    if is_stored and not plan_file.plan.is_empty:
        click.echo(f"Stored by the API. To apply exactly this: orchest apply {plan_file.header.plan_id}", err=True)
    _refuse(plan_file.plan)
    return _exit_code_of_changes(plan_file.plan, detailed=detailed_exitcode)


@click.command()
@input_options
@target_options
@snapshot_option
@detailed_option
@output_option
def diff(source: Input, target: Target, snapshot_file: str | None, detailed_exitcode: bool, output: str) -> int:
    """Show every field that differs: Git's changes and drift alike."""
    from reconciler.cli import view, wiring
    from reconciler.cli.local_clusters import prepared

    made = prepared(choose(source.read(), target), target, snapshot_file, wiring.masker()).plan
    view.differences(made, output=output)
    return _exit_code_of_changes(made, detailed=detailed_exitcode)


@click.command()
@click.argument("plan_reference", metavar="[PLAN.json]", required=False)
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
    plan_reference: str | None,
    source: Input,
    target: Target,
    yes: bool,
    force_conflicts: bool,
    allow_prune: bool,
    timeout_seconds: int | None,
    output: str,
) -> int:
    """Make the cluster what Git says: exactly the plan, or nothing.

    With PLAN.json exactly that plan is applied, or refused when the world has changed since it was made. Over an API
    PLAN may also be the id of a plan that it stored, and nothing else can be applied.
    """
    from reconciler.cli import wiring

    if plan_reference and (source.paths or source.git):
        raise click.UsageError("Give either a plan, or manifests by -f or --git.")
    terms = Terms(yes, force_conflicts, allow_prune, timeout_seconds, output)
    with wiring.clusters(target) as clusters:
        return clusters.apply(plan_reference, source, terms)


def _refuse(plan: Plan) -> None:
    """Raises Refused for a plan that apply refuses whatever it is allowed."""
    if any(note.severity is Severity.REFUSAL for note in plan.notes):
        from reconciler.apply import Permissions, refuse

        refuse(plan, Permissions(force_conflicts=True, prune=True))


def _exit_code_of_changes(plan: Plan, *, detailed: bool) -> int:
    return ExitCode.CHANGES if detailed and not plan.is_empty else ExitCode.DONE
