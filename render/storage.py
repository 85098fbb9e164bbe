"""Volume claims, and how pods mount them and the nodes' directories.

Claims carry our mark but no owner reference: deleting an OrchestCluster must never delete what its users made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from desired_state.cluster import Orchest, OrchestResources, Volume
from desired_state.objects import Note, Severity
from desired_state.release import Component
from render.labels import kept_metadata
from render.manifest import desired

if TYPE_CHECKING:
    from desired_state.cluster import OrchestClusterSpec
    from desired_state.facts import ClusterFacts
    from desired_state.objects import DesiredObject, Json
    from render.applications import RegistrySettings
    from render.site import Site

USERDIR_CLAIM = "userdir-pvc"
STATE_CLAIM = "orchest-state"
REGISTRY_CLAIM = "docker-registry"
_RESOURCES_PATH = "spec.orchest.resources"


@dataclass(frozen=True, slots=True)
class Claim:
    name: str
    size: str
    """A quantity, as written."""
    access_mode: str
    storage_class: str
    """"" for the cluster's default class."""
    path: str
    """Where a person sets the class."""
    component: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """One volume of a pod and where its container sees it."""

    volume: Json
    mount_path: str
    sub_path: str | None = None
    read_only: bool | None = None
    propagation: str | None = None

    @property
    def mount(self) -> Json:
        return {
            "name": self.volume["name"],
            "mountPath": self.mount_path,
            "subPath": self.sub_path,
            "readOnly": self.read_only,
            "mountPropagation": self.propagation,
        }


def claims(spec: OrchestClusterSpec, registry: RegistrySettings | None) -> tuple[Claim, ...]:
    """One claim for everything, or the platform's state apart from the users' files; and the registry's own."""
    resources = (spec.orchest or Orchest()).resources or OrchestResources()
    registry_claim = (
        (
            Claim(
                REGISTRY_CLAIM,
                registry.size,
                "ReadWriteOnce",
                registry.storage_class,
                _REGISTRY_CLASS,
                Component.DOCKER_REGISTRY,
            ),
        )
        if registry
        else ()
    )
    return (*_platform_claims(resources, is_single_node=spec.single_node is not False), *registry_claim)


_REGISTRY_CLASS = "spec.applications[name=docker-registry].config.helm.parameters[name=persistence.storageClass]"


def _platform_claims(resources: OrchestResources, *, is_single_node: bool) -> tuple[Claim, ...]:
    userdir = resources.user_dir_volume or Volume()
    userdir_size = userdir.volume_size or resources.user_dir_volume_size or "50Gi"
    userdir_class, path = userdir.storage_class or "", f"{_RESOURCES_PATH}.userDirVolume.storageClass"
    if not resources.separate_orchest_state_from_user_dir:
        mode = "ReadWriteOnce" if is_single_node else "ReadWriteMany"
        return (Claim(USERDIR_CLAIM, userdir_size, mode, userdir_class, path),)
    state = resources.orchest_state_volume or Volume()
    state_size = state.volume_size or resources.orchest_state_volume_size or "5Gi"
    return (
        Claim(USERDIR_CLAIM, userdir_size, "ReadWriteMany", userdir_class, path),
        Claim(
            STATE_CLAIM,
            state_size,
            "ReadWriteOnce",
            state.storage_class or "",
            f"{_RESOURCES_PATH}.orchestStateVolume.storageClass",
        ),
    )


def claim_object(site: Site, claim: Claim) -> DesiredObject:
    content = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": kept_metadata(site, claim.name, claim.component),
        "spec": {
            "accessModes": [claim.access_mode],
            "resources": {"requests": {"storage": claim.size}},
            "storageClassName": claim.storage_class or None,
        },
    }
    return desired(content, claim.component)


def storage_notes(site: Site, facts: ClusterFacts) -> tuple[Note, ...]:
    """A refusal for each claim that no StorageClass would ever serve: its pods would wait for ever."""
    return tuple(note for claim in site.claims for note in _class_notes(claim, facts))


def _class_notes(claim: Claim, facts: ClusterFacts) -> tuple[Note, ...]:
    names = [known.name for known in facts.storage_classes]
    if claim.storage_class in names or (
        not claim.storage_class and any(known.is_default for known in facts.storage_classes)
    ):
        return ()
    missing = (
        f'StorageClass "{claim.storage_class}" does not exist'
        if claim.storage_class
        else "The cluster has no default StorageClass"
    )
    choice = f"name one that exists ({', '.join(names)})" if names else "install a storage provisioner"
    mend = f"{choice}, or mark one as default with the annotation storageclass.kubernetes.io/is-default-class=true"
    message = f'{missing}, so the claim "{claim.name}" would stay Pending. To mend it, {mend}.'
    return (Note(Severity.REFUSAL, "no-usable-storage-class", claim.path, message),)


def userdir() -> Attachment:
    return Attachment(_claimed(USERDIR_CLAIM), "/userdir")


def claimed(claim: str, mount_path: str, sub_path: str | None = None) -> Attachment:
    return Attachment(_claimed(claim), mount_path, sub_path)


def state_claim(site: Site) -> str:
    """The claim that the platform's own state is on, unless a component's `stateVolumeName` names another."""
    return STATE_CLAIM if any(claim.name == STATE_CLAIM for claim in site.claims) else USERDIR_CLAIM


def scratch(name: str, mount_path: str) -> Attachment:
    """An empty directory that lives as long as its pod."""
    return Attachment({"name": name, "emptyDir": {}}, mount_path)


def host_directory(name: str, path: str, mount_path: str, kind: str, propagation: str | None = None) -> Attachment:
    """A directory or socket of the node; `kind` is a hostPath type."""
    return Attachment({"name": name, "hostPath": {"path": path, "type": kind}}, mount_path, propagation=propagation)


def _claimed(claim: str) -> Json:
    return {"name": claim.replace(".", "-"), "persistentVolumeClaim": {"claimName": claim}}
