"""Hand-made wiring, in one place: settings in, the parts a command needs out."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import NamedApi
from reconciler.errors import OrchestError
from reconciler.settings import load_settings, masking_key, stable_masking_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from desired_state.masking import Masker
    from diff.snapshot import Snapshot
    from outbox.database import Database
    from outbox.key_ring import KeyRing
    from outbox.subscribers.webhook import Permission
    from reconciler.api_client import ApiClient
    from reconciler.cli.events import Events
    from reconciler.cli.history import Cycles
    from reconciler.cli.options import Target
    from reconciler.cli.planning import Clusters
    from reconciler.cli.webhook import Webhooks
    from reconciler.cluster_client import ClusterClient
    from reconciler.history import History, Recording
    from reconciler.settings import Settings


_CYCLE = re.compile(r"[0-9a-f-]{4,36}\^?")


def masker(*, stable: bool = False) -> Masker:
    """`stable`: what is masked will be compared with what another command masks."""
    from desired_state.masking import Masker

    settings = load_settings(os.environ)
    found = stable_masking_key(settings) if stable else masking_key(settings)
    if found.warning:
        click.echo(f"warning: {found.warning}", err=True)
    return Masker(found.key)


def client(target: Target, masker: Masker) -> ClusterClient:
    """Raises click.UsageError where an API is named: nothing but the commands with a remote form goes there."""
    _refuse_api()
    from reconciler.cluster_client import ClusterClient, connect

    return ClusterClient(connect(target.kubeconfig, target.context), masker)


# --- what is here or with an API: the only place that knows of both


@contextmanager
def api() -> Iterator[ApiClient | None]:
    """A way to the API that was named; None: what was asked is to be found here."""
    from_context = _named_api()
    if from_context is None:
        yield None
        return
    from reconciler.api_client import ApiClient, endpoint

    token = _token(from_context)
    named = endpoint(
        from_context.url, token, from_context.ca_file, is_clear_text_allowed=from_context.is_clear_text_allowed
    )
    with closing(ApiClient(named)) as made:
        yield made


@contextmanager
def clusters(target: Target, snapshot_file: str | None = None) -> Iterator[Clusters]:
    """`snapshot_file`: plan against that, offline."""
    with api() as named:
        if named is None:
            from reconciler.cli.local_clusters import LocalClusters

            yield LocalClusters(target, snapshot_file)
            return
        if target.kubeconfig or target.context:
            raise click.UsageError(f"--kubeconfig and --context: the API has its own way to Kubernetes. {_LEAVE_OUT}")
        if snapshot_file:
            raise click.UsageError(f"--snapshot: an API plans against the cluster. {_LEAVE_OUT}")
        from reconciler.cli.remote_clusters import RemoteClusters

        yield RemoteClusters(named)


@contextmanager
def webhooks() -> Iterator[Webhooks]:
    with api() as named, ExitStack() as used:
        if named is None:
            from reconciler.cli.local_webhooks import LocalWebhooks

            yield LocalWebhooks(lambda: used.enter_context(database()), key_ring, permission)
        else:
            from reconciler.cli.remote_webhooks import RemoteWebhooks

            yield RemoteWebhooks(named)


@contextmanager
def events() -> Iterator[Events]:
    with api() as named, ExitStack() as used:
        if named is None:
            from reconciler.cli.local_events import LocalEvents

            yield LocalEvents(used.enter_context(database()))
        else:
            from reconciler.cli.remote_events import RemoteEvents

            yield RemoteEvents(named)


@contextmanager
def cycles() -> Iterator[Cycles]:
    with api() as named, ExitStack() as used:
        if named is None:
            yield used.enter_context(history())
        else:
            from reconciler.cli.remote_history import RemoteHistory

            yield RemoteHistory(named)


_LEAVE_OUT = "Leave it out, or --api (ORCHEST_API_URL)."


def _named_api() -> NamedApi | None:
    context = click.get_current_context(silent=True)
    return context.find_object(NamedApi) if context else None


def _refuse_api() -> None:
    """Raises click.UsageError: what is about to be used is of this machine, and somebody meant another one."""
    if _named_api():
        raise click.UsageError(
            f"`{click.get_current_context().command_path}` works here, and an API is named. To work here, leave out "
            "--api and unset ORCHEST_API_URL. Over an API work: status, plan, apply PLAN, history, webhook, events, "
            "token."
        )


def _token(named: NamedApi) -> str:
    if named.token_file is None:
        return os.environ.get("ORCHEST_API_TOKEN", "").strip()
    try:
        return named.token_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text"
        raise click.UsageError(f"--api-token-file {named.token_file}: {reason}.") from None


# --- what is here


@contextmanager
def history() -> Iterator[History]:
    """What was recorded; while the shared database is absent, what waits in the spool."""
    from reconciler.spool import reading

    _refuse_api()
    settings = load_settings(os.environ)
    with _database(settings) as shared, reading(shared, settings.spool, _warn) as records:
        yield records


@contextmanager
def recording() -> Iterator[Recording]:
    """Where an apply is recorded, with the events it causes."""
    from reconciler.spool import recording as record

    _refuse_api()
    settings = load_settings(os.environ)
    with _database(settings) as shared, record(shared, settings.spool, _warn) as opened:
        yield opened


def _database(settings: Settings) -> AbstractContextManager[Database]:
    """Not opened yet: it may be absent. A commit that leaves deliveries behind is hinted to the workers."""
    from outbox.database import Database
    from outbox.hint import Hinter
    from outbox.redis_server import socket_url

    hinter = Hinter(lambda: settings.redis_url or socket_url(settings.redis_folder))
    return closing(Database(settings.database_url, hinter.hint))


def _warn(line: str) -> None:
    click.echo(line, err=True)


@contextmanager
def database() -> Iterator[Database]:
    """The shared one, migrated; what waited for it in the spool is in it."""
    from outbox.schema import migrate
    from reconciler.spool import copy_spool

    _refuse_api()
    settings = load_settings(os.environ)
    with _database(settings) as opened:
        migrate(opened)
        if notice := copy_spool(settings.spool, opened):
            _warn(notice)
        yield opened


def key_ring(of: Database) -> KeyRing:
    """Under which the secrets of its subscribers are stored."""
    from outbox.key_ring import load_key_ring

    settings = load_settings(os.environ)
    return load_key_ring(settings.secret_keys_text, settings.secret_keys_file, of)


def permission() -> Permission:
    """What a webhook may be, as the operator of this host allows."""
    from outbox.delivery.guard import Guard, parse_networks
    from outbox.subscribers.webhook import Permission

    settings = load_settings(os.environ)
    return Permission(Guard(parse_networks(settings.allowed_networks)), settings.allow_insecure_tls)


def saved_snapshot(reference: str) -> Snapshot:
    """A file; or the state after a cycle of the history by its id, with `^` the state before it."""
    from diff.snapshot_file import SnapshotFileError, load

    try:
        return load(_snapshot_bytes(reference))
    except SnapshotFileError as error:
        raise OrchestError(f"{reference}: {error}") from error


def _snapshot_bytes(reference: str) -> bytes:
    path = Path(reference)
    if path.exists() or not _CYCLE.fullmatch(reference):
        try:
            return path.read_bytes()
        except OSError as error:
            raise OrchestError(
                f"Cannot read the snapshot {path}: {error.strerror}. "
                "Make one with: orchest snapshot save FILE, or take a cycle that orchest history lists."
            ) from error
    with history() as records:
        cycle = records.show(reference.removesuffix("^")).cycle
        digest = cycle.snapshot_before if reference.endswith("^") else cycle.snapshot_after
        if digest is None:
            raise OrchestError(
                f"Cycle {reference} left no snapshot behind: it ended before the state could be observed."
            )
        return records.content(digest)
