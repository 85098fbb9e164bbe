"""docker-registry: where images built here are kept. A filesystem registry behind TLS, its certificate made in the
cluster.

The certificate names the Service in all its forms and its address, because a node's runtime knows no cluster DNS.
Whoever mounts the authority's certificate rolls when it changes: its fingerprint is part of their checksum.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from desired_state.objects import Generated, Recipe, Unknown, UnknownValue
from desired_state.release import Component
from render import security, storage
from render.labels import owned_metadata
from render.manifest import desired
from render.storage import Attachment
from render.workload import RECREATE, Workload, deployment, http_get, probes, service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from desired_state.images import ImageDecision
    from desired_state.objects import DesiredObject, Json
    from render.site import Site

COMPONENT = Component.DOCKER_REGISTRY
TLS_SECRET = "registry-tls-secret"  # noqa: S105 (the name of the Secret)
CA_BUNDLE = "/usr/lib/ssl/certs/additional-ca-cert-bundle.crt"
_CONFIG = "docker-registry-config"
_CONFIG_DIRECTORY = "/etc/orchest/registry"
_TLS_DIRECTORY = "/etc/orchest/tls"
_USER = 1000

# No blob cache: garbage collection deletes blobs behind the server's back, and a cache would go on promising them.
_CONFIG_YML = f"""\
version: 0.1
log:
  fields:
    service: registry
storage:
  delete:
    enabled: true
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
  tls:
    certificate: {_TLS_DIRECTORY}/tls.crt
    key: {_TLS_DIRECTORY}/tls.key
"""


def objects(site: Site, image: ImageDecision) -> Iterator[DesiredObject]:
    yield deployment(site, _workload(image), RECREATE)
    yield service(site, COMPONENT, 443, "https", site.registry.address if site.registry else "")
    yield _config_map(site)
    yield _certificate(site)


def trust(site: Site) -> tuple[Attachment, ...]:
    """The registry's authority, where the original mounted it; nothing in a cluster without a registry."""
    if site.registry is None:
        return ()
    file_name = CA_BUNDLE.rpartition("/")[2]
    source = {"secretName": TLS_SECRET, "items": [{"key": "ca.crt", "path": file_name}]}
    return (Attachment({"name": "registry-ca", "secret": source}, CA_BUNDLE, file_name, read_only=True),)


def trust_checksum(site: Site) -> Unknown | None:
    return Unknown(UnknownValue.REGISTRY_CA_FINGERPRINT) if site.registry else None


def address(site: Site) -> tuple[Json, ...]:
    """Image names begin with the registry's address, not its name: nodes pull them."""
    if site.registry is None:
        return ()
    return (
        {"name": "ORCHEST_REGISTRY_ADDRESS", "value": site.registry.address or Unknown(UnknownValue.REGISTRY_ADDRESS)},
    )


def _workload(image: ImageDecision) -> Workload:
    digest = hashlib.sha256(_CONFIG_YML.encode()).hexdigest()[:16]
    tls = {"name": "tls", "secret": {"secretName": TLS_SECRET}}
    config = {"name": "config", "configMap": {"name": _CONFIG}}
    return Workload(
        component=COMPONENT,
        image=image,
        env=(),
        security=security.restricted(_USER),
        requests={"cpu": "50m"},
        ports={"https": 5000},
        probes=probes(http_get("/", "https", "HTTPS"), period=10, timeout=5),
        attachments=(
            storage.claimed(storage.REGISTRY_CLAIM, "/var/lib/registry"),
            Attachment(config, _CONFIG_DIRECTORY, read_only=True),
            Attachment(tls, _TLS_DIRECTORY, read_only=True),
        ),
        args=("serve", f"{_CONFIG_DIRECTORY}/config.yml"),
        checksum=Unknown(UnknownValue.REGISTRY_CA_FINGERPRINT, f"{digest}-{{}}"),
    )


def _config_map(site: Site) -> DesiredObject:
    content = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": owned_metadata(site, _CONFIG, COMPONENT),
        "data": {"config.yml": _CONFIG_YML},
    }
    return desired(content, COMPONENT)


def _certificate(site: Site) -> DesiredObject:
    content = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": owned_metadata(site, TLS_SECRET, COMPONENT),
        "type": "kubernetes.io/tls",
    }
    suffixes = ("", f".{site.namespace}", f".{site.namespace}.svc", f".{site.namespace}.svc.cluster.local")
    generated = Generated(
        Recipe.REGISTRY_CERTIFICATE,
        keys=("ca.crt", "tls.crt", "tls.key"),
        hosts=tuple(f"{COMPONENT}{suffix}" for suffix in suffixes),
    )
    return desired(content, COMPONENT, generated=generated)
