"""`events`: what happened, who was told, and what there is to hear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import click

from reconciler.cli.instant import Instant
from reconciler.cli.options import output_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from uuid import UUID

    from outbox.delivery.listing import DeliveryView
    from outbox.events.records import EventFilter, EventRecord

_MOST_ROWS = 1000


class Events(Protocol):
    """What these commands ask for, of a database or of an API."""

    def list(self, wanted: EventFilter, before: UUID | None, limit: int) -> Sequence[EventRecord]:
        """Newest first. `before`: the last of the page before this one."""

    def show(self, reference: str) -> tuple[EventRecord, Sequence[DeliveryView]]:
        """With who was told. Raises UnknownEventError."""

    def follow(self, wanted: EventFilter) -> Iterator[EventRecord]:
        """What happens from now on, each once."""


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
    from outbox.events.records import EventFilter
    from reconciler.cli import outbox_view, wiring

    wanted = EventFilter(pattern, project, since=since)
    with wiring.events() as known:
        found = known.list(wanted, before, limit)
    outbox_view.events(found, output=output)


@events.command()
@click.argument("event")
@output_option
def show(event: str, output: str) -> None:
    """Show one: its payload, and who was told."""
    from reconciler.cli import outbox_view, wiring

    with wiring.events() as known:
        found, told = known.show(event)
    outbox_view.event(found, told, output=output)


@events.command()
@click.option(
    "--type", "pattern", metavar="TYPE", default="*", show_default=True, help="Only these: a type or 'project:*'."
)
@click.option("--project", type=click.UUID, metavar="UUID", help="Only events of this project.")
@output_option
def follow(*, pattern: str, project: UUID | None, output: str) -> None:
    """Show events as they happen, until stopped.

    One line each; with -o json one JSON object on each line.
    """
    from outbox.events.records import EventFilter
    from reconciler.cli import outbox_view, wiring

    with wiring.events() as known:
        for one in known.follow(EventFilter(pattern, project)):
            outbox_view.event_line(one, output=output)


@events.command()
@output_option
def types(output: str) -> None:
    """List the types of events that a webhook can hear."""
    from outbox.events.types import EventType
    from reconciler.cli import view

    view.told("\n".join(EventType), list(EventType), output=output)
