"""Writes the OrchestCluster's status while an apply goes on, and keeps its inventory true at every moment.

In: intents before objects are created, their uids after, and reports. Out: patches of the status subresource, only
when something differs. Safe for several threads. Never: an opinion on how things stand; `status.py` has that.
"""

from __future__ import annotations

from datetime import UTC
from threading import Lock
from typing import TYPE_CHECKING

from desired_state.objects import GROUP, ObjectKey
from reconciler.status import intended, is_owned, read_inventory, reconciled_inventory, status_of, working

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from desired_state.objects import Json, Rendering
    from diff.action import Action
    from diff.snapshot import Snapshot
    from reconciler.cluster_client import ClusterClient
    from reconciler.status import Report


class StatusWriter:
    """`owner` in its methods is the OrchestCluster as last seen, None while it does not exist: then there is nothing
    to write to.
    """

    def __init__(
        self,
        client: ClusterClient,
        rendering: Rendering,
        snapshot: Snapshot,
        *,
        revision: str,
        now: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._spec: Mapping[str, Json] = rendering.cluster.content.get("spec") or {}
        self._revision = revision
        self._now = now
        self._changing = Lock()
        owner = snapshot.objects.get(snapshot.cluster)
        self._recorded: Mapping[str, Json] = (owner.content.get("status") if owner else None) or {}
        desired = [wanted.manifest.key for wanted in rendering.objects]
        self._inventory = reconciled_inventory(read_inventory(self._recorded), snapshot, desired)

    @property
    def is_paused(self) -> bool:
        return bool((self._spec.get("orchest") or {}).get("pause"))

    def has_seen(self, owner: Mapping[str, Json] | None) -> bool:
        """Whether the recorded inventory is still the one that we extend: another apply may have written it since."""
        recorded = (owner.get("status") if owner else None) or {}
        return (recorded.get("inventory") or []) == (self._recorded.get("inventory") or [])

    def begin(self, owner: Mapping[str, Json] | None, writes: Iterable[Action]) -> None:
        """An apply is on its way, and this is what it will create."""
        with self._changing:
            self._inventory.update(intended(writes))
        self.report(owner, working(self._recorded, paused=self.is_paused))

    def about_to_create(self, owner: Mapping[str, Json] | None, key: ObjectKey) -> None:
        """Between the two halves of a replace: the inventory must not name the old uid any more."""
        with self._changing:
            self._inventory[key] = ""
        self.write_inventory(owner)

    def learn(self, content: Mapping[str, Json], key: ObjectKey) -> None:
        """The object is there now, and ours."""
        if is_owned(key):
            with self._changing:
                self._inventory[key] = content["metadata"]["uid"]

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""
        with self._changing:
            self._inventory.pop(key, None)

    def withdraw(self, keys: Iterable[ObjectKey]) -> None:
        """These were never begun: their intents, if they had one, are void."""
        with self._changing:
            for key in keys:
                if self._inventory.get(key) == "":
                    del self._inventory[key]

    def write_inventory(self, owner: Mapping[str, Json] | None) -> None:
        self._patch(owner, {"inventory": self._listed()})

    def report(self, owner: Mapping[str, Json] | None, report: Report) -> None:
        """Write the whole status. Raises ClusterError."""
        if owner is None:
            return
        status = status_of(
            report,
            self._recorded,
            spec=self._spec,
            generation=owner["metadata"].get("generation", 1),
            revision=self._revision,
            now=self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        self._patch(owner, {**status, "inventory": self._listed()})

    def _listed(self) -> list[Json]:
        with self._changing:
            return [{"key": str(key), "uid": uid} for key, uid in sorted(self._inventory.items())]

    def _patch(self, owner: Mapping[str, Json] | None, status: Mapping[str, Json]) -> None:
        if owner is None or all(self._recorded.get(name) == value for name, value in status.items()):
            return
        metadata = owner["metadata"]
        key = ObjectKey(GROUP, "OrchestCluster", metadata["namespace"], metadata["name"])
        self._recorded = self._client.patch_status(key, status, uid=metadata["uid"])["status"]
