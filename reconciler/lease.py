"""The Kubernetes Lease that keeps two applies of one cluster from interleaving, and remembers which plans were used.

In: a client, the cluster's key, who we are. Out: a held Lease, renewed by a thread until released. A holder on this
machine whose process is gone is succeeded at once, any other when its time is over. Never: the only guard: each write
has its own preconditions, so that a Lease lost to a long pause costs an error and no harm.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Self

from desired_state.objects import PART_OF_LABEL, ObjectKey
from reconciler.cluster_client import LEASE
from reconciler.errors import AlreadyExists, ClusterError, LeaseHeld, LeaseLost, Modified, Stale
from reconciler.holder import Holder, is_gone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from reconciler.cluster_client import ClusterClient, Content

CONSUMED_ANNOTATION = "orchest.io/consumed-plans"
DURATION_SECONDS = 15
_RENEWAL_SECONDS = 4.0
_REMEMBERED_PLANS = 50


def lease_key(cluster: ObjectKey) -> ObjectKey:
    """In the cluster's namespace, so that it holds for every machine that applies."""
    return ObjectKey(LEASE.group, LEASE.kind, cluster.namespace, f"orchest-{cluster.name}")


def consumed_plans(lease: Mapping[str, Any]) -> list[str]:
    """Ids of the plans that were applied, oldest first."""
    text = (lease["metadata"].get("annotations") or {}).get(CONSUMED_ANNOTATION, "")
    return [plan_id for plan_id in text.split(",") if plan_id]


class HeldLease:
    """A Lease held by this process; use as a context manager: leaving it releases."""

    def __init__(self, client: ClusterClient, content: Content, now: Callable[[], datetime]) -> None:
        self._client = client
        self._key = ObjectKey(LEASE.group, LEASE.kind, content["metadata"]["namespace"], content["metadata"]["name"])
        self._now = now
        self._content = content
        self._writing = Lock()
        self._lost = ""
        self._stop = Event()
        self._renewal = Thread(target=self._renew_until_stopped, name="lease renewal", daemon=True)

    @classmethod
    def acquire(cls, client: ClusterClient, cluster: ObjectKey, plan_id: str, now: Callable[[], datetime]) -> Self:
        """Take the Lease, unless somebody else lives in it.

        Raises LeaseHeld, or Stale when the plan was used before.
        """
        key = lease_key(cluster)
        while True:
            held = client.get(key)
            if held is not None and plan_id in consumed_plans(held):
                raise Stale("This plan was already applied. A plan is used once: make a new one with orchest plan.")
            if held is not None and not is_free(held, now()):
                raise LeaseHeld(
                    f"Another apply works on {cluster.namespace}/{cluster.name} at this moment: "
                    f"{_spoken(held['spec']['holderIdentity'])}. Wait until it has ended, then try again."
                )
            try:
                return cls(client, _create(client, key, now()) if held is None else _take(client, held, now()), now)
            except (AlreadyExists, Modified):
                continue  # Somebody was faster: look again at who it is.

    def consume(self, plan_id: str) -> None:
        """Write down that this plan is used, under the Lease's resourceVersion. Raises LeaseLost, ClusterError."""
        plans = [*consumed_plans(self._content), plan_id][-_REMEMBERED_PLANS:]
        try:
            self._write({"metadata": {"annotations": {CONSUMED_ANNOTATION: ",".join(plans)}}})
        except Modified as error:
            raise LeaseLost("Stopped: another process took the Lease of this cluster. Plan again.") from error

    def check(self) -> None:
        """Raises LeaseLost when the Lease is not ours any more: to be asked before each write."""
        if self._lost:
            raise LeaseLost(f"Stopped: {self._lost}. Plan again to see what is left to do.")

    def __enter__(self) -> Self:
        self._renewal.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._renewal.join()
        # Unreleased it ends by itself after 15 seconds; what was done before must be reported either way.
        with suppress(ClusterError):
            self._write({"spec": {"holderIdentity": None}})

    def _renew_until_stopped(self) -> None:
        while not self._stop.wait(_RENEWAL_SECONDS):
            try:
                self._write({"spec": {"renewTime": _micro_time(self._now())}})
            except Modified:
                self._lost = "another process took the Lease of this cluster"
                return
            except ClusterError as error:
                if self._now() > _renewed(self._content) + timedelta(seconds=DURATION_SECONDS):
                    self._lost = f"the Lease of this cluster could not be renewed ({error})"
                    return

    def _write(self, patch: Mapping[str, Any]) -> None:
        """Merge `patch` under the resourceVersion that we know. Raises Modified when somebody else wrote meanwhile."""
        with self._writing:
            version = {"resourceVersion": self._content["metadata"]["resourceVersion"]}
            guarded = {**patch, "metadata": {**patch.get("metadata", {}), **version}}
            self._content = self._client.merge_patch(self._key, guarded)


def _create(client: ClusterClient, key: ObjectKey, now: datetime) -> Content:
    return client.create(
        {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": key.name, "namespace": key.namespace, "labels": {PART_OF_LABEL: "orchest"}},
            "spec": _held_by_us(now, transitions=0),
        }
    )


def _take(client: ClusterClient, held: Content, now: datetime) -> Content:
    metadata = held["metadata"]
    key = ObjectKey(LEASE.group, LEASE.kind, metadata["namespace"], metadata["name"])
    transitions = (held.get("spec") or {}).get("leaseTransitions", 0) + 1
    patch = {
        "metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
        "spec": _held_by_us(now, transitions),
    }
    return client.merge_patch(key, patch)


def _held_by_us(now: datetime, transitions: int) -> dict[str, Any]:
    return {
        "holderIdentity": str(Holder.this_process()),
        "leaseDurationSeconds": DURATION_SECONDS,
        "acquireTime": _micro_time(now),
        "renewTime": _micro_time(now),
        "leaseTransitions": transitions,
    }


def is_free(lease: Mapping[str, Any], now: datetime) -> bool:
    """No holder, a holder whose time is over, or one of this machine that is known to be gone."""
    spec = lease.get("spec") or {}
    identity = spec.get("holderIdentity") or ""
    if not identity or is_gone(identity):
        return True
    return now > _renewed(lease) + timedelta(seconds=spec.get("leaseDurationSeconds", DURATION_SECONDS))


def _renewed(lease: Mapping[str, Any]) -> datetime:
    text = (lease.get("spec") or {}).get("renewTime")
    return datetime.fromisoformat(text) if text else datetime.min.replace(tzinfo=UTC)


def _micro_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _spoken(identity: str) -> str:
    holder = Holder.parse(identity)
    return f"process {holder.pid} on {holder.host}" if holder else identity
