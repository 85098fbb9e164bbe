"""`api`: serve the HTTP API until told to stop."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime

import click


@click.command()
@click.option(
    "--bind",
    metavar="ADDRESS:PORT|unix:PATH",
    help="Where clients find it: ORCHEST_API_BIND, or 127.0.0.1:8000. Port 0 takes a free one.",
)
@click.option("--workers", metavar="COUNT", type=click.IntRange(1, 64), help="Processes: ORCHEST_API_WORKERS, or 1.")
@click.option(
    "--threads",
    metavar="COUNT",
    type=click.IntRange(1, 256),
    help="Transactions at once, of each process: ORCHEST_API_THREADS, or 16.",
)
@click.option("--with-worker", is_flag=True, help="Run a worker beside it, so that events are delivered as well.")
@click.option("--no-redis", is_flag=True, help="That worker hears no hints: what is due is found once a second.")
def api(*, bind: str | None, workers: int | None, threads: int | None, with_worker: bool, no_redis: bool) -> None:
    """Run the HTTP API on this machine, until stopped.

    It uses the database of the other commands. The first time it shows a token that may do everything.

    Logs one JSON object per request to standard error. SIGTERM and Ctrl-C end it gracefully: what was accepted is
    answered first.
    """
    from reconciler.cli import wiring
    from reconciler.settings import load_settings
    from services.api.access.tokens import ensure_first_admin
    from services.api.server import address_of, listening, serve
    from services.api.settings import load_api_settings
    from services.api.supervision import supervise

    settings, found = load_settings(os.environ), load_api_settings(os.environ)
    knobs = replace(found, bind=bind or found.bind, workers=workers or found.workers, threads=threads or found.threads)
    if no_redis and not with_worker:
        raise click.UsageError("--no-redis is about the worker: give --with-worker too, or leave it out.")
    listener = listening(knobs.bind)
    with wiring.database() as database:
        wiring.key_ring(database)
        wiring.permission()
        token = ensure_first_admin(database, datetime.now(UTC))
    address = address_of(listener)
    click.echo(f"Listening at {address}", err=True)
    if address.startswith("http"):
        click.echo(f"For people: {address}/api/docs", err=True)
    if token is not None:
        click.echo(f"Admin token, shown this once: {token}", err=True)
    if not with_worker:
        raise SystemExit(serve(listener, settings, knobs))
    raise SystemExit(
        supervise(lambda: serve(listener, settings, knobs), lambda: _deliver(knobs.grace_seconds, hints=not no_redis))
    )


def _deliver(grace_seconds: int, *, hints: bool) -> int:
    """`orchest worker`."""
    from reconciler.cli.worker import worker

    arguments = ["--grace", str(grace_seconds), *(() if hints else ("--no-redis",))]
    worker.main(arguments, prog_name="orchest worker", standalone_mode=False)
    raise AssertionError("a worker ends its process itself")
