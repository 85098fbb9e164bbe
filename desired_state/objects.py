"""Kubernetes objects as values: keys, manifests, and the few leaves that only an apply can know.

Everything above this layer names an object by its `ObjectKey` and carries its content in a `Manifest`. The content is
plain JSON (dicts, lists, scalars), never mutated after construction; the only foreign leaf in it is `Unknown`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desired_state.images import ImageDecision

Json: TypeAlias = Any
"""A decoded JSON value; inside a manifest a leaf may also be an `Unknown`."""

GROUP = "orchest.io"
VERSION = "v1alpha1"
FIELD_MANAGER = "orchest-controller"

OWNER_ANNOTATION = "orchest.io/owner"
"""Our mark: `<namespace>/<name>` of the OrchestCluster an object belongs to."""
PART_OF_LABEL = "controller.orchest.io/part-of"
"""The original's label, value `orchest`, on everything of any cluster: what observation selects by."""
COMPONENT_LABEL = "controller.orchest.io/component"


class ObjectKey(NamedTuple):
    """Identity without content. `namespace` is "" for cluster-scoped objects; `group` is "" for the core group.

    A tuple, because planning 10,000 objects hashes and compares keys more than anything else, and tuples do so in C.
    """

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """`Deployment.apps/orchest/orchest-api`, `Service/orchest/orchest-api`, `Namespace/orchest`."""
        kind = f"{self.kind}.{self.group}" if self.group else self.kind
        return "/".join(part for part in (kind, self.namespace, self.name) if part)

    @classmethod
    def parse(cls, text: str) -> ObjectKey:
        """The inverse of `str(key)`. Raises ValueError when the text has no kind and name."""
        kind_and_group, *rest = text.split("/")
        if not kind_and_group or len(rest) not in {1, 2} or not all(rest):
            raise ValueError(f"not an object key: {text!r}")
        kind, _, group = kind_and_group.partition(".")
        return cls(group, kind, rest[0] if len(rest) == 2 else "", rest[-1])


class Kind(NamedTuple):
    """How the API server addresses one kind of object."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


_RBAC = "rbac.authorization.k8s.io"
KINDS: Mapping[tuple[str, str], Kind] = {
    (kind.group, kind.kind): kind
    for kind in (
        Kind("", "v1", "Namespace", "namespaces", namespaced=False),
        Kind("", "v1", "ServiceAccount", "serviceaccounts", namespaced=True),
        Kind("", "v1", "Secret", "secrets", namespaced=True),
        Kind("", "v1", "ConfigMap", "configmaps", namespaced=True),
        Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", namespaced=True),
        Kind("", "v1", "Service", "services", namespaced=True),
        Kind("apps", "v1", "Deployment", "deployments", namespaced=True),
        Kind("apps", "v1", "DaemonSet", "daemonsets", namespaced=True),
        Kind("networking.k8s.io", "v1", "Ingress", "ingresses", namespaced=True),
        Kind(_RBAC, "v1", "Role", "roles", namespaced=True),
        Kind(_RBAC, "v1", "RoleBinding", "rolebindings", namespaced=True),
        Kind(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False),
        Kind(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
        Kind(GROUP, VERSION, "OrchestCluster", "orchestclusters", namespaced=True),
    )
}
"""Every kind that we plan for, by (group, kind). A kind that is not here cannot be rendered, observed or pruned."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One whole desired object: apiVersion, kind, metadata and body as the server will be sent them."""

    key: ObjectKey
    content: Mapping[str, Json]

    @classmethod
    def of(cls, content: Mapping[str, Json]) -> Manifest:
        """The key is read from the content. Raises KeyError for a kind that is not in `KINDS`."""
        group = content["apiVersion"].rpartition("/")[0]
        kind = KINDS[group, content["kind"]]
        metadata = content["metadata"]
        namespace = metadata["namespace"] if kind.namespaced else ""
        return cls(ObjectKey(group, kind.kind, namespace, metadata["name"]), content)


class UnknownValue(StrEnum):
    """The values that do not exist before the first apply. Nothing else may be unknown."""

    OWNER_UID = "owner-uid"
    """metadata.uid of the OrchestCluster."""
    REGISTRY_ADDRESS = "registry-address"
    """spec.clusterIP of the Service docker-registry."""
    REGISTRY_CA_FINGERPRINT = "registry-ca-fingerprint"
    """sha256 of the ca.crt in Secret registry-tls-secret, hex."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A leaf of a manifest that apply fills in; `template` is the text around it, `{}` stands for the value."""

    value: UnknownValue
    template: str = "{}"

    def resolved(self, value: str) -> str:
        return self.template.replace("{}", value)


class Recipe(StrEnum):
    """What a `generate` action makes. The material is made by apply and never leaves the cluster's Secret."""

    REGISTRY_CERTIFICATE = "registry-certificate"
    """ca.crt, tls.crt, tls.key of type kubernetes.io/tls, for `Generated.hosts` and the registry's address."""
    PASSWORDS = "passwords"
    """One random password for each key in `Generated.keys`."""


@dataclass(frozen=True, slots=True)
class Generated:
    """Content of a Secret that is made in the cluster once and kept: the manifest carries no data."""

    recipe: Recipe
    keys: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    renew_before_days: int = 30


@dataclass(frozen=True, slots=True)
class DesiredObject:
    """One manifest with what the planner must know beside its content."""

    manifest: Manifest
    component: str = ""
    """The component it belongs to (`orchest-api`), "" for what belongs to the whole cluster."""
    image: ImageDecision | None = None
    generated: Generated | None = None


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class Note:
    """Something a person must know before an apply. A refusal stops it (exit code 5)."""

    severity: Severity
    code: str
    """Stable and kebab-case, e.g. `no-usable-storage-class`."""
    path: str
    """Field path in the manifest (`spec.orchest.version`) or an object key."""
    message: str
    """What is so, and the mend."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a cluster means in objects: the answer of `render(cluster, facts)`."""

    cluster: Manifest
    """The OrchestCluster itself, exactly as Git has it."""
    objects: tuple[DesiredObject, ...]
    """Everything it owns, ordered by key, without the OrchestCluster and without its namespace."""
    images: tuple[ImageDecision, ...] = ()
    notes: tuple[Note, ...] = field(default=())
