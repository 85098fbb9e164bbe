"""The few values that only the cluster can tell, read from a snapshot, and put into manifests where they are known.

In: a snapshot. Out: values by name, and manifests without `Unknown` leaves as far as they resolve. What does not
resolve yet will exist after an earlier action of the same plan; apply resolves it then, with the same functions.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256
from typing import TYPE_CHECKING

from desired_state.masking import MASK_PREFIX
from desired_state.objects import ObjectKey, Unknown, UnknownValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.objects import Json
    from diff.snapshot import ObservedObject, Snapshot

REGISTRY_SERVICE = "docker-registry"
REGISTRY_SECRET = "registry-tls-secret"  # noqa: S105, the name of an object


def known_values(snapshot: Snapshot) -> Mapping[UnknownValue, str]:
    """Everything that the cluster can tell now. Objects that are being deleted tell nothing: their values will
    change.
    """
    namespace = snapshot.cluster.namespace
    told = {
        UnknownValue.OWNER_UID: _uid(_living(snapshot, snapshot.cluster)),
        UnknownValue.REGISTRY_ADDRESS: _address(
            _living(snapshot, ObjectKey("", "Service", namespace, REGISTRY_SERVICE))
        ),
        UnknownValue.REGISTRY_CA_FINGERPRINT: _fingerprint(
            _living(snapshot, ObjectKey("", "Secret", namespace, REGISTRY_SECRET))
        ),
    }
    return {name: value for name, value in told.items() if value}


def resolve(value: Json, known: Mapping[UnknownValue, str]) -> Json:
    """`value` with every `Unknown` leaf that is in `known` filled in; parts without one are shared, not copied."""
    if isinstance(value, Unknown):
        return value.resolved(known[value.value]) if value.value in known else value
    if isinstance(value, dict):
        filled = {name: resolve(item, known) for name, item in value.items()}
        return filled if any(filled[name] is not item for name, item in value.items()) else value
    if isinstance(value, list):
        items = [resolve(item, known) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def has_unknown(value: Json) -> bool:
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return isinstance(value, Unknown)


def _living(snapshot: Snapshot, key: ObjectKey) -> ObservedObject | None:
    observed = snapshot.objects.get(key)
    return None if observed is None or observed.content["metadata"].get("deletionTimestamp") else observed


def _uid(observed: ObservedObject | None) -> str:
    return observed.uid if observed else ""


def _address(observed: ObservedObject | None) -> str:
    address = (observed.content.get("spec") or {}).get("clusterIP", "") if observed else ""
    return "" if address == "None" else str(address)


def _fingerprint(observed: ObservedObject | None) -> str:
    text = (observed.content.get("data") or {}).get("ca.crt", "") if observed else ""
    if not text or text.startswith(MASK_PREFIX):
        return ""
    try:
        return sha256(base64.b64decode(text, validate=True)).hexdigest()
    except binascii.Error:
        return ""
