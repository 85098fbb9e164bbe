"""The rows of endpoints: read under a lock, folded by `endpoint.py`, written when they changed.

In: subscribers. Out: their endpoints, locked until the transaction ends. Never: a wait for somebody else's lock; who is
locked elsewhere is left out, so that a stopped process can hold up one endpoint at most.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy import bindparam, select, update

from outbox.delivery.endpoint import Breaker, Condition, Endpoint
from outbox.subscribers.models import EndpointRow, Subscriber

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from sqlalchemy import Row, Table
    from sqlalchemy.engine import Connection


class Locked(NamedTuple):
    endpoint: Endpoint
    kind: str
    max_in_flight: int
    rate_per_second: float | None


def lock(connection: Connection, subscribers: Collection[UUID]) -> dict[UUID, Locked]:
    """Those of `subscribers` that exist and that no other transaction has locked."""
    if not subscribers:
        return {}
    found = {}
    for row in connection.execute(_LOCK, {"subscribers": list(subscribers)}).all():
        found[row.subscriber_uuid] = Locked(endpoint_of(row), row.type, row.max_in_flight, row.rate_per_second)
    return found


def existing(connection: Connection, subscribers: Collection[UUID]) -> set[UUID]:
    """Those of `subscribers` that were not removed, locked or not."""
    if not subscribers:
        return set()
    return set(connection.scalars(_EXISTING, {"subscribers": list(subscribers)}))


def save(connection: Connection, locked: Mapping[UUID, Locked], endpoints: Mapping[UUID, Endpoint]) -> None:
    """Writes the endpoints that are no longer what was locked."""
    changed = [_columns(endpoint) for uuid, endpoint in endpoints.items() if endpoint != locked[uuid].endpoint]
    if changed:
        connection.execute(_SAVE, changed)


def endpoint_of(row: EndpointRow | Row[*tuple[Any, ...]]) -> Endpoint:
    """Of a row of the table, or of a query that has all of its columns."""
    return Endpoint(row.subscriber_uuid, Condition(row.condition), row.reason, Breaker(row.breaker), *_REST(row))


def _columns(endpoint: Endpoint) -> dict[str, object]:
    columns = {name: getattr(endpoint, name) for name in _NAMES}
    return columns | {"subscriber": endpoint.subscriber_uuid}


_REST_NAMES = (
    *("consecutive_failures", "failing_since", "open_until", "openings", "not_before", "ramp"),
    *("rate_tokens", "rate_at"),
)
_NAMES = ("condition", "reason", "breaker", *_REST_NAMES)
_REST = attrgetter(*_REST_NAMES)
_TABLE = cast("Table", EndpointRow.__table__)
_SUBSCRIBERS = cast("Table", Subscriber.__table__)
_IN = _TABLE.c.subscriber_uuid.in_(bindparam("subscribers", expanding=True))
_LOCK = (
    select(
        _SUBSCRIBERS.c.type,
        _SUBSCRIBERS.c.max_in_flight,
        _SUBSCRIBERS.c.rate_per_second,
        _TABLE.c.subscriber_uuid,
        *(_TABLE.c[name] for name in _NAMES),
    )
    .join_from(_TABLE, _SUBSCRIBERS, _SUBSCRIBERS.c.uuid == _TABLE.c.subscriber_uuid)
    .where(_IN)
    .with_for_update(of=_TABLE, skip_locked=True)
)
_EXISTING = select(_TABLE.c.subscriber_uuid).where(_IN)
_SAVE = (
    update(_TABLE)
    .where(_TABLE.c.subscriber_uuid == bindparam("subscriber"))
    .values({name: bindparam(name) for name in _NAMES})
)
