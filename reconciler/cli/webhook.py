"""`webhook`: who is told of what, whether they heard, and once more if not."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import IO, TYPE_CHECKING

import click

from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.instant import Instant
from reconciler.cli.options import output_option

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from outbox.database import Database
    from outbox.subscribers.webhook import WebhookView

_CONTENT_TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
_MOST_ROWS = 1000

_content_type_option = click.option(
    "--content-type", type=click.Choice(list(_CONTENT_TYPES)), default="json", show_default=True, help="Of the body."
)
_header_option = click.option(
    "--header", "headers", metavar="'NAME: VALUE'", multiple=True, help="Sent along; may be given several times."
)
_insecure_option = click.option(
    "--insecure-tls", is_flag=True, help="Do not verify the certificate; needs ORCHEST_ALLOW_INSECURE_TLS=1."
)
_secret_option = click.option(
    "--secret-file",
    type=click.File("r"),
    metavar="FILE|-",
    help="The receiver's own signing secret.  [default: one is made and shown once]",
)
_yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def webhook() -> None:
    """Tell other programs what happens.

    Signed HTTP requests, tried until they arrive.

    A webhook is given by its name, its uuid, or what only one of them begins with.
    """


@webhook.command()
@click.argument("name")
@click.option("--url", required=True, metavar="URL|-", help="The receiver; - reads it from standard input.")
@click.option(
    "--event",
    "patterns",
    metavar="TYPE",
    multiple=True,
    required=True,
    help="What it hears: a type, 'project:*' or '*'; may be given several times.",
)
@click.option("--project", type=click.UUID, metavar="UUID", help="Only events of this project.")
@click.option("--job", type=click.UUID, metavar="UUID", help="Only events of this job of the project.")
@_content_type_option
@_header_option
@_secret_option
@_insecure_option
@click.option("--max-in-flight", type=int, default=16, show_default=True, help="Requests under way at once.")
@click.option("--rate", type=float, metavar="PER_SECOND", help="Attempts that begin per second.  [default: any]")
@output_option
def add(
    *,
    name: str,
    url: str,
    patterns: tuple[str, ...],
    project: UUID | None,
    job: UUID | None,
    content_type: str,
    headers: tuple[str, ...],
    secret_file: IO[str] | None,
    insecure_tls: bool,
    max_in_flight: int,
    rate: float | None,
    output: str,
) -> None:
    """Add a receiver of events; its secret is shown this once.

    \b
    orchest webhook add ci --url https://ci.example.com/hook --event 'project:one-off-job:*'
    """  # noqa: D301 - the backspace itself tells click to leave the lines as they are
    from outbox.subscribers import administration
    from outbox.subscribers.patterns import Interest
    from outbox.subscribers.webhook import WebhookSpec
    from reconciler.cli import outbox_view, wiring

    asked = WebhookSpec(
        name=name,
        url=_read_url(url),
        subscriptions=tuple(Interest(pattern, project, job) for pattern in patterns),
        content_type=_CONTENT_TYPES[content_type],
        headers=tuple(_header(text) for text in headers),
        verify_ssl=not insecure_tls,
        max_in_flight=max_in_flight,
        rate_per_second=rate,
    )
    given, made = _secrets(secret_file)
    now = datetime.now(UTC)
    with wiring.database() as database:
        ring = wiring.key_ring(database)
        with database.writing() as session:
            _refuse_twice(asked.name, administration.webhooks(session, now))
            permission = wiring.permission()
            added = administration.add(session, asked, given or made, permission=permission, key_ring=ring, now=now)
    outbox_view.with_secret(added, "Added webhook", made, output=output)


@webhook.command("list")
@output_option
def list_webhooks(output: str) -> None:
    """List the receivers and whether they are enabled."""
    from outbox.subscribers import administration
    from reconciler.cli import outbox_view, wiring

    with wiring.database() as database, database.reading() as session:
        found = administration.webhooks(session, datetime.now(UTC))
    outbox_view.webhooks(found, output=output)


@webhook.command()
@click.argument("name")
@output_option
def show(name: str, output: str) -> None:
    """Show one: what it hears, its limits, its health.

    Never its secret, or more of its URL than the host.
    """
    from reconciler.cli import outbox_view, wiring

    with wiring.database() as database:
        outbox_view.webhook(_find(database, name), output=output)


@webhook.command()
@click.argument("name")
@click.option(
    "--overlap",
    metavar="HOURS",
    type=click.FloatRange(0, 168),
    default=24,
    show_default=True,
    help="How long the former secret stays valid; 0 ends every former one at once.",
)
@_secret_option
@output_option
def rotate(name: str, overlap: float, secret_file: IO[str] | None, output: str) -> None:
    """Sign with a new secret, which is shown this once.

    For a while requests are signed with the former one too.
    """
    from outbox.subscribers import administration
    from reconciler.cli import outbox_view, wiring

    given, made = _secrets(secret_file)
    with wiring.database() as database:
        ring = wiring.key_ring(database)
        found = _find(database, name)
        with database.writing() as session:
            rotated = administration.rotate(
                session,
                found.uuid,
                given or made,
                key_ring=ring,
                now=datetime.now(UTC),
                overlap=timedelta(hours=overlap),
            )
    outbox_view.with_secret(rotated, "Rotated the secret of webhook", made, output=output)


@webhook.command()
@click.argument("name")
@output_option
def pause(name: str, output: str) -> None:
    """Hold its deliveries, also those of events to come."""
    from outbox.subscribers import administration
    from reconciler.cli import view, wiring

    with wiring.database() as database:
        found = _find(database, name)
        with database.writing() as session:
            paused = administration.pause(session, found.uuid, datetime.now(UTC))
    view.told(f"Paused {paused.name}. Nothing is lost: orchest webhook resume {paused.name}", paused, output=output)


@webhook.command()
@click.argument("name")
@output_option
def resume(name: str, output: str) -> None:
    """Deliver what was held.

    Also after it was disabled because of its failures: their record begins anew.
    """
    from outbox.subscribers import administration
    from reconciler.cli import view, wiring

    with wiring.database() as database:
        found = _find(database, name)
        with database.writing() as session:
            resumed = administration.resume(session, found.uuid, datetime.now(UTC))
    view.told(f"Resumed {resumed.name}. What was held is due now.", resumed, output=output)


@webhook.command()
@click.argument("name", required=False)
@click.option("--url", metavar="URL|-", help="Instead of NAME: try a receiver of which nothing is stored.")
@_content_type_option
@_header_option
@_secret_option
@_insecure_option
@output_option
def ping(
    *,
    name: str | None,
    url: str | None,
    content_type: str,
    headers: tuple[str, ...],
    secret_file: IO[str] | None,
    insecure_tls: bool,
    output: str,
) -> int:
    """Send one signed request now and say what came of it.

    Returns 1 unless it was delivered. The options describe a receiver that is given by --url; a stored one has its own.
    """
    from outbox.delivery.outcome import Result
    from outbox.delivery.ping import ping as send_ping
    from outbox.subscribers import administration
    from outbox.subscribers.patterns import EVERYTHING, Interest
    from outbox.subscribers.webhook import WebhookSpec
    from reconciler.cli import outbox_view, wiring

    now = datetime.now(UTC)
    permission = wiring.permission()
    if (name is None) == (url is None):
        raise click.UsageError("Give either a webhook, or --url.")
    if url:
        asked = WebhookSpec(
            name="ping",
            url=_read_url(url),
            subscriptions=(Interest(EVERYTHING),),
            content_type=_CONTENT_TYPES[content_type],
            headers=tuple(_header(text) for text in headers),
            verify_ssl=not insecure_tls,
        )
        given, made = _secrets(secret_file)
        destination = administration.trial(asked, given or made, permission=permission)
    else:
        assert name is not None
        with wiring.database() as database:
            ring = wiring.key_ring(database)
            found = _find(database, name)
            with database.reading() as session:
                destination = administration.destination_of(session, found.uuid, ring, now)
    came = send_ping(destination, permission.guard, now)
    outbox_view.outcome(came, output=output)
    return ExitCode.DONE if came.result is Result.DELIVERED else ExitCode.ERROR


@webhook.command()
@click.argument("name", required=False)
@click.option("--dead", is_flag=True, help="Only those that are given up.")
@click.option("--delivery", metavar="UUID", help="One delivery: every attempt, with what was answered.")
@click.option(
    "--limit", metavar="COUNT", type=click.IntRange(1, _MOST_ROWS), default=20, show_default=True, help="How many."
)
@click.option("--before", type=click.UUID, metavar="UUID", help="The next page: those older than this delivery.")
@output_option
def attempts(
    *, name: str | None, dead: bool, delivery: str | None, limit: int, before: UUID | None, output: str
) -> None:
    """List its deliveries, newest first, or all attempts at one."""
    from outbox.delivery import listing
    from outbox.delivery.state import Status
    from reconciler.cli import outbox_view, wiring

    if (name is None) == (delivery is None):
        raise click.UsageError("Give either a webhook, or --delivery.")
    with wiring.database() as database:
        if delivery:
            with database.reading() as session:
                outbox_view.delivery(listing.detail(session, delivery), output=output)
            return
        assert name is not None
        found = _find(database, name)
        with database.reading() as session:
            page = listing.deliveries(
                session, found.uuid, limit=limit, status=Status.DEAD if dead else None, before=before
            )
    outbox_view.deliveries(page, output=output)


@webhook.command()
@click.argument("delivery")
@output_option
def retry(delivery: str, output: str) -> None:
    """Try a dead or waiting delivery now, under its own id."""
    from outbox.delivery import listing, replay
    from reconciler.cli import view, wiring

    with wiring.database() as database, database.writing() as session:
        found = listing.find_delivery(session, delivery)
        replay.retry(session, found.uuid, datetime.now(UTC))
        due = listing.find_delivery(session, str(found.uuid))
    view.told(
        f"Delivery {due.uuid} is due now. See: orchest webhook attempts --delivery {due.uuid}", due, output=output
    )


@webhook.command("replay")
@click.argument("name")
@click.option(
    "--since", type=Instant(), required=True, help="The first events: 2026-11-22T14:00, or 2h for two hours ago."
)
@click.option("--until", type=Instant(), help="Events before this.  [default: now]")
@click.option(
    "--type", "pattern", metavar="TYPE", default="*", show_default=True, help="Only these: a type or 'project:*'."
)
@_yes_option
@output_option
def replay_events(*, name: str, since: datetime, until: datetime | None, pattern: str, yes: bool, output: str) -> None:
    """Deliver past events again, as new deliveries.

    All that it hears by its subscriptions of today, told to it at the time or not; those that wait come anyway.
    """
    from outbox.delivery.replay import Selection, count, replay
    from reconciler.cli import view, wiring

    now = datetime.now(UTC)
    with wiring.database() as database:
        found = _find(database, name)
        chosen = Selection(found.uuid, found.subscriptions, since, min(until or now, now), pattern)
        with database.reading() as session:
            counted = count(session, chosen)
        _agree(f"{counted} events would be delivered to {found.name} again. Replay them?", yes=yes or not counted)
        replayed = replay(database, chosen, now) if counted else 0
    view.told(f"{replayed} events are due for {found.name} again.", {"replayed": replayed}, output=output)


@webhook.command()
@click.argument("name")
@_yes_option
@output_option
def remove(name: str, yes: bool, output: str) -> None:
    """Remove a receiver with its deliveries and attempts."""
    from outbox.subscribers import administration
    from reconciler.cli import view, wiring

    with wiring.database() as database:
        found = _find(database, name)
        _agree(f"Remove {found.name} ({found.url_origin}) with all its deliveries?", yes=yes)
        with database.writing() as session:
            administration.remove(session, found.uuid)
    view.told(f"Removed {found.name}.", found, output=output)


def _find(database: Database, name: str) -> WebhookView:
    from outbox.subscribers import administration

    with database.reading() as session:
        return administration.find(session, name, datetime.now(UTC))


def _secrets(file: IO[str] | None) -> tuple[str, str]:
    """What was given, else what was made: one of them is ""."""
    from outbox.subscribers.administration import new_secret

    return (file.read().strip(), "") if file else ("", new_secret())


def _read_url(written: str) -> str:
    return sys.stdin.readline().strip() if written == "-" else written


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.UsageError("--header: there is no colon in it. Write 'NAME: VALUE'.")
    return name.strip(), value.strip()


def _refuse_twice(name: str, known: Iterable[WebhookView]) -> None:
    if any(one.name == name for one in known):
        raise click.ClickException(
            f"There is a webhook {name} already. Choose another name, or first: orchest webhook remove {name}"
        )


def _agree(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody is there to say yes: give --yes.")
    click.confirm(question, abort=True, err=True)
