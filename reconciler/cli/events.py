"""`events`: what happened, who was told, and what there is to hear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.instant import Instant
from reconciler.cli.options import output_option

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

_MOST_ROWS = 1000


@click.group()
def events() -> None:
    """What happened, who was told, and what there is to hear."""


@events.command("list")
@click.option(
    "--type", "pattern", metavar="TYPE", default="*", show_default=True, help="Only these: a type or 'project:*'."
)
@click.option("--project", type=click.UUID, metavar="UUID", help="Only events of this project.")
@click.option("--since", type=Instant(), help="Not older: 2026-11-22T14:00, or 2h for two hours ago.")
@click.option(
    "--limit", metavar="COUNT", type=click.IntRange(1, _MOST_ROWS), default=20, show_default=True, help="How many."
)
@click.option("--before", type=click.UUID, metavar="UUID", help="The next page: those older than this event.")
@output_option
def list_events(
    *, pattern: str, project: UUID | None, since: datetime | None, limit: int, before: UUID | None, output: str
) -> None:
    """List events, newest first."""
    from outbox.events import records
    from reconciler.cli import outbox_view, wiring

    wanted = records.EventFilter(pattern, project, since=since)
    with wiring.database() as database, database.reading() as session:
        found = records.list_events(session, wanted, before, limit)
    outbox_view.events(found, output=output)


@events.command()
@click.argument("event")
@output_option
def show(event: str, output: str) -> None:
    """Show one: its payload, and who was told."""
    from outbox.delivery.listing import deliveries_of_event
    from outbox.events.records import find_event
    from reconciler.cli import outbox_view, wiring

    with wiring.database() as database, database.reading() as session:
        found = find_event(session, event)
        told = deliveries_of_event(session, found.uuid)
    outbox_view.event(found, told, output=output)


@events.command()
@output_option
def types(output: str) -> None:
    """List the types of events that a webhook can hear."""
    from outbox.events.types import EventType
    from reconciler.cli import view

    view.told("\n".join(EventType), list(EventType), output=output)
