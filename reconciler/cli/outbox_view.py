"""How webhooks, deliveries and events look: text for people, JSON and YAML for programs.

In: views, in which nothing is secret. Out: standard output. What a receiver answered is shown without the characters
that would steer a terminal. Never: a decision.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
import orjson

from reconciler.cli import view

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.text import Text

    from outbox.delivery.listing import Answer, AttemptView, DeliveryDetail, DeliveryView
    from outbox.delivery.outcome import Outcome
    from outbox.events.records import EventRecord
    from outbox.subscribers.patterns import Interest
    from outbox.subscribers.webhook import WebhookView

_STYLES = {
    "enabled": "green",
    "paused": "yellow",
    "disabled": "bold red",
    "delivered": "green",
    "scheduled": "blue",
    "claimed": "blue",
    "held": "yellow",
    "dead": "bold red",
}


def webhooks(found: Sequence[WebhookView], *, output: str) -> None:
    if output != "text":
        view.data(found, output=output)
    elif not found:
        click.echo("There are no webhooks. Add one: orchest webhook add NAME --url URL --event TYPE")
    else:
        table = view.table_of("name", "condition", "receiver", "events", "uuid")
        for one in found:
            events = ", ".join(dict.fromkeys(interest.pattern for interest in one.subscriptions))
            table.add_row(_plain(one.name), _word(one.condition), one.url_origin, events, str(one.uuid))
        view.console().print(table)


def webhook(one: WebhookView, *, output: str) -> None:
    if output != "text":
        view.data(one, output=output)
        return
    click.echo(f"name       {printable(one.name)}\nuuid       {one.uuid}\nadded      {_time(one.created_at)}")
    click.echo(f"receiver   {one.url_origin} ({one.content_type}{'' if one.verify_ssl else ', TLS NOT VERIFIED'})")
    click.echo(f"condition  {one.condition}" + (f": {printable(one.reason)}" if one.reason else ""))
    if one.failing_since:
        click.echo(f"failing    since {_time(one.failing_since)}, breaker {one.breaker}")
    rate = f"{one.rate_per_second:g} a second" if one.rate_per_second else "any rate"
    click.echo(f"limits     {one.max_in_flight} at once, {rate}")
    for number, interest in enumerate(one.subscriptions):
        click.echo(f"{'' if number else 'events':<11}{_interest(interest)}")
    for number, secret in enumerate(one.secrets):
        until = f", valid until {_time(secret.expires_at)}" if secret.expires_at else ""
        click.echo(f"{'' if number else 'secrets':<11}of {_time(secret.created_at)}{until}")


def with_secret(one: WebhookView, done: str, secret: str, *, output: str) -> None:
    """`secret`: shown once, because it was made here; "" for one that its owner knows."""
    if output != "text":
        view.data(asdict(one) | ({"secret": secret} if secret else {}), output=output)
        return
    click.echo(f"{done} {printable(one.name)} ({one.uuid}), receiver {one.url_origin}.")
    if secret:
        click.echo(f"Its signing secret, shown this once:\n\n{secret}\n")


def outcome(came: Outcome, *, output: str) -> None:
    if output != "text":
        answer = {"response_headers": came.response_headers, "response_body": _readable(came.response_body)}
        told = {"result": came.result, "status_code": came.status_code, "message": came.message}
        view.data({**told, "milliseconds": came.milliseconds, **answer}, output=output)
        return
    code = f" ({came.status_code})" if came.status_code else ""
    click.echo(f"{came.result}{code} after {came.milliseconds:.0f} ms: {printable(came.message)}")


def deliveries(found: Sequence[DeliveryView], *, output: str) -> None:
    if output != "text":
        view.data(found, output=output)
        return
    if not found:
        click.echo("There are no such deliveries.")
        return
    table = view.table_of("delivery", "event", "status", "tries", "last result", "code", "ms", "created", "due")
    for one in found:
        last = one.last
        table.add_row(
            str(one.uuid),
            one.event_type,
            _word(one.status),
            str(one.attempts),
            last.result if last else "",
            str(last.status_code or "") if last else "",
            f"{last.milliseconds:.0f}" if last else "",
            _time(one.created_at),
            _time(one.due_at) if one.status in {"scheduled", "held"} else "",
        )
    view.console().print(table)


def delivery(found: DeliveryDetail, *, output: str) -> None:
    if output != "text":
        view.data(_delivery_document(found), output=output)
        return
    one = found.delivery
    click.echo(f"delivery  {one.uuid}" + (f" (replay of {one.replay_of})" if one.replay_of else ""))
    click.echo(f"webhook   {printable(one.webhook_name)}\nevent     {one.event} {one.event_type}")
    ends = f", finished {_time(one.finished_at)}" if one.finished_at else f", due {_time(one.due_at)}"
    click.echo(f"status    {one.status}, created {_time(one.created_at)}{ends}")
    for tried, answer in found.attempts:
        click.echo(f"\nattempt {tried.number}  {_time(tried.started_at)}, {tried.milliseconds:.0f} ms, {_told(tried)}")
        for name, value in answer.headers:
            click.echo(f"  {printable(name)}: {printable(value)}")
        if answer.body:
            click.echo("\n" + "\n".join(f"  {printable(line)}" for line in _readable(answer.body).splitlines()))


def events(found: Sequence[EventRecord], *, output: str) -> None:
    if output != "text":
        view.data([_event_document(one) for one in found], output=output)
        return
    if not found:
        click.echo("There are no such events.")
        return
    table = view.table_of("time", "type", "project", "event")
    for one in found:
        table.add_row(_time(one.timestamp), one.type, str(one.project_uuid or ""), str(one.uuid))
    view.console().print(table)


def event_line(one: EventRecord, *, output: str) -> None:
    """At once, also into a pipe."""
    match output:
        case "json":
            click.echo(orjson.dumps(_event_document(one)))
        case "yaml":
            click.echo("---")
            view.data(_event_document(one), output=output)
        case _:
            click.echo(f"{_time(one.timestamp)}  {one.type}  {one.uuid}")
    sys.stdout.flush()


def event(one: EventRecord, told: Sequence[DeliveryView], *, output: str) -> None:
    if output != "text":
        view.data({**_event_document(one), "deliveries": told}, output=output)
        return
    click.echo(f"event  {one.uuid}\ntype   {one.type}\ntime   {_time(one.timestamp)}\n")
    click.echo(orjson.dumps(orjson.loads(one.payload), option=orjson.OPT_INDENT_2).decode())
    if not told:
        click.echo("\nNobody was told.")
        return
    click.echo()
    table = view.table_of("webhook", "status", "tries", "delivery")
    for delivery_of in told:
        name, status = _plain(delivery_of.webhook_name), _word(delivery_of.status)
        table.add_row(name, status, str(delivery_of.attempts), str(delivery_of.uuid))
    view.console().print(table)


def printable(text: str) -> str:
    """What others wrote must not move the cursor or colour the screen."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _delivery_document(found: DeliveryDetail) -> dict[str, Any]:
    attempts = [asdict(tried) | _answer_document(answer) for tried, answer in found.attempts]
    return asdict(found.delivery) | {"attempt_list": attempts}


def _answer_document(answer: Answer) -> dict[str, Any]:
    return {"response_headers": answer.headers, "response_body": _readable(answer.body)}


def _event_document(one: EventRecord) -> dict[str, Any]:
    """As users were told it: the facts behind the payload hold more."""
    told = asdict(one) | {"payload": orjson.loads(one.payload)}
    told.pop("facts")
    return told


def _interest(interest: Interest) -> str:
    project = f" of project {interest.project_uuid}" if interest.project_uuid else ""
    return interest.pattern + project + (f", job {interest.job_uuid}" if interest.job_uuid else "")


def _told(tried: AttemptView) -> str:
    code = f" {tried.status_code}" if tried.status_code else ""
    return f"{tried.result}{code}: {printable(tried.message)}"


def _readable(body: bytes) -> str:
    return body.decode(errors="replace")


def _time(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}"


def _word(text: str) -> Text:
    from rich.text import Text

    return Text(text, style=_STYLES.get(text, ""))


def _plain(text: str) -> Text:
    """Not markup."""
    from rich.text import Text

    return Text(printable(text))
