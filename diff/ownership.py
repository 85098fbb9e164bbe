"""Whose is an observed object? Our mark, the cluster's inventory and the original's labels answer; nothing is deleted
without them.

In: observed content. Out: an `Ownership`, and the right to delete. Two things must speak for a delete, besides the uid
that its precondition names: our mark on the object and an entry for it in the inventory. An entry whose uid is "" is an
intent that an apply wrote before it created the object; it counts, so that a killed apply leaves nothing behind that
nobody may remove.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from desired_state.objects import OWNER_ANNOTATION, PART_OF_LABEL
from diff.known import REGISTRY_SECRET, REGISTRY_SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.objects import Json, ObjectKey
    from diff.snapshot import ObservedObject, Snapshot

ORIGINAL_PART_OF = "orchest"


class Ownership(StrEnum):
    OURS = "ours"
    ANOTHER = "another"
    """Carries the mark of another OrchestCluster."""
    ORIGINAL = "original"
    """Carries the original controller's labels and no mark; or is the registry's certificate, which it labelled
    otherwise.
    """
    CLAIM = "claim"
    """A volume claim without a mark: its data is adopted, whoever made it."""
    FOREIGN = "foreign"


def owner_mark(cluster: ObjectKey) -> str:
    return f"{cluster.namespace}/{cluster.name}"


def mark_of(content: Mapping[str, Json]) -> str:
    return str((content["metadata"].get("annotations") or {}).get(OWNER_ANNOTATION, ""))


def inventory(snapshot: Snapshot) -> Mapping[str, str]:
    """What the OrchestCluster's status records as created or adopted by us: uid by object key (as text)."""
    cluster = snapshot.objects.get(snapshot.cluster)
    status = cluster.content.get("status") or {} if cluster else {}
    return {entry["key"]: entry.get("uid", "") for entry in status.get("inventory") or []}


def ownership(observed: ObservedObject, mark: str, recorded: Mapping[str, str]) -> Ownership:
    """`mark` is ours. An object whose mark was removed is still ours while the inventory has its uid."""
    there = mark_of(observed.content)
    if there == mark:
        return Ownership.OURS
    if there:
        return Ownership.ANOTHER
    if observed.uid and recorded.get(str(observed.key)) == observed.uid:
        return Ownership.OURS
    if observed.key.kind == "PersistentVolumeClaim":
        return Ownership.CLAIM
    return Ownership.ORIGINAL if _is_original(observed) else Ownership.FOREIGN


def _is_original(observed: ObservedObject) -> bool:
    labels = observed.content["metadata"].get("labels") or {}
    if observed.key.kind == "Secret" and observed.key.name == REGISTRY_SECRET:
        return labels.get("app") == REGISTRY_SERVICE and observed.content.get("type") == "kubernetes.io/tls"
    return bool(labels.get(PART_OF_LABEL) == ORIGINAL_PART_OF)


def may_delete(observed: ObservedObject, mark: str, recorded: Mapping[str, str]) -> bool:
    """Owner mark and inventory entry, both; the uid goes into the precondition of the delete."""
    return mark_of(observed.content) == mark and recorded.get(str(observed.key)) in {observed.uid, ""}
