"""How results look: text with colour where a terminal shows it, or JSON and YAML for programs. Results go to standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console
    from rich.table import Table

    from desired_state.masking import Masker
    from desired_state.objects import Rendering
    from diff.compare import SnapshotChange
    from diff.explain import Line
    from diff.plan import Plan
    from diff.plan_file import PlanFile
    from diff.snapshot import Snapshot
    from reconciler.history import CycleDetail, CycleRecord

_STYLES = {
    "create": "green",
    "update": "yellow",
    "replace": "bold magenta",
    "delete": "red",
    "adopt": "cyan",
    "generate": "green",
    "wait": "blue",
    "keep": "blue",
    "heading": "bold",
    "object": "bold",
    "reason": "italic",
    "before": "red",
    "after": "green",
    "manager": "magenta",
    "muted": "dim",
    "info": "cyan",
    "warning": "yellow",
    "refusal": "bold red",
}
_OUTCOME_STYLES = {"done": "green", "failed": "red", "stale": "red", "interrupted": "yellow", "running": "blue"}


def console(*, stderr: bool = False) -> Console:
    """Colour only on a terminal; lines are never folded, so that they can be searched."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def data(value: Any, *, output: str) -> None:
    """The value itself, as JSON or YAML."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n" if output == "json" else _yaml(value), nl=False)


def rendering(rendered: Rendering, *, output: str, masker: Masker) -> None:
    from desired_state.objects import UnknownValue
    from diff.known import resolve

    placeholders = {value: f"(known after apply: {value})" for value in UnknownValue}
    objects = [masker.mask_content(resolve(desired.manifest.content, placeholders)) for desired in rendered.objects]
    if output == "json":
        data({"apiVersion": "v1", "kind": "List", "items": objects}, output=output)
    else:
        click.echo("---\n".join(map(_yaml, objects)), nl=False)
    for note in rendered.notes:
        click.echo(f"{note.severity}: {note.path}: {note.message}", err=True)


def plan(plan_file: PlanFile, *, output: str, written_to: str | None) -> None:
    from diff.plan_file import document

    if output != "text":
        data(document(plan_file), output=output)
        return
    explained(plan_file.plan)
    if written_to:
        click.echo(f"\nWritten to {written_to}. To apply exactly this: orchest apply {written_to}")


def explained(plan: Plan, *, stderr: bool = False) -> None:
    from diff.explain import explain

    _lines(explain(plan), stderr=stderr)


def differences(plan: Plan) -> None:
    """Every field, also those of objects that are new."""
    from diff.explain import Detail, explain

    _lines(explain(plan, Detail(creations=True)))


def snapshot(taken: Snapshot, *, output: str) -> None:
    if output != "text":
        data([seen.content for _, seen in sorted(taken.objects.items())], output=output)
        return
    facts = taken.facts
    click.echo(f"{taken.cluster.namespace}/{taken.cluster.name} at {taken.taken_at}, Kubernetes {facts.server_version}")
    table = _table("object", "uid", "resource version")
    for key, seen in sorted(taken.objects.items()):
        table.add_row(str(key), seen.uid, seen.resource_version)
    console().print(table)


def snapshot_changes(changes: Sequence[SnapshotChange], *, output: str) -> None:
    from diff.explain import explain_snapshot_changes
    from diff.compare import snapshot_changes_document

    if output != "text":
        data(snapshot_changes_document(changes), output=output)
    elif changes:
        _lines(explain_snapshot_changes(changes), stderr=False)
    else:
        click.echo("No differences.")


def cycles(records: Sequence[CycleRecord], *, output: str) -> None:
    if output != "text":
        data([_cycle_document(record) for record in records], output=output)
        return
    if not records:
        click.echo("Nothing was applied from this history yet.")
        return
    table = _table("cycle", "started", "cluster", "revision", "outcome", "actions")
    for record in records:
        table.add_row(
            str(record.id)[:8],
            f"{record.started_at:%Y-%m-%d %H:%M:%S}",
            f"{record.cluster.namespace}/{record.cluster.name}",
            _revision(record),
            f"[{_OUTCOME_STYLES[record.outcome]}]{record.outcome}",
            ", ".join(f"{count} {result}" for result, count in sorted(record.counts.items())),
        )
    console().print(table)


def cycle(detail: CycleDetail, *, output: str) -> None:
    record = detail.cycle
    if output != "text":
        outcomes = [
            {"key": one.object_key, "verb": one.verb, "reason": one.reason, "result": one.result, "message": one.message}
            for one in detail.outcomes
        ]
        data({**_cycle_document(record), "outcomes": outcomes}, output=output)
        return
    click.echo(f"cycle    {record.id}\nplan     {record.plan_id}\nfrom     {record.origin}")
    click.echo(f"outcome  {record.outcome}" + (f": {record.message}" if record.message else ""))
    table = _table("object", "verb", "reason", "result", "seconds", "message")
    for one in detail.outcomes:
        table.add_row(one.object_key, one.verb, one.reason, one.result, f"{one.seconds:.1f}", one.message)
    console().print(table)


def status(observed: Mapping[str, Any], *, output: str) -> None:
    stored = observed.get("status") or {}
    if output != "text":
        data({"status": stored.get("state", ""), **stored}, output=output)
        return
    click.echo(f"state    {stored.get('state', 'Unknown')}\nversion  {stored.get('version', '')}")
    table = _table("condition", "status", "reason", "message")
    for condition in stored.get("conditions") or ():
        if "type" in condition:
            names = ("type", "status", "reason", "message")
            table.add_row(*(str(condition.get(name, "")) for name in names))
    console().print(table)


def _cycle_document(record: CycleRecord) -> dict[str, Any]:
    return {
        "id": str(record.id),
        "cluster": f"{record.cluster.namespace}/{record.cluster.name}",
        "plan_id": record.plan_id,
        "origin": str(record.origin),
        "commit": record.origin.commit,
        "started_at": record.started_at.isoformat(),
        "finished_at": record.finished_at.isoformat() if record.finished_at else None,
        "outcome": record.outcome,
        "message": record.message,
        "counts": dict(record.counts),
    }


def _revision(record: CycleRecord) -> str:
    origin = record.origin
    return f"{origin.revision} ({origin.commit[:7]})" if origin.commit else str(origin.kind)


def _lines(styled: Iterable[Line], *, stderr: bool = False) -> None:
    from rich.text import Text

    out = console(stderr=stderr)
    for line in styled:
        out.print(Text.assemble(*((text, _STYLES.get(style, "")) for style, text in line)))


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in {"cycle", "started"})
    return table


def _yaml(value: Any) -> str:
    from desired_state.yaml_text import to_yaml

    return to_yaml(value)
