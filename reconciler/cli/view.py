"""How results look: text, with colour where a terminal shows it, or JSON and YAML for programs.

In: values that were masked where they were made. Out: standard output. Never: a decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from desired_state.masking import Masker
    from desired_state.objects import Rendering
    from diff.compare import ObjectHistory
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


def console() -> Console:
    """Standard output: colour only on a terminal; lines are never folded, so that they can be searched."""
    from rich.console import Console

    out = Console(highlight=False, soft_wrap=True)
    if not out.is_terminal:
        out.width = 400  # Rich folds tables at 80 columns where there is no terminal to ask.
    return out


def data(value: Any, *, output: str) -> None:
    """The value itself. YAML is told what JSON would say: both have the same keys, and enums are words in both."""
    json_text = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    click.echo(json_text.decode() if output == "json" else _yaml(orjson.loads(json_text)), nl=False)


def told(text: str, value: Any, *, output: str) -> None:
    """One sentence for people, the value behind it for programs."""
    if output == "text":
        click.echo(text)
    else:
        data(value, output=output)


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


def plan(plan_file: PlanFile, *, output: str, written_to: Path | None) -> None:
    from diff.plan_file import document

    if output != "text":
        data(document(plan_file), output=output)
        return
    explained(plan_file.plan, console())
    if written_to:
        click.echo(f"\nWritten to {written_to}. To apply exactly this: orchest apply {written_to}")


def explained(plan: Plan, out: Console) -> None:
    """The plan in words."""
    from diff.explain import explain

    _lines(explain(plan), out)


def summarized(plan: Plan, out: Console) -> None:
    """The plan in one line."""
    from diff.explain import summary

    out.print(summary(plan), markup=False)


def differences(plan: Plan, *, output: str) -> None:
    """Every field, also those of objects that are new."""
    from diff.explain import Detail, explain
    from diff.plan_file import plan_document

    if output != "text":
        data(plan_document(plan), output=output)
    else:
        _lines(explain(plan, Detail(creations=True)), console())


def snapshot(taken: Snapshot, *, output: str) -> None:
    if output != "text":
        data([seen.content for _, seen in sorted(taken.objects.items())], output=output)
        return
    facts = taken.facts
    click.echo(f"{taken.cluster.namespace}/{taken.cluster.name} at {taken.taken_at}, Kubernetes {facts.server_version}")
    table = table_of("object", "uid", "resource version")
    for key, seen in sorted(taken.objects.items()):
        table.add_row(str(key), seen.uid, seen.resource_version)
    console().print(table)


def histories(changed: Sequence[ObjectHistory], *, output: str) -> None:
    """What became of each object between two snapshots."""
    from diff.explain import explain_histories

    if output != "text":
        data([_history_document(history) for history in changed], output=output)
    elif changed:
        _lines(explain_histories(changed), console())
    else:
        click.echo("No differences.")


def cycles(records: Sequence[CycleRecord], *, output: str) -> None:
    if output != "text":
        data([_cycle_document(record) for record in records], output=output)
        return
    if not records:
        click.echo("Nothing was applied from this history yet.")
        return
    table = table_of("cycle", "started", "cluster", "revision", "outcome", "actions")
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
            {
                "key": one.object_key,
                "verb": one.verb,
                "reason": one.reason,
                "result": one.result,
                "message": one.message,
            }
            for one in detail.outcomes
        ]
        data({**_cycle_document(record), "outcomes": outcomes}, output=output)
        return
    click.echo(f"cycle    {record.id}\nplan     {record.plan_id}\nfrom     {record.origin}")
    click.echo(f"outcome  {record.outcome}" + (f": {record.message}" if record.message else ""))
    table = table_of("object", "verb", "reason", "result", "seconds", "message")
    for one in detail.outcomes:
        table.add_row(one.object_key, one.verb, one.reason, one.result, f"{one.seconds:.1f}", one.message)
    console().print(table)


def status(observed: Mapping[str, Any], *, output: str) -> None:
    stored = observed.get("status") or {}
    if output != "text":
        data({"status": stored.get("state", ""), **stored}, output=output)
        return
    click.echo(f"state    {stored.get('state', 'Unknown')}\nversion  {stored.get('version', '')}")
    table = table_of("condition", "status", "reason", "message")
    for condition in stored.get("conditions") or ():
        if "type" in condition:
            names = ("type", "status", "reason", "message")
            table.add_row(*(str(condition.get(name, "")) for name in names))
    console().print(table)


def _history_document(history: ObjectHistory) -> dict[str, Any]:
    """An absent side has no key, as in a plan file."""
    from diff.action import ABSENT

    changes = [
        {"path": path, **{name: side for name, side in (("before", before), ("after", after)) if side is not ABSENT}}
        for path, before, after in history.changes
    ]
    return {"key": str(history.key), "verb": history.verb, "changes": changes}


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


def _lines(styled: Iterable[Line], out: Console) -> None:
    from rich.text import Text

    for line in styled:
        out.print(Text.assemble(*((text, _STYLES.get(style, "")) for style, text in line)))


def table_of(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in {"cycle", "started"})
    return table


def _yaml(value: Any) -> str:
    from desired_state.yaml_text import to_yaml

    return to_yaml(value)
