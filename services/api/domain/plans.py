"""Plans that were made over HTTP and wait to be applied, with the manifests they were made from.

In: a plan file and its manifests. Out: rows, and the same again. The plan file is masked by construction; the manifests
may hold passwords and lie encrypted: an apply renders them anew, and a rollback may need them long after. Never: a plan
that was applied is forgotten; one that expired unused is, after a while.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import Index, LargeBinary, String, Text, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from diff.plan_file import dump, load
from outbox.database import Base
from services.api.domain.operations import OperationRow
from services.api.http.problems import not_found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from diff.plan_file import PlanFile
    from outbox.key_ring import KeyRing

KEPT_UNUSED = timedelta(days=7)
"""How long a plan that expired can still be looked at."""

Manifests = tuple[tuple[str, str], ...]
"""(name, text) pairs, as `desired_state.document.load_clusters` takes them."""


class PlanRow(Base):
    __tablename__ = "plans"
    __table_args__ = (Index("ix_plans_namespace", "namespace", "name"),)

    uuid: Mapped[UUID] = mapped_column(primary_key=True)
    namespace: Mapped[str] = mapped_column(String(253))
    name: Mapped[str] = mapped_column(String(253))
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(600))
    expires_at: Mapped[datetime]
    document: Mapped[str] = mapped_column(Text)
    manifests: Mapped[bytes] = mapped_column(LargeBinary)


@dataclass(frozen=True, slots=True)
class StoredPlan:
    uuid: UUID
    namespace: str
    name: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    plan_file: PlanFile
    applied_by: UUID | None
    """The operation that began to apply it: a plan is used once."""


def store(
    session: Session, key_ring: KeyRing, plan_file: PlanFile, manifests: Manifests, *, created_by: str, now: datetime
) -> UUID:
    """The plan's id. Plans that expired long ago without having been used are deleted."""
    _forget_unused(session, now)
    header, cluster = plan_file.header, plan_file.plan.cluster
    uuid = UUID(header.plan_id)
    row = PlanRow(
        uuid=uuid,
        namespace=cluster.namespace,
        name=cluster.name,
        created_at=now,
        created_by=created_by,
        expires_at=datetime.fromisoformat(header.expires_at),
        document=dump(plan_file).decode(),
        manifests=key_ring.encrypt(json.dumps(manifests), _place(uuid)),
    )
    session.add(row)
    return uuid


def list_plans(session: Session, namespace: str, name: str, before: UUID | None, limit: int) -> tuple[StoredPlan, ...]:
    """Of one cluster, newest first. `before`: the last plan of the page before this one."""
    query = select(PlanRow).where(PlanRow.namespace == namespace, PlanRow.name == name)
    if before is not None:
        query = query.where(PlanRow.uuid < before)
    rows = session.scalars(query.order_by(PlanRow.uuid.desc()).limit(limit)).all()
    users = _users(session, [row.uuid for row in rows])
    return tuple(_stored(row, users.get(row.uuid)) for row in rows)


def show_plan(session: Session, uuid: UUID) -> StoredPlan:
    """Raises ApiError 404."""
    return _stored(_row(session, uuid), _users(session, [uuid]).get(uuid))


def manifests_of(session: Session, key_ring: KeyRing, uuid: UUID) -> Manifests:
    """What the plan was made from. Raises ApiError 404, KeyRingError."""
    stored = json.loads(key_ring.decrypt(_row(session, uuid).manifests, _place(uuid)))
    return tuple((name, text) for name, text in stored)


def has_plan(session: Session, plan_id: str) -> bool:
    """Whether that plan was made here; plans of a command line have ids too."""
    try:
        uuid = UUID(plan_id)
    except ValueError:
        return False
    return session.get(PlanRow, uuid) is not None


def _row(session: Session, uuid: UUID) -> PlanRow:
    row = session.get(PlanRow, uuid)
    if row is None:
        raise not_found("plan")
    return row


def _stored(row: PlanRow, applied_by: UUID | None) -> StoredPlan:
    return StoredPlan(
        uuid=row.uuid,
        namespace=row.namespace,
        name=row.name,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        plan_file=load(row.document.encode()),
        applied_by=applied_by,
    )


def _users(session: Session, plans: Sequence[UUID]) -> dict[UUID, UUID]:
    """The operation that wrote for each plan that was used."""
    query = select(OperationRow.plan_uuid, OperationRow.uuid).where(
        OperationRow.plan_uuid.in_(plans), OperationRow.cycle_uuid.is_not(None)
    )
    return {plan: operation for plan, operation in session.execute(query) if plan is not None}


def _forget_unused(session: Session, now: datetime) -> None:
    used = select(OperationRow.uuid).where(OperationRow.plan_uuid == PlanRow.uuid).exists()
    session.execute(delete(PlanRow).where(PlanRow.expires_at < now - KEPT_UNUSED, ~used))


def _place(uuid: UUID) -> str:
    return f"plans/{uuid}/manifests"
