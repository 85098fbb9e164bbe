"""Fields that the API server never changes in place: known ahead, so that a plan says `replace` and what that costs.

Each row was answered 422 by a real server. Claims are not in the table: they hold data and are never replaced
(`claims.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from diff.paths import Path


class Immutable(NamedTuple):
    path: tuple[str, ...]
    consequence: str
    """One sentence for people: what a replace costs."""


_PODS_STOP = "it is deleted and created again: its pods stop and start, and it is unavailable in between"
_RIGHTS = "it is deleted and created again: the rights it grants are gone for a moment"

IMMUTABLE: Mapping[tuple[str, str], tuple[Immutable, ...]] = {
    ("apps", "Deployment"): (Immutable(("spec", "selector"), _PODS_STOP),),
    ("apps", "DaemonSet"): (Immutable(("spec", "selector"), _PODS_STOP),),
    ("", "Secret"): (Immutable(("type",), "it is deleted and created again: pods that start in between wait for it"),),
    ("", "Service"): (
        Immutable(("spec", "clusterIP"), "it is deleted and created again: clients that hold the old address lose it"),
    ),
    ("rbac.authorization.k8s.io", "RoleBinding"): (Immutable(("roleRef",), _RIGHTS),),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): (Immutable(("roleRef",), _RIGHTS),),
}


def immutable_at(group: str, kind: str, path: Path) -> Immutable | None:
    """The row that forbids changing `path` in place, None when it may change."""
    rows = IMMUTABLE.get((group, kind), ())
    return next((row for row in rows if path[: len(row.path)] == row.path), None)
