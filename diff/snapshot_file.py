"""Snapshots as bytes: what `snapshot save` writes, `plan --snapshot` reads and the history keeps.

In: a snapshot and a masker, or bytes. Out: canonical JSON without a secret, or a snapshot that is masked for ever.
Equal snapshots give equal bytes (but for `takenAt`), so that a content-addressed store keeps each state once.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from desired_state.facts import ClusterFacts, IngressClass, StorageClass
from desired_state.objects import ObjectKey
from diff.snapshot import ObservedObject, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.masking import Masker

FORMAT = "orchest-snapshot/1"


class SnapshotFileError(Exception):
    """Bytes that are no snapshot of a format we know; the message names the mend."""


def dump(snapshot: Snapshot, masker: Masker) -> bytes:
    """Masked canonical JSON. A snapshot that was masked already is written as it is."""
    masked_by = snapshot.masked_by or masker.key_id
    objects = [
        seen.content if snapshot.masked_by else masker.mask_content(seen.content)
        for _, seen in sorted(snapshot.objects.items())
    ]
    document = {
        "format": FORMAT,
        "cluster": str(snapshot.cluster),
        "takenAt": snapshot.taken_at,
        "crdHash": snapshot.crd_hash,
        "maskedBy": masked_by,
        "facts": asdict(snapshot.facts),
        "objects": objects,
    }
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def load(data: bytes) -> Snapshot:
    """The inverse of `dump`. Raises SnapshotFileError for anything else."""
    try:
        document = orjson.loads(data)
        found = document["format"]
    except (orjson.JSONDecodeError, TypeError, KeyError) as error:
        raise SnapshotFileError("not a snapshot, or cut short. Make one with: orchest snapshot save FILE") from error
    if found != FORMAT:
        raise SnapshotFileError(f"format {found!r} is not known here (this release reads {FORMAT}). Save it again.")
    try:
        return _snapshot(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SnapshotFileError(
            f"a damaged snapshot ({type(error).__name__}). Make a new one with: orchest snapshot save FILE"
        ) from error


def _snapshot(document: Mapping[str, Any]) -> Snapshot:
    seen = [_observed(content) for content in document["objects"]]
    return Snapshot(
        cluster=ObjectKey.parse(document["cluster"]),
        facts=_facts(document["facts"]),
        objects={one.key: one for one in seen},
        taken_at=document["takenAt"],
        crd_hash=document["crdHash"],
        masked_by=document["maskedBy"],
    )


def _facts(facts: Mapping[str, Any]) -> ClusterFacts:
    return ClusterFacts(
        **{
            **facts,
            "container_runtimes": tuple(facts["container_runtimes"]),
            "ingress_classes": tuple(IngressClass(**one) for one in facts["ingress_classes"]),
            "storage_classes": tuple(StorageClass(**one) for one in facts["storage_classes"]),
        }
    )


def _observed(content: Mapping[str, Any]) -> ObservedObject:
    group, metadata = content["apiVersion"].rpartition("/")[0], content["metadata"]
    key = ObjectKey(group, content["kind"], metadata.get("namespace", ""), metadata["name"])
    return ObservedObject(key, metadata["uid"], metadata["resourceVersion"], content)
