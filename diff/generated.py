"""Secrets whose content is made in the cluster: is what is there complete, for the right names, and not about to
expire?

In: the recipe, the observed Secret, the registry's address, the moment of the snapshot. Out: a reason to generate, or
None. Never: the values. Apply makes them and writes the two annotations below; the planner reads them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from desired_state.objects import Recipe
from diff.action import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from desired_state.objects import Generated, Json

GENERATED_FOR_ANNOTATION = "orchest.io/generated-for"
"""`generated_for(hosts, address)` of the certificate's names."""
EXPIRES_ANNOTATION = "orchest.io/expires"
"""When the certificate ends: RFC 3339 in UTC."""

EXPLANATIONS: Mapping[Reason, str] = {
    Reason.CONTENT_ABSENT: "made in the cluster by apply, its content never leaves it",
    Reason.CONTENT_OUTDATED: "made for other names or another address",
    Reason.CONTENT_EXPIRING: "the certificate is about to expire",
}


def generated_for(hosts: Iterable[str], address: str) -> str:
    """Names the hosts and the address that a certificate is for; 16 hex digits."""
    return sha256("\n".join([*sorted(hosts), address]).encode()).hexdigest()[:16]


def reason_to_generate(generated: Generated, observed: Mapping[str, Json], *, address: str, now: str) -> Reason | None:
    """`address` is "" while it is not known: it will be another one. `now` is RFC 3339 in UTC."""
    data = observed.get("data") or {}
    if not all(data.get(key) for key in generated.keys):
        return Reason.CONTENT_ABSENT
    if generated.recipe is not Recipe.REGISTRY_CERTIFICATE:
        return None
    annotations = observed["metadata"].get("annotations") or {}
    if not address or annotations.get(GENERATED_FOR_ANNOTATION) != generated_for(generated.hosts, address):
        return Reason.CONTENT_OUTDATED
    return Reason.CONTENT_EXPIRING if now >= _renewal(generated, annotations) else None


def renewal_due(generated: Generated | None, observed: Mapping[str, Json]) -> str:
    """The moment (RFC 3339) from which this content is to be renewed, "" when it does not age."""
    if generated is None or generated.recipe is not Recipe.REGISTRY_CERTIFICATE:
        return ""
    return _renewal(generated, observed["metadata"].get("annotations") or {})


def _renewal(generated: Generated, annotations: Mapping[str, str]) -> str:
    """As text that sorts by time, `now` included; a missing or unreadable end means at once."""
    try:
        end = datetime.fromisoformat(annotations.get(EXPIRES_ANNOTATION, ""))
    except ValueError:
        return "0000"
    if end.tzinfo is None:
        end = end.replace(tzinfo=UTC)
    return (end.astimezone(UTC) - timedelta(days=generated.renew_before_days)).strftime("%Y-%m-%dT%H:%M:%SZ")
