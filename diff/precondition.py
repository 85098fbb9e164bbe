"""What a plan saw of an object, and whether that still holds: the rule that makes a stale plan refuse.

resourceVersion is no precondition: the status of a fresh Deployment moves it four times in a tenth of a second. `seen`
digests what the decision rested on: the live values of the fields that we compare, the owner mark and
deletionTimestamp. In: manifest and live content. Out: a keyed digest. Fields of others and status never enter it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.objects import GROUP, Unknown
from diff.action import Precondition
from diff.canonical import canonical_bytes
from diff.merge_keys import ATOMIC_MAPS, OPAQUE_MAPS, key_of, merge_keys
from diff.normalize import is_empty, normalize
from diff.ownership import mark_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.masking import Masker
    from desired_state.objects import Json, Manifest
    from diff.action import Action
    from diff.snapshot import ObservedObject, Snapshot

ABSENCE = Precondition(uid="", seen="")


def precondition_of(masker: Masker, observed: ObservedObject, manifest: Manifest | None) -> Precondition:
    """`manifest` is what the action sends, None for a delete."""
    return Precondition(observed.uid, seen_digest(masker, observed.content, manifest))


def seen_digest(masker: Masker, content: Mapping[str, Json], manifest: Manifest | None) -> str:
    """The digest of what a decision about this object rests on. Apply computes it again from a fresh read before each
    write.
    """
    metadata = content["metadata"]
    seen = {
        "mark": mark_of(content),
        "deletionTimestamp": metadata.get("deletionTimestamp", ""),
        "fields": _projection(manifest.content, content) if manifest else _substance(content),
        "whole": _whole(content),
    }
    return masker.digest(canonical_bytes(seen))


def holds(action: Action, snapshot: Snapshot, masker: Masker) -> bool:
    """Whether the object of `action` is still as the plan saw it."""
    observed = snapshot.objects.get(action.key)
    if observed is None or not action.precondition.uid:
        return observed is None and not action.precondition.uid
    return precondition_of(masker, observed, action.manifest) == action.precondition


def _substance(content: Mapping[str, Json]) -> Json:
    """All that an object is besides its metadata and status: what is deleted or kept as it is must still be that."""
    return normalize({name: part for name, part in content.items() if name not in {"metadata", "status"}})


def _whole(content: Mapping[str, Json]) -> Json:
    """Parts that matter beyond the fields we set: generated content, and the OrchestCluster's spec, which is compared
    whole.
    """
    if content.get("kind") == "Secret":
        return content.get("data") or {}
    if str(content.get("apiVersion", "")).startswith(f"{GROUP}/"):
        return normalize(content.get("spec") or {})
    return {}


def _projection(desired: Mapping[str, Json], observed: Mapping[str, Json]) -> dict[str, Json]:
    """The observed value of each field that `desired` has; what is absent there stays absent here."""
    return _without_empty(
        {
            name: _projected(wanted, observed[name], name, "")
            for name, wanted in desired.items()
            if observed.get(name) is not None
        }
    )


def _without_empty(fields: dict[str, Json]) -> dict[str, Json]:
    """A map in which only others have entries is no different from a map that is not there."""
    return {name: value for name, value in fields.items() if not is_empty(value, name)}


def _projected(wanted: Json, there: Json, field: str, parent: str) -> Json:
    if isinstance(wanted, dict) and isinstance(there, dict) and field not in ATOMIC_MAPS:
        if field in OPAQUE_MAPS:
            return {name: there[name] for name in wanted if there.get(name) is not None}
        return _without_empty(
            {
                name: _projected(below, there[name], name, field)
                for name, below in wanted.items()
                if there.get(name) is not None
            }
        )
    if isinstance(wanted, list) and isinstance(there, list):
        return _projected_list(wanted, there, field)
    return normalize(there, field, parent)


def _projected_list(wanted: list[Json], there: list[Json], field: str) -> Json:
    """Our entries in the order observed. Entries that only apply can name (an unknown owner uid) stand for the whole
    list.
    """
    keys = merge_keys(field, wanted, there)
    if not keys:
        return normalize(there, field)
    ours = {key_of(item, keys): item for item in wanted}
    if any(isinstance(part, Unknown) for key in ours for part in key):
        return normalize(there, field)
    return [_projected(ours[key], item, "", field) for item in there if (key := key_of(item, keys)) in ours]
