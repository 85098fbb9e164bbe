"""What must never happen to the database by a mere update: files it cannot read, and a start on an empty volume.

In: the database's workload as observed and as it would be sent. Out: refusals, each with the mend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.images import postgres_major
from desired_state.objects import Note, Severity
from diff.action import ABSENT
from diff.paths import value_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from desired_state.objects import Json, ObjectKey

_POD = ("spec", "template", "spec")


def database_refusals(key: ObjectKey, observed: Mapping[str, Json], sent: Mapping[str, Json]) -> Iterator[Note]:
    """Nothing for an update that leaves the PostgreSQL major and the volume as they are."""
    before, after = _image(observed), _image(sent)
    old, new = postgres_major(before), postgres_major(after)
    if old is not None and new is not None and old != new:
        yield _refusal(
            "postgres-major",
            key,
            f"the database would move from PostgreSQL {old} ({before}) to {new} ({after}) on an existing volume, which "
            f"it cannot read; keep {old}, or dump the database, delete the volume and restore",
        )
    lost = _claims(observed) - _claims(sent)
    if lost and _claims(sent):
        yield _refusal(
            "database-moves",
            key,
            f"the database would leave its volume ({', '.join(sorted(lost))}) and start empty on "
            f"{', '.join(sorted(_claims(sent)))}; pause the cluster (spec.orchest.pause: true), copy "
            ".orchest/database/data from the one to the other, then apply this and resume",
        )


def _image(content: Mapping[str, Json]) -> str:
    containers = value_at(content, (*_POD, "containers"))
    return str(containers[0].get("image", "")) if containers and containers is not ABSENT else ""


def _claims(content: Mapping[str, Json]) -> frozenset[str]:
    volumes = value_at(content, (*_POD, "volumes"))
    if volumes is ABSENT or not volumes:
        return frozenset()
    return frozenset(
        volume["persistentVolumeClaim"]["claimName"] for volume in volumes if volume.get("persistentVolumeClaim")
    )


def _refusal(code: str, key: ObjectKey, message: str) -> Note:
    return Note(Severity.REFUSAL, code, str(key), message)
