"""Which cluster a path names, and the desk at which it is worked on: what the resources about clusters share.

In: parameters of a path. Out: an object key, or a 404. Never: a name that Kubernetes would not accept: it becomes part
of addresses there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from pydantic import Field, JsonValue

from reconciler.clusters import cluster_key
from services.api.domain.desk import no_kubernetes
from services.api.http.operation import Received

if TYPE_CHECKING:
    from desired_state.objects import ObjectKey
    from services.api.domain.desk import ClusterDesk

ONE_CLUSTER = "/api/clusters/{namespace}/{name}"
_NAMESPACE = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_NAME = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_LONGEST = 63


class ClusterPath(Received):
    namespace: str = Field(pattern=_NAMESPACE, max_length=_LONGEST)
    name: str = Field(pattern=_NAME, max_length=_LONGEST)

    @property
    def key(self) -> ObjectKey:
        return cluster_key(self.namespace, self.name)


def open_desk(desk: ClusterDesk | None) -> ClusterDesk:
    """Raises ApiError 404."""
    if desk is None:
        raise no_kubernetes()
    return desk


def as_json(value: object) -> JsonValue:
    """Dataclasses, enums and tuples as programs see them."""
    parsed: JsonValue = orjson.loads(orjson.dumps(value))
    return parsed
