"""The way in from outside: one Ingress per component that people reach, behind one IngressClass.

The login page is open; everything else asks the auth-server first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desired_state.metadata import DEPLOY_INGRESS_ANNOTATION
from desired_state.objects import Note, Severity
from desired_state.release import Component
from render.address import is_address
from render.labels import owned_metadata
from render.manifest import desired

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.cluster import OrchestCluster
    from desired_state.facts import ClusterFacts
    from desired_state.objects import DesiredObject
    from render.site import Site

_CONTROLLERS = frozenset({"k8s.io/ingress-nginx", "nginx.org/ingress-controller"})
_NGINX = "nginx.ingress.kubernetes.io"


def ingress_class(facts: ClusterFacts) -> str:
    """The first class, by name, whose controller understands our annotations; "" when there is none."""
    return min((known.name for known in facts.ingress_classes if known.controller in _CONTROLLERS), default="")


def ingress_notes(cluster: OrchestCluster, facts: ClusterFacts) -> tuple[Note, ...]:
    if ingress_class(facts):
        return ()
    if cluster.annotations.get(DEPLOY_INGRESS_ANNOTATION) == "false":
        path, mend = f"metadata.annotations[{DEPLOY_INGRESS_ANNOTATION}]", "Forward a port, or install ingress-nginx."
    else:
        path, mend = "spec.applications", "Install ingress-nginx and apply again, or forward a port."
    message = f"No IngressClass of an nginx controller exists, so no Ingress is made. {mend}"
    return (Note(Severity.WARNING, "no-ingress-class", path, message),)


def open_ingress(site: Site, component: Component, path: str) -> tuple[DesiredObject, ...]:
    """An Ingress that everybody may pass; none without an IngressClass."""
    return _ingress(site, component, path, "Prefix", {})


def guarded_ingress(site: Site, component: Component, path: str) -> tuple[DesiredObject, ...]:
    """An Ingress for people who are logged in; others are led to the login page."""
    return _ingress(site, component, path, "Prefix", {**_auth_url(site), f"{_NGINX}/auth-signin": "/login"})


def guarded_stripped_ingress(site: Site, component: Component, prefix: str) -> tuple[DesiredObject, ...]:
    """As `guarded_ingress` for programs: no login page, and the component does not see the prefix."""
    annotations = {**_auth_url(site), f"{_NGINX}/rewrite-target": "/$2", f"{_NGINX}/use-regex": "true"}
    return _ingress(site, component, f"{prefix}(/|$)(.*)", "ImplementationSpecific", annotations)


def _ingress(
    site: Site, component: Component, path: str, path_type: str, annotations: Mapping[str, str]
) -> tuple[DesiredObject, ...]:
    if not site.ingress_class:
        return ()
    backend = {"service": {"name": component, "port": {"number": 80}}}
    content = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": owned_metadata(site, component, component, {f"{_NGINX}/proxy-body-size": "0", **annotations}),
        "spec": {
            "ingressClassName": site.ingress_class,
            "rules": [
                {
                    "host": _rule_host(site.host),
                    "http": {"paths": [{"path": path, "pathType": path_type, "backend": backend}]},
                }
            ],
        },
    }
    return (desired(content, component),)


def _rule_host(host: str) -> str | None:
    """A rule may not name an address; one without a host holds for it too."""
    return None if not host or is_address(host) else host


def _auth_url(site: Site) -> Mapping[str, str]:
    return {f"{_NGINX}/auth-url": f"http://{Component.AUTH_SERVER}.{site.namespace}.svc.cluster.local/auth"}
