"""What happened to a cluster: one record per cycle, what came of each action, and the states it went through.

In: values of a running cycle, with times and ids from the caller. Out: the same as frozen records, newest first.
Never: sees a secret. Every text and every document must have passed the masking point before it gets here.

A cycle is recorded as `running` before its first write. A process that dies leaves it so; whoever reads next knows the
process is gone and shows `interrupted`, and the next cycle of the same cluster writes that down.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping  # noqa: TC003 - answers of the API are parsed into these dataclasses
from dataclasses import asdict, dataclass
from datetime import datetime  # noqa: TC003 - SQLAlchemy evaluates the annotations
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, LargeBinary, String, Text, and_, delete, false, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from desired_state.origin import Origin, OriginKind
from outbox.database import Base
from outbox.events.register import register_copy
from outbox.reference import span_of
from reconciler.errors import OrchestError
from reconciler.holder import Holder, is_gone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Select

    from outbox.database import Database
    from outbox.events.records import EventRecord

_COMPRESSION = 1
"""zlib's fastest level: most of the gain for a fraction of the time."""


class CycleOutcome(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STALE = "stale"
    """Refused: the cluster was no longer as planned."""
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class ClusterIdentity:
    namespace: str
    name: str
    uid: str
    """Of the OrchestCluster; "" before its first apply."""
    server_uid: str
    """Of the Kubernetes cluster: uid of its namespace kube-system."""


@dataclass(frozen=True, slots=True)
class CycleStart:
    """What is known before the first write."""

    id: UUID
    started_at: datetime
    """Timezone-aware."""
    cluster: ClusterIdentity
    origin: Origin
    plan_id: str
    plan_digest: str
    plan_document: bytes
    """The plan file."""
    snapshot: bytes
    """What the plan was made against, dumped and masked."""


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """What came of one action; the words are those of plan and apply."""

    object_key: str
    verb: str
    reason: str
    result: str
    message: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CycleFinish:
    finished_at: datetime
    """Timezone-aware."""
    outcome: CycleOutcome
    message: str
    counts: Mapping[str, int]
    """How many actions had which result."""
    snapshot: bytes | None
    """The state afterwards, dumped and masked, when it could be observed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One cycle as far as it is known, to be recorded by somebody else than its own process, or a second time."""

    start: CycleStart
    outcomes: tuple[ActionOutcome, ...] = ()
    finish: CycleFinish | None = None
    holder: str = ""
    """The process that carries the cycle out; "" is this one."""


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """One line of the history. Digests name contents for `History.content`."""

    id: UUID
    cluster: ClusterIdentity
    origin: Origin
    plan_id: str
    plan_digest: str
    started_at: datetime
    finished_at: datetime | None
    outcome: CycleOutcome
    message: str
    counts: Mapping[str, int]
    plan_document: str
    snapshot_before: str
    snapshot_after: str | None


@dataclass(frozen=True, slots=True)
class CycleDetail:
    cycle: CycleRecord
    outcomes: tuple[ActionOutcome, ...]
    """In the order in which they were recorded."""


class HistoryError(OrchestError):
    """Something that is not in the history, and the mend."""


class UnknownCycle(HistoryError):
    """There is no such cycle."""


class _Content(Base):
    __tablename__ = "contents"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int]
    compressed: Mapped[bytes] = mapped_column(LargeBinary)


class CycleRow(Base):
    __tablename__ = "cycles"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    namespace: Mapped[str] = mapped_column(String(253))
    name: Mapped[str] = mapped_column(String(253))
    uid: Mapped[str] = mapped_column(String(64))
    server_uid: Mapped[str] = mapped_column(String(64))
    origin_kind: Mapped[str] = mapped_column(String(16))
    origin: Mapped[dict[str, Any]] = mapped_column(JSON)
    revision: Mapped[str] = mapped_column(Text)
    commit: Mapped[str] = mapped_column(String(64))
    plan_id: Mapped[str] = mapped_column(String(64))
    plan_digest: Mapped[str] = mapped_column(String(128))
    holder: Mapped[str] = mapped_column(String(512))
    started_at: Mapped[datetime] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str] = mapped_column(String(16), index=True)
    message: Mapped[str] = mapped_column(Text)
    counts: Mapped[dict[str, int]] = mapped_column(JSON)
    plan_document: Mapped[str] = mapped_column(String(64), ForeignKey("contents.digest"))
    snapshot_before: Mapped[str] = mapped_column(String(64), ForeignKey("contents.digest"))
    snapshot_after: Mapped[str | None] = mapped_column(String(64), ForeignKey("contents.digest"))


class _ActionOutcome(Base):
    __tablename__ = "action_outcomes"

    id: Mapped[int] = mapped_column(primary_key=True)
    cycle_id: Mapped[UUID] = mapped_column(ForeignKey("cycles.id", ondelete="CASCADE"), index=True)
    object_key: Mapped[str] = mapped_column(String(1024))
    verb: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(String(64))
    result: Mapped[str] = mapped_column(String(32))
    message: Mapped[str] = mapped_column(Text)
    seconds: Mapped[float]


class Recording(Protocol):
    """Where a running cycle is recorded. Everything raises DatabaseError when that cannot be done.

    Each step takes the events that it caused, and records them in its own transaction.
    """

    def record_start(self, start: CycleStart, events: Sequence[EventRecord] = ()) -> None:
        """Call it while holding the cluster's Lease and before the first write.

        Older cycles of the same cluster that are still `running` must then be dead, and are marked interrupted.
        """

    def record_outcomes(
        self, cycle: UUID, outcomes: Sequence[ActionOutcome], events: Sequence[EventRecord] = ()
    ) -> None:
        """As they happen, or several at once. The cycle must have been started."""

    def record_finish(self, cycle: UUID, finish: CycleFinish, events: Sequence[EventRecord] = ()) -> None:
        """The last word, also over an `interrupted` that somebody else took for granted."""


class History:
    """The record in one database of the current schema: a `Recording`, and what was recorded.

    Everything raises DatabaseError when the database cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def record_start(self, start: CycleStart, events: Sequence[EventRecord] = ()) -> None:
        plan, snapshot = _packed(start.plan_document), _packed(start.snapshot)
        with self._database.writing() as session:
            _mark_interrupted(session, start.cluster)
            _store(session, plan, snapshot)
            session.add(CycleRow(**_row(start, plan, snapshot, holder="")))
            register(session, events)

    def record_outcomes(
        self, cycle: UUID, outcomes: Sequence[ActionOutcome], events: Sequence[EventRecord] = ()
    ) -> None:
        with self._database.writing() as session:
            _add(session, cycle, outcomes)
            register(session, events)

    def record_finish(self, cycle: UUID, finish: CycleFinish, events: Sequence[EventRecord] = ()) -> None:
        after = None if finish.snapshot is None else _packed(finish.snapshot)
        with self._database.writing() as session:
            _finish(session, cycle, finish, after)
            register(session, events)

    def record_entry(self, entry: Entry, events: Sequence[EventRecord] = ()) -> None:
        """All of it that is not recorded yet: twice is once, in whatever order, and whoever else does the same."""
        with self._database.writing() as session:
            merge(session, entry)
            register(session, events)

    def list(self, limit: int) -> tuple[CycleRecord, ...]:
        """The newest first."""
        with self._database.reading() as session:
            rows = session.scalars(select(CycleRow).order_by(CycleRow.started_at.desc(), CycleRow.id).limit(limit))
            return tuple(_record(row) for row in rows)

    def show(self, cycle: str) -> CycleDetail:
        """By id, or by its start as far as it is unique. Raises HistoryError."""
        with self._database.reading() as session:
            row = _find(session, cycle)
            return CycleDetail(_record(row), tuple(map(_outcome, session.scalars(_outcomes_of(row.id)))))

    def content(self, digest: str) -> bytes:
        """A plan or snapshot as it was recorded, checked against its digest. Raises HistoryError."""
        with self._database.reading() as session:
            return _stored(session, digest)


def merge(session: Session, entry: Entry) -> None:
    """Record what the history lacks of `entry`; until the caller's transaction ends nobody else can do the same."""
    start = entry.start
    if session.get(CycleRow, start.id) is None:
        plan, snapshot = _packed(start.plan_document), _packed(start.snapshot)
        _mark_interrupted(session, start.cluster, CycleRow.started_at < start.started_at)
        _store(session, plan, snapshot)
        session.execute(_insert(session, CycleRow), _row(start, plan, snapshot, entry.holder))
    session.get_one(CycleRow, start.id, with_for_update=True, populate_existing=True)
    known = {outcome.object_key for outcome in session.scalars(_outcomes_of(start.id))}
    _add(session, start.id, [outcome for outcome in entry.outcomes if outcome.object_key not in known])
    if entry.finish is not None:
        after = None if entry.finish.snapshot is None else _packed(entry.finish.snapshot)
        _finish(session, start.id, entry.finish, after)


def cycles_of(session: Session, namespace: str, name: str, before: UUID | None, limit: int) -> tuple[CycleRecord, ...]:
    """Of one cluster, newest first, at most `limit`. `before`: the last cycle of the page before this one.

    Raises UnknownCycle for a `before` that is none.
    """
    query = select(CycleRow).where(CycleRow.namespace == namespace, CycleRow.name == name)
    return _page(session, query, before, limit)


def all_cycles(session: Session, beginning: str, before: UUID | None, limit: int) -> tuple[CycleRecord, ...]:
    """The same of all clusters. `beginning`: only those whose id begins so; "": all."""
    query = select(CycleRow)
    if beginning:
        span = span_of(beginning)
        query = query.where(CycleRow.id.between(*span)) if span else query.where(false())
    return _page(session, query, before, limit)


def _page(session: Session, query: Select[CycleRow], before: UUID | None, limit: int) -> tuple[CycleRecord, ...]:
    if before is not None:
        last = _known(session, before)
        older = CycleRow.started_at < last.started_at
        query = query.where(or_(older, and_(CycleRow.started_at == last.started_at, CycleRow.id > last.id)))
    rows = session.scalars(query.order_by(CycleRow.started_at.desc(), CycleRow.id).limit(limit))
    return tuple(_record(row) for row in rows)


def show_cycle(session: Session, cycle: UUID) -> CycleDetail:
    """Raises UnknownCycle."""
    row = _known(session, cycle)
    return CycleDetail(_record(row), tuple(map(_outcome, session.scalars(_outcomes_of(row.id)))))


def content_of(session: Session, digest: str) -> bytes:
    """See `History.content`."""
    return _stored(session, digest)


def register(session: Session, events: Iterable[EventRecord]) -> None:
    """Those that are not there yet, with deliveries for their subscribers."""
    for event in events:
        register_copy(session, event)


def entries(session: Session) -> tuple[Entry, ...]:
    """Everything recorded, the oldest cycle first. A database that holds much is not read this way."""
    rows = session.scalars(select(CycleRow).order_by(CycleRow.started_at, CycleRow.id))
    return tuple(_entry(session, row) for row in rows)


def forget(session: Session) -> None:
    """Delete every cycle with all that belongs to it."""
    for table in (_ActionOutcome, CycleRow, _Content):
        session.execute(delete(table))


def content_digest(data: bytes) -> str:
    return blake2b(data, digest_size=32).hexdigest()


class _Packed(NamedTuple):
    """A row of `contents`, made before the transaction begins: others wait for that to end."""

    digest: str
    size: int
    compressed: bytes


def _packed(data: bytes) -> _Packed:
    return _Packed(content_digest(data), len(data), zlib.compress(data, _COMPRESSION))


def _unpacked(compressed: bytes) -> bytes | None:
    try:
        return zlib.decompress(compressed)
    except zlib.error:
        return None


def _store(session: Session, *contents: _Packed) -> None:
    """Once, however many cycles share it, and whoever else stores the same at this moment."""
    session.execute(_insert(session, _Content), [content._asdict() for content in contents])


def _insert(session: Session, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """What is there already stays as it is."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    return insert(table).on_conflict_do_nothing()


def _row(start: CycleStart, plan: _Packed, snapshot: _Packed, holder: str) -> dict[str, Any]:
    return {
        "id": start.id,
        **asdict(start.cluster),
        "origin_kind": start.origin.kind,
        "origin": asdict(start.origin),
        "revision": start.origin.revision,
        "commit": start.origin.commit,
        "plan_id": start.plan_id,
        "plan_digest": start.plan_digest,
        "holder": holder or str(Holder.this_process()),
        "started_at": start.started_at,
        "outcome": CycleOutcome.RUNNING,
        "message": "",
        "counts": {},
        "plan_document": plan.digest,
        "snapshot_before": snapshot.digest,
    }


def _add(session: Session, cycle: UUID, outcomes: Iterable[ActionOutcome]) -> None:
    session.add_all(_ActionOutcome(cycle_id=cycle, **asdict(outcome)) for outcome in outcomes)


def _finish(session: Session, cycle: UUID, finish: CycleFinish, after: _Packed | None) -> None:
    row = session.get_one(CycleRow, cycle)
    row.finished_at, row.outcome, row.message = finish.finished_at, finish.outcome, finish.message
    row.counts = dict(finish.counts)
    if after is not None:
        _store(session, after)
        row.snapshot_after = after.digest


def _mark_interrupted(session: Session, cluster: ClusterIdentity, *among: ColumnElement[bool]) -> None:
    session.execute(
        update(CycleRow)
        .where(
            CycleRow.outcome == CycleOutcome.RUNNING,
            CycleRow.server_uid == cluster.server_uid,
            CycleRow.namespace == cluster.namespace,
            CycleRow.name == cluster.name,
            *among,
        )
        .values(outcome=CycleOutcome.INTERRUPTED, message="the process ended without a last word")
    )


def _known(session: Session, cycle: UUID) -> CycleRow:
    row = session.get(CycleRow, cycle)
    if row is None:
        raise UnknownCycle("There is no such cycle. `orchest history` lists them.")
    return row


def _find(session: Session, text: str) -> CycleRow:
    digits = text.replace("-", "").lower()
    if not digits or len(digits) > 32 or set(digits) - set("0123456789abcdef"):
        raise HistoryError(f"{text!r} is not the id of a cycle. `orchest history` lists them.")
    first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    rows = session.scalars(select(CycleRow).where(CycleRow.id.between(first, last)).limit(2)).all()
    if not rows:
        raise HistoryError(f"no cycle {text}. `orchest history` lists them.")
    if len(rows) > 1:
        raise HistoryError(f"several cycles begin with {text}. Give more of the id; `orchest history` lists them.")
    return rows[0]


def _record(row: CycleRow) -> CycleRecord:
    lost = row.outcome == CycleOutcome.RUNNING and is_gone(row.holder)
    return CycleRecord(
        id=row.id,
        cluster=ClusterIdentity(row.namespace, row.name, row.uid, row.server_uid),
        origin=_origin(row.origin),
        plan_id=row.plan_id,
        plan_digest=row.plan_digest,
        started_at=row.started_at,
        finished_at=row.finished_at,
        outcome=CycleOutcome.INTERRUPTED if lost else CycleOutcome(row.outcome),
        message=row.message,
        counts=row.counts,
        plan_document=row.plan_document,
        snapshot_before=row.snapshot_before,
        snapshot_after=row.snapshot_after,
    )


def _entry(session: Session, row: CycleRow) -> Entry:
    start = CycleStart(
        id=row.id,
        started_at=row.started_at,
        cluster=ClusterIdentity(row.namespace, row.name, row.uid, row.server_uid),
        origin=_origin(row.origin),
        plan_id=row.plan_id,
        plan_digest=row.plan_digest,
        plan_document=_stored(session, row.plan_document),
        snapshot=_stored(session, row.snapshot_before),
    )
    outcomes = session.scalars(_outcomes_of(row.id))
    return Entry(start, tuple(_outcome(outcome) for outcome in outcomes), _finish_of(session, row), row.holder)


def _finish_of(session: Session, row: CycleRow) -> CycleFinish | None:
    """None as long as the cycle's own process has not said its last word."""
    if row.finished_at is None:
        return None
    after = None if row.snapshot_after is None else _stored(session, row.snapshot_after)
    return CycleFinish(row.finished_at, CycleOutcome(row.outcome), row.message, row.counts, after)


def _outcomes_of(cycle: UUID) -> Select[_ActionOutcome]:
    return select(_ActionOutcome).where(_ActionOutcome.cycle_id == cycle).order_by(_ActionOutcome.id)


def _stored(session: Session, digest: str) -> bytes:
    """Raises HistoryError when it is not there, or not as it was recorded."""
    row = session.get(_Content, digest)
    if row is None:
        raise HistoryError(f"no content {digest[:12]} in the history. `orchest history` lists what there is.")
    data = _unpacked(row.compressed)
    if data is None or content_digest(data) != digest:
        raise HistoryError(f"content {digest[:12]} of the history is damaged. Restore the database from a backup.")
    return data


def _origin(stored: Mapping[str, Any]) -> Origin:
    return Origin(**{**stored, "kind": OriginKind(stored["kind"]), "paths": tuple(stored["paths"])})


def _outcome(row: _ActionOutcome) -> ActionOutcome:
    return ActionOutcome(row.object_key, row.verb, row.reason, row.result, row.message, row.seconds)
