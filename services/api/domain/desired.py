"""What a cluster shall be, for whoever applies over HTTP: sent by a caller, kept with a plan, read again, or observed.

In: texts, an origin of our own history, or the OrchestCluster as the server told it. Out: `Desired`. Never: a path or
address that a caller named is opened; what is read again was recorded by an apply from the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desired_state.document import load_clusters
from desired_state.origin import Origin, OriginKind
from reconciler.clusters import KIND, as_desired, manifest_text
from reconciler.documents import Found, assemble
from reconciler.errors import OrchestError, Refused
from reconciler.source import reread
from services.api.http.problems import conflict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from desired_state.cluster import OrchestCluster
    from desired_state.objects import ObjectKey
    from reconciler.history import CycleRecord
    from services.api.domain.plans import Manifests


class NotThisCluster(OrchestError):
    """The manifests are of other clusters."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What a cluster shall be, and where that was written."""

    cluster: OrchestCluster
    origin: Origin
    manifests: Manifests


@dataclass(frozen=True, slots=True)
class Document:
    """One file, read by the caller."""

    name: str
    text: str


def sent(documents: Sequence[Document], said: Origin, key: ObjectKey) -> Desired:
    """`said`: where the caller says it found them. Documents are named by their number, so that no message repeats a
    caller's word. Raises DesiredStateError, NotThisCluster, SourceError.
    """
    found = [
        Found(f"documents.{number}", document.name, document.text.encode()) for number, document in enumerate(documents)
    ]
    assembled = assemble(found, said)
    return stored(assembled.documents, assembled.origin, key)


def stored(manifests: Manifests, origin: Origin, key: ObjectKey) -> Desired:
    """Of manifests that are at hand. Raises DesiredStateError, NotThisCluster."""
    for cluster in load_clusters(manifests, namespace=key.namespace):
        if cluster.key == key:
            return Desired(cluster, origin, manifests)
    raise NotThisCluster("The manifests hold no OrchestCluster of this namespace and name.")


def observed(content: Mapping[str, Any]) -> Desired:
    """The OrchestCluster itself. Raises DesiredStateError for one that this release would not accept."""
    manifests = ((KIND.kind, manifest_text(content)),)
    return Desired(as_desired(content), assemble(_found(manifests), Origin(OriginKind.CLUSTER, "")).origin, manifests)


def check_readable(cycle: CycleRecord) -> None:
    """Raises ApiError 409 when what the cycle was made from cannot be read again."""
    if cycle.origin.kind not in {OriginKind.GIT, OriginKind.FILES}:
        raise conflict(
            f"The manifests of this cycle came from {cycle.origin}, and nobody kept them. Send them as a new plan."
        )


def read_again(cycle: CycleRecord, key: ObjectKey) -> Desired:
    """From where the command line once read it: Git at that commit, files if they are as they were.

    Raises SourceError, Refused, DesiredStateError, NotThisCluster.
    """
    documents = reread(cycle.origin)
    if documents.origin.content_digest != cycle.origin.content_digest:
        raise Refused(f"{cycle.origin} is not as it was in that cycle. Send its manifests of that time as a new plan.")
    return stored(documents.documents, cycle.origin, key)


def _found(manifests: Manifests) -> list[Found]:
    return [Found(name, name, text.encode()) for name, text in manifests]
