"""Long work on a cluster as rows: what was asked for, how far it came, how it ended.

In: what the thread that carries an operation out tells. Out: the same for whoever asks. Each cluster has one running
operation at most; the database itself sees to that. A process that is killed leaves `running` behind: whoever reads
next knows its holder is gone, or silent for too long, and shows what the history says, or `interrupted`.
Never: a text that has not passed the masking point.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID  # noqa: TC003 - SQLAlchemy evaluates the annotations

from sqlalchemy import Index, String, Text, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from outbox.database import Base
from outbox.identity import new_uuid
from reconciler.history import CycleOutcome, CycleRow
from reconciler.holder import Holder, is_gone
from services.api.http.problems import ApiError, not_found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

HEARTBEAT_SECONDS = 5.0
SILENCE = timedelta(seconds=30)
"""Of a holder on another host: after this it is taken for dead."""
_GONE = "The process that carried it out ended without a last word. The history says how far it came."


class OperationKind(StrEnum):
    APPLY = "apply"
    PAUSE = "pause"
    RESUME = "resume"
    ROLLBACK = "rollback"


class OperationState(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """It ended early: the API was stopped, or killed."""
    REFUSED = "refused"
    """A safety rule, another field manager or another apply said no; nothing was written."""
    STALE = "stale"
    """The cluster was not as planned any more."""


class OperationRow(Base):
    __tablename__ = "operations"
    __table_args__ = (
        Index(
            "uq_operations_running",
            "namespace",
            "name",
            unique=True,
            postgresql_where=text("state = 'running'"),
            sqlite_where=text("state = 'running'"),
        ),
    )

    uuid: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    namespace: Mapped[str] = mapped_column(String(253))
    name: Mapped[str] = mapped_column(String(253))
    state: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Text)
    progress: Mapped[str] = mapped_column(Text)
    plan_uuid: Mapped[UUID | None] = mapped_column(index=True)
    cycle_uuid: Mapped[UUID | None]
    restores_cycle_uuid: Mapped[UUID | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(600))
    finished_at: Mapped[datetime | None]
    holder: Mapped[str] = mapped_column(String(512))
    heartbeat_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked for."""

    kind: OperationKind
    namespace: str
    name: str
    created_by: str
    plan_uuid: UUID | None = None
    """Of an apply; the others make their plan themselves."""
    restores_cycle_uuid: UUID | None = None
    """Of a rollback: the cycle whose desired state is to be applied again."""


@dataclass(frozen=True, slots=True)
class Ending:
    state: OperationState
    message: str


@dataclass(frozen=True, slots=True)
class OperationRecord:
    uuid: UUID
    kind: OperationKind
    namespace: str
    name: str
    state: OperationState
    message: str
    """How it ended, "" while it runs."""
    progress: str
    """What it does at this moment, "" when it has ended."""
    plan_uuid: UUID | None
    cycle_uuid: UUID | None
    """Its record in the history, from its first write on."""
    restores_cycle_uuid: UUID | None
    created_at: datetime
    created_by: str
    finished_at: datetime | None


def begin(session: Session, wish: Wish, now: datetime) -> OperationRecord:
    """A running operation of this process. Raises ApiError 409 when the cluster has one already."""
    _settle_lost(session, wish, now)
    uuid = new_uuid()
    values = {
        "uuid": uuid,
        "kind": wish.kind,
        "namespace": wish.namespace,
        "name": wish.name,
        "state": OperationState.RUNNING,
        "message": "",
        "progress": "",
        "plan_uuid": wish.plan_uuid,
        "restores_cycle_uuid": wish.restores_cycle_uuid,
        "created_at": now,
        "created_by": wish.created_by,
        "holder": str(Holder.this_process()),
        "heartbeat_at": now,
    }
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    made = session.execute(
        insert(OperationRow).values(values).on_conflict_do_nothing().returning(OperationRow.uuid)
    ).first()
    if made is None:
        others = _running(session, wish)
        if not others:
            return begin(session, wish, now)  # It ended between our two looks.
        raise in_the_way(others[0].uuid, "Another operation works on this cluster at this moment. Wait for its end.")
    return show_operation(session, uuid, now)


def beat(session: Session, uuid: UUID, progress: str, now: datetime) -> None:
    """It lives, and does this."""
    _update(session, uuid, heartbeat_at=now, progress=progress)


def note_plan(session: Session, uuid: UUID, plan: UUID) -> None:
    _update(session, uuid, plan_uuid=plan)


def note_cycle(session: Session, uuid: UUID, cycle: UUID) -> None:
    _update(session, uuid, cycle_uuid=cycle)


def finish(session: Session, uuid: UUID, ending: Ending, now: datetime) -> None:
    """The last word, also over what somebody else took for granted."""
    _update(session, uuid, state=ending.state, message=ending.message, progress="", finished_at=now)


def list_operations(session: Session, before: UUID | None, limit: int, now: datetime) -> tuple[OperationRecord, ...]:
    """Newest first. `before`: the last operation of the page before this one."""
    query = select(OperationRow)
    if before is not None:
        query = query.where(OperationRow.uuid < before)
    rows = session.scalars(query.order_by(OperationRow.uuid.desc()).limit(limit))
    return tuple(_record(session, row, now) for row in rows)


def show_operation(session: Session, uuid: UUID, now: datetime) -> OperationRecord:
    """Raises ApiError 404."""
    row = session.get(OperationRow, uuid, populate_existing=True)
    if row is None:
        raise not_found("operation")
    return _record(session, row, now)


def location(operation: UUID) -> str:
    return f"/api/operations/{operation}"


def in_the_way(operation: UUID, detail: str) -> ApiError:
    """409; the header Location names the operation because of which there is no other one."""
    return ApiError(HTTPStatus.CONFLICT, detail, headers={"Location": location(operation)})


def _update(session: Session, uuid: UUID, **values: object) -> None:
    session.execute(update(OperationRow).where(OperationRow.uuid == uuid).values(**values))


def _running(session: Session, wish: Wish) -> Sequence[OperationRow]:
    query = select(OperationRow).where(
        OperationRow.namespace == wish.namespace,
        OperationRow.name == wish.name,
        OperationRow.state == OperationState.RUNNING,
    )
    return session.scalars(query).all()


def _settle_lost(session: Session, wish: Wish, now: datetime) -> None:
    """Write down what everybody sees already, so that the next one may begin."""
    for row in _running(session, wish):
        if _is_lost(row, now):
            finish(session, row.uuid, _ending_of_lost(session, row), now)


def _is_lost(row: OperationRow, now: datetime) -> bool:
    return now - row.heartbeat_at > SILENCE or is_gone(row.holder)


def _ending_of_lost(session: Session, row: OperationRow) -> Ending:
    """Its cycle may have ended well before its process died."""
    cycle = session.get(CycleRow, row.cycle_uuid) if row.cycle_uuid else None
    if cycle is None or cycle.finished_at is None:
        return Ending(OperationState.INTERRUPTED, _GONE)
    return Ending(_STATES[CycleOutcome(cycle.outcome)], cycle.message)


_STATES = {
    CycleOutcome.RUNNING: OperationState.INTERRUPTED,
    CycleOutcome.DONE: OperationState.SUCCEEDED,
    CycleOutcome.FAILED: OperationState.FAILED,
    CycleOutcome.STALE: OperationState.STALE,
    CycleOutcome.INTERRUPTED: OperationState.INTERRUPTED,
}


def _record(session: Session, row: OperationRow, now: datetime) -> OperationRecord:
    is_lost = row.state == OperationState.RUNNING and _is_lost(row, now)
    ending = _ending_of_lost(session, row) if is_lost else Ending(OperationState(row.state), row.message)
    return OperationRecord(
        uuid=row.uuid,
        kind=OperationKind(row.kind),
        namespace=row.namespace,
        name=row.name,
        state=ending.state,
        message=ending.message,
        progress="" if is_lost else row.progress,
        plan_uuid=row.plan_uuid,
        cycle_uuid=row.cycle_uuid,
        restores_cycle_uuid=row.restores_cycle_uuid,
        created_at=row.created_at,
        created_by=row.created_by,
        finished_at=row.finished_at,
    )
