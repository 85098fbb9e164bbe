"""`webhook`: who is told of what, whether they heard, and once more if not."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import click

from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.instant import Instant
from reconciler.cli.options import output_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from outbox.delivery.listing import DeliveryDetail, DeliveryView
    from outbox.delivery.outcome import Outcome
    from outbox.subscribers.webhook import WebhookSpec, WebhookView

    Made: TypeAlias = tuple[WebhookView, str]
    """With its signing secret, if that was made just now; else ""."""


class Replay(NamedTuple):
    """Which events to deliver again."""

    since: datetime
    until: datetime | None
    """None: now."""
    pattern: str


class Webhooks(Protocol):
    """What these commands ask for, of a database or of an API. A `secret` of None: one is to be made."""

    def list(self) -> Sequence[WebhookView]: ...
    def find(self, reference: str) -> WebhookView:
        """By uuid, by name, or by what only one uuid or name begins with. Raises Unknown."""

    def add(self, asked: WebhookSpec, secret: str | None) -> Made: ...
    def rotate(self, webhook: UUID, secret: str | None, overlap: timedelta) -> Made: ...
    def pause(self, webhook: UUID) -> WebhookView: ...
    def resume(self, webhook: UUID) -> WebhookView: ...
    def remove(self, webhook: UUID) -> None: ...
    def ping(self, webhook: UUID) -> Outcome: ...
    def try_out(self, asked: WebhookSpec, secret: str | None) -> Outcome:
        """A ping of a receiver of which nothing is stored."""

    def deliveries(self, webhook: UUID, *, limit: int, only_dead: bool, before: UUID | None) -> Sequence[DeliveryView]:
        """Newest first."""

    def delivery(self, reference: str) -> DeliveryDetail: ...
    def retry(self, reference: str) -> DeliveryView: ...
    def preview(self, webhook: WebhookView, wanted: Replay) -> tuple[int, datetime]:
        """How many events a replay would deliver, and until when: that is to be given to `replay`."""

    def replay(self, webhook: WebhookView, wanted: Replay, until: datetime) -> int:
        """How many deliveries were made."""


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
    secret = _given(secret_file)
    with wiring.webhooks() as known:
        _refuse_twice(asked.name, known.list())
        added, made = known.add(asked, secret)
    outbox_view.with_secret(added, "Added webhook", made, output=output)


@webhook.command("list")
@output_option
def list_webhooks(output: str) -> None:
    """List the receivers and whether they are enabled."""
    from reconciler.cli import outbox_view, wiring

    with wiring.webhooks() as known:
        found = known.list()
    outbox_view.webhooks(found, output=output)


@webhook.command()
@click.argument("name")
@output_option
def show(name: str, output: str) -> None:
    """Show one: what it hears, its limits, its health.

    Never its secret, or more of its URL than the host.
    """
    from reconciler.cli import outbox_view, wiring

    with wiring.webhooks() as known:
        found = known.find(name)
    outbox_view.webhook(found, output=output)


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
    from reconciler.cli import outbox_view, wiring

    secret = _given(secret_file)
    with wiring.webhooks() as known:
        rotated, made = known.rotate(known.find(name).uuid, secret, timedelta(hours=overlap))
    outbox_view.with_secret(rotated, "Rotated the secret of webhook", made, output=output)


@webhook.command()
@click.argument("name")
@output_option
def pause(name: str, output: str) -> None:
    """Hold its deliveries, also those of events to come."""
    from reconciler.cli import view, wiring

    with wiring.webhooks() as known:
        paused = known.pause(known.find(name).uuid)
    view.told(f"Paused {paused.name}. Nothing is lost: orchest webhook resume {paused.name}", paused, output=output)


@webhook.command()
@click.argument("name")
@output_option
def resume(name: str, output: str) -> None:
    """Deliver what was held.

    Also after it was disabled because of its failures: their record begins anew.
    """
    from reconciler.cli import view, wiring

    with wiring.webhooks() as known:
        resumed = known.resume(known.find(name).uuid)
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
    from outbox.subscribers.patterns import EVERYTHING, Interest
    from outbox.subscribers.webhook import WebhookSpec
    from reconciler.cli import outbox_view, wiring

    if (name is None) == (url is None):
        raise click.UsageError("Give either a webhook, or --url.")
    with wiring.webhooks() as known:
        if url:
            asked = WebhookSpec(
                name="ping",
                url=_read_url(url),
                subscriptions=(Interest(EVERYTHING),),
                content_type=_CONTENT_TYPES[content_type],
                headers=tuple(_header(text) for text in headers),
                verify_ssl=not insecure_tls,
            )
            came = known.try_out(asked, _given(secret_file))
        else:
            assert name is not None
            came = known.ping(known.find(name).uuid)
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
    from reconciler.cli import outbox_view, wiring

    if (name is None) == (delivery is None):
        raise click.UsageError("Give either a webhook, or --delivery.")
    with wiring.webhooks() as known:
        if delivery:
            outbox_view.delivery(known.delivery(delivery), output=output)
            return
        assert name is not None
        page = known.deliveries(known.find(name).uuid, limit=limit, only_dead=dead, before=before)
    outbox_view.deliveries(page, output=output)


@webhook.command()
@click.argument("delivery")
@output_option
def retry(delivery: str, output: str) -> None:
    """Try a dead or waiting delivery now, under its own id."""
    from reconciler.cli import view, wiring

    with wiring.webhooks() as known:
        due = known.retry(delivery)
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
    from reconciler.cli import view, wiring

    wanted = Replay(since, until, pattern)
    with wiring.webhooks() as known:
        found = known.find(name)
        counted, end = known.preview(found, wanted)
        _agree(f"{counted} events would be delivered to {found.name} again. Replay them?", yes=yes or not counted)
        replayed = known.replay(found, wanted, end) if counted else 0
    view.told(f"{replayed} events are due for {found.name} again.", {"replayed": replayed}, output=output)


@webhook.command()
@click.argument("name")
@_yes_option
@output_option
def remove(name: str, yes: bool, output: str) -> None:
    """Remove a receiver with its deliveries and attempts."""
    from reconciler.cli import view, wiring

    with wiring.webhooks() as known:
        found = known.find(name)
        _agree(f"Remove {found.name} ({found.url_origin}) with all its deliveries?", yes=yes)
        known.remove(found.uuid)
    view.told(f"Removed {found.name}.", found, output=output)


def _given(file: IO[str] | None) -> str | None:
    """The receiver's own secret; None: one is to be made."""
    if file is None:
        return None
    if secret := file.read().strip():
        return secret
    raise click.UsageError("--secret-file: there is no secret in it.")


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
