"""Clusters that an API manages: the same questions as those to a cluster, asked over HTTP.

In: what the commands `status`, `plan` and `apply` ask for. Out: the OrchestCluster, plans, an operation that was
watched to its end. Files and Git are read here, for the API opens no path and no address of its callers. Never: a
write of ours; the API applies.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click
import orjson
from pydantic import JsonValue, TypeAdapter

from desired_state.origin import OriginKind
from diff.plan_file import PlanFileError, load
from reconciler.api_client import NoApi, NotThere, Seen
from reconciler.cli.operation_screen import OperationScreen, OperationSeen
from reconciler.errors import NotFound, OrchestError, Stale
from reconciler.plans import read_plan_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from desired_state.objects import ObjectKey
    from desired_state.origin import Origin
    from diff.plan_file import PlanFile
    from reconciler.api_client import ApiClient
    from reconciler.cli.options import Chosen, Input
    from reconciler.cli.planning import Terms
    from reconciler.source import Documents

_LOOK_SECONDS = 0.5
_STATUS = ("version", "revision", "reason", "conditions", "observedGeneration", "lastHeartbeatTime", "registries")


@dataclass(frozen=True, slots=True)
class _StoredPlan:
    uuid: UUID
    state: str
    expires_at: str
    document: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class _Accepted:
    uuid: UUID


_CLUSTER: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_PLAN: TypeAdapter[_StoredPlan] = TypeAdapter(_StoredPlan)
_ACCEPTED: TypeAdapter[_Accepted] = TypeAdapter(_Accepted)
_OPERATION: TypeAdapter[OperationSeen] = TypeAdapter(OperationSeen)


class RemoteClusters:
    """A `reconciler.cli.planning.Clusters`."""

    keeps_plans = True

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def status(self, key: ObjectKey) -> Mapping[str, Any]:
        try:
            told = self._client.get(_path(key), _CLUSTER)
        except NotThere as error:
            place = f"{key.namespace}/{key.name}"
            raise NotFound(f"OrchestCluster {place} (-n and -c choose another): {error}") from None
        stored = {name: told[name] for name in (*_STATUS, "inventory") if told.get(name) is not None}
        return {"status": {"state": told.get("status", ""), **stored}} if told.get("status") else {}

    def plan(self, chosen: Chosen, read: Documents, *, is_kept: bool, hours: int) -> PlanFile:
        """Stored by the API, whether or not it `is_kept` here."""
        del is_kept
        documents = [{"name": name, "text": text} for name, (_, text) in zip(read.names, read.documents, strict=True)]
        body = {"documents": documents, "origin": _origin(read.origin), "expires_hours": hours}
        return _plan_file(self._client.act(f"{_path(chosen.cluster.key)}/plans", _PLAN, body))

    def apply(self, plan_reference: str | None, source: Input, terms: Terms) -> int:
        del source
        if plan_reference is None:
            raise click.UsageError(
                "An API applies plans that it stored. Make one by orchest plan, then: orchest apply PLAN"
            )
        stored = self._usable(plan_reference)
        body = {
            "force_conflicts": terms.force_conflicts,
            "allow_prune": terms.allow_prune,
            "timeout_seconds": terms.timeout_seconds,
        }
        screen = OperationScreen(output=terms.output)
        screen.summarize(_plan_file(stored))
        accepted = self._client.act(f"/api/plans/{stored.uuid}/apply", _ACCEPTED, body)
        try:
            for seen in self._watched(accepted.uuid):
                screen.show(seen)
        except KeyboardInterrupt:
            click.echo("The apply goes on without a spectator. How it ended: orchest history", err=True)
            raise
        return screen.report(seen, str(stored.uuid))

    def _usable(self, reference: str) -> _StoredPlan:
        """Raises Stale for a plan that was used, or is too old."""
        saved = None if _is_uuid(reference) else read_plan_file(Path(reference))
        uuid = saved.header.plan_id if saved else reference
        try:
            stored = self._client.get(f"/api/plans/{uuid}", _PLAN)
        except NotThere as error:
            raise OrchestError(f"{error} An API applies what it planned itself: orchest plan, with --api.") from None
        if saved and stored.document.get("digest") != saved.header.digest:
            raise Stale(f"{reference} is not the plan that the API stored under its id. Make a new one.")
        if stored.state == "applied":
            raise Stale("This plan was already applied. A plan is used once: make a new one with: orchest plan")
        if stored.state == "expired":
            raise Stale(f"The plan expired at {stored.expires_at}. Make a new one with: orchest plan")
        return stored

    def _watched(self, operation: UUID) -> Iterator[OperationSeen]:
        """As it changes, until it has ended."""
        seen: Seen[OperationSeen] | None = None
        while True:
            before, seen = seen, self._client.look_again(f"/api/operations/{operation}", _OPERATION, seen)
            if seen is not before:
                yield seen.told
            if seen.told.has_ended:
                return
            time.sleep(_LOOK_SECONDS)


def _path(key: ObjectKey) -> str:
    return f"/api/clusters/{key.namespace}/{key.name}"


def _origin(origin: Origin) -> dict[str, str] | None:
    """What the API shows of it; paths of this machine say nothing there."""
    if origin.kind is not OriginKind.GIT:
        return None
    return {
        "location": origin.location,
        "revision": origin.revision,
        "commit": origin.commit,
        "directory": origin.directory,
    }


def _plan_file(stored: _StoredPlan) -> PlanFile:
    try:
        return load(orjson.dumps(stored.document))
    except PlanFileError as error:
        raise NoApi(f"The API's plan cannot be read by this release: {error}") from None


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
