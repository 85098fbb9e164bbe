"""`worker`: deliver what happened to those who want to know, until told to stop."""

from __future__ import annotations

import os

import click


@click.command()
@click.option("--no-redis", is_flag=True, help="Hear no hints: what is due is found once a second.")
@click.option(
    "--grace",
    metavar="SECONDS",
    type=click.FloatRange(0),
    default=20,
    show_default=True,
    help="How long requests in flight may go on after SIGTERM or Ctrl-C; a second one ends at once.",
)
@click.option(
    "--lease",
    metavar="SECONDS",
    type=click.FloatRange(2),
    default=60,
    show_default=True,
    help="How long a claimed delivery is left to this worker before another one may take it.",
)
@click.option(
    "--concurrency",
    metavar="COUNT",
    type=click.IntRange(8),
    default=512,
    show_default=True,
    help="How many requests may be in flight.",
)
@click.option("--metrics-port", metavar="PORT", type=click.IntRange(1, 65535), help="Serve Prometheus metrics there.")
@click.option(
    "--metrics-host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="On this address of the host."
)
def worker(
    *, no_redis: bool, grace: float, lease: float, concurrency: int, metrics_port: int | None, metrics_host: str
) -> None:
    """Deliver events to those who want to know, until stopped.

    To webhooks and other subscribers; failed attempts are tried again. Any number of workers may run.

    Logs one JSON object per line to standard error. Exits with 1 when it can no longer deliver, so that whatever
    started it starts it again; nothing is lost by that.
    """
    from desired_state.release import RELEASE
    from outbox.analytics import AppProperties, Backend
    from outbox.worker import WorkerSettings, run
    from reconciler.cli import wiring
    from reconciler.settings import load_settings

    settings = load_settings(os.environ)
    with wiring.database():
        pass  # What waits in the spool is delivered like all the rest.
    code = run(
        WorkerSettings(
            database_url=settings.database_url,
            redis_url=settings.redis_url,
            redis_folder=settings.redis_folder,
            hears_hints=not no_redis,
            secret_keys_text=settings.secret_keys_text,
            secret_keys_file=settings.secret_keys_file,
            allowed_networks=settings.allowed_networks,
            grace_seconds=grace,
            lease_seconds=lease,
            slots=concurrency,
            metrics_port=metrics_port,
            metrics_host=metrics_host,
            analytics=Backend(settings.analytics_url, settings.analytics_key, AppProperties(orchest_version=RELEASE)),
        )
    )
    # A look-up or a query that hangs in a thread of its own would keep the interpreter from ending.
    os._exit(code)
