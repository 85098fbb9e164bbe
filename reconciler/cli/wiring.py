"""Hand-made wiring, in one place: settings in, the parts a command needs out."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.errors import OrchestError
from reconciler.settings import load_settings, masking_key, stable_masking_key

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from desired_state.masking import Masker
    from diff.snapshot import Snapshot
    from reconciler.cli.options import Target
    from reconciler.cluster_client import ClusterClient
    from reconciler.history import History


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


def history() -> AbstractContextManager[History]:
    from reconciler.history import open_history

    return open_history(load_settings(os.environ).database_url)


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
