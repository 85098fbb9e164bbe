"""What a component may ask of the API server: a service account, a Role in its namespace, and a ClusterRole only for
what has no namespace.

Cluster-scoped names carry the namespace, so that two clusters on one Kubernetes do not take each other's rights.
Nobody reads Secrets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from render.labels import cluster_scoped_metadata, owned_metadata
from render.manifest import desired

if TYPE_CHECKING:
    from collections.abc import Sequence

    from desired_state.objects import DesiredObject, Json
    from desired_state.release import Component
    from render.site import Site

_API = "rbac.authorization.k8s.io"
READ = ("get", "list", "watch")
WRITE = ("create", "delete", "get", "list", "patch", "update", "watch")


def rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Json:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def user_workload_rules() -> tuple[Json, ...]:
    """Sessions, runs and builds: pods and what makes them reachable, in the cluster's own namespace."""
    return (
        rule("", ("configmaps", "pods", "services"), WRITE),
        rule("", ("pods/log",), ("get",)),
        rule("", ("events", "persistentvolumeclaims"), READ),
        rule("apps", ("deployments",), WRITE),
        rule("networking.k8s.io", ("ingresses",), WRITE),
        rule("argoproj.io", ("workflows",), WRITE),
    )


def node_rules() -> tuple[Json, ...]:
    """Scheduling needs to know which nodes there are."""
    return (rule("", ("nodes",), READ),)


def service_account(site: Site, component: Component) -> DesiredObject:
    """The token is mounted by the pods that need it, not by every pod that happens to use the account."""
    content = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": owned_metadata(site, component, component),
        "automountServiceAccountToken": False,
    }
    return desired(content, component)


def namespace_rights(site: Site, component: Component, rules: Sequence[Json]) -> tuple[DesiredObject, ...]:
    metadata = owned_metadata(site, component, component)
    role = {"apiVersion": f"{_API}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    binding = {
        "apiVersion": f"{_API}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": _API, "kind": "Role", "name": component},
        "subjects": [_subject(site, component)],
    }
    return desired(role, component), desired(binding, component)


def cluster_rights(site: Site, component: Component, rules: Sequence[Json]) -> tuple[DesiredObject, ...]:
    name = f"orchest-{site.namespace}-{component}"
    metadata = cluster_scoped_metadata(site, name, component)
    role = {"apiVersion": f"{_API}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}
    binding = {
        "apiVersion": f"{_API}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": _API, "kind": "ClusterRole", "name": name},
        "subjects": [_subject(site, component)],
    }
    return desired(role, component), desired(binding, component)


def _subject(site: Site, component: Component) -> Json:
    return {"kind": "ServiceAccount", "name": component, "namespace": site.namespace}
