"""Small clusters of hand-made objects, planned and applied on a real API server."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from desired_state.masking import Masker
from desired_state.objects import (
    OWNER_ANNOTATION,
    PART_OF_LABEL,
    DesiredObject,
    Generated,
    Manifest,
    ObjectKey,
    Recipe,
    Rendering,
)
from diff.action import Readiness, ReadinessRule
from diff.plan import Plan, plan
from reconciler.apply import Applied, Outcome, Permissions, apply
from reconciler.cluster_client import ClusterClient, connect
from reconciler.crd import install_crd
from reconciler.observe import observe, observe_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from desired_state.facts import ClusterFacts
    from dev.cluster.launcher import Cluster
    from diff.action import Action
    from diff.snapshot import Snapshot

MASKER = Masker(b"0123456789abcdef")
IMAGE = "registry.example.com/app:1"


class Listener:
    """What a person would have seen. `on_started` may do something to the world at that moment."""

    def __init__(self, on_started: Callable[[Action], None] = lambda _action: None) -> None:
        self.waits: list[str] = []
        self.finished_outcomes: list[Outcome] = []
        self.waves: list[int] = []
        self.begun = False
        self._on_started = on_started

    def begin(self) -> None:
        self.begun = True

    def wave_started(self, wave: int, _actions: Sequence[Action]) -> None:
        self.waves.append(wave)

    def started(self, action: Action) -> None:
        self._on_started(action)

    def waiting(self, action: Action, message: str) -> None:
        self.waits.append(f"{action.key.name}: {message}")

    def finished(self, outcome: Outcome) -> None:
        self.finished_outcomes.append(outcome)


@dataclass(frozen=True)
class Prepared:
    """A plan with what it was made from."""

    plan: Plan
    rendering: Rendering
    snapshot: Snapshot
    plan_id: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True)
class Workbench:
    """One OrchestCluster `c` in one namespace of a real API server."""

    cluster: Cluster
    client: ClusterClient
    facts: ClusterFacts
    namespace: str

    @property
    def owner(self) -> ObjectKey:
        return self.key("OrchestCluster", "c", "orchest.io")

    def key(self, kind: str, name: str, group: str = "") -> ObjectKey:
        return ObjectKey(group, kind, self.namespace, name)

    def prepare(self, *objects: DesiredObject, spec: dict[str, Any] | None = None) -> Prepared:
        document = {
            "apiVersion": "orchest.io/v1alpha1",
            "kind": "OrchestCluster",
            "metadata": {"name": "c", "namespace": self.namespace},
            "spec": spec or {},
        }
        rendering = Rendering(Manifest.of(document), objects)
        snapshot = observe(self.client, self.owner, [wanted.manifest.key for wanted in objects], self.facts)
        return Prepared(plan(rendering, snapshot, masker=MASKER), rendering, snapshot)

    def apply(
        self,
        prepared: Prepared,
        *,
        permissions: Permissions | None = None,
        listener: Listener | None = None,
        client: ClusterClient | None = None,
    ) -> Applied:
        return apply(
            prepared.plan,
            rendering=prepared.rendering,
            snapshot=prepared.snapshot,
            client=client or self.client,
            masker=MASKER,
            plan_id=prepared.plan_id,
            revision="",
            permissions=permissions or Permissions(),
            progress=listener or Listener(),
            now=lambda: datetime.now(UTC),
        )

    def install(self, *objects: DesiredObject, spec: dict[str, Any] | None = None) -> Applied:
        """Plan and apply; must succeed."""
        applied = self.apply(quickly(self.prepare(*objects, spec=spec)))
        assert applied.exit_code == 0, applied
        return applied

    def get(self, kind: str, name: str, group: str = "") -> dict[str, Any]:
        content = self.client.get(self.key(kind, name, group))
        assert content is not None
        return content

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.get("OrchestCluster", "c", "orchest.io").get("status") or {}
        return status

    # Objects

    def object(self, api_version: str, kind: str, name: str, **body: Any) -> DesiredObject:
        content = {"apiVersion": api_version, "kind": kind, "metadata": self.metadata(name), **body}
        return DesiredObject(Manifest.of(content))

    def metadata(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": {PART_OF_LABEL: "orchest"},
            "annotations": {OWNER_ANNOTATION: f"{self.namespace}/c"},
        }

    def config(self, name: str, **data: str) -> DesiredObject:
        return self.object("v1", "ConfigMap", name, data=data)

    def secret(self, name: str, *keys: str) -> DesiredObject:
        bare = self.object("v1", "Secret", name, type="Opaque")
        return replace(bare, generated=Generated(Recipe.PASSWORDS, keys))

    def deployment(self, name: str, image: str = IMAGE, **spec: Any) -> DesiredObject:
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
        body = {"selector": {"matchLabels": labels}, "template": template, **spec}
        return self.object("apps/v1", "Deployment", name, spec=body)


def quickly(prepared: Prepared, *rules: ReadinessRule, timeout: float = 20, hold: float = 0.2) -> Prepared:
    """The same without waiting for anything but these rules and deletions, and without patience."""

    def readiness(action: Action) -> Readiness:
        rule = action.readiness.rule
        return Readiness(rule if rule in {ReadinessRule.GONE, *rules} else ReadinessRule.NONE, timeout, hold)

    actions = tuple(replace(action, readiness=readiness(action)) for action in prepared.plan.actions)
    return replace(prepared, plan=replace(prepared.plan, actions=actions))


@cache
def client_of(kubeconfig: Path) -> ClusterClient:
    return ClusterClient(connect(str(kubeconfig)), MASKER)


@cache
def facts_of(kubeconfig: Path) -> ClusterFacts:
    """Also installs the CRD, once."""
    client = client_of(kubeconfig)
    install_crd(client)
    return observe_facts(client)


def workbench(cluster: Cluster, namespace: str) -> Workbench:
    return Workbench(cluster, client_of(cluster.kubeconfig), facts_of(cluster.kubeconfig), namespace)
