"""Names, labels and the two ties between an object and its cluster: our mark (an annotation) and the owner reference.

The mark says whose an object is and decides about deletion by us. The owner reference only lets Kubernetes clean up
after the OrchestCluster; what must outlive it (volumes, and the passwords that fit them) has the mark alone, as do
cluster-scoped objects, which cannot be owned by a namespaced one. The OrchestCluster's own annotations are never
copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.objects import (
    COMPONENT_LABEL,
    GROUP,
    OWNER_ANNOTATION,
    PART_OF_LABEL,
    VERSION,
    Unknown,
    UnknownValue,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.objects import Json
    from render.site import Site

OWNER_LABEL = "controller.orchest.io/owner"
CHECKSUM_ANNOTATION = "checksum/config"


def selector(component: str) -> Mapping[str, str]:
    """What a workload and its Service select pods by. Immutable on the server, so it must stay as it is for ever."""
    return {COMPONENT_LABEL: component, PART_OF_LABEL: "orchest"}


def labels(site: Site, component: str) -> Mapping[str, str]:
    """No `app.kubernetes.io/version`: it would touch, at every version bump, also what keeps a custom image."""
    common = {
        PART_OF_LABEL: "orchest",
        "app.kubernetes.io/part-of": "orchest",
        "app.kubernetes.io/managed-by": "orchest-controller",
        "app.kubernetes.io/instance": site.name,
    }
    if not component:
        return common | {"app.kubernetes.io/name": "orchest", OWNER_LABEL: site.name}
    return common | {
        "app.kubernetes.io/name": component,
        "app.kubernetes.io/component": component,
        COMPONENT_LABEL: component,
        OWNER_LABEL: component,
    }


def owned_metadata(
    site: Site, name: str, component: str = "", annotations: Mapping[str, str] | None = None
) -> Mapping[str, Json]:
    """Metadata of a namespaced object that goes when its OrchestCluster goes."""
    metadata = kept_metadata(site, name, component)
    return {
        **metadata,
        "annotations": {**metadata["annotations"], **(annotations or {})},
        "ownerReferences": [owner_reference(site)],
    }


def kept_metadata(site: Site, name: str, component: str = "") -> Mapping[str, Json]:
    """Metadata of a namespaced object that outlives its OrchestCluster."""
    return {**cluster_scoped_metadata(site, name, component), "namespace": site.namespace}


def cluster_scoped_metadata(site: Site, name: str, component: str = "") -> Mapping[str, Json]:
    return {
        "name": name,
        "labels": labels(site, component),
        "annotations": {OWNER_ANNOTATION: f"{site.namespace}/{site.name}"},
    }


def owner_reference(site: Site) -> Mapping[str, Json]:
    """Not a controller reference: an object of the original may still have one, and the server allows one only."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "OrchestCluster",
        "name": site.name,
        "uid": Unknown(UnknownValue.OWNER_UID),
    }
