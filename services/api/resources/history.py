"""`/api/history` and the history of a cluster: what was applied, by which plan, and the states it went through.

In: requests. Out: what `orchest history`, `snapshot show` and `snapshot diff` show, whoever applied. It needs no
Kubernetes. Never: a secret; what is recorded was masked before.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from pydantic import Field, JsonValue

from diff.action import ABSENT
from diff.compare import compare_snapshots
from diff.snapshot_file import load
from outbox.reference import LEAST_CHARACTERS
from reconciler.history import CycleOutcome, UnknownCycle, all_cycles, content_of, cycles_of, show_cycle
from services.api.http.operation import Nothing, Operation, Reads, Received, Reply, Scope, Sent
from services.api.http.paging import Page, cut
from services.api.http.problems import Mistake, bad_request, not_found
from services.api.resources.cluster_path import ONE_CLUSTER, ClusterPath
from services.api.resources.operations import OutcomeView

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.orm import Session

    from desired_state.objects import Json
    from diff.compare import ObjectHistory
    from diff.snapshot import Snapshot
    from reconciler.history import CycleRecord
    from services.api.http.operation import Call

_STATE = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\^?$"
_STATE_IN_WORDS = "A cycle's uuid: the state after it; with `^` behind it: the state before it"


class CyclePath(Received):
    cycle: UUID


class WhichCycles(Page):
    id: str = Field(
        default="",
        pattern=f"^([0-9a-f-]{{{LEAST_CHARACTERS},36}})?$",
        description=f"Only those whose id begins so, with at least {LEAST_CHARACTERS} digits",
    )


class WhichSnapshot(Received):
    which: Literal["before", "after"] = Field(default="after", description="The state before the cycle, or after it")


class TwoStates(Received):
    """Both as `orchest snapshot diff` takes them: a cycle's uuid is the state after it, with `^` the one before."""

    from_: str = Field(alias="from", pattern=_STATE, description=_STATE_IN_WORDS)
    to: str = Field(pattern=_STATE, description=_STATE_IN_WORDS)


class OriginView(Sent):
    """Where the manifests of a cycle came from."""

    kind: str
    location: str
    revision: str
    commit: str
    directory: str
    paths: list[str]


class CycleView(Sent):
    id: UUID
    namespace: str
    name: str
    server_uid: str = Field(description="Of the Kubernetes cluster")
    plan_id: str
    plan_digest: str
    origin: str = Field(description="Where its manifests came from, for people")
    source: OriginView
    started_at: datetime
    finished_at: datetime | None
    outcome: CycleOutcome
    message: str
    counts: dict[str, int] = Field(description="How many actions had which result")
    has_snapshot_after: bool = Field(description="Whether the state after it could be observed")


class CycleDetailView(CycleView):
    outcomes: list[OutcomeView]


class CycleList(Sent):
    cycles: list[CycleView]
    next_cursor: UUID | None


class ObjectHistoryView(Sent):
    key: str
    verb: str = Field(description="`appeared`, `vanished`, `recreated` or `changed`")
    changes: list[dict[str, JsonValue]] = Field(description="By field: path, before, after; an absent side has no key")


class SnapshotDiff(Sent):
    objects: list[ObjectHistoryView]


class HistoryResource:
    """`/api/history`, and `history` below a cluster."""

    def operations(self) -> tuple[Operation, ...]:
        one = "/api/history/{cycle}"
        return (
            Operation(
                *(HTTPMethod.GET, "/api/history", "list_all_cycles", "Past applies of all clusters", Scope.READ),
                Reads(self.list_all),
                query=WhichCycles,
                answer=CycleList,
                tag="history",
            ),
            Operation(
                *(HTTPMethod.GET, f"{ONE_CLUSTER}/history", "list_cycles", "Past applies of a cluster", Scope.READ),
                Reads(self.list),
                parameters=ClusterPath,
                query=Page,
                answer=CycleList,
                tag="history",
            ),
            Operation(
                *(HTTPMethod.GET, "/api/history/diff", "diff_snapshots", "What changed between two", Scope.READ),
                Reads(self.diff),
                query=TwoStates,
                answer=SnapshotDiff,
                problems=(HTTPStatus.NOT_FOUND,),
                tag="history",
            ),
            Operation(
                *(HTTPMethod.GET, one, "show_cycle", "One apply, action by action", Scope.READ),
                Reads(self.show),
                parameters=CyclePath,
                answer=CycleDetailView,
                tag="history",
            ),
            Operation(
                *(HTTPMethod.GET, f"{one}/plan", "show_cycle_plan", "The plan that was applied", Scope.READ),
                Reads(self.plan),
                parameters=CyclePath,
                answer=dict[str, JsonValue],
                tag="history",
                description="The plan file, as `docs/plan.schema.json` describes it.",
            ),
            Operation(
                *(HTTPMethod.GET, f"{one}/snapshot", "show_cycle_snapshot", "A state of the cluster", Scope.READ),
                Reads(self.snapshot),
                parameters=CyclePath,
                query=WhichSnapshot,
                answer=dict[str, JsonValue],
                tag="history",
                description="A snapshot file, masked, as `orchest plan --snapshot` takes it.",
            ),
        )

    def list_all(self, session: Session, call: Call[Nothing, WhichCycles, Nothing]) -> Reply:
        query = call.query
        with _told_of_the_cursor():
            return _page(query, all_cycles(session, query.id, query.cursor, query.limit + 1))

    def list(self, session: Session, call: Call[ClusterPath, Page, Nothing]) -> Reply:
        path, page = call.path, call.query
        with _told_of_the_cursor():
            return _page(page, cycles_of(session, path.namespace, path.name, page.cursor, page.limit + 1))

    def show(self, session: Session, call: Call[CyclePath, Nothing, Nothing]) -> Reply:
        detail = show_cycle(session, call.path.cycle)
        return Reply({**_view(detail.cycle), "outcomes": detail.outcomes})

    def plan(self, session: Session, call: Call[CyclePath, Nothing, Nothing]) -> Reply:
        return Reply(content_of(session, show_cycle(session, call.path.cycle).cycle.plan_document))

    def snapshot(self, session: Session, call: Call[CyclePath, WhichSnapshot, Nothing]) -> Reply:
        return Reply(_snapshot(session, call.path.cycle, is_before=call.query.which == "before"))

    def diff(self, session: Session, call: Call[Nothing, TwoStates, Nothing]) -> Reply:
        before, after = (_state(session, each) for each in (call.query.from_, call.query.to))
        return Reply({"objects": _histories(compare_snapshots(before, after))})


def _page(page: Page, found: Sequence[CycleRecord]) -> Reply:
    cycles, cursor = cut(found, page.limit, lambda cycle: cycle.id)
    return Reply({"cycles": [_view(cycle) for cycle in cycles], "next_cursor": cursor})


@contextmanager
def _told_of_the_cursor() -> Iterator[None]:
    """A cursor that is no cycle is a mistake in the query."""
    try:
        yield
    except UnknownCycle:
        where = Mistake(where="query.cursor", what="Give the next_cursor of a page of this list.")
        raise bad_request("The query is not valid.", [where]) from None


def _state(session: Session, reference: str) -> Snapshot:
    return load(_snapshot(session, UUID(reference.removesuffix("^")), is_before=reference.endswith("^")))


def _snapshot(session: Session, cycle: UUID, *, is_before: bool) -> bytes:
    """Raises UnknownCycle, ApiError 404."""
    record = show_cycle(session, cycle).cycle
    digest = record.snapshot_before if is_before else record.snapshot_after
    if digest is None:
        raise not_found("snapshot: the cycle ended before the state could be observed")
    return content_of(session, digest)


def _histories(changed: Sequence[ObjectHistory]) -> list[dict[str, Any]]:
    return [
        {"key": str(each.key), "verb": each.verb, "changes": [_change(*change) for change in each.changes]}
        for each in changed
    ]


def _change(path: str, before: Json, after: Json) -> dict[str, Any]:
    sides = {name: side for name, side in (("before", before), ("after", after)) if side is not ABSENT}
    return {"path": path, **sides}


def _view(cycle: CycleRecord) -> dict[str, Any]:
    origin = cycle.origin
    return {
        "id": cycle.id,
        "namespace": cycle.cluster.namespace,
        "name": cycle.cluster.name,
        "server_uid": cycle.cluster.server_uid,
        "plan_id": cycle.plan_id,
        "plan_digest": cycle.plan_digest,
        "origin": str(origin),
        "source": OriginView.model_validate(origin),
        "started_at": cycle.started_at,
        "finished_at": cycle.finished_at,
        "outcome": cycle.outcome,
        "message": cycle.message,
        "counts": dict(cycle.counts),
        "has_snapshot_after": cycle.snapshot_after is not None,
    }
