"""Where a manifest came from, as a value: written into plans and history, enough to read the same place again.

In: what `reconciler/source.py` found out while reading. Out: the same, unchanged, for whoever shows or stores it.
Never: a secret (user and password are taken out of URLs before they get here), and never the texts themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OriginKind(StrEnum):
    FILES = "files"
    GIT = "git"
    STDIN = "stdin"
    SENT = "sent"
    """Texts that somebody sent to the API. What else the origin says of them is what the sender said."""
    CLUSTER = "cluster"
    """The OrchestCluster itself, as it was on the server."""


@dataclass(frozen=True, slots=True)
class Origin:
    kind: OriginKind
    content_digest: str
    """blake2b (hex) over the names below the given place and the texts: equal digests mean equal input."""
    paths: tuple[str, ...] = ()
    """Files: absolute paths in the order given. Empty otherwise."""
    location: str = ""
    """Git, and sent if told: URL without password, or absolute path of the repository. Empty otherwise."""
    revision: str = ""
    """Git: as asked for (`main`, `v1.2`, `HEAD~1`)."""
    commit: str = ""
    """Git: the full id of the commit that `revision` meant."""
    directory: str = ""
    """Git: folder or file inside the repository, "" for its root."""

    def __str__(self) -> str:
        """For people: `main (1a2b3c4) of https://host/repo, clusters/eu`, `examples/a.yaml`, `standard input`."""
        if self.kind is OriginKind.STDIN:
            return "standard input"
        if self.kind is OriginKind.FILES:
            return ", ".join(self.paths)
        if self.kind is OriginKind.CLUSTER:
            return "the OrchestCluster in the cluster"
        if self.kind is OriginKind.SENT:
            return f"manifests sent to the API, {self._place}" if self.location else "manifests sent to the API"
        return self._place

    @property
    def _place(self) -> str:
        place = f"{self.revision} ({self.commit[:7]}) of {self.location}"
        return f"{place}, {self.directory}" if self.directory else place
