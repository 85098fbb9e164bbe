"""Hand-made wiring, in one place: settings in, the parts a command needs out."""

from __future__ import annotations

import os
import re
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

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
    from reconciler.cli.options import Target
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
    from reconciler.cluster_client import ClusterClient, connect

    return ClusterClient(connect(target.kubeconfig, target.context), masker)


@contextmanager
def history() -> Iterator[History]:
    """What was recorded; while the shared database is absent, what waits in the spool."""
    from reconciler.spool import reading

    settings = load_settings(os.environ)
    with _database(settings) as shared, reading(shared, settings.spool, _warn) as records:
        yield records


@contextmanager
def recording() -> Iterator[Recording]:
    """Where an apply is recorded, with the events it causes."""
    from reconciler.spool import recording as record

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
