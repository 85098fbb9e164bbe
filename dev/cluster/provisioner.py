"""Gives every claim of the default class a volume, as a storage driver would.

In come the claims of the cluster, out go volumes: one for each claim whose pod has been given a node, deleted with its
claim. Nothing is remembered between passes; when a watch ends, for whatever reason, everything is listed again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import urllib3

from dev.cluster.api import Api, ApiError
from dev.cluster.objects import PROVISIONER

if TYPE_CHECKING:
    import threading

_CLAIMS = "/api/v1/persistentvolumeclaims"
_VOLUMES = "/api/v1/persistentvolumes"
_NODE_CHOSEN = "volume.kubernetes.io/selected-node"
_ASKED_OF = "volume.kubernetes.io/storage-provisioner"


def provision(api: Api, stopped: threading.Event) -> None:
    """Serve claims until stopped."""
    while not stopped.is_set():
        try:
            _serve_once(api)
        except (ApiError, urllib3.exceptions.HTTPError) as error:
            print(f"provisioner: {error}; starting again", flush=True)
            stopped.wait(1)


def _serve_once(api: Api) -> None:
    claims = api.get(_CLAIMS).expect(200)
    version = claims["metadata"]["resourceVersion"]
    _delete_orphans(api, {volume_name(claim) for claim in claims["items"]})
    for claim in claims["items"]:
        _serve(api, claim)
    for event in api.watch(_CLAIMS, version):
        match event["type"]:
            case "ADDED" | "MODIFIED":
                _serve(api, event["object"])
            case "DELETED":
                api.delete(f"{_VOLUMES}/{volume_name(event['object'])}").expect(200, 404)
            case "ERROR":
                return


def _delete_orphans(api: Api, wanted: set[str]) -> None:
    for volume in api.get(_VOLUMES).expect(200)["items"]:
        ours = volume["metadata"].get("annotations", {}).get("pv.kubernetes.io/provisioned-by") == PROVISIONER
        if ours and volume["metadata"]["name"] not in wanted:
            api.delete(f"{_VOLUMES}/{volume['metadata']['name']}").expect(200, 404)


def _serve(api: Api, claim: dict[str, Any]) -> None:
    annotations = claim["metadata"].get("annotations", {})
    asked = annotations.get(_ASKED_OF) == PROVISIONER and _NODE_CHOSEN in annotations
    if asked and not claim["spec"].get("volumeName"):
        # 409: an earlier event of the same claim was quicker than the binding.
        api.post(_VOLUMES, volume(claim)).expect(201, 409)


def volume_name(claim: dict[str, Any]) -> str:
    """The name of a claim's volume; a claim made anew under the same name gets another."""
    return f"pvc-{claim['metadata']['uid']}"


def volume(claim: dict[str, Any]) -> dict[str, Any]:
    """The volume that is bound to this claim and no other."""
    metadata, spec = claim["metadata"], claim["spec"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name(claim), "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "volumeMode": spec.get("volumeMode", "Filesystem"),
            "storageClassName": spec.get("storageClassName"),
            "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": f"/var/lib/simulated-volumes/{metadata['uid']}", "type": "DirectoryOrCreate"},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
        },
    }
