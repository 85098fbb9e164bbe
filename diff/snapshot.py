"""Observed objects at one moment, immutable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.facts import ClusterFacts
    from desired_state.objects import Json, ObjectKey


@dataclass(frozen=True, slots=True)
class ObservedObject:
    """One object as the API server last told us: full JSON with metadata, managedFields and status."""

    key: ObjectKey
    uid: str
    resource_version: str
    content: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What `plan` compares against. `objects` holds all that carry our or the original's labels in the cluster's
    namespace and cluster-wide, and whatever else has a key that is desired; `cluster` is the key of the OrchestCluster,
    in `objects` if it exists.
    """

    cluster: ObjectKey
    facts: ClusterFacts
    objects: Mapping[ObjectKey, ObservedObject]
    taken_at: str
    """RFC 3339 in UTC: the only clock a plan may look at (certificate renewal)."""
    crd_hash: str = ""
    """Hash of the installed CRD's spec; "" when the CRD is not installed."""
    masked_by: str = ""
    """key id of the masker when sensitive values were replaced (saved snapshots), "" for a live one."""
