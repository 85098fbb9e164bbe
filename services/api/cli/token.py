"""`token`: who may call the API."""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import click

from reconciler.cli.options import output_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from services.api.access.tokens import NewToken, TokenSpec, TokenView

_SCOPES = ("read", "write", "admin", "agent")
_PERIOD = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_NEVER = "never"


class Tokens(Protocol):
    """What these commands ask for, of a database or of an API."""

    def create(self, spec: TokenSpec) -> NewToken: ...
    def list(self) -> Sequence[TokenView]:
        """All, in the order in which they were made."""

    def revoke(self, reference: str) -> TokenView:
        """By uuid, name, or what only one of them begins with. Raises UnknownTokenError."""


@click.group()
def token() -> None:
    """Say who may call the API.

    A token is shown once, when it is made. It is given by its name, its uuid, or what only one of them begins with.
    """


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(_SCOPES),
    multiple=True,
    required=True,
    help="What it may do; may be given several times. write includes read, admin includes both.",
)
@click.option(
    "--expires",
    metavar="90d|never|DATE",
    default="365d",
    show_default=True,
    help="When it stops: after a time, never, or on a day, such as 2027-06-30.",
)
@output_option
def create(*, name: str, scopes: tuple[str, ...], expires: str, output: str) -> None:
    """Make a token; it is shown this once.

    \b
    orchest token create ci --scope write --expires 90d
    """  # noqa: D301 - the backspace itself tells click to leave the lines as they are
    from services.api.access.tokens import TokenSpec
    from services.api.http.operation import Scope

    spec = TokenSpec(name, frozenset(map(Scope, scopes)), _expiry(expires, datetime.now(UTC)))
    with _tokens() as known:
        made = known.create(spec)
    _show_new(made, output=output)


@token.command("list")
@output_option
def list_tokens(output: str) -> None:
    """List all tokens, the revoked and expired too."""
    with _tokens() as known:
        found = known.list()
    _show(found, output=output)


@token.command()
@click.argument("name")
@output_option
def revoke(name: str, output: str) -> None:
    """End a token: from now on it opens nothing."""
    from reconciler.cli import view

    with _tokens() as known:
        revoked = known.revoke(name)
    view.told(f"Revoked {revoked.name} ({revoked.uuid}).", revoked, output=output)


@contextmanager
def _tokens() -> Iterator[Tokens]:
    from reconciler.cli import wiring

    with wiring.api() as named, ExitStack() as used:
        if named is None:
            from services.api.access.local import LocalTokens

            yield LocalTokens(used.enter_context(wiring.database()))
        else:
            from services.api.access.remote import RemoteTokens

            yield RemoteTokens(named)


def _expiry(text: str, now: datetime) -> datetime | None:
    """Raises click.UsageError, which does not repeat `text`."""
    if text == _NEVER:
        return None
    try:
        if period := _PERIOD.fullmatch(text):
            return now + timedelta(**{_UNITS[period[2]]: int(period[1])})
        instant = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise click.UsageError("--expires is no time. Write 90d, 12h, never, or a day such as 2027-06-30.") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _show_new(made: NewToken, *, output: str) -> None:
    from dataclasses import asdict

    from reconciler.cli import view

    one = made.view
    if output != "text":
        view.data({**asdict(one), "token": made.text}, output=output)
        return
    until = f"until {one.expires_at:%Y-%m-%d %H:%M}" if one.expires_at else "without end"
    click.echo(f"Created token {one.name} ({one.uuid}), scopes {', '.join(one.scopes)}, valid {until}.")
    click.echo(f"It is shown this once:\n\n{made.text}\n")


def _show(found: Sequence[TokenView], *, output: str) -> None:
    from rich.text import Text

    from reconciler.cli import view

    if output != "text":
        view.data(found, output=output)
    elif not found:
        click.echo("There are no tokens. Make one: orchest token create NAME --scope read")
    else:
        now = datetime.now(UTC)
        table = view.table_of("name", "scopes", "condition", "last used", "expires", "uuid")
        for one in found:
            expires = _time(one.expires_at, _NEVER)
            used = _time(one.last_used_at, _NEVER)
            table.add_row(Text(one.name), ", ".join(one.scopes), _condition(one, now), used, expires, str(one.uuid))
        view.console().print(table)


def _condition(one: TokenView, now: datetime) -> str:
    if one.revoked_at:
        return "revoked"
    return "valid" if one.is_live(now) else "expired"


def _time(instant: datetime | None, absent: str) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}" if instant else absent
